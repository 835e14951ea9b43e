"""A request's conditions (RFC 9110, section 13)."""

from __future__ import annotations

import re
from datetime import datetime

from pypicloud_tw.errors import ConditionFailed
from pypicloud_tw.web.http.fields import joined, parse_http_date, single
from pypicloud_tw.web.http.request import Request

_ENTITY_TAG = re.compile(rb'(W/)?("[^"]*")')

_REQUIREMENTS = frozenset((b"If-Match", b"If-Unmodified-Since"))
_VALIDATORS = frozenset((b"If-None-Match", b"If-Modified-Since"))


def requires(request: Request) -> bool:
    """Return whether the client wants one certain version or none."""
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
    """Return whether the client has it already, and is answered 304.

    :param etag: of what would be sent, with its quotes.
    :param modified: its Last-Modified; aware.
    """
    if not request.has_any(_VALIDATORS):
        return False  # nearly always, and quicker
    tags = joined(request, b"If-None-Match")
    since = single(request, b"If-Modified-Since") if tags is None else None
    return is_not_modified(tags, etag, since, modified)


def is_not_modified(
    if_none_match: bytes | None,
    etag: bytes,
    if_modified_since: bytes | None = None,
    modified: datetime | None = None,
) -> bool:
    """Return whether a GET or HEAD is answered 304 (RFC 9110, section 13.2.2).

    :param etag: of the representation chosen, with its quotes.
    :param modified: its Last-Modified; aware.
    """
    if if_none_match is not None:
        # The date is ignored where there is a tag, even one that does not match.
        return _matches(if_none_match, etag)
    if if_modified_since is None or modified is None:
        return False
    since = parse_http_date(if_modified_since)
    return since is not None and modified.replace(microsecond=0) <= since


def _matches(field_value: bytes, etag: bytes) -> bool:
    if field_value == etag or field_value.strip() == b"*":
        return True
    # Weakly (section 8.8.3.2): proxies that compress make strong tags weak.
    opaque = etag.removeprefix(b"W/")
    return any(tag == opaque for _, tag in _ENTITY_TAG.findall(field_value))


def is_as_required(
    if_match: bytes | None,
    etag: bytes,
    if_unmodified_since: bytes | None = None,
    modified: datetime | None = None,
) -> bool:
    """Return whether the client's requirement holds; if not, the answer is 412.

    RFC 9110, section 13.2.2: asked before :func:`is_not_modified`.

    :param etag: strong, with its quotes.
    :param modified: its Last-Modified; aware.
    """
    if if_match is not None:
        # Strongly (section 13.1.1), and the date is ignored.
        found = _ENTITY_TAG.findall(if_match)
        return if_match.strip() == b"*" or (b"", etag) in found
    if if_unmodified_since is None or modified is None:
        return True
    since = parse_http_date(if_unmodified_since)
    return since is None or modified.replace(microsecond=0) <= since
