"""Several worker processes serve as one: ``server.workers``."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from threading import Thread
from typing import Any

from tests.certificates import Authority
from tests.integration import apart
from tests.integration.dists import make_wheel
from tests.integration.rig import (
    IntegrationTestCase,
    Server,
    basic,
    form,
    free_port,
    handed,
    health_by_socket,
    script,
    wait_until,
)

SERVE: dict[str, Any] = {"launcher": (script("pypicloud"),), "command": ("serve",)}


class WorkersTestCase(IntegrationTestCase):
    def workers(self, *, count: int = 2, **options: Any) -> Server:
        """Start a server of that many workers, and wait for all of them."""
        settings = {
            "server.workers": str(count),
            "metrics.read": "everyone",
            # What a sibling does not tell at once is not seen within a test.
            "index.fresh_for": "60s",
            **options.pop("settings", {}),
        }
        server = self.server(settings=settings, **SERVE, **options)
        self.addCleanup(self.end_workers, server)
        self.wait_for(server, count)
        return server

    def wait_for(self, server: Server, count: int) -> None:
        """Wait until so many serve."""
        wait_until(lambda: len(self.serving(server)) == count, lambda: server.log)

    def end_workers(self, server: Server) -> None:
        """A test leaves nobody behind."""
        server.kill()
        wait_until(lambda: not any(map(lives, self.all(server))), lambda: server.log)

    def all(self, server: Server) -> Sequence[int]:
        """Tell the processes that ever served."""
        return [int(pid) for pid in re.findall(r"\(process (\d+)\) serves", server.log)]

    def serving(self, server: Server) -> Sequence[int]:
        """Tell the processes that serve now."""
        return [pid for pid in self.all(server) if lives(pid)]

    def counted(self, server: Server, line: str) -> float:
        """Read a number of the metrics."""
        for shown in server.get("/metrics").text.splitlines():
            if shown.startswith(f"{line} "):
                return float(shown.rpartition(" ")[2])
        return 0.0


def lives(pid: int) -> bool:
    """Whether there is such a process that has not ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def worked(pid: int) -> float:
    """Tell what a process has used of the processor, in ticks."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


class ServingTests(WorkersTestCase):
    def test_all_serve_and_metrics_are_summed(self) -> None:
        server = self.workers()
        pids = self.serving(server)
        before = [worked(pid) for pid in pids]
        name = 'pypicloud_requests_total{method="GET",status="200"}'
        already = self.counted(server, name)
        for _ in range(300):
            self.assertEqual(server.get("/simple/").status, 200)
        # One that was counted, too: the question before.
        self.assertEqual(self.counted(server, name) - already, 301)
        self.assertEqual(self.counted(server, "pypicloud_workers"), 2)
        for pid, ticks in zip(pids, before, strict=True):
            self.assertGreater(worked(pid), ticks)

    def test_what_was_uploaded_is_seen_at_once(self) -> None:
        """Whichever worker is asked, over connections of their own."""
        server = self.workers()
        self.assertEqual(server.get("/simple/acme/").status, 404)
        for n in range(50):
            wheel = make_wheel(self.folder, "acme", f"1.{n}")
            self.assertEqual(server.upload(wheel).status, 200)
            for _ in range(4):
                self.assertIn(f"acme-1.{n}-", server.get("/simple/acme/").text)

    def test_new_projects_are_listed_at_once(self) -> None:
        server = self.workers()
        for n in range(5):
            for _ in range(4):
                self.assertNotIn(f"acme{n}", server.get("/simple/").text)
            wheel = make_wheel(self.folder, f"acme{n}", "1.0")
            self.assertEqual(server.upload(wheel).status, 200)
            for _ in range(4):
                self.assertIn(f"acme{n}", server.get("/simple/").text)

    def test_hangup_reaches_all(self) -> None:
        server = self.workers(settings={"pypi.read_only": "We move."})
        wheel = make_wheel(self.folder, "acme", "1.0")
        self.assertEqual(server.upload(wheel).status, 403)
        del server.settings["pypi.read_only"]
        server.configure()
        assert server.process is not None
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: server.log.count("were read again") == 2, lambda: server.log)
        for _ in range(8):
            self.assertEqual(server.upload(wheel).status, 200)
        # A mistake is told once, and changes nothing.
        server.configure(**{"pypi.read_only": "x", "pypi.max_uplod": "1MiB"})
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "Not reloaded" in server.log, lambda: server.log)
        self.assertEqual(server.upload(wheel).status, 200)
        self.assertEqual(server.log.count("Not reloaded"), 1)

    def test_a_worker_that_follows_obeys_what_was_read_last(self) -> None:
        """Not what the ini says by now: that waits for SIGHUP, as ever."""
        server = self.workers(settings={"pypi.read_only": "We move."})
        del server.settings["pypi.read_only"]
        server.configure()
        wheel = make_wheel(self.folder, "acme", "1.0")
        for pid in self.serving(server):
            kill(pid)
        self.wait_for(server, 2)
        for _ in range(4):
            self.assertEqual(server.upload(wheel).status, 403)

    def test_a_unix_socket_outlives_a_worker(self) -> None:
        server = self.server(start=False, settings={"server.workers": "2"}, **SERVE)
        self.addCleanup(self.end_workers, server)
        path = server.folder / "socket"
        server.options = ["--listen", f"unix:{path}:mode=660"]
        server.start(ready=False)
        self.wait_for(server, 2)
        pid = self.serving(server)[0]
        kill(pid, signal.SIGTERM)
        wait_until(lambda: len(self.all(server)) == 3, lambda: server.log)
        self.assertEqual(path.stat().st_mode & 0o777, 0o660)
        self.assertIn(b" 200 ", health_by_socket(path, lambda: server.log))
        server.stop()
        self.assertFalse(path.exists())

    def test_tls(self) -> None:
        """The parent accepts nothing; workers have the key."""
        (self.folder / "server.pem").write_bytes(Authority.make().pair("server"))
        server = self.server(start=False, scheme="https", **SERVE)
        server.configure(
            **{
                "server.workers": "2",
                "server.listen": f"ssl:{server.port}:interface=127.0.0.1"
                f":privateKey={self.folder}/server.pem",
            }
        )
        self.addCleanup(self.end_workers, server)
        server.start()
        self.wait_for(server, 2)
        for _ in range(10):
            self.assertEqual(server.get("/simple/").status, 200)

    def test_a_socket_of_systemd(self) -> None:
        """The parent's alone, by its number; workers have it from the parent."""
        port = free_port()
        with socket.create_server(("127.0.0.1", port)) as listening:
            settings = {"server.workers": "2"}
            server = self.server(port=port, settings=settings, **handed(listening))
        self.addCleanup(self.end_workers, server)
        self.wait_for(server, 2)
        self.assertEqual(server.get("/health").status, 200)
        server.stop()


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    """Send a signal to a process that this test has started."""
    subprocess.run(["/bin/kill", f"-{number}", str(pid)], check=True)


class DyingTests(WorkersTestCase):
    def test_one_that_is_killed_is_followed_by_another(self) -> None:
        """Under load: what others serve goes on, and every connection is taken."""
        server = self.workers()
        failed: list[BaseException] = []
        served: list[int] = []
        until = time.monotonic() + 6

        def ask() -> None:
            while time.monotonic() < until:
                try:
                    served.append(server.get("/simple/").status)
                except OSError as e:
                    failed.append(e)

        askers = [Thread(target=ask) for _ in range(4)]
        for asker in askers:
            asker.start()
        time.sleep(1)
        victim = self.serving(server)[0]
        kill(victim)
        for asker in askers:
            asker.join()
        self.wait_for(server, 2)
        self.assertNotIn(victim, self.serving(server))
        self.assertEqual(set(served), {200})
        self.assertGreater(len(served), 50)
        # Those that were on it, at the most.
        self.assertLessEqual(len(failed), 4)
        said = f"(process {victim}) ended by signal 9 (SIGKILL); another begins in"
        self.assertEqual(server.log.count(said), 1, server.log)
        self.assertEqual(self.counted(server, "pypicloud_worker_deaths_total"), 1)

    def test_counts_of_the_dead_stay(self) -> None:
        server = self.workers()
        name = 'pypicloud_requests_total{method="GET",status="200"}'
        for _ in range(50):
            server.get("/simple/")
        counted = self.counted(server, name)
        for pid in self.serving(server):
            kill(pid)
        self.wait_for(server, 2)
        self.assertGreaterEqual(self.counted(server, name), counted)

    def test_nobody_is_left_when_the_parent_is_killed(self) -> None:
        server = self.workers()
        pids = self.serving(server)
        server.kill()
        wait_until(lambda: not any(map(lives, pids)), lambda: server.log)
        self.assertRaises(OSError, server.get, "/health")
        server.start()

    def test_an_upload_under_way_is_finished_at_a_stop(self) -> None:
        server = self.workers(settings={"server.grace": "20s"})
        wheel = make_wheel(self.folder, "acme", "1.0")
        fields = {":action": "file_upload", "name": "acme", "version": "1.0"}
        body, content_type = form(fields, wheel.name, wheel.read_bytes())
        connection = server.connect()
        connection.putrequest("POST", "/")
        connection.putheader("Authorization", basic())
        connection.putheader("Content-Type", content_type)
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body[:200])
        time.sleep(0.5)
        assert server.process is not None
        server.process.send_signal(signal.SIGTERM)
        time.sleep(1)
        self.assertRaises(OSError, server.get, "/health")
        self.assertIsNone(server.process.poll())
        connection.send(body[200:])
        self.assertEqual(connection.getresponse().status, 200)
        connection.close()
        server.ended(signal.SIGTERM)
        self.assertEqual([p for p in self.all(server) if lives(p)], [])
        server.start()
        self.assertIn("acme-1.0", server.get("/simple/acme/").text)


class BeginningTests(WorkersTestCase):
    def failing_start(self, server: Server) -> str:
        """Start a server that cannot; tell what it says."""
        server.start(ready=False)
        assert server.process is not None
        self.assertEqual(server.process.wait(30), 1, server.log)
        self.assertNotIn("Traceback", server.log)
        return server.log

    def test_port_in_use(self) -> None:
        server = self.server()
        settings = {"server.workers": "2"}
        other = self.server(port=server.port, start=False, settings=settings, **SERVE)
        said = self.failing_start(other)
        self.assertEqual(said.count(f"{server.port}: "), 1, said)
        self.assertEqual(said.count("pypicloud: "), 1, said)

    def test_what_only_a_worker_finds_out_is_told_once(self) -> None:
        settings = {"server.workers": "3", "audit.log": "/nowhere/audit.log"}
        server = self.server(start=False, settings=settings, **SERVE)
        said = self.failing_start(server)
        sentence = "pypicloud: audit.log = /nowhere/audit.log: No such file"
        self.assertEqual(said.count(sentence), 1, said)

    def test_twistd(self) -> None:
        settings = {"server.workers": "1", "audit.log": "/nowhere/audit.log"}
        server = self.server(start=False, settings=settings)
        server.options = ["--workers", "2"]
        said = self.failing_start(server)
        self.assertEqual(said.count("pypicloud: audit.log"), 1, said)

    def test_no_number(self) -> None:
        server = self.server(start=False, **SERVE)
        server.options = ["--workers", "many"]
        said = self.failing_start(server)
        self.assertEqual(said, "--workers 'many' is not a whole number from 1 to 64.\n")


test_suite = apart(__name__)
