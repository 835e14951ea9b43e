"""Header fields: values of a request's, and how HTTP writes dates."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import TYPE_CHECKING

from pypicloud_tw.errors import UnsupportedMediaType

if TYPE_CHECKING:
    # Helper processes that render pages import this module, and no reactor.
    from twisted.web.iweb import IRequest

#: For every answer: its type is what Content-Type says, and other sites do not hear
#: which page led to them (what is private may stand in its address).
GUARDS = (
    (b"X-Content-Type-Options", b"nosniff"),
    (b"Referrer-Policy", b"same-origin"),
)

_TIME, _MONTH = rb"[0-9]{2}:[0-9]{2}:[0-9]{2}", rb"[A-Z][a-z]{2}"

# RFC 9110, section 5.6.7: IMF-fixdate, and what came before it. The library reads more
# than that, up to two dates as the first of them.
_HTTP_DATE = re.compile(
    rb"[A-Z][a-z]{2}, [0-9]{2} %(month)b [0-9]{4} %(time)b GMT"
    rb"|[A-Z][a-z]{5,8}, [0-9]{2}-%(month)b-[0-9]{2} %(time)b GMT"
    rb"|[A-Z][a-z]{2} %(month)b [ 0-9][0-9] %(time)b [0-9]{4}"
    % {b"month": _MONTH, b"time": _TIME}
)


def lines(fields: tuple[tuple[bytes, bytes], ...]) -> bytes:
    """Write header fields, each with its CR LF."""
    return b"".join(b"%b: %b\r\n" % one for one in fields)


def joined(request: IRequest, name: bytes) -> bytes | None:
    """Return a header field's value; those of several by one name are joined."""
    return one_value(request.requestHeaders.getRawHeaders(name))


def one_value(values: Sequence[bytes] | None) -> bytes | None:
    """Join the values of a field that may have come several times."""
    if not values:
        return None
    return values[0] if len(values) == 1 else b", ".join(values)


def single(request: IRequest, name: bytes) -> bytes | None:
    """Return the value of a header field that came once; None where several came.

    So say RFC 9110, sections 13.1.3 and 13.1.4, of dates; and of ranges, section 14.2.
    """
    values = request.requestHeaders.getRawHeaders(name)
    return values[0] if values is not None and len(values) == 1 else None


def refuse_content_coding(request: IRequest) -> None:
    """Return if a request's body comes as it is.

    :raises UnsupportedMediaType: it is compressed, or coded otherwise.
    """
    coding = joined(request, b"Content-Encoding") or b"identity"
    if coding.strip().lower() != b"identity":
        raise UnsupportedMediaType(
            "Send it as it is: no Content-Encoding is read here."
        )


def http_date(moment: datetime) -> bytes:
    """Write an instant as HTTP does, in whole seconds (RFC 9110, section 5.6.7)."""
    return format_datetime(moment.astimezone(UTC), usegmt=True).encode()


def parse_http_date(value: bytes) -> datetime | None:
    """Read an instant in any of HTTP's three formats; None if it is none."""
    if _HTTP_DATE.fullmatch(value) is None:
        return None
    try:
        moment = parsedate_to_datetime(value.decode())
        # The formats without a zone are in GMT by definition.
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
