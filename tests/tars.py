"""Tars made byte by byte, as no library would write them."""

from __future__ import annotations

from collections.abc import Callable

from tests.builders import gzipped, metadata

TOP = b"acme-1.0/"
#: What ends a tar.
END = bytes(1024)
USTAR, GNU, OLD = b"ustar\x0000", b"ustar  \0", bytes(8)


def entry(
    name: bytes,
    data: bytes = b"",
    kind: bytes = b"0",
    link: bytes = b"",
    *,
    size: bytes | None = None,
    uid: bytes = b"0000000\0",
    mtime: bytes = b"00000000000\0",
    magic: bytes = USTAR,
    prefix: bytes = b"",
    checksum: Callable[[bytes], int] = sum,
) -> bytes:
    """A member: its header, and its data in whole blocks."""
    start = name.ljust(100, b"\0") + b"0000644\0" + uid + b"0000000\0"
    told = b"%011o\0" % len(data) if size is None else size
    owner = bytes(64) + b"0000000\0" * 2
    end = kind + link.ljust(100, b"\0") + magic + owner + prefix.ljust(167, b"\0")
    told_sum = checksum(start + told + mtime + b" " * 8 + end)
    header = start + told + mtime + b"%06o\0 " % told_sum + end
    return header + data + bytes(-len(data) % 512)


def record(key: bytes, value: bytes) -> bytes:
    """A record of a pax header, which tells its own length."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    return b"%d %s=%s\n" % (rest + len(str(length)), key, value)


def pax(*records: tuple[bytes, bytes], kind: bytes = b"x") -> bytes:
    """A pax header, for the next member or for all."""
    return entry(b"pax", b"".join(record(*one) for one in records), kind)


def long_name(name: bytes, kind: bytes = b"L") -> bytes:
    """A long name, or with "K" a long link, as GNU tar writes it."""
    return entry(b"././@LongLink", name + b"\0", kind, magic=GNU)


PKG_INFO = entry(TOP + b"PKG-INFO", metadata())


def source(*parts: bytes, end: bytes = END) -> bytes:
    """The bytes of a source archive that holds a PKG-INFO and more."""
    return gzipped(PKG_INFO + b"".join(parts) + end)
