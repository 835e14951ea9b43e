"""Runs a container of an image without an engine, in namespaces of its own.

As by ``docker run --read-only --cap-drop ALL --security-opt no-new-privileges -v
DATA:/data``. Its network has a loopback interface and nothing else; clients enter that.
"""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from attrs import define, field

from tests.integration import inside
from tests.integration.buildah import Image
from tests.integration.rig import (
    CLIENT_PATIENCE,
    PATIENCE,
    Outcome,
    clean_environment,
    wait_until,
)


@define
class Container:
    """A container that runs.

    :ivar data: the volume.
    :ivar environment: what ``-e`` gives.
    :ivar user: its number and its group's; None: as the image says.
    """

    image: Image
    data: Path
    log_file: Path
    environment: Mapping[str, str] = field(factory=dict)
    user: tuple[int, int] | None = None
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    @property
    def ids(self) -> tuple[int, int]:
        uid, _, gid = self.image.config["User"].partition(":")
        return self.user or (int(uid), int(gid))

    @property
    def all_variables(self) -> dict[str, str]:
        image = dict(line.split("=", 1) for line in self.image.config["Env"])
        return {**image, "HOSTNAME": "3f2a9c1e7b5d", **self.environment}

    def start(self, *command: str) -> None:
        """Start it.

        :param command: what stands behind the image's name; the image's own if nothing.
        """
        config = self.image.config
        uid, gid = self.ids
        told = {
            "root": str(self.image.root),
            "data": str(self.data),
            "cwd": config["WorkingDir"],
            "uid": uid,
            "gid": gid,
            "environment": self.all_variables,
            "command": [*config["Entrypoint"], *(command or config["Cmd"])],
        }
        with self.log_file.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *("unshare", "--mount", "--pid", "--net", "--fork", "--kill-child"),
                    *(sys.executable, inside.__file__, json.dumps(told)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def wait(self) -> int:
        """Wait for its end, and return its exit code."""
        assert self._process is not None, "not started"
        return self._process.wait(PATIENCE)

    def wait_until_ready(self) -> None:
        wait_until(self._is_ready, lambda: self.log)

    def _is_ready(self) -> bool:
        assert self._process is not None, "not started"
        assert self._process.poll() is None, self.log
        return self.first_process is not None and (
            self.exec("pypicloud", "healthcheck", "--ready").code == 0
        )

    @property
    def first_process(self) -> int | None:
        """The number, outside of it, of the process that is 1 inside."""
        assert self._process is not None, "not started"
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return int(children[0]) if children else None

    def stop(self) -> int:
        """Stop it by the image's signal, and return its exit code."""
        first = self.first_process
        assert first is not None, self.log
        os.kill(first, signal.Signals[self.image.config["StopSignal"]])
        return self.wait()

    def kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(PATIENCE)

    def exec(self, *command: str, stdin: str = "") -> Outcome:
        """Run a command in it, as ``docker exec`` does: no shell."""
        done = subprocess.run(
            self._entering(command),
            input=stdin.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=CLIENT_PATIENCE,
            check=False,
        )
        return Outcome(done.returncode, done.stdout.decode(errors="replace"))

    def exec_with_terminal(self, *command: str, answers: Sequence[str]) -> Outcome:
        """Run a command in it as ``docker exec -it`` does, and answer its questions."""
        ours, theirs = pty.openpty()
        with subprocess.Popen(
            self._entering(command), stdin=theirs, stdout=theirs, stderr=theirs
        ) as process:
            os.close(theirs)
            said = ""
            until = time.monotonic() + PATIENCE
            remaining = list(answers)
            try:
                while time.monotonic() < until:
                    said += os.read(ours, 4096).decode()
                    if remaining and said.rstrip(" ").endswith(":"):
                        os.write(ours, f"{remaining.pop(0)}\n".encode())
                        said += "\n"
            except OSError:
                pass  # it has ended, and the terminal is nobody's
            finally:
                os.close(ours)
        return Outcome(process.returncode, said)

    def beside(self, *command: str | Path, home: Path) -> Outcome:
        """Run a client of this machine in the container's network."""
        done = subprocess.run(
            ["nsenter", f"--target={self.first_process}", "--net", *command],
            env=clean_environment(home),
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=CLIENT_PATIENCE,
            check=False,
        )
        return Outcome(done.returncode, done.stdout.decode(errors="replace"))

    def _entering(self, command: Sequence[str]) -> list[str]:
        uid, gid = self.ids
        variables = [f"{name}={value}" for name, value in self.all_variables.items()]
        return [
            *("nsenter", f"--target={self.first_process}"),
            *("--mount", "--pid", "--net", "--root", "--wd"),
            *(f"--setuid={uid}", f"--setgid={gid}"),
            *("env", "--ignore-environment", *variables, *command),
        ]


def command_of(log: str) -> list[str]:
    """Find the command that the log names, in the container's own words."""
    (found,) = set(re.findall(r"docker exec -it 3f2a9c1e7b5d (pypicloud .*)", log))
    return str(found).split()
