"""An answer: its head, and its body on the way to wherever it belongs."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IConsumer, IPushProducer, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import UNKNOWN_LENGTH
from zope.interface import implementer

from pypicloud_tw.concurrency.deadline import Deadline
from pypicloud_tw.store.s3.faults import S3TooLong, S3Unreachable
from pypicloud_tw.store.s3.timeouts import Timeouts
from pypicloud_tw.store.s3.xml import in_utc


class BrokenOff(S3Unreachable):
    """A body did not come to its end.

    :ivar delivered: how many bytes the consumer has.
    """

    def __init__(self, delivered: int) -> None:
        super().__init__("S3 broke off half-way.")
        self.delivered = delivered


@define(eq=False)
class _Collector(Protocol):
    """Gathers a body of limited length."""

    _limit: int
    _clock: IReactorTime
    _silence: float
    done: Deferred[bytes] = field(init=False)
    _deadline: Deadline = field(init=False)
    _pieces: list[bytes] = field(init=False, factory=list)
    _size: int = field(init=False, default=0)

    def __attrs_post_init__(self) -> None:
        self.done = Deferred(lambda _: self._abort())
        self._deadline = Deadline(self._clock, self._abort)

    def connectionMade(self) -> None:
        self._deadline.set(self._silence)

    def dataReceived(self, data: bytes) -> None:
        self._deadline.set(self._silence)
        self._size += len(data)
        if self._size > self._limit:
            self._abort()
        else:
            self._pieces.append(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._deadline.cancel()
        if self.done.called:
            return
        if self._size > self._limit:
            self.done.errback(S3TooLong(_too_long(self._limit)))
        elif not self._deadline.passed and _is_whole(reason):
            self.done.callback(b"".join(self._pieces))
        else:
            self.done.errback(S3Unreachable("S3's answer broke off."))

    def _abort(self) -> None:
        _hang_up(self)


@implementer(IPushProducer)
@define(eq=False)
class _Delivery(Protocol):
    """Passes a body on to a consumer, at the consumer's pace."""

    _consumer: IConsumer
    _clock: IReactorTime
    _silence: float
    done: Deferred[int] = field(init=False)
    _deadline: Deadline = field(init=False)
    _size: int = field(init=False, default=0)
    _over: bool = field(init=False, default=False)

    def __attrs_post_init__(self) -> None:
        self.done = Deferred(lambda _: self._give_up())
        self._deadline = Deadline(self._clock, lambda: _hang_up(self))

    def connectionMade(self) -> None:
        self._deadline.set(self._silence)
        self._consumer.registerProducer(self, True)

    def dataReceived(self, data: bytes) -> None:
        if not self._over:
            self._size += len(data)
            self._deadline.set(self._silence)
            self._consumer.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._over:
            return
        self._release()
        if not self._deadline.passed and _is_whole(reason):
            self.done.callback(self._size)
        else:
            self.done.errback(BrokenOff(self._size))

    def pauseProducing(self) -> None:
        """Wait for the consumer, however long it takes: that is not S3's silence."""
        self._deadline.cancel()
        _producer(self).pauseProducing()

    def resumeProducing(self) -> None:
        """Go on."""
        if not self._over:
            self._deadline.set(self._silence)
            _producer(self).resumeProducing()

    def stopProducing(self) -> None:
        """The consumer is gone, and has forgotten us; so are we."""
        self._over = True
        self._deadline.cancel()
        _hang_up(self)
        self.done.errback(CancelledError())

    def _give_up(self) -> None:
        self._release()
        _hang_up(self)

    def _release(self) -> None:
        self._over = True
        self._deadline.cancel()
        self._consumer.unregisterProducer()


class _Discard(Protocol):
    """Wants nothing of a body."""

    def connectionMade(self) -> None:
        _hang_up(self)


def _too_long(limit: int) -> str:
    return f"S3's answer is longer than {limit} bytes."


def _producer(protocol: Protocol) -> IPushProducer:
    """See the transport of a body as what it is there to do."""
    transport: Any = protocol.transport
    producer: IPushProducer = transport
    return producer


def _hang_up(protocol: Protocol) -> None:
    """Close the connection at once, with all that is still to come."""
    transport: Any = protocol.transport
    # Twisted puts a proxy before the transport that has no abortConnection. Without
    # it, TLS would wait for the other side's farewell behind a body nobody reads.
    transport = getattr(transport, "_producer", transport)
    if transport is not None:
        getattr(transport, "abortConnection", transport.loseConnection)()


def _is_whole(reason: Failure) -> bool:
    # PotentialDataLoss: the end of the connection is the end of the body, which is
    # right for an answer without a length; whoever knows the length checks it.
    return isinstance(reason.value, (ResponseDone, PotentialDataLoss))


@define
class Answer:
    """The head of an answer, and its body, not yet read."""

    # An IResponse, whose deliverBody has no types.
    _response: Any
    _clock: IReactorTime
    _timeouts: Timeouts

    @property
    def status(self) -> int:
        """The HTTP status."""
        return int(self._response.code)

    @property
    def length(self) -> int | None:
        """The length of the body in bytes, if it was told."""
        length = self._response.length
        return None if length is UNKNOWN_LENGTH else int(length)

    @property
    def date(self) -> datetime:
        """The server's clock; ours, if it does not say."""
        try:
            found = parsedate_to_datetime(self.header("date") or "")
        except ValueError:
            return datetime.fromtimestamp(self._clock.seconds(), UTC)
        # A zone of -0000 makes it naive (RFC 5322, section 3.3).
        return in_utc(found)

    def header(self, name: str) -> str | None:
        """Look up a field of the head."""
        values = self._response.headers.getRawHeaders(name)
        return values[-1] if values else None

    def headers(self) -> dict[str, str]:
        """All fields of the head, by lower-case name."""
        told = {
            name.decode("latin-1").lower(): values[-1].decode("utf-8", "replace")
            for name, values in self._response.headers.getAllRawHeaders()
        }
        # Twisted keeps it to itself, except in an answer to HEAD.
        if self.length is not None:
            told.setdefault("content-length", str(self.length))
        return told

    async def read(self, limit: int) -> bytes:
        """Read the body whole.

        :raises S3Unreachable: it is longer than *limit* bytes, or broke off.
        """
        if self.length is not None and self.length > limit:
            self.discard()
            raise S3TooLong(_too_long(limit))
        collector = _Collector(limit, self._clock, self._timeouts.silence)
        self._response.deliverBody(collector)
        return await collector.done

    async def deliver(self, consumer: IConsumer) -> int:
        """Pass the body on; tell how many bytes it had.

        :raises BrokenOff: not all of it came.
        :raises CancelledError: the consumer went away.
        """
        delivery = _Delivery(consumer, self._clock, self._timeouts.silence)
        self._response.deliverBody(delivery)
        return await delivery.done

    def discard(self) -> None:
        """Let go of the body, and of the connection if it still has to come."""
        self._response.deliverBody(_Discard())
