"""A record as a line of JSON (docs/reference/audit.rst has every field).

Every text is bounded, what looks like a secret is blotted out, and what is not ASCII is
escaped: nothing ends the line or steers a terminal.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import islice

from attrs import frozen

from pypicloud_tw.index.audit import Act, Actor
from pypicloud_tw.index.manifest import format_time
from pypicloud_tw.plain_texts import shortened
from pypicloud_tw.redaction import redacted

#: Characters of a text, and how many details of a proof. A CI job has some thirty
#: claims.
_LONGEST, _DETAILS = 1024, 48

#: Characters of a detail's name.
_LONGEST_NAME = 64

#: Bytes of a line that is understood: 58 of the longest texts, all of it escapes.
MAX_LINE = 768 * 1024


@frozen
class Download:
    """A file that was handed out.

    :ivar how: ``redirect`` to the store, ``streamed`` from it, ``cache`` (the
        upstream's, kept in the store), or ``relay`` (from the upstream).
    :ivar status: of the answer: 200, 206 or 302.
    :ivar sent: bytes of the file that were sent; 0 of a redirect.
    :ivar range: the Range field, where there was one.
    """

    actor: Actor
    project: str
    version: str | None
    file: str
    sha256: str | None
    how: str
    status: int
    sent: int
    range: str | None = None


def encode_act(act: Act, at: float) -> bytes:
    """Write a record.

    :param at: when it happened, in seconds since the epoch.
    """
    about = {
        "project": act.project,
        "version": act.version,
        "file": act.file,
        "sha256": act.sha256,
        "reason": act.reason,
    }
    begin = {"time": time_text(at), "act": act.act, "outcome": act.outcome}
    return _line({**begin, **_who(act.actor), **_texts(about)})


def encode_download(download: Download, at: float) -> bytes:
    """Write what was handed out; parameters as of :func:`encode_act`."""
    about = {
        "project": download.project,
        "version": download.version,
        "file": download.file,
        "sha256": download.sha256,
        "range": download.range,
        "how": download.how,
    }
    return _line(
        {
            "time": time_text(at),
            **_who(download.actor),
            **_texts(about),
            "status": download.status,
            "sent": download.sent,
        }
    )


def time_text(at: float) -> str:
    """Write an instant: ISO 8601 in UTC, so that texts are ordered as instants are."""
    return format_time(datetime.fromtimestamp(at, UTC))


def decode(line: bytes) -> Mapping[str, object]:
    """Read a record.

    :raises ValueError: it is none.
    """
    if len(line) > MAX_LINE:
        raise ValueError("too long")
    try:
        fields = json.loads(line)
    except RecursionError:
        raise ValueError("too deep") from None
    if not isinstance(fields, dict) or not isinstance(fields.get("time"), str):
        raise ValueError("not a record")
    return fields


def _who(actor: Actor) -> dict[str, object]:
    proof = actor.proof
    details = {
        _text(name, _LONGEST_NAME): _text(value, _LONGEST)
        for name, value in islice(proof.details.items(), _DETAILS)
    }
    who = {
        "principal": actor.name,
        "address": actor.address,
        "user_agent": actor.user_agent,
    }
    return {**_texts(who), "proof": {**details, "kind": proof.kind}}


def _texts(fields: Mapping[str, str | None]) -> dict[str, str]:
    """Bound and redact; what is not there is left out."""
    return {
        name: _text(value, _LONGEST)
        for name, value in fields.items()
        if value is not None
    }


def _text(value: str, longest: int) -> str:
    # Redacted first: the beginning of a secret is not always known for one.
    return shortened(redacted(value[: 4 * longest]), longest)


def _line(fields: Mapping[str, object]) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode() + b"\n"
