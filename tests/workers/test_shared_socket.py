"""Connections of a socket that several processes share."""

from __future__ import annotations

import errno
import os
import socket
from typing import Any, cast

from attrs import define, field
from twisted.internet.endpoints import SSL4ServerEndpoint, serverFromString
from twisted.internet.interfaces import (
    IListeningPort,
    IReadDescriptor,
    IStreamServerEndpoint,
)
from twisted.internet.protocol import Factory
from twisted.internet.ssl import CertificateOptions
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pypicloud_tw.workers.shared_socket import (
    PAUSE,
    InheritingReactor,
    SharedPort,
    without_systemd,
)


class Reactor(Clock):
    """Knows who wants to read, and which connections were adopted."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: set[object] = set()
        self.adopted: list[tuple[int, Any]] = []
        self.problem: OSError | None = None

    def addReader(self, reader: object) -> None:
        """Note one."""
        self.readers.add(reader)

    def removeReader(self, reader: object) -> None:
        """Forget one."""
        self.readers.discard(reader)

    def adoptStreamConnection(self, fd: int, family: int, factory: Any) -> None:
        """Note a connection."""
        if self.problem is not None:
            raise self.problem
        self.adopted.append((family, factory))


@define(eq=False)
class Accepted:
    """A connection."""

    closed: bool = False

    def fileno(self) -> int:
        return 9

    def close(self) -> None:
        self.closed = True


@define(eq=False)
class Listening:
    """A socket at which connections wait."""

    waiting: list[Accepted | OSError] = field(factory=list)
    family: int = socket.AF_INET
    closed: bool = False

    def setblocking(self, blocking: bool) -> None:
        assert not blocking

    def fileno(self) -> int:
        return 8

    def accept(self) -> tuple[Accepted, object]:
        if not self.waiting:
            raise BlockingIOError(errno.EAGAIN, "None is there")
        found = self.waiting.pop(0)
        if isinstance(found, OSError):
            raise found
        return found, ("192.0.2.1", 1)

    def close(self) -> None:
        self.closed = True


class SharedPortTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = Reactor()
        self.socket = Listening()
        self.factory = Factory()
        self.port = SharedPort(self.reactor, cast(Any, self.socket), self.factory)
        self.port.startListening()

    def test_interfaces(self) -> None:
        verifyObject(IReadDescriptor, self.port)
        verifyObject(IListeningPort, self.port)

    def test_one_at_a_time(self) -> None:
        one, two = Accepted(), Accepted()
        self.socket.waiting += [one, two]
        self.port.doRead()
        self.assertEqual(self.reactor.adopted, [(socket.AF_INET, self.factory)])
        self.assertEqual((one.closed, two.closed), (True, False))

    def test_a_sibling_was_faster(self) -> None:
        self.port.doRead()
        self.assertEqual(self.reactor.adopted, [])
        self.assertIn(self.port, self.reactor.readers)

    def test_one_that_has_ended_already(self) -> None:
        one = Accepted()
        self.socket.waiting += [one]
        self.reactor.problem = OSError(errno.ENOTCONN, "Not connected")
        self.port.doRead()
        self.assertTrue(one.closed)
        self.assertIn(self.port, self.reactor.readers)

    def test_no_descriptor_is_left(self) -> None:
        """The reactor would ask again and again. It is told once."""
        with capturedLogs() as logs:
            for _ in range(3):
                self.socket.waiting += [OSError(errno.EMFILE, "Too many open files")]
                self.port.doRead()
                self.assertNotIn(self.port, self.reactor.readers)
                self.reactor.advance(PAUSE)
                self.assertIn(self.port, self.reactor.readers)
        [event] = logs
        self.assertIn("Too many open files", formatEvent(event))

    def test_stop(self) -> None:
        self.socket.waiting += [OSError(errno.EMFILE, "Too many open files")]
        with capturedLogs():
            self.port.doRead()
        self.successResultOf(self.port.stopListening())
        self.successResultOf(self.port.stopListening())
        self.assertTrue(self.socket.closed)
        self.reactor.advance(PAUSE)
        self.assertEqual(self.reactor.readers, set())


class InheritingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.factory = Factory()
        path = os.path.relpath(self.mktemp())
        self.socket = socket.socket(socket.AF_UNIX)
        self.addCleanup(self.socket.close)
        self.socket.bind(path)
        self.reactor = Reactor()
        self.inheriting = InheritingReactor(self.reactor, os.dup(self.socket.fileno()))

    def adopt(self, port: SharedPort) -> SharedPort:
        self.addCleanup(port.stopListening)
        return port

    def listen(self, endpoint: IStreamServerEndpoint) -> SharedPort:
        port: Any = self.successResultOf(endpoint.listen(self.factory))
        self.addCleanup(port.stopListening)
        self.assertIsInstance(port, SharedPort)
        self.assertEqual(port.socket.family, socket.AF_UNIX)
        return cast(SharedPort, port)

    def test_wherever_it_is(self) -> None:
        for description in (
            "tcp:80:interface=192.0.2.1",
            "unix:/run/x:mode=660:lockfile=0",
        ):
            endpoint = serverFromString(self.inheriting, description)
            self.assertIs(self.listen(endpoint).factory, self.factory)
            self.inheriting.fileno = os.dup(self.socket.fileno())
        os.close(self.inheriting.fileno)

    def test_tls(self) -> None:
        endpoint = SSL4ServerEndpoint(self.inheriting, 443, CertificateOptions())
        port = self.listen(endpoint)
        self.assertIsInstance(port.factory, TLSMemoryBIOFactory)

    def test_the_rest_is_the_reactor_s(self) -> None:
        self.assertEqual(self.inheriting.seconds(), 0)

    def test_what_systemd_gave_to_the_parent(self) -> None:
        for given, left in {
            "systemd:domain=INET:index=0": "tcp:0",
            "haproxy:systemd:domain=INET:index=0": "haproxy:tcp:0",
            "tcp:80": "tcp:80",
            "unix:/run/systemd:mode=660": "unix:/run/systemd:mode=660",
        }.items():
            self.assertEqual(without_systemd(given), left)
