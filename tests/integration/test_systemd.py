"""contrib's units, as systemd reads them, and what it hands to the server."""

from __future__ import annotations

import re
import socket
import subprocess
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from threading import Thread

from tests.integration import apart
from tests.integration.debian import find
from tests.integration.dists import make_wheel
from tests.integration.rig import (
    CHECKOUT,
    PATIENCE,
    IntegrationTestCase,
    Server,
    clean_environment,
    free_port,
    handed,
    health_by_socket,
    script,
    wait_until,
)

CONTRIB = CHECKOUT / "contrib"

#: How exposed the service may be, in tenths, as ``systemd-analyze security`` counts it.
EXPOSURE = 18


class UnitTests(IntegrationTestCase):
    """contrib/pypicloud.service, but for where it is installed."""

    def setUp(self) -> None:
        super().setUp()
        text = (CONTRIB / "pypicloud.service").read_text()
        self.unit = text.replace("/opt/pypicloud/bin/pypicloud", script("pypicloud"))
        self.service = self.folder / "pypicloud.service"
        self.service.write_text(self.unit)
        self.socket = self.folder / "pypicloud.socket"
        self.socket.write_text((CONTRIB / "pypicloud.socket").read_text())

    def analyze(self, *arguments: str | Path) -> str:
        program = find("systemd-analyze", "systemd")
        return self.run_client(program.path, *arguments, **program.environment)

    def test_systemd_understands_them(self) -> None:
        self.assertEqual(self.analyze("verify", self.service, self.socket), "")

    def test_what_is_commented_out(self) -> None:
        """Each line that is offered is one that systemd takes."""
        socket = re.sub(r"(?m)^#(?=\w+=)", "", self.socket.read_text())
        self.assertIn("\nListenStream=/run/pypicloud.socket\n", socket)
        self.socket.write_text(
            socket.replace("pypicloud\nSocketGroup=www-data", "root")
        )
        service = re.sub(r"(?m)^#(?=(?!ExecStart)\w+=)", "", self.unit)
        self.assertIn("\nCapabilityBoundingSet=CAP_NET_BIND_SERVICE\n", service)
        self.service.write_text(service)
        self.assertEqual(self.analyze("verify", self.service, self.socket), "")

    def test_exposure(self) -> None:
        options = ("--offline=true", f"--threshold={EXPOSURE}")
        said = self.analyze("security", *options, self.service)
        self.assertIn("Overall exposure level", said)

    def test_what_a_server_that_is_killed_leaves_stays(self) -> None:
        """systemd removes PrivateTmp's folders before it starts the server again."""
        [folder] = re.findall(r"^Environment=TMPDIR=(.*)$", self.unit, re.MULTILINE)
        [cache] = re.findall(r"^CacheDirectory=(.*)$", self.unit, re.MULTILINE)
        self.assertEqual(folder, f"/var/cache/{cache}")

    def test_commands(self) -> None:
        """Both ways to start it are, at a port and at a socket."""
        by_port, by_socket = re.findall(r"^#?ExecStart=(.*)$", self.unit, re.MULTILINE)
        server = self.server(start=False)
        for command in (by_port, by_socket):
            command = command.replace("/etc/pypicloud.ini", str(server.config))
            command = command.replace("/run/pypicloud", str(server.folder))
            program, serve, _, *options = command.split()
            server.launcher, server.command, server.options = (
                [program],
                [serve],
                options,
            )
            server.start(ready=False)
            wait_until(lambda: "The store is ready" in server.log, lambda: server.log)
            server.stop()
            server.log_file.unlink()


def has(some: Sequence[object], count: int) -> bool:
    """Whether there are so many."""
    return len(some) >= count


class ActivationTests(IntegrationTestCase):
    """The socket is systemd's."""

    def test_nobody_is_refused_while_it_is_restarted(self) -> None:
        port = free_port()
        with socket.create_server(("127.0.0.1", port), backlog=100) as listening:
            server = self.server(port=port, **handed(listening))
            wheels = [make_wheel(self.folder, "acme", f"1.{n}") for n in range(40)]
            answered: list[int] = []
            problems: list[OSError] = []

            def upload() -> None:
                for wheel in wheels:
                    try:
                        answered.append(server.upload(wheel).status)
                    except OSError as e:
                        problems.append(e)

            uploads = Thread(target=upload)
            uploads.start()
            for _ in range(2):
                enough = len(answered) + 3
                wait_until(partial(has, answered, enough), lambda: server.log)
                server.stop()
                server.start(ready=False)
            uploads.join(PATIENCE)
        self.assertEqual(problems, [])
        self.assertEqual(answered, [200] * len(wheels))
        self.assertEqual(len(server.document("acme")["files"]), len(wheels))
        server.stop()

    def test_a_path_stays_as_systemd_has_made_it(self) -> None:
        path = self.folder / "socket"
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(path))
            path.chmod(0o660)
            listening.listen(100)
            server = self.server(start=False, **handed(listening))
            for _ in range(2):
                server.start(ready=False)
                said = health_by_socket(path, lambda: server.log)
                self.assertIn(b" 200 ", said)
                self.assertEqual(path.stat().st_mode & 0o777, 0o660)
                server.stop()

    def test_systemd_s_own_tool(self) -> None:
        """It starts the server when somebody comes, who is then served."""
        activate = find("systemd-socket-activate", "systemd")
        server = self.server(start=False)
        environment = clean_environment(self.home, **activate.environment)
        with server.log_file.open("ab") as log:
            server.process = subprocess.Popen(
                [
                    activate.path,
                    f"--listen=127.0.0.1:{server.port}",
                    "--fdname=pypicloud",
                    f"--setenv=PATH={environment['PATH']}",
                    *(script("pypicloud"), "serve", f"--config={server.config}"),
                    "--listen=systemd:domain=INET:name=pypicloud",
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
            )
        wait_until(lambda: "Listening on" in server.log, lambda: server.log)
        self.assertEqual(server.get("/health").status, 200)
        server.wait()
        server.stop()


class NotifyTests(IntegrationTestCase):
    """``Type=notify`` and ``WatchdogSec=``."""

    def setUp(self) -> None:
        super().setUp()
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.manager.close)
        path = str(self.folder / "notify")
        self.manager.bind(path)
        self.manager.settimeout(PATIENCE)
        self.environment = {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "1000000"}
        self.told: list[str] = []

    def hear(self, *wanted: str) -> None:
        """Wait until something was said that begins so, for each."""
        for one in wanted:
            until = time.monotonic() + PATIENCE
            while not any(said.startswith(one) for said in self.told):
                self.assertLess(time.monotonic(), until, f"{one}: {self.told}")
                self.told.append(self.manager.recv(1000).decode())
            del self.told[:]

    def check(self, server: Server, served: str) -> None:
        self.hear("READY=1")
        self.assertEqual(server.get("/health").status, 200)
        self.hear(served, "WATCHDOG=1")
        assert server.process is not None
        server.process.send_signal(1)
        self.hear("RELOADING=1", "READY=1", "WATCHDOG=1")
        server.stop()
        self.hear("STOPPING=1\nEXTEND_TIMEOUT_USEC=20000000")

    def test_one_process(self) -> None:
        self.check(self.started("1"), "STATUS=Serving.")

    def test_workers(self) -> None:
        """Their parent tells; they cannot."""
        self.check(self.started("2"), "READY=1\nSTATUS=2 of 2 workers serve.")

    def started(self, workers: str) -> Server:
        return self.server(
            settings={"server.workers": workers},
            environment=self.environment,
            launcher=(script("pypicloud"),),
            command=("serve",),
        )


test_suite = apart(__name__)
