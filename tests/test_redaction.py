"""Secrets are blotted out of any text, and what is none stays."""

from __future__ import annotations

import base64

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.redaction import redacted

BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


def jwt(*parts: str) -> str:
    return ".".join(
        base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts
    )


class RedactionTests(SynchronousTestCase):
    def test_what_is_none_stays(self) -> None:
        for text in (
            'pip/26.3 {"ci":null,"implementation":{"name":"CPython"},"cpu":"x86_64"}',
            "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
            "twine/7.0.0 keyring/25 id/1.5 CPython/3.13",
            "the basic tests failed, a==b",
            "repo:acme/tool:ref:refs/tags/v1",
            "https://example.com/acme/tool/.github/workflows/x.yml@refs/heads/main",
            "pypi-twine-extras",
            "pypi-attestations-of-a-long-name",
            "ann@example.com",
            "",
        ):
            self.assertEqual(redacted(text), text)

    def test_known_shapes(self) -> None:
        for text, shown in (
            ("x pypi-twm_ABCD2345 y", "x *** y"),
            ("/simple/pypi-twu-abcd2345/", "/simple/***/"),
            ("pypi-AgEIcHlwaS5vcmcCJDAwMDAwMDAw", "***"),
            ("curl -u ann:pw Basic YW5uOnB3", "curl -u ann:pw ***"),
            ("Authorization: Bearer abcdefgh1234", "Authorization: ***"),
            ("$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA", "***"),
            ("$6$rounds=5000$salt$hash!", "***"),
            ("https://ann:pw@host/x", "https://***@host/x"),
            ("(+https://?:pw/@host) x", "(+https://***@host) x"),
            ("/f?X-Amz-Signature=abc&x=1", "/f?X-Amz-Signature=***&x=1"),
            (jwt('{"alg":"RS256"}', '{"iss":"x"}', "signature"), "***"),
        ):
            self.assertEqual(redacted(text), shown)

    @given(
        st.text("xyz &=%/:@_-", max_size=30),
        st.text(BASE32, min_size=8, max_size=60),
        st.text("xyz &=%/:@_-", max_size=30),
    )
    def test_tokens(self, before: str, secret: str, after: str) -> None:
        for kind in ("twu", "twm"):
            self.assertNotIn(secret, redacted(f"{before}pypi-{kind}_{secret}{after}"))

    @given(st.text(min_size=1), st.text(min_size=1), st.text(max_size=20))
    def test_logins(self, user: str, password: str, after: str) -> None:
        word = base64.b64encode(f"{user}:{password}".encode("utf-8", "replace"))
        shown = redacted(f"x/1 Basic {word.decode()} {after}")
        self.assertNotIn(f"Basic {word.decode()}", shown)

    @given(st.text(), st.text())
    def test_any_text(self, one: str, other: str) -> None:
        redacted(one + other).encode()
