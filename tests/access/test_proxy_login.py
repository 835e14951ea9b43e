"""Whom a proxy in front names."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.principal import Credentials, Principal
from pypicloud_tw.access.proxy_login import PROXY, ProxyLogin
from pypicloud_tw.errors import Unauthorized


def named(user: bytes, groups: bytes | None = None) -> Credentials:
    """Make what a request brings."""
    return Credentials(None, "192.0.2.1", user, groups)


class ProxyLoginTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.login = ProxyLogin()

    def test_takes(self) -> None:
        self.assertTrue(self.login.takes(named(b"ann")))
        self.assertFalse(self.login.takes(Credentials(None, "192.0.2.1")))
        self.assertIsNone(self.login.recall(Credentials(None, "192.0.2.1")))

    def test_at_once(self) -> None:
        ann = Principal("ann", proof=PROXY)
        self.assertEqual(self.login.recall(named(b"ann")), ann)
        result = Deferred.fromCoroutine(self.login.authenticate(named(b"ann")))
        self.assertEqual(self.successResultOf(result), ann)
        self.assertEqual(ann.proof.kind, "proxy")

    def test_groups(self) -> None:
        cases = {
            b"dev,ops": {"dev", "ops"},
            b"dev | my team": {"dev", "my team"},
            b",, |": set(),
            b"role:admin, everyone, Authenticated": {"role:admin"},
            b"d\xc3\xa4v": {"däv"},
            b"d\xe4v": {"däv"},
            b"x" * 300: set(),
        }
        for text, groups in cases.items():
            principal = self.login.recall(named(b"ann", text))
            assert principal is not None
            self.assertEqual(principal.groups, groups, text)
            self.assertFalse(principal.administrator)

    def test_no_group_of_theirs_means_ours(self) -> None:
        for groups in (b"admin,dev", b"Admin|everyone,dev,AUTHENTICATED"):
            principal = self.login.recall(named(b"bob", groups))
            assert principal is not None
            self.assertEqual(principal.groups, {"dev"})

    def test_groups_are_bounded(self) -> None:
        many = b",".join(b"g%d" % n for n in range(3000))
        with capturedLogs() as logs:
            principal = self.login.recall(named(b"ann", many))
        assert principal is not None
        self.assertEqual(len(principal.groups), 1000)
        self.assertIn("in 3000 groups", formatEvent(logs[0]) or "")

    def test_names_that_cannot_be(self) -> None:
        for name in (b"a:b", b"everyone", b" ", b"a\x1bb", b"x" * 257, b"\xff\0"):
            with capturedLogs() as logs, self.assertRaises(Unauthorized):
                self.login.recall(named(name))
            self.assertIn("The proxy in front names a user", formatEvent(logs[0]) or "")

    @given(st.binary(max_size=50), st.binary(max_size=50))
    def test_any_bytes(self, user: bytes, groups: bytes) -> None:
        try:
            principal = self.login.recall(named(user, groups))
        except Unauthorized:
            return
        assert principal is not None and principal.name is not None
        self.assertNotIn(":", principal.name)
        self.assertFalse(any("," in group for group in principal.groups))
