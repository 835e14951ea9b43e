"""One index: everything that belongs to it, on one object that is handed down."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Protocol

from attrs import define, field
from twisted.internet.interfaces import IReactorTime

from pypicloud_tw.concurrency.siblings import ALONE, Siblings
from pypicloud_tw.errors import PypicloudError, Unavailable
from pypicloud_tw.index.acts import Acts
from pypicloud_tw.index.catalog import Catalog
from pypicloud_tw.index.lease import Lease
from pypicloud_tw.index.manifests import Manifests
from pypicloud_tw.index.publish import Publisher
from pypicloud_tw.index.standing import Standing
from pypicloud_tw.index.unserved import Unserved
from pypicloud_tw.index.watch import MarkerWatch
from pypicloud_tw.store.interfaces import IObjectStore, StoreKind
from pypicloud_tw.store.timeout import in_time

#: Seconds for the store to show that it is there: whoever asks ``/ready`` is impatient.
PING_PATIENCE = 5.0

_ONE_PROCESS = (
    "Only one process may write to this bucket, as its S3 server does not honour "
    "conditional writes: set server.workers = 1."
)


class Backend(Protocol):
    """What an index knows of its store beside the operations."""

    @property
    def kind(self) -> StoreKind:
        """What it is made of."""

    @property
    def one_writer(self) -> bool:
        """Whether only one process may write, as is known when it is prepared."""

    async def close(self) -> None:
        """Stop what goes on in the background."""


@define(eq=False)
class Index:
    """An index over one store; nothing has started.

    :ivar acts: what is done with its projects.
    :ivar backend: what the store is made of, which is to be closed at the end.
    :ivar siblings: the other processes of this server.
    """

    backend: Backend
    manifests: Manifests
    catalog: Catalog[Any]
    publisher: Publisher
    clock: IReactorTime
    acts: Acts = field()
    siblings: Siblings = ALONE
    _lease: Lease | None = field(default=None, init=False)
    _secured: bool = field(default=False, init=False)

    @acts.default
    def _usual_acts(self) -> Acts:
        return Acts(self.publisher)

    @property
    def store(self) -> IObjectStore:
        """Where everything of it is."""
        return self.publisher.store

    @property
    def kind(self) -> StoreKind:
        """What the store is made of."""
        return self.backend.kind

    @property
    def conditional(self) -> bool | None:
        """Whether the store honours conditional writes; None: not known yet."""
        return not self.backend.one_writer if self._secured else None

    @property
    def watch(self) -> MarkerWatch:
        """What tells which projects, and what else, others changed."""
        return self.catalog.watch

    @property
    def unserved(self) -> Unserved:
        """What knows the names that are ours although they have no page."""
        return self.publisher.unserved

    @property
    def standing(self) -> Standing:
        """Whether it is ready, and may be changed."""
        return self.manifests.standing

    async def ready(self) -> None:
        """Return if the store answers, and this neither starts nor stops.

        :raises Unavailable: not so; the message says which.
        :raises StoreError: the store is away.
        """
        self.standing.check_ready()
        await in_time(self.store.ping(), PING_PATIENCE, self.clock)

    async def secure(self) -> None:
        """Take a lease where the store does not honour conditional writes.

        To be called when the store is ready. Before, nothing is changed: what the store
        does with a condition is known only then.

        :raises StoreError: the store is away.
        """
        if self._secured:
            return
        if self.backend.one_writer:
            self._check_alone()
            lease = Lease(self.store, self.clock, self.publisher.random)
            await lease.start()
            self._lease = lease
        self._secured = True
        self.standing.open(self._lease)

    def _check_alone(self) -> None:
        if self.siblings.exist:
            self.siblings.refuse(_ONE_PROCESS)
            raise Unavailable(_ONE_PROCESS)

    async def close(self) -> None:
        """Give up what it claims in the store, and close that."""
        if self._lease is not None:
            with suppress(PypicloudError):
                await self._lease.stop()
        await self.backend.close()
