"""The routes below /api/v1/access/: who may ask, in which form, and what is told."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from gzip import compress

from attrs import evolve
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from werkzeug.routing import Rule

from pypicloud_tw.access.administration.shown import UNTOLD
from pypicloud_tw.access.policy import Policy
from pypicloud_tw.web.api.access import AccessApi
from pypicloud_tw.web.api.json_api import MAX_BODY
from tests.access.administration.doubles import settings
from tests.web.api.doubles import AccessWeb
from tests.web.doubles import HASH, Response, basic, request_bytes

PROBLEM = "application/problem+json"
USERS = dict.fromkeys(("ann", "bob", "carol"), HASH)
TERMS = {"issuer": "https://ci.example", "claims": {"sub": "x"}, "projects": ["acme"]}

EXEMPTION = {"project": "acme", "until": "2026-12-31T00:00:00Z", "reason": "a fix"}

#: What has no name in its address.
NAMELESS = ("tokens", "exemptions")

#: A body that each change takes; what is not here takes none.
BODIES: dict[tuple[str, str], object] = {
    ("PUT", "users"): {"password": "a good word"},
    ("PATCH", "users"): {"administrator": True},
    ("PUT", "groups"): {"members": ["bob"]},
    ("PUT", "rights"): {"actions": ["read"]},
    ("PUT", "publishers"): TERMS,
    ("POST", "exemptions"): EXEMPTION,
    ("POST", "tokens"): {"description": "CI"},
}

#: Everybody who has signed in may ask these, about themselves.
OWN = ("tokens", "rights-of", "whoami")


def routes() -> Iterator[tuple[str, str]]:
    """Name every route by its method and an address that it takes."""
    rule: Rule
    for rule in AccessApi.router.url_map.iter_rules():
        path = rule.rule.removeprefix("/")
        if path == "tokens/revealed":
            continue  # asks nobody who they are
        for part, value in {
            "<any(user, group):kind>": "user",
            "<project>": "acme",
            "<name>": "thing",
            "<user>": "bob",
            "<string(length=32):id>": "0" * 32,
            "<string(length=16):id>": "0" * 16,
        }.items():
            path = path.replace(part, value)
        for method in rule.methods or ():
            yield method, path


def path_of(part: str) -> str:
    """Return where a change of a part is asked for."""
    if part in NAMELESS:
        return part
    return "rights/acme/user/bob" if part == "rights" else f"{part}/thing"


class AccessApiCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.web = AccessWeb(users=USERS)
        self.web.domain.publisher.audit = self.web.records.append

    def ask(self, method: str, path: str, value: object = None) -> Response:
        """Ask as ann, who is an administrator; it must be done."""
        response = self.web.ask(method, path, value)
        self.assertIn(response.status, (200, 201), response.body)
        return response

    def refused(self, status: int, response: Response) -> str:
        """Return the sentence of a problem (RFC 9457)."""
        self.assertEqual(response.status, status, response.body)
        self.assertEqual(response["Content-Type"], PROBLEM)
        problem = response.json
        self.assertEqual(problem["status"], status)
        self.assertEqual(set(problem), {"type", "title", "status", "detail", "code"})
        return str(problem["detail"])


class WhoMayTests(AccessApiCase):
    def test_every_route_is_known(self) -> None:
        self.assertEqual(len(set(routes())), 41)

    def test_nobody_in_particular(self) -> None:
        for method, path in routes():
            body = BODIES.get((method, path.partition("/")[0]))
            response = self.web.ask(method, path, body, login={})
            if method == "HEAD":
                self.assertEqual(response.status, 401, path)
            else:
                self.assertIn("Log in", self.refused(401, response))
            self.assertIn("Basic", response["WWW-Authenticate"] or "")

    def test_no_administrator(self) -> None:
        """Nor is anything of the body looked at."""
        for method, path in routes():
            if path.partition("/")[0] in OWN:
                continue
            response = self.web.ask(method, path, login=basic("bob"))
            self.assertEqual(response.status, 403, (method, path))

    def test_read_only(self) -> None:
        web = AccessWeb(
            users=USERS,
            policy=Policy(evolve(settings(), read_only="We move.")),
        )
        web.domain.publisher.audit = web.records.append
        for method, path in routes():
            response = web.ask(method, path)
            if method in ("GET", "HEAD"):
                self.assertIn(response.status, (200, 404), path)
            else:
                self.assertIn("We move.", self.refused(403, response))
        names = {act.actor.name for act in web.records}
        self.assertEqual(names, {"ann"})

    def test_other_sites(self) -> None:
        for method, path in routes():
            if method in ("GET", "HEAD"):
                continue
            response = self.web.ask(method, path, Origin="https://evil.example")
            self.refused(403, response)

    def changing(
        self, change: Callable[[], object], method: str, path: str, value: object
    ) -> Response:
        """Ask as zoe, and have something change before all of the body has come."""
        headers = {**basic("zoe", "a good word"), "Content-Type": "application/json"}
        request = request_bytes(
            method, f"/api/v1/access/{path}", headers, json.dumps(value).encode()
        )
        connection = self.web.connect()
        connection.send(request[:-1])
        change()
        before = self.web.documents.current
        connection.send(request[-1:])
        answer = connection.response(method)
        assert answer is not None
        self.assertIs(self.web.documents.current, before)
        return answer

    def test_who_is_no_administrator_any_more_when_the_body_has_come(self) -> None:
        zoe = {"password": "a good word", "administrator": True}
        for (method, part), value in BODIES.items():
            path = path_of(part)
            self.ask("PUT", "users/zoe", zoe)
            if part != "tokens":
                answer = self.changing(
                    lambda: self.ask("PATCH", "users/zoe", {"administrator": False}),
                    method,
                    path,
                    value,
                )
                self.refused(403, answer)
                self.ask("PUT", "users/zoe", zoe)
            answer = self.changing(
                lambda: self.ask("DELETE", "users/zoe"), method, path, value
            )
            self.refused(401, answer)

    def test_what_one_may_do_nothing_with_is_not_explained(self) -> None:
        """Lines for a project tell that there is one, or will be."""
        self.ask("PUT", "rights/secret/user/carol", {"actions": ["read"]})
        self.ask("PUT", "rights/mine-*/user/bob", {"actions": ["read"]})
        bob = basic("bob")
        everything = self.web.ask("GET", "rights-of", login=bob).json
        projects = [one["project"] for one in everything["decisions"]]
        self.assertEqual(projects, ["mine-*", "*"])
        (none,) = self.web.ask("GET", "rights-of?project=secret", login=bob).json[
            "decisions"
        ]
        self.assertEqual((none["decided_by"], none["fixed"]), (None, False))
        for verdict in none["verdicts"]:
            self.assertFalse(verdict["allowed"])
            self.assertEqual(verdict["reasons"], [UNTOLD])
        why = self.web.ask("GET", "rights-of?project=mine-x", login=bob).json
        self.assertEqual(why["decisions"][0]["decided_by"], "mine-*")
        told = self.ask("GET", "rights-of?user=bob&project=secret").json
        self.assertEqual(told["decisions"][0]["decided_by"], "secret")

    def test_a_name_that_can_be_none(self) -> None:
        long = "x" * 1000
        for login in (basic("bob"), basic()):
            for path in (f"rights-of?project={long}", f"rights-of?project={long}*"):
                refused = self.web.ask("GET", path, login=login)
                self.assertIn("longer than", self.refused(400, refused))

    def test_of_a_project(self) -> None:
        self.ask("PUT", "rights/acme/user/bob", {"actions": ["administer"]})
        bob = basic("bob")

        def status(method: str, path: str, value: object = None) -> int:
            return self.web.ask(method, path, value, login=bob).status

        read = {"actions": ["read"]}
        self.assertEqual(status("PUT", "rights/Acme/group/dev", read), 201)
        self.assertEqual(status("PUT", "rights/acme-*/group/dev", read), 403)
        self.assertEqual(status("PUT", "rights/other/group/dev", read), 403)
        self.assertEqual(status("DELETE", "rights/acme/group/dev"), 200)
        self.assertEqual(status("PUT", "publishers/ci", TERMS), 201)
        other = {**TERMS, "projects": ["acme", "other"]}
        self.assertEqual(status("PUT", "publishers/ci", other), 403)
        self.assertEqual(status("GET", "users"), 403)
        self.assertEqual(status("POST", "exemptions", EXEMPTION), 201)
        self.assertEqual(
            status("POST", "exemptions", {**EXEMPTION, "project": "other"}), 403
        )
        id = self.ask("POST", "exemptions", {**EXEMPTION, "project": "x"}).json["id"]
        self.assertEqual(status("GET", f"exemptions/{id}"), 404)
        self.assertEqual(status("DELETE", f"exemptions/{id}"), 404)
        (own,) = self.web.ask("GET", "exemptions", login=bob).json["items"]
        self.assertEqual((own["project"], own["source"]), ("acme", "bob"))
        lines = self.web.ask("GET", "rights", login=bob).json["items"]
        self.assertEqual({line["project"] for line in lines}, {"acme"})

    def test_by_a_token(self) -> None:
        made = self.ask("POST", "tokens", {"actions": ["read", "upload"]}).json
        login = basic("__token__", made["token"])
        self.assertEqual(self.web.ask("GET", "whoami", login=login).status, 200)
        self.assertEqual(self.web.ask("GET", "users", login=login).status, 403)
        refused = self.web.ask("POST", "tokens", {}, login=login)
        self.assertIn("A token makes no tokens", self.refused(403, refused))
        # Whoever finds a token does not learn what others its owner has, and for what.
        refused = self.web.ask("GET", "tokens", login=login)
        self.assertIn("shows or revokes", self.refused(403, refused))
        made = self.ask("POST", "tokens", {"actions": ["administer"]}).json
        login = {"Authorization": f"Bearer {made['token']}"}
        self.assertEqual(self.web.ask("GET", "users", login=login).status, 200)

    def test_who_was_refused_a_token(self) -> None:
        self.web.ask("POST", "tokens", {"owner": "carol"}, login=basic("bob"))
        made = self.ask("POST", "tokens", {}).json
        login = basic("__token__", made["token"])
        self.web.ask("DELETE", f"tokens/{made['id']}", login=login)
        told = [act for act in self.web.records if act.outcome == "refused"]
        self.assertEqual([act.actor.name for act in told], ["bob", "ann"])
        self.assertEqual([act.act for act in told], ["administer"] * 2)
        self.assertEqual(told[1].actor.proof.kind, "token")

    def test_others_tokens_and_rights(self) -> None:
        made = self.ask("POST", "tokens", {"owner": "carol"}).json
        bob = basic("bob")
        for path in ("tokens?owner=carol", "tokens?everybody=true", "rights-of?user=x"):
            self.refused(403, self.web.ask("GET", path, login=bob))
        self.refused(404, self.web.ask("DELETE", f"tokens/{made['id']}", login=bob))
        response = self.web.ask("POST", "tokens", {"owner": "carol"}, login=bob)
        self.refused(403, response)


class FormTests(AccessApiCase):
    def test_what_is_wrong_is_named(self) -> None:
        for method, path, value, sentence in (
            ("PUT", "users/bob2", {"pasword": "x"}, "no field 'pasword'"),
            ("PUT", "users/bob2", {"administrator": 1}, "'administrator' must be true"),
            ("PUT", "users/b%3Ab", {}, "A user's name"),
            ("PUT", "users/__token__", {}, "whoever shows a token"),
            ("PUT", "groups/dev", {}, "'members' is missing"),
            ("PUT", "rights/acme/user/bob", {"actions": ["fly"]}, "one of read"),
            ("PUT", "rights/acme/user/bob", {"actions": ["delete"]}, "A right is of"),
            ("PUT", "rights/a%20b/user/bob", {"actions": ["read"]}, "project"),
            ("PUT", "publishers/ci", {"issuer": "x"}, "'claims' is missing"),
            ("POST", "tokens", {"life": "90d"}, "'life' must be a whole number"),
            ("POST", "tokens", [], "must be an object"),
        ):
            said = self.refused(400, self.web.ask(method, path, value))
            self.assertIn(sentence, said, (method, path))

    def test_only_json(self) -> None:
        for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
            response = self.web.ask("PUT", "users/x", {}, Content_Type=kind)
            self.assertIn("Content-Type: application/json", self.refused(415, response))

    def test_no_coding_and_utf8_alone(self) -> None:
        def put(body: bytes, **fields: str) -> Response:
            headers = {**basic(), "Content-Type": "application/json", **fields}
            path = "/api/v1/access/groups/dev"
            return self.web.request("PUT", path, headers, body)

        text = '{"members": []}'
        packed = put(compress(text.encode()), **{"Content-Encoding": "gzip"})
        self.assertIn("no Content-Encoding", self.refused(415, packed))
        for encoding in ("utf-16", "utf-16-le", "utf-32"):
            self.refused(400, put(text.encode(encoding)))
        self.assertEqual(put(text.encode("utf-8-sig")).status, 201)

    def test_bounds(self) -> None:
        members = ["x" * 100] * (MAX_BODY // 100)
        response = self.web.ask("PUT", "groups/dev", {"members": members})
        self.refused(413, response)

    def test_no_such_address_or_method(self) -> None:
        self.refused(404, self.web.ask("GET", "nothing"))
        self.refused(404, self.web.ask("PUT", "rights/acme/robot/bob", {}))
        self.refused(405, self.web.ask("DELETE", "users"))

    @hypothesis_settings(
        max_examples=40, suppress_health_check=[HealthCheck.differing_executors]
    )
    @given(st.sampled_from(sorted(BODIES)), st.binary(max_size=40))
    def test_any_body_or_a_sentence(self, route: tuple[str, str], body: bytes) -> None:
        method, kind = route
        path = path_of(kind)
        headers = {**basic(), "Content-Type": "application/json"}
        path = f"/api/v1/access/{path}"
        response = self.web.request(method, path, headers, body)
        self.refused(400, response)


class ConditionTests(AccessApiCase):
    def test_known_already(self) -> None:
        self.ask("PUT", "groups/dev", {"members": []})
        etag = self.ask("GET", "groups/dev")["ETag"] or ""
        again = self.web.ask("GET", "groups/dev", If_None_Match=etag)
        self.assertEqual((again.status, again.body), (304, b""))
        self.ask("PUT", "groups/dev/members/bob")
        again = self.web.ask("GET", "groups/dev", If_None_Match=etag)
        self.assertEqual(again.status, 200)

    def test_lost_update(self) -> None:
        self.ask("PUT", "groups/dev", {"members": []})
        etag = self.ask("GET", "groups/dev")["ETag"] or ""
        for status in (200, 412):
            members = {"members": ["bob"]}
            changed = self.web.ask("PUT", "groups/dev", members, If_Match=etag)
            self.assertEqual(changed.status, status)
        self.refused(412, self.web.ask("DELETE", "groups/dev", If_Match=etag))

    def test_exemptions(self) -> None:
        id = self.ask("POST", "exemptions", EXEMPTION).json["id"]
        etag = self.ask("GET", f"exemptions/{id}")["ETag"] or ""
        self.ask("POST", "exemptions", {**EXEMPTION, "reason": "another"})
        path = f"exemptions/{id}"
        self.refused(412, self.web.ask("DELETE", path, If_Match=etag))
        twice = self.web.ask("POST", "exemptions", EXEMPTION, If_None_Match="*")
        self.refused(412, twice)
        etag = self.ask("GET", path)["ETag"] or ""
        self.assertEqual(self.web.ask("DELETE", path, If_Match=etag).status, 200)

    def test_what_follows_from_elsewhere_is_no_lost_update(self) -> None:
        state = self.ask("PUT", "users/x", {}).json["state"]
        etag = self.ask("GET", "users/x")["ETag"] or ""
        self.ask("PUT", "groups/dev", {"members": ["x"]})
        again = self.web.ask("GET", "users/x", If_None_Match=etag)
        self.assertEqual((again.status, again.json["groups"]), (200, ["dev"]))
        for tag in (etag, f'"{state}"'):
            patch = {"administrator": False}
            changed = self.web.ask("PATCH", "users/x", patch, If_Match=tag)
            self.assertEqual(changed.status, 200)

    def test_everything_together(self) -> None:
        overview = self.ask("GET", "")
        etag = overview["ETag"] or ""
        self.assertEqual(etag[:33], f'"{overview.json["state"]}')
        self.assertFalse(overview.json["open"])
        changed = self.web.ask("PUT", "groups/dev", {"members": []}, If_Match=etag)
        self.assertEqual(changed.status, 201)
        changed = self.web.ask("PUT", "groups/ops", {"members": []}, If_Match=etag)
        self.refused(412, changed)

    def test_only_a_strong_tag_is_required(self) -> None:
        """RFC 9110, section 13.1.1."""
        self.ask("PUT", "groups/dev", {"members": []})
        etag = self.ask("GET", "groups/dev")["ETag"] or ""
        members = {"members": ["bob"]}
        weak = self.web.ask("PUT", "groups/dev", members, If_Match=f"W/{etag}")
        self.refused(412, weak)
        either = self.web.ask("PUT", "groups/dev", members, If_Match=f'"x", {etag}')
        self.assertEqual(either.status, 200)
        for name in ("dev", "ops"):
            neither = self.web.ask(
                "PUT", f"groups/{name}", members, If_Match="*", If_None_Match="*"
            )
            self.refused(412, neither)

    def test_a_right_of_everyone_in_any_case(self) -> None:
        path, value = "rights/acme/group/EVERYONE", {"actions": ["read"]}
        first = self.ask("PUT", path, value).json
        self.assertTrue(first["made"])
        again = self.ask("PUT", path.replace("EVERYONE", "everyone"), value).json
        self.assertEqual((again["made"], again["state"]), (False, first["state"]))
        self.refused(412, self.web.ask("PUT", path, value, If_None_Match="*"))

    def test_only_new_or_only_there(self) -> None:
        def put(name: str, **fields: str) -> Response:
            return self.web.ask("PUT", f"users/{name}", {}, login=None, **fields)

        self.assertEqual(put("x", If_None_Match="*").status, 201)
        self.refused(412, put("x", If_None_Match="*"))
        self.refused(412, put("y", If_Match="*"))
        self.assertEqual(put("x", If_Match="*").status, 200)
        odd = self.web.ask("PUT", "users/x", {}, If_None_Match='"a"')
        self.assertIn("If-None-Match", self.refused(400, odd))


class SecretTests(AccessApiCase):
    def test_hashes_and_secrets_stay(self) -> None:
        self.ask("PUT", "users/x", {"password": "a good word"})
        made = self.ask("POST", "tokens", {"owner": "x"}).json
        hashed = self.web.documents.current.users["x"].hash
        assert hashed is not None
        told = [self.web.ask("GET", path).text for method, path in routes()]
        told += [
            self.ask("GET", "users/x").text,
            self.ask("GET", "tokens?owner=x").text,
        ]
        for text in (*told, repr(self.web.records)):
            for secret in (hashed, HASH, "a good word", made["token"]):
                self.assertNotIn(secret, text)

    def test_not_for_caches(self) -> None:
        for path in ("users", "whoami", "tokens"):
            self.assertEqual(self.ask("GET", path)["Cache-Control"], "no-store")


class ChangeTests(AccessApiCase):
    def test_a_new_user_logs_in_and_a_removed_one_does_not(self) -> None:
        self.ask("PUT", "users/zoe", {"password": "a good word"})
        login = basic("zoe", "a good word")
        whoami = self.web.ask("GET", "whoami", login=login)
        self.assertEqual(whoami.json["name"], "zoe")
        self.ask("DELETE", "users/zoe")
        self.assertEqual(self.web.ask("GET", "whoami", login=login).status, 401)

    def test_again_is_the_same(self) -> None:
        """PUT and DELETE have the same effect, however often they are sent."""
        first = self.ask("PUT", "groups/dev", {"members": ["bob"]})
        self.assertEqual(first.status, 201)
        again = self.ask("PUT", "groups/dev", {"members": ["bob"]})
        self.assertEqual((again.status, again["ETag"]), (200, first["ETag"]))
        self.assertEqual(self.web.ask("DELETE", "groups/dev").status, 200)
        self.refused(404, self.web.ask("DELETE", "groups/dev"))

    def test_who_did_it(self) -> None:
        self.ask("PUT", "groups/dev", {"members": ["bob"]})
        (act,) = self.web.records
        self.assertEqual(act.actor.name, "ann")
        self.assertEqual(act.actor.proof.kind, "password")

    def test_who_was_refused(self) -> None:
        read = {"actions": ["read"]}
        for path, value in (("groups/dev", {"members": []}), ("rights/x/user/y", read)):
            self.refused(403, self.web.ask("PUT", path, value, login=basic("bob")))
        whole, part = self.web.records
        self.assertEqual((whole.actor.name, whole.outcome), ("bob", "refused"))
        self.assertEqual((whole.act, whole.project), ("administer", None))
        self.assertEqual((part.act, part.project), ("administer", "x"))
