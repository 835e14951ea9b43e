"""A server that runs, as a client and an operator see it."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import NamedTuple

from attrs import define, field, frozen

from benchmarks import servers
from pypicloud_tw.access.hashes import hash_password

#: Seconds between two tries while a server starts.
_PAUSE = 0.01

#: Seconds after which the server may have closed a connection.
_KEPT = 5.0

_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
_TICKS = os.sysconf("SC_CLK_TCK")


class Answer(NamedTuple):
    """What a request came to."""

    status: int
    body: bytes
    seconds: float


@frozen
class Counters:
    """What ``/metrics`` says: numbers by name and labels."""

    values: Mapping[tuple[str, str], float]

    @classmethod
    def parse(cls, text: str) -> Counters:
        """Read the text format."""
        return cls(
            {(name, labels): float(v) for name, labels, v in _SAMPLE.findall(text)}
        )

    def since(self, before: Counters) -> Counters:
        """Return by how much each has grown."""
        return Counters(
            {key: v - before.values.get(key, 0.0) for key, v in self.values.items()}
        )

    def by(self, name: str, label: str) -> dict[str, int]:
        """Add up a counter by one of its labels; what is 0 is left out."""
        found: dict[str, int] = {}
        for (its_name, labels), value in self.values.items():
            told = re.search(rf'{label}="([^"]*)"', labels)
            if its_name == name and told and value:
                found[told[1]] = found.get(told[1], 0) + int(value)
        return found

    def longest(self, name: str) -> str:
        """Tell between which bounds the largest value of a histogram lies, in ms."""
        buckets = sorted(
            (float(labels[4:-1]), count)
            for (its_name, labels), count in self.values.items()
            if its_name == f"{name}_bucket"
        )
        lower, upper, before, total = 0.0, 0.0, 0.0, 0.0
        for bound, count in buckets:
            if count > total:
                lower, upper, total = before, bound, count
            before = bound
        return f"{lower * 1e3:.0f}-{upper * 1e3:.0f} ms"

    def above(self, name: str, bound: float) -> int:
        """Count the values of a histogram above one of its bounds."""
        within = self.values.get((f"{name}_bucket", f'le="{bound}"'), 0.0)
        return int(self.values.get((f"{name}_count", ""), 0.0) - within)


@define
class Served:
    """A server under measurement.

    :ivar began: when its process was started, by the monotonic clock.
    """

    process: subprocess.Popen[bytes]
    port: int
    began: float
    _connection: HTTPConnection | None = field(default=None, init=False)
    _used: float = field(default=0.0, init=False)

    def ask(
        self,
        path: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Ask on a connection that is kept.

        :raises OSError: it does not listen.
        """
        began = time.monotonic()
        if self._connection is None or began - self._used > _KEPT:
            self._connection = HTTPConnection("127.0.0.1", self.port, timeout=600)
        self._used = began
        try:
            self._connection.request(method, path, body, dict(headers or {}))
            answer = self._connection.getresponse()
            data = answer.read()
        except (OSError, HTTPException):
            self._connection = None
            raise
        return Answer(answer.status, data, time.monotonic() - began)

    def until(
        self,
        path: str,
        headers: Mapping[str, str] | None = None,
        patience: float = 300,
    ) -> float:
        """Ask until it is answered with 200; return the seconds since the start.

        :raises RuntimeError: it never is.
        """
        while time.monotonic() < self.began + patience:
            try:
                if self.ask(path, headers=headers).status == 200:
                    return time.monotonic() - self.began
            except (OSError, HTTPException):
                if self.process.poll() is not None:
                    raise RuntimeError("The server has ended.") from None
            time.sleep(_PAUSE)
        raise RuntimeError(f"{path} is never answered")

    def counters(self) -> Counters:
        """Read its metrics."""
        headers = {"Authorization": servers.authorization()}
        answer = self.ask("/metrics", headers=headers)
        if answer.status != 200:
            raise RuntimeError(f"/metrics: {answer.status}")
        return Counters.parse(answer.body.decode())

    @property
    def pid(self) -> int:
        """Of its process."""
        return self.process.pid

    @property
    def resident(self) -> float:
        """Its resident set, in MB; without that of its helpers."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    @property
    def worked(self) -> float:
        """Seconds of the processor that it and the helpers that have ended took."""
        text = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, text[11:15])) / _TICKS


@contextmanager
def serving(folder: Path, settings: Mapping[str, str], **more: str) -> Iterator[Served]:
    """Run a server; it is given as soon as it is started."""
    port = servers.free_port()
    began = time.monotonic()
    keys = {
        **settings,
        "pypi.fallback": "none",
        "pypi.default_read": "everyone",
        f"user.{servers.USER}": hash_password(servers.PASSWORD),
        "auth.admins": servers.USER,
        **{name.replace("__", "."): value for name, value in more.items()},
    }
    with servers.ours(folder, keys, port, ready=None) as process:
        yield Served(process, port, began)
