"""Small uploads: their bytes stay in memory until all that they need is done at once.

Most wheels are small, and of these the way to a thread and back costs more than what it
is gone for.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import ParamSpec, TypeVar, TypeVarTuple

from attrs import define
from twisted.internet.defer import Deferred, execute
from zope.interface import implementer

from pypicloud_tw.errors import StoreError
from pypicloud_tw.offload.service import IOffload
from pypicloud_tw.store.interfaces import Placer
from pypicloud_tw.store.spool import GATHER, Spool

P = ParamSpec("P")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")

#: Bytes of the largest: what every upload may gather in memory anyway. To hash so many
#: takes the reactor's thread 0.2 ms.
SMALL = GATHER


@implementer(IOffload)
@define
class AtOnce:
    """Goes nowhere: for what takes no longer than the way to a thread."""

    def in_thread(
        self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> Deferred[T]:
        """See :class:`IOffload`."""
        return execute(function, *args, **kwargs)

    def in_process(self, function: Callable[[*Ts], T], *args: *Ts) -> Deferred[T]:
        """See :class:`IOffload`."""
        return execute(function, *args)


class OneByOne:
    """What :class:`.IUpload` says of a store that places no objects together."""

    @property
    def places(self) -> bool:
        """See :class:`.IUpload`."""
        return False

    def placer(self) -> Placer:
        """See :class:`.IUpload`."""
        raise StoreError("This store places one object after the other.")

    def placed(self, receipt: object) -> None:
        """See :class:`.IUpload`."""


@define(eq=False)
class SmallSpool(Spool):
    """A spool in memory, of at most :data:`SMALL` bytes."""

    @classmethod
    def make(cls) -> SmallSpool:
        """Begin one."""
        return cls(BytesIO(), AtOnce())

    async def write(self, data: bytes) -> None:
        """See :meth:`.Spool.write`.

        :raises StoreError: they are more than there may be.
        """
        if self.size + len(data) > SMALL:
            raise StoreError("More bytes came than were told; send the file again.")
        await super().write(data)
