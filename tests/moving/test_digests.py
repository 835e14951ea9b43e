"""Whether bytes are those that were spoken of."""

from __future__ import annotations

import hashlib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.moving.digests import Check, OtherBytes, known

ALGORITHMS = ("md5", "sha1", "sha256", "sha384", "sha512", "sha3_256", "blake2b")


def digest(name: str, data: bytes) -> str:
    state: Any = hashlib.new(name, data, usedforsecurity=False)
    return str(state.hexdigest())


class DigestTests(SynchronousTestCase):
    @given(
        st.lists(st.binary(max_size=50), max_size=5),
        st.sets(st.sampled_from(ALGORITHMS)),
        st.sampled_from(ALGORITHMS) | st.none(),
    )
    def test_right_is_right_and_wrong_is_wrong(
        self, pieces: list[bytes], said: set[str], wrong: str | None
    ) -> None:
        data = b"".join(pieces)
        digests = {name: digest(name, data) for name in said}
        if wrong is not None:
            digests[wrong] = digest(wrong, data + b"x").upper()
        check = Check("acme", digests, len(data))
        for piece in pieces:
            check.update(piece)
        if wrong is None:
            check.finish()
        else:
            self.assertRaises(OtherBytes, check.finish)

    def test_other_spellings(self) -> None:
        said = {"SHA-256": "AB", "blake2_256": "cd", "rot13": "ef"}
        self.assertEqual(known(said), {"sha256": "ab", "blake2b_256": "cd"})
        data = hashlib.blake2b(b"a", digest_size=32).hexdigest()
        check = Check("acme", {"blake2-256": "", "blake2b-256": data})
        check.update(b"a")
        check.finish()

    def test_lengths(self) -> None:
        check = Check("acme", {}, size=3)
        check.update(b"ab")
        self.assertRaises(OtherBytes, check.finish)
        self.assertRaises(OtherBytes, check.update, b"cd")
        self.assertRaises(OtherBytes, Check("acme", {}, limit=1).update, b"ab")
