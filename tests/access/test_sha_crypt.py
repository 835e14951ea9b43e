"""SHA-crypt by its specification's own examples, and by its steps done as written."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access import sha_crypt

LONG = (
    b"a very much longer text to encrypt.  This one even stretches over morethan one "
    b"line."
)


def rounds_as_written(
    make: Callable[[bytes], Any], digest: bytes, p: bytes, s: bytes, rounds: int
) -> bytes:
    """Do step 21 of the specification one round at a time."""
    for i in range(rounds):
        text = p if i % 2 else digest
        text += s if i % 3 else b""
        text += p if i % 7 else b""
        digest = make(text + (digest if i % 2 else p)).digest()
    return digest


class ShaCryptTests(SynchronousTestCase):
    def test_sha512_examples(self) -> None:
        self.assertEqual(
            sha_crypt.sha512_crypt(b"Hello world!", b"saltstring", 5000),
            "svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbY"
            "EdFCoEOfaS35inz1",
        )
        self.assertEqual(
            sha_crypt.sha512_crypt(LONG, b"anotherlongsalts", 1400),
            "POfYwTEok97VWcjxIiSOjiykti.o/pQs.wPvMxQ6Fm7I6IoYN3CmLs66x9t0oSwbtEW7o7"
            "UmJEiDwGqd8p4ur1",
        )

    def test_sha256_examples(self) -> None:
        self.assertEqual(
            sha_crypt.sha256_crypt(b"Hello world!", b"saltstring", 5000),
            "5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5",
        )
        self.assertEqual(
            sha_crypt.sha256_crypt(LONG, b"anotherlongsalts", 1400),
            "Rx.j8H.h8HjEDGomFU8bDkXm3XIUnzyxf12oP84Bnq1",
        )

    @settings(max_examples=50, deadline=None)
    @given(st.binary(max_size=70), st.binary(max_size=16), st.integers(0, 200))
    def test_rounds_are_those_that_are_written(
        self, p: bytes, s: bytes, rounds: int
    ) -> None:
        for make in (hashlib.sha256, hashlib.sha512):
            self.assertEqual(
                sha_crypt._rounds(make, b"begin", p, s, rounds),
                rounds_as_written(make, b"begin", p, s, rounds),
            )
