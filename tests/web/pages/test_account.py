"""The account: who somebody is, their tokens and their password."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import parse_qs, urlsplit

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.document import AccessDocument, StoredUser
from pypicloud_tw.access.principal import Scope
from pypicloud_tw.config.rights import Action
from tests.access.doubles import policy_of
from tests.builders import wheel
from tests.doubles import quick_hash
from tests.web.doubles import HASH, Response, Web, basic, upload_form
from tests.web.pages.browser import OWN_SITE, Browser
from tests.web.pages.doubles import Reader
from tests.web.test_rights import make_token

HERE = "/account/"
TOKENS = f"{HERE}tokens"
SHOWN = re.compile(r"pypi-tw[a-z]_[A-Za-z0-9_-]+")


class AccountCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.web = Web(users={"ann": HASH, "ben": HASH})
        self.browser = Browser(self.web)
        self.browser.log_in()

    def make(
        self, *actions: str, browser: Browser | None = None, **typed: str
    ) -> Response:
        return self.make_of(actions, typed, browser)

    def make_of(
        self,
        actions: Iterable[str],
        typed: Mapping[str, str],
        browser: Browser | None = None,
    ) -> Response:
        browser = browser or self.browser
        given = {"description": "CI of acme", "projects": "", "days": "30", **typed}
        fields = {**browser.fields(HERE, TOKENS), **given}
        ticked = [("actions", action) for action in actions]
        return browser.send(TOKENS, [*fields.items(), *ticked])

    def secret(self, answer: Response) -> str:
        self.assertEqual(answer.status, 200, answer.text)
        found = set(SHOWN.findall(answer.text))
        self.assertEqual(len(found), 1, found)
        token: str = found.pop()
        return token

    def refused(self, answer: Response, status: int, sentence: str) -> None:
        self.assertEqual(answer.status, status, answer.text)
        self.assertIn('role="alert"', answer.text)
        self.assertIn(sentence, answer.text)


class TokenTests(AccountCase):
    def revocable(self, page: Response) -> list[str | None]:
        buttons = Reader(page.body).named("button")
        return [one["value"] for one in buttons if one.get("name") == "id"]

    def test_made_shown_once_and_good(self) -> None:
        answer = self.make("upload", projects="acme, acme-*")
        token = self.secret(answer)
        self.assertEqual(answer["Cache-Control"], "no-store, private")
        for line in (
            f"TWINE_USERNAME=__token__\nTWINE_PASSWORD={token}",
            f"UV_PUBLISH_TOKEN={token}",
        ):
            self.assertIn(line, answer.text)
        self.assertNotIn("PIP_INDEX_URL", answer.text, "It is not for reading.")
        page = self.browser.get(HERE).text
        self.assertNotIn(token, page)
        self.assertIn("CI of acme", page)
        self.assertIn("acme, acme-*", page)
        login = basic("__token__", token)
        form = upload_form("acme-1.0-py3-none-any.whl", wheel())
        self.assertEqual(self.web.post(form, headers=login).status, 200)
        other = upload_form("other-1.0-py3-none-any.whl", wheel("other"), name="other")
        self.assertEqual(self.web.post(other, headers=login).status, 403)

    def test_for_reading(self) -> None:
        answer = self.make("read")
        token = self.secret(answer)
        self.assertIn(
            f"PIP_INDEX_URL=http://__token__:{token}@pypi.example", answer.text
        )
        self.assertNotIn("TWINE_PASSWORD", answer.text)

    def test_for_everything(self) -> None:
        self.secret(self.make(all="yes"))
        self.assertIn("all that you may", self.browser.get(HERE).text)

    def test_revoked(self) -> None:
        login = basic("__token__", self.secret(self.make("read")))
        self.assertEqual(self.web.get("/simple/", login).status, 200)
        revoke = f"{TOKENS}/revoke"
        (id,) = self.revocable(self.browser.get(HERE))
        fields = self.browser.fields(HERE, revoke)
        answer = self.browser.fill(revoke, {**fields, "id": id or ""})
        self.assertEqual(answer.status, 303)
        page = self.browser.get(answer["Location"] or "")
        self.assertIn("The token is revoked", page.text)
        self.assertEqual(self.revocable(page), [])
        self.web.domain.clock.advance(5)
        lost = self.web.get("/api/v1/access/whoami", login)
        self.assertEqual(lost.status, 401)

    def test_only_ones_own(self) -> None:
        ben = Browser(self.web)
        ben.log_in("ben")
        self.secret(self.make("read", browser=ben))
        (token,) = self.web.wait(self.web.tokens.list("ben"))
        self.assertNotIn(token.record.id, self.browser.get(HERE).text)
        self.secret(self.make("read"))
        revoke = f"{TOKENS}/revoke"
        fields = self.browser.fields(HERE, revoke)
        answer = self.browser.fill(revoke, {**fields, "id": token.record.id})
        self.refused(answer, 404, "no such token")
        (token,) = self.web.wait(self.web.tokens.list("ben"))
        self.assertIsNone(token.record.revoked)

    def test_what_cannot_be(self) -> None:
        kept = 'value="CI of acme"'
        cases: tuple[tuple[tuple[str, ...], dict[str, str], str], ...] = (
            ((), {}, "Tick what the token is for"),
            (("fly",), {}, "Tick what the token is for"),
            (("read",), {"days": "0"}, "how many days"),
            (("read",), {"days": "-1"}, "how many days"),
            (("read",), {"days": "\N{DIGIT ONE}\N{SUPERSCRIPT TWO}"}, "how many days"),
            (("read",), {"days": "4000"}, "auth.token_max_life"),
            (("read",), {"projects": "a b/c"}, "list of projects"),
        )
        for actions, typed, sentence in cases:
            answer = self.make_of(actions, typed)
            self.refused(answer, 400, sentence)
            self.assertIn(kept, answer.text)
        self.assertEqual(self.web.wait(self.web.tokens.list("ann")), ())

    def test_not_by_another_sites_page(self) -> None:
        fields = self.browser.fields(HERE, TOKENS)
        given = [*fields.items(), ("actions", "read"), ("days", "3")]
        foreign = {"Origin": "https://evil.example"}
        self.assertEqual(self.browser.send(TOKENS, given, foreign).status, 403)
        given[0] = ("token", "x" * 88)
        self.assertEqual(self.browser.send(TOKENS, given).status, 403)
        self.assertEqual(self.web.wait(self.web.tokens.list("ann")), ())

    def test_long_lists_have_pages(self) -> None:
        for _ in range(52):
            make_token(self.web, "ann", Scope(frozenset({Action.READ})))
        first, second = (self.browser.get(f"{HERE}?page={n}") for n in (1, 2))
        self.assertEqual(len(self.revocable(first)), 50)
        self.assertEqual(len(self.revocable(second)), 2)
        self.assertIn("?page=2", Reader(first.body).links)

    def test_the_links_that_fill_the_form(self) -> None:
        def ticked(path: str) -> list[str | None]:
            page = Reader(self.browser.get(path).body)
            return [one["value"] for one in page.named("input") if "checked" in one]

        self.assertEqual(ticked(f"{HERE}?for=ci&project=acme"), ["upload"])
        self.assertIn('value="acme"', self.browser.get(f"{HERE}?project=acme").text)
        self.assertEqual(ticked(f"{HERE}?for=reading"), ["read"])


class IdentityTests(AccountCase):
    def test_who_and_what(self) -> None:
        rights = "group.dev = ann\npackage.acme-*.group.dev = rw"
        web = Web(policy=policy_of(f"{rights}\npypi.default_read = everyone"))
        browser = Browser(web)
        browser.log_in()
        page = Reader(browser.get(HERE).body)
        self.assertIn("by the form here", page.text)
        self.assertIn("dev", page.text)
        self.assertIn("acme-*", page.text)
        self.assertIn("all others", page.text)
        self.assertIn("/logout", [one.get("action") for one in page.named("form")])

    def test_nobody(self) -> None:
        answer = self.web.get(HERE)
        self.assertEqual(
            (answer.status, answer["Location"]), (303, f"/login?next={HERE}")
        )
        answer = self.web.get("/account")
        self.assertEqual((answer.status, answer["Location"]), (301, "account/"))

    def test_a_form_after_the_session(self) -> None:
        """Its page is led back to: going to the form's own address does nothing."""
        fields = self.browser.fields(HERE, TOKENS)
        self.browser.cookies.clear()
        for page, next in (
            ("http://pypi.example:6543/account/?for=ci", "/account/?for=ci"),
            ("http://pypi.example:6543.evil.example/account/", "/"),
            ("https://evil.example/account/", "/"),
            ("http://pypi.example:6543//evil.example", "/"),
            ("", "/"),
        ):
            given = {**OWN_SITE, "Referer": page}
            answer = self.browser.fill(TOKENS, fields, given)
            self.assertEqual(answer.status, 303, page)
            login = urlsplit(answer["Location"] or "")
            self.assertEqual(login.path, "/login")
            self.assertEqual(parse_qs(login.query), {"next": [next]})

    def test_a_token_makes_no_tokens(self) -> None:
        token = make_token(self.web, "ann", Scope(frozenset({Action.READ})))
        browser = Browser(self.web, headers=basic("__token__", token))
        page = browser.get(HERE)
        self.assertEqual(page.status, 200)
        self.assertIn("The token is for", page.text)
        self.assertNotIn(TOKENS, page.text)
        for path in (TOKENS, f"{TOKENS}/revoke", f"{HERE}password"):
            answer = browser.post(path, token="x", id="0" * 32)
            self.assertEqual(answer.status, 403, path)
            self.assertNotIn("not made for you", answer.text)

    def test_a_password_with_each_request(self) -> None:
        """There is no session that a log-out could end; forms are bound to a cookie."""
        browser = Browser(self.web, headers=basic())
        page = browser.get(HERE).text
        self.assertNotIn("/logout", page)
        self.secret(self.make("read", browser=browser))


class PasswordTests(AccountCase):
    def setUp(self) -> None:
        super().setUp()
        self.web.wait(
            self.web.documents.change(
                lambda _: AccessDocument(
                    users={"eva": StoredUser(quick_hash("old"), administrator=True)}
                )
            )
        )
        self.eva = Browser(self.web)
        self.eva.log_in("eva", "old")

    def set(self, password: str, again: str) -> Response:
        place = f"{HERE}password"
        fields = self.eva.fields(HERE, place)
        return self.eva.fill(place, {**fields, "password": password, "again": again})

    def test_set(self) -> None:
        answer = self.set("new", "new")
        self.assertEqual(answer.status, 303)
        self.assertEqual(answer["Location"], "/login?next=/account/")
        self.web.domain.clock.advance(5)
        self.assertEqual(self.eva.get(HERE).status, 303)
        self.assertEqual(self.eva.log_in("eva", "old").status, 403)
        self.assertEqual(self.eva.log_in("eva", "new").status, 303)

    def test_refused(self) -> None:
        for password, again, sentence in (
            ("new", "other", "not the same"),
            ("", "", "not empty"),
            ("pypi-twu_abc", "pypi-twu_abc", "token"),
        ):
            answer = self.set(password, again)
            self.refused(answer, 400, sentence)
            self.assertNotIn(f'value="{password or "x"}"', answer.text)

    def test_whose_stands_in_the_ini(self) -> None:
        self.assertNotIn(f"{HERE}password", self.browser.get(HERE).text)

    def test_nothing_while_read_only(self) -> None:
        fields = self.eva.fields(HERE, TOKENS)
        access = self.web.application.access
        settings = evolve(access.policy.settings, read_only="We move until noon.")
        access.policy = access.policy.with_settings(settings)
        answer = self.eva.send(TOKENS, [*fields.items(), ("actions", "read")])
        self.assertEqual(answer.status, 403)
        self.assertNotIn("Make the token", self.eva.get(HERE).text)
