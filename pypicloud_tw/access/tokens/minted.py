"""Minted tokens: what a job has for its identity token, for minutes.

One object is both: that it is there says that the identity token was used, and what is
in it says what the minted token may do. It is written once, on condition that there is
none, so that exactly one of all servers wins; no marker tells of it, and no document is
swapped. Its key follows from the identity token alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from random import Random, SystemRandom
from types import MappingProxyType

from attrs import define, evolve, field, frozen
from twisted.internet.interfaces import IReactorTime

from pypicloud_tw.access.throttle import Throttle
from pypicloud_tw.access.tokens.objects import (
    KnownObject,
    SecretObjects,
    hour_key,
    sweep_hours,
)
from pypicloud_tw.access.tokens.records import FORMAT, check_format
from pypicloud_tw.access.tokens.text import (
    HOUR,
    MintedText,
    matches,
    read_token,
    seal_secret,
)
from pypicloud_tw.concurrency.cache import Cache
from pypicloud_tw.concurrency.siblings import ALONE, Siblings
from pypicloud_tw.errors import (
    BadRequest,
    Conflict,
    PreconditionFailed,
    StoreError,
    Unauthorized,
)
from pypicloud_tw.index.standing import Standing
from pypicloud_tw.json_documents import DAMAGED, compact
from pypicloud_tw.store.interfaces import IfAbsent, IObjectStore, StoredBytes

FOLDER = ".access/minted/"

#: Seconds that a minted token may live for (PEP 807, draft).
LONGEST = 6 * HOUR

#: Identity tokens that are known to be used: who shows one again costs no request.
USED = 10_000

#: The last hour that a token can tell of.
_MAX_HOUR = 2**32 - 1


class AlreadyUsed(Conflict):
    """This identity token was exchanged before, here or on another server."""

    code = "invalid-reuse-token"


@frozen
class MintedToken:
    """A token that was just made.

    :ivar text: what the job is shown, once.
    :ivar ends: in seconds since 1970.
    """

    text: str = field(repr=False)
    ends: int


@frozen
class MintedRecord:
    """What is kept of a minted token. Times are in seconds since 1970.

    :ivar digest: SHA-256 of its secret.
    :ivar publishers: the names of the trusted publishers, which say what it may do.
    :ivar claims: of the identity token, as the audit has them.
    :ivar burnt: when it was given back, or told to be known to others.
    """

    digest: bytes = field(repr=False)
    publishers: tuple[str, ...]
    claims: Mapping[str, str]
    created: int
    ends: int
    burnt: int | None = None


#: A minted token as it was read last.
KnownMinted = KnownObject[MintedRecord]


@define(eq=False)
class Minted:
    """Makes and finds minted tokens.

    :ivar standing: tells whether anything may be changed now.
    :ivar throttle: judges clients that show tokens that are not there.
    :ivar fresh_for: seconds after which one in use is asked for again.
    :ivar random: for their secrets.
    :ivar siblings: the other processes of this server, which hear of one that is burnt.
    :ivar minted: how many were made here.
    :ivar burnt: how many were burnt here.
    """

    store: IObjectStore
    standing: Standing
    clock: IReactorTime
    throttle: Throttle
    fresh_for: float = 1.0
    random: Random = field(factory=SystemRandom, repr=False)
    siblings: Siblings = ALONE
    minted: int = field(default=0, init=False)
    burnt: int = field(default=0, init=False)
    _used: Cache[str, bool] = field(factory=lambda: Cache(USED), init=False)
    _objects: SecretObjects[MintedRecord] = field(init=False)

    @_objects.default
    def _make_objects(self) -> SecretObjects[MintedRecord]:
        return SecretObjects(
            self.store,
            self.clock,
            self.throttle,
            _decode,
            self.fresh_for,
            self.siblings,
        )

    async def mint(
        self,
        issuer: str,
        jti: str,
        jwt_end: float,
        publishers: tuple[str, ...],
        claims: Mapping[str, str],
        lifetime: float,
    ) -> MintedToken:
        """Exchange an identity token, once for all servers, for a token of ours.

        To be called last, when everything about the identity token was judged.

        :param issuer: its ``iss``.
        :param jti: what tells it from others of that issuer: its ``jti``.
        :param jwt_end: its ``exp``, in seconds since 1970.
        :param publishers: the names of those that trust its job.
        :param claims: what is kept of it, and shown.
        :param lifetime: seconds; more than :data:`LONGEST` is that.
        :raises AlreadyUsed: it was exchanged before.
        :raises BadRequest: it ends at no time that there is.
        :raises Unavailable: nothing may be written now: where the store does not honour
            conditional writes, only one server may.
        :raises StoreError: the store is away. The identity token may be used up.
        """
        self.standing.check()
        if not 0 <= jwt_end < _MAX_HOUR * HOUR:
            raise BadRequest("The identity token's end is no time that there is.")
        now = self.clock.seconds()
        text = MintedText.draw(issuer, jti, jwt_end, self.random.randbytes)
        record = MintedRecord(
            seal_secret(text.secret),
            publishers,
            MappingProxyType(dict(claims)),
            int(now),
            int(now + min(lifetime, LONGEST)),
        )
        await self._claim(text, record)
        self.minted += 1
        return MintedToken(text.text, record.ends)

    async def _claim(self, text: MintedText, record: MintedRecord) -> None:
        """Write the object that nobody may have written before."""
        key, data = _key(text), _encode(record)
        if key in self._used:
            raise _already_used()
        try:
            info = await self.store.put(
                key, data, condition=IfAbsent(), content_type="application/json"
            )
            etag = info.etag
        except PreconditionFailed:
            self._used.put(key, True)
            raise _already_used() from None
        except StoreError as e:
            # It may have been written: whose secret is there will tell.
            found = await self._objects.read(key)
            if found is None:
                raise e
            if not matches(text.secret, found.record.digest):
                raise _already_used() from None
            etag = found.etag
        self._used.put(key, True)
        now = self.clock.seconds()
        self._objects.keep(key, KnownMinted.of(record, etag, len(data), now))

    def holding(self, text: MintedText, known: KnownMinted) -> Callable[[float], bool]:
        """Return what tells, asking nobody, whether this is how a token is still."""
        return partial(self._objects.holds, _key(text), known)

    async def find(self, text: MintedText, client: str) -> tuple[KnownMinted, bool]:
        """Find a token as it is now, and whether that is what was known before.

        It is where the store is away, and may be used for reading then.

        :param client: the address that shows it.
        :raises Unauthorized: it is not known, burnt, or at its end.
        :raises TooManyRequests: the client has shown too many that are not there.
        :raises StoreError: the store is away, and nothing is known.
        """
        known, stale = await self._objects.find(_key(text), client)
        if known is None or not matches(text.secret, known.record.digest):
            raise Unauthorized("This token is not known here.")
        if known.record.burnt is not None:
            raise Unauthorized("This token was given back, and is of no use any more.")
        if self.clock.seconds() >= known.record.ends:
            raise Unauthorized("This token has ended; a job gets a new one each time.")
        return known, stale

    async def burn(self, shown: str, client: str) -> bool:
        """Make a token useless for good; return whether it was one that lived.

        Whoever can show it may do so. It stays as a tombstone: its identity token was
        used.

        :param client: the address that shows it.
        :raises TooManyRequests: the client has shown too many that are not there.
        :raises StoreError: the store is away.
        :raises Unavailable: nothing may be changed now.
        """
        try:
            text = read_token(shown)
        except Unauthorized:
            return False
        if not isinstance(text, MintedText):
            return False
        self.standing.check()
        found, _ = await self._objects.find(_key(text), client)
        if found is None or not matches(text.secret, found.record.digest):
            return False
        if found.record.burnt is not None:
            return False
        now = self.clock.seconds()
        burnt = evolve(found.record, burnt=int(now))
        data = _encode(burnt)
        # No condition: there is nothing else that it could become.
        info = await self.store.put(_key(text), data, content_type="application/json")
        known = KnownMinted.of(burnt, info.etag, len(data), now)
        self._objects.keep(_key(text), known)
        await self._objects.tell(_key(text))
        self.burnt += 1
        return True


async def sweep_minted(
    store: IObjectStore, now: datetime, *, dry_run: bool = False
) -> list[str]:
    """Remove what tells of hours that are long over; return the keys.

    :param now: by the store's clock.
    """
    return await sweep_hours(store, FOLDER, now, dry_run=dry_run)


def _key(text: MintedText) -> str:
    return hour_key(FOLDER, text.hour, text.id)


def _already_used() -> AlreadyUsed:
    return AlreadyUsed(
        "This identity token was exchanged before; each can be once. Ask the CI for a "
        "new one. A GitLab job has one only: publish everything in one step of it."
    )


def _encode(record: MintedRecord) -> bytes:
    document = {
        "_format": FORMAT,
        "sha256": record.digest.hex(),
        "publishers": list(record.publishers),
        "claims": dict(record.claims),
        "created": record.created,
        "ends": record.ends,
        "burnt": record.burnt,
    }
    return compact(document)


def _decode(stored: StoredBytes) -> MintedRecord:
    try:
        document = json.loads(stored.data)
        check_format(document, stored.info.key)
        burnt = document["burnt"]
        return MintedRecord(
            bytes.fromhex(document["sha256"]),
            tuple(str(name) for name in document["publishers"]),
            MappingProxyType(
                {str(name): str(value) for name, value in document["claims"].items()}
            ),
            int(document["created"]),
            int(document["ends"]),
            None if burnt is None else int(burnt),
        )
    except DAMAGED as e:
        raise StoreError(
            f"The minted token in {stored.info.key} is damaged ({type(e).__name__}); "
            "delete nothing there: the job can be run again."
        ) from None
