"""Connections of a socket that several processes share."""

from __future__ import annotations

import errno
import socket
from typing import Any, cast

from attrs import define, field
from twisted.internet.interfaces import IListeningPort, IReadDescriptor
from twisted.internet.protocol import Factory
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pypicloud_tw.listening.shared_port import PAUSE, SharedPort
from tests.listening.doubles import Reactor


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

    def test_one_that_only_keeps_it_open(self) -> None:
        self.socket.waiting += [Accepted()]
        self.port.stopReading()
        self.assertEqual(self.reactor.readers, set())
        self.assertFalse(self.socket.closed)
