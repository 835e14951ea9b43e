"""Other servers of packages, each in an environment of its own."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import field, frozen

from benchmarks import corpus, redirects, servers, small_wheels
from benchmarks.clients import Headers
from benchmarks.conditions import LOGGED_IN
from benchmarks.contestants import Contestant, Ours, Place, Setup, Target

#: What is installed for each, in the order of the table.
PACKAGES: Mapping[str, tuple[str, ...]] = {
    "pypiron": ("pypiron",),
    # With what its documentation recommends: a cache of the folder, and a server.
    "pypiserver": ("pypiserver[passlib,cache]", "waitress", "setuptools<81"),
    "devpi": ("devpi-server",),
    "proxpi": ("proxpi", "gunicorn"),
}

_UPLOADS = ("upload-1", "upload-8", "upload-32")
_LOG_INS = {"log-ins": "its passwords are its own"}


def programs(cache: Path, name: str) -> Path | None:
    """Find a peer's programs; None, if it is not installed."""
    folder = cache / name / "bin"
    return folder if (folder / _PROGRAMS[name]).exists() else None


def install(cache: Path, name: str) -> Path:
    """Install a peer into an environment of its own."""
    return servers.install(cache / name, *PACKAGES[name])


def make(place: Place, name: str, programs: Path) -> Contestant:
    """Make the contestant of an installed peer."""
    return _CLASSES[name](place, programs)


@frozen
class Pypiron:
    """pypiron: its pages come from its memory; of reads it writes no access log."""

    place: Place
    programs: Path
    name: str = "pypiron"
    promises: str = (
        "the bytes of the file are synced; its name, metadata and index are not"
    )
    cannot: Mapping[str, str] = field(
        factory=lambda: {
            **_LOG_INS,
            "page-5000": "it is not filled with 5,000 files of one project",
        }
    )

    @property
    def version(self) -> str:
        """See :class:`Contestant`."""
        return installed(self.programs, "pypiron")

    @contextmanager
    def running(self, setup: Setup) -> Iterator[Target]:
        """See :class:`Contestant`."""
        if setup is Setup.SIGNED:
            with self._on_bucket() as target:
                yield target
            return
        if setup is Setup.EMPTY:
            data = self.place.new_folder("pypiron")
        else:
            data = self._filled()
        with self._serve(["--data-dir", str(data), *_guard(setup)]) as target:
            yield target

    @contextmanager
    def _on_bucket(self) -> Iterator[Target]:
        options = [
            *("--buckets", f"s3://{redirects.empty_bucket()}"),
            *("--s3-endpoint-url", redirects.endpoint(), "--s3-force-path-style"),
            *("--artifact-delivery", "redirect"),
        ]
        with self._serve(options, redirects.environment()) as target:
            sizes = {name: corpus.ORDINARY[name] for name in redirects.PROJECTS}
            fill(target, sizes)
            files = until(lambda: redirects.addresses(target.port), 1000)
            yield Target(target.port, target.pid, files=files)

    def _filled(self) -> Path:
        """Fill a folder by uploads, unless another run did."""

        def fill_it(data: Path) -> None:
            with self._serve(["--data-dir", str(data)]) as target:
                sizes = {**corpus.ORDINARY, corpus.LARGE: corpus.SIZES[corpus.LARGE]}
                fill(target, sizes)
                last = target.page(f"/simple/{corpus.LARGE}/")
                until(lambda: listed(target.port, last), corpus.SIZES[corpus.LARGE])

        return filled_once(self.place.cache / f"pypiron-{self.version}-data", fill_it)

    @contextmanager
    def _serve(
        self, options: list[str], environment: Mapping[str, str] | None = None
    ) -> Iterator[Target]:
        port = servers.free_port()
        command = [
            *(str(self.programs / "pypiron"), "serve", *options),
            *("--bind-addr", f"127.0.0.1:{port}", "--advisory-feed", ""),
            *("--uploader-user", servers.USER, "--uploader-pass", servers.PASSWORD),
        ]
        log = self.place.new_folder("pypiron-log") / "log"
        with servers.running(command, port, "/health", log, environment) as process:
            yield Target(
                port,
                process.pid,
                basic=lambda: LOGGED_IN,
                token=lambda: _mint(port),
            )


def _guard(setup: Setup) -> list[str]:
    if setup is not Setup.GUARDED:
        return []
    return [
        *("--read-user", "somebody", "--read-pass", "else"),
        *("--token-signing-key", "0123456789abcdef" * 4),
    ]


def _mint(port: int) -> Headers:
    """Ask for a token; it holds for five minutes."""
    answer = ask(port, "POST", "/tokens", {}, dict(LOGGED_IN))
    shown = base64.b64encode(f"__token__:{answer['token']}".encode()).decode()
    return (("Authorization", f"Basic {shown}"),)


@frozen
class Pypiserver:
    """pypiserver over a folder of the same files."""

    place: Place
    programs: Path
    name: str = "pypiserver"
    promises: str = "nothing is synced"
    cannot: Mapping[str, str] = field(
        factory=lambda: {
            **_LOG_INS,
            "token": "it has no tokens",
            "gzip-1000": "it compresses nothing",
            "302": "it sends the files itself",
        }
    )

    @property
    def version(self) -> str:
        """See :class:`Contestant`."""
        return installed(self.programs, "pypiserver")

    @contextmanager
    def running(self, setup: Setup) -> Iterator[Target]:
        """See :class:`Contestant`."""
        folder = self.place.new_folder("pypiserver")
        passwords = folder / "passwords"
        servers.write_passwords(passwords)
        guards = {
            Setup.GUARDED: "list,download,update",
            Setup.EMPTY: "update",
        }
        guard = ["-P", str(passwords), "-a", guards[setup]] if setup in guards else []
        files = self.place.made.flat
        if setup is Setup.EMPTY:
            files = folder / "files"
            files.mkdir()
        port = servers.free_port()
        command = [
            *(str(self.programs / "pypi-server"), "run", "-i", "127.0.0.1"),
            *("-p", str(port), "--disable-fallback"),
            *(guard or ["-P", ".", "-a", "."]),
            str(files),
        ]
        with servers.running(command, port, "/", folder / "log") as process:
            yield Target(
                port,
                process.pid,
                upload="/",
                slow=True,
                warmed=1,
                basic=lambda: LOGGED_IN,
            )


@frozen
class Devpi:
    """devpi-server, with an index of its own and without a mirror."""

    place: Place
    programs: Path
    name: str = "devpi"
    promises: str = "its database is synced by SQLite's rules, the file is not"
    cannot: Mapping[str, str] = field(
        factory=lambda: {
            **_LOG_INS,
            "basic": "anybody may read its indexes",
            "token": "anybody may read its indexes",
            "302": "it sends the files itself",
            **dict.fromkeys(
                ("page-1000", "gzip-1000", "page-5000"),
                "at some five uploads a second it is not filled with as many files",
            ),
        }
    )

    #: It takes minutes to fill it with more.
    projects: int = 20
    files: int = 20

    @property
    def version(self) -> str:
        """See :class:`Contestant`."""
        return installed(self.programs, "devpi-server")

    @contextmanager
    def running(self, setup: Setup) -> Iterator[Target]:
        """See :class:`Contestant`."""
        if setup is Setup.EMPTY:
            data = self.place.new_folder("devpi") / "data"
            self._prepare(data)
        else:
            less = "" if self.files == 20 else f"x{self.files}"
            name = f"devpi-{self.version}-data-{self.projects}{less}"
            data = filled_once(self.place.cache / name, self._fill)
        with self._serve(data) as target:
            yield target

    def _fill(self, data: Path) -> None:
        self._prepare(data)
        names = list(corpus.ORDINARY)[: self.projects]
        with self._serve(data) as target:
            # On a busy machine it fails under several at once.
            fill(target, dict.fromkeys(names, self.files), at_once=1)

    def _prepare(self, data: Path) -> None:
        """Make a database with a user and an index."""
        secret = data.with_name(f"{data.name}.secret")
        for command in (
            ["devpi-init", "--serverdir", str(data), "--no-root-pypi"],
            ["devpi-gen-secret", "--secretfile", str(secret)],
        ):
            run([str(self.programs / command[0]), *command[1:]])
        with self._serve(data) as target:
            user = {"password": servers.PASSWORD}
            ask(target.port, "PUT", f"/{servers.USER}", user)
            who = {"user": servers.USER, **user}
            answer = ask(target.port, "POST", "/+login", who)
            token = f"{servers.USER}:{answer['result']['password']}"
            shown = base64.b64encode(token.encode()).decode()
            index = {"type": "stage", "bases": []}
            path = f"/{servers.USER}/main"
            ask(target.port, "PUT", path, index, {"X-Devpi-Auth": shown})

    @contextmanager
    def _serve(self, data: Path) -> Iterator[Target]:
        port = servers.free_port()
        command = [
            *(str(self.programs / "devpi-server"), "--serverdir", str(data)),
            *("--host", "127.0.0.1", "--port", str(port)),
            *("--secretfile", str(data.with_name(f"{data.name}.secret"))),
        ]
        log = self.place.new_folder("devpi-log") / "log"
        with servers.running(command, port, "/+api", log) as process:
            yield Target(
                port,
                process.pid,
                simple=f"/{servers.USER}/main/+simple/",
                projects=self.projects,
                upload=f"/{servers.USER}/main/",
                slow=True,
            )


@frozen
class Proxpi:
    """proxpi in front of ours, as its own container runs it; it has pages of others."""

    place: Place
    programs: Path
    name: str = "proxpi"
    promises: str = ""
    cannot: Mapping[str, str] = field(
        factory=lambda: {
            **_LOG_INS,
            **dict.fromkeys(_UPLOADS, "it takes no uploads"),
            "basic": "nobody can log in",
            "token": "nobody can log in",
            "302": "it sends to the upstream what it has not kept",
        }
    )

    @property
    def version(self) -> str:
        """See :class:`Contestant`."""
        return installed(self.programs, "proxpi")

    @contextmanager
    def running(self, setup: Setup) -> Iterator[Target]:
        """See :class:`Contestant`."""
        folder, port = self.place.new_folder("proxpi"), servers.free_port()
        command = [
            *(str(self.programs / "gunicorn"), "--preload", "--threads=2"),
            *("--access-logfile=-", f"--bind=127.0.0.1:{port}", "proxpi.server:app"),
        ]
        with Ours(self.place).running(Setup.OPEN) as upstream:
            environment = {
                "PROXPI_INDEX_URL": f"http://127.0.0.1:{upstream.port}/simple/",
                "PROXPI_CACHE_DIR": str(folder),
                # gunicorn keeps a socket there.
                "HOME": str(folder),
            }
            log = folder / "log"
            with servers.running(command, port, "/", log, environment) as process:
                yield Target(port, process.pid, simple="/index/", slow=True)


_CLASSES: Mapping[str, Callable[[Place, Path], Contestant]] = {
    "pypiron": Pypiron,
    "pypiserver": Pypiserver,
    "devpi": Devpi,
    "proxpi": Proxpi,
}

_PROGRAMS = {
    "pypiron": "pypiron",
    "pypiserver": "pypi-server",
    "devpi": "devpi-server",
    "proxpi": "gunicorn",
}


def installed(programs: Path, package: str) -> str:
    """Tell a package's version."""
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    done = run([str(programs / "python"), "-c", code])
    return done.stdout.strip()


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a program to its end.

    :raises RuntimeError: it failed.
    """
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {done.stderr.strip()[-500:]}")
    return done


def fill(target: Target, sizes: Mapping[str, int], at_once: int = 4) -> None:
    """Upload the corpus."""
    small_wheels.send(
        target.port, target.upload, small_wheels.filling(dict(sizes)), at_once=at_once
    )


def filled_once(data: Path, fill_it: Callable[[Path], None]) -> Path:
    """Fill a folder, unless an earlier run did to the end."""
    done = data.with_name(f"{data.name}.complete")
    if not done.exists():
        if data.exists():
            raise RuntimeError(f"{data} was not filled to the end: remove it")
        data.parent.mkdir(parents=True, exist_ok=True)
        fill_it(data)
        done.touch()
    return data


def listed(port: int, path: str) -> list[str]:
    """Tell the files that a page in HTML lists."""
    request = urllib.request.Request(  # loopback
        f"http://127.0.0.1:{port}{path}", headers={"Accept": "text/html"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return re.findall(r"<a ", answer.read().decode())


def until(ask_again: Callable[[], list[str]], count: int) -> list[str]:
    """Ask until a list is long enough: an index may be written after the files.

    :raises RuntimeError: it never is.
    """
    for _ in range(300):
        try:
            found = ask_again()
        except OSError:
            found = []
        if len(found) >= count:
            return found
        time.sleep(0.2)
    raise RuntimeError(f"{len(found)} files are listed, not {count}")


def ask(
    port: int,
    method: str,
    path: str,
    value: object,
    headers: Mapping[str, str] | None = None,
) -> Any:
    """Send JSON, and read JSON."""
    request = urllib.request.Request(  # loopback
        f"http://127.0.0.1:{port}{path}",
        json.dumps(value).encode(),
        {"Content-Type": "application/json", **(headers or {})},
        method=method,
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)
