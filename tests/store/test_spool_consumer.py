"""An object is read into a spool at the spool's pace, whole or with an error."""

from __future__ import annotations

from hashlib import sha256
from io import BytesIO
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IConsumer
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pypicloud_tw.errors import InsufficientStorage, StoreError
from pypicloud_tw.offload.service import IOffload
from pypicloud_tw.store.interfaces import IDownload
from pypicloud_tw.store.memory import PIECE, MemoryStore
from pypicloud_tw.store.spool import GATHER, Spool
from pypicloud_tw.store.spool_consumer import _SpoolConsumer, copy
from tests.doubles import InlineOffload
from tests.web.doubles import started


class HeldOffload(InlineOffload):
    """Threads that answer when they are told to."""

    held: list[Deferred[None]]

    def __init__(self) -> None:
        super().__init__()
        self.held = []

    def in_thread(self, function: Any, *args: Any, **kwargs: Any) -> Deferred[Any]:
        """Run *function* later."""
        waiting: Deferred[None] = Deferred()
        self.held.append(waiting)
        return waiting.addCallback(lambda _: function(*args, **kwargs))

    def go_on(self) -> None:
        """Let one thread end."""
        self.held.pop(0).callback(None)


class FullFile(BytesIO):
    """A disk that is full."""

    def write(self, data: Any) -> int:
        """Fail."""
        raise OSError(28, "No space left on device")


class CopyCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.store = MemoryStore(InlineOffload())

    def open(self, data: bytes) -> IDownload:
        self.store.add("a", data)
        return self.successResultOf(started(self.store.open("a")))

    def spool(self, offload: IOffload | None = None) -> Spool:
        return Spool(BytesIO(), offload or InlineOffload())


class CopyTests(CopyCase):
    def test_is_a_consumer(self) -> None:
        verifyObject(IConsumer, _SpoolConsumer(self.spool()))

    @settings(max_examples=20, deadline=None)
    @given(
        st.sampled_from(
            [0, 1, PIECE - 1, PIECE, PIECE + 1, GATHER, GATHER + 1, 3 * GATHER + 7]
        )
    )
    def test_every_byte(self, size: int) -> None:
        data = (bytes(range(251)) * (size // 251 + 1))[:size]
        spool = self.spool()
        self.successResultOf(started(copy(self.open(data), spool)))
        digests = self.successResultOf(started(spool.finish()))
        self.assertEqual(digests.sha256, sha256(data).hexdigest())
        self.assertEqual(spool.size, size)

    def test_at_the_spool_s_pace(self) -> None:
        data = bytes(20 * GATHER)
        offload = HeldOffload()
        spool = self.spool(offload)
        work = started(copy(self.open(data), spool))
        most = 0
        while offload.held:
            # What was taken and is not in the file yet.
            most = max(most, spool.size - spool.stored)
            offload.go_on()
        self.successResultOf(work)
        self.assertEqual(spool.size, len(data))
        self.assertLessEqual(most, GATHER + PIECE)

    def test_does_not_end_before_the_spool_has_taken_all(self) -> None:
        offload = HeldOffload()
        spool = self.spool(offload)
        work = started(copy(self.open(bytes(GATHER)), spool))
        self.assertNoResult(work)
        offload.go_on()
        self.successResultOf(work)
        self.assertEqual(spool.stored, GATHER)


class FailureTests(CopyCase):
    def test_no_room(self) -> None:
        # Short enough to be delivered before it fails, and longer.
        for size in (GATHER, 20 * GATHER):
            spool = Spool(FullFile(), InlineOffload())
            work = started(copy(self.open(bytes(size)), spool))
            error = self.failureResultOf(work, InsufficientStorage).value
            self.assertIn("no room", error.message)

    def test_no_room_is_noticed_later(self) -> None:
        for size in (GATHER, 20 * GATHER):
            offload = HeldOffload()
            work = started(copy(self.open(bytes(size)), Spool(FullFile(), offload)))
            self.assertNoResult(work)
            while offload.held:
                offload.go_on()
            self.failureResultOf(work, InsufficientStorage)

    def test_the_store_fails(self) -> None:
        download = self.open(b"bytes")
        self.store.fail_next("deliver", StoreError("The store is away."))
        work = started(copy(download, self.spool()))
        error = self.failureResultOf(work, StoreError).value
        self.assertEqual(error.message, "The store is away.")

    def test_given_up(self) -> None:
        offload = HeldOffload()
        spool = self.spool(offload)
        work = started(copy(self.open(bytes(20 * GATHER)), spool))
        self.assertNoResult(work)
        work.cancel()
        self.failureResultOf(work, CancelledError)
        # What is at work ends, and nothing more is taken.
        size = spool.size
        while offload.held:
            offload.go_on()
        self.assertEqual(spool.size, size)
