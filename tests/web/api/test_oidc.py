"""Trusted publishing over HTTP: what CI jobs ask, and what they are answered."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import LogEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.document import AccessDocument
from pypicloud_tw.access.oidc.compact import LONGEST_TOKEN
from pypicloud_tw.access.tokens.text import MintedText, read_token
from pypicloud_tw.config.rights import TrustedPublisher
from pypicloud_tw.web.http.proxies import Proxies
from tests.access.oidc.doubles import GITLAB, Issuer, ec_key, encoded, publisher, signed
from tests.web.doubles import Domain, Response, Web, request_bytes

MINT, BURN = "/_/oidc/mint-token", "/_/oidc/burn-token"


class OidcTestCase(SynchronousTestCase):
    publishers: tuple[TrustedPublisher, ...] = (publisher(),)

    def setUp(self) -> None:
        self.web = self.serve(*self.publishers)
        self.issuer = self.web.issuer
        self.events: list[LogEvent] = []
        # A list's method is as good as a function.
        observer: Any = self.events.append
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def serve(self, *publishers: TrustedPublisher, **more: Any) -> Web:
        return Web(publishers={one.name: one for one in publishers}, **more)

    def send(self, what: object, path: str = MINT, web: Web | None = None) -> Response:
        body = what if isinstance(what, bytes) else json.dumps(what).encode()
        fields = {"Content-Type": "application/json", "User-Agent": "job/1"}
        return (web or self.web).request("POST", path, fields, body)

    def mint(self, web: Web | None = None, **changes: Any) -> Response:
        return self.send({"token": self.issuer.token(**changes)}, web=web)

    def minted(self, response: Response) -> Mapping[str, Any]:
        self.assertEqual(response.status, 200, response.text)
        self.assertEqual(response["Cache-Control"], "no-store")
        found: Mapping[str, Any] = response.json
        return found

    def refused(self, response: Response, status: int, code: str, *parts: str) -> None:
        self.assertEqual(
            (response.status, response["Content-Type"]),
            (
                status,
                "application/problem+json",
            ),
        )
        document = response.json
        self.assertEqual(
            document["errors"], [{"code": code, "description": document["message"]}]
        )
        self.assertEqual(
            (document["status"], document["detail"]),
            (
                status,
                document["message"],
            ),
        )
        for part in parts:
            self.assertIn(part, document["message"])

    def logged(self) -> str:
        """Give every line that was logged, with all that could be written of it."""
        return "\n".join(
            str({k: v for k, v in event.items() if k != "log_logger"})
            for event in self.events
        )


class MintTests(OidcTestCase):
    def test_minted(self) -> None:
        document = self.minted(self.mint())
        self.assertIs(document["success"], True)
        now = self.web.domain.clock.seconds()
        self.assertEqual(document["expires"], int(now) + 900)
        token = read_token(document["token"])
        assert isinstance(token, MintedText)
        self.assertTrue(document["token"].startswith("pypi-"))
        (record,) = self.web.records
        self.assertEqual((record.act, record.outcome), ("minted", "done"))
        self.assertEqual(record.actor.name, "publisher tool")
        self.assertEqual(record.actor.user_agent, "job/1")
        self.assertEqual(record.actor.proof.kind, "publisher")
        self.assertEqual(record.actor.proof.details["repository"], "acme/tool")

    def test_the_older_address(self) -> None:
        token = {"token": self.issuer.token(), "features": ["multi-use-token"]}
        self.minted(self.send(token, "/_/oidc/github/mint-token"))

    def test_any_accept(self) -> None:
        """Never 406: uv asks for anything, others for whatever."""
        for accept in ("*/*", "text/html", "application/vnd.x+json;q=0"):
            body = json.dumps({"token": self.issuer.token()}).encode()
            response = self.web.request("POST", MINT, {"Accept": accept}, body)
            self.assertEqual(response.status, 200)

    def test_once_on_any_server(self) -> None:
        other = Web(self.web.domain.beside(), publishers=self.web.publishers)
        token = {"token": self.issuer.token()}
        self.minted(self.send(token))
        for web in (self.web, other):
            again = self.send(token, web=web)
            self.refused(again, 422, "invalid-reuse-token", "GitLab job has one")
        self.assertIn("repository", self.web.records[-1].actor.proof.details)

    def test_once_however_it_is_signed(self) -> None:
        """ECDSA: s and n - s are both right (RFC 6979 says nothing of it)."""
        order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
        for jti in ("one", None):
            text = self.issuer.token(jti=jti)
            what, _, signature = text.rpartition(".")
            raw = urlsafe_b64decode(signature + "==")
            s = order - int.from_bytes(raw[32:], "big")
            other = f"{what}.{encoded(raw[:32] + s.to_bytes(32, 'big'))}"
            self.minted(self.send({"token": other}))
            self.refused(self.send({"token": text}), 422, "invalid-reuse-token")

    def test_a_refused_token_is_not_used_up(self) -> None:
        token = {"token": self.issuer.token(ref="refs/heads/dev")}
        self.refused(self.send(token), 422, "invalid-publisher")
        more = publisher("more", claims="repository_id:1001")
        web = Web(self.web.domain.beside(), publishers={"more": more})
        web.issuer.keys = self.issuer.keys
        self.minted(self.send(token, web=web))

    def test_claims_that_do_not_match(self) -> None:
        """The job is told what it is; the log has what was wanted, too."""
        response = self.mint(ref="refs/heads/dev", environment=None)
        self.refused(
            response,
            422,
            "invalid-publisher",
            "no trusted publisher",
            "repository acme/tool",
            "ref refs/heads/dev",
        )
        self.assertNotIn("refs/tags/*", response.text)
        self.assertIn(
            "publisher.tool differs: ref is 'refs/heads/dev', not 'refs/tags/*'.",
            self.logged(),
        )
        (record,) = self.web.records
        self.assertEqual((record.act, record.outcome), ("mint", "refused"))
        self.assertIn("not 'refs/tags/*'", record.reason or "")
        self.assertEqual(record.actor.proof.details["ref"], "refs/heads/dev")

    def test_what_is_wrong(self) -> None:
        for changes, code, part in (
            ({"aud": "pypi"}, "invalid-token", "another audience"),
            ({"exp": 1, "iat": 0}, "invalid-token", "is over"),
            ({"key": ec_key("second")}, "invalid-token", "signature is wrong"),
            ({"headers": {"kid": "k9"}}, "invalid-token", "key its issuer has not"),
            ({"iss": "https://evil.example"}, "invalid-publisher", "issuer of this"),
            ({"iss": None}, "invalid-publisher", "issuer of this"),
            ({"repository": "acme/tool\n"}, "invalid-publisher", "no trusted"),
            ({"repository": ["acme/tool"]}, "invalid-publisher", "no trusted"),
            ({"repository": "Acme/tool"}, "invalid-publisher", "no trusted"),
        ):
            self.refused(self.mint(**changes), 422, code, part)

    def test_an_issuer_that_is_no_text(self) -> None:
        text = signed(b'{"alg":"ES256","kid":"k1"}', b'{"iss":["x"]}')
        self.refused(self.send({"token": text}), 422, "invalid-publisher")

    def test_an_unknown_issuer_is_not_asked(self) -> None:
        self.mint(iss="https://evil.example")
        self.assertEqual(self.issuer.fetched, [])
        self.assertIn("https://evil.example", self.logged())

    def test_payloads(self) -> None:
        for body in (
            b"",
            b"{}",
            b"[]",
            b"\xff",
            b'{"token": 5}',
            b'{"token": "\\u00e4"}',
            b'{"token": "a", "token": "b"}',
            b'{"token": "a", "features": ["single-use-token"]}',
            b'{"token": "a", "features": "x"}',
        ):
            self.refused(self.send(body), 422, "invalid-payload")
        self.refused(self.send({"token": "a.b"}), 422, "invalid-token", "not a JWT")
        long = {"token": "a" * (LONGEST_TOKEN + 1)}
        self.refused(self.send(long), 422, "invalid-token", "longer than")
        longer = self.send({"token": "a" * 70_000})
        self.refused(longer, 413, "payload-too-large")

    def test_the_issuer_is_away(self) -> None:
        self.issuer.wrong = "It is away."
        response = self.mint()
        self.refused(response, 503, "issuer-unavailable", "It is away.")
        self.assertEqual(response["Retry-After"], "5")

    def test_nothing_of_a_token_is_logged(self) -> None:
        good, bad = self.issuer.token(), self.issuer.token(aud="x")
        shown = self.minted(self.send({"token": good}))["token"]
        self.send({"token": good})
        self.send({"token": bad})
        self.send({"token": shown}, BURN)
        kept = f"{self.logged()}{self.web.records}"
        for text in (good, bad, shown):
            for part in (text, text[20:60], text.rpartition(".")[2][:30]):
                self.assertNotIn(part, kept)

    def test_refusals_are_told_at_a_bounded_rate(self) -> None:
        for _ in range(30):
            self.assertEqual(self.send({"token": "a.b.c"}).status, 422)
        told = self.logged().count("An identity token from")
        response = self.mint(ref="refs/heads/dev")
        self.refused(response, 429, "too-many-requests", "in 2 seconds")
        self.assertEqual(response["Retry-After"], "2")
        self.assertEqual(self.logged().count("An identity token from"), told)
        self.web.domain.clock.advance(2)
        self.refused(self.mint(ref="refs/heads/dev"), 422, "invalid-publisher")

    def test_no_neighbour_keeps_a_job_out(self) -> None:
        """Runners share addresses, and a stranger may be at the same one."""
        for _ in range(40):
            self.send({"token": "a.b.c"})
        self.minted(self.mint())

    def test_many_jobs_at_once(self) -> None:
        """However slow their issuer is, and all from one address."""
        self.issuer.waiting = Deferred()
        connections = [self.web.connect() for _ in range(60)]
        for connection in connections:
            body = json.dumps({"token": self.issuer.token()}).encode()
            connection.send(request_bytes("POST", MINT, {}, body))
        self.issuer.waiting.callback(None)
        for connection in connections:
            response = connection.response()
            assert response is not None
            self.minted(response)

    def test_a_replay_asks_the_store_once(self) -> None:
        other = Web(self.web.domain.beside(), publishers=self.web.publishers)
        token = {"token": self.issuer.token()}
        self.minted(self.send(token))
        self.refused(self.send(token, web=other), 422, "invalid-reuse-token")
        before = len(self.web.store.calls)
        for web in (self.web, other):
            self.refused(self.send(token, web=web), 422, "invalid-reuse-token")
        self.assertEqual(len(self.web.store.calls), before)

    def test_what_is_not_its_fault_costs_nothing(self) -> None:
        self.issuer.wrong = "It is away."
        for _ in range(40):
            self.assertEqual(self.mint().status, 503)

    def test_success_costs_nothing(self) -> None:
        for _ in range(40):
            self.minted(self.mint())


class SeveralTests(OidcTestCase):
    publishers = (
        publisher("a"),
        publisher("b", claims="repository_id:1001", projects="b", acts="read"),
        publisher("c", claims="repository_id:9", projects="c"),
        publisher("d", issuer=GITLAB, claims="repository_id:1001", projects="d"),
        publisher("e", audience="elsewhere", claims="repository_id:1001"),
    )

    def test_a_job_is_of_all_that_trust_it(self) -> None:
        self.minted(self.mint())
        self.assertEqual(self.web.records[0].actor.name, "publisher a, b")

    def test_each_audience(self) -> None:
        self.minted(self.mint(aud="elsewhere"))
        self.assertEqual(self.web.records[0].actor.name, "publisher e")

    def test_each_issuer_for_itself(self) -> None:
        """What one issuer signs, another does not."""
        self.refused(self.mint(iss=GITLAB), 503, "issuer-unavailable")
        self.issuer.url = GITLAB
        self.web.domain.clock.advance(5)
        self.minted(self.mint())
        self.assertEqual(self.web.records[-1].actor.name, "publisher d")


class AudienceTests(OidcTestCase):
    def test_audience(self) -> None:
        response = self.web.get("/_/oidc/audience")
        self.assertEqual(response.json, {"audience": "pypicloud"})
        self.assertEqual(response["Content-Type"], "application/json")

    def test_those_of_the_ini_decide(self) -> None:
        """Whoever administers a project may add a publisher at run time."""
        fixed = publisher(audience="zebra", claims="repository:acme/tool")
        web = self.serve(fixed)
        other = publisher("other", projects="other")
        stored = AccessDocument(publishers={"other": other})
        web.application.access.policy = web.application.access.policy.with_document(
            stored
        )
        self.assertEqual(web.get("/_/oidc/audience").json, {"audience": "zebra"})

    def test_no_publisher(self) -> None:
        web = self.serve()
        for response in (
            web.get("/_/oidc/audience"),
            web.get("/.well-known/pytp?discover=%2Flegacy%2F"),
            self.mint(web),
        ):
            self.refused(response, 404, "not-enabled", "no trusted publishers")

    def test_methods(self) -> None:
        self.assertEqual(self.web.get(MINT).status, 405)
        self.assertEqual(self.web.head("/_/oidc/audience").status, 200)


class BurnTests(OidcTestCase):
    def test_burnt(self) -> None:
        token = self.minted(self.mint())["token"]
        for _ in range(40):
            response = self.send({"token": token}, BURN)
            if response.status == 429:
                break
            self.assertEqual((response.status, response.body), (204, b""))
        acts = [record.act for record in self.web.records]
        self.assertEqual(acts, ["minted", "burnt a token"])
        text = read_token(token)
        assert isinstance(text, MintedText)
        key = next(key for key in self.web.store.objects if text.id in key)
        self.assertIsNotNone(json.loads(self.web.store.objects[key].data)["burnt"])

    def test_whatever_it_is(self) -> None:
        for body in (b"", b"{}", b'{"token": "x"}', b'{"token": 5}'):
            self.assertEqual(self.send(body, BURN).status, 204)

    def test_what_is_made_up_is_asked_for_at_a_bounded_rate(self) -> None:
        """Its checksum may be right; a job's own token is burnt all the same."""
        token = self.minted(self.mint())["token"]
        before = len(self.web.store.calls)
        statuses = set()
        for number in range(150):
            text = MintedText.draw("x", str(number), 0).text
            statuses.add(self.send({"token": text}, BURN).status)
        self.assertEqual(statuses, {204, 429})
        self.assertEqual(len(self.web.store.calls) - before, 100)
        self.assertEqual(self.send({"token": token}, BURN).status, 204)
        self.assertEqual(self.web.records[-1].act, "burnt a token")

    def test_not_for_reuse(self) -> None:
        token = {"token": self.issuer.token()}
        shown = self.minted(self.send(token))["token"]
        self.send({"token": shown}, BURN)
        self.refused(self.send(token), 422, "invalid-reuse-token")


class DiscoveryTests(OidcTestCase):
    def test_found(self) -> None:
        for path in ("%2Flegacy%2F", "/legacy", "/", "/simple/", "/pypi/"):
            response = self.web.get(f"/.well-known/pytp?discover={path}")
            self.assertEqual(response.status, 200)
            self.assertEqual(
                response["Content-Type"], "application/vnd.pypi.pytp.v1+json"
            )
            self.assertEqual(
                response.json,
                {
                    "audience-endpoint": "http://pypi.example:6543/_/oidc/audience",
                    "token-mint-endpoint": f"http://pypi.example:6543{MINT}",
                    "features": ["multi-use-token"],
                    "default-features": ["multi-use-token"],
                },
            )

    def test_other_paths(self) -> None:
        for path in ("", "/x/", "//", "/legacy//x", "legacy/"):
            query = f"?discover={path}" if path else ""
            response = self.web.get(f"/.well-known/pytp{query}")
            self.refused(response, 404, "not-found", "/legacy/")
        twice = self.web.get("/.well-known/pytp?discover=/&discover=/")
        self.assertEqual(twice.status, 404)

    def test_under_a_prefix(self) -> None:
        """The addresses stay at the root, where clients ask."""
        proxies = Proxies((), "https://host.example/pypi/root")
        web = self.serve(publisher(), proxies=proxies)
        found = web.get("/.well-known/pytp?discover=/pypi/root/legacy/")
        self.assertEqual(
            found.json["token-mint-endpoint"], f"https://host.example{MINT}"
        )
        self.assertEqual(web.get("/.well-known/pytp?discover=/legacy/").status, 404)


class TwoServers(OidcTestCase):
    """What one server has minted, another knows."""

    def test_keys_are_each_servers_own(self) -> None:
        domain = Domain()
        first = Web(domain, publishers={"tool": publisher()})
        second = Web(domain.beside(), publishers={"tool": publisher()})
        second.issuer.wrong = "It is away."
        issuer: Issuer = first.issuer
        self.issuer = issuer
        self.minted(self.mint(first))
        self.refused(self.mint(second), 503, "issuer-unavailable")
