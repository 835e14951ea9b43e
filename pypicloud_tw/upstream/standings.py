"""What upstreams say of whole projects of which files are kept here.

A project that its upstream has quarantined must not be given out of the cache either,
by any server, from the moment when one of them hears of it. So that is one small
document in the store, changed by swap and read again every minute. It has those
projects alone that are quarantined or gone, or of which a kept file is yanked or gone.

A quarantine is written at once, and its end. What refuses nothing is written with the
next reading: an upstream that lost all of its projects must not have the document
written for each of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from attrs import define, evolve, field, frozen
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from pypicloud_tw.concurrency.coalesced import Coalesced
from pypicloud_tw.errors import (
    AmbiguousWrite,
    ObjectNotFound,
    PreconditionFailed,
    Unavailable,
)
from pypicloud_tw.index.standing import Standing as OwnStanding
from pypicloud_tw.json_documents import DAMAGED, compact
from pypicloud_tw.store.interfaces import (
    Condition,
    IfAbsent,
    IfMatch,
    IObjectStore,
    StoredBytes,
)
from pypicloud_tw.upstream.judgement.values import Standing

#: Sorts before the cache's pages and files, and is no project's name.
DOCUMENT = ".cache/.standings"

#: What its upstream has no more: no status of PEP 792, and no reason to refuse it.
GONE = "gone"

_FORMAT = 1
_UNSEEN = Standing()
_MAX_DOCUMENT = 16 * 2**20
#: Projects, and marks of files, up to which another is noted that refuses nothing: all
#: of the document is read when it has changed, and a mark is not worth more than that.
_MOST_GONE, _MOST_MARKS = 10_000, 20_000
_TRIES = 5


@frozen
class Seen:
    """What was seen of a project.

    :ivar marks: what its upstream has done with files that are kept here, by the end of
        their address: :meth:`.Upstreams.mark`.
    """

    standing: Standing = _UNSEEN
    marks: Mapping[str, str] = field(factory=dict)


_WELL = Seen()


@define(eq=False)
class Standings:
    """Remembers which projects are not as they should be; see ``IStandings``.

    :ivar own: says whether this process may change anything: where the store does not
        honour conditions, one server alone writes.
    :ivar edition: grows whenever something else is known.
    """

    store: IObjectStore
    clock: IReactorTime
    own: OwnStanding = field(factory=OwnStanding)
    edition: int = field(default=0, init=False)
    _known: dict[str, Seen] = field(factory=dict, init=False)
    # What was seen here and is not in the store yet.
    _unsaved: dict[str, Standing] = field(factory=dict, init=False)
    _unsaved_marks: dict[str, Mapping[str, str]] = field(factory=dict, init=False)
    _etag: str | None = field(default=None, init=False)
    _saving: Deferred[None] | None = field(default=None, init=False)
    _is_newer: bool = field(default=False, init=False)
    _was_read: bool = field(default=False, init=False)
    _reading: Coalesced[bool] = field(factory=Coalesced, init=False)
    _log = Logger()

    def of(self, name: str) -> Standing:
        """See ``IStandings``."""
        return self._known.get(name, _WELL).standing

    def mark(self, name: str, segment: str, filename: str) -> str | None:
        """See ``IStandings``."""
        return self._known.get(name, _WELL).marks.get(f"{segment}/{filename}")

    @property
    def all(self) -> Mapping[str, Standing]:
        """Every project that is not as it should be."""
        return _standings(self._known)

    def saw(self, name: str, standing: Standing) -> None:
        """See ``IStandings``; others hear of it as soon as the store has it."""
        known = self.of(name)
        if standing.status not in ("quarantined", GONE):
            new = _UNSEEN
        elif self._is_news(known, standing):
            new = evolve(standing, since=self.clock.seconds())
        else:
            return
        if new != known and (new.status != GONE or self._has_room(name)):
            self._unsaved[name] = new
            self._know(name, evolve(self._known.get(name, _WELL), standing=new))
            if "quarantined" in (known.status, new.status):
                self._save_soon()

    def saw_marks(self, name: str, marks: Mapping[str, str]) -> None:
        """Take note of what an upstream has done with the kept files of a project."""
        seen = self._known.get(name, _WELL)
        if not marks and not seen.marks:
            return
        others = sum(len(one.marks) for one in self._known.values()) - len(seen.marks)
        new = dict(sorted(marks.items())[: max(0, _MOST_MARKS - others)])
        if new != seen.marks and self._has_room(name):
            self._unsaved_marks[name] = new
            self._know(name, evolve(seen, marks=new))

    def _is_news(self, known: Standing, standing: Standing) -> bool:
        # What was quarantined and is removed then was not found to be harmless.
        if known.status == "quarantined" and standing.status == GONE:
            return False
        return (known.status, known.reason) != (standing.status, standing.reason)

    def _has_room(self, name: str) -> bool:
        return name in self._known or len(self._known) < _MOST_GONE

    def _know(self, name: str, seen: Seen) -> None:
        # By marks nothing is judged.
        if seen.standing != self.of(name):
            self.edition += 1
        if seen == _WELL:
            self._known.pop(name, None)
        else:
            self._known[name] = seen

    def _save_soon(self) -> None:
        if self._saving is None:
            self._saving = Deferred.fromCoroutine(self._save())
            self._saving.addBoth(self._saved)

    def _saved(self, result: object) -> None:
        self._saving = None
        if isinstance(result, Failure):
            self._log.failure("Writing which projects are quarantined failed", result)

    def _take(self, read: Mapping[str, Seen]) -> None:
        """Know what was read, and what was seen here beside it."""
        known, before = dict(read), self._known
        for name, standing in self._unsaved.items():
            known[name] = evolve(known.get(name, _WELL), standing=standing)
        for name, marks in self._unsaved_marks.items():
            known[name] = evolve(known.get(name, _WELL), marks=marks)
        self._known = {name: seen for name, seen in known.items() if seen != _WELL}
        if _standings(before) != _standings(self._known):
            self.edition += 1

    async def ready(self) -> None:
        """See ``IStandings``."""
        if not self._was_read:
            await self._reading.ask("", self._read)

    async def refresh(self) -> None:
        """Learn what other servers have seen; what fails is logged, and known holds."""
        try:
            await self._read()
            if self._unsaved or self._unsaved_marks:
                await self._save()
        except Unavailable as e:
            self._log.warn(
                "Which upstream projects are quarantined could not be read: {error}",
                error=e.message,
            )
        except CancelledError:
            raise
        except Exception:
            self._log.failure("Reading which projects are quarantined failed")

    async def _read(self) -> bool:
        """Read what the store has; return whether it may be written over."""
        try:
            stored = await self.store.get(
                DOCUMENT, unless=self._etag, limit=_MAX_DOCUMENT
            )
        except ObjectNotFound:
            # Whoever empties the cache may do so. What was known holds.
            self._etag, self._is_newer, self._was_read = None, False, True
            return True
        if stored is not None:
            self._take_document(stored)
        return not self._is_newer

    def _take_document(self, stored: StoredBytes) -> None:
        read: dict[str, Seen] | None = None
        try:
            read = _decode(stored.data)
            self._is_newer = read is None
        except DAMAGED:
            # What was known holds; the next change writes it anew.
            self._log.warn("The object {key} is damaged.", key=DOCUMENT)
            self._is_newer = False
        self._etag, self._was_read = stored.info.etag, True
        if read is not None:
            self._take(read)

    async def _save(self) -> None:
        """Write what was seen here into what others have written."""
        try:
            for _ in range(_TRIES):
                self.own.check()
                if not await self._read() or await self._swap():
                    return
        except Unavailable as e:
            self._log.warn(
                "Which upstream projects are quarantined could not be written, and is "
                "tried again: {error}",
                error=e.message,
            )

    async def _swap(self) -> bool:
        """Write what is known; return whether nothing is left to be written."""
        unsaved, marks = dict(self._unsaved), dict(self._unsaved_marks)
        condition: Condition = IfAbsent() if self._etag is None else IfMatch(self._etag)
        try:
            info = await self.store.put(
                DOCUMENT, _encode(self._known), condition=condition
            )
        except (PreconditionFailed, AmbiguousWrite):
            return False
        self._etag = info.etag
        _remove(self._unsaved, unsaved)
        _remove(self._unsaved_marks, marks)
        return not self._unsaved and not self._unsaved_marks


def _remove(unsaved: dict[str, Any], saved: Mapping[str, Any]) -> None:
    """Remove what was saved, but for what has changed meanwhile."""
    for name, one in saved.items():
        if unsaved.get(name) is one:
            del unsaved[name]


def _standings(known: Mapping[str, Seen]) -> Mapping[str, Standing]:
    return {
        name: seen.standing for name, seen in known.items() if seen.standing != _UNSEEN
    }


def _encode(known: Mapping[str, Seen]) -> bytes:
    projects = {
        name: {
            "status": seen.standing.status,
            "reason": seen.standing.reason,
            "since": seen.standing.since,
            "marks": seen.marks,
        }
        for name, seen in sorted(known.items())
    }
    return compact({"_format": _FORMAT, "projects": projects})


def _decode(data: bytes) -> dict[str, Seen] | None:
    """Read the document; None: a newer version wrote it."""
    told: dict[str, Any] = json.loads(data)
    if told["_format"] > _FORMAT:
        return None
    return {str(name): _seen(one) for name, one in told["projects"].items()}


def _seen(one: Mapping[str, Any]) -> Seen:
    since = None if one["since"] is None else float(one["since"])
    standing = Standing(str(one["status"]), str(one["reason"]), since)
    marks = {str(file): str(mark) for file, mark in one.get("marks", {}).items()}
    return Seen(standing, marks)
