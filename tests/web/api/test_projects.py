"""Projects over HTTP: what is shown, what is done, and what either is held to."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.policy import Policy
from pypicloud_tw.errors import StoreError
from pypicloud_tw.index.names import NormalizedName, project_name
from pypicloud_tw.projects.elsewhere import Elsewhere
from pypicloud_tw.upstream.names.packed import pack, parts
from pypicloud_tw.web.http.proxies import Proxies
from tests.access.doubles import policy_of
from tests.builders import sdist, wheel
from tests.web.doubles import HASH, Response, Web, basic, stored_project

PROBLEM = "application/problem+json"
AWAY = "The store is away."
JSON = {"Content-Type": "application/json"}
WHEEL = "acme-1.0-py3-none-any.whl"
SDIST = "acme-1.0.tar.gz"
NEWER = "acme-2.0-py3-none-any.whl"
USERS = dict.fromkeys(("ann", "bob", "boss"), HASH)

#: ann may do everything with acme but delete, boss that too; bob may read.
RULES = """
pypi.default_read = everyone
pypi.default_write = ann boss
pypi.allow_delete_groups = admin
auth.admins = boss
package.acme.user.ann = rw
package.acme.group.everyone = r
"""


def policy(ini: str = RULES) -> Policy:
    return policy_of(ini)


class ApiCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.web = Web(users=USERS, policy=policy())
        self.web.domain.publisher.audit = self.web.records.append
        self.web.publish(WHEEL, wheel())
        self.web.publish(SDIST, sdist())
        self.web.publish(NEWER, wheel(version="2.0"))

    def ask(
        self,
        method: str,
        path: str,
        value: object = None,
        *,
        user: str | None = "boss",
        status: int | None = 200,
        **fields: str,
    ) -> Response:
        headers = {} if user is None else basic(user)
        headers |= {name.replace("_", "-"): text for name, text in fields.items()}
        body = b""
        if value is not None:
            headers |= JSON
            body = json.dumps(value).encode()
        answer = self.web.request(method, f"/api/v1/{path}", headers, body)
        if status is not None:
            self.assertEqual(answer.status, status, answer.body)
        if answer.status >= 400:
            self.assertEqual(answer["Content-Type"], PROBLEM)
            self.assertEqual(answer.json["status"], answer.status)
        return answer

    def refused(
        self, status: int, method: str, path: str, *args: Any, **more: Any
    ) -> str:
        """Return the sentence of a refusal."""
        answer = self.ask(method, path, *args, status=status, **more)
        return str(answer.json["detail"])

    def yanked(self) -> dict[str, str | None]:
        """Tell of each file why it is yanked, as it lies in the store."""
        project = stored_project(self.web.store)
        return {file.filename: file.yanked for file in project.files}


def break_store(web: Web) -> None:
    """Have the store be away, for longer than anything is believed."""

    def away(operation: str, key: str) -> None:
        raise StoreError(AWAY)

    web.store.before = away
    web.domain.clock.advance(3600)


class ReadingTests(ApiCase):
    def test_a_project(self) -> None:
        shown = self.ask("GET", "projects/Acme").json
        self.assertEqual(shown["name"], "acme")
        self.assertEqual(shown["status"], {"status": "active", "reason": None})
        one, two = shown["releases"]
        self.assertEqual((one["version"], one["files"]), ("1.0", 2))
        self.assertEqual((two["version"], two["yanked"]), ("2.0", False))
        self.assertEqual(one["summary"], "A tool of Acme's")
        self.assertEqual(shown["state"], stored_project(self.web.store).changes[-1])

    def test_a_release_however_its_version_is_spelled(self) -> None:
        shown = self.ask("GET", "projects/acme/releases/v1").json
        self.assertEqual(shown["version"], "1.0")
        self.assertEqual({f["filename"] for f in shown["files"]}, {WHEEL, SDIST})

    def test_a_file_and_where_it_is(self) -> None:
        shown = self.ask("GET", f"projects/acme/files/{WHEEL}").json
        self.assertEqual(shown["uploader"], "ann")
        self.assertEqual(self.web.get(f"/{shown['url']}").body, wheel())

    def test_what_is_not_there(self) -> None:
        for path in (
            "projects/other",
            "projects/-",
            "projects/acme/releases/3.0",
            "projects/acme/releases/x",
            "projects/acme/files/acme-3.0.tar.gz",
            "projects/acme/nothing",
            "nothing",
        ):
            self.refused(404, "GET", path)

    def test_etags_tell_that_nothing_has_changed(self) -> None:
        for path in ("projects/acme", "projects/acme/releases/1.0", "projects"):
            answer = self.ask("GET", path)
            tag = answer["ETag"] or ""
            again = self.ask("GET", path, status=304, If_None_Match=tag)
            self.assertEqual(again.body, b"")

    def test_quarantined_only_those_who_manage_it_see_files(self) -> None:
        self.ask("PUT", "projects/acme/status", {"status": "quarantined"})
        for user, releases, status in (
            (None, 0, 404),
            ("bob", 0, 404),
            ("ann", 2, 200),
        ):
            shown = self.ask("GET", "projects/acme", user=user).json
            self.assertEqual(shown["status"]["status"], "quarantined")
            self.assertEqual(len(shown["releases"]), releases, user)
            for part in ("releases/1.0", f"files/{WHEEL}"):
                self.ask("GET", f"projects/acme/{part}", user=user, status=status)

    def test_a_stale_password_closes_nothing_that_is_open(self) -> None:
        stale = basic("ann", "wrong")
        answer = self.web.get("/api/v1/projects/acme", stale)
        self.assertEqual(answer.status, 200)

    def test_the_store_is_away(self) -> None:
        self.ask("GET", "projects/acme")
        break_store(self.web)
        self.ask("GET", "projects/acme")


class ListTests(ApiCase):
    def setUp(self) -> None:
        super().setUp()
        for name in ("zebra", "bolt-kit", "bolt"):
            module = name.replace("-", "_")
            self.web.publish(f"{module}-1.0-py3-none-any.whl", wheel(module))

    def names(self, path: str, **more: Any) -> list[str]:
        return [one["name"] for one in self.ask("GET", path, **more).json["items"]]

    def test_page_by_page(self) -> None:
        seen, cursor = [], ""
        while True:
            page = self.ask("GET", f"projects?limit=3{cursor}").json
            seen.append([one["name"] for one in page["items"]])
            if page["cursor"] is None:
                break
            cursor = f"&cursor={page['cursor']}"
        self.assertEqual(seen, [["acme", "bolt", "bolt-kit"], ["zebra"]])

    def test_a_page_that_is_just_full_is_the_last(self) -> None:
        self.assertIsNone(self.ask("GET", "projects?limit=4").json["cursor"])

    def test_by_words(self) -> None:
        self.assertEqual(self.names("projects?q=Bolt"), ["bolt", "bolt-kit"])
        self.assertEqual(self.names("projects?q=kit_+bolt"), [])
        self.assertEqual(self.names("projects?q=kit+bolt"), ["bolt-kit"])

    def test_only_what_one_may_read(self) -> None:
        closed = policy(f"{RULES}\npackage.bolt*.user.boss = r")
        self.web = Web(domain=self.web.domain, users=USERS, policy=closed)
        self.assertEqual(self.names("projects", user="bob"), ["acme", "zebra"])
        self.assertEqual(self.names("search?q=bolt", user="bob"), [])
        self.assertEqual(self.names("projects?q=bolt"), ["bolt", "bolt-kit"])

    def test_what_cannot_be_asked(self) -> None:
        for query, word in (
            ("limit=0", "1 to 1000"),
            ("limit=1001", "1 to 1000"),
            ("limit=%D9%A3", "1 to 1000"),
            ("limit=x", "1 to 1000"),
            (f"limit={'9' * 5000}", "1 to 1000"),
            ("limit=1&limit=2", "once"),
            ("cursor=_", "cursor"),
            ("cursor=a%0A", "cursor"),
            ("cursor=", "cursor"),
            ("q=%FF", "UTF-8"),
            (f"q={'x' * 257}", "256"),
            ("page=2", "not known here; cursor, limit, q are"),
        ):
            self.assertIn(word, self.refused(400, "GET", f"projects?{query}"), query)

    def test_search_ranks_names_before_summaries(self) -> None:
        self.web.describe()
        self.assertEqual(self.names("search?q=bolt"), ["bolt", "bolt-kit"])
        found = self.names("search?q=acme%27s+tool")
        self.assertEqual(found, ["acme", "bolt", "bolt-kit", "zebra"])
        (zebra,) = self.ask("GET", "search?q=zebra").json["items"]
        self.assertEqual(zebra.pop("updated")[:5], "2026-")
        self.assertEqual(
            zebra,
            {
                "name": "zebra",
                "version": "1.0",
                "summary": "A tool of Acme's",
                "origin": "ours",
                "status": "active",
            },
        )

    def test_search_says_whether_it_looked_at_all(self) -> None:
        self.assertFalse(self.ask("GET", "search?q=tool").json["complete"])
        self.web.describe()
        found = self.ask("GET", "search?q=tool").json
        self.assertTrue(found["complete"])
        self.assertEqual(len(found["items"]), 4)

    def test_search_shows_what_others_have(self) -> None:
        async def kept() -> frozenset[NormalizedName]:
            return frozenset(map(project_name, ("bolt-kept", "bolt")))

        async def listed() -> tuple[tuple[bytes, ...], ...]:
            names = ("bolts", "bolt-kept", "bolt-own", "bolt-kit", "other")
            return (parts(pack(names)),)

        elsewhere = Elsewhere(kept, listed, lambda: ("bolt-own*",))
        self.web = Web(self.web.domain, USERS, policy=policy(), elsewhere=elsewhere)
        found = self.ask("GET", "search?q=bolt").json["items"]
        self.assertEqual(
            [(one["name"], one["origin"]) for one in found],
            [
                ("bolt", "ours"),
                ("bolt-kit", "ours"),
                ("bolt-kept", "kept"),
                ("bolts", "upstream"),
            ],
        )
        for origin, names in (
            ("ours", ["bolt", "bolt-kit"]),
            ("kept", ["bolt-kept"]),
            ("upstream", ["bolts"]),
        ):
            self.assertEqual(self.names(f"search?q=bolt&origin={origin}"), names)
        self.assertEqual(len(self.names("search?q=bolt&limit=3")), 3)
        self.assertIn("ours, kept", self.refused(400, "GET", "search?q=x&origin=x"))

    def test_search_for_what_one_may_do(self) -> None:
        rules = policy(f"{RULES}\npackage.bolt.user.bob = rw")
        self.web = Web(self.web.domain, USERS, policy=rules)
        self.assertEqual(self.names("search?q=bolt&right=upload", user="bob"), ["bolt"])
        self.assertEqual(self.names("search?q=zebra&right=manage", user="bob"), [])
        self.assertIn("upload, manage", self.refused(400, "GET", "search?q=x&right=x"))

    def test_search_needs_words(self) -> None:
        for query, word in (("", "missing"), ("?q=+", "q"), ("?q=", "q")):
            self.assertIn(word, self.refused(400, "GET", f"search{query}"), query)
        many = quote(" ".join("x" * 17))
        self.assertIn("16 words", self.refused(400, "GET", f"search?q={many}"))


class ActTests(ApiCase):
    def test_yank_and_take_it_back(self) -> None:
        path = "projects/acme/releases/1/yanked"
        done = self.ask("PUT", path, {"reason": "broken"}, user="ann")
        self.assertTrue(done.json["changed"])
        self.assertEqual(done.json["act"]["who"], "ann")
        self.assertEqual(
            self.yanked(),
            {WHEEL: "broken", SDIST: "broken", NEWER: None},
        )
        again = self.ask("PUT", path, {"reason": "broken"}, user="ann").json
        self.assertEqual((again["changed"], again["act"]), (False, None))
        self.ask("DELETE", path, user="ann")
        self.assertEqual(set(self.yanked().values()), {None})
        self.assertFalse(self.ask("DELETE", path, user="ann").json["changed"])

    def test_a_file_alone(self) -> None:
        path = f"projects/acme/files/{WHEEL}/yanked"
        self.ask("PUT", path, {}, user="ann")
        self.assertEqual(self.yanked()[WHEEL], "")
        self.assertIsNone(self.yanked()[SDIST])
        self.ask("DELETE", path, user="ann")
        self.assertIsNone(self.yanked()[WHEEL])

    def test_what_is_done_is_seen_at_once(self) -> None:
        self.ask("GET", "projects/acme")
        self.ask("PUT", "projects/acme/releases/1.0/yanked", {"reason": "broken"})
        release = self.ask("GET", "projects/acme").json["releases"][0]
        self.assertEqual((release["yanked"], release["reason"]), (True, "broken"))

    def test_delete_and_restore(self) -> None:
        for path, left in (
            (f"files/{WHEEL}", 2),
            ("releases/1.0", 1),
            ("", 0),
        ):
            path = f"projects/acme/{path}".rstrip("/")
            done = self.ask("DELETE", f"{path}?reason=too+old").json
            self.assertEqual(done["act"]["reason"], "too old")
            self.assertEqual(len(self.yanked()), left)
            self.assertFalse(self.ask("DELETE", path).json["changed"])
        deleted = self.ask("GET", "projects/acme").json["deleted"]
        self.assertEqual(len(deleted), 3)
        self.ask("POST", "projects/acme/restore", {"file": WHEEL})
        self.assertEqual(list(self.yanked()), [WHEEL])
        self.ask("POST", "projects/acme/restore", {})
        self.assertEqual(len(self.yanked()), 3)
        self.assertFalse(self.ask("POST", "projects/acme/restore", {}).json["changed"])

    def test_status(self) -> None:
        change = {"status": "archived", "reason": "Use bolt."}
        self.ask("PUT", "projects/acme/status", change, user="ann")
        shown = self.ask("GET", "projects/acme").json["status"]
        self.assertEqual(shown, change)

    def test_history_page_by_page(self) -> None:
        for reason in ("one", "two", "three"):
            self.ask("PUT", "projects/acme/releases/1/yanked", {"reason": reason})
        first = self.ask("GET", "projects/acme/history?limit=2", user="ann").json
        self.assertEqual([act["reason"] for act in first["items"]], ["three", "two"])
        self.assertTrue(first["items"][0]["undoable"])
        rest = f"projects/acme/history?cursor={quote(first['cursor'])}"
        older = self.ask("GET", rest).json
        self.assertEqual(older["items"][0]["reason"], "one")
        self.assertNotIn(first["items"][1]["id"], [act["id"] for act in older["items"]])

    def test_a_cursor_of_no_history(self) -> None:
        for cursor in ("x", "%00", "0" * 16):
            path = f"projects/acme/history?cursor={cursor}"
            self.assertIn("cursor", self.refused(400, "GET", path))

    def test_undo_by_id_is_done_once(self) -> None:
        done = self.ask("PUT", "projects/acme/releases/1/yanked", {"reason": "x"}).json
        undo = {"act": done["act"]["id"]}
        undone = self.ask("POST", "projects/acme/undo", undo, user="ann").json
        self.assertEqual(undone["act"]["undoes"], done["act"]["id"])
        self.assertEqual(set(self.yanked().values()), {None})
        again = self.ask("POST", "projects/acme/undo", undo, user="ann").json
        self.assertFalse(again["changed"])

    def test_undo_of_a_deletion_takes_the_right_to_delete(self) -> None:
        self.ask("DELETE", "projects/acme/releases/1.0")
        said = self.refused(403, "POST", "projects/acme/undo", {}, user="ann")
        self.assertIn("delete", said)
        self.ask("POST", "projects/acme/undo", {})
        self.assertEqual(len(self.yanked()), 3)

    def test_bodies_that_are_none(self) -> None:
        path = "projects/acme/releases/1.0/yanked"
        for value, word in (
            ({"reason": 1}, "text"),
            ({"reason": "a\nb"}, "one line"),
            ({"reason": "\0"}, "one line"),
            ({"reason": "x" * 1001}, "too long"),
            ({"why": "x"}, "no field"),
            ([], "an object"),
        ):
            self.assertIn(word, self.refused(400, "PUT", path, value), value)
        self.refused(400, "PUT", "projects/acme/status", {"status": "gone"})
        plain = self.web.request("PUT", f"/api/v1/{path}", basic("boss"), b"{}")
        self.assertEqual(plain.status, 415)
        long = {"reason": "x" * 200_000}
        self.refused(413, "PUT", path, long)
        self.assertEqual(set(self.yanked().values()), {None})

    def test_methods(self) -> None:
        answer = self.ask("POST", "projects/acme", status=405)
        self.assertEqual(answer["Allow"], "DELETE, GET, HEAD")
        options = self.ask("OPTIONS", "projects/acme", status=204)
        self.assertEqual(options["Allow"], "DELETE, GET, HEAD")
        self.assertEqual(self.ask("HEAD", "projects/acme").body, b"")


class TwoServersTests(ApiCase):
    """Every act on one server, as the other tells of it within fresh_for."""

    def setUp(self) -> None:
        super().setUp()
        self.other = Web(domain=self.web.domain.beside(), users=USERS, policy=policy())
        self.told()

    def told(self) -> Any:
        self.web.domain.clock.advance(self.web.domain.fresh_for)
        return self.other.get("/api/v1/projects/acme", basic("boss")).json

    def page(self) -> list[str]:
        """List the files that installers are offered there."""
        accept = {"Accept": "application/vnd.pypi.simple.v1+json"}
        page = self.other.get("/simple/acme/", accept).json
        return [file["filename"] for file in page["files"] if not file.get("yanked")]

    def test_each(self) -> None:
        two, all_three = [NEWER], [SDIST, WHEEL, NEWER]
        release, file = "projects/acme/releases/1.0", f"projects/acme/files/{WHEEL}"
        for method, path, value, offered in (
            ("PUT", f"{release}/yanked", {"reason": "x"}, two),
            ("DELETE", f"{release}/yanked", None, all_three),
            ("PUT", f"{file}/yanked", {}, [SDIST, NEWER]),
            ("DELETE", f"{file}/yanked", None, all_three),
            ("DELETE", file, None, [SDIST, NEWER]),
            ("DELETE", release, None, two),
            ("POST", "projects/acme/restore", {"version": "1"}, all_three),
            ("DELETE", "projects/acme", None, []),
            ("POST", "projects/acme/undo", {}, all_three),
            ("PUT", "projects/acme/status", {"status": "quarantined"}, []),
            ("PUT", "projects/acme/status", {"status": "active"}, all_three),
        ):
            done = self.ask(method, path, value).json
            self.assertTrue(done["changed"], (method, path))
            self.assertEqual(self.told()["state"], done["state"])
            self.assertEqual(sorted(self.page()), sorted(offered), (method, path))


class RequiredTests(ApiCase):
    def test_one_state_for_all_that_tell_of_a_project(self) -> None:
        for path in (
            "projects/acme",
            "projects/acme/releases/1.0",
            f"projects/acme/files/{WHEEL}",
        ):
            tag = self.ask("GET", path)["ETag"] or ""
            reason = {"reason": path}
            yank = "projects/acme/releases/1.0/yanked"
            done = self.ask("PUT", yank, reason, If_Match=tag)
            self.refused(412, "PUT", yank, {"reason": "late"}, If_Match=tag)
            # What an act answers can be required in its turn.
            self.ask("DELETE", yank, If_Match=done["ETag"] or "")

    def test_what_was_done_elsewhere_is_not_overwritten(self) -> None:
        tag = self.ask("GET", "projects/acme")["ETag"] or ""
        other = Web(domain=self.web.domain.beside(), users=USERS, policy=policy())
        headers = {**basic("boss"), **JSON}
        path = "/api/v1/projects/acme/status"
        other.request("PUT", path, headers, b'{"status": "archived"}')
        said = self.refused(412, "DELETE", "projects/acme", If_Match=tag)
        self.assertIn("was changed since", said)
        self.assertEqual(len(self.yanked()), 3)

    def test_what_is_done_elsewhere_is_seen_within_fresh_for(self) -> None:
        self.ask("GET", "projects/acme")
        other = Web(domain=self.web.domain.beside(), users=USERS, policy=policy())
        headers = {**basic("boss"), **JSON}
        yanked = "/api/v1/projects/acme/releases/1.0/yanked"
        other.request("PUT", yanked, headers, b'{"reason": "broken"}')
        self.web.domain.clock.advance(self.web.domain.fresh_for)
        release = self.ask("GET", "projects/acme").json["releases"][0]
        self.assertEqual(release["reason"], "broken")

    def test_conditions_of_other_kinds(self) -> None:
        path = "projects/acme/releases/1.0/yanked"
        self.ask("PUT", path, {}, If_Match="*")
        self.refused(412, "DELETE", path, If_None_Match="*")
        self.refused(412, "DELETE", path, If_Match='W/"x"')
        self.refused(400, "DELETE", path, If_None_Match='"x"')

    def test_who_is_nobody_hears_of_no_state(self) -> None:
        for method, part in (("PUT", "/status"), ("DELETE", "")):
            self.refused(401, method, f"projects/acme{part}", user=None, If_Match='"x"')


class JudgedAgainTests(ApiCase):
    def test_by_the_rules_in_force_when_the_body_has_come(self) -> None:
        connection = self.web.connect()
        body = b'{"reason": "late"}'
        head = (
            "PUT /api/v1/projects/acme/releases/1.0/yanked HTTP/1.1\r\n"
            "Host: pypi.example:6543\r\n"
            f"Authorization: {basic('ann')['Authorization']}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        connection.send(head.encode() + body[:5])
        access = self.web.application.access
        access.policy = policy(RULES.replace("ann = rw", "ann = r"))
        connection.send(body[5:])
        self.web.domain.clock.advance(1)
        response = connection.response()
        assert response is not None
        self.assertEqual(response.status, 403, response.body)
        self.assertEqual(set(self.yanked().values()), {None})


class StatusTests(ApiCase):
    def test_how_the_server_stands(self) -> None:
        self.assertIsNone(self.ask("GET", "status").json["conditional"])
        self.web.wait(self.web.domain.index.secure())
        self.web.domain.clock.advance(60)
        shown = self.ask("GET", "status").json
        self.assertEqual(
            (shown["store"], shown["conditional"], shown["ready"], shown["projects"]),
            ("folder", True, True, 1),
        )
        self.assertGreaterEqual(shown["uptime"], 60)
        self.assertIsNone(shown["sentence"])

    def test_the_store_is_away(self) -> None:
        self.ask("GET", "status")
        break_store(self.web)
        shown = self.ask("GET", "status").json
        self.assertFalse(shown["ready"])
        self.assertEqual(shown["sentence"], AWAY)

    def test_for_administrators_alone(self) -> None:
        self.refused(401, "GET", "status", user=None)
        self.refused(403, "GET", "status", user="ann")


class AddressTests(ApiCase):
    def test_whatever_is_asked_is_answered_by_a_problem(self) -> None:
        for path, status in (
            ("projects/%FF", 404),
            ("projects/%C3", 404),
            ("projects/a%2Fb", 404),
            ("projects//acme", 404),
            ("projects/acme/", 404),
            ("projects/", 404),
            ("%00", 404),
            ("projects/acme/files/%00", 404),
            ("projects/acme/files/..", 404),
            ("projects/acme/releases/%E2%80%A8", 404),
            (f"projects/{'x' * 3000}", 404),
            (f"projects/acme/releases/{'1.' * 2000}", 404),
            (f"projects/acme/releases/{'9' * 5000}", 404),
            ("access/nothing", 404),
            ("prune/nothing", 404),
        ):
            self.refused(status, "GET", path)

    def test_methods_that_there_are_not(self) -> None:
        for method in ("POST", "PUT", "PATCH", "TRACE"):
            self.assertIn("method", self.refused(405, method, "audit"))
        self.assertIn("method", self.refused(405, "DELETE", "openapi.json"))
        self.assertIn("method", self.refused(405, "GET", "access/tokens/revealed"))

    def test_below_a_path(self) -> None:
        proxies = Proxies(public_url="https://pypi.example/index")
        web = Web(domain=self.web.domain, users=USERS, policy=policy(), proxies=proxies)
        servers = web.get("/api/v1/openapi.json").json["servers"]
        self.assertEqual(servers, [{"url": "/index"}])
