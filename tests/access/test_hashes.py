"""Old hashes verify, new ones are argon2id, and no password raises."""

from __future__ import annotations

from functools import partial
from typing import Any

from bcrypt import gensalt, hashpw
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access import hashes
from pypicloud_tw.config.hashes import SCHEMES, identify, make_context
from tests.measures import least_cost

#: Hashes of "secret" as other programs wrote them, of little cost.
SECRET = {
    "argon2": "$argon2id$v=19$m=64,t=1,p=1$Wqv1fq/13rvXulcqJcQ4pw"
    "$aMn/bKcZZ37Zfx08CutLNBQtwUTCgR1DHWtG6XhxD5Y",
    "bcrypt": "$2b$04$VwRvJTHC3b1.BD.e7l9FOOF/T/NlpF8x.1Ux8SsPoEetLdZhS7IDS",
    "sha512_crypt": "$6$rounds=1000$ZKQP18MTaoYPO2X5"
    "$AAg9pPfGK2IIapTre23KPiAdx18R6myMFuaR1LVvttVINaopqeGIEoj294IHJRAbjg45s8tyVIQh"
    "sqMTNIfN.1",
    "sha256_crypt": "$5$rounds=1000$7bcnI.GybePlPkDJ"
    "$nRo1ASD/aYpMF45FZYdmXt6ZjSAa1NUYHhBNUzKlEu8",
    "pbkdf2_sha512": "$pbkdf2-sha512$1000$vZcyZgxhjFHKeW.tNQZgTA"
    "$mJYC9mhm1tToRiFIDgQtOKtle3Mu4CT.vizLUn6LNiMtdrj3XrqAqOCzx.vUiLhNSY3vHIeiQqrFr"
    "E9KvzpIog",
    "pbkdf2_sha256": "$pbkdf2-sha256$1000$r5XyvjfGGMNYq7UWQqiV8g"
    "$zeWwRzjoHqwYC0G.6sgkLjZ0ExdegeZPGnESeiJfUSs",
}


def cost(password: str, text: str) -> float:
    """Processor time of a check that fails, in seconds."""
    assert not hashes.verify(password, text)
    return least_cost(partial(hashes.verify, password, text), 3)


class VerifyTests(SynchronousTestCase):
    def test_every_scheme(self) -> None:
        self.assertEqual(set(SECRET), set(SCHEMES))
        for scheme, text in SECRET.items():
            self.assertEqual(identify(text), scheme)
            self.assertTrue(hashes.verify("secret", text), scheme)
            self.assertFalse(hashes.verify("Secret", text), scheme)

    def test_other_programs_bcrypt(self) -> None:
        for ident in ("$2a$", "$2y$"):
            text = SECRET["bcrypt"].replace("$2b$", ident)
            self.assertEqual(identify(text), "bcrypt")
            self.assertTrue(hashes.verify("secret", text))

    def test_password_that_a_scheme_cannot_take_is_wrong(self) -> None:
        # bcrypt 5 raises over 72 bytes; crypt's schemes for NUL; all for the rest.
        for password in ("x" * 73, "é" * 37, "a\0b", "\ud800", "x" * 5000, ""):
            for scheme, text in SECRET.items():
                self.assertIs(hashes.verify(password, text), False, scheme)

    def test_longest_bcrypt_password(self) -> None:
        text = hashpw(b"x" * 72, gensalt(4)).decode()
        self.assertTrue(hashes.verify("x" * 72, text))
        self.assertFalse(hashes.verify("x" * 73, text))

    def test_what_cannot_be_right_takes_as_long(self) -> None:
        """An answer at once would tell what kind of hash a user has."""
        handler = make_context().handler("sha256_crypt").using(rounds=100_000)
        for scheme, text in (
            ("bcrypt", hashpw(b"x", gensalt(9)).decode()),
            ("sha256_crypt", handler.hash("x")),
        ):
            usual = cost("y" * 10, text)
            for password in ("y" * 73, "y" * 3000, "y" * 5000, "a\0b", "\ud800"):
                with self.subTest(scheme=scheme, length=len(password)):
                    self.assertGreater(cost(password, text), usual / 3)
                    self.assertLess(cost(password, text), usual * 3)

    def test_longest_crypt_password(self) -> None:
        for scheme in ("sha256_crypt", "sha512_crypt"):
            handler = make_context().handler(scheme).using(rounds=1000)
            longest = "é" * 255 + "x"
            self.assertTrue(hashes.verify(longest, handler.hash(longest)))
            self.assertFalse(hashes.verify("x" * 512, handler.hash("x" * 512)))

    @settings(max_examples=60, deadline=None)
    @given(st.text(), st.sampled_from(sorted(SECRET)))
    def test_no_password_raises(self, password: str, scheme: str) -> None:
        right = hashes.verify(password, SECRET[scheme])
        self.assertEqual(right, password == "secret")

    def test_malformed_hash_tells_no_hash(self) -> None:
        with self.assertRaises(hashes.HashingError) as caught:
            hashes.verify("secret", "$5$rounds=1000$abc")
        self.assertIn("malformed", str(caught.exception))
        self.assertNotIn("abc", str(caught.exception))

    def test_hash_that_cannot_be_computed_tells_no_hash(self) -> None:
        # More memory than there is: argon2 reports it, and passlib quotes the hash.
        text = SECRET["argon2"].replace("m=64", "m=4194304")
        self.assertEqual(identify(text), "argon2")
        context: Any = _Failing(text)
        with self.assertRaises(hashes.HashingError) as caught:
            hashes.compute(context, "argon2", "secret", text)
        self.assertIn("argon2", str(caught.exception))
        self.assertNotIn("aMn/", str(caught.exception))
        self.assertTrue(caught.exception.__suppress_context__)


class _Failing:
    def __init__(self, text: str) -> None:
        self.text = text

    def verify(self, password: str, text: str) -> bool:
        raise ValueError(f"malformed argon2 hash ({text!r})")


class IdentifyTests(SynchronousTestCase):
    def test_what_cannot_be_verified(self) -> None:
        for text in [
            "",
            "plain",
            "é",
            "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=",
            "$1$abc$" + "." * 22,
            "$2$04$" + "." * 53,
            "$2x$04$" + "." * 53,
            "$2b$04$" + "." * 52,
            "$2b$18$" + "." * 53,
            "$5$rounds=10000001$salt$" + "." * 43,
            "$argon2id$v=19$m=64,t=101,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA",
            "$5$abc",
            "$5$rounds=1$a$" + "." * 43,
            "$5$rounds=5000$saltsaltsaltsaltsalt$" + "." * 43,
            "$6$a$",
            "$pbkdf2-sha512$25000$N4aQ$",
            "$pbkdf2-sha512$0$N4aQ$" + "." * 86,
            "$argon2id$",
            "$argon2id$v=19$m=4,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA",
            "$argon2id$v=19$m=64,t=0,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA",
            "$argon2id$v=99$m=64,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA",
            "$argon2id$v=19$m=99999999999,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA",
            "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHR$aGFzaGhhc2hoYXNoaGFzaB",
            "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$aG",
            "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ",
        ]:
            self.assertIsNone(identify(text), text)

    @settings(max_examples=300, deadline=None)
    @given(
        st.sampled_from(sorted(SECRET.values())),
        st.integers(0, 150),
        st.text("$=,aA0./é\n", max_size=3),
    )
    def test_damage_is_told_or_harmless(self, text: str, at: int, put: str) -> None:
        damaged = text[:at] + put + text[at + 1 :]
        scheme = identify(damaged)
        # A digit more may have made it a minute's work.
        if scheme == "argon2" and not put.isdigit() and "m=64," in damaged:
            hashes.verify("other", damaged)


class HashPasswordTests(SynchronousTestCase):
    def test_argon2id(self) -> None:
        text = hashes.hash_password("correct horse")
        self.assertTrue(text.startswith("$argon2id$v=19$m=19456,t=2,p=1$"))
        self.assertTrue(hashes.verify("correct horse", text))
        self.assertNotEqual(text, hashes.hash_password("correct horse"))

    def test_password_that_nobody_could_send(self) -> None:
        """RFC 7617, section 2: the server refuses it in any log-in."""
        for password in ("a\0b", "a\tb", "a\x7f"):
            with self.assertRaises(ValueError) as caught:
                hashes.hash_password(password)
            self.assertIn("no control characters", str(caught.exception))

    def test_impossible_password(self) -> None:
        for password in ("x" * 5000, "\ud800"):
            with self.assertRaises(ValueError) as caught:
                hashes.hash_password(password)
            self.assertIn("at most 4096 characters", str(caught.exception))
