"""The bookkeeping of threads and helper processes, without either."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from typing import Any

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ProcessDone, ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pypicloud_tw.access.hashes import HashingError, verify
from pypicloud_tw.errors import (
    BadRequest,
    RangeNotSatisfiable,
    Unavailable,
    UpstreamError,
)
from pypicloud_tw.index.archive import inspect
from pypicloud_tw.index.names import Filename, project_name
from pypicloud_tw.metrics import Metrics
from pypicloud_tw.offload.helper import HEADER, address, answer, frame, resolve
from pypicloud_tw.offload.limits import (
    ARCHIVES,
    LOG_INS,
    OTHERS,
    PAGES,
    JobLimits,
    limited,
    limits_of,
)
from pypicloud_tw.offload.pool import IDLE, KEPT, HelperPool, resident
from pypicloud_tw.offload.service import IOffload, Offload, helper_environment
from pypicloud_tw.upstream.legacy import merged, prepare_legacy
from pypicloud_tw.upstream.prepare import prepare_elsewhere, squeezed
from pypicloud_tw.web.simple import merge_elsewhere


@define(eq=False)
class FakeProcess:
    """A helper that answers when told to."""

    protocol: Any  # a ProcessProtocol, which has no types of its own
    written: bytearray = field(factory=bytearray)
    killed: bool = False
    pid: int | None = None  # of no process, whose memory would be measured

    def write(self, data: bytes) -> None:
        self.written += data

    def signalProcess(self, name: str) -> None:
        if self.killed:
            raise ProcessExitedAlready
        self.killed = True

    def loseConnection(self) -> None:
        pass

    def reply(self, *, step: int = 3) -> None:
        """Answer the oldest request, in pieces."""
        (length,) = HEADER.unpack_from(self.written)
        request = bytes(self.written[HEADER.size : HEADER.size + length])
        del self.written[: HEADER.size + length]
        data = answer(request)
        for at in range(0, len(data), step):
            self.protocol.outReceived(data[at : at + step])

    def die(self) -> None:
        """Go away, as the reactor tells it."""
        self.killed = True
        self.protocol.inConnectionLost()
        self.protocol.outConnectionLost()
        self.protocol.errConnectionLost()
        exit_status: Any = ProcessDone
        reason: Any = Failure
        self.protocol.processEnded(reason(exit_status(0)))


class FakeReactor(Clock):
    """Starts fake processes; runs what threads send at once."""

    def __init__(self) -> None:
        super().__init__()
        self.processes: list[FakeProcess] = []
        self.environments: list[dict[str, str]] = []
        self.arguments: list[list[str]] = []
        self.refuse: OSError | None = None

    def spawnProcess(
        self, protocol: ProcessProtocol, executable: str, args: list[str], env: Any
    ) -> FakeProcess:
        if self.refuse is not None:
            raise self.refuse
        self.environments.append(env)
        self.arguments.append(args)
        process = FakeProcess(protocol)
        self.processes.append(process)
        process.protocol.makeConnection(process)
        return process

    def callFromThread(self, function: Callable[..., Any], *args: Any) -> None:
        function(*args)


def spring() -> None:
    # Its args has one value, and its class wants two.
    raise RangeNotSatisfiable("x", 1)


class Trap:
    """A value that raises where it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return spring, ()


class Greedy:
    """A value that takes more memory than there is, where it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return bytearray, (2**62,)


class HelperTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.offload = Offload(
            self.reactor,  # type: ignore[arg-type]  # a double
            processes=2,
            queue=2,
            environ={"PATH": "/bin", "AWS_SECRET_ACCESS_KEY": "x"},
        )
        self.offload.startService()  # type: ignore[no-untyped-call]  # Twisted's is

    @property
    def processes(self) -> list[FakeProcess]:
        return self.reactor.processes

    def test_interface(self) -> None:
        verifyObject(IOffload, self.offload)

    def test_nothing_is_started_before_it_is_needed(self) -> None:
        self.assertEqual(self.processes, [])

    def test_result(self) -> None:
        result = self.offload.in_process(project_name, "Acme_Tool")
        self.processes[0].reply(step=1)
        self.assertEqual(self.successResultOf(result), "acme-tool")

    def test_exception(self) -> None:
        result = self.offload.in_process(project_name, "-")
        self.processes[0].reply()
        error = self.failureResultOf(result, BadRequest).value
        self.assertIn("not a valid project name", error.message)

    def test_result_that_cannot_travel(self) -> None:
        result = self.offload.in_process(RangeNotSatisfiable, "x", 1)
        self.processes[0].reply()
        self.failureResultOf(result, TypeError)

    def test_helper_is_kept(self) -> None:
        for name in ("a", "b", "c"):
            result = self.offload.in_process(project_name, name)
            self.processes[0].reply()
            self.assertEqual(self.successResultOf(result), name)
        self.assertEqual(len(self.processes), 1)

    def test_queue_is_bounded_and_in_order(self) -> None:
        results = [self.offload.in_process(project_name, n) for n in "abcd"]
        self.assertEqual(len(self.processes), 2)
        refused = self.failureResultOf(
            self.offload.in_process(project_name, "e"), Unavailable
        ).value
        self.assertEqual(refused.status, 503)
        self.assertEqual(refused.headers, {"Retry-After": "5"})
        self.processes[1].reply()
        self.processes[1].reply()
        self.assertEqual(self.successResultOf(results[1]), "b")
        self.assertEqual(self.successResultOf(results[2]), "c")
        self.assertNoResult(results[0])
        self.assertNoResult(results[3])

    def test_what_waits_is_shown(self) -> None:
        metrics = Metrics(Clock())
        self.offload.register(metrics)
        for name in "abc":
            self.offload.in_process(project_name, name).addErrback(lambda _: None)
        values = {one.name: one.value for one in metrics.readings()}
        self.assertEqual(values["pypicloud_helpers"], 2)
        self.assertEqual(values["pypicloud_helper_calls_waiting"], 1)

    def test_death_fails_one_call_and_the_helper_is_replaced(self) -> None:
        results = [self.offload.in_process(project_name, n) for n in "abc"]
        self.processes[0].die()
        error = self.failureResultOf(results[0], Unavailable).value
        self.assertIn("helper process died", error.message)
        self.assertEqual(len(self.processes), 3)
        self.processes[2].reply()
        self.assertEqual(self.successResultOf(results[2]), "c")
        self.assertNoResult(results[1])

    def test_idle_helper_that_died_is_not_used(self) -> None:
        first = self.offload.in_process(project_name, "a")
        self.processes[0].reply()
        self.successResultOf(first)
        self.processes[0].die()
        second = self.offload.in_process(project_name, "b")
        self.processes[1].reply()
        self.assertEqual(self.successResultOf(second), "b")

    def test_cancel_while_waiting(self) -> None:
        results = [self.offload.in_process(project_name, n) for n in "abcd"]
        results[2].cancel()
        self.failureResultOf(results[2], CancelledError)
        self.processes[0].reply()
        self.processes[0].reply()
        self.assertEqual(self.successResultOf(results[3]), "d")
        self.assertEqual([p.killed for p in self.processes], [False, False])

    def test_cancel_while_running_ends_the_helper(self) -> None:
        results = [self.offload.in_process(project_name, n) for n in "abc"]
        results[0].cancel()
        self.failureResultOf(results[0], CancelledError)
        self.assertTrue(self.processes[0].killed)
        # A reply that was on its way already is for nobody.
        self.processes[0].reply()
        self.processes[0].die()
        self.processes[2].reply()
        self.assertEqual(self.successResultOf(results[2]), "c")
        self.assertEqual(len(self.processes), 3)

    def test_process_cannot_be_started(self) -> None:
        self.reactor.refuse = OSError(11, "Resource temporarily unavailable")
        result = self.offload.in_process(project_name, "a")
        error = self.failureResultOf(result, Unavailable).value
        self.assertIn("cannot start a process", error.message)
        self.reactor.refuse = None
        result = self.offload.in_process(project_name, "b")
        self.processes[0].reply()
        self.assertEqual(self.successResultOf(result), "b")

    def test_stop(self) -> None:
        results = [self.offload.in_process(project_name, n) for n in "abc"]
        stopped = self.offload.stopService()
        for result in results:
            error = self.failureResultOf(result, Unavailable).value
            self.assertIn("stopping", error.message)
        self.assertEqual([p.killed for p in self.processes], [True, True])
        self.assertNoResult(stopped)
        for process in self.processes:
            process.die()
        self.successResultOf(stopped)
        later = self.offload.in_process(project_name, "a")
        self.failureResultOf(later, Unavailable)
        self.failureResultOf(self.offload.in_thread(int), Unavailable)

    def test_stop_does_not_wait_for_ever(self) -> None:
        running = self.offload.in_process(project_name, "a")
        stopped = self.offload.stopService()
        self.failureResultOf(running, Unavailable)
        self.reactor.advance(5)
        self.successResultOf(stopped)

    def test_only_functions_of_this_package(self) -> None:
        for function in (os.getcwd, len, lambda: None, Filename.parse, pickle.loads):
            result: Deferred[Any] = self.offload.in_process(
                function  # type: ignore[arg-type]  # any callable, on purpose
            )
            error = self.failureResultOf(result, TypeError).value
            self.assertIn("module-level function of pypicloud_tw", str(error))
        self.assertEqual(self.processes, [])

    def test_argument_that_cannot_travel(self) -> None:
        result = self.offload.in_process(frame, lambda: None)
        self.failureResultOf(result, pickle.PicklingError, AttributeError)
        self.assertEqual(self.processes, [])

    def test_environment_has_no_secrets(self) -> None:
        self.offload.in_process(project_name, "a").addErrback(lambda _: None)
        (environment,) = self.reactor.environments
        self.assertEqual(set(environment), {"PATH", "PYTHONPATH"})

    def test_what_a_helper_says_is_logged(self) -> None:
        self.offload.in_process(project_name, "a").addErrback(lambda _: None)
        protocol = self.processes[0].protocol
        with capturedLogs() as logs:
            protocol.errReceived(b"first\n\x1b[2Jsec")
            protocol.errReceived(b"ond\n\n" + b"x" * 10_000)
            protocol.errConnectionLost()
        said = [formatEvent(event) for event in logs]
        self.assertEqual(said[0], "Helper process says: 'first'")
        self.assertEqual(said[1], "Helper process says: '\\x1b[2Jsecond'")
        self.assertEqual(len(said), 3)
        self.assertLess(len(said[2]), 5_000)

    def test_kinds_of_work_do_not_wait_for_each_other(self) -> None:
        names = [self.offload.in_process(project_name, n) for n in "abcd"]
        password = self.offload.in_process(verify, "x", "no hash")
        self.assertEqual(len(self.processes), 3)
        self.processes[2].reply()
        self.failureResultOf(password, HashingError)
        for name in names:
            self.assertNoResult(name)

    def test_stop_ends_the_helpers_of_every_kind(self) -> None:
        self.offload.in_process(project_name, "a").addErrback(lambda _: None)
        self.offload.in_process(verify, "x", "y").addErrback(lambda _: None)
        stopped = self.offload.stopService()
        self.assertEqual([p.killed for p in self.processes], [True, True])
        self.assertNoResult(stopped)
        for process in self.processes:
            process.die()
        self.successResultOf(stopped)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_each_helper_is_told_how_much_memory_it_has(self) -> None:
        self.offload.in_process(project_name, "a").addErrback(lambda _: None)
        self.offload.in_process(verify, "x", "y").addErrback(lambda _: None)
        told = [arguments[-2:] for arguments in self.reactor.arguments]
        expected = [[str(one.memory), "5"] for one in (OTHERS, LOG_INS)]
        self.assertEqual(told, expected)

    def test_what_takes_too_long_is_ended(self) -> None:
        results = [self.offload.in_process(project_name, n) for n in "abc"]
        self.reactor.advance(OTHERS.seconds - 1)
        self.processes[1].reply()
        self.reactor.advance(1)
        error = self.failureResultOf(results[0], Unavailable).value
        self.assertIn("takes longer to be read than the 60 s", error.message)
        self.assertEqual([p.killed for p in self.processes], [True, False])
        # The time of what waited began when its helper did.
        self.reactor.advance(OTHERS.seconds - 2)
        self.processes[1].reply()
        self.assertEqual(self.successResultOf(results[2]), "c")

    def test_what_takes_too_much_memory_is_told(self) -> None:
        result = self.offload.in_process(frame, Greedy())
        self.processes[0].reply()
        error = self.failureResultOf(result, Unavailable).value
        self.assertIn("needs more memory to be read than the 768 MiB", error.message)

    def test_idle_helpers_end(self) -> None:
        for _ in range(2):
            result = self.offload.in_process(project_name, "a")
            self.reactor.advance(IDLE / 10)
            self.processes[0].reply()
            self.successResultOf(result)
            self.reactor.advance(IDLE - 1)
        self.assertFalse(self.processes[0].killed)
        self.reactor.advance(1)
        self.assertTrue(self.processes[0].killed)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        result = self.offload.in_process(project_name, "a")
        self.processes[1].reply()
        self.successResultOf(result)


class GrownTests(SynchronousTestCase):
    """A helper that has grown is not kept."""

    def setUp(self) -> None:
        self.size = 0
        self.reactor = FakeReactor()
        self.pool = HelperPool(
            lambda protocol: self.reactor.spawnProcess(protocol, "", [], {}),  # type: ignore[arg-type]  # a double
            self.reactor,
            OTHERS,
            size=1,
            queue=9,
            measure=lambda pid: self.size,
        )

    def call(self, process: int) -> str:
        result = self.pool.call(frame((*address(project_name), ("a",))))
        self.reactor.processes[process].reply()
        name: str = self.successResultOf(result)
        return name

    def test_kept_while_small(self) -> None:
        self.size = KEPT
        self.assertEqual([self.call(0), self.call(0)], ["a", "a"])

    def test_replaced_when_grown(self) -> None:
        self.size = KEPT + 1
        self.assertEqual([self.call(0), self.call(1)], ["a", "a"])
        self.assertTrue(self.reactor.processes[0].killed)

    def test_what_waits_is_given_to_the_next(self) -> None:
        self.size = KEPT + 1
        results = [
            self.pool.call(frame((*address(project_name), (name,)))) for name in "ab"
        ]
        self.reactor.processes[0].reply()
        self.reactor.processes[1].reply()
        self.assertEqual([self.successResultOf(r) for r in results], ["a", "b"])

    def test_measure(self) -> None:
        self.assertGreater(resident(os.getpid()), 2**20)
        self.assertEqual(resident(None), 0)


class LimitsTests(SynchronousTestCase):
    def test_kinds(self) -> None:
        for limits, functions in (
            (ARCHIVES, (inspect,)),
            (
                PAGES,
                (prepare_elsewhere, prepare_legacy, merged, merge_elsewhere, squeezed),
            ),
            (LOG_INS, (verify,)),
            (OTHERS, (project_name, len)),
        ):
            for function in functions:
                with self.subTest(function=function.__name__):
                    self.assertIs(limits_of(function), limits)

    def test_whose_mistake_it_is(self) -> None:
        for limits, error in (
            (ARCHIVES, BadRequest),
            (PAGES, UpstreamError),
            (LOG_INS, Unavailable),
            (OTHERS, Unavailable),
        ):
            self.assertIsInstance(limits.too_large(), error)
            self.assertIsInstance(limits.too_slow(), error)

    def test_sentences(self) -> None:
        limits = JobLimits("x", "This thing", memory=3 * 2**20, seconds=1.5)
        self.assertEqual(
            limits.too_large().message,
            "This thing needs more memory to be read than the 3 MiB that this server "
            "allows.",
        )
        self.assertEqual(
            limits.too_slow().message,
            "This thing takes longer to be read than the 1.5 s that this server "
            "allows.",
        )

    def test_decorated_functions_are_themselves(self) -> None:
        def work() -> None:
            """Do nothing."""

        self.assertIs(limited(PAGES)(work), work)
        self.assertIs(limits_of(work), PAGES)


class AnswerTests(SynchronousTestCase):
    """What a helper does with a request."""

    def ask(self, module: str, name: str, *args: object) -> tuple[bool, Any]:
        data = answer(frame((module, name, args))[HEADER.size :])
        (length,) = HEADER.unpack_from(data)
        self.assertEqual(len(data), HEADER.size + length)
        answered: tuple[bool, Any] = pickle.loads(data[HEADER.size :])
        return answered

    def test_result(self) -> None:
        asked = self.ask("pypicloud_tw.index.names", "project_name", "A.B")
        self.assertEqual(asked, (True, "a-b"))

    def test_other_modules_are_refused(self) -> None:
        for module, name in [
            ("os", "getcwd"),
            ("pypicloud_twister.x", "f"),
            ("pypicloud_tw.offload.helper", "nothing"),
            ("pypicloud_tw.offload.helper", "PACKAGE"),
        ]:
            success, error = self.ask(module, name)
            self.assertFalse(success)
            self.assertIn(f"{module}.{name} is not a function", str(error))

    def test_exception_tells_where_and_quotes_nothing(self) -> None:
        _, error = self.ask("pypicloud_tw.index.names", "project_name", "-s3cr3t-")
        self.assertIsInstance(error, BadRequest)
        (note,) = error.__notes__
        self.assertIn("names.py", note)
        self.assertNotIn("s3cr3t", note)

    def test_exception_that_cannot_travel(self) -> None:
        success, error = self.ask("pypicloud_tw.offload.helper", "frame", Trap())
        self.assertFalse(success)
        self.assertIn("RangeNotSatisfiable was raised in a helper", str(error))

    def test_bad_request(self) -> None:
        success, _ = pickle.loads(answer(b"nonsense")[HEADER.size :])
        self.assertFalse(success)

    def test_address_and_resolve_agree(self) -> None:
        self.assertIs(resolve(*address(project_name)), project_name)


class EnvironmentTests(SynchronousTestCase):
    def test_chosen_names(self) -> None:
        given = {
            "PATH": "/bin",
            "PYTHONHASHSEED": "0",
            "LC_ALL": "C",
            "LANG": "C",
            "VIRTUAL_ENV": "/v",
            "AWS_PROFILE": "x",
            "PYPICLOUD_AWS_SECRET_KEY": "x",
            "HOME": "/root",
        }
        chosen = helper_environment(given, ["/a", "", "b"])
        *path, _home = chosen.pop("PYTHONPATH").split(os.pathsep)
        self.assertEqual(
            set(chosen), {"PATH", "PYTHONHASHSEED", "LC_ALL", "LANG", "VIRTUAL_ENV"}
        )
        self.assertEqual(path, ["/a", os.getcwd(), os.path.abspath("b")])
