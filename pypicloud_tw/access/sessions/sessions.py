"""Beginning, finding, renewing and ending sessions, in one store.

Each secret of a session has an object of its own, whose key its cookie tells. A server
asks for it once, and again while it is used; so a log-out, which writes into it, holds
on every server within ``index.fresh_for``.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from functools import partial
from random import Random, SystemRandom

from attrs import define, evolve, field, frozen
from twisted.internet.interfaces import IReactorTime

from pypicloud_tw.access.sessions.records import (
    FOLDER,
    SessionRecord,
    SessionUser,
    decode,
    encode,
)
from pypicloud_tw.access.sessions.text import SessionText
from pypicloud_tw.access.throttle import Throttle
from pypicloud_tw.access.tokens.objects import (
    KnownObject,
    SecretObjects,
    hour_key,
    sweep_hours,
)
from pypicloud_tw.access.tokens.text import HOUR, matches, seal_secret
from pypicloud_tw.concurrency.siblings import ALONE, Siblings
from pypicloud_tw.errors import PreconditionFailed, StoreError, Unavailable
from pypicloud_tw.index.standing import Standing
from pypicloud_tw.store.interfaces import Condition, IfAbsent, IfMatch, IObjectStore

#: Seconds after which a page gives its reader a new secret.
RENEWED_AFTER = 3600

#: Seconds for which the former one is good after that: requests are under way with it.
GRACE = 60

#: Secrets of one session that are ended at a log-out, and tries of each: what somebody
#: shows has at most one newer one, or was renewed at that moment.
_STEPS = 16

#: A session as it was read last.
KnownSession = KnownObject[SessionRecord]


@frozen
class NewSession:
    """A session that has just begun, or got a new secret.

    :ivar text: for the browser's cookie.
    """

    text: SessionText
    record: SessionRecord


@define(eq=False)
class Sessions:
    """The sessions of all people.

    :ivar standing: tells whether anything may be changed now.
    :ivar throttle: judges clients that show sessions that there are not.
    :ivar fresh_for: seconds after which one in use is asked for again.
    :ivar life: seconds from a log-in to the end of its session.
    :ivar random: for their secrets.
    :ivar siblings: the other processes of this server, which hear of a log-out.
    """

    store: IObjectStore
    standing: Standing
    clock: IReactorTime
    throttle: Throttle
    fresh_for: float = 1.0
    life: float = 12.0 * HOUR
    random: Random = field(factory=SystemRandom, repr=False)
    siblings: Siblings = ALONE
    _objects: SecretObjects[SessionRecord] = field(init=False)

    @_objects.default
    def _make_objects(self) -> SecretObjects[SessionRecord]:
        return SecretObjects(
            self.store,
            self.clock,
            self.throttle,
            decode,
            self.fresh_for,
            self.siblings,
        )

    def adjust(self, *, life: float) -> None:
        """Change how long those last that begin from now on; seconds."""
        self.life = life

    async def begin(self, user: SessionUser) -> NewSession:
        """Begin a session; it is good on every server when this returns.

        :raises Unavailable: nothing may be written now.
        :raises StoreError: the store is away.
        """
        self.standing.check()
        now = int(self.clock.seconds())
        ends = int(now + self.life)
        text = SessionText.draw(ends, self.random.randbytes)
        record = SessionRecord(seal_secret(text.proof), user, now, now, ends)
        await self._write(_key(text), record, IfAbsent())
        return NewSession(text, record)

    async def find(
        self, text: SessionText, client: str
    ) -> tuple[KnownSession | None, bool]:
        """Find a session as it is now, and whether that is what was known before.

        It is where the store is away, and may be used for reading then.

        :param client: the address that shows it.
        :return: None: there is none, or it has ended.
        :raises TooManyRequests: the client has shown too many that are not there.
        :raises StoreError: the store is away, and nothing is known.
        """
        now = self.clock.seconds()
        if now >= (text.hour + 1) * HOUR:
            # Its object may have been swept, and to ask for it is charged to whoever
            # asks for what is not there.
            return None, False
        known, stale = await self._objects.find(_key(text), client)
        if known is None or not matches(text.proof, known.record.digest):
            return None, False
        if now >= known.record.until:
            return None, False
        return known, stale

    def holding(
        self, text: SessionText, known: KnownSession
    ) -> Callable[[float], bool]:
        """Return what tells, asking nobody, whether this is how a session is still."""
        return partial(self._objects.holds, _key(text), known)

    async def renew(self, text: SessionText, client: str) -> NewSession | None:
        """Give a session a new secret if it has had this one for long.

        The former one is good for :data:`GRACE` seconds more. When the session ends
        stays as it was.

        :return: None: it stays as it is, or another request has done so meanwhile.
        """
        try:
            known, stale = await self.find(text, client)
            if known is None or stale or not self._is_due(known.record):
                return None
            self.standing.check()
            return await self._renew(text, known)
        except (PreconditionFailed, Unavailable):
            return None  # the next page tries again

    def _is_due(self, record: SessionRecord) -> bool:
        now = self.clock.seconds()
        return record.ended is None and now >= record.created + RENEWED_AFTER

    async def _renew(self, text: SessionText, known: KnownSession) -> NewSession:
        now = int(self.clock.seconds())
        new = text.renewed(self.random.randbytes)
        former = evolve(known.record, ended=now + GRACE, successor=new.id)
        renewed = evolve(
            known.record,
            digest=seal_secret(new.proof),
            created=now,
            predecessor=text.id,
        )
        await self._write(_key(new), renewed, IfAbsent())
        # Of several requests one wins; nobody ever hears of the others' secrets. Where
        # the answer is lost it may have won, and then the new one must be given out.
        with suppress(StoreError):
            await self._write(_key(text), former, IfMatch(known.etag))
        return NewSession(new, renewed)

    async def end(self, text: SessionText) -> bool:
        """End a session for good; return whether it lived.

        :raises Unavailable: nothing may be written now.
        :raises StoreError: the store is away: it may go on.
        """
        self.standing.check()
        now = int(self.clock.seconds())
        key, lived, former = _key(text), False, None
        for _ in range(_STEPS):
            known = await self._objects.read(key)
            if known is None:
                break
            record = known.record
            if key == _key(text):
                if not matches(text.proof, record.digest):
                    break
                former = record.predecessor
            if now < record.until:
                try:
                    ended = evolve(record, ended=now)
                    await self._write(key, ended, IfMatch(known.etag))
                    await self._objects.tell(key)
                except PreconditionFailed:
                    continue  # it was renewed, or ended, at this moment
                lived = True
            if record.successor is None:
                break
            key = hour_key(FOLDER, text.hour, record.successor)
        if former is not None:
            await self._end_former(hour_key(FOLDER, text.hour, former))
        return lived

    async def _end_former(self, key: str) -> None:
        """End a secret that is good for a moment after there is a newer one.

        Errors as of :meth:`end`.
        """
        now = int(self.clock.seconds())
        for _ in range(_STEPS):
            known = await self._objects.read(key)
            if known is None or now >= known.record.until:
                return
            with suppress(PreconditionFailed):  # it changed at this moment
                ended = evolve(known.record, ended=now)
                await self._write(key, ended, IfMatch(known.etag))
                await self._objects.tell(key)
                return

    async def _write(
        self, key: str, record: SessionRecord, condition: Condition
    ) -> None:
        data = encode(record)
        info = await self.store.put(
            key, data, condition=condition, content_type="application/json"
        )
        now = self.clock.seconds()
        self._objects.keep(key, KnownSession.of(record, info.etag, len(data), now))


async def sweep_sessions(
    store: IObjectStore, now: datetime, *, dry_run: bool = False
) -> list[str]:
    """Remove what tells of sessions that are long over; return the keys.

    :param now: by the store's clock.
    """
    return await sweep_hours(store, FOLDER, now, dry_run=dry_run)


def _key(text: SessionText) -> str:
    return hour_key(FOLDER, text.hour, text.id)
