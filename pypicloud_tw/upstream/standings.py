"""What upstreams say of whole projects of which files are kept here.

A project that its upstream has quarantined must not be given out of the cache either,
by any server, from the moment when one of them hears of it. So that is one small
document in the store, changed by swap and read again every minute.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from attrs import define, evolve, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from pypicloud_tw.errors import (
    AmbiguousWrite,
    ObjectNotFound,
    PreconditionFailed,
    StoreError,
)
from pypicloud_tw.json_documents import DAMAGED, compact
from pypicloud_tw.store.interfaces import Condition, IfAbsent, IfMatch, IObjectStore
from pypicloud_tw.upstream.judgement.values import Standing

#: Sorts before the cache's pages and files, and is no project's name.
DOCUMENT = ".cache/.standings"

#: What its upstream has no more: no status of PEP 792, and no reason to refuse it.
GONE = "gone"

_FORMAT = 1
_UNSEEN = Standing()
_MAX_DOCUMENT = 16 * 2**20
#: Characters of a reason that are kept.
_LONGEST_REASON = 500
_TRIES = 5


@define(eq=False)
class Standings:
    """Remembers which projects are not as they should be; see ``IStandings``.

    :ivar edition: grows whenever something else is known.
    """

    store: IObjectStore
    clock: IReactorTime
    edition: int = field(default=0, init=False)
    _known: dict[str, Standing] = field(factory=dict, init=False)
    #: What was seen here and is not in the store yet: None, that all is well.
    _unsaved: dict[str, Standing | None] = field(factory=dict, init=False)
    _etag: str | None = field(default=None, init=False)
    _saving: Deferred[None] | None = field(default=None, init=False)
    _log = Logger()

    def of(self, name: str) -> Standing:
        """See ``IStandings``."""
        return self._known.get(name, _UNSEEN)

    @property
    def all(self) -> Mapping[str, Standing]:
        """Every project that is not as it should be."""
        return self._known

    def saw(self, name: str, standing: Standing) -> None:
        """See ``IStandings``; others hear of it as soon as the store has it."""
        known = self._known.get(name)
        if standing.status in ("active", "archived", "deprecated"):
            if known is not None:
                self._change(name, None)
            return
        reason = standing.reason[:_LONGEST_REASON]
        if known is None or (known.status, known.reason) != (standing.status, reason):
            now = self.clock.seconds()
            self._change(name, evolve(standing, reason=reason, since=now))

    def _change(self, name: str, standing: Standing | None) -> None:
        self._unsaved[name] = standing
        self._take({**self._known, name: standing})
        if self._saving is None:
            self._saving = Deferred.fromCoroutine(self._save())
            self._saving.addBoth(self._saved)

    def _saved(self, result: object) -> None:
        self._saving = None

    def _take(self, known: Mapping[str, Standing | None]) -> None:
        changed = {name: one for name, one in known.items() if one is not None}
        if changed != self._known:
            self._known = changed
            self.edition += 1

    async def refresh(self) -> None:
        """Learn what other servers have seen; what fails is logged, and known holds."""
        try:
            await self._read()
            if self._unsaved:
                await self._save()
        except StoreError as e:
            self._log.warn(
                "Which upstream projects are quarantined could not be read: {error}",
                error=e.message,
            )

    async def _read(self) -> None:
        try:
            stored = await self.store.get(
                DOCUMENT, unless=self._etag, limit=_MAX_DOCUMENT
            )
        except ObjectNotFound:
            # Whoever empties the cache may do so.
            self._etag = None
            return
        if stored is None:
            return
        try:
            read = _decode(stored.data)
        except DAMAGED:
            # What was known holds; the next change writes it anew.
            self._log.warn("The object {key} is damaged.", key=DOCUMENT)
            read = dict(self._known)
        self._etag = stored.info.etag
        if read is not None:
            self._take({**read, **self._unsaved})

    async def _save(self) -> None:
        """Write what was seen here into what others have written."""
        for _ in range(_TRIES):
            unsaved = dict(self._unsaved)
            try:
                await self._read()
                condition: Condition = (
                    IfAbsent() if self._etag is None else IfMatch(self._etag)
                )
                info = await self.store.put(
                    DOCUMENT, _encode(self._known), condition=condition
                )
            except (PreconditionFailed, AmbiguousWrite):
                continue
            except StoreError as e:
                self._log.warn(
                    "Which upstream projects are quarantined could not be written, and "
                    "is tried again: {error}",
                    error=e.message,
                )
                return
            self._etag = info.etag
            for name, standing in unsaved.items():
                if self._unsaved.get(name) == standing:
                    self._unsaved.pop(name, None)
            if not self._unsaved:
                return


def _encode(known: Mapping[str, Standing]) -> bytes:
    projects = {
        name: {"status": one.status, "reason": one.reason, "since": one.since}
        for name, one in sorted(known.items())
    }
    return compact({"_format": _FORMAT, "projects": projects})


def _decode(data: bytes) -> dict[str, Standing] | None:
    """Read the document; None: a newer version wrote it."""
    told: dict[str, Any] = json.loads(data)
    if told["_format"] > _FORMAT:
        return None
    return {
        str(name): Standing(str(one["status"]), str(one["reason"]), _since(one))
        for name, one in told["projects"].items()
    }


def _since(one: Mapping[str, Any]) -> float | None:
    return None if one["since"] is None else float(one["since"])
