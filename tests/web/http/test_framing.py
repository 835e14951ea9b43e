"""Where a body ends that comes in chunks; Twisted's decoder is the oracle."""

from __future__ import annotations

from hypothesis import assume, example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http import (
    _ChunkedTransferDecoder as ChunkedDecoder,
)
from twisted.web.http import (
    _MalformedChunkedDataError as MalformedChunks,
)

from pypicloud_tw.errors import BadRequest
from pypicloud_tw.web.http.framing import ByChunks
from pypicloud_tw.web.http.head import MAX_HEAD

Outcome = tuple[bytes, bytes | None, bool]

CHUNK = st.builds(
    lambda data, size, extension: (size % len(data)) + extension + b"\r\n" + data,
    st.binary(min_size=1, max_size=40),
    st.sampled_from([b"%x", b"%X", b"000%x"]),
    st.sampled_from([b"", b"", b";", b";a=b", b';a="b;c"', b"; \xff"]),
)
BODY = st.builds(
    lambda chunks, end: b"".join(chunk + b"\r\n" for chunk in chunks) + end,
    st.lists(CHUNK, max_size=5),
    st.sampled_from([b"0\r\n\r\n", b"00;x\r\nA: b\r\n\r\nGET /", b"0\r\n\r\n\r\n\r\n"]),
)


def ours(pieces: list[bytes]) -> Outcome:
    """What is read of a body; what follows it; whether it is malformed."""
    framing, body, rest = ByChunks(), b"", None
    for piece in pieces:
        if rest is not None:
            rest += piece
            continue
        try:
            part, rest = framing.split(piece)
        except BadRequest:
            return body, None, True
        body += part
    return body, rest, False


def twisted(pieces: list[bytes]) -> Outcome:
    body: list[bytes] = []
    rest: list[bytes] = []
    decoder = ChunkedDecoder(body.append, rest.append)
    for piece in pieces:
        if rest:
            rest.append(piece)
            continue
        try:
            decoder.dataReceived(piece)
        except MalformedChunks:
            return b"".join(body), None, True
    return b"".join(body), b"".join(rest) if rest else None, False


class ChunkTests(SynchronousTestCase):
    @given(BODY, st.lists(st.integers(1, 30), min_size=1, max_size=9))
    def test_whole(self, data: bytes, lengths: list[int]) -> None:
        pieces = cut(data, lengths)
        self.assertEqual(ours(pieces), twisted(pieces))
        self.assertIsNotNone(ours(pieces)[1])

    @given(
        BODY,
        st.lists(st.integers(1, 30), min_size=1, max_size=9),
        st.integers(0, 200),
        st.binary(max_size=3),
        st.integers(0, 3),
    )
    @example(b"1\r\nx\r\n0\r\n\r\n", [1], 1, b";\\", 0)
    def test_damaged(
        self, data: bytes, lengths: list[int], at: int, new: bytes, old: int
    ) -> None:
        """Nothing ends elsewhere, nor has other content, than there."""
        damaged = data[:at] + new + data[at + old :]
        pieces = cut(damaged, lengths)
        body, rest, malformed = ours(pieces)
        their_body, their_rest, theirs = twisted(pieces)
        # Twisted takes none in an extension, where a quoted string may have them
        # (RFC 9110, section 5.6.4).
        assume(malformed or not theirs or b"\\" not in damaged)
        if malformed or theirs:
            # A line that is none may be known for it before its end; a trailer may
            # have fields that are none.
            self.assertIsNone(None if malformed else rest)
            self.assertTrue(their_body.startswith(body) or body.startswith(their_body))
        else:
            self.assertEqual((body, rest), (their_body, their_rest))

    def test_no_chunks(self) -> None:
        for data in (
            b"zz\r\n", b"\r\n", b"-1\r\nx", b"+1\r\nx", b"0x1\r\nx", b"1 \r\nx",
            b" 1\r\nx", b"1_0\r\nx", b"1\nx", b"1\r\nxy", b"1\r\nx\n", b"1;\0\r\nx",
            b"1;a\nb\r\nx", b"1;a\rb\r\nx", b"1;" + b"x" * 2000, b"1" * 2000,
            b"1\r\nx\r\n\r\n", b"\xb2\r\nxx",
        ):  # fmt: skip
            for pieces in ([data], [data[i : i + 1] for i in range(len(data))]):
                with self.subTest(data=data[:20]):
                    # Of a line that has not ended there may be more to come.
                    *_, malformed = ours([*pieces, b"\r\n\r\n"])
                    self.assertTrue(malformed)

    def test_extensions(self) -> None:
        """They take no more than a head, and what the content is long."""
        long = b"1;" + b"x" * 1022 + b"\r\na\r\n"
        self.assertFalse(ours([long * 16])[2])
        self.assertTrue(ours([long * 17])[2])
        self.assertTrue(ours([long] * 17)[2])
        content = b"4000\r\n" + b"a" * 0x4000 + b"\r\n"
        self.assertFalse(ours([content, long * 32])[2])
        self.assertFalse(ours([content * 9 + b"1;a=b\r\nx\r\n" * 9])[2])

    def test_trailer_that_is_too_long(self) -> None:
        line = b"A: " + b"b" * 1000 + b"\r\n"
        self.assertTrue(ours([b"0\r\n" + line * 17 + b"\r\n"])[2])
        self.assertTrue(ours([b"0\r\n", *[line] * (MAX_HEAD // 1000 + 1)])[2])
        self.assertEqual(ours([b"0\r\n" + line * 9 + b"\r\nGET"])[1], b"GET")


def cut(data: bytes, lengths: list[int]) -> list[bytes]:
    """Cut data into pieces of these lengths, over and over."""
    pieces: list[bytes] = []
    at = 0
    while at < len(data):
        length = lengths[len(pieces) % len(lengths)]
        pieces.append(data[at : at + length])
        at += length
    return pieces
