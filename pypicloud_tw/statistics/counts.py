"""How often files were fetched on one day, and by what kinds of clients.

As a value, and as an object of the store.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from sys import intern
from typing import Any

import zstandard
from attrs import define, field

from pypicloud_tw.errors import BadRequest
from pypicloud_tw.index.names import Filename, NormalizedName
from pypicloud_tw.json_documents import DAMAGED, compact
from pypicloud_tw.statistics.agents import OTHER

FOLDER = ".stats/"
#: What the sum of a closed day is called, beside the objects of single servers.
SUM = "sum"

_FORMAT = 1
#: Bytes that a day may have, unpacked: 100,000 files of long names are 8 MB.
MAX_DAY = 256 * 2**20

#: Where what is too much is counted together: as a project, and as a file of it.
OTHERS = "(others)"

#: Kinds of clients that are told apart of a project and day: each minor version of pip
#: with each of Python and two systems are fewer, of those that are in use together.
MOST_CLIENTS = 50

#: Counts by something, by project.
Counts = dict[str, dict[str, int]]


@define(eq=True)
class DayCounts:
    """How often each file was fetched on a day, and by what.

    :ivar files: counts by filename, by project.
    :ivar clients: counts by the key of a :class:`~.agents.Client`, by project.
    :ivar covers: the servers whose objects are part of it, where it is a sum.
    :ivar version: of the server that counted; empty: a sum, or it does not say.
    """

    files: Counts = field(factory=dict)
    clients: Counts = field(factory=dict)
    covers: frozenset[str] = frozenset()
    version: str = field(default="", eq=False)

    @property
    def whole(self) -> bool:
        """Whether every file was counted by itself."""
        return OTHERS not in self.files

    @property
    def fetches(self) -> int:
        """All of them."""
        return sum(sum(files.values()) for files in self.files.values())

    def add(self, project: str, filename: str, count: int = 1) -> None:
        """Count a file once more, or so many times."""
        files = self.files.setdefault(project, {})
        files[filename] = files.get(filename, 0) + count

    def add_client(self, project: str, key: str, count: int = 1) -> None:
        """Count a fetch of a project by a kind of client, or so many."""
        add_client(self.clients, project, key, count)

    def add_all(self, other: DayCounts) -> None:
        """Add what another counted."""
        for project, filename, count in other:
            self.add(project, filename, count)
        add_clients(self.clients, other.clients)

    def __iter__(self) -> Iterator[tuple[str, str, int]]:
        """Give project, filename and count."""
        for project, files in self.files.items():
            for filename, count in files.items():
                yield project, filename, count

    def encode(self) -> bytes:
        """Write it, compressed; for a thread."""
        told: dict[str, Any] = {"files": self.files, "clients": self.clients}
        if self.covers:
            told["covers"] = sorted(self.covers)
        if self.version:
            told["version"] = self.version
        return pack({"_format": _FORMAT, **told})

    @classmethod
    def decode(cls, data: bytes) -> DayCounts | None:
        """Read what :meth:`encode` wrote; None: a newer version did. For a thread.

        :raises ValueError: it is damaged.
        """
        with damaged():
            told = unpack(data)
            if told["_format"] > _FORMAT:
                return None
            return cls(
                read_counts(told["files"]),
                read_counts(told.get("clients", {})),
                frozenset(map(str, told.get("covers", ()))),
                str(told.get("version", "")),
            )


def counting(objects: Mapping[str, DayCounts]) -> tuple[DayCounts, ...]:
    """Leave out the objects of a day, by their names, that its sum covers."""
    covered = objects[SUM].covers if SUM in objects else frozenset[str]()
    return tuple(counts for name, counts in objects.items() if name not in covered)


def summed(objects: Mapping[str, DayCounts]) -> DayCounts:
    """Sum a day's objects up, by their names; for a thread.

    Of a single object the sum is that itself.
    """
    if len(objects) == 1:
        return next(iter(objects.values()))
    result = DayCounts(covers=objects[SUM].covers if SUM in objects else frozenset())
    for counts in counting(objects):
        result.add_all(counts)
    return result


def key_of(day: str, name: str) -> str:
    """Where a day's object lies: of a server, or :data:`SUM`."""
    return f"{FOLDER}{day}/{name}"


def day_and_name(key: str) -> tuple[str, str] | None:
    """Read the day and the name in a key; None: it is none of ours."""
    parts = key.removeprefix(FOLDER).split("/")
    if not key.startswith(FOLDER) or len(parts) != 2:
        return None
    day, name = parts
    try:
        # Other spellings of a day there are (2026-W02-6): none is ours.
        return (day, name) if date.fromisoformat(day).isoformat() == day else None
    except ValueError:
        return None


def servers(names: Collection[str]) -> list[str]:
    """Leave out the sum of a day's objects."""
    return sorted(name for name in names if name != SUM)


def version_of(filename: str, project: str) -> str | None:
    """Return the version of a project's file; None: its name does not tell."""
    try:
        parsed = Filename.parse(filename, legacy=True, project=NormalizedName(project))
    except BadRequest:
        return None
    return None if parsed.version is None else str(parsed.version)


def day_of(seconds: float) -> str:
    """Return the day of an instant, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()


def days_before(day: str, days: int) -> str:
    """Return the day that was so many days before one."""
    return (date.fromisoformat(day) - timedelta(days=days)).isoformat()


def start_of(day: str) -> datetime:
    """Return when a day begins."""
    return datetime.combine(date.fromisoformat(day), time(), UTC)


def end_of(day: str) -> datetime:
    """Return when a day ends."""
    return start_of(day) + timedelta(days=1)


def add_client(counts: Counts, project: str, key: str, count: int) -> None:
    """Add to counts of clients; too many kinds of one project count together."""
    clients = counts.setdefault(project, {})
    if key not in clients and len(clients) >= MOST_CLIENTS:
        key = OTHER.key
    clients[key] = clients.get(key, 0) + count


def add_clients(counts: Counts, more: Counts) -> None:
    """Add all counts of clients, likewise."""
    for project, clients in more.items():
        for key, count in clients.items():
            add_client(counts, project, key, count)


def pack(told: object) -> bytes:
    """Write a document, compressed; for a thread."""
    return zstandard.ZstdCompressor(level=3).compress(compact(told))


def unpack(data: bytes) -> Any:
    """Read what :func:`pack` wrote, within :func:`damaged`."""
    unpacker = zstandard.ZstdDecompressor()
    return json.loads(unpacker.decompress(data, max_output_size=MAX_DAY))


@contextmanager
def damaged() -> Iterator[None]:
    """Say so where a document is not as it was written.

    :raises ValueError: it is not.
    """
    try:
        yield
    except (zstandard.ZstdError, *DAMAGED) as e:
        raise ValueError(f"it is damaged: {type(e).__name__}") from None


def read_counts(told: Mapping[str, Mapping[str, int]]) -> Counts:
    """Read counts by project; names are kept once, on however many days they stand."""
    return {
        intern(str(project)): {
            intern(str(name)): int(count) for name, count in counts.items()
        }
        for project, counts in told.items()
    }
