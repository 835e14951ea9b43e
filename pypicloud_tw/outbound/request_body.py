"""The body of a small request, sent at once."""

from __future__ import annotations

from attrs import field, frozen
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IConsumer
from twisted.web.iweb import IBodyProducer
from zope.interface import implementer


@implementer(IBodyProducer)
@frozen
class SmallBody:
    """Bytes in memory, few enough for one write.

    Twisted's own producer of bytes reads them in pieces by the global reactor's clock.
    """

    data: bytes = field(repr=False)

    @property
    def length(self) -> int:
        """How many bytes."""
        return len(self.data)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """See :class:`~twisted.web.iweb.IBodyProducer`."""
        consumer.write(self.data)
        return succeed(None)

    def pauseProducing(self) -> None:
        """Do nothing: all was written."""

    def resumeProducing(self) -> None:
        """Do nothing: all was written."""

    def stopProducing(self) -> None:
        """Do nothing: all was written."""
