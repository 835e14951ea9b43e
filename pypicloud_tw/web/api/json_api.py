"""What every route of /api/v1/ shares: JSON in and out, conditions, bounds.

Errors become problems (RFC 9457) where all errors are answered.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import sha256
from typing import Any, TypeVar, get_args

from pypicloud_tw.access.administration.values import Changed, Required
from pypicloud_tw.concurrency.pieces import Pieces
from pypicloud_tw.errors import BadRequest, UnsupportedMediaType
from pypicloud_tw.json_values import (
    NotAsDeclared,
    from_bytes,
    to_bytes,
    to_bytes_in_steps,
)
from pypicloud_tw.web.answers import measured
from pypicloud_tw.web.http.conditions import check_required, is_known
from pypicloud_tw.web.http.fields import joined, refuse_content_coding
from pypicloud_tw.web.http.site import Request

T = TypeVar("T")

#: Bytes that a request may have: a group of 5,000 users has half of it.
MAX_BODY = 128 * 1024

_TYPE = re.compile(rb"application/(?:[\w.-]+\+)?json\s*(?:;.*)?", re.IGNORECASE)
#: Stands in an ETag behind the state that a change can require.
_BEHIND_STATE = "."

_NUMBER = re.compile(r"[0-9]{1,9}")

#: A strong one; weak ones do not promise that it is the same (RFC 9110, 13.1.1).
_TAG = re.compile(rb'(?<!W/)"([^"]*)"')


async def read_json(request: Request, kind: type[T], most: int = MAX_BODY) -> T:
    """Read a request's body.

    :param most: bytes that it may have.
    :raises UnsupportedMediaType: it is said to be something else than JSON. A page of
        another site cannot have a browser send JSON without asking us first.
    :raises BadRequest: it is not of that form; the message names the field.
    :raises PayloadTooLarge: it is longer.
    """
    if _TYPE.fullmatch(request.getHeader(b"Content-Type") or b"") is None:
        raise UnsupportedMediaType(
            "Send JSON here, and say so: Content-Type: application/json."
        )
    refuse_content_coding(request)
    data = await request.body.whole(most)
    try:
        return from_bytes(kind, data)
    except NotAsDeclared as e:
        raise BadRequest(str(e)) from None


def send_value(request: Request, value: object, state: str | None = None) -> bytes:
    """Answer a GET.

    :param state: of what can be changed, which the ETag begins with; the rest is of the
        value, which may have more in it.
    :raises ConditionFailed: it is not what the client requires.
    """
    return _send(request, to_bytes(value), state or "")


async def send_long(
    request: Request, value: object, state: str, pieces: Pieces
) -> bytes:
    """Answer a GET with an object of long lists; parameters as of :func:`send_value`.

    :param pieces: writes it with pauses.
    """
    return _send(request, await pieces.finish(to_bytes_in_steps(value)), state)


async def send_list(
    request: Request, values: Iterable[object], pieces: Pieces
) -> bytes:
    """Answer a GET with a list, which may be long; errors as of :func:`send_value`.

    :param pieces: writes it with pauses.
    """
    written = await pieces.collect(map(to_bytes, values))
    return _send(request, b'{"items": [%b]}' % b", ".join(written), "")


def send_changed(request: Request, changed: Changed) -> bytes:
    """Answer a PUT, PATCH or DELETE."""
    request.setResponseCode(201 if changed.made else 200)
    if changed.state is not None:
        request.setHeader(b"ETag", f'"{changed.state}"'.encode())
    return _body(request, to_bytes(changed))


def send_done(request: Request, value: object, state: str) -> bytes:
    """Answer with what came of an act.

    :param state: of what it was done to; the ETag, for the next act to require.
    """
    request.setHeader(b"ETag", f'"{state}"'.encode())
    return _body(request, to_bytes(value))


def send_answer(request: Request, value: object) -> bytes:
    """Answer a POST with what it asked for, or what came of it."""
    return _body(request, to_bytes(value))


def send_made(request: Request, value: object) -> bytes:
    """Answer a POST that made something."""
    request.setResponseCode(201)
    return _body(request, to_bytes(value))


def required(request: Request) -> Required:
    """Return what the client requires of what it changes (RFC 9110, section 13.1).

    :raises BadRequest: it requires what cannot be required here.
    """
    match, none_match = joined(request, b"If-Match"), joined(request, b"If-None-Match")
    if none_match is not None and none_match.strip() != b"*":
        raise BadRequest("If-None-Match can only be * with a change; use If-Match.")
    if match is None:
        return Required(absent=none_match is not None)
    if match.strip() == b"*":
        return Required(absent=none_match is not None, present=True)
    tags = frozenset(
        tag.decode("latin-1").partition(_BEHIND_STATE)[0] for tag in _TAG.findall(match)
    )
    return Required(absent=none_match is not None, states=tags)


def parameter(request: Request, name: str) -> str | None:
    """Return a parameter of the query; None: it is not there, or empty.

    :raises BadRequest: it is there twice, or is not UTF-8.
    """
    values = request.args.get(name.encode(), [])
    if len(values) > 1:
        raise BadRequest(f"Give {name} once.")
    try:
        return values[0].decode() or None if values else None
    except UnicodeDecodeError:
        raise BadRequest(f"The parameter {name} is not UTF-8 text.") from None


def number(request: Request, name: str, usual: int, most: int) -> int:
    """Return a parameter of the query that is a number.

    :raises BadRequest: it is none from 1 to *most*.
    """
    text = parameter(request, name)
    if text is None:
        return usual
    # Longer ones are too large, and int() takes other digits as well.
    if _NUMBER.fullmatch(text) and 1 <= int(text) <= most:
        return int(text)
    raise BadRequest(f"The {name} is a number from 1 to {most}.")


def word(request: Request, name: str, words: Any) -> Any:
    """Understand a parameter that is one of some words; an empty one says nothing.

    :raises BadRequest: it is none of them.
    """
    found = parameter(request, name)
    if found is not None and found not in get_args(words):
        raise BadRequest(f"The {name} is one of {', '.join(get_args(words))}.")
    return found


def _send(request: Request, body: bytes, state: str) -> bytes:
    digest = sha256(body).hexdigest()[:16]
    etag = f'"{state}{_BEHIND_STATE}{digest}"'.encode()
    check_required(request, etag, None)
    request.setHeader(b"ETag", etag)
    if is_known(request, etag, None):
        request.setResponseCode(304)
        return b""
    return _body(request, body)


def _body(request: Request, body: bytes) -> bytes:
    request.setHeader(b"Content-Type", b"application/json")
    # Who may see it, and what it is, can change at any time.
    request.setHeader(b"Cache-Control", b"no-store")
    return measured(request, body)
