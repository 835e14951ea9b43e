"""Whether this process may change projects now, and why not."""

from __future__ import annotations

from attrs import define, field
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime

from pypicloud_tw.errors import Unavailable
from pypicloud_tw.index.lease import ENDS_AFTER, Lease

#: Seconds for which an upload waits for a store that is being got ready: a server that
#: has just been started needs far less, and uploaders wait longer for an answer.
PATIENCE = 15.0

_RIVAL = (
    "Another process writes to this bucket, and its S3 server does not honour "
    "conditional writes, so that only one process may. Stop that one, a server or a "
    "command, and try again. If it was killed, its claim ends after "
    f"{ENDS_AFTER:.0f} seconds."
)
_NOT_RENEWED = (
    "The claim to be this bucket's only writer could not be renewed for too long: "
    "nothing is changed before it is; try again."
)
_NOT_YET = "The store is being got ready: nothing is changed before; try again."


@define
class Standing:
    """What is known of that: nothing at first, where there is something to find out."""

    _starting: bool = field(default=False, init=False)
    _lease: Lease | None = field(default=None, init=False)
    _waiting: list[Deferred[None]] = field(factory=list, init=False)

    def start(self) -> None:
        """Have nothing changed before :meth:`open`."""
        self._starting = True

    def open(self, lease: Lease | None) -> None:
        """Let projects be changed.

        :param lease: only while this is held, where the store needs one.
        """
        self._starting, self._lease = False, lease
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one.callback(None)

    def check(self) -> None:
        """Return if projects may be changed now.

        :raises Unavailable: they may not; the message says why.
        """
        if self._starting:
            raise Unavailable(_NOT_YET)
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
        if not self._starting:
            return
        opened: Deferred[None] = Deferred()
        self._waiting.append(opened)
        opened.addTimeout(PATIENCE, clock)
        try:
            await DeferredList([opened], consumeErrors=True)
        finally:
            if opened in self._waiting:
                self._waiting.remove(opened)
