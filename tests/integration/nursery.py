"""Starts processes that die where they are told to; see :mod:`.dying_server`."""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

from attrs import define, field, frozen

from tests.integration.rig import CHECKOUT, Server, clean_environment, wait_until


@frozen
class Life:
    """A process that is somebody else's child, with the methods of a Popen."""

    pid: int

    def poll(self) -> int | None:
        """None as long as it lives; how it ended only its log knows."""
        return None if Path(f"/proc/{self.pid}").exists() else 0

    def wait(self, timeout: float) -> int:
        until = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > until:
                raise TimeoutError(f"Process {self.pid} lives on.")
            time.sleep(0.005)
        return 0

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(9)


@define
class Nursery:
    """The process whose children they are."""

    _process: subprocess.Popen[str]
    _lock: Lock = field(factory=Lock)

    @classmethod
    @cache
    def shared(cls, module: str = "dying_server") -> Nursery:
        """Start it, until this process ends: a second or two before its first child.

        :param module: says what its children do.
        """
        nursery = cls._open(module)
        atexit.register(nursery._close)
        return nursery

    @classmethod
    def _open(cls, module: str) -> Nursery:
        environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
        return cls(
            subprocess.Popen(
                [sys.executable, "-m", f"tests.integration.{module}"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environment,
                text=True,
            )
        )

    def start(self, server: Server, point: str = "", nth: int = 1) -> None:
        """Start a server that dies at *point*, and wait until it is ready.

        It may die before: what it derives of the projects, it may write as it starts.
        """
        arguments = [f"--config={server.config}"]
        server.process = self.fork(
            server, server.log_file, point, nth, arguments=arguments
        )
        if point:
            wait_until(lambda: server.is_ready(or_dead=True), lambda: server.log)
        else:
            server.wait()

    def fork(
        self, server: Server, log: Path, point: str = "", nth: int = 1, **more: Any
    ) -> Life:
        """Start a process on a server's folder that dies at *point*.

        :param log: takes what it says.
        :param more: what it wants to know beside that.
        """
        home = server.folder / "home"
        home.mkdir(exist_ok=True)
        line = json.dumps(
            {
                "log": str(log),
                "cwd": str(server.folder),
                "environment": clean_environment(home, **server.environment),
                "point": point,
                "nth": nth,
                **more,
            }
        )
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        with self._lock:
            process.stdin.write(line + "\n")
            process.stdin.flush()
            return Life(int(process.stdout.readline()))

    def _close(self) -> None:
        self._process.kill()
        self._process.communicate()
