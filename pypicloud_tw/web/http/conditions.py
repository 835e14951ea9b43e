"""A request's conditions (RFC 9110, section 13), from its header fields."""

from __future__ import annotations

from datetime import datetime

from pypicloud_tw.errors import ConditionFailed
from pypicloud_tw.web.answers import joined
from pypicloud_tw.web.http.site import Request
from pypicloud_tw.web.negotiation import is_as_required, is_not_modified

_REQUIREMENTS = frozenset((b"If-Match", b"If-Unmodified-Since"))
_VALIDATORS = frozenset((b"If-None-Match", b"If-Modified-Since"))


def single(request: Request, name: bytes) -> bytes | None:
    """Give the value of a header field that has one; where several came, there is none.

    So say RFC 9110, sections 13.1.3 and 13.1.4, of dates; and of ranges, section 14.2.
    """
    values = request.requestHeaders.getRawHeaders(name)
    return values[0] if values is not None and len(values) == 1 else None


def requires(request: Request) -> bool:
    """Tell whether the client wants an answer about something certain only."""
    return request.has_any(_REQUIREMENTS)


def check_required(request: Request, etag: bytes, modified: datetime | None) -> None:
    """Judge what is required; to be asked before :func:`is_known`.

    :param etag: of what would be sent, with its quotes.
    :param modified: its Last-Modified; aware.
    :raises ConditionFailed: it is not what the client requires.
    """
    match = joined(request, b"If-Match")
    if not is_as_required(
        match, etag, single(request, b"If-Unmodified-Since"), modified
    ):
        raise ConditionFailed(
            "This is not the one that If-Match or If-Unmodified-Since requires."
        )


def is_known(request: Request, etag: bytes, modified: datetime | None) -> bool:
    """Tell whether the client has it already, and is answered 304.

    :param etag: of what would be sent, with its quotes.
    :param modified: its Last-Modified; aware.
    """
    if not request.has_any(_VALIDATORS):
        return False  # nearly always, and quicker
    tags = joined(request, b"If-None-Match")
    since = single(request, b"If-Modified-Since") if tags is None else None
    return is_not_modified(tags, etag, since, modified)
