"""Servers that are measured: this one, in its variants, and nginx, the yardstick."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from enum import Enum
from itertools import count
from pathlib import Path
from typing import Protocol

from attrs import define, field, frozen

from benchmarks import conditions, corpus, pages, processes, redirects, servers
from benchmarks.clients import Headers
from benchmarks.figures import YARDSTICK
from benchmarks.variants import Variant
from pypicloud_tw import __version__
from pypicloud_tw.config.hashes import make_context


class Setup(Enum):
    """How a server is run."""

    OPEN = "everyone may read"
    GUARDED = "who reads logs in"
    EMPTY = "uploads into an empty folder"
    SIGNED = "files in a bucket"
    SLOW_PASSWORDS = "passwords by sha256_crypt"


def nobody() -> Headers:
    """Give no header fields: nobody logs in."""
    return ()


@frozen
class Target:
    """A server that runs, and what to ask of it.

    :ivar simple: where its pages are.
    :ivar projects: how many of the corpus's ordinary projects it has.
    :ivar slow: whether more connections would only wait, and one form is warmed.
    :ivar warmed: of how many pages, if it is slow; those that it keeps.
    :ivar files: addresses that are answered by 302.
    :ivar behind: processes beside its own that count as it, too.
    """

    port: int
    pid: int
    simple: str = "/simple/"
    projects: int = len(corpus.ORDINARY)
    upload: str = "/legacy/"
    slow: bool = False
    warmed: int = len(corpus.ORDINARY)
    files: Sequence[str] = ()
    basic: Callable[[], Headers] = nobody
    token: Callable[[], Headers] = nobody
    behind: Sequence[int] = ()

    @property
    def worked(self) -> float:
        """The processor's seconds that it took since it began."""
        return sum(map(processes.worked, (self.pid, *self.behind)))

    @property
    def highest(self) -> int:
        """The bytes that it had resident at most."""
        return sum(map(processes.highest, (self.pid, *self.behind)))

    @property
    def connections(self) -> int:
        """How many are used at once."""
        return 2 if self.slow else 16

    @property
    def ordinary(self) -> list[str]:
        """The pages of 20 files."""
        return [self.page(path) for path in pages.ORDINARY[: self.projects]]

    def page(self, path: str) -> str:
        """Tell where it has what is at *path* in ours."""
        return self.simple + path.removeprefix("/simple/")


class Contestant(Protocol):
    """A server that is measured.

    :ivar promises: what an answer of 200 to an upload means.
    :ivar cannot: why rows are left out, by their keys.
    """

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def promises(self) -> str: ...
    @property
    def cannot(self) -> Mapping[str, str]: ...

    def running(self, setup: Setup) -> AbstractContextManager[Target]:
        """Run it until the block ends.

        :raises RuntimeError: it does not start.
        """
        ...


@frozen
class Place:
    """Where the benchmark has its things.

    :ivar folder: for this run.
    :ivar cache: what other runs use, too.
    :ivar token: the header fields of a token that lies in the corpus's store.
    """

    folder: Path
    cache: Path
    made: corpus.Corpus
    token: Headers
    _numbers: Iterator[int] = field(factory=count)

    def new_folder(self, name: str) -> Path:
        """Make a folder that is empty."""
        folder = self.folder / f"{name}-{next(self._numbers)}"
        folder.mkdir()
        return folder


@frozen
class Ours:
    """This server, with access log and metrics, and rights in force.

    :ivar proxied: whether a proxy on this machine asks it.
    """

    place: Place
    variant: Variant = field(factory=Variant)
    proxied: bool = False
    version: str = __version__
    promises: str = "the file, its metadata and the index are synced to the disk"
    cannot: Mapping[str, str] = field(factory=dict)

    @property
    def name(self) -> str:
        """See :class:`Contestant`."""
        return self.variant.name

    @contextmanager
    def running(self, setup: Setup) -> Iterator[Target]:
        """See :class:`Contestant`."""
        if setup is Setup.SIGNED:
            with self._on_bucket() as target:
                yield target
            return
        store, settings = self.place.made.store, conditions.many_rights()
        if self.proxied:
            settings["pypi.trusted_proxies"] = "127.0.0.1"
        if setup is Setup.GUARDED:
            settings["pypi.default_read"] = "authenticated"
        elif setup is Setup.SLOW_PASSWORDS:
            slow = make_context().handler("sha256_crypt")
            settings["user.old"] = slow.hash("right")
            # What is measured is checking, not refusing to check.
            settings["auth.max_failures"] = "1000000"
        elif setup is Setup.EMPTY:
            store = self.place.new_folder("ours-store")
            settings["pypi.default_write"] = "authenticated"
        with self._serve(conditions.keys_of(store) | settings) as target:
            yield target

    @contextmanager
    def _on_bucket(self) -> Iterator[Target]:
        settings = dict(redirects.our_bucket(self.place.made.store))
        with self._serve(
            conditions.common_keys() | conditions.many_rights() | settings
        ) as target:
            files = redirects.addresses(target.port)
            yield Target(target.port, target.pid, files=files)

    def _environment(self) -> Mapping[str, str]:
        checkout = self.variant.checkout
        return {} if checkout is None else {"PYTHONPATH": str(checkout)}

    @contextmanager
    def _serve(self, settings: Mapping[str, str]) -> Iterator[Target]:
        port = servers.free_port()
        with servers.ours(
            self.place.folder,
            {**settings, **self.variant.settings},
            port,
            programs=self.variant.programs,
            environment=self._environment(),
            options=self.variant.options,
        ) as process:
            yield Target(
                port,
                process.pid,
                basic=lambda: conditions.LOGGED_IN,
                token=lambda: self.place.token,
            )


def find_nginx() -> str | None:
    """Find the program; Debian keeps it where only root looks."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")


@define
class Nginx:
    """nginx over files of the same bytes.

    :ivar program: its path.
    """

    place: Place
    program: str
    name: str = YARDSTICK
    promises: str = ""
    _root: Path | None = field(default=None, init=False)

    @property
    def version(self) -> str:
        """See :class:`Contestant`."""
        done = subprocess.run([self.program, "-v"], capture_output=True, text=True)
        return done.stderr.strip().rpartition("/")[2]

    @property
    def cannot(self) -> Mapping[str, str]:
        """See :class:`Contestant`."""
        uploads = dict.fromkeys(
            ("upload-1", "upload-8", "upload-32"), "it takes no uploads"
        )
        return {
            **uploads,
            "log-ins": "its passwords are SHA-1's",
            "start": "it reads nothing when it starts",
        }

    @contextmanager
    def running(self, setup: Setup) -> Iterator[Target]:
        """See :class:`Contestant`."""
        port = servers.free_port()
        with servers.nginx(
            self.place.folder,
            self._pages(),
            port,
            log_in=setup is Setup.GUARDED,
        ) as process:
            files = [f"/packages/project-000/{n:016x}/a.whl" for n in range(1000)]
            logged_in = lambda: conditions.LOGGED_IN  # noqa: E731  # short
            yield Target(
                port, process.pid, files=files, basic=logged_in, token=logged_in
            )

    def _pages(self) -> Path:
        """Save what ours serves, once."""
        if self._root is None:
            root = self.place.new_folder("root")
            with Ours(self.place).running(Setup.OPEN) as ours:
                pages.save_pages(ours.port, root)
            self._root = root
        return self._root


def machine() -> Mapping[str, str | int]:
    """Describe the machine, without its name."""
    model = ""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    memory = int(Path("/proc/meminfo").read_text().split()[1])
    return {
        "processor": model or platform.machine(),
        "cores": len(_cores()),
        "memory_gb": round(memory / 2**20),
        "system": platform.system(),
        "python": platform.python_version(),
    }


def _cores() -> set[int]:
    return os.sched_getaffinity(0)
