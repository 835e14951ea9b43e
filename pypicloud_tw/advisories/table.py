"""All advisories in a few large byte strings, looked up by bisection.

50,000 records are 15 MB so; as objects they would be 200 MB, and half a second of the
reactor to receive from a helper.
"""

from __future__ import annotations

import json
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import zstandard
from attrs import field, frozen

from pypicloud_tw.advisories.values import (
    NO_DIGESTS,
    Advisory,
    MaliciousDigests,
    Severity,
    VersionRange,
)
from pypicloud_tw.json_documents import DAMAGED, compact

_FORMAT = 1


@frozen
class SortedLines:
    """Texts by key, a line each, sorted by their keys.

    :ivar data: ``key TAB text LF`` for each.
    """

    data: bytes = field(default=b"", repr=False)
    _starts: array[int] = field(init=False, repr=False, eq=False)

    @_starts.default
    def _find_starts(self) -> array[int]:
        starts, at = array("Q"), 0
        while at < len(self.data):
            starts.append(at)
            at = self.data.index(b"\n", at) + 1
        return starts

    def __len__(self) -> int:
        return len(self._starts)

    def __iter__(self) -> Iterator[str]:
        return map(self._key, range(len(self)))

    def __contains__(self, key: object) -> bool:
        """Return whether there is such a key."""
        return isinstance(key, str) and self.get(key) is not None

    def get(self, key: str) -> bytes | None:
        """Return the text of a key."""
        # Strangers ask, too: half a surrogate pair is in no key.
        wanted = key.encode(errors="replace")
        at = bisect_left(range(len(self)), wanted, key=self._raw_key)
        if at == len(self) or self._key(at) != key:
            return None
        start = self._starts[at]
        end = self.data.index(b"\n", start)
        return self.data[self.data.index(b"\t", start) + 1 : end]

    def _raw_key(self, at: int) -> bytes:
        start = self._starts[at]
        return self.data[start : self.data.index(b"\t", start)]

    def _key(self, at: int) -> str:
        return self._raw_key(at).decode()


@frozen
class AdvisoryTable:
    """What a source says of every project.

    :ivar projects: JSON of each project's advisories, by its name.
    :ivar ids: the names of the projects that each record speaks of, by its id.
    :ivar digests: of malicious files.
    :ivar records: that were read, of any ecosystem.
    :ivar skipped: records that could not be read.
    """

    projects: SortedLines = field(factory=SortedLines)
    ids: SortedLines = field(factory=SortedLines)
    digests: MaliciousDigests = NO_DIGESTS
    records: int = 0
    skipped: int = 0

    def of(self, name: str) -> tuple[Advisory, ...]:
        """Return the advisories of a project."""
        text = self.projects.get(name)
        return () if text is None else tuple(map(_advisory, json.loads(text)))

    def named(self, identifier: str) -> tuple[Advisory, ...]:
        """Return what the record of an id says, of each project."""
        text = self.ids.get(identifier)
        names = [] if text is None else text.decode().split(" ")
        return tuple(
            one for name in names for one in self.of(name) if one.id == identifier
        )

    @classmethod
    def decode(cls, data: bytes, limit: int) -> AdvisoryTable | None:
        """Read what :meth:`TableMaker.encode` wrote; None: a newer version did.

        For a thread: most of it is decompression, without the GIL.

        :param limit: bytes that each part may have.
        :raises ValueError: it is damaged.
        """
        try:
            head, _, rest = data.partition(b"\n")
            told = json.loads(head)
            if told["_format"] > _FORMAT:
                return None
            parts = []
            for size in told["parts"]:
                unpack = zstandard.ZstdDecompressor().decompressobj()
                part = unpack.decompress(rest[:size])
                if len(part) > limit or not unpack.eof:
                    raise ValueError("a part of it is too large, or cut short")
                parts.append(part)
                rest = rest[size:]
            projects, ids, digests, of_digests = parts
            return cls(
                SortedLines(projects),
                SortedLines(ids),
                MaliciousDigests(digests, of_digests.decode()),
                int(told["records"]),
                int(told["skipped"]),
            )
        except zstandard.ZstdError as e:
            raise ValueError(f"it is damaged: {e}") from None
        except DAMAGED as e:
            raise ValueError(f"it is damaged: {type(e).__name__}") from None


class TableMaker:
    """Collects advisories, as compactly as the table has them."""

    def __init__(self) -> None:
        self._projects: dict[str, list[bytes]] = {}
        self._ids: dict[str, set[str]] = {}
        self._digests: dict[str, str] = {}
        self.records = self.skipped = 0

    def add(self, advisories: Iterable[Advisory]) -> None:
        """Add what one record says.

        :raises ValueError: it has text that is none; nothing of it was added.
        """
        told = [(one, compact(_told(one))) for one in advisories]
        self.records += 1
        for one, text in told:
            self._projects.setdefault(one.project, []).append(text)
            self._ids.setdefault(one.id, set()).add(one.project)
            for sha256 in one.sha256s:
                self._digests.setdefault(sha256, one.id)

    def encode(self) -> bytes:
        """Write all of it, compressed, and forget it.

        In pieces, for the whole of it is several times what it is compressed.
        """
        digests = sorted(self._digests.items())
        projects = self._projects
        parts = [
            _packed(
                b"%b\t[%b]\n" % (name.encode(), b",".join(sorted(projects.pop(name))))
                for name in sorted(projects)
            ),
            _packed(
                f"{one}\t{' '.join(sorted(names))}\n".encode()
                for one, names in sorted(self._ids.items())
            ),
            _packed(bytes.fromhex(digest) for digest, _ in digests),
            _packed(["\n".join(one for _, one in digests).encode()]),
        ]
        head = compact(
            {
                "_format": _FORMAT,
                "records": self.records,
                "skipped": self.skipped,
                "parts": [len(part) for part in parts],
            }
        )
        return b"".join((head, b"\n", *parts))


def _packed(pieces: Iterable[bytes]) -> bytes:
    packer = zstandard.ZstdCompressor(level=3).compressobj()
    packed = [packer.compress(piece) for piece in pieces]
    return b"".join((*packed, packer.flush()))


def _told(one: Advisory) -> dict[str, Any]:
    """Make JSON of an advisory; what is as it mostly is, is left out."""
    told: dict[str, Any] = {"id": one.id, "project": one.project}
    if one.summary:
        told["summary"] = one.summary
    if one.aliases:
        told["aliases"] = one.aliases
    if one.malware:
        told["malware"] = True
    if one.severity:
        told["severity"] = int(one.severity)
    if one.versions:
        told["versions"] = sorted(one.versions)
    if one.ranges:
        told["ranges"] = [
            (piece.introduced, piece.fixed, piece.last_affected, piece.limit)
            for piece in one.ranges
        ]
    if one.sha256s:
        told["sha256s"] = sorted(one.sha256s)
    if one.fixed:
        told["fixed"] = one.fixed
    if one.published is not None:
        told["published"] = one.published
    if one.modified:
        told["modified"] = one.modified
    return told


def _advisory(told: Mapping[str, Any]) -> Advisory:
    return Advisory(
        told["id"],
        told["project"],
        told.get("summary", ""),
        tuple(told.get("aliases", ())),
        told.get("malware", False),
        Severity(told.get("severity", 0)),
        frozenset(told.get("versions", ())),
        tuple(VersionRange(*piece) for piece in told.get("ranges", ())),
        frozenset(told.get("sha256s", ())),
        tuple(told.get("fixed", ())),
        told.get("published"),
        told.get("modified", ""),
    )
