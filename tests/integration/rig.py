"""A real server in a process of its own, and a clean place for its clients to run in.

Everything is bounded in time, listens on 127.0.0.1 only, and is gone after the test.
The server's processes stay in the test run's process group, so whoever ends the run
ends them too.
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import ssl
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any, Protocol

from attrs import define, field, frozen
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.hashes import hash_password

#: Seconds until a server that was started must answer, and one that is stopped end: so
#: many for machines that are slow and busy; no test waits for their end.
PATIENCE = 60.0

#: Seconds that one client may take.
CLIENT_PATIENCE = 120.0

#: Below what Linux gives to connections by default (net.ipv4.ip_local_port_range).
PORTS = (15_000, 32_000)

#: How many ports are kept from other test runs at once.
_CLAIMS = 100

CHECKOUT = Path(__file__).parents[2]

#: Who may write in every index made here.
USER, PASSWORD = "alice", "correct horse"


@frozen
class Answer:
    """What came of one request."""

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        return json.loads(self.body)


@frozen
class Outcome:
    """What came of a client that was run."""

    code: int
    output: str


def free_port() -> int:
    """Find a port that nobody listens on just now.

    It is none of those that the system gives to connections: a server that is killed
    and started again would find it taken now and then. Nor is it given to another test
    run beside this one, as long as this process lives.
    """
    while True:
        port = random.randrange(*PORTS)
        claim = socket.socket(type=socket.SOCK_DGRAM)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            # What nobody here uses of the port says that it is taken.
            claim.bind(("127.0.0.1", port))
            _keep(claim)
            return port
        claim.close()


def _keep(claim: socket.socket) -> None:
    claims = _claims()
    claims.append(claim)
    # By then a server listens there, or none will.
    if len(claims) > _CLAIMS:
        claims.pop(0).close()


@cache
def _claims() -> list[socket.socket]:
    return []


def clean_environment(home: Path, **more: str) -> dict[str, str]:
    """Make an environment in which no setting of this machine reaches a program.

    Neither indexes nor certificates nor proxies that are set for pip, uv and twine
    here are meant for our server.
    """
    kept = ("PATH", "LANG", "LC_ALL", "TMPDIR")
    return {
        **{name: os.environ[name] for name in kept if name in os.environ},
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_CACHE_HOME": str(home / "cache"),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
        "UV_PYTHON_DOWNLOADS": "never",
        "PYTHONNOUSERSITE": "1",
        "NO_COLOR": "1",
        **more,
    }


def script(name: str, python: str = sys.executable) -> str:
    """Find a command that is installed beside *python*.

    :raises AssertionError: it is not installed.
    """
    path = Path(python).parent / name
    assert path.exists(), f"{name} is missing: pip install -e '.[test,integration]'"
    return str(path)


def handed(listening: socket.socket) -> dict[str, Any]:
    """Have ``pypicloud serve`` started as systemd does that listens for it.

    :return: options of :class:`Server`.
    """
    program = (
        "import os, sys; os.dup2(int(sys.argv[1]), 3); "
        "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1', "
        "LISTEN_FDNAMES='pypicloud'); os.execv(sys.argv[2], sys.argv[2:])"
    )
    fileno = listening.fileno()
    return {
        "launcher": (sys.executable, "-c", program, str(fileno), script("pypicloud")),
        "command": ("serve",),
        "options": ("--listen=systemd:domain=INET:name=pypicloud",),
        "pass_fds": (fileno,),
    }


def run(
    command: Sequence[str | Path],
    *,
    home: Path,
    cwd: Path | None = None,
    patience: float = CLIENT_PATIENCE,
    **environment: str,
) -> Outcome:
    """Run a client in a clean environment to its end."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd or home,
        env=clean_environment(home, **environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=patience,
        check=False,
    )
    return Outcome(done.returncode, done.stdout.decode(errors="replace"))


def wait_until(
    true: Callable[[], object], what: Callable[[], str], patience: float = PATIENCE
) -> None:
    """Ask again and again, for a bounded time.

    :param what: tells what is known, if that time passes.
    """
    until = time.monotonic() + patience
    while not true():
        assert time.monotonic() < until, f"After {patience:.0f} s: {what()}"
        time.sleep(0.02)


def health_by_socket(path: Path, log: Callable[[], str]) -> bytes:
    """Ask for ``/health`` at a Unix socket, once somebody listens; give the answer.

    :param log: tells what is known, if nobody does for long.
    """
    with socket.socket(socket.AF_UNIX) as client:
        # It is there a moment before anybody listens at it.
        wait_until(lambda: client.connect_ex(str(path)) == 0, log)
        client.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        return client.recv(4096)


class Process(Protocol):
    """What is asked of a server's process; a :class:`subprocess.Popen` has it."""

    def poll(self) -> int | None: ...
    def wait(self, timeout: float) -> int: ...
    def send_signal(self, number: int) -> None: ...
    def kill(self) -> None: ...


@define(eq=False)
class Server:
    """A server on a folder, started, stopped, killed and started again.

    :ivar folder: its own, with the ini, the store and the log.
    :ivar settings: keys of ``[app:main]``.
    :ivar launcher: the program, and its options: twistd by default.
    :ivar command: the program's, which serves.
    :ivar options: of that command, beside ``--config``.
    :ivar listen: the ini's port is used unless an endpoint is given.
    :ivar pass_fds: descriptors that it has beside those of its own.
    :ivar patience: seconds that it has for each answer.
    """

    folder: Path
    settings: dict[str, str] = field(factory=dict)
    launcher: Sequence[str] = ()
    command: Sequence[str] = ("pypicloud",)
    options: Sequence[str] = ()
    environment: Mapping[str, str] = field(factory=dict)
    pass_fds: Sequence[int] = ()
    cwd: Path | None = None
    scheme: str = "http"
    patience: float = PATIENCE
    port: int = field(factory=free_port)
    process: Process | None = field(default=None, init=False)

    @property
    def store(self) -> Path:
        return self.folder / "store"

    @property
    def config(self) -> Path:
        return self.folder / "server.ini"

    @property
    def log_file(self) -> Path:
        return self.folder / "server.log"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def url_with_password(self) -> str:
        password = PASSWORD.replace(" ", "%20")
        return f"{self.scheme}://{USER}:{password}@127.0.0.1:{self.port}"

    @property
    def simple(self) -> str:
        return f"{self.url}/simple/"

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def configure(self, **settings: str) -> None:
        """Write the ini; dots in keys are written as they are, by ``**{...}``."""
        self.settings.update(settings)
        app = {"storage.dir": str(self.store), **self.settings}
        lines = ["[app:main]", *(f"{k} = {v}" for k, v in app.items())]
        lines += ["[server:main]", "host = 127.0.0.1", f"port = {self.port}"]
        self.config.write_text("\n".join(lines) + "\n")

    def start(self, *, ready: bool = True) -> None:
        """Start it, and by default wait until it is ready."""
        launcher = self.launcher or (script("twistd"), "-n", "--pidfile=")
        config = f"--config={self.config}"
        command = [*launcher, *self.command, config, *self.options]
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.cwd or self.folder,
                env=clean_environment(home, **self.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=self.pass_fds,
            )
        if ready:
            self.wait()

    def wait(self) -> None:
        """Wait until it is ready, for a bounded time."""
        wait_until(self.is_ready, lambda: self.log)

    def is_ready(self, *, or_dead: bool = False) -> bool:
        """Whether it says so.

        :param or_dead: it may have ended as well.
        :raises AssertionError: it has ended instead.
        """
        assert self.process is not None, "not started"
        code = self.process.poll()
        if or_dead and code is not None:
            return True
        assert code is None, f"The server ended with {code}:\n{self.log}"
        try:
            return self.get("/ready").status == 200
        except OSError:
            return False

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it the polite way.

        :raises AssertionError: it does not end, or not cleanly.
        """
        assert self.process is not None, "not started"
        self.process.send_signal(number)
        self.ended(number)

    def ended(self, number: int) -> None:
        """Wait for the end that a signal has brought.

        :raises AssertionError: it does not come, or in no good order.
        """
        assert self.process is not None, "not started"
        code = self.process.wait(PATIENCE)
        # When all is done twistd sends the signal to itself again, as it should be
        # (https://www.cons.org/cracauer/sigint.html). What has started it says the same
        # in its own words: uvx does as shells do.
        assert code in (0, -number, 128 + number), (
            f"The server ended with {code}:\n{self.log}"
        )
        assert "Main loop terminated." in self.log, self.log

    def kill(self) -> None:
        """End it as a loss of power would, if it has not ended."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(PATIENCE)

    def connect(self, timeout: float | None = None) -> HTTPConnection:
        """Make a connection of one's own.

        :param timeout: None: as its answers have.
        """
        if timeout is None:
            timeout = self.patience
        if self.scheme == "https":
            return HTTPSConnection(
                "127.0.0.1", self.port, timeout=timeout, context=self.context()
            )
        return HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def context(self) -> ssl.SSLContext:
        """Say how clients speak TLS with it."""
        return ssl._create_unverified_context()

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one request over a connection of its own."""
        connection = self.connect()
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return Answer(
                response.status,
                response.reason,
                {name.lower(): value for name, value in response.getheaders()},
                response.read(),
            )
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        """Send a GET."""
        return self.request("GET", path, headers=headers)

    def document(self, project: str, **headers: str) -> Any:
        """Read a project's page as JSON (PEP 691)."""
        headers["Accept"] = "application/vnd.pypi.simple.v1+json"
        answer = self.get(f"/simple/{project}/", **headers)
        assert answer.status == 200, answer
        return answer.json()

    def upload(
        self, file: Path, *, path: str = "/", authorization: str | None = None
    ) -> Answer:
        """Upload a file with the fewest fields that are taken."""
        name, version = file.name.split("-")[:2]
        fields = {
            ":action": "file_upload",
            "name": name,
            "version": version.removesuffix(".tar.gz"),
        }
        body, content_type = form(fields, file.name, file.read_bytes())
        headers = {
            "Authorization": authorization or basic(),
            "Content-Type": content_type,
        }
        return self.request("POST", path, body, headers)


@cache
def hashed() -> str:
    """Hash :data:`PASSWORD` once for all servers: it takes as long as it should."""
    return hash_password(PASSWORD)


def basic(user: str = USER, password: str = PASSWORD) -> str:
    """Make the value of an Authorization header (RFC 7617)."""
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


def form(
    fields: Mapping[str, str], filename: str | None = None, content: bytes = b""
) -> tuple[bytes, str]:
    """Make a multipart form (RFC 7578) and its Content-Type."""
    boundary = "-----------------------------7f3a9c1e"
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
        f"{value}\r\n".encode()
        for name, value in fields.items()
    ]
    if filename is not None:
        parts.append(
            f'--{boundary}\r\nContent-Disposition: form-data; name="content"; '
            f'filename="{filename}"\r\nContent-Type: application/octet-stream\r\n\r\n'
            "".encode()
            + content
            + b"\r\n"
        )
    parts.append(f"--{boundary}--\r\n".encode())
    return b"".join(parts), f"multipart/form-data; boundary={boundary}"


class IntegrationTestCase(SynchronousTestCase):
    """A test with a folder of its own, and servers that end with it."""

    def setUp(self) -> None:
        self.folder = self.make_folder()
        self.home = self.folder / "client-home"
        self.home.mkdir()

    def make_folder(self) -> Path:
        """Make a folder that is removed after the test."""
        # Outside of trial's own: its path is short enough for a socket's name, and
        # a user who is nobody may enter.
        folder = Path(mkdtemp(prefix="pypicloud-test-"))
        self.addCleanup(rmtree, folder, ignore_errors=True)
        return folder

    def server(self, *, start: bool = True, **options: Any) -> Server:
        """Make a server that :data:`USER` may write to, and start it.

        :param options: of :class:`Server`.
        """
        settings = options.pop("settings", {})
        folder = options.pop("folder", None) or self.make_folder()
        server = Server(folder, **options)
        server.configure(
            **{
                f"user.{USER}": hashed(),
                # Nothing that is asked for here is asked of the world.
                "pypi.use_fallback": "false",
                "server.grace": "5s",
                **settings,
            }
        )
        self.addCleanup(server.kill)
        if start:
            server.start()
        return server

    def run_client(self, *command: str | Path, **options: Any) -> str:
        """Run a client that must succeed, and tell its output."""
        outcome = run(command, home=self.home, **options)
        self.assertEqual(outcome.code, 0, f"{command}:\n{outcome.output}")
        return outcome.output

    def run_failing(self, *command: str | Path, **options: Any) -> str:
        """Run a client that must fail, and tell its output."""
        outcome = run(command, home=self.home, **options)
        self.assertNotEqual(outcome.code, 0, f"{command}:\n{outcome.output}")
        return outcome.output
