"""How a server starts, listens, reloads, stops and is started again."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path

from pypicloud_tw.access.hashes import hash_password
from tests.certificates import make_certificates
from tests.integration import apart
from tests.integration.clients.environments import PIPS, environment
from tests.integration.dists import make_wheel
from tests.integration.rig import (
    PASSWORD,
    USER,
    IntegrationTestCase,
    Server,
    basic,
    form,
    health_by_socket,
    script,
    wait_until,
)


class HalfUpload:
    """An upload that was begun: headers and half of the body are sent."""

    def __init__(self, server: Server, file: Path) -> None:
        name, version = file.name.split("-")[:2]
        fields = {":action": "file_upload", "name": name, "version": version}
        body, content_type = form(fields, file.name, file.read_bytes())
        self.connection = server.connect()
        self.connection.putrequest("POST", "/")
        self.connection.putheader("Authorization", basic())
        self.connection.putheader("Content-Type", content_type)
        self.connection.putheader("Content-Length", str(len(body)))
        self.connection.endheaders()
        half = len(body) // 2
        self.connection.send(body[:half])
        self.rest = body[half:]
        # What lies in the store's scratch folder shows that it is being taken.
        wait_until(lambda: in_scratch(server), lambda: server.log)

    def finish(self) -> int:
        self.connection.send(self.rest)
        return self.connection.getresponse().status


def in_scratch(server: Server) -> list[Path]:
    """Tell of the files on their way in."""
    return [path for path in server.store.glob(".tmp/*/*") if path.is_file()]


def large_wheel(folder: Path, version: str = "1.0") -> Path:
    """Make a wheel that is not kept in memory on its way in."""
    big = {"acme/data": os.urandom(300_000)}
    return make_wheel(folder, "acme", version, files=big)


class StoppingTests(IntegrationTestCase):
    """What was begun is finished, nothing new is, and nothing stays behind."""

    def wheel(self, version: str = "1.0") -> Path:
        return large_wheel(self.folder, version)

    def test_signals(self) -> None:
        server = self.server()
        for number in (signal.SIGTERM, signal.SIGINT):
            self.assertEqual(server.get("/health").status, 200)
            server.stop(number)
            self.assertRaises(OSError, server.get, "/health")
            server.start()

    def test_upload_under_way(self) -> None:
        server = self.server(settings={"server.grace": "20s"})
        upload = HalfUpload(server, self.wheel())
        kept = server.connect()
        kept.request("GET", "/ready")
        self.assertEqual(read(kept), 200)
        assert server.process is not None
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: not accepts(server), lambda: server.log)
        self.assertIsNone(server.process.poll())
        self.assertEqual(upload.finish(), 200)
        server.ended(signal.SIGTERM)
        self.assertEqual(list(server.store.glob(".tmp/*")), [])
        server.start()
        self.assertEqual(len(server.document("acme")["files"]), 1)

    def test_sender_that_never_ends(self) -> None:
        """It is waited for as long as ``server.grace`` says, and not longer."""
        server = self.server(settings={"server.grace": "1s"})
        upload = HalfUpload(server, self.wheel())
        began = time.monotonic()
        server.stop()
        self.assertLess(time.monotonic() - began, 10)
        self.assertEqual(list(server.store.glob(".tmp/*")), [])
        upload.connection.close()
        server.start()
        self.assertEqual(server.get("/simple/acme/").status, 404)

    def test_sender_that_goes_away(self) -> None:
        """Nothing of it stays, and it is nobody's fault."""
        server = self.server()
        upload = HalfUpload(server, self.wheel())
        upload.connection.close()
        wait_until(lambda: not in_scratch(server), lambda: server.log)
        server.stop()
        self.assertNotIn("Traceback", server.log)

    def test_idle_connections_do_not_delay(self) -> None:
        server = self.server(settings={"server.grace": "60s"})
        kept = server.connect()
        kept.request("GET", "/simple/")
        self.assertEqual(read(kept), 200)
        began = time.monotonic()
        server.stop()
        self.assertLess(time.monotonic() - began, 10)

    def test_kill(self) -> None:
        """The next start removes what was on its way, and what was there is there."""
        server = self.server()
        self.assertEqual(server.upload(self.wheel()).status, 200)
        before = server.document("acme")
        upload = HalfUpload(server, self.wheel("1.1"))
        server.kill()
        upload.connection.close()
        self.assertTrue(in_scratch(server))
        server.start()
        wait_until(lambda: not in_scratch(server), lambda: server.log)
        self.assertEqual(server.document("acme"), before)
        self.assertEqual(server.upload(self.wheel("1.1")).status, 200)


class StartingTests(IntegrationTestCase):
    """Who cannot start says why, in a sentence."""

    def test_mistakes(self) -> None:
        server = self.server(start=False)
        server.configure(**{"aws.expire_after": "8d", "pypi.max_uplod": "1MiB"})
        output = self.failing_start(server)
        self.assertIn("aws.expire_after", output)
        self.assertIn("pypi.max_uplod", output)
        self.assertIn("pypi.max_upload", output)
        self.assertNotIn("Traceback", output)

    def test_no_such_file(self) -> None:
        server = self.server(start=False)
        server.config.unlink()
        output = self.failing_start(server)
        self.assertIn("server.ini", output)
        self.assertNotIn("Traceback", output)

    def test_port_in_use(self) -> None:
        server = self.server()
        other = self.server(port=server.port, start=False)
        output = self.failing_start(other)
        self.assertIn(str(server.port), output)
        self.assertNotIn("Traceback", output)
        self.assertEqual(server.get("/ready").status, 200)

    def failing_start(self, server: Server) -> str:
        server.start(ready=False)
        assert server.process is not None
        self.assertNotEqual(server.process.wait(30), 0)
        return server.log


class LogTests(IntegrationTestCase):
    """What goes to standard output stands there in the order in which it happened."""

    def test_order(self) -> None:
        server = self.server()
        expected = []
        for n in range(5):
            server.get(f"/health?{n}")
            wrong = {"Authorization": basic(password=f"wrong{n}")}
            self.assertEqual(server.request("POST", "/", b"", wrong).status, 401)
            expected += [f"GET /health?{n}", "Wrong password for", "POST / "]
        server.stop()
        marks = re.findall(r"GET /health\?\d|Wrong password for|POST / ", server.log)
        self.assertEqual(marks, expected)


class ReloadingTests(IntegrationTestCase):
    """SIGHUP reads users and access settings again."""

    def test_users(self) -> None:
        server = self.server()
        upload = HalfUpload(server, large_wheel(self.folder))
        bob = basic("bob", "bob's own")
        wheel = make_wheel(self.folder, "acme", "1.1")
        self.assertEqual(server.upload(wheel, authorization=bob).status, 401)
        server.configure(**{"user.bob": hash_password("bob's own")})
        self.hang_up(server)
        wait_until(
            lambda: server.upload(wheel, authorization=bob).status == 200,
            lambda: server.log,
        )
        # Who was uploading meanwhile has noticed nothing.
        self.assertEqual(upload.finish(), 200)

    def test_password_that_was_changed(self) -> None:
        """The one that was remembered is worth nothing any more."""
        server = self.server(settings={"pypi.default_read": "authenticated"})
        self.assertEqual(server.get("/simple/", Authorization=basic()).status, 200)
        server.configure(**{f"user.{USER}": hash_password("another")})
        self.hang_up(server)
        wait_until(
            lambda: server.get("/simple/", Authorization=basic()).status == 401,
            lambda: server.log,
        )
        new = basic(USER, "another")
        self.assertEqual(server.get("/simple/", Authorization=new).status, 200)

    def test_default_read(self) -> None:
        server = self.server()
        self.assertEqual(server.get("/simple/").status, 200)
        server.configure(**{"pypi.default_read": "authenticated"})
        self.hang_up(server)
        wait_until(lambda: server.get("/simple/").status == 401, lambda: server.log)

    def test_broken_file(self) -> None:
        """The old settings stay in force, and the log says why."""
        server = self.server()
        server.configure(**{"pypi.default_read": "nobody", "user.eve": "no hash"})
        self.hang_up(server)
        wait_until(lambda: "pypi.default_read" in server.log, lambda: server.log)
        self.assertIn("user.eve", server.log)
        self.assertNotIn("no hash", server.log)
        self.assertEqual(server.get("/simple/").status, 200)
        wheel = make_wheel(self.folder, "acme", "1.0")
        self.assertEqual(server.upload(wheel).status, 200)

    def hang_up(self, server: Server) -> None:
        assert server.process is not None
        server.process.send_signal(signal.SIGHUP)


class ListeningTests(IntegrationTestCase):
    """Twisted's endpoints, by ``--listen``."""

    def tls_server(self) -> tuple[Server, Path]:
        """Start a server with a certificate of an authority that is told, too."""
        authority, certificate, key = make_certificates(self.folder)
        server = self.server(scheme="https", start=False)
        server.options = [
            f"--listen=ssl:{server.port}:interface=127.0.0.1"
            f":certKey={certificate}:privateKey={key}"
        ]
        server.start()
        return server, authority

    def test_tls(self) -> None:
        """twine, uv and pip, each told of the authority in its own way."""
        server, authority = self.tls_server()
        big = {"acme/data": os.urandom(3_000_000)}
        first = make_wheel(self.folder, "acme", "1.0", files=big)
        second = make_wheel(self.folder, "acme", "1.1", files=big)
        log_in = ("-u", USER, "-p", PASSWORD)
        self.run_client(
            *(script("twine"), "upload", "--non-interactive", *log_in, "--cert"),
            *(authority, "--repository-url", f"{server.url}/", first),
        )
        self.run_client(
            *(script("uv"), "publish", *log_in, "--trusted-publishing=never"),
            *("--publish-url", f"{server.url}/", second),
            SSL_CERT_FILE=str(authority),
        )
        self.run_client(
            *(environment(PIPS[0]), "-m", "pip", "download", "--no-cache-dir"),
            *("-d", self.folder, "--cert", authority, "-i", server.simple, "acme"),
        )
        wrong = [word if word != PASSWORD else "wrong" for word in log_in]
        output = self.run_failing(
            *(script("twine"), "upload", "--non-interactive", *wrong, "--cert"),
            *(authority, "--repository-url", f"{server.url}/", first),
        )
        self.assertIn("401", output)
        server.stop()

    def test_tls_refusal_reaches_who_still_sends(self) -> None:
        server, _ = self.tls_server()
        big = {"acme/data": bytes(32_000_000)}
        wheel = make_wheel(self.folder, "acme", "1.0", files=big)
        answer = server.upload(wheel, authorization=basic(password="wrong"))
        self.assertEqual(answer.status, 401)

    def test_unix(self) -> None:
        server = self.server(start=False)
        path = server.folder / "socket"
        server.options = [f"--listen=unix:{path}"]
        server.start(ready=False)
        self.assertIn(b" 200 ", health_by_socket(path, lambda: server.log))
        server.stop()
        self.assertFalse(path.exists())


class TwoServersTests(IntegrationTestCase):
    """Two processes on one folder lose nothing of each other's."""

    def test_uploads_to_one_project(self) -> None:
        one = self.server()
        two = self.server(settings={"storage.dir": str(one.store)})
        wheels = [make_wheel(self.folder, "acme", f"1.{n}") for n in range(40)]
        with ThreadPoolExecutor(8) as pool:
            work = [
                pool.submit((one, two)[number % 2].upload, wheel)
                for number, wheel in enumerate(wheels)
            ]
            answers = [one.result() for one in work]
        self.assertEqual({answer.status for answer in answers}, {200}, answers)
        for server in (one, two):
            self.sees(server, sorted(wheel.name for wheel in wheels))

    def sees(self, server: Server, names: list[str]) -> None:
        """Assert that what the other did is seen soon, by ``index.fresh_for``."""

        def found() -> list[str]:
            files = server.document("acme")["files"]
            return sorted(file["filename"] for file in files)

        wait_until(lambda: found() == names, lambda: str(found()), patience=5)

    def test_same_file(self) -> None:
        """Of two that are different, one is published, and stays."""
        one = self.server()
        two = self.server(settings={"storage.dir": str(one.store)})
        for number in range(10):
            files = []
            for name in ("one", "two"):
                folder = self.folder / f"{name}-{number}"
                folder.mkdir()
                more = {f"{name}.py": b""}
                files.append(make_wheel(folder, "acme", f"1.{number}", files=more))
            with ThreadPoolExecutor(2) as pool:
                work = [
                    pool.submit(server.upload, file)
                    for server, file in zip((one, two), files, strict=True)
                ]
                statuses = sorted(answer.result().status for answer in work)
            self.assertEqual(statuses, [200, 409])


def read(connection: HTTPConnection) -> int:
    response = connection.getresponse()
    response.read()
    return response.status


def accepts(server: Server) -> bool:
    try:
        socket.create_connection(("127.0.0.1", server.port), 1).close()
    except OSError:
        return False
    return True


test_suite = apart(__name__)
