"""A lease on a store that does not honour conditional writes (decision D1).

Two writers there lose each other's work. The lease cannot stop a second one, for it is
written without conditions itself, but it reveals one: whoever sees another's fresh
lease writes nothing more until it is gone.
"""

from __future__ import annotations

import json
from random import Random, SystemRandom

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from pypicloud_tw.errors import ObjectNotFound, PypicloudError
from pypicloud_tw.store.interfaces import IObjectStore, StoredBytes

KEY = ".lease"

#: Seconds between two looks, and after which a lease that was not renewed has ended.
RENEW_EVERY, ENDS_AFTER = 20.0, 90.0


@define
class Lease:
    """This process's claim to be the only writer.

    :ivar random: for the id of this process.
    :ivar rival: another process has written its claim lately.
    """

    store: IObjectStore
    clock: IReactorTime
    random: Random = field(factory=SystemRandom)
    rival: bool = field(default=False, init=False)
    _id: str = field(init=False)
    _until: float = field(default=float("-inf"), init=False)
    _loop: LoopingCall | None = field(default=None, init=False)
    _log = Logger()

    @_id.default
    def _draw_id(self) -> str:
        return self.random.randbytes(8).hex()

    @property
    def held(self) -> bool:
        """Whether nobody else can have claimed the store."""
        # The upper bound is for a clock that was set back.
        left = self._until - self.clock.seconds()
        return not self.rival and 0 < left <= ENDS_AFTER

    async def start(self) -> None:
        """Claim the store, then renew the claim from time to time."""
        await self.look()
        self._loop = LoopingCall(lambda: Deferred.fromCoroutine(self._renew()))
        self._loop.clock = self.clock
        self._loop.start(RENEW_EVERY, now=False)

    async def stop(self) -> None:
        """Give the claim up."""
        if self._loop is not None and self._loop.running:
            self._loop.stop()
        if self.held:
            await self.store.delete(KEY)

    async def look(self) -> None:
        """Look for a rival, and claim the store if there is none.

        :raises StoreError: the store is away.
        """
        until = self.clock.seconds() + ENDS_AFTER
        found = await self._read()
        was_rival, self.rival = self.rival, await self._is_rival(found)
        if self.rival and not was_rival:
            self._log.critical(
                "Another process writes to this bucket, which does not honour "
                "conditional writes: this one changes nothing before that has ended, "
                "or uploads would be lost."
            )
        if not self.rival:
            claim = json.dumps({"_format": 1, "id": self._id}).encode()
            await self.store.put(KEY, claim)
            self._until = until

    async def _renew(self) -> None:
        try:
            await self.look()
        except PypicloudError as e:
            self._log.warn("The lease was not renewed: {error}", error=e.message)

    async def _read(self) -> StoredBytes | None:
        try:
            return await self.store.get(KEY, limit=4096)
        except ObjectNotFound:
            return None

    async def _is_rival(self, found: StoredBytes | None) -> bool:
        if found is None or self._id.encode() in found.data:
            return False
        # By the store's own clock: servers' clocks differ.
        now = (await self.store.put(f"{KEY}-clock", b"")).modified
        return (now - found.info.modified).total_seconds() < ENDS_AFTER
