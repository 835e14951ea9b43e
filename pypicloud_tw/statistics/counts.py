"""How often files were fetched on one day, as a value and as an object of the store."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from datetime import date
from typing import Any

import zstandard
from attrs import define, field

from pypicloud_tw.json_documents import compact

FOLDER = ".stats/"
#: What the sum of a closed day is called, beside the objects of single servers.
SUM = "sum"

_FORMAT = 1
#: Bytes that a day may have, unpacked: 100,000 files of long names are 8 MB.
MAX_DAY = 256 * 2**20


@define(eq=True)
class DayCounts:
    """How often each file was fetched on a day.

    :ivar files: counts by filename, by project.
    :ivar covers: the servers whose objects are part of it, where it is a sum.
    """

    files: dict[str, dict[str, int]] = field(factory=dict)
    covers: frozenset[str] = frozenset()

    def add(self, project: str, filename: str, count: int = 1) -> None:
        """Count a file once more, or so many times."""
        files = self.files.setdefault(project, {})
        files[filename] = files.get(filename, 0) + count

    def add_all(self, other: DayCounts) -> None:
        """Add what another counted."""
        for project, filename, count in other:
            self.add(project, filename, count)

    def __iter__(self) -> Iterator[tuple[str, str, int]]:
        """Give project, filename and count."""
        for project, files in self.files.items():
            for filename, count in files.items():
                yield project, filename, count

    def encode(self) -> bytes:
        """Write it, compressed; for a thread."""
        told: dict[str, Any] = {"_format": _FORMAT, "files": self.files}
        if self.covers:
            told["covers"] = sorted(self.covers)
        return zstandard.ZstdCompressor(level=3).compress(compact(told))

    @classmethod
    def decode(cls, data: bytes) -> DayCounts | None:
        """Read what :meth:`encode` wrote; None: a newer version did. For a thread.

        :raises ValueError: it is damaged.
        """
        try:
            unpack = zstandard.ZstdDecompressor()
            told = json.loads(unpack.decompress(data, max_output_size=MAX_DAY))
            if told["_format"] > _FORMAT:
                return None
            return cls(
                _files(told["files"]), frozenset(map(str, told.get("covers", ())))
            )
        except (zstandard.ZstdError, KeyError, TypeError, AttributeError) as e:
            raise ValueError(f"it is damaged: {type(e).__name__}") from None


def summed(objects: Mapping[str, DayCounts]) -> DayCounts:
    """Sum a day's objects up, by their names; what a sum covers counts once."""
    whole = objects.get(SUM, DayCounts())
    result = DayCounts(covers=whole.covers)
    result.add_all(whole)
    for name, counts in objects.items():
        if name != SUM and name not in whole.covers:
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


def _files(told: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    return {
        str(project): {str(name): int(count) for name, count in files.items()}
        for project, files in told.items()
    }
