"""Which conditions an S3 server honours, found out by trying (decision D1).

Documentation does not tell: some servers want ``If-Match`` unquoted, some ignore it,
some answer one conditional PUT rightly and let several of racing ones win.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from secrets import token_hex
from typing import TypeVar

from attrs import frozen

from pypicloud_tw.concurrency.side_by_side import all_at_once
from pypicloud_tw.store.interfaces import Condition, IfAbsent, IfMatch
from pypicloud_tw.store.s3.client import S3Client
from pypicloud_tw.store.s3.faults import S3Error

T = TypeVar("T")

#: Writers that race for one object.
RACERS = 8

#: The scratch objects, in the order of their bytes: one race each, all at the same
#: time, because some servers take half a second for each writer of one object.
NAMES = ("a-", "a/b", "b")


class Conditional(Enum):
    """How a server honours ``If-Match``."""

    QUOTED = "quoted"
    UNQUOTED = "unquoted"
    #: It does not, or not when it matters.
    NONE = "none"


@frozen
class Abilities:
    """What was found out.

    :ivar ordered: listings come in the order of the keys' bytes.
    :ivar reason: why conditions are not to be trusted; empty if they are.
    """

    conditional: Conditional
    ordered: bool
    reason: str = ""


class _Fate(Enum):
    """What a writer in a race hears of it."""

    WON = "won"
    LOST = "lost"
    #: An answer was lost, or was that something went wrong, which is what Ceph says
    #: to most who lose; so it may have won.
    UNKNOWN = "unknown"


class _UntrustedError(Exception):
    """A condition was not honoured; the message says which and how."""


async def probe(client: S3Client, prefix: str) -> Abilities:
    """Race writers for a scratch object below *prefix*, and remove it.

    :raises S3Fault: the server failed in other ways; nothing was found out.
    """
    folder = f"{prefix}.probe/{token_hex(8)}/"
    scratch = [folder + name for name in NAMES]
    try:
        conditional, reason = await _conditional(client, scratch)
        for key in scratch:
            await client.put_object(key, b"")
        listing = await client.get_bucket(folder)
        ordered = [found.key for found in listing.objects] == scratch
    finally:
        for key in scratch:
            await client.delete_object(key)
    return Abilities(conditional, ordered, reason)


async def _conditional(
    client: S3Client, scratch: Sequence[str]
) -> tuple[Conditional, str]:
    reason = ""
    for conditional in (Conditional.QUOTED, Conditional.UNQUOTED):
        client.quoted = conditional is Conditional.QUOTED
        try:
            await all_at_once(
                [
                    _check_absent(client, scratch[0]),
                    _check_match(client, scratch[1]),
                    _check_match(client, scratch[2]),
                ]
            )
        except _UntrustedError as error:
            reason = reason or str(error)
        else:
            return conditional, ""
    client.quoted = True
    return Conditional.NONE, reason


async def _check_absent(client: S3Client, key: str) -> None:
    await client.delete_object(key)
    await _race(client, key, IfAbsent(), "If-None-Match: *")


async def _check_match(client: S3Client, key: str) -> None:
    await client.put_object(key, token_hex(8).encode())
    wrong = IfMatch("00000000000000000000000000000000")
    if await _fate(client, key, b"wrong", wrong) is _Fate.WON:
        raise _UntrustedError("a wrong ETag in If-Match was let through")
    etag = (await client.put_object(key, token_hex(8).encode())).etag
    await _race(client, key, IfMatch(etag), "If-Match")


async def _race(client: S3Client, key: str, condition: Condition, name: str) -> None:
    """Let writers race.

    :raises _UntrustedError: not exactly one has won, or not by its own account.
    """
    bodies = [token_hex(16).encode() for _ in range(RACERS)]
    fates = await all_at_once([_fate(client, key, body, condition) for body in bodies])
    told = {
        fate: [body for body, met in zip(bodies, fates, strict=True) if met is fate]
        for fate in _Fate
    }
    winners = told[_Fate.WON]
    if len(winners) > 1 or not (winners or told[_Fate.UNKNOWN]):
        raise _UntrustedError(
            f"{len(winners)} of {RACERS} racing writers with {name} won"
        )
    reply = await client.get_object(key, limit=1024)
    if reply.data not in (winners or told[_Fate.UNKNOWN]):
        raise _UntrustedError("a racing writer that was refused has written")


async def _fate(client: S3Client, key: str, body: bytes, condition: Condition) -> _Fate:
    try:
        await client.put_object(key, body, condition=condition)
    except S3Error as error:
        if error.status == 501:
            raise _UntrustedError("conditional writes are not implemented") from None
        # 409: still in conflict after several tries, so nothing was written.
        if error.status in (404, 409, 412):
            return _Fate.UNKNOWN if error.unknown else _Fate.LOST
        raise
    return _Fate.WON
