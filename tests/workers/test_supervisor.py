"""A parent starts its workers, restarts those that die, and stops them."""

from __future__ import annotations

from twisted.logger import capturedLogs, formatEvent, formatEventAsClassicLogText
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.config.configuration import Config
from pypicloud_tw.errors import ConfigError
from pypicloud_tw.workers.messages import unpack
from pypicloud_tw.workers.restarts import FIRST, LONGEST, STEADY, Restarts
from pypicloud_tw.workers.supervisor import START_PATIENCE, STOP_PATIENCE, TRIES
from tests.workers.doubles import Household, config_of


class SupervisorCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.config = config_of(3, grace=20.0)
        self.house = Household(self.config)
        self.clock = self.house.clock
        logs = capturedLogs()
        self.logs = logs.__enter__()
        self.addCleanup(logs.__exit__, None, None, None)

    def told(self) -> str:
        return "\n".join(formatEvent(event) for event in self.logs)


class BeginningTests(SupervisorCase):
    def test_listens_before_privileges_are_dropped(self) -> None:
        self.house.parent.privilegedStartService()
        self.assertEqual(self.house.events, ["listen"])
        self.assertEqual(self.house.children, [])
        self.house.serve()
        self.assertEqual(self.house.events, ["listen"])

    def test_cannot_listen(self) -> None:
        self.house.socket.problem = SystemExit("pypicloud: no")
        with self.assertRaises(SystemExit):
            self.house.parent.startService()
        self.assertEqual(self.house.children, [])

    def test_each_has_its_place_and_the_same_configuration(self) -> None:
        children = self.house.serve()
        started = [child.started or {} for child in children]
        self.assertEqual([one["number"] for one in started], [1, 2, 3])
        self.assertEqual([one["greets"] for one in started], [True, False, False])
        self.assertEqual([one["latest"] for one in started], [None] * 3)
        for one in started:
            self.assertEqual(unpack(one["config"]), self.config)
        self.assertEqual(self.told().count("serves."), 3)

    def test_what_a_worker_cannot_do_ends_all_once(self) -> None:
        self.house.parent.startService()
        for child in self.house.children:
            child.link.failed("audit.log cannot be opened.")
        for child in self.house.children:
            child.end(code=1)
        self.assertEqual(self.house.gave_up, ["audit.log cannot be opened."])
        self.assertEqual(len(self.house.children), 3)
        self.assertEqual(self.told(), "")

    def test_workers_that_die_without_a_word(self) -> None:
        self.house.parent.startService()
        for child in self.house.children[: TRIES - 1]:
            child.end(code=1)
        self.assertEqual(self.house.gave_up, [])
        self.house.children[TRIES - 1].end(signal=9)
        [said] = self.house.gave_up
        self.assertEqual(
            said, "No worker begins: the last ended by signal 9 (SIGKILL)."
        )

    def test_one_that_hangs_is_killed(self) -> None:
        self.house.parent.startService()
        one, two, three = self.house.children
        one.serve()
        two.serve()
        three.deaf = True
        self.clock.advance(START_PATIENCE - 1)
        self.assertEqual(three.signals, [])
        self.clock.advance(1)
        self.assertEqual((one.signals, three.signals), ([], ["KILL"]))
        self.assertIn("Worker 3 (process 102) does not begin to serve", self.told())
        self.clock.advance(FIRST)
        self.assertEqual(len(self.house.children), 4)

    def test_no_process_can_be_started(self) -> None:
        self.house.spawn_fails = 1
        self.house.parent.startService()
        self.assertEqual(len(self.house.children), 2)
        self.assertIn(
            "Worker 1 (process None) ended before it began: Resource temporarily",
            self.told(),
        )
        self.clock.advance(FIRST)
        self.assertEqual(len(self.house.children), 3)

    def test_what_several_processes_cannot_serve(self) -> None:
        """It may show long after they have begun."""
        children = self.house.serve()
        for child in children:
            child.link.refuse("Only one process may write to this bucket.")
        self.assertEqual(
            self.house.gave_up, ["Only one process may write to this bucket."]
        )


class ManagerTests(SupervisorCase):
    """What systemd is told."""

    def test_begin_and_end(self) -> None:
        self.house.parent.startService()
        self.assertEqual(self.house.told, [])
        for child in self.house.children:
            child.serve()
        self.assertEqual(
            self.house.told,
            [f"READY=1\nSTATUS={n} of 3 workers serve." for n in (1, 2, 3)],
        )
        del self.house.told[:]
        self.house.parent.stopService()
        [said] = self.house.told
        self.assertIn("STOPPING=1\nEXTEND_TIMEOUT_USEC=35000000\n", said)

    def test_one_that_dies(self) -> None:
        children = self.house.serve()
        del self.house.told[:]
        children[1].end(signal=9)
        self.assertEqual(self.house.told, ["STATUS=2 of 3 workers serve."])

    def test_reload_before_anybody_serves(self) -> None:
        self.house.parent.startService()
        self.house.parent.hang_up()
        self.assertEqual(self.house.told, [])

    def test_reload(self) -> None:
        self.house.serve()
        del self.house.told[:]
        self.house.parent.hang_up()
        self.assertEqual(
            [said.partition("\n")[0] for said in self.house.told],
            ["RELOADING=1", "READY=1"],
        )


class DyingTests(SupervisorCase):
    def test_another_takes_its_place(self) -> None:
        children = self.house.serve()
        self.clock.advance(STEADY)
        children[1].end(signal=9)
        self.assertIn(
            "Worker 2 (process 101) ended by signal 9 (SIGKILL); another begins in "
            "0.1 s.",
            self.told(),
        )
        self.assertEqual(len(children), 3)
        self.clock.advance(FIRST)
        self.assertEqual((children[3].started or {})["number"], 2)
        self.assertFalse((children[3].started or {})["greets"])
        self.assertEqual(self.told().count("ended"), 1)

    def test_why_it_cannot_is_told(self) -> None:
        """One that served before it was found: the others serve, and it is tried on."""
        children = self.house.serve()
        children[0].end()
        self.clock.advance(FIRST)
        children[3].link.failed("audit.log cannot be opened.")
        children[3].end(code=1)
        self.assertIn(
            "ended with exit code 1; another begins in 0.2 s. audit.log cannot be "
            "opened.",
            self.told(),
        )
        self.assertEqual(self.house.gave_up, [])

    def test_pauses(self) -> None:
        restarts = Restarts()
        pauses = [restarts.after(0) for _ in range(10)]
        self.assertEqual(pauses[0], FIRST)
        self.assertEqual(pauses, sorted(pauses))
        self.assertEqual(pauses[-1], LONGEST)
        self.assertEqual(restarts.after(STEADY), FIRST)
        self.assertEqual(restarts.after(STEADY - 1), 2 * FIRST)


class StoppingTests(SupervisorCase):
    def test_listens_no_more_then_lets_them_finish(self) -> None:
        children = self.house.serve()
        for child in children:
            child.deaf = True
        stopped = self.house.stop()
        self.assertEqual(self.house.events, ["listen", "close"])
        self.assertEqual([child.signals for child in children], [["TERM"]] * 3)
        self.assertNoResult(stopped)
        for child in children:
            child.end()
        self.successResultOf(stopped)
        self.assertNotIn("ended", self.told())
        # What is left would keep a process from ending; workers count on till they end.
        self.clock.advance(100)
        self.assertEqual(len(children), 3)

    def test_those_that_do_not_end_are_killed(self) -> None:
        children = self.house.serve()
        children[1].deaf = True
        stopped = self.house.stop()
        self.clock.advance(20 + STOP_PATIENCE - 1)
        self.assertNoResult(stopped)
        self.clock.advance(1)
        self.successResultOf(stopped)
        self.assertEqual(children[1].signals, ["TERM", "KILL"])
        self.assertIn("Worker 2 (process 101) did not end in time", self.told())

    def test_while_one_is_to_be_started(self) -> None:
        children = self.house.serve()
        children[0].end(signal=9)
        self.successResultOf(self.house.stop())
        self.clock.advance(100)
        self.assertEqual(len(children), 3)

    def test_while_all_begin(self) -> None:
        self.house.parent.startService()
        self.successResultOf(self.house.stop())
        self.assertEqual([c.signals for c in self.house.children], [["TERM"]] * 3)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class HangupTests(SupervisorCase):
    def setUp(self) -> None:
        super().setUp()
        self.children = self.house.serve()
        [self.hang_up] = self.house.hangups

    def test_all_obey_what_was_read_once(self) -> None:
        new = config_of(3, grace=1.0)
        self.house.read = lambda: new
        self.hang_up()
        for child in self.children:
            [packed] = child.hung_up
            self.assertEqual(unpack(packed or ""), new)

    def test_a_mistake_is_told_once_and_logs_are_opened_again(self) -> None:
        def read() -> Config:
            raise ConfigError(["x.ini, line 1: no.", "x.ini, line 2: no."])

        self.house.read = read
        self.hang_up()
        self.assertEqual(self.told().count("Not reloaded: x.ini, line 1: no."), 1)
        self.assertEqual([child.hung_up for child in self.children], [[None]] * 3)

    def test_one_that_follows_begins_as_the_others_began(self) -> None:
        new = config_of(3, grace=1.0)
        self.house.read = lambda: new
        self.hang_up()
        self.children[0].end(signal=9)
        self.clock.advance(FIRST)
        started = self.children[3].started or {}
        self.assertEqual(unpack(started["config"]), self.config)
        self.assertEqual(unpack(started["latest"]), new)


class LogTests(SupervisorCase):
    def test_the_parent_writes_what_workers_say(self) -> None:
        children = self.house.serve()
        with capturedLogs() as said:
            # As the observer of a worker's own log has it.
            self.house.parent._log.warn("{what} is slow.", what="S3")
        with capturedLogs() as written:
            children[1].link.write_log(said[0])
        [event] = written
        text = formatEventAsClassicLogText(event) or ""
        self.assertIn("Supervisor#warn worker 2] S3 is slow.", text)
