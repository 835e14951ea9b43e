"""A socket of systemd's stays as it is, and stays open."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path
from typing import Any

from twisted.internet.endpoints import AdoptedStreamServerEndpoint
from twisted.internet.protocol import Factory
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.listening.systemd_sockets import AdoptingReactor
from tests.listening.doubles import Reactor


class AdoptingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = os.path.relpath(self.mktemp())
        self.given = socket.socket(socket.AF_UNIX)
        self.addCleanup(self.given.close)
        self.given.bind(self.path)
        Path(self.path).chmod(0o660)

    def listen(self, domain: int = socket.AF_UNIX) -> Any:
        endpoint = AdoptedStreamServerEndpoint(
            AdoptingReactor(Reactor()), os.dup(self.given.fileno()), domain
        )
        return endpoint.listen(Factory())

    def test_left_as_it_is(self) -> None:
        self.given.listen(200)
        port = self.successResultOf(self.listen())
        mode = stat.S_IMODE(Path(self.path).stat().st_mode)
        self.assertEqual(mode, 0o660)
        self.successResultOf(port.stopListening())
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(self.path)  # it waits for the next process

    def test_its_backlog_stays(self) -> None:
        """Connections that come while nobody serves, as during a restart."""
        self.given.listen(200)
        port = self.successResultOf(self.listen())
        self.successResultOf(port.stopListening())
        for _ in range(100):
            client = socket.socket(socket.AF_UNIX)
            self.addCleanup(client.close)
            client.setblocking(False)
            client.connect(self.path)

    def test_the_socket_tells_what_it_is(self) -> None:
        self.given.listen()
        port = self.successResultOf(self.listen(socket.AF_INET))
        self.addCleanup(port.stopListening)
        self.assertEqual(port.socket.family, socket.AF_UNIX)
        self.assertFalse(os.get_inheritable(port.fileno()))

    def test_one_that_does_not_listen(self) -> None:
        error = self.failureResultOf(self.listen(), ValueError)
        self.assertIn("needs Accept=no", str(error.value))

    def test_the_rest_is_the_reactor_s(self) -> None:
        self.assertEqual(AdoptingReactor(Reactor()).seconds(), 0)
