"""Range and If-Range -> which bytes to send (RFC 9110, section 14). Pure."""

from __future__ import annotations

import re
from datetime import datetime

from pypicloud_tw.errors import RangeNotSatisfiable
from pypicloud_tw.store.interfaces import ByteRange
from pypicloud_tw.web.http.fields import parse_http_date

# Range units are case-insensitive (section 14.1).
# Possessive: between "=" and "-" there may be 16 kB of blanks, which could otherwise be
# divided in as many ways (1 s of the reactor).
_SINGLE = re.compile(rb"\s*+bytes\s*+=\s*+(\d*+)\s*+-\s*+(\d*+)\s*+", re.IGNORECASE)

#: Positions of more digits lie behind the end of every file; Python refuses to read
#: numbers of more than 4,300 digits, and they would cost time before that.
_DIGITS = 30


def resolve(
    range_header: bytes | None,
    if_range: bytes | None,
    size: int,
    etag: bytes,
    modified: datetime | None,
) -> ByteRange | None:
    """Return which bytes a GET asks for; None means all of them, with 200.

    Only a single range is served as one. A server may ignore the field (section 14.2),
    and does where it is malformed, in another unit, or asks for several ranges.

    :param size: bytes of the whole.
    :param etag: strong, with its quotes.
    :raises RangeNotSatisfiable: no byte of the range exists.
    """
    if range_header is None or not _still_the_same(if_range, etag, modified):
        return None
    match = _SINGLE.fullmatch(range_header)
    if match is None:
        return None
    first, last = match.groups()
    if not first:
        return _suffix(last, size)
    start = _number(first)
    stop = _number(last) + 1 if last else size
    if stop <= start and last:
        return None  # section 14.1.2: the last before the first is invalid
    if start >= size:
        raise _unsatisfiable(size)
    return ByteRange(start, min(stop, size))


def content_range(part: ByteRange, size: int) -> bytes:
    """Write the Content-Range field's value of a 206 (section 14.4)."""
    return b"bytes %d-%d/%d" % (part.start, part.stop - 1, size)


def _suffix(length: bytes, size: int) -> ByteRange | None:
    if not length or size == 0:
        # "bytes=-" is malformed; the last bytes of nothing are the whole, which
        # Content-Range cannot express.
        return None
    count = _number(length)
    if count == 0:
        raise _unsatisfiable(size)
    return ByteRange(max(0, size - count), size)


def _number(digits: bytes) -> int:
    return int(digits[:_DIGITS]) if len(digits) <= _DIGITS else 10**_DIGITS


def _still_the_same(
    if_range: bytes | None, etag: bytes, modified: datetime | None
) -> bool:
    """Judge If-Range (section 13.1.5): strongly, and a date only if it is the very one.

    A part is worth sending only if it fits to what the client has.
    """
    if if_range is None:
        return True
    value = if_range.strip()
    if value.startswith((b'"', b"W/")):
        return value == etag and not etag.startswith(b"W/")
    if modified is None:
        return False
    return parse_http_date(value) == modified.replace(microsecond=0)


def _unsatisfiable(size: int) -> RangeNotSatisfiable:
    return RangeNotSatisfiable(
        f"This file has {size} bytes; none of those asked for is among them.", size
    )
