"""The endpoint that asks clients for certificates: what it takes for a description."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cryptography.x509 import load_pem_x509_certificate
from twisted.internet.protocol import Factory
from twisted.internet.ssl import Certificate
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.server import make_endpoint
from pypicloud_tw.web.http.tls import ClientCertificates, certificate_end
from tests.certificates import Authority

AUTHORITY = Authority.make()
TRUSTED = [Certificate.loadPEM(AUTHORITY.pem)]


class TlsEndpointTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()
        self.path = Path(self.mktemp()).absolute()
        self.path.write_bytes(AUTHORITY.pair("localhost") + AUTHORITY.pem)

    def listen(self, description: str, *, required: bool = False) -> None:
        clients = ClientCertificates(TRUSTED, required)
        endpoint = make_endpoint(self.reactor, description, clients)
        self.successResultOf(endpoint.listen(Factory()))

    def refusal(self, description: str) -> str:
        with self.assertRaises(SystemExit) as caught:
            self.listen(description)
        return str(caught.exception)

    def test_options(self) -> None:
        self.listen(f"ssl:8443:privateKey={self.path}", required=True)
        path = str(self.path)
        self.listen(
            f"ssl:port=443:privateKey={path}:certKey={path}:extraCertChain={path}"
            r":interface=\:\:1:backlog=7"
        )
        ports = [(p, backlog, where) for p, _, _, backlog, where in self.servers()]
        self.assertEqual(ports, [(8443, 50, ""), (443, 7, "::1")])

    def test_what_is_asked_of_clients(self) -> None:
        for required in (False, True):
            self.listen(f"ssl:1:privateKey={self.path}", required=required)
            _, _, options, _, _ = self.servers()[-1]
            self.assertTrue(options.verify)
            self.assertEqual(options.requireCertificate, required)
            # What stands behind the server's own certificate is sent with it.
            self.assertEqual(len(options.extraCertChain), 1)

    def servers(self) -> list[tuple[int, object, Any, int, str]]:
        servers: list[tuple[int, object, Any, int, str]] = self.reactor.sslServers
        return servers

    def test_when_its_certificate_ends(self) -> None:
        end = certificate_end(f"ssl:443:privateKey={self.path}")
        assert end is not None
        made = load_pem_x509_certificate(AUTHORITY.pair("localhost"))
        self.assertAlmostEqual(end, made.not_valid_after_utc.timestamp(), delta=60)

    def test_nobody_knows_when_it_ends(self) -> None:
        for description in ("tcp:443", "ssl:443:colour=red", "ssl:443:privateKey=none"):
            self.assertIsNone(certificate_end(description))

    def test_descriptions_that_are_none(self) -> None:
        for description, why in [
            ("tcp:443", "begins with ssl:"),
            ("ssl:443:colour=red", "no option 'colour'"),
            ("ssl:privateKey=x", "port is not a number"),
            ("ssl:https", "port is not a number"),
            ("ssl:443:privateKey=none.pem", "none.pem"),
        ]:
            refusal = self.refusal(description)
            self.assertTrue(refusal.startswith("pypicloud: cannot listen at"), refusal)
            self.assertIn(why, refusal)
