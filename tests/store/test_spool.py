"""The spool: bytes in a file, with their digests, at the disk's pace."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Coroutine
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.errors import InsufficientStorage, PypicloudError, StoreError
from pypicloud_tw.store.spool import GATHER, MOST_GATHERED, Digests, Spool
from tests.doubles import InlineOffload

T = TypeVar("T")

#: Lengths around the one at which bytes go to a thread.
SIZES = [0, 1, GATHER - 1, GATHER, GATHER + 1]


def expected(data: bytes) -> Digests:
    return Digests(sha256(data).hexdigest())


@define(eq=False)
class _Slow(InlineOffload):
    """Starts nothing before it is told to."""

    waiting: list[Deferred[None]] = field(factory=list)

    def in_thread(self, function: Any, *args: Any, **kwargs: Any) -> Deferred[Any]:
        start: Deferred[None] = Deferred()
        self.waiting.append(start)
        return start.addCallback(lambda _: function(*args, **kwargs))


class SpoolCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.offload = InlineOffload()

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        result: T = self.successResultOf(Deferred.fromCoroutine(work))
        return result

    def error(
        self, kind: type[PypicloudError], work: Coroutine[Any, Any, object]
    ) -> str:
        failure = self.failureResultOf(Deferred.fromCoroutine(work), kind)
        error = failure.value
        assert isinstance(error, PypicloudError)
        return error.message


class DigestTests(SpoolCase):
    @settings(max_examples=40, deadline=None)
    @given(st.lists(st.sampled_from(SIZES) | st.integers(0, 2000), max_size=5))
    def test_any_pieces(self, sizes: list[int]) -> None:
        pieces = [bytes([n]) * size for n, size in enumerate(sizes)]
        spool = Spool(BytesIO(), InlineOffload())
        for piece in pieces:
            self.wait(spool.write(piece))
        whole = b"".join(pieces)
        self.assertEqual(self.wait(spool.finish()), expected(whole))
        self.assertEqual((spool.size, spool.stored), (len(whole), len(whole)))
        spool.file.seek(0)
        self.assertEqual(spool.file.read(), whole)

    def test_digests_come_at_the_end(self) -> None:
        spool = Spool(BytesIO(), self.offload)
        with self.assertRaisesRegex(RuntimeError, "after finish"):
            _ = spool.digests
        digests = self.wait(spool.finish())
        self.assertEqual(digests, expected(b""))
        self.assertIs(spool.digests, digests)
        self.assertIs(self.wait(spool.finish()), digests)
        failed = Deferred.fromCoroutine(spool.write(b"more"))
        self.failureResultOf(failed, RuntimeError)

    def test_reader_moves_the_position(self) -> None:
        spool = Spool(BytesIO(), self.offload)
        first, second = b"1" * GATHER, b"2" * GATHER
        self.wait(spool.write(first))
        spool.file.seek(5)
        self.wait(spool.write(second))
        self.wait(spool.finish())
        self.assertEqual(self.wait(spool.read_at(0, 2 * GATHER)), first + second)


class GatheringTests(SpoolCase):
    def test_single_bytes(self) -> None:
        """One byte a packet costs a hop per GATHER, not per packet."""
        spool = Spool(BytesIO(), self.offload)

        async def drip() -> None:
            for _ in range(GATHER + 5):
                await spool.write(b"x")

        self.wait(drip())
        self.assertEqual(len(self.offload.threaded), 1)
        self.assertEqual((spool.size, spool.stored), (GATHER + 5, GATHER))
        self.assertEqual(self.wait(spool.finish()), expected(b"x" * (GATHER + 5)))

    def test_more_is_gathered_of_a_large_file(self) -> None:
        """So that a GiB is a thousand hops rather than four thousand."""
        spool = Spool(BytesIO(), self.offload)
        for _ in range(64):
            self.wait(spool.write(b"x" * MOST_GATHERED))
        self.offload.threaded.clear()
        for hops in (0, 0, 0, 1):
            self.wait(spool.write(b"x" * (MOST_GATHERED // 4)))
            self.assertEqual(len(self.offload.threaded), hops)

    def test_sender_waits_for_the_disk(self) -> None:
        offload = _Slow()
        spool = Spool(BytesIO(), offload)
        self.successResultOf(Deferred.fromCoroutine(spool.write(b"little")))
        much = Deferred.fromCoroutine(spool.write(b"x" * GATHER))
        self.assertNoResult(much)
        offload.waiting[0].callback(None)
        self.successResultOf(much)

    def test_writes_that_are_not_awaited_keep_their_order(self) -> None:
        offload = _Slow()
        spool = Spool(BytesIO(), offload)
        pieces = [bytes([n]) * GATHER for n in range(4)]
        done = [Deferred.fromCoroutine(spool.write(piece)) for piece in pieces]
        finished = Deferred.fromCoroutine(spool.finish())
        for n in range(5):
            self.assertEqual(len(offload.waiting), n + 1, "One is at work at a time.")
            offload.waiting[n].callback(None)
        for write in done:
            self.successResultOf(write)
        self.assertEqual(self.successResultOf(finished), expected(b"".join(pieces)))

    def test_close_waits_for_the_thread(self) -> None:
        """Who was cancelled does not wait, but its thread still uses the file."""
        offload = _Slow()
        file = BytesIO()
        spool = Spool(file, offload)
        write = Deferred.fromCoroutine(spool.write(b"x" * GATHER))
        write.cancel()
        self.failureResultOf(write, CancelledError)
        closed = Deferred.fromCoroutine(spool.close())
        self.assertFalse(file.closed)
        self.assertEqual(len(offload.waiting), 1)
        offload.waiting[0].callback(None)
        self.assertFalse(file.closed)
        offload.waiting[1].callback(None)
        self.successResultOf(closed)
        self.assertTrue(file.closed)

    def test_closed(self) -> None:
        spool = Spool(BytesIO(), self.offload)
        self.wait(spool.close())
        self.wait(spool.close())
        self.assertIn("given up", self.error(StoreError, spool.write(b"x")))
        self.assertIn("given up", self.error(StoreError, spool.read_at(0, 1)))


class ReadAgainTests(SpoolCase):
    def test_what_is_still_gathered(self) -> None:
        spool = self.wait(Spool.temporary(self.offload))
        self.wait(spool.write(b"0123456789"))
        self.assertEqual(spool.stored, 0)
        self.assertEqual(self.wait(spool.read_at(2, 3)), b"234")
        self.assertEqual(spool.stored, 10)
        self.wait(spool.write(b"abc"))
        self.assertEqual(self.wait(spool.read_at(8, 100)), b"89abc")
        self.assertEqual(self.wait(spool.read_at(100, 5)), b"")
        self.assertEqual(self.wait(spool.finish()), expected(b"0123456789abc"))
        self.wait(spool.close())


class TemporaryTests(SpoolCase):
    def setUp(self) -> None:
        super().setUp()
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)

    def test_unlinked(self) -> None:
        spool = self.wait(Spool.temporary(self.offload, folder=self.folder))
        self.wait(spool.write(b"abc"))
        self.wait(spool.finish())
        self.assertEqual(os.listdir(self.folder), [])
        path = spool.path
        if path is not None:  # there is /proc
            self.assertEqual(path.read_bytes(), b"abc")
        self.wait(spool.close())

    def test_no_such_folder(self) -> None:
        work = Spool.temporary(self.offload, folder=self.folder / "none")
        message = self.error(StoreError, work)
        self.assertIn("storage.temp_dir must name a folder", message)

    def test_too_large_by_the_hint(self) -> None:
        work = Spool.temporary(self.offload, folder=self.folder, size_hint=2**62)
        self.assertIn("no room for this file", self.error(InsufficientStorage, work))

    def test_full(self) -> None:
        """Once the disk was full the spool is damaged, and says so for ever."""
        for number, kind, text in [
            (errno.ENOSPC, InsufficientStorage, "no room for this file"),
            (errno.EDQUOT, InsufficientStorage, "no room for this file"),
            (errno.EFBIG, InsufficientStorage, "no room for this file"),
            (errno.EIO, StoreError, "cannot keep this upload"),
        ]:
            file = _Full(number)
            spool = Spool(file, self.offload)
            self.wait(spool.write(b"little"))
            self.assertIn(text, self.error(kind, spool.write(b"x" * GATHER)))
            file.number = 0
            self.assertIn(text, self.error(kind, spool.write(b"x")))
            self.assertIn(text, self.error(kind, spool.finish()))
            self.wait(spool.close())


class _Full(BytesIO):
    """A file on a disk that has a problem."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def write(self, data: Any) -> int:
        if self.number:
            raise OSError(self.number, os.strerror(self.number))
        return super().write(data)
