"""A server whose administration is used with a browser."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from attrs import define, field
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.document import AccessDocument
from tests.web.api.doubles import AccessWeb
from tests.web.doubles import HASH, Response, Web
from tests.web.pages.browser import OWN_SITE, Browser
from tests.web.pages.doubles import Reader

USERS = dict.fromkeys(("ann", "bob", "carol"), HASH)

_FORM = {"Content-Type": "application/x-www-form-urlencoded", **OWN_SITE}


@define(eq=False)
class Admin(Browser):
    """A browser that sends the forms of the administration.

    :ivar page: the last page that it was shown.
    """

    page: Reader | None = field(default=None, init=False)

    def submit(
        self, path: str, fields: Mapping[str, Any], token: str | None = None
    ) -> Response:
        """Send a form with the token of the page that it is on.

        :param fields: texts, or lists of them.
        """
        if token is None:
            tokens = [
                one["value"]
                for one in Reader(self.get(path).body).named("input")
                if one.get("name") == "token"
            ]
            token = tokens[0] or ""
        body = urlencode({**fields, "token": token}, doseq=True).encode()
        return self._ask("POST", path, _FORM, body)


class AdminCase(SynchronousTestCase):
    """Has ann, who administers everything, log in."""

    def setUp(self) -> None:
        self.web = self.make_web()
        self.web.domain.publisher.audit = self.web.records.append
        self.ann = self.logged_in("ann")

    def make_web(self) -> Web:
        return AccessWeb(users=USERS)

    def logged_in(self, user: str) -> Admin:
        browser = Admin(self.web)
        self.assertEqual(browser.log_in(user).status, 303)
        return browser

    @property
    def document(self) -> AccessDocument:
        """What administrators have set."""
        return self.web.application.access.policy.document

    def read(self, path: str, browser: Admin | None = None) -> Reader:
        """Return a page, which must be there."""
        response = (browser or self.ann).get(path)
        self.assertEqual(response.status, 200, (path, response.text))
        self.assertEqual(response["Cache-Control"], "no-store, private")
        return Reader(response.body)

    def done(
        self,
        path: str,
        fields: Mapping[str, Any],
        browser: Admin | None = None,
    ) -> Reader:
        """Send a form, and return the page that it leads to."""
        response = (browser or self.ann).submit(path, fields)
        self.assertEqual(response.status, 303, response.text)
        return self.read(response["Location"] or "", browser)

    def refused(
        self,
        status: int,
        path: str,
        fields: Mapping[str, Any],
        browser: Admin | None = None,
        token: str | None = None,
    ) -> Reader:
        """Send a form that is refused, and return the page that says why."""
        response = (browser or self.ann).submit(path, fields, token)
        self.assertEqual(response.status, status, response.text)
        return Reader(response.body)
