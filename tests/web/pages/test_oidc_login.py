"""Logging in by a provider, in a browser, over the whole edge."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.document import AccessDocument, StoredUser
from pypicloud_tw.access.oidc.provider import PATIENCE
from pypicloud_tw.access.sessions.sessions import RENEWED_AFTER
from pypicloud_tw.config.sections.access import OidcLoginSection
from pypicloud_tw.index.audit import Proof
from pypicloud_tw.web.http.proxies import Proxies
from tests.access.doubles import policy_of
from tests.access.oidc.doubles import ec_key, encoded, rsa_key
from tests.access.oidc.provider import CLIENT_ID, SECRET, SETTINGS, STAFF, Provider
from tests.builders import wheel
from tests.web.doubles import HASH, Domain, Response, Web
from tests.web.pages.browser import Browser

PAGE = "/simple/acme/"
CALLBACK = "/login/oidc/callback"
GROUP = "package.acme.group.dev = r"


class ProviderCase(SynchronousTestCase):
    settings: OidcLoginSection = SETTINGS
    rules = GROUP

    def setUp(self) -> None:
        domain = Domain()
        self.clock = domain.clock
        self.provider = Provider(self.clock.seconds)
        self.web = self.server(domain)
        self.web.publish("acme-1.0-py3-none-any.whl", wheel())
        self.browser = Browser(self.web)

    def server(self, domain: Domain, **settings: Any) -> Web:
        return Web(
            domain=domain,
            policy=policy_of(self.rules),
            issuer=self.provider,
            provider=self.settings,
            **settings,
        )

    def begin(self, next: str = PAGE) -> dict[str, str]:
        """Be sent to the provider, and log in there."""
        answer = self.browser.get(f"/login/oidc?{urlencode({'next': next})}")
        self.assertEqual(answer.status, 303)
        return self.provider.log_in(answer["Location"] or "")

    def finish(self, answer: dict[str, str]) -> Response:
        return self.browser.get(f"{CALLBACK}?{urlencode(answer)}")

    def log_in(self) -> Response:
        return self.finish(self.begin())

    def refused(self, answer: Response, why: str, status: int = 403) -> None:
        self.assertEqual(answer.status, status, answer.text)
        self.assertIn(why, answer.text)
        self.assertIsNone(answer["WWW-Authenticate"])
        self.assertEqual(answer["Cache-Control"], "no-store, private")
        self.assertNotIn("pypicloud", self.browser.cookies)
        self.assertNotIn("pypicloud-oidc", self.browser.cookies, "It is for once.")


class HappyTests(ProviderCase):
    def test_with_the_groups_of_the_provider(self) -> None:
        self.assertEqual(self.browser.get(PAGE).status, 401)
        answer = self.log_in()
        self.assertEqual((answer.status, answer["Location"]), (303, PAGE))
        self.assertEqual(list(self.browser.cookies), ["pypicloud"])
        self.assertEqual(self.browser.get(PAGE).status, 200)
        other = Browser(self.server(self.web.domain.beside()))
        other.cookies.update(self.browser.cookies)
        self.assertEqual(other.get(PAGE).status, 200)
        self.assertEqual(other.get("/api/v1/access/").status, 403, "admin is ours.")

    def test_the_button(self) -> None:
        text = self.browser.get("/login?next=/simple/acme/").text
        self.assertIn('href="/login/oidc?next=/simple/acme/"', text)
        self.assertIn("Log in by your organisation", text)

    def test_the_state_is_in_a_cookie_that_survives_the_redirect(self) -> None:
        self.browser.get("/login/oidc")
        (cookie,) = self.browser.set
        self.assertTrue(cookie.startswith("pypicloud-oidc="))
        end = f"; Path=/; HttpOnly; SameSite=Lax; Max-Age={PATIENCE}"
        self.assertTrue(cookie.endswith(end), cookie)

    def test_records(self) -> None:
        self.log_in()
        (act,) = self.web.records
        self.assertEqual((act.act, act.actor.name), ("logged-in", "dan"))
        details = dict(act.actor.proof.details)
        del details["id"]
        self.assertEqual(
            Proof(act.actor.proof.kind, details),
            Proof("session", {"by": "oidc", "issuer": STAFF, "subject": "0815"}),
        )

    def test_the_client_proves_who_it_is(self) -> None:
        for methods, posts in (
            (None, False),
            (("client_secret_basic", "client_secret_post"), False),
            (("client_secret_post",), True),
        ):
            self.provider = Provider(self.clock.seconds, methods=methods)
            self.browser = Browser(self.server(self.web.domain.beside()))
            self.assertEqual(self.log_in().status, 303)
            ((form, authorization),) = self.provider.posted
            self.assertEqual("client_secret" in form, posts)
            self.assertEqual(authorization is None, posts)

    def test_the_provider_is_asked_once_for_its_documents(self) -> None:
        self.log_in()
        self.provider.fetched.clear()
        self.log_in()
        self.assertEqual(self.provider.fetched, [])

    def test_it_lasts_and_is_renewed(self) -> None:
        self.log_in()
        self.clock.advance(RENEWED_AFTER)
        self.assertEqual(self.browser.get("/").status, 200)
        self.assertEqual(len(self.browser.set), 1)
        self.assertEqual(self.browser.get(PAGE).status, 200)

    def test_it_is_sent_back_to_where_it_came_from(self) -> None:
        proxies = Proxies(public_url="https://pypi.example/py/")
        self.browser = Browser(self.server(self.web.domain.beside(), proxies=proxies))
        self.begin("/py/simple/acme/")
        self.browser.cookies["__Secure-pypicloud-oidc"]
        (asked,) = self.provider._codes.values()
        address = "https://pypi.example/py/login/oidc/callback"
        self.assertEqual(asked["redirect_uri"], address)

    def test_a_long_next_is_left_out(self) -> None:
        """Browsers keep 4 KiB of a cookie."""
        long = "/search?q=" + "%C3%A4" * 256
        answer = self.begin(long)
        self.assertLess(len(self.browser.set[0]), 4096)
        self.assertEqual(self.finish(answer)["Location"], "/")

    def test_next_is_judged_again(self) -> None:
        for evil in ("//evil.example/", "https://evil.example/", "/\\evil"):
            self.assertEqual(self.finish(self.begin(evil))["Location"], "/")

    def test_no_secret_is_in_any_log(self) -> None:
        with capturedLogs() as events:
            answer = self.begin()
            kept = self.browser.cookies["pypicloud-oidc"]
            self.finish(answer)
            self.finish(answer)
        told = "\n".join(map(formatEvent, events)) + repr(self.web.records)
        told += repr(self.web.application.browser) + repr(SETTINGS)
        for secret in (answer["code"], answer["state"], kept, SECRET):
            self.assertNotIn(secret, told)


class PublicClientTests(ProviderCase):
    settings = evolve(SETTINGS, client_secret=None)

    def test_it_has_no_secret(self) -> None:
        self.provider.answers = (400, b"{}")
        self.log_in()
        ((form, authorization),) = self.provider.posted
        self.assertEqual(form["client_id"], CLIENT_ID)
        self.assertIsNone(authorization)


class RefusalTests(ProviderCase):
    def test_another_state(self) -> None:
        for state in ("", "x", "ä"):
            answer = {**self.begin(), "state": state}
            self.refused(self.finish(answer), "not begun in this browser")
        self.assertEqual(self.provider.posted, [])

    def test_another_browser(self) -> None:
        answer = self.begin()
        self.browser = Browser(self.web)
        self.refused(self.finish(answer), "not begun in this browser")

    def test_a_second_time(self) -> None:
        answer = self.begin()
        kept = dict(self.browser.cookies)
        self.assertEqual(self.finish(answer).status, 303)
        self.browser = Browser(self.web)
        self.refused(self.finish(answer), "not begun in this browser")
        self.browser = Browser(self.web, cookies=kept)
        self.refused(self.finish(answer), "as it does not a second time")

    def test_too_late(self) -> None:
        answer = self.begin()
        self.clock.advance(PATIENCE + 1)
        self.refused(self.finish(answer), "taken too long")

    def test_cookies_that_are_none(self) -> None:
        for kept in (
            "x",
            "eHh4",
            "c3RhdGU9eA",
            encoded(b"state=&at=x&next=&nonce=&verifier="),
        ):
            answer = self.begin()
            self.browser.cookies["pypicloud-oidc"] = kept
            self.refused(self.finish(answer), "not begun in this browser")

    def test_without_a_code(self) -> None:
        for code in ("", "x" * 8193):
            answer = {**self.begin(), "code": code}
            self.refused(self.finish(answer), "no code in it")

    def test_the_provider_refuses(self) -> None:
        answer = {"state": self.begin()["state"], "error": "access_denied"}
        self.refused(self.finish(answer), "does not log you in: access_denied.")
        answer = {"state": self.begin()["state"], "error": "<b>"}
        self.refused(self.finish(answer), "does not log you in: an error.")

    def test_answers_of_another_provider(self) -> None:
        answer = {**self.begin(), "iss": "https://evil.example"}
        self.refused(self.finish(answer), "of another provider")
        self.assertEqual(self.provider.posted, [])

    def test_answers_that_should_say_whose_they_are(self) -> None:
        self.provider.names_itself = True
        answer = self.begin()
        self.assertEqual(answer["iss"], STAFF)
        self.assertEqual(self.finish(dict(answer)).status, 303)
        self.browser = Browser(self.web)
        answer = self.begin()
        del answer["iss"]
        self.refused(self.finish(answer), "of another provider")

    def test_tokens(self) -> None:
        now = int(self.clock.seconds())
        for changes, why in (
            ({"nonce": "x"}, "for another log-in"),
            ({"nonce": None}, "for another log-in"),
            ({"nonce": 1}, "for another log-in"),
            ({"aud": "other"}, "for another audience"),
            ({"aud": [CLIENT_ID, "other"]}, "exactly one audience"),
            ({"azp": "other"}, "issued to somebody else"),
            ({"iss": "https://evil.example"}, "of another issuer"),
            ({"exp": now - 100, "iat": now - 200}, "is over"),
            ({"exp": None}, "does not say when"),
            ({"iat": now + 100}, "not valid yet"),
            ({"sub": None}, "of whom it is"),
            ({"preferred_username": None}, "oidc_login.name_claim"),
            ({"preferred_username": "a:b"}, "oidc_login.name_claim"),
            ({"preferred_username": ["dan"]}, "oidc_login.name_claim"),
            ({"preferred_username": "everyone"}, "oidc_login.name_claim"),
        ):
            self.provider.changes = changes
            self.refused(self.log_in(), why)

    def test_signatures(self) -> None:
        for signing, why in (
            ({"key": ec_key("other")}, "signature is wrong"),
            ({"key": rsa_key(), "algorithm": "RS256"}, "not signed in a way"),
            ({"key": "x" * 64, "algorithm": "HS256"}, "not signed in a way"),
            ({"headers": {"kid": "k2"}}, "a key its issuer has not"),
        ):
            self.provider.signing = signing
            self.refused(self.log_in(), why)

    def test_no_signature_at_all(self) -> None:
        claims = encoded(b'{"iss":"%b"}' % STAFF.encode())
        for algorithm in (b"none", b"None", b""):
            header = encoded(b'{"alg":"%b"}' % algorithm)
            for signature in ("", "AA"):
                text = f"{header}.{claims}.{signature}"
                self.provider.answers = (200, b'{"id_token": "%b"}' % text.encode())
                self.refused(self.log_in(), "is not believed")

    def test_answers_that_are_none(self) -> None:
        for status, body, wanted in (
            (200, b"{}", 403),
            (200, b"[]", 403),
            (200, b'{"id_token": 1}', 403),
            (200, b'{"id_token": "x"}', 403),
            (400, b'{"error": "invalid_grant"}', 403),
            (302, b"", 403),
            (500, b"", 503),
        ):
            self.provider.answers = (status, body)
            answer = self.log_in()
            self.refused(answer, "log", wanted)

    def test_the_provider_is_away(self) -> None:
        self.provider.wrong = "It is away."
        answer = self.browser.get("/login/oidc")
        self.refused(answer, "is away: try again", 503)
        self.provider.wrong = None
        self.assertEqual(self.browser.get("/login/oidc").status, 503, "Not at once.")
        self.clock.advance(5)
        begun = self.begin()
        self.provider.wrong = "It is away."
        self.refused(self.finish(begun), "It is away.", 503)

    def test_documents_that_are_wrong(self) -> None:
        good = self.provider.own[self.provider.discovery]
        for changes in (
            {"issuer": "https://evil.example"},
            {"authorization_endpoint": "http://login.corp.example/a"},
            {"authorization_endpoint": "javascript:alert(1)"},
            {"token_endpoint": None},
            {"token_endpoint": "https://a@evil.example/"},
        ):
            self.provider.documents = {self.provider.discovery: {**good, **changes}}
            self.clock.advance(5)
            self.refused(self.browser.get("/login/oidc"), "away", 503)


class NameTests(ProviderCase):
    def add(self, **users: StoredUser) -> None:
        def change(document: AccessDocument) -> AccessDocument:
            return evolve(document, users=users)

        work = Deferred.fromCoroutine(self.web.documents.change(change))
        self.web.domain.settle(work)
        self.successResultOf(work)

    def test_of_users_here_are_theirs(self) -> None:
        self.provider.changes = {"preferred_username": "ann"}
        self.refused(self.log_in(), "There is a user of your name here")
        self.add(dan=StoredUser(HASH, id="1" * 16), eve=StoredUser(id="2" * 16))
        for name in ("dan", "eve"):
            self.provider.changes = {"preferred_username": name}
            self.refused(self.log_in(), "There is a user of your name here")

    def test_whose_name_it_becomes_ends_the_session(self) -> None:
        self.log_in()
        self.assertEqual(self.browser.get(PAGE).status, 200)
        self.add(dan=StoredUser(id="1" * 16))
        self.clock.advance(1)
        self.assertEqual(self.browser.get(PAGE).status, 401)


class ServiceUserTests(NameTests):
    """Where the provider may sign in users who have no password."""

    settings = evolve(SETTINGS, service_accounts=True)

    def test_of_users_here_are_theirs(self) -> None:
        self.add(dan=StoredUser(HASH, id="1" * 16), eve=StoredUser(id="2" * 16))
        for name in ("ann", "dan"):
            self.provider.changes = {"preferred_username": name}
            self.refused(self.log_in(), "There is a user of your name here")
        self.provider.changes = {"preferred_username": "eve"}
        self.assertEqual(self.log_in().status, 303)
        self.assertEqual(self.browser.get(PAGE).status, 200)
        self.add(eve=StoredUser(id="3" * 16))
        self.clock.advance(1)
        self.assertEqual(self.browser.get(PAGE).status, 401)


class AddressNameTests(ProviderCase):
    settings = evolve(SETTINGS, name_claim="email", groups_claim="team")

    def test_only_verified_addresses_count(self) -> None:
        for verified in (None, False, "true", 1):
            self.provider.changes = {"email_verified": verified}
            self.refused(self.log_in(), "has not verified your address")
        self.provider.changes = {"email_verified": True, "team": "dev"}
        self.assertEqual(self.log_in().status, 303)
        self.assertEqual(self.browser.get(PAGE).status, 200)

    def test_groups_that_are_none(self) -> None:
        for groups in (None, 1, {"dev": 1}, [["dev"]]):
            self.provider.changes = {"email_verified": True, "team": groups}
            self.assertEqual(self.log_in().status, 303)
            self.assertEqual(self.browser.get(PAGE).status, 404)


class WithoutProviderTests(SynchronousTestCase):
    def test_there_is_no_such_page(self) -> None:
        browser = Browser(Web())
        for path in ("/login/oidc", CALLBACK):
            self.assertEqual(browser.get(path).status, 404)
        self.assertNotIn("oidc", browser.get("/login").text)
