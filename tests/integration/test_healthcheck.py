"""``pypicloud healthcheck`` beside real servers: a port, TLS, a socket, a stop."""

from __future__ import annotations

import signal

from tests.certificates import Authority
from tests.integration import apart
from tests.integration.rig import (
    IntegrationTestCase,
    Outcome,
    Server,
    run,
    script,
    wait_until,
)


class HealthcheckTests(IntegrationTestCase):
    def check(self, server: Server, *options: str) -> Outcome:
        """Ask by the server's own ini."""
        command = (script("pypicloud"), "healthcheck", f"--config={server.config}")
        return run((*command, *options), home=self.home)

    def test_port(self) -> None:
        server = self.server()
        for options, said in {(): "ok", ("--ready",): "ready"}.items():
            self.assertEqual(
                self.check(server, *options), Outcome(0, f"{server.url}: {said}\n")
            )
        server.kill()
        self.assertEqual(
            self.check(server),
            Outcome(1, f"/health of {server.url}: Connection refused.\n"),
        )

    def test_hangs(self) -> None:
        """A process that is there and does nothing is not well."""
        server = self.server()
        assert server.process is not None
        server.process.send_signal(signal.SIGSTOP)
        self.assertEqual(
            self.check(server, "--timeout=0.5"),
            Outcome(1, f"/health of {server.url}: no answer within 0.5 s.\n"),
        )
        server.process.send_signal(signal.SIGCONT)
        self.assertEqual(self.check(server).code, 0)

    def test_away(self) -> None:
        """The process lives, and its store cannot be had: only --ready says so."""
        server = self.server()
        server.store.rename(server.folder / "elsewhere")
        self.assertEqual(self.check(server).code, 0)
        away = self.check(server, "--ready")
        self.assertEqual(away.code, 1)
        self.assertIn(f"/ready of {server.url}: 503: ", away.output)

    def test_socket(self) -> None:
        path = self.folder / "socket"
        server = self.server(settings={"server.listen": f"unix:{path}"}, start=False)
        server.start(ready=False)
        wait_until(lambda: self.check(server).code == 0, lambda: server.log)
        self.assertEqual(
            self.check(server, "--ready"), Outcome(0, f"the socket {path}: ready\n")
        )
        server.stop()

    def test_client_certificates(self) -> None:
        authority = Authority.make()
        (self.folder / "ca.pem").write_bytes(authority.pem)
        (self.folder / "server.pem").write_bytes(authority.pair("pypi.example"))
        mine = self.folder / "mine.pem"
        mine.write_bytes(authority.pair("monitor"))
        server = self.server(start=False, scheme="https")
        pem = f"{self.folder}/server.pem"
        server.configure(
            **{
                "server.listen": f"ssl:{server.port}:interface=127.0.0.1"
                f":privateKey={pem}:certKey={pem}",
                "server.client_ca_file": f"{self.folder}/ca.pem",
                "server.client_certificate": "required",
            }
        )
        server.start(ready=False)
        option = f"--certificate={mine}"
        wait_until(lambda: self.check(server, option).code == 0, lambda: server.log)
        refused = self.check(server)
        self.assertEqual(refused.code, 1)
        self.assertIn("it wants a client certificate", refused.output)
        server.configure(**{"server.client_certificate": "optional"})
        server.stop()
        server.start()
        self.assertEqual(self.check(server).code, 0)


test_suite = apart(__name__)
