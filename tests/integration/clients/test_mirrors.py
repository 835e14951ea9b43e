"""Other indexes that have this one behind them."""

from __future__ import annotations

import json
import subprocess
from base64 import b64encode
from collections.abc import Mapping
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from tests.integration import apart
from tests.integration.clients import cells
from tests.integration.clients.cells import Rows
from tests.integration.clients.environments import environment
from tests.integration.rig import clean_environment, free_port, script, wait_until

#: Seconds until such a server answers; devpi loads a good deal first.
PATIENCE = 90.0


class Mirroring(Rows):
    """An installer asks the mirror, and the mirror asks us."""

    def serve(self, command: tuple[str, ...], port: int, **variables: str) -> None:
        """Start a server, which ends with the test, and wait until it answers."""
        log = self.folder / "mirror.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=clean_environment(self.home, **variables),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.addCleanup(process.wait, 30)
        self.addCleanup(process.terminate)

        def answers() -> bool:
            assert process.poll() is None, log.read_text()
            try:
                return ask(port, "GET", "/")[0] < 500
            except OSError:
                return False

        wait_until(answers, log.read_text, PATIENCE)

    def install(self, simple: str) -> Path:
        target = self.folder / "target"
        command = (environment("pip"), "-m", "pip", "install", "--no-cache-dir")
        self.run_client(*command, "--target", target, "-i", simple, self.app)
        return target


class DevpiRows(Mirroring):
    """A mirror index of devpi, which reads pages and keeps files.

    devpi-server 6.20 sends the password of a ``mirror_url`` as it stands in the
    address, escapes included (``MirrorStage.http_headers`` in its mirror.py): it is no
    row for passwords that need some.
    """

    def test_devpi(self) -> None:
        python, port = environment("devpi-server"), free_port()
        where = ("--serverdir", str(self.folder / "devpi"))
        self.run_client(script("devpi-init", python), *where, "--no-root-pypi")
        command = (script("devpi-server", python), *where, "--port", str(port))
        self.serve(command, port)
        _, answer = ask(port, "POST", "/+login", {"user": "root", "password": ""})
        password = answer["result"]["password"]
        token = f"root:{password}"
        made, text = ask(
            port,
            "PUT",
            "/root/ours",
            {"type": "mirror", "volatile": False, "mirror_url": self.simple},
            {"X-Devpi-Auth": _base64(token)},
        )
        self.assertEqual(made, 200, text)
        self.assert_installed(
            self.install(f"http://127.0.0.1:{port}/root/ours/+simple/")
        )


class ProxpiRows(Mirroring):
    """A cache in memory."""

    def test_proxpi(self) -> None:
        python, port = environment("proxpi"), free_port()
        command = (
            *(python, "-m", "flask", "--app", "proxpi.server", "run"),
            *("--host", "127.0.0.1", "--port", str(port)),
        )
        self.serve(command, port, PROXPI_INDEX_URL=self.simple)
        self.assert_installed(self.install(f"http://127.0.0.1:{port}/index/"))


def ask(
    port: int,
    method: str,
    path: str,
    value: object = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[int, Any]:
    """Send a request of JSON, and return the status and what it was answered with."""
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    fields = {"Accept": "application/json", **(headers or {})}
    body = None
    if value is not None:
        body, fields["Content-Type"] = json.dumps(value), "application/json"
    connection.request(method, path, body, fields)
    response = connection.getresponse()
    data = response.read()
    connection.close()
    try:
        return response.status, json.loads(data)
    except ValueError:
        return response.status, data.decode(errors="replace")


def _base64(text: str) -> str:
    return b64encode(text.encode()).decode()


class FolderTokenTests(DevpiRows, ProxpiRows, cells.FolderToken):
    pass


class BucketBasicTests(ProxpiRows, cells.BucketBasic):
    pass


class BucketTokenTests(DevpiRows, cells.BucketToken):
    pass


if cells.every_column():

    class FolderNoneTests(DevpiRows, ProxpiRows, cells.FolderNone):
        pass

    class FolderBasicTests(ProxpiRows, cells.FolderBasic):
        pass

    class BucketNoneTests(DevpiRows, ProxpiRows, cells.BucketNone):
        pass

    class BucketTokenProxpiTests(ProxpiRows, cells.BucketToken):
        pass


test_suite = apart(__name__)
