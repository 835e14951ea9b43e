"""Small files on their way to a helper process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, TypeVarTuple

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.concurrency.fair_queue import Asker, FairQueue
from pypicloud_tw.concurrency.pieces import SLICE, Pieces
from pypicloud_tw.errors import BadRequest, PypicloudError, Unavailable
from pypicloud_tw.index.archive import Inspection
from pypicloud_tw.index.names import Filename
from pypicloud_tw.index.small_files import BYTES, TOGETHER, Make, SmallFiles
from pypicloud_tw.index.taking import Placed, SmallFile, take, take_all
from tests.builders import wheel
from tests.doubles import InlineOffload

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


@define
class Jobs(InlineOffload):
    """Jobs that wait to be told what comes of them."""

    jobs: list[tuple[Callable[..., Any], Any, Deferred[Any]]] = field(factory=list)

    def in_process(self, function: Callable[[*Ts], T], *args: *Ts) -> Deferred[T]:
        """Note it."""
        done: Deferred[T] = Deferred()
        given: Any = args
        self.jobs.append((function, given[0], done))
        return done


@define
class Placer:
    """Notes what is placed."""

    placed: list[Sequence[str]] = field(factory=list)

    def place(self, objects: Any, notice: Any) -> object:
        """See :class:`pypicloud_tw.store.interfaces.Placer`."""
        self.placed.append(sorted(objects))
        return "a receipt"


def file_of(version: str, data: bytes | None = None) -> SmallFile:
    name = Filename.parse(f"acme-{version}-py3-none-any.whl")
    data = wheel(version=version) if data is None else data
    return SmallFile(data, name, False, Placer(), None)


def placed(receipt: object) -> Placed:
    return Placed(Inspection(None, None), None, receipt)


class SmallFilesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.jobs = Jobs()
        self.queue = FairQueue(2, 4, "uploads", 1)
        self.clock = Clock()
        self.files = SmallFiles(self.jobs, self.in_turn, Pieces(self.clock))
        self.made: list[str] = []

    async def in_turn(self, uploader: str | None, work: Any) -> None:
        asker = Asker(uploader or "", uploader or "")
        await self.queue.enter(asker)
        try:
            await work()
        finally:
            self.queue.leave(asker)

    def make(self, version: str) -> Make:
        def make() -> SmallFile:
            self.made.append(version)
            return file_of(version)

        return make

    def take(self, version: str, who: str = "ann", size: int = 10) -> Deferred[Placed]:
        return self.files.take(who, size, self.make(version))

    def versions(self, number: int) -> list[str]:
        """Tell which files a job has."""
        files = self.jobs.jobs[number][1]
        files = [files] if isinstance(files, SmallFile) else files
        return [str(file.filename.version) for file in files]

    def end(self, number: int, outcome: Any) -> None:
        done = self.jobs.jobs[number][2]
        if isinstance(outcome, Exception):
            done.errback(outcome)
        else:
            done.callback(outcome)

    def test_those_that_wait_go_together(self) -> None:
        works = [self.take(f"{n}") for n in range(4)]
        self.assertIs(self.jobs.jobs[0][0], take)
        self.assertEqual(self.versions(0), ["0"])
        self.end(0, placed("0"))
        self.assertEqual(self.successResultOf(works[0]).receipt, "0")
        self.assertIs(self.jobs.jobs[1][0], take_all)
        self.assertEqual(self.versions(1), ["1", "2", "3"])
        self.end(1, [placed("1"), BadRequest("It is no wheel."), placed("3")])
        self.assertEqual(self.successResultOf(works[1]).receipt, "1")
        self.assertEqual(self.successResultOf(works[3]).receipt, "3")
        failure = self.failureResultOf(works[2], BadRequest)
        self.assertIn("no wheel", str(failure.value))

    def test_those_who_go_on_slowly_let_others_have_their_turns(self) -> None:
        works = [self.take(f"{n}") for n in range(5)]
        self.end(0, placed("0"))

        def go_on(_: Placed) -> None:
            self.clock.rightNow += SLICE * 0.6

        for work in works[1:]:
            work.addCallback(go_on)
        self.end(1, [placed("")] * 4)
        self.assertEqual(
            [work.called for work in works[1:]], [True, True, False, False]
        )
        self.clock.advance(0)
        self.assertTrue(all(work.called for work in works))

    def test_not_with_another_s(self) -> None:
        self.take("0")
        self.take("1")
        self.take("2", "bob")
        self.assertEqual([self.versions(n) for n in (0, 1)], [["0"], ["2"]])

    def test_as_many_as_a_job_may_have(self) -> None:
        self.take("0")
        for n in range(1, TOGETHER + 2):
            self.take(f"{n}")
        self.end(0, placed("0"))
        self.assertEqual(len(self.versions(1)), TOGETHER)
        self.take("99", size=BYTES)
        self.end(1, [placed("")] * TOGETHER)
        self.assertEqual(self.versions(2), [f"{TOGETHER + 1}"])

    def test_each_alone_where_a_job_fails_as_a_whole(self) -> None:
        works = [self.take(f"{n}") for n in range(3)]
        self.end(0, placed("0"))
        self.end(1, BadRequest("This archive takes longer to be read than it may."))
        self.assertEqual(self.versions(2), ["1"])
        self.end(2, BadRequest("This archive takes longer to be read than it may."))
        self.failureResultOf(works[1], BadRequest)
        self.assertEqual(self.versions(3), ["2"])
        self.end(3, placed("2"))
        self.assertEqual(self.successResultOf(works[2]).receipt, "2")
        # Each try has a place of its own.
        self.assertEqual(self.made, ["0", "1", "2", "1", "2"])

    def test_given_up(self) -> None:
        first, waits, last = (self.take(f"{n}") for n in range(3))
        waits.cancel()
        self.failureResultOf(waits, CancelledError)
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.assertTrue(self.jobs.jobs[0][2].called, "Nobody looks into it any more.")
        self.assertEqual(self.versions(1), ["2"])
        self.end(1, placed("2"))
        self.successResultOf(last)

    def test_too_many_wait(self) -> None:
        works = [self.take(f"{n}", size=BYTES) for n in range(6)]
        error: PypicloudError = self.failureResultOf(works[5], Unavailable).value
        self.assertIn("Too many uploads", error.message)
        self.assertNoResult(works[4])


class TakeTests(SynchronousTestCase):
    def test_each_has_an_outcome_of_its_own(self) -> None:
        good, bad = file_of("1.0"), file_of("1.1", b"no wheel")
        first, second = take_all([bad, good])
        self.assertIsInstance(first, BadRequest)
        assert isinstance(second, Placed)
        self.assertEqual(second.receipt, "a receipt")
        name = good.filename.text
        self.assertEqual(good.placer.placed, [[name, f"{name}.metadata"]])  # type: ignore[attr-defined]  # our own
        self.assertEqual(bad.placer.placed, [])  # type: ignore[attr-defined]  # our own
