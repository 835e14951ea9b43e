"""The server starts although its store is away, and stops in good order."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from typing import cast

from attrs import define, field
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import (
    IListeningPort,
    IProtocolFactory,
    IStreamServerEndpoint,
)
from twisted.logger import LogEvent, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from pypicloud_tw.errors import ConfigError, StoreError, Unavailable
from pypicloud_tw.index.index import Index
from pypicloud_tw.metrics import Metrics
from pypicloud_tw.offload.service import Offload
from pypicloud_tw.process import Process
from pypicloud_tw.server import Front, Server
from pypicloud_tw.startup import FIRST_RETRY, LONGEST_RETRY, get_ready
from tests.builders import wheel
from tests.listening.doubles import told_manager
from tests.web.doubles import (
    FORM_TYPE,
    Connection,
    Domain,
    Response,
    Web,
    basic,
    request_bytes,
    started,
    stored_project,
    upload_form,
)

AWAY = "The store is away."
WHEEL = "acme-1.0-py3-none-any.whl"


@define
class Port:
    """Something that was listened at."""

    events: list[str]
    stopped: Deferred[None] | None = None

    def stopListening(self) -> Deferred[None] | None:
        """Remember it."""
        self.events.append("stop listening")
        return self.stopped


@implementer(IStreamServerEndpoint)
@define
class Endpoint:
    """Somewhere to listen at."""

    port: Port
    problem: Exception | None = None
    factories: list[IProtocolFactory] = field(factory=list)

    def listen(self, factory: IProtocolFactory) -> Deferred[IListeningPort]:
        """Listen, or not."""
        if self.problem is not None:
            return fail(self.problem)
        self.factories.append(factory)
        return cast("Deferred[IListeningPort]", succeed(self.port))


verifyObject(IStreamServerEndpoint, Endpoint(Port([])))


@define
class OffloadService:
    """Tells when it is started."""

    events: list[str]

    def startService(self) -> None:
        """Remember it."""
        self.events.append("start offload")

    async def stopService(self) -> None:
        """Do nothing."""


class Claimed(Index):
    """An index that another process may have claimed."""

    not_ours: str | None = None

    async def secure(self) -> None:
        """Take it, if nobody else has."""
        if self.not_ours is not None:
            raise Unavailable(self.not_ours)
        await super().secure()


class ServerCase(SynchronousTestCase):
    def setUp(self) -> None:
        # It takes over SIGHUP when it starts.
        before = signal.getsignal(signal.SIGHUP)
        self.addCleanup(signal.signal, signal.SIGHUP, before)
        self.events: list[str] = []
        self.web = Web(Domain(make_index=Claimed))
        self.clock = self.web.domain.clock
        self.store = self.web.store
        self.port = Port(self.events)
        self.endpoint = Endpoint(self.port)
        self.work: Deferred[None] = Deferred(lambda _: self.events.append("cancelled"))
        self.index = cast(Claimed, self.web.domain.index)
        self.index.standing.wait()
        self.hang_ups: list[str] = []
        offload = cast(Offload, OffloadService(self.events))
        self.manager: list[str] = []
        self.unwritable: ConfigError | None = None
        self.server = Server(
            Process(self.clock, offload, Metrics(self.clock)),
            Front(self.endpoint, self.web.site, 30),
            self.index.standing,
            told_manager(self.clock, self.manager),
            open_logs=self.open_logs,
            start=self.begin,
            on_hangup=lambda: self.hang_ups.append("hung up"),
            close=self.close,
        )

    def open_logs(self) -> None:
        if self.unwritable is not None:
            raise self.unwritable

    async def begin(self) -> None:
        await get_ready(self.index)
        self.events.append("ready")
        await self.work

    async def close(self) -> None:
        self.events.append("close")

    def start(self) -> None:
        with capturedLogs() as self.logs:
            self.server.startService()

    def told(self, logs: Sequence[LogEvent]) -> str:
        return "\n".join(formatEvent(event) for event in logs)

    def stop(self) -> None:
        """Stop and clear away, where the test is not about that."""
        stopped = self.server.stopService()
        if not self.work.called:
            self.work.callback(None)
        self.successResultOf(stopped)


class ManagerTests(ServerCase):
    """What systemd is told."""

    def test_serves_before_the_store_is_ready(self) -> None:
        """To start it again would not bring the store back."""
        held: Deferred[None] = Deferred()
        self.store.before = lambda operation, key: held
        self.start()
        [said] = self.manager
        self.assertTrue(said.startswith("READY=1\nSTATUS=Listening; "), said)
        self.store.before = lambda operation, key: None
        held.callback(None)
        self.assertEqual(self.manager[1:], ["STATUS=Serving."])
        self.stop()

    def test_not_where_a_log_cannot_be_opened(self) -> None:
        self.unwritable = ConfigError(["audit.log = /x: Permission denied."])
        self.assertRaises(SystemExit, self.start)
        self.assertEqual(self.manager, [])

    def test_reload(self) -> None:
        self.start()
        del self.manager[:]
        self.server.hang_up()
        reloading, ready = self.manager
        self.assertTrue(reloading.startswith("RELOADING=1\nMONOTONIC_USEC="), reloading)
        self.assertEqual(ready, "READY=1\nSTATUS=Serving.")
        self.stop()

    def test_stop(self) -> None:
        """It is not killed before requests have had their time to finish."""
        self.start()
        del self.manager[:]
        self.stop()
        [said] = self.manager
        self.assertIn("STOPPING=1\nEXTEND_TIMEOUT_USEC=45000000\n", said)

    def test_stopped_while_the_store_is_away(self) -> None:
        held: Deferred[None] = Deferred(lambda _: None)
        self.store.before = lambda operation, key: held
        self.start()
        self.successResultOf(self.server.stopService())
        self.assertEqual(len(self.manager), 2)


class StartTests(ServerCase):
    def test_a_log_that_cannot_be_opened(self) -> None:
        self.unwritable = ConfigError(["audit.log = /x: Permission denied."])
        error = self.assertRaises(SystemExit, self.start)
        self.assertEqual(error.code, "pypicloud: audit.log = /x: Permission denied.")
        self.assertEqual(self.events, [])

    def test_listens_at_once_and_works_when_the_store_is_ready(self) -> None:
        held: Deferred[None] = Deferred()
        self.store.before = lambda operation, key: held
        self.start()
        self.assertEqual(self.endpoint.factories, [self.web.site])
        self.assertEqual(self.events, ["start offload"])
        self.assertEqual(self.web.get("/health").status, 200)
        response = self.web.get("/ready")
        self.assertEqual(response.status, 503)
        self.assertIn("being got ready", response.text)
        self.store.before = lambda operation, key: None
        held.callback(None)
        self.assertEqual(self.events, ["start offload", "ready"])
        self.assertEqual(self.web.get("/ready").status, 200)
        self.stop()

    def test_listens_once_where_privileges_are_dropped_between(self) -> None:
        self.server.privilegedStartService()
        self.start()
        self.assertEqual(len(self.endpoint.factories), 1)
        self.stop()

    def test_a_store_that_is_away_is_asked_again_and_again(self) -> None:
        def before(operation: str, key: str) -> None:
            raise StoreError(AWAY)

        self.store.before = before
        self.start()
        self.assertIn(f"not ready, next try in 1 s: {AWAY}", self.told(self.logs))
        self.assertEqual(self.web.get("/health").status, 200)
        response = self.web.get("/ready")
        self.assertEqual((response.status, response.text), (503, f"{AWAY}\n"))
        pauses = []
        with capturedLogs():
            for _ in range(8):
                tries = len(self.store.calls)
                pause = 0.0
                while len(self.store.calls) == tries:
                    self.clock.advance(0.5)
                    pause += 0.5
                pauses.append(pause)
        self.assertEqual(pauses[0], FIRST_RETRY)
        self.assertEqual(pauses, sorted(pauses))
        self.assertEqual(pauses[-1], LONGEST_RETRY)
        self.store.before = lambda operation, key: None
        with capturedLogs() as logs:
            self.clock.advance(LONGEST_RETRY)
        self.assertIn("The store is ready.", self.told(logs))
        self.assertEqual(self.web.get("/ready").status, 200)
        self.assertEqual(self.events, ["start offload", "ready"])
        self.stop()

    def test_a_store_that_goes_away_later_is_not_ready(self) -> None:
        self.start()
        self.store.fail_next("ping", StoreError(AWAY))
        self.assertEqual(self.web.get("/ready").status, 503)
        self.assertEqual(self.web.get("/ready").status, 200)
        self.stop()

    def test_a_store_that_another_server_has_claimed(self) -> None:
        self.index.not_ours = "Another server writes here."
        self.start()
        self.assertIn("Another server writes here", self.web.get("/ready").text)
        self.index.not_ours = None
        with capturedLogs():
            self.clock.advance(FIRST_RETRY)
        self.assertEqual(self.web.get("/ready").status, 200)
        self.stop()

    def test_an_address_that_is_taken_is_a_sentence(self) -> None:
        error = CannotListenError("127.0.0.1", 6543, OSError(98, "Address in use"))
        self.endpoint.problem = error
        with self.assertRaises(SystemExit) as caught:
            self.server.startService()
        self.assertIn(
            "pypicloud: Couldn't listen on 127.0.0.1:6543", str(caught.exception)
        )
        self.assertIn("End what listens there, or listen", str(caught.exception))

    def test_a_socket_in_a_folder_that_is_not_there_is_a_sentence(self) -> None:
        """What fails is the lock beside it: a link to it, from a process's number."""
        self.endpoint.problem = FileNotFoundError(
            2, "No such file or directory", "4711", None, b"/run/x/socket.lock"
        )
        with self.assertRaises(SystemExit) as caught:
            self.server.startService()
        self.assertEqual(
            str(caught.exception),
            "pypicloud: cannot listen at /run/x/socket.lock: No such file or directory",
        )

    def test_what_nobody_foresaw_in_the_background_is_logged(self) -> None:
        self.start()
        self.work.errback(ZeroDivisionError("oh"))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.web.get("/ready").status, 200)
        self.stop()


class HangUpTests(ServerCase):
    def test_is_heeded_by_the_reactor_and_not_in_between(self) -> None:
        self.start()
        os.kill(os.getpid(), signal.SIGHUP)
        self.assertEqual(self.hang_ups, [])
        self.clock.advance(0)
        self.assertEqual(self.hang_ups, ["hung up"])
        self.stop()


class StopTests(ServerCase):
    def test_in_order(self) -> None:
        self.start()
        stopped = self.server.stopService()
        # What goes on in the background is told to end, and its end is waited for.
        self.assertEqual(
            self.events,
            ["start offload", "ready", "stop listening", "cancelled", "close"],
        )
        self.successResultOf(stopped)
        self.assertEqual(self.flushLoggedErrors(), [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_the_index_is_closed_when_nobody_uses_it_any_more(self) -> None:
        clearing: Deferred[None] = Deferred()

        async def work() -> None:
            try:
                await Deferred()
            finally:
                await clearing

        self.work = started(work())
        self.start()
        stopped = self.server.stopService()
        self.assertNoResult(stopped)
        self.assertNotIn("close", self.events)
        clearing.callback(None)
        self.successResultOf(stopped)
        self.assertEqual(self.events[-1], "close")

    def test_while_the_store_is_not_ready(self) -> None:
        def before(operation: str, key: str) -> None:
            raise StoreError(AWAY)

        self.store.before = before
        self.start()
        self.successResultOf(self.server.stopService())
        self.assertEqual(self.events[-1], "close")
        self.assertEqual(self.flushLoggedErrors(), [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_before_it_was_started(self) -> None:
        self.server.privilegedStartService()
        self.successResultOf(self.server.stopService())
        self.assertEqual(self.events, ["stop listening", "close"])

    def test_waits_until_the_port_is_closed(self) -> None:
        self.port.stopped = Deferred()
        self.start()
        stopped = self.server.stopService()
        self.assertNotIn("close", self.events)
        self.port.stopped.callback(None)
        self.successResultOf(stopped)

    def test_is_not_ready_from_then_on(self) -> None:
        self.start()
        stopped = self.server.stopService()
        error = self.failureResultOf(started(self.index.ready()), Unavailable).value
        self.assertIn("stopping", error.message)
        self.successResultOf(stopped)

    def test_idle_connections_are_closed(self) -> None:
        self.start()
        connection = self.web.connect()
        connection.send(request_bytes("GET", "/health"))
        connection.response()
        stopped = self.server.stopService()
        self.assertTrue(connection.wire.disconnecting)
        self.assertNoResult(stopped)
        connection.leave()
        self.successResultOf(stopped)

    def test_an_upload_under_way_is_finished(self) -> None:
        connection, form = self.begin_upload()
        stopped = self.server.stopService()
        self.assertNoResult(stopped)
        self.clock.advance(20)
        self.assertNotIn("close", self.events)
        connection.send(form[100:])
        response = connection.response()
        assert response is not None
        self.assertEqual(response.status, 200)
        self.assertEqual(response["Connection"], "close")
        self.assertEqual(len(stored_project(self.store).files), 1)
        connection.leave()
        self.successResultOf(stopped)

    def test_one_that_does_not_end_in_time_is_cut(self) -> None:
        connection, _ = self.begin_upload()
        stopped = self.server.stopService()
        self.clock.advance(29)
        self.assertFalse(connection.wire.aborted)
        self.clock.advance(1)
        self.assertTrue(connection.wire.aborted)
        connection.leave()
        self.successResultOf(stopped)
        self.assertEqual(self.store.objects, {})
        self.assertEqual(self.events[-1], "close")

    def begin_upload(self) -> tuple[Connection, bytes]:
        self.start()
        form = upload_form(WHEEL, wheel())
        fields = {**FORM_TYPE, **basic(), "Content-Length": str(len(form))}
        connection = self.web.connect()
        connection.send(request_bytes("POST", "/", fields, form[:100]))
        answer: Response | None = connection.response()
        self.assertIsNone(answer)
        return connection, form
