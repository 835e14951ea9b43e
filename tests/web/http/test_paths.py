"""One address has one spelling."""

from __future__ import annotations

from urllib.parse import quote, unquote_to_bytes

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.web.http.paths import is_canonical


def judge(path: bytes) -> bool:
    return is_canonical(path, [unquote_to_bytes(s) for s in path[1:].split(b"/")])


class CanonicalTests(SynchronousTestCase):
    def test_canonical(self) -> None:
        for path in (
            b"/",
            b"/simple/",
            b"/simple/acme",
            b"/packages/a/0/a-1.0+local.1-py3-none-any.whl.metadata",
            b"/packages/a/0/a-1%210.0%2Blocal%7E1.tar.gz",
            b"/packages/a/0/a%2D1%2E0%5F1.tar.gz",
            b"/simple/.../",
            b"/simple/%C3%A4/",
            b"/simple/a;b=c/",
            b"/simple/%zz/",
        ):
            with self.subTest(path=path):
                self.assertTrue(judge(path))

    def test_other_spellings(self) -> None:
        for path in (
            b"//",
            b"//metrics",
            b"///metrics",
            b"/simple//acme/",
            b"/simple/acme//",
            b"/./metrics",
            b"/x/../metrics",
            b"/metrics/.",
            b"/simple/..",
            b"/%2e/metrics",
            b"/x/%2E%2e/metrics",
            b"/x/.%2e/metrics",
            b"/%2Fmetrics",
            b"/%2fmetrics",
            b"/simple%2Facme/",
            b"/x\\..\\metrics",
            b"/%5Cmetrics",
            b"/%6detrics",
            b"/%6Detrics",
            b"/metric%73",
            b"/simple/%41cme/",
            b"/simple/acme%31/",
            b"/metrics%00",
            b"/metrics%0a",
            b"/metrics%0D%0A",
        ):
            with self.subTest(path=path):
                self.assertFalse(judge(path))

    @given(st.lists(st.text(min_size=1, max_size=8), max_size=4), st.data())
    def test_one_letter_encoded(self, names: list[str], data: st.DataObject) -> None:
        """No encoding of an ASCII letter or digit is another way in."""
        path = "/" + "/".join([*(quote(n, safe="") for n in names), "metrics"])
        at = data.draw(st.integers(len(path) - 7, len(path) - 1))
        other = f"{path[:at]}%{ord(path[at]):02x}{path[at + 1 :]}"
        self.assertFalse(judge(other.encode()))
