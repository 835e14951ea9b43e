"""Zips written by hand, in which every field may lie (APPNOTE.TXT, 4.3)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

from attrs import evolve, field, frozen

from tests.builders import WHEEL, metadata, record

Fields = Mapping[str, Any]

FULL16, FULL32 = 0xFFFF, 0xFFFFFFFF

#: A directory's flag for: sizes and CRC follow the data; the name is UTF-8.
DESCRIBED, UTF8 = 0x08, 0x800


def _raw(name: str | bytes) -> bytes:
    return name if isinstance(name, bytes) else name.encode()


def deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def extra(kind: int, content: bytes) -> bytes:
    """One extra field."""
    return struct.pack("<HH", kind, len(content)) + content


def sizes(*values: int) -> bytes:
    """ZIP64's extra field: size, packed size and more, as far as given."""
    return extra(0x0001, b"".join(struct.pack("<Q", value) for value in values))


@frozen
class Part:
    """One member, true but for what is put in otherwise.

    :ivar local: fields of its header that are other than in truth: name, flags, method,
        crc, packed, size, extra.
    :ivar listed: the same of the directory, which has also needed, disk, attributes and
        header.
    :ivar packed: its data as it stands in the zip.
    :ivar before: bytes before its header, and ``after`` behind its data.
    :ivar is_listed: it is in the directory.
    """

    name: str | bytes
    data: bytes = b""
    flags: int = 0
    method: int = 8
    local: Fields = field(factory=dict)
    listed: Fields = field(factory=dict)
    packed: bytes | None = None
    before: bytes = b""
    after: bytes = b""
    is_listed: bool = True

    @property
    def content(self) -> bytes:
        if self.packed is not None:
            return self.packed
        return deflate(self.data) if self.method == 8 else self.data

    @property
    def fields(self) -> dict[str, Any]:
        return {
            "name": _raw(self.name),
            "flags": self.flags,
            "method": self.method,
            "crc": zlib.crc32(self.data),
            "packed": len(self.content),
            "size": len(self.data),
            "extra": b"",
        }

    def header(self) -> bytes:
        """Write the local header."""
        f = {**self.fields, **self.local}
        fixed = struct.pack(
            "<4s5H3L2H", b"PK\3\4", 20, f["flags"], f["method"], 0, 33,
            f["crc"], f["packed"], f["size"], len(_raw(f["name"])), len(f["extra"]),
        )  # fmt: skip
        return fixed + _raw(f["name"]) + bytes(f["extra"])

    def entry(self, at: int) -> bytes:
        """Write the directory's entry of a member whose header is at *at*."""
        more = {
            "disk": 0, "attributes": 0o100644 << 16, "header": at, "comment": b"",
            "needed": 20,
        }  # fmt: skip
        f = {**self.fields, **more, **self.listed}
        fixed = struct.pack(
            "<4s6H3L5H2L", b"PK\1\2", 0x31E, f["needed"], f["flags"], f["method"],
            0, 33, f["crc"], f["packed"], f["size"], len(_raw(f["name"])),
            len(f["extra"]), len(f["comment"]), f["disk"], 0, f["attributes"],
            f["header"],
        )  # fmt: skip
        return fixed + _raw(f["name"]) + bytes(f["extra"]) + bytes(f["comment"])


def described(part: Part, layout: str = "<4sLLL", **changes: Any) -> Part:
    """Have the sizes and CRC follow the data, as a packer does that streams."""
    true = {**part.fields, **changes}
    values = [true["crc"], true["packed"], true["size"]]
    signed = [b"PK\7\x08", *values] if "s" in layout else values
    return evolve(
        part,
        flags=part.flags | DESCRIBED,
        local={"crc": 0, "packed": 0, "size": 0, **part.local},
        after=struct.pack(layout, *signed),
    )


def build(
    parts: Iterable[Part],
    *,
    first: bytes = b"",
    gap: bytes = b"",
    end: Fields | None = None,
    end64: Fields | None = None,
    between: bytes = b"",
    comment: bytes = b"",
    last: bytes = b"",
) -> bytes:
    """Write a zip.

    :param first: bytes before everything; ``gap`` before the directory, ``between``
        behind it, ``last`` at the end.
    :param end: fields of the end that are other than in truth: disk, start_disk, here,
        count, length, start.
    :param end64: write a ZIP64 end, too; with its fields, and those of its locator.
    """
    body, directory = bytearray(first), bytearray()
    for part in parts:
        body += part.before
        if part.is_listed:
            directory += part.entry(len(body))
        body += part.header() + part.content + part.after
    body += gap
    count = sum(part.is_listed for part in parts)
    true = {
        "disk": 0, "start_disk": 0, "here": count, "count": count,
        "length": len(directory), "start": len(body),
    }  # fmt: skip
    body += directory + between
    if end64 is not None:
        wide = {
            **true,
            "rest": 44,
            "where": len(body),
            "disks": 1,
            "more": b"",
            **end64,
        }
        body += struct.pack(
            "<4sQ2H2L4Q", b"PK\6\6", wide["rest"], 45, 45, wide["disk"],
            wide["start_disk"], wide["here"], wide["count"], wide["length"],
            wide["start"],
        )  # fmt: skip
        body += wide["more"]
        body += struct.pack("<4sLQL", b"PK\6\7", 0, wide["where"], wide["disks"])
    f = {**true, **(end or {})}
    body += struct.pack(
        "<4s4H2LH", b"PK\5\6", f["disk"], f["start_disk"], f["here"], f["count"],
        f["length"], f["start"], len(comment),
    )  # fmt: skip
    return bytes(body + comment + last)


def wheel_parts(
    *extra: Part,
    name: str = "acme",
    version: str = "1.0",
    folder: str | None = None,
    core_metadata: bytes | None = None,
    wheel_file: bytes | None = WHEEL,
    entry_points: bytes | None = None,
    record_file: bytes | None = None,
    has_record: bool = True,
) -> list[Part]:
    """The members of a wheel with a RECORD of them: *extra*, then ``.dist-info``.

    :param record_file: another RECORD than the true one.
    """
    folder = folder or f"{name}-{version}.dist-info"
    core_metadata = metadata(name, version) if core_metadata is None else core_metadata
    parts = [*extra, Part(f"{folder}/METADATA", core_metadata)]
    if wheel_file is not None:
        parts.append(Part(f"{folder}/WHEEL", wheel_file))
    if entry_points is not None:
        parts.append(Part(f"{folder}/entry_points.txt", entry_points))
    if has_record:
        named = [(p.name, p.data) for p in parts if isinstance(p.name, str)]
        true = record(named, folder)
        parts.append(Part(f"{folder}/RECORD", record_file or true))
    return parts
