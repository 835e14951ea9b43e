"""Identity tokens from anybody: what is read of them, and by which keys."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.oidc.compact import LONGEST_TOKEN, read_token
from pypicloud_tw.access.oidc.identity import LONGEST_LIFE, SKEW, Identity, identify
from pypicloud_tw.access.oidc.keys import KeySet, KeysUnusable, read_keys
from pypicloud_tw.access.oidc.refusals import ExchangeRefused, InvalidToken
from pypicloud_tw.access.oidc.strict_json import JsonError, read_object
from tests.access.oidc.doubles import (
    Issuer,
    ec_key,
    ed_key,
    encoded,
    public,
    rsa_key,
    signed,
)

NOW = 1_700_000_000.0
HEADER = b'{"alg":"ES256","kid":"k1"}'


def key_set(*keys: Any) -> KeySet:
    return read_keys(json.dumps({"keys": list(keys)}).encode())


def unsigned(header: bytes) -> str:
    return f"{encoded(header)}.{encoded(b'{}')}.AA"


class TokenTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.issuer = Issuer(lambda: NOW)

    def refused(self, part: str, function: Any, *args: Any) -> None:
        error = self.assertRaises(InvalidToken, function, *args)
        self.assertIn(part, error.message)


class CompactTests(TokenTestCase):
    def test_read(self) -> None:
        token = read_token(self.issuer.token())
        self.assertEqual((token.algorithm, token.key_id), ("ES256", "k1"))
        self.assertEqual(token.issuer, self.issuer.url)
        self.assertNotIn(token.text, repr(token))
        self.assertNotIn("acme", repr(token))

    def test_hostile(self) -> None:
        part = encoded(b"{}")
        deep, deeper = (b'{"a":' + b"[" * n + b"]" * n + b"}" for n in (32, 8000))
        for text, why in (
            ("", "not a JWT"),
            ("a.b", "not a JWT"),
            ("a.b.c.d", "not a JWT"),
            ("a..c", "not a JWT"),
            (f"{part}=.{part}.{part}", "not a JWT"),
            (f"{part}.{part}.\u00e4", "not a JWT"),
            (f"{part} .{part}.{part}", "not a JWT"),
            ("a" * (LONGEST_TOKEN + 1), "longer than"),
            (signed(b"[]", b"{}"), "header is not a JSON object"),
            (signed(b"{", b"{}"), "header is not JSON"),
            (signed(HEADER, b"\xff"), "payload is not JSON"),
            (signed(HEADER, deep), "payload is nested too deep"),
            # Python 3.14 can read it, those before cannot.
            (signed(HEADER, deeper), "payload is n"),
            (signed(HEADER, b'{"a":' + b"9" * 5000 + b"}"), "payload is not JSON"),
            (signed(HEADER, b'{"a":NaN}'), "a number that JSON has not"),
            (signed(HEADER, b'{"iss":"a","iss":"b"}'), "payload has a key twice"),
            (signed(HEADER, b'{"a":{"b":1,"b":2}}'), "payload has a key twice"),
            (signed(b'{"alg":"ES256","alg":"none"}', b"{}"), "header has a key twice"),
            (signed(b'{"alg":["ES256"]}', b"{}"), "something else for alg"),
            (signed(b'{"alg":"ES256","kid":7}', b"{}"), "something else for kid"),
            (signed(b'{"kid":"' + b"k" * 300 + b'"}', b"{}"), "something else for kid"),
            (signed(b'{"alg":"ES256","crit":["x"]}', b"{}"), "not understood"),
            (signed(b'{"alg":"ES256","b64":false}', b"{}"), "not understood"),
        ):
            self.refused(why, read_token, text)

    @given(st.text(max_size=60) | st.binary(max_size=60).map(encoded))
    def test_nothing_else_is_raised(self, text: str) -> None:
        for candidate in (text, f"{text}.{text}.{text}"):
            with contextlib.suppress(ExchangeRefused):
                read_token(candidate)

    @given(st.binary(max_size=40))
    def test_strict_json(self, data: bytes) -> None:
        try:
            found = read_object(data)
        except JsonError:
            return
        self.assertEqual(found, json.loads(data))


class KeyTests(TokenTestCase):
    def verify(self, text: str, *keys: dict[str, Any]) -> None:
        key_set(*keys).verify(read_token(text))

    def test_kinds(self) -> None:
        big = ec.generate_private_key(ec.SECP384R1())
        for key, algorithms in (
            (rsa_key(), ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")),
            (ec_key(), ("ES256",)),
            (big, ("ES384",)),
            (ed_key(), ("EdDSA",)),
        ):
            for algorithm in algorithms:
                text = self.issuer.token(key, algorithm)
                self.verify(text, public(key, "k1"))
                self.verify(text, public(key, "k1", alg=algorithm, use="sig"))

    def test_the_key_says_how(self) -> None:
        """A header cannot choose: no secret, no signature, no other kind."""
        key = public(ec_key(), "k1")
        pem_as_secret = signed(
            b'{"alg":"HS256","kid":"k1"}',
            b"{}",
            json.dumps(key).encode(),
            "HS256",
        )
        for text in (
            pem_as_secret,
            unsigned(b'{"alg":"none","kid":"k1"}'),
            unsigned(b'{"kid":"k1"}'),
            self.issuer.token(rsa_key(), "RS256"),
        ):
            self.refused("not signed in a way", self.verify, text, key)
        by_ps = self.issuer.token(rsa_key(), "PS256")
        only_rs = public(rsa_key(), "k1", alg="RS256")
        self.refused("not signed in a way", self.verify, by_ps, only_rs)

    def test_wrong(self) -> None:
        key = public(ec_key(), "k1")
        header, payload, signature = self.issuer.token().split(".")
        other = self.issuer.token().split(".")[1]
        for text in (
            f"{header}.{other}.{signature}",
            f"{header}.{payload}.AAAA",
            self.issuer.token(ec_key("second")),
        ):
            self.refused("signature is wrong", self.verify, text, key)
        self.refused(
            "key its issuer has not",
            self.verify,
            self.issuer.token(headers={"kid": "k2"}),
            key,
        )

    def test_without_a_key_id(self) -> None:
        text = self.issuer.token(headers={})
        first, second = public(ec_key(), "k1"), public(ec_key("second"), "k2")
        self.verify(text, first)
        self.verify(text, first, public(rsa_key(), "k3"))
        self.refused("which key", self.verify, text, first, second)
        twice = public(ec_key("second"), "k1")
        self.refused("which key", self.verify, self.issuer.token(), first, twice)

    def test_no_keys(self) -> None:
        for document, why in (
            (b"", "is not JSON"),
            (b"[]", "is not a JSON object"),
            (b'{"keys":{}}', "not a list"),
            (b'{"keys":[]}', "no key"),
            (json.dumps({"keys": [public(ec_key(), "k")] * 65}).encode(), "up to 64"),
        ):
            error = self.assertRaises(KeysUnusable, read_keys, document)
            self.assertIn(why, str(error))

    def test_keys_of_no_use(self) -> None:
        good = public(rsa_key(), "k1")
        for key in (
            {"kty": "oct", "k": "c2VjcmV0", "kid": "k1"},
            public(rsa_key(1024), "k1"),
            good | {"n": encoded(b"\xff" * 1025)},
            good | {"e": encoded(b"\x01" + b"\x00" * 7 + b"\x01")},
            good | {"n": 5},
            good | {"n": "!"},
            good | {"use": "enc"},
            good | {"alg": "HS256"},
            good | {"alg": ["RS256"]},
            good | {"kty": ["RSA"]},
            good | {"kid": 1},
            public(ec_key(), "k1") | {"crv": "secp256k1"},
            public(ec_key(), "k1") | {"x": encoded(b"1" * 32)},
            {"kid": "k1"},
            "key",
        ):
            error = self.assertRaises(KeysUnusable, key_set, key)
            self.assertIn("no key", str(error), key)

    def test_a_private_key_is_taken_for_its_public_half(self) -> None:
        """An issuer that publishes too much."""
        private = public(ec_key(), "k1") | {"d": "AAAA"}
        self.verify(self.issuer.token(), private)


class IdentityTests(TokenTestCase):
    def identify(self, now: float = NOW, **changes: Any) -> Identity:
        return identify(read_token(self.issuer.token(**changes)), now)

    def test_claims(self) -> None:
        found = self.identify(a=1, b=True, c=["x"], d=None, e="x" * 1025, f="a\nb")
        self.assertEqual(found.issuer, self.issuer.url)
        self.assertEqual(found.end, NOW + 300)
        self.assertEqual(found.claims["repository"], "acme/tool")
        self.assertEqual((found.claims["a"], found.claims["b"]), ("1", "true"))
        self.assertEqual(found.claims["aud"], "pypicloud")
        for name in ("c", "d", "e", "f", "jti", "exp", "iat", "nbf"):
            self.assertNotIn(name, found.claims)

    def test_times(self) -> None:
        accepted: tuple[dict[str, Any], ...] = (
            {"exp": NOW - SKEW + 1},
            {"iat": NOW + SKEW, "nbf": NOW + SKEW, "exp": NOW + 300},
            {"nbf": None},
            {"exp": NOW + 300.5},
            {"iat": NOW, "exp": NOW + LONGEST_LIFE},
        )
        for changes in accepted:
            changes = {"iat": NOW - 600, **changes}
            self.assertEqual(self.identify(**changes).issuer, self.issuer.url)

    def test_wrong_times(self) -> None:
        for changes, why in (
            ({"exp": NOW - SKEW}, "is over"),
            ({"nbf": NOW + SKEW + 1}, "not valid yet"),
            ({"iat": NOW + SKEW + 1}, "not valid yet"),
            ({"exp": NOW + LONGEST_LIFE + 1}, "more than 24 hours"),
            ({"iat": NOW, "exp": NOW - 1}, "more than 24 hours"),
            ({"exp": None}, "does not say when"),
            ({"iat": None}, "does not say when"),
            ({"exp": "tomorrow"}, "else than a time for exp"),
            ({"exp": True}, "else than a time for exp"),
            ({"exp": 10**30}, "no time of this world"),
            ({"iat": -1}, "no time of this world"),
        ):
            with self.assertRaises(InvalidToken) as raised:
                self.identify(**changes)
            self.assertIn(why, raised.exception.message)

    def test_audiences(self) -> None:
        self.assertEqual(self.identify(aud=["x"]).claims["aud"], "x")
        for audience in (None, [], ["pypicloud", "other"], 5, [5], {"a": 1}):
            with self.assertRaises(InvalidToken) as raised:
                self.identify(aud=audience)
            self.assertIn("exactly one audience", raised.exception.message)

    def test_an_audience_that_cannot_be_shown(self) -> None:
        """It goes into records, as every other claim does."""
        for audience in ("pypi\ncloud", "\x1b[31m", "\u202e", "x" * 1025):
            token = read_token(self.issuer.token(aud=audience))
            self.refused("printable", identify, token, NOW)

    def test_text_that_nobody_can_write(self) -> None:
        """JSON can name halves of characters (RFC 7493, section 2.1)."""
        for claim in ("aud", "jti", "sub", "x\ud800"):
            for text in ("\ud800", "a\udfffb"):
                payload = json.dumps(self.issuer.claims(**{claim: text})).encode()
                self.refused("half a character", read_token, signed(HEADER, payload))
        whole = json.dumps(self.issuer.claims(sub="\U0001f600")).encode()
        self.assertEqual(read_token(signed(HEADER, whole)).claims["sub"], "\U0001f600")

    def test_bounds(self) -> None:
        many: dict[str, Any] = {f"c{n}": "x" for n in range(200)}
        long: dict[str, Any] = {f"c{n}": "x" * 1000 for n in range(17)}
        for changes, why in (
            (many, "more than 200 claims"),
            (long, "more than 16384 bytes"),
        ):
            with self.assertRaises(InvalidToken) as raised:
                self.identify(**changes)
            self.assertIn(why, raised.exception.message)

    def test_what_makes_it_one(self) -> None:
        self.assertEqual(self.identify(jti="one").once, "one")
        text = self.issuer.token(jti=None)
        header, payload, _ = text.split(".")
        other = f"{header}.{payload}.{encoded(b'another way to sign it')}"
        once = identify(read_token(text), NOW).once
        self.assertEqual(identify(read_token(other), NOW).once, once)
        self.assertNotEqual(self.identify(jti=None, a="x").once, once)
        for odd in ("", 5, "x" * 1025):
            self.assertTrue(self.identify(jti=odd).once.startswith("sha256:"))
