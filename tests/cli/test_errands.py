"""Commands on a store with one writer are done by that writer, and hear of it."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from io import StringIO
from typing import Any, TextIO, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.errors import Conflict, StoreError, Unavailable
from pypicloud_tw.index import errands
from pypicloud_tw.index.errands import Asking, Errand, Errands
from pypicloud_tw.store.memory import MemoryStore
from tests.doubles import InlineOffload

T = TypeVar("T")

SWEEP = Errand("sweep", {"age": 86400.0, "dry_run": False})


class ErrandsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.store = MemoryStore(InlineOffload(), clock=self.clock.seconds)
        self.asked: list[tuple[str, Mapping[str, Any]]] = []
        self.works: list[Deferred[int]] = []
        self.streams: list[TextIO] = []
        self.held = True
        self.free = False
        self.out, self.err = StringIO(), StringIO()
        self.server = Errands(self.store, self.clock, self.do, lambda: self.held)
        self.server.start()
        self.command = Asking(
            self.store, self.clock, lambda: self.free, self.out, self.err
        )

    async def do(
        self, command: str, arguments: Mapping[str, Any], out: TextIO, err: TextIO
    ) -> int:
        self.asked.append((command, arguments))
        self.streams = [out, err]
        self.works.append(Deferred())
        return await self.works[-1]

    def run_now(self, work: Coroutine[Any, Any, T]) -> T:
        return self.successResultOf(Deferred.fromCoroutine(work))

    def ask(self, errand: Errand = SWEEP) -> Deferred[int | None]:
        return Deferred.fromCoroutine(self.command.have_done(errand))

    def wait(self, seconds: float) -> None:
        self.clock.pump([errands.SAY_EVERY] * int(seconds / errands.SAY_EVERY))

    def test_it_is_done_there_and_told_here(self) -> None:
        asking = self.ask()
        self.wait(errands.LOOK_EVERY)
        self.assertEqual(self.asked, [(SWEEP.command, SWEEP.arguments)])
        for stream, text in zip(self.streams, ("removed a\n", "slow\n"), strict=True):
            stream.write(text)
        self.wait(3)
        self.assertEqual(
            (self.out.getvalue(), self.err.getvalue()), ("removed a\n", "slow\n")
        )
        self.assertNoResult(asking)
        self.streams[0].write("1 orphan\n")
        self.works[0].callback(3)
        self.wait(3)
        self.assertEqual(self.successResultOf(asking), 3)
        self.assertEqual(self.out.getvalue(), "removed a\n1 orphan\n")
        self.assertEqual(self.store.objects, {})

    def test_each_is_done_once(self) -> None:
        """Also where a listing shows for a while what was removed."""
        self.ask()
        (key,) = self.store.objects
        data = self.store.objects[key].data
        self.wait(errands.LOOK_EVERY)
        self.store.add(key, data)
        self.wait(2 * errands.LOOK_EVERY)
        self.assertEqual(len(self.asked), 1)

    def test_several_at_a_time(self) -> None:
        asking = [self.ask(), self.ask(Errand("refresh"))]
        self.wait(errands.LOOK_EVERY)
        self.assertEqual({command for command, _ in self.asked}, {"sweep", "refresh"})
        for work in self.works:
            work.callback(0)
        self.wait(3)
        self.assertEqual([self.successResultOf(one) for one in asking], [0, 0])

    def test_whoever_does_not_hold_the_lease_does_nothing(self) -> None:
        self.held = False
        self.ask()
        self.wait(2 * errands.LOOK_EVERY)
        self.assertEqual(self.asked, [])

    def test_long_work_without_a_word(self) -> None:
        asking = self.ask()
        self.wait(10 * errands.PATIENCE)
        self.assertNoResult(asking)
        self.works[0].callback(0)
        self.wait(3)
        self.assertEqual(self.successResultOf(asking), 0)

    def test_what_fails_is_a_sentence(self) -> None:
        for error, sentence in (
            (Conflict("It is taken."), "pypicloud: It is taken.\n"),
            (
                RuntimeError("secret"),
                "pypicloud: The server failed; its log tells why.\n",
            ),
        ):
            asking = self.ask()
            self.wait(errands.LOOK_EVERY)
            self.works.pop().errback(error)
            self.wait(3)
            self.assertEqual(self.successResultOf(asking), 1)
            self.assertEqual(self.err.getvalue(), sentence)
            self.err.truncate(self.err.seek(0))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_what_is_no_errand(self) -> None:
        for data in (b"", b"[]", b"{}", b'{"command": 1, "arguments": 7}', b"\xff"):
            self.store.add(f"{errands.PREFIX}{len(self.store.objects)}", data)
        self.wait(errands.LOOK_EVERY + 2)
        self.assertEqual(self.asked, [])
        self.assertEqual(
            {
                b"cannot read what it shall do" in o.data
                for o in self.store.objects.values()
            },
            {True},
        )

    def test_the_server_ends_meanwhile(self) -> None:
        asking = self.ask()
        self.wait(errands.LOOK_EVERY)
        self.run_now(self.server.stop())
        self.wait(3)
        self.assertEqual(self.successResultOf(asking), 1)
        self.assertIn("The server ended meanwhile", self.err.getvalue())
        self.assertEqual(self.store.objects, {})

    def test_the_other_writer_has_ended(self) -> None:
        self.run_now(self.server.stop())
        asking = self.ask()
        self.wait(10)
        self.assertNoResult(asking)
        self.free = True
        self.wait(1)
        self.assertIsNone(self.successResultOf(asking))
        self.assertEqual(self.store.objects, {})

    def test_nobody_answers(self) -> None:
        self.run_now(self.server.stop())
        asking = self.ask()
        self.wait(errands.PATIENCE + 2)
        error = self.failureResultOf(asking, Unavailable).value
        self.assertIn("does not answer", str(error))
        self.assertEqual(self.store.objects, {})

    def test_whoever_asked_goes_away(self) -> None:
        """An interrupted command takes back what was not begun, and else leaves."""
        asking = self.ask()
        asking.addErrback(lambda _: None)
        asking.cancel()
        self.assertEqual(self.store.objects, {})
        self.wait(errands.LOOK_EVERY)
        self.assertEqual(self.asked, [])

    def test_what_nobody_came_for_is_removed(self) -> None:
        asking = self.ask()
        self.wait(errands.LOOK_EVERY)
        asking.addErrback(lambda _: None)
        asking.cancel()
        self.works[0].callback(0)
        self.wait(errands.LOOK_EVERY)
        self.assertNotEqual(self.store.objects, {})
        self.clock.pump(
            [errands.LOOK_EVERY] * int(errands.FORGOTTEN / errands.LOOK_EVERY)
        )
        self.assertEqual(self.store.objects, {})

    def test_a_store_that_is_away_for_a_moment(self) -> None:
        asking = self.ask()
        self.store.fail_next("list", StoreError("away"))
        self.wait(2 * errands.LOOK_EVERY)
        self.works[0].callback(0)
        self.wait(3)
        self.assertEqual(self.successResultOf(asking), 0)
