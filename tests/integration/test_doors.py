"""Client certificates over real TLS, a file of htpasswd, and a proxy that signs in."""

from __future__ import annotations

import os
import re
import signal
import ssl
from http.client import HTTPConnection, HTTPSConnection
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from shutil import which
from textwrap import dedent
from threading import Thread

from attrs import define
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from twisted.trial.unittest import SkipTest

from pypicloud_tw.access.hashes import hash_password
from tests.certificates import Authority
from tests.integration import apart
from tests.integration.rig import (
    CHECKOUT,
    PATIENCE,
    IntegrationTestCase,
    Server,
    basic,
    free_port,
    wait_until,
)
from tests.integration.test_nginx import MAIN, run_nginx


def robots_own(authority: Authority, common: str) -> bytes:
    """Sign a certificate by one that is no authority's; both, and the key."""
    pem = authority.pair("robot")
    key = serialization.load_pem_private_key(pem, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    robot = Authority(key, x509.load_pem_x509_certificate(pem))
    return robot.pair(common) + robot.pem


@define(eq=False)
class TlsServer(Server):
    """A server whose clients may have certificates.

    :ivar client: a file with key and certificate; None: they have none.
    """

    client: Path | None = None

    def context(self) -> ssl.SSLContext:
        context = super().context()
        if self.client is not None:
            context.load_cert_chain(self.client)
        return context


class CertificateTests(IntegrationTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.authority = Authority.make()
        (self.folder / "ca.pem").write_bytes(self.authority.pem)
        (self.folder / "server.pem").write_bytes(self.authority.pair("localhost"))
        self.robot = self.folder / "robot.pem"
        self.robot.write_bytes(self.authority.pair("robot"))

    def tls_server(self, **settings: str) -> TlsServer:
        server = TlsServer(self.make_folder(), scheme="https", client=self.robot)
        server.configure(
            **{
                "server.listen": f"ssl:{server.port}:interface=127.0.0.1"
                f":privateKey={self.folder}/server.pem",
                "server.client_ca_file": f"{self.folder}/ca.pem",
                "auth.certificate_user": "cn:{user}",
                "pypi.use_fallback": "false",
                "pypi.default_read": "authenticated",
                "user.alice": hash_password("correct horse"),
                **settings,
            }
        )
        self.addCleanup(server.kill)
        server.start()
        return server

    def status(self, server: TlsServer, client: Path | None, **headers: str) -> int:
        server.client = client
        return server.get("/simple/", **headers).status

    def test_optional(self) -> None:
        server = self.tls_server()
        self.assertEqual(self.status(server, self.robot), 200)
        wait_until(lambda: " robot [" in server.log, lambda: server.log)
        self.assertEqual(self.status(server, None), 401)
        self.assertEqual(self.status(server, None, Authorization=basic()), 200)
        wrong = basic("alice", "wrong")
        self.assertEqual(self.status(server, self.robot, Authorization=wrong), 401)

    def test_certificates_of_another_authority(self) -> None:
        server = self.tls_server()
        stranger = self.folder / "stranger.pem"
        stranger.write_bytes(Authority.make().pair("robot"))
        with self.assertRaises(OSError):
            self.status(server, stranger)
        self.assertEqual(self.status(server, self.robot), 200)

    def test_what_is_no_client_s_certificate(self) -> None:
        """Nobody is served by it, not even without a user."""
        between, other = self.authority.intermediate(), Authority.make()
        for_clients = ExtendedKeyUsageOID.CLIENT_AUTH
        for_servers = ExtendedKeyUsageOID.SERVER_AUTH
        make = self.authority.pair
        good = {
            "for clients": make("robot", usage=for_clients),
            "chain": between.pair("robot") + between.pem,
        }
        bad = {
            "ended": make("robot", days=(-3, -1)),
            "not yet": make("robot", days=(1, 3)),
            "for servers": make("robot", usage=for_servers),
            "half a chain": between.pair("robot"),
            "self-signed": other.key_pem + other.pem,
            "not by an authority": robots_own(self.authority, "robot"),
        }
        server = self.tls_server()
        for name, pem in (good | bad).items():
            client = self.folder / "client.pem"
            client.write_bytes(pem)
            if name in good:
                self.assertEqual(self.status(server, client), 200, name)
                continue
            with self.assertRaises(OSError, msg=name):
                self.status(server, client)
        self.assertNotIn("Traceback", server.log)

    def test_required(self) -> None:
        server = self.tls_server(**{"server.client_certificate": "required"})
        self.assertEqual(self.status(server, self.robot), 200)
        with self.assertRaises(OSError):
            self.status(server, None, Authorization=basic())

    def test_sessions_that_go_on(self) -> None:
        """A session that is taken up again has the certificate that began it."""
        server = self.tls_server()
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = server.context()
            context.maximum_version = version
            session = None
            for _ in range(3):
                connection = HTTPSConnection(
                    "127.0.0.1", server.port, timeout=PATIENCE, context=context
                )
                connection.connect()
                sock = connection.sock
                assert isinstance(sock, ssl.SSLSocket)
                if session is not None:
                    connection.close()
                    raw = HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
                    raw.connect()
                    sock = context.wrap_socket(raw.sock, session=session)
                    connection.sock = sock
                for _ in range(2):
                    connection.request("GET", "/simple/")
                    answer = connection.getresponse()
                    self.assertEqual((version, answer.status), (version, 200))
                    answer.read()
                session = sock.session
                connection.close()

    def test_openssl(self) -> None:
        openssl = which("openssl")
        if openssl is None:
            raise SkipTest("There is no openssl on this machine.")
        server = self.tls_server()
        output = self.run_client(
            openssl,
            "s_client",
            *("-connect", f"127.0.0.1:{server.port}", "-brief"),
            *("-cert", self.robot, "-key", self.robot),
        )
        self.assertIn("CONNECTION ESTABLISHED", output)


class HtpasswdTests(IntegrationTestCase):
    def test_change_while_it_runs(self) -> None:
        users = self.folder / "users"
        users.write_text(f"bob:{hash_password('one')}\n")
        server = self.server(
            settings={"auth.htpasswd": str(users), "pypi.default_read": "authenticated"}
        )

        def status(password: str) -> int:
            authorization = basic("bob", password)
            return server.get("/simple/", Authorization=authorization).status

        self.assertEqual((status("one"), status("two")), (200, 401))
        changed = self.folder / "changed"
        changed.write_text(f"bob:{hash_password('two')}\neve:$apr1$x$hash-itself\n")
        os.replace(changed, users)

        def told(sentence: str) -> None:
            # Not by bob, whose wrong passwords would be counted.
            def asked() -> bool:
                server.get("/simple/", Authorization=basic())
                return sentence in server.log

            wait_until(asked, lambda: server.log)

        told("the hash of 'eve' is MD5")
        self.assertEqual((status("one"), status("two")), (401, 200))
        self.assertNotIn("hash-itself", server.log)

        users.unlink()
        told("The users of before stay")
        self.assertEqual(status("two"), 200)
        assert server.process is not None
        server.process.send_signal(signal.SIGHUP)
        told("Not reloaded")
        self.assertEqual(status("two"), 200)


class ProxyTests(IntegrationTestCase):
    def test_only_of_ours(self) -> None:
        settings = {
            "auth.remote_user_header": "X-Remote-User",
            "pypi.default_read": "authenticated",
        }
        for trusted, status in (("127.0.0.1", 200), ("192.0.2.1", 401)):
            server = self.server(settings=settings | {"pypi.trusted_proxies": trusted})
            answer = server.get("/simple/", **{"X-Remote-User": "bob"})
            self.assertEqual(answer.status, status)
            told = "X-Remote-User from 127.0.0.1 is ignored" in server.log
            self.assertEqual(told, status == 401)
            server.stop()
            self.assertEqual(" bob [" in server.log, status == 200)

    def test_nginx_as_documented(self) -> None:
        """The block of docs/guide/log-in.rst, but for its addresses."""
        server = self.server(
            settings={
                "auth.remote_user_header": "X-Remote-User",
                "auth.remote_groups_header": "X-Remote-Groups",
                "pypi.trusted_proxies": "127.0.0.1",
                "pypi.default_read": "authenticated",
            }
        )
        port, signer = free_port(), self.signer()
        text = (CHECKOUT / "docs/guide/log-in.rst").read_text()
        block = text.partition(".. code-block:: nginx\n")[2].partition("\n\noauth2")[0]
        site = dedent(block)
        for old, new in (
            ("server {", f"server {{ listen 127.0.0.1:{port};"),
            ("127.0.0.1:6543", f"127.0.0.1:{server.port}"),
            ("127.0.0.1:9091", f"127.0.0.1:{signer}"),
        ):
            self.assertEqual(site.count(old), 1, old)
            site = site.replace(old, new)
        folder = self.make_folder()
        (folder / "site.conf").write_text(site)
        (folder / "nginx.conf").write_text(MAIN.format(folder=folder))
        with (folder / "log").open("wb") as log:
            process = run_nginx(folder, log)
        self.addCleanup(process.wait, PATIENCE)
        self.addCleanup(process.terminate)

        def status(**headers: str) -> int:
            connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
            connection.request("GET", "/simple/", headers=headers)
            answer = connection.getresponse().status
            connection.close()
            return answer

        def answers() -> bool:
            try:
                return status() == 401
            except OSError:
                return False

        wait_until(answers, (folder / "log").read_text)
        self.assertEqual(status(Cookie="session=bob"), 200)
        # What a client says of itself is not passed on.
        named = {"X-Remote-User": "admin"}
        self.assertEqual(status(**named), 401)
        self.assertEqual(status(Authorization=basic(), **named), 200)
        wrong = basic(password="wrong")
        self.assertEqual(status(Authorization=wrong, **named), 401)
        server.stop()
        users = re.findall(r"^\S+ - (\S+) .*/simple/.* 200 ", server.log, re.MULTILINE)
        self.assertEqual(users, ["bob", "alice"])

    def signer(self) -> int:
        """Sign in whoever has a cookie, as its value says; give the port."""

        class Signer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                user = self.headers.get("Cookie", "").removeprefix("session=")
                self.send_response(200 if user else 401)
                self.send_header("Remote-User", user)
                self.send_header("Remote-Groups", "dev,ops")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                """Say nothing."""

        signer = HTTPServer(("127.0.0.1", 0), Signer)
        thread = Thread(target=signer.serve_forever)
        thread.start()
        self.addCleanup(thread.join, PATIENCE)
        self.addCleanup(signer.server_close)
        self.addCleanup(signer.shutdown)
        return signer.server_port


test_suite = apart(__name__)
