"""Who may do what; and no change by order of another site."""

from __future__ import annotations

from typing import Literal

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.cross_site import refuse_cross_site
from pypicloud_tw.access.principal import ANONYMOUS, Principal
from pypicloud_tw.config.rights import Action
from pypicloud_tw.errors import Forbidden, Unauthorized
from pypicloud_tw.index.names import project_name
from tests.builders import simple_policy

ANN = Principal("ann")
PROJECT = project_name("acme")
Readers = Literal["everyone", "authenticated"]


class PolicyTests(SynchronousTestCase):
    def test_where_nothing_is_said_the_known_may_read_and_write(self) -> None:
        readers: tuple[Readers, ...] = ("everyone", "authenticated")
        for default_read in readers:
            policy = simple_policy(default_read, has_users=True)
            for action in (Action.READ, Action.UPLOAD, Action.MANAGE, Action.DELETE):
                for project in (PROJECT, None):
                    policy.check(ANN, action, project)

    def test_everyone_may_read(self) -> None:
        for has_users in (True, False):
            policy = simple_policy("everyone", has_users)
            self.assertTrue(policy.public)
            policy.check(ANONYMOUS, Action.READ, PROJECT)

    def test_reading_wants_a_log_in(self) -> None:
        policy = simple_policy("authenticated", has_users=True)
        self.assertFalse(policy.public)
        with self.assertRaises(Unauthorized) as caught:
            policy.check(ANONYMOUS, Action.READ, PROJECT)
        self.assertIn("to read this index", caught.exception.message)
        self.assertIn("WWW-Authenticate", caught.exception.headers)

    def test_writing_wants_a_log_in(self) -> None:
        with self.assertRaises(Unauthorized) as caught:
            simple_policy(has_users=True).check(ANONYMOUS, Action.UPLOAD, PROJECT)
        self.assertIn("Log in", caught.exception.message)

    def test_nobody_exists(self) -> None:
        with self.assertRaises(Forbidden) as caught:
            simple_policy(has_users=False).check(ANONYMOUS, Action.UPLOAD, PROJECT)
        self.assertIn("Nobody may upload yet", caught.exception.message)
        self.assertIn("pypicloud-gen-password", caught.exception.message)
        with self.assertRaises(Forbidden) as caught:
            simple_policy("authenticated", has_users=False).check(
                ANONYMOUS, Action.READ, PROJECT
            )
        self.assertIn("Nobody may read yet", caught.exception.message)

    @given(st.sampled_from(["everyone", "authenticated"]), st.booleans())
    def test_anonymous_never_writes(
        self, default_read: Readers, has_users: bool
    ) -> None:
        with self.assertRaises((Unauthorized, Forbidden)):
            simple_policy(default_read, has_users).check(
                ANONYMOUS, Action.UPLOAD, PROJECT
            )


class CrossSiteTests(SynchronousTestCase):
    def allowed(
        self,
        origin: str | None = None,
        sec_fetch_site: str | None = None,
        method: str = "POST",
        own_origin: str = "https://pypi.example.com",
    ) -> bool:
        try:
            refuse_cross_site(
                method,
                origin=origin,
                sec_fetch_site=sec_fetch_site,
                own_origin=own_origin,
            )
        except Forbidden as error:
            self.assertIn("another site", error.message)
            return False
        return True

    def test_clients_that_are_no_browsers(self) -> None:
        for method in ("POST", "PUT", "DELETE"):
            self.assertTrue(self.allowed(method=method))

    def test_fetch_metadata(self) -> None:
        for value, allowed in [
            ("same-origin", True),
            ("none", True),
            ("Same-Origin ", True),
            ("same-site", False),
            ("cross-site", False),
            ("", False),
            ("nonsense", False),
        ]:
            self.assertIs(self.allowed(sec_fetch_site=value), allowed, value)

    def test_origin(self) -> None:
        for value, allowed in [
            ("https://pypi.example.com", True),
            ("https://pypi.example.com:443", True),
            ("HTTPS://PyPI.Example.com", True),
            ("http://pypi.example.com", False),
            ("https://pypi.example.com:8443", False),
            ("https://evil.example.com", False),
            ("https://pypi.example.com.evil.com", False),
            ("https://pypi.example.com@evil.com", False),
            ("null", False),
            ("", False),
            ("https://[", False),
            ("https://pypi.example.com:x", False),
        ]:
            self.assertIs(self.allowed(origin=value), allowed, value)

    def test_origin_with_a_port(self) -> None:
        own = "http://127.0.0.1:6543"
        self.assertTrue(self.allowed("http://127.0.0.1:6543", own_origin=own))
        self.assertFalse(self.allowed("http://127.0.0.1", own_origin=own))

    def test_fetch_metadata_goes_before_origin(self) -> None:
        # A proxy may hide our address from us; the browser knows what it asked.
        self.assertTrue(self.allowed("https://seen-outside.example", "same-origin"))
        self.assertFalse(self.allowed("https://pypi.example.com", "cross-site"))

    def test_own_origin_that_is_none_matches_nothing(self) -> None:
        self.assertFalse(self.allowed("null", own_origin="null"))

    def test_reading_is_not_in_question(self) -> None:
        for method in ("GET", "HEAD", "OPTIONS", "get"):
            self.assertTrue(self.allowed("https://evil", "cross-site", method))

    @given(st.text(), st.text())
    def test_any_text_is_judged(self, origin: str, site: str) -> None:
        self.allowed(origin)
        self.allowed(origin, site)
