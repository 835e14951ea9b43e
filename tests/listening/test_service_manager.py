"""systemd is told how the server stands, and only where it asks."""

from __future__ import annotations

import os
import socket

from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.listening.service_manager import ServiceManager, send_datagram
from tests.listening.doubles import told_manager


class FindingTests(SynchronousTestCase):
    def of(self, **environ: str) -> ServiceManager:
        return ServiceManager.of(environ, Clock())

    def test_nobody(self) -> None:
        self.assertIsNone(self.of().address)
        clock = Clock()
        ServiceManager.of({"WATCHDOG_USEC": "1000000"}, clock).ready("Serving.")
        self.assertEqual(clock.getDelayedCalls(), [])

    def test_a_path(self) -> None:
        manager = self.of(NOTIFY_SOCKET="/run/systemd/notify")
        self.assertEqual(manager.address, b"/run/systemd/notify")
        self.assertIsNone(manager.patience)

    def test_an_abstract_socket(self) -> None:
        self.assertEqual(self.of(NOTIFY_SOCKET="@notify").address, b"\0notify")

    def test_outside_of_this_machine(self) -> None:
        self.assertIsNone(self.of(NOTIFY_SOCKET="vsock:2:1234").address)

    def test_signs_of_life_are_wanted(self) -> None:
        for environ, patience in (
            ({"WATCHDOG_USEC": "60000000"}, 60.0),
            ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}, 60.0),
            ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}, None),
            ({"WATCHDOG_USEC": "0"}, None),
            ({"WATCHDOG_USEC": "soon"}, None),
        ):
            manager = self.of(NOTIFY_SOCKET="/run/notify", **environ)
            self.assertEqual(manager.patience, patience, environ)


class TellingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.told: list[str] = []

    def test_signs_of_life(self) -> None:
        """Twice as often as they are wanted, until the end."""
        manager = told_manager(self.clock, self.told, patience=60)
        manager.ready("Serving.")
        manager.ready("Serving.")
        self.assertEqual(self.told.count("WATCHDOG=1"), 1)
        self.clock.pump([10] * 6)
        self.assertEqual(self.told.count("WATCHDOG=1"), 3)
        manager.stopped()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_reloading(self) -> None:
        self.clock.advance(2.5)
        told_manager(self.clock, self.told).reloading()
        self.assertEqual(self.told, ["RELOADING=1\nMONOTONIC_USEC=2500000"])

    def test_a_real_socket(self) -> None:
        path = os.path.relpath(self.mktemp())
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
            listening.bind(path)
            send_datagram(path.encode(), b"READY=1")
            self.assertEqual(listening.recv(100), b"READY=1")

    def test_nobody_there(self) -> None:
        """It serves all the same; that is said once."""
        manager = ServiceManager(self.clock, os.fsencode(self.mktemp()))
        with capturedLogs() as logs:
            manager.ready("Serving.")
            manager.status("Serving.")
        [event] = logs
        self.assertIn("No such file or directory", formatEvent(event))
