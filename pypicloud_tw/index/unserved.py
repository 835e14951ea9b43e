"""Names that are ours and cannot be served: never absent, never asked of others (D5).

What one process finds out, at its start or as a command, it writes into an object. The
others read that before they take any project for absent, so that all of them know it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from attrs import define, field
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from pypicloud_tw.concurrency.cache import Cache
from pypicloud_tw.concurrency.coalesced import Coalesced
from pypicloud_tw.concurrency.waiters import Waiters
from pypicloud_tw.errors import (
    ObjectNotFound,
    PreconditionFailed,
    PypicloudError,
    Unavailable,
)
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.index.survey import (
    IN_DOUBT,
    PUBLISHED,
    UNFINISHED,
    WAITING,
    claim_below,
)
from pypicloud_tw.json_documents import DAMAGED
from pypicloud_tw.store.interfaces import IfAbsent, IfMatch, IObjectStore, StoredBytes

KEY = ".unserved"

#: What is left of a first upload.
_BROKEN_OFF = UNFINISHED, IN_DOUBT

#: Names whose folders were looked into a moment ago: anybody may ask for any.
REMEMBERED = 20_000

#: Seconds after which another try makes sense: at the start, and where an operator has
#: to do something first.
_SOON, _LATER = 2, 60

#: Seconds that a request waits at a start until it is known what lies in the store,
#: mostly for a moment. Installers wait 15 s for a page.
PATIENCE = 3.0

_DAMAGED = (
    f"The object {KEY} in the store is damaged, so that nothing is taken for absent: "
    "its operator can write it anew by: pypicloud refresh."
)

Reasons = Mapping[NormalizedName, str]


@define
class Unserved:
    """What this process knows of them.

    :ivar check_open: raises Unavailable where nothing may be changed now.
    :ivar fresh_for: seconds for which the object need not be read again before others
        are asked for a project.
    :ivar verify_every: the same where nobody will be asked.
    """

    store: IObjectStore
    clock: IReactorTime
    check_open: Callable[[], None] = field(repr=False)
    fresh_for: float = 1.0
    verify_every: float = 60.0
    # Found here and not written yet; None while nothing is known.
    _found: Reasons | None = field(default=None, init=False)
    # None: the object is damaged.
    _recorded: Reasons | None = field(factory=dict, init=False)
    _etag: str | None = field(default=None, init=False)
    _read_at: float = field(default=float("-inf"), init=False)
    _writes: int = field(default=0, init=False)
    _reading: Coalesced[None] = field(factory=Coalesced, init=False)
    _waiting: Waiters[None] = field(factory=Waiters, init=False)
    # What made a name ours in the project's own folder; empty: nothing did.
    _below: Cache[str, str] = field(init=False, repr=False)
    _log = Logger()

    @_below.default
    def _nothing_looked_at(self) -> Cache[str, str]:
        return Cache(REMEMBERED, seconds=self.clock.seconds, lifetime=self.verify_every)

    def reasons(self) -> Reasons | None:
        """Give the names and why each is not served; None while nothing is known."""
        if self._found is None:
            return None
        return {**(self._recorded or {}), **self._found}

    def holds(self, name: str) -> bool:
        """Tell, of what is known here, whether a name must not be taken for absent."""
        if self._found is None or self._recorded is None:
            return True
        return name in self._found or name in self._recorded

    async def refuse(self, name: NormalizedName, *, asks: bool) -> None:
        """Return if a project without a manifest is absent.

        At a start this waits for a while until that is known.

        :param asks: others will be asked for it.
        :raises Unavailable: it is ours, or it is not known yet whether it is.
        :raises StoreError: the store is away.
        """
        if self._found is None:
            await self._waiting.wait_at_most(PATIENCE, self.clock)
        if self._found is not None:
            await self._refresh(self.fresh_for if asks else self.verify_every)
        if self._found is None:
            raise Unavailable(WAITING, retry_after=_SOON)
        if self._recorded is None:
            raise Unavailable(_DAMAGED, retry_after=_LATER)
        why = self._found.get(name) or self._recorded.get(name)
        if why is None:
            why = await self._claim_below(name, asks)
        if why is not None:
            soon = why in (WAITING, PUBLISHED)
            raise Unavailable(why, retry_after=_SOON if soon else _LATER)

    async def _claim_below(self, name: NormalizedName, asks: bool) -> str | None:
        """Look into a project's own folder, now and then, before others are asked."""
        why = self._below.get(name)
        if why is None and asks:
            why = await claim_below(self.store, name) or ""
            if why != PUBLISHED:
                self._below.put(name, why)
        return why or None

    async def learn(self) -> None:
        """Read what others found, if that can be read."""
        try:
            await self._refresh(self.fresh_for)
        except PypicloudError as e:
            self._log.warn("What others found is not known: {error}", error=e.message)

    def find(self, reasons: Reasons) -> None:
        """Hold these names from now on, and no others that were found here before."""
        self._found = dict(reasons)
        self._waiting.answer(None)

    async def tell(self, reasons: Reasons) -> None:
        """Hold these names from now on, here and on every server.

        Where that cannot be written, they are held here. So is what was left where a
        first upload broke off: a server that starts after that finds it too, and to
        write it down would be one more thing to be broken off.
        """
        self.find(reasons)
        shared = {name: why for name, why in reasons.items() if why not in _BROKEN_OFF}
        try:
            await self._read()
            if self._recorded != shared:
                self.check_open()
                await self._write(shared)
            self._found = {n: why for n, why in reasons.items() if n not in shared}
        except PypicloudError as e:
            self._log.warn(
                "Other servers were not told which projects are not served: {error}",
                error=e.message,
            )

    async def _write(self, reasons: Reasons) -> None:
        try:
            await self._put(reasons)
        except PreconditionFailed:
            # Another has looked at the same time: who of us saw more is not known.
            await self._read()
            await self._put({**(self._recorded or {}), **reasons})

    async def _put(self, reasons: Reasons) -> None:
        info = await self.store.put(
            KEY,
            json.dumps({"_format": 1, "names": dict(reasons)}).encode(),
            condition=IfAbsent() if self._etag is None else IfMatch(self._etag),
            content_type="application/json",
        )
        self._etag, self._recorded = info.etag, dict(reasons)
        self._writes += 1

    async def _refresh(self, age: float) -> None:
        if not 0 <= self.clock.seconds() - self._read_at < age:
            await self._reading.ask("", self._read)

    async def _read(self) -> None:
        began, writes = self.clock.seconds(), self._writes
        try:
            stored = await self.store.get(KEY, unless=self._etag)
        except ObjectNotFound:
            # Where it was and is gone, what was in it holds until it is written anew.
            known: tuple[str | None, Reasons | None] = None, self._recorded or {}
        else:
            known = self._etag, self._recorded
            if stored is not None:
                known = stored.info.etag, _decode(stored)
        if writes == self._writes:  # else it may be the one before ours
            self._etag, self._recorded = known
            self._read_at = began


def _decode(stored: StoredBytes) -> Reasons | None:
    """Read the object; None if it is damaged: then any name may have been in it."""
    try:
        names = json.loads(stored.data)["names"]
        return {NormalizedName(name): str(why) for name, why in names.items()}
    except DAMAGED:
        return None
