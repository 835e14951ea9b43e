"""Whatever endpoint is made listens at the socket that was inherited."""

from __future__ import annotations

import os
import socket
from typing import Any, cast

from twisted.internet.endpoints import SSL4ServerEndpoint, serverFromString
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.ssl import CertificateOptions
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.listening.shared_port import SharedPort
from pypicloud_tw.workers.shared_socket import InheritingReactor, without_systemd
from tests.listening.doubles import Reactor


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
