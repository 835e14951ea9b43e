"""Logging in and out in a browser, over the whole edge."""

from __future__ import annotations

import re

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.document import AccessDocument, StoredUser
from pypicloud_tw.access.sessions.sessions import GRACE, RENEWED_AFTER
from pypicloud_tw.access.sessions.text import read_session
from pypicloud_tw.access.tokens.text import HOUR
from pypicloud_tw.errors import StoreError
from pypicloud_tw.index.audit import Actor, Proof
from pypicloud_tw.web.http.proxies import Proxies
from tests.builders import wheel
from tests.doubles import quick_hash
from tests.web.doubles import (
    FORM_TYPE,
    HASH,
    Domain,
    Web,
    basic,
    upload_form,
)
from tests.web.http.doubles import PEER
from tests.web.pages.browser import OWN_SITE, Browser
from tests.web.pages.doubles import Reader

WHEEL = "acme-1.0-py3-none-any.whl"
PAGE = "/simple/acme/"


def closed(domain: Domain | None = None, **settings: object) -> Web:
    """A server that shows nobody anything."""
    given = {"default_read": "authenticated", **settings}
    return Web(domain=domain or Domain(), **given)  # type: ignore[arg-type]


class LogInCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.web = closed()
        self.other = closed(self.web.domain.beside())
        self.web.publish(WHEEL, wheel())
        self.clock = self.web.domain.clock
        self.browser = Browser(self.web)

    def status(self, browser: Browser | None = None, path: str = PAGE) -> int:
        return (browser or self.browser).get(path).status

    def elsewhere(self, browser: Browser | None = None) -> Browser:
        """The same browser, at the other server."""
        return Browser(self.other, cookies=dict((browser or self.browser).cookies))

    def change(self, web: Web, **users: StoredUser) -> None:
        def change(document: AccessDocument) -> AccessDocument:
            return evolve(document, users=users)

        work = Deferred.fromCoroutine(web.documents.change(change))
        web.domain.settle(work)
        self.successResultOf(work)


class LogInTests(LogInCase):
    def test_by_the_form_on_every_server(self) -> None:
        self.assertEqual(self.status(), 401)
        answer = self.browser.log_in(next=PAGE)
        self.assertEqual((answer.status, answer["Location"]), (303, PAGE))
        self.assertEqual(answer["Cache-Control"], "no-store")
        self.assertEqual(self.status(), 200)
        self.assertEqual(self.status(self.elsewhere()), 200)
        self.assertIn(">ann</a>", self.browser.get("/").text)

    def test_the_cookie(self) -> None:
        self.browser.log_in()
        (cookie,) = self.browser.set
        name, *attributes = cookie.split("; ")
        self.assertTrue(name.startswith("pypicloud=pypi-tws_"), name)
        life = f"Max-Age={12 * HOUR}"
        self.assertEqual(attributes, ["Path=/", "HttpOnly", "SameSite=Lax", life])

    def test_the_page_is_nobodys_to_keep(self) -> None:
        answer = self.browser.get("/login?next=/simple/acme/")
        self.assertEqual(answer["Cache-Control"], "no-store, private")
        self.assertIsNone(answer["ETag"])
        self.assertIn('value="/simple/acme/"', answer.text)
        self.assertIn('autocomplete="current-password"', answer.text)

    def test_a_wrong_password_shows_the_form_again(self) -> None:
        answer = self.browser.log_in(password="wrong")
        self.assertEqual(answer.status, 403)
        self.assertIsNone(answer["WWW-Authenticate"], "No box of the browser's.")
        self.assertEqual(answer["Cache-Control"], "no-store, private")
        self.assertIn("is wrong", answer.text)
        self.assertIn('value="ann"', answer.text)
        self.assertNotIn('wrong"', answer.text)
        self.assertEqual(self.status(), 401)

    def test_what_is_no_log_in(self) -> None:
        for user, password in (
            ("", "secret"),
            ("ann", ""),
            ("ann:x", "secret"),
            ("ann", "sec\0ret"),
            ("a" * 257, "secret"),
            ("ann", "x" * 5000),
            ("nobody", "secret"),
        ):
            answer = self.browser.log_in(user, password)
            self.assertEqual((answer.status, self.browser.set[1:]), (403, []))
            self.assertNotIn("pypicloud", self.browser.cookies)

    def test_too_many_tries(self) -> None:
        statuses = [self.browser.log_in(password=str(n)).status for n in range(12)]
        self.assertEqual({*statuses}, {403, 429})
        answer = self.browser.log_in()
        self.assertEqual(answer.status, 429)
        self.assertIsNotNone(answer["Retry-After"])
        self.assertIn("<form", answer.text)

    def test_a_token_is_for_programs(self) -> None:
        text = self.web.wait(self.web.tokens.make("ann", Actor("ann"), "x")).text
        for user in ("ann", "__token__"):
            answer = self.browser.log_in(user, text)
            self.assertEqual(answer.status, 403)
            self.assertIn("A token is for programs", answer.text)
            self.assertNotIn(text, answer.text)

    def test_where_there_is_no_user(self) -> None:
        browser = Browser(Web(users={}))
        self.assertIn("no user here yet", browser.get("/login").text)
        answer = browser.post("/login", user="ann", password="x")
        self.assertEqual(answer.status, 403)

    def test_the_former_session_ends(self) -> None:
        self.browser.log_in()
        former = self.elsewhere()
        self.browser.log_in()
        self.clock.advance(1)
        self.assertEqual(self.status(), 200)
        self.assertEqual(self.status(former), 401)

    def test_the_store_is_away(self) -> None:
        token = self.browser.token()
        self.web.store.fail_next("put", StoreError("The store is away."))
        answer = self.browser.post("/login", user="ann", password="secret", token=token)
        self.assertEqual(answer.status, 503)
        self.assertIn("The store is away.", answer.text)
        self.assertNotIn("pypicloud", self.browser.cookies)

    def test_records(self) -> None:
        self.browser.log_in()
        shown = read_session(self.browser.cookies["pypicloud"].encode())
        assert shown is not None
        (act,) = self.web.records
        self.assertEqual((act.act, act.actor.name), ("logged-in", "ann"))
        details = {"by": "password", "id": shown.id}
        self.assertEqual(act.actor.proof, Proof("session", details))
        self.assertEqual(act.actor.address, PEER.host)

    def test_no_secret_is_in_any_log(self) -> None:
        with capturedLogs() as events:
            self.browser.log_in(password="hunter2")
            self.browser.log_in()
            self.status()
        told = "\n".join(map(formatEvent, events)) + repr(self.web.records)
        token = self.browser.token()
        for secret in ("hunter2", self.browser.cookies["pypicloud"], token):
            self.assertNotIn(secret, told)


class CountTests(LogInCase):
    def counted(self, name: str) -> dict[str, str]:
        text = self.browser.get("/metrics").text
        return dict(re.findall(rf"^{name}_total(\{{.+\}}) (\S+)$", text, re.M))

    def test_only_who_is_logged_in_has_logged_in(self) -> None:
        self.browser.log_in()
        self.status()
        self.browser.cookies["pypicloud"] = "x"
        self.status()
        logins = self.counted("pypicloud_logins")
        password = '{kind="password",outcome="done"}'
        self.assertEqual(logins[password], "1.0")
        self.assertEqual(logins['{kind="session",outcome="done"}'], "1.0")


class LeadTests(LogInCase):
    """Pages lead to the log-in; only other addresses ask for a password."""

    def test_pages_lead_there_and_back(self) -> None:
        for path in ("/", "/search?q=a+b", "/project/acme/", "/advisories?limit=1"):
            answer = self.browser.get(path)
            self.assertEqual(answer.status, 303, path)
            self.assertIsNone(answer["WWW-Authenticate"])
            shown = Reader(self.browser.get(answer["Location"] or "").body)
            fields = {one["name"]: one.get("value") for one in shown.named("input")}
            self.assertEqual(fields["next"], path)

    def test_so_they_do_with_an_old_cookie(self) -> None:
        self.browser.cookies["pypicloud"] = "x"
        self.assertEqual(self.browser.get("/").status, 303)

    def test_addresses_of_programs_do_not(self) -> None:
        for path in (PAGE, "/simple/", "/packages/", "/api/v1/projects"):
            answer = self.browser.get(path)
            self.assertEqual(answer.status, 401, path)
            self.assertIsNotNone(answer["WWW-Authenticate"])

    def test_nor_do_pages_where_a_password_was_shown(self) -> None:
        self.browser.headers = basic(password="wrong")
        self.assertEqual(self.browser.get("/").status, 401)

    def test_nor_where_nobody_can_log_in_by_the_form(self) -> None:
        web = closed(self.web.domain.beside(), users={})
        self.assertIn(web.get("/").status, (401, 403))


class LogOutTests(LogInCase):
    def setUp(self) -> None:
        super().setUp()
        self.browser.log_in()

    def log_out(self, token: str | None = None) -> int:
        if token is None:
            token = form_token_of(self.browser)
        return self.browser.post("/logout", token=token).status

    def test_everywhere_within_fresh_for(self) -> None:
        elsewhere, kept = self.elsewhere(), self.elsewhere()
        self.assertEqual(self.status(elsewhere), 200)
        self.assertEqual(self.log_out(), 303)
        self.assertNotIn("pypicloud", self.browser.cookies)
        self.clock.advance(1)
        self.assertEqual(self.status(elsewhere), 401)
        kept.web = self.web
        self.assertEqual(self.status(kept), 401)
        acts = [act.act for act in self.web.records]
        self.assertEqual(acts, ["logged-in", "logged-out"])

    def test_it_takes_the_forms_token(self) -> None:
        self.assertEqual(self.log_out("x"), 403)
        self.assertEqual(self.status(), 200)

    def test_it_goes_on_where_the_store_is_away(self) -> None:
        token = form_token_of(self.browser)
        self.web.store.fail_next("put", StoreError("The store is away."))
        self.assertEqual(self.log_out(token), 503)
        self.assertEqual(self.status(), 200)


class OldCookieTests(LogInCase):
    """What a browser still shows, and what is made up."""

    def test_what_all_may_read_is_read(self) -> None:
        web = Web(domain=self.web.domain.beside())
        self.browser.log_in()
        good = self.browser.cookies["pypicloud"]
        bad = [good[:-1], "x", f"{good[:-4]}aaaa", good.upper(), "%00", '"', "a b"]
        for value in bad:
            for path in (PAGE, "/", "/simple/", "/packages/"):
                answer = Browser(web, cookies={"pypicloud": value}).get(path)
                self.assertEqual(answer.status, 200, value)
            old = Browser(self.web, cookies={"pypicloud": value})
            self.assertEqual(self.status(old), 401)

    def test_several_of_the_name_are_nobodys(self) -> None:
        self.browser.log_in()
        good = self.browser.cookies["pypicloud"]
        headers = {"Cookie": f"pypicloud={good}; pypicloud={good}"}
        self.assertEqual(self.web.get(PAGE, headers).status, 401)
        headers = {"Cookie": f"a=b; pypicloud={good}; c"}
        self.assertEqual(self.web.get(PAGE, headers).status, 200)

    def test_an_authorization_field_goes_before_it(self) -> None:
        self.browser.log_in()
        self.browser.headers = basic("ann", "wrong")
        self.assertEqual(self.status(), 401)

    def test_it_ends(self) -> None:
        self.browser.log_in()
        self.clock.advance(12 * HOUR)
        self.assertEqual(self.status(), 401)


class UserTests(LogInCase):
    def setUp(self) -> None:
        super().setUp()
        self.cid = StoredUser(HASH, id="1" * 16)
        self.change(self.web, cid=self.cid)
        self.browser.log_in("cid")
        self.assertEqual(self.status(), 200)

    def later(self) -> list[int]:
        self.clock.advance(1)
        return [self.status(), self.status(self.elsewhere())]

    def test_who_is_removed_is_logged_out_everywhere(self) -> None:
        self.change(self.other)
        self.assertEqual(self.later(), [401, 401])

    def test_so_is_who_is_made_anew(self) -> None:
        self.change(self.other, cid=evolve(self.cid, id="2" * 16))
        self.assertEqual(self.later(), [401, 401])

    def test_so_is_whose_password_is_changed(self) -> None:
        self.change(self.other, cid=evolve(self.cid, hash=quick_hash("another")))
        self.assertEqual(self.later(), [401, 401])

    def test_rights_are_judged_anew(self) -> None:
        self.change(self.other, cid=evolve(self.cid, administrator=True))
        self.clock.advance(1)
        self.assertEqual(self.status(path="/api/v1/access/"), 200)
        self.change(self.other, cid=self.cid)
        self.clock.advance(1)
        self.assertEqual(self.status(path="/api/v1/access/"), 403)


class RenewTests(LogInCase):
    def setUp(self) -> None:
        super().setUp()
        self.browser.log_in()
        self.former = self.elsewhere()
        self.clock.advance(RENEWED_AFTER)

    def test_pages_renew_it(self) -> None:
        before = self.browser.cookies["pypicloud"]
        self.assertEqual(self.browser.get("/").status, 200)
        (cookie,) = self.browser.set
        self.assertIn(f"Max-Age={11 * HOUR}", cookie, "The end stays as it was.")
        self.assertNotEqual(self.browser.cookies["pypicloud"], before)
        self.assertEqual(self.status(), 200)
        self.assertEqual(self.status(self.former), 200, "Requests are under way.")
        self.clock.advance(GRACE)
        self.assertEqual(self.status(), 200)
        self.assertEqual(self.status(self.former), 401)

    def test_what_programs_ask_does_not(self) -> None:
        for path in (PAGE, "/api/v1/projects"):
            self.assertEqual(self.status(path=path), 200)
            self.assertEqual(self.browser.set, [])

    def test_what_a_script_fetches_does_not(self) -> None:
        """It may be broken off, and the new secret lost."""
        self.browser.headers = {"Sec-Fetch-Dest": "empty"}
        self.assertEqual(self.status(path="/search?q=acme"), 200)
        self.assertEqual(self.browser.set, [])
        self.browser.headers = {"Sec-Fetch-Dest": "document"}
        self.assertEqual(self.status(path="/search?q=acme"), 200)
        self.assertEqual(len(self.browser.set), 1)

    def test_an_error_page_does_not_lose_it(self) -> None:
        answer = self.browser.get("/project/nothing/")
        if self.browser.set:
            self.clock.advance(GRACE)
            self.assertEqual(self.status(), 200)
        self.assertEqual(answer.status, 404)


class ChangeTests(LogInCase):
    """The cookie counts for reading, and for the forms of our pages."""

    def test_no_address_of_programs_takes_it(self) -> None:
        self.browser.log_in()
        objects = dict(self.web.store.objects)
        data = wheel("acme", "2.0")
        body = upload_form("acme-2.0-py3-none-any.whl", data, version="2.0")
        cookies = "; ".join(f"{k}={v}" for k, v in self.browser.cookies.items())
        headers = {**OWN_SITE, "Cookie": cookies}
        for path in ("/", "/legacy/", "/simple/", "/pypi/"):
            answer = self.web.request("POST", path, {**headers, **FORM_TYPE}, body)
            self.assertEqual(answer.status, 401, path)
        json = {**headers, "Content-Type": "application/json"}
        for method, path in (
            ("PUT", "/api/v1/projects/acme/releases/1.0/yanked"),
            ("DELETE", "/api/v1/projects/acme"),
            ("POST", "/api/v1/access/tokens"),
            ("PUT", "/api/v1/access/users/eve"),
            ("DELETE", "/api/package/acme/acme-1.0-py3-none-any.whl"),
        ):
            answer = self.web.request(method, path, json, b"{}")
            self.assertEqual(answer.status, 401, path)
        self.assertEqual(self.web.store.objects, objects)

    def test_head_takes_it(self) -> None:
        self.browser.log_in()
        cookies = {"Cookie": f"pypicloud={self.browser.cookies['pypicloud']}"}
        self.assertEqual(self.web.head(PAGE, cookies).status, 200)


class FormTests(LogInCase):
    """A form is for one principal and one browser (CSRF)."""

    def refused(self, browser: Browser, token: str, path: str = "/logout") -> None:
        answer = browser.post(path, user="ann", password="secret", token=token)
        self.assertEqual(answer.status, 403)
        self.assertIn("Reload the page and send the form again", answer.text)

    def test_the_log_in_has_one_too(self) -> None:
        """So that nobody is logged in as somebody else without knowing."""
        others = Browser(self.web)
        token = others.token()
        for browser in (self.browser, Browser(self.web)):
            for shown in (token, "", "x" * 88):
                self.refused(browser, shown, "/login")
            self.assertNotIn("pypicloud", browser.cookies)
        self.browser.token()
        self.refused(self.browser, token, "/login")

    def test_of_a_session(self) -> None:
        self.browser.log_in()
        token = form_token_of(self.browser)
        bob = Browser(self.web)
        bob.log_in()
        for shown in ("", token[:-1], "x" * 88, form_token_of(bob)):
            self.refused(self.browser, shown)
        self.refused(bob, token)
        self.assertEqual((self.status(), self.status(bob)), (200, 200))

    def test_it_stays_good_when_the_session_is_renewed(self) -> None:
        self.browser.log_in()
        token = form_token_of(self.browser)
        self.clock.advance(RENEWED_AFTER)
        self.browser.get("/")
        self.assertEqual(len(self.browser.set), 1)
        self.assertEqual(self.browser.post("/logout", token=token).status, 303)

    def test_other_sites_are_refused_besides(self) -> None:
        self.browser.log_in()
        token = form_token_of(self.browser)
        for path in ("/login", "/logout"):
            for foreign in (
                {"Origin": "https://evil.example"},
                {"Sec-Fetch-Site": "cross-site"},
                {"Sec-Fetch-Site": "same-site"},
            ):
                answer = self.browser.post(path, foreign, token=token)
                self.assertEqual(answer.status, 403)
                self.assertIn("another site", answer.text)


class NextTests(LogInCase):
    EVIL = (
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\\/evil.example",
        "https://evil.example/",
        "https:evil.example",
        "javascript:alert(1)",
        "evil.example",
        "/\tevil",
        "/\r\nSet-Cookie: a=b",
        " /simple/",
        "/simple/ x",
        "/caf\u00e9",
        "",
        "/" + "a" * 3000,
    )

    def test_only_paths_of_this_server(self) -> None:
        for evil in self.EVIL:
            answer = self.browser.log_in(next=evil)
            self.assertEqual((answer.status, answer["Location"]), (303, "/"), evil)
            self.assertNotIn("Set-Cookie: a=b", answer.fields)

    def test_with_what_belongs_to_them(self) -> None:
        for path in ("/", PAGE, "/search?q=a%20b&x=%2F%2F", "/project/a/1.0/#files"):
            self.assertEqual(self.browser.log_in(next=path)["Location"], path)

    def test_below_a_prefix(self) -> None:
        proxies = Proxies(public_url="https://pypi.example/py/")
        browser = Browser(closed(self.web.domain.beside(), proxies=proxies))
        own = {"Origin": "https://pypi.example"}
        for next, place in (
            ("/py/simple/", "/py/simple/"),
            ("/simple/", "/py/"),
            ("/pyx/", "/py/"),
            ("/py/../other/", "/py/"),
            ("/py/.%2E?x", "/py/"),
            ("/py/search?q=/../", "/py/search?q=/../"),
        ):
            token = browser.token()
            answer = browser.post(
                "/login", own, user="ann", password="secret", next=next, token=token
            )
            self.assertEqual((answer.status, answer["Location"]), (303, place))
        self.assertEqual(
            sorted(browser.cookies), ["__Secure-pypicloud", "__Secure-pypicloud-form"]
        )
        self.assertIn("; Path=/py; HttpOnly; SameSite=Lax", browser.set[0])
        self.assertTrue(browser.set[0].endswith("; Secure"))

    def test_by_tls_it_is_this_hosts_alone(self) -> None:
        proxies = Proxies(public_url="https://pypi.example")
        browser = Browser(closed(self.web.domain.beside(), proxies=proxies))
        browser.token()
        self.assertEqual(list(browser.cookies), ["__Host-pypicloud-form"])
        self.assertIn("; Path=/; HttpOnly; SameSite=Strict; Secure", browser.set[0])


def form_token_of(browser: Browser) -> str:
    """Return a token for whoever the browser is logged in as."""
    return browser.token("/logout")
