"""Whether this process is ready, may change projects, and why not."""

from __future__ import annotations

from attrs import define, field
from twisted.internet.interfaces import IReactorTime

from pypicloud_tw.concurrency.waiters import Waiters
from pypicloud_tw.errors import Unavailable
from pypicloud_tw.index.lease import ENDS_AFTER, Lease

#: Seconds for which an upload waits for a store that is being got ready: a server that
#: has just been started needs far less, and uploaders wait longer for an answer.
PATIENCE = 15.0

_RIVAL = (
    "Another process writes to this bucket, whose S3 server does not honour "
    "conditional writes, so that only one may: let that one do it, or end it and try "
    f"again; one that was killed counts for {ENDS_AFTER:.0f} s."
)
_NOT_RENEWED = (
    "The claim to be this bucket's only writer could not be renewed for too long: "
    "nothing is changed before it is; try again."
)
_STARTING = "The store is being got ready; try again."
_NO_CHANGE_YET = "The store is being got ready: nothing is changed before; try again."


@define
class Standing:
    """What this process stands at; made first, and changed by whoever starts it.

    A new one is ready, and lets projects be changed.
    """

    _missing: str | None = field(default=None, init=False)
    _stopping: bool = field(default=False, init=False)
    _lease: Lease | None = field(default=None, init=False)
    _waiting: Waiters[None] = field(factory=Waiters, init=False)

    @classmethod
    def starting(cls) -> Standing:
        """Make one that is not ready before :meth:`open`."""
        standing = cls()
        standing.wait()
        return standing

    def wait(self, why: str = _STARTING) -> None:
        """Be not ready, and have nothing changed, before :meth:`open`."""
        self._missing = why

    def open(self, lease: Lease | None) -> None:
        """Be ready, and let projects be changed.

        :param lease: only while this is held, where the store needs one.
        """
        self._missing, self._lease = None, lease
        self._waiting.answer(None)

    async def opened(self) -> None:
        """Return when it has been ready once."""
        if self._missing is not None:
            await self._waiting.wait()

    def stop(self) -> None:
        """Be not ready any more; what is under way may still be finished."""
        self._stopping = True

    def check_ready(self) -> None:
        """Return if this process is ready.

        :raises Unavailable: it is not; the message says why.
        """
        if self._stopping:
            raise Unavailable("This server is stopping.")
        if self._missing is not None:
            raise Unavailable(self._missing)

    def check(self) -> None:
        """Return if projects may be changed now.

        :raises Unavailable: they may not; the message says why.
        """
        if self._missing is not None:
            raise Unavailable(_NO_CHANGE_YET)
        if self.has_rival:
            raise Unavailable(_RIVAL, retry_after=60)
        if self._lease is not None and not self._lease.held:
            raise Unavailable(_NOT_RENEWED)

    @property
    def has_rival(self) -> bool:
        """Whether another process holds the lease, and alone may change anything."""
        return self._lease is not None and self._lease.rival

    async def started(self, clock: IReactorTime) -> None:
        """Return when it is known how the store stands, or after :data:`PATIENCE`."""
        if self._missing is not None:
            await self._waiting.wait_at_most(PATIENCE, clock)
