"""One request and its answer: bodies, limits and time, no meaning.

The Agent is used as it is rather than through ``treq.client.HTTPClient``, which would
decode ``Content-Encoding: gzip`` (what is stored must arrive as it is), follow
redirects (S3's need a new signature), keep cookies, and take every URL apart and
together again (what is sent must be what was signed, ``//`` and ``%2F`` included).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from hashlib import sha256
from typing import Any, Protocol

from attrs import define, field, frozen
from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.internet.interfaces import (
    IConsumer,
    IDelayedCall,
    IPushProducer,
    IReactorTime,
)
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IAgent, IBodyProducer
from zope.interface import implementer

from pypicloud_tw.store.s3_errors import S3TooLong, S3Unreachable

#: Bodies are read and written in pieces of this many bytes.
CHUNK = 256 * 1024


#: TLS broke, or the certificate is somebody else's.
_TLS_ERRORS = (SSL.Error, VerificationError)


@frozen
class Timeouts:
    """How long to be patient, in seconds.

    :ivar connect: until there is a connection; the Agent watches over it.
    :ivar first_byte: from the last byte of the request to the answer's headers.
    :ivar silence: between two pieces of a body, while we are ready for the next.
    """

    connect: float = 10.0
    first_byte: float = 30.0
    silence: float = 30.0


class Body(Protocol):
    """Bytes of known length that can be sent more than once."""

    @property
    def length(self) -> int:
        """How many bytes."""

    @property
    def sha256(self) -> bytes | None:
        """Their digest, where it is known."""

    async def read(self, offset: int, size: int) -> bytes:
        """Give up to *size* bytes; none only at the end."""


@frozen
class BytesBody:
    """A body in memory."""

    data: bytes = field(repr=False)

    @property
    def length(self) -> int:
        """How many bytes."""
        return len(self.data)

    @property
    def sha256(self) -> bytes:
        """Their digest."""
        return sha256(self.data).digest()

    async def read(self, offset: int, size: int) -> bytes:
        """Give a piece."""
        return self.data[offset : offset + size]


@define
class Watchdog:
    """Calls *bark* once nothing has happened for long enough."""

    _clock: IReactorTime
    _bark: Callable[[], None]
    barked: bool = field(init=False, default=False)
    _call: IDelayedCall | None = field(init=False, default=None)

    def watch(self, seconds: float) -> None:
        """Begin again, with *seconds* to go."""
        if self._call is not None and self._call.active():
            self._call.reset(seconds)
        elif not self.barked:
            self._call = self._clock.callLater(seconds, self._timed_out)

    def rest(self) -> None:
        """Watch no more, for now."""
        if self._call is not None and self._call.active():
            self._call.cancel()

    def _timed_out(self) -> None:
        self.barked = True
        self._bark()


@implementer(IBodyProducer)
@define(eq=False)
class BodyProducer:
    """Sends a :class:`Body` as fast as it is taken, and no faster.

    :ivar _progress: called after every piece.
    """

    _body: Body
    _progress: Callable[[], None]
    length: int = field(init=False)
    _consumer: IConsumer = field(init=False)
    _resumed: Deferred[None] | None = field(init=False, default=None)
    _stopped: bool = field(init=False, default=False)

    def __attrs_post_init__(self) -> None:
        self.length = self._body.length

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """Send everything; the Deferred fires at the end, unless stopped."""
        self._consumer = consumer
        # The Deferred that the caller gets must stay silent once we were stopped.
        done: Deferred[None] = Deferred(lambda _: self.stopProducing())
        sending = Deferred.fromCoroutine(self._send())
        sending.addCallbacks(
            lambda _: None if self._stopped else done.callback(None),
            lambda failure: None if self._stopped else done.errback(failure),
        )
        return done

    def pauseProducing(self) -> None:
        """Wait."""
        if self._resumed is None:
            self._resumed = Deferred()

    def resumeProducing(self) -> None:
        """Go on."""
        resumed, self._resumed = self._resumed, None
        if resumed is not None:
            resumed.callback(None)

    def stopProducing(self) -> None:
        """Send no more."""
        self._stopped = True
        self.resumeProducing()

    async def _send(self) -> None:
        offset = 0
        while offset < self.length:
            if self._resumed is not None:
                await self._resumed
            data = await self._body.read(offset, min(CHUNK, self.length - offset))
            if self._stopped:
                return
            if not data:
                raise EOFError("The body is shorter than it said.")
            self._consumer.write(data)
            offset += len(data)
            self._progress()


class BrokenOff(S3Unreachable):
    """A body did not come to its end.

    :ivar delivered: how many bytes the consumer has.
    """

    def __init__(self, delivered: int) -> None:
        super().__init__("S3 broke off half-way.")
        self.delivered = delivered


@define(eq=False)
class _Collector(TwistedProtocol):
    """Gathers a body of limited length."""

    _limit: int
    _watchdog_of: Callable[[Callable[[], None]], Watchdog]
    _silence: float
    done: Deferred[bytes] = field(init=False)
    _watchdog: Watchdog = field(init=False)
    _pieces: list[bytes] = field(init=False, factory=list)
    _size: int = field(init=False, default=0)

    def __attrs_post_init__(self) -> None:
        self.done = Deferred(lambda _: self._abort())
        self._watchdog = self._watchdog_of(self._abort)

    def connectionMade(self) -> None:
        self._watchdog.watch(self._silence)

    def dataReceived(self, data: bytes) -> None:
        self._watchdog.watch(self._silence)
        self._size += len(data)
        if self._size > self._limit:
            self._abort()
        else:
            self._pieces.append(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._watchdog.rest()
        if self.done.called:
            return
        if self._size > self._limit:
            self.done.errback(S3TooLong(_too_long(self._limit)))
        elif not self._watchdog.barked and _is_whole(reason):
            self.done.callback(b"".join(self._pieces))
        else:
            self.done.errback(S3Unreachable("S3's answer broke off."))

    def _abort(self) -> None:
        _hang_up(self)


@implementer(IPushProducer)
@define(eq=False)
class _Delivery(TwistedProtocol):
    """Passes a body on to a consumer, at the consumer's pace."""

    _consumer: IConsumer
    _watchdog_of: Callable[[Callable[[], None]], Watchdog]
    _silence: float
    done: Deferred[int] = field(init=False)
    _watchdog: Watchdog = field(init=False)
    _size: int = field(init=False, default=0)
    _over: bool = field(init=False, default=False)

    def __attrs_post_init__(self) -> None:
        self.done = Deferred(lambda _: self._give_up())
        self._watchdog = self._watchdog_of(lambda: _hang_up(self))

    def connectionMade(self) -> None:
        self._watchdog.watch(self._silence)
        self._consumer.registerProducer(self, True)

    def dataReceived(self, data: bytes) -> None:
        if not self._over:
            self._size += len(data)
            self._watchdog.watch(self._silence)
            self._consumer.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._over:
            return
        self._release()
        if not self._watchdog.barked and _is_whole(reason):
            self.done.callback(self._size)
        else:
            self.done.errback(BrokenOff(self._size))

    def pauseProducing(self) -> None:
        """Wait for the consumer, however long it takes: that is not S3's silence."""
        self._watchdog.rest()
        _producer(self).pauseProducing()

    def resumeProducing(self) -> None:
        """Go on."""
        if not self._over:
            self._watchdog.watch(self._silence)
            _producer(self).resumeProducing()

    def stopProducing(self) -> None:
        """The consumer is gone, and has forgotten us; so are we."""
        self._over = True
        self._watchdog.rest()
        _hang_up(self)
        self.done.errback(CancelledError())

    def _give_up(self) -> None:
        self._release()
        _hang_up(self)

    def _release(self) -> None:
        self._over = True
        self._watchdog.rest()
        self._consumer.unregisterProducer()


class _Discard(TwistedProtocol):
    """Wants nothing of a body."""

    def connectionMade(self) -> None:
        _hang_up(self)


def _too_long(limit: int) -> str:
    return f"S3's answer is longer than {limit} bytes."


def _producer(protocol: TwistedProtocol) -> IPushProducer:
    """See the transport of a body as what it is there to do."""
    transport: Any = protocol.transport
    producer: IPushProducer = transport
    return producer


def _hang_up(protocol: TwistedProtocol) -> None:
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
    _wire: Wire

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
            return datetime.fromtimestamp(self._wire.clock.seconds(), UTC)
        # A zone of -0000 makes it naive (RFC 5322, section 3.3); it is UTC.
        return found if found.tzinfo is not None else found.replace(tzinfo=UTC)

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
        collector = _Collector(limit, self._wire.watchdog, self._wire.timeouts.silence)
        self._response.deliverBody(collector)
        return await collector.done

    async def deliver(self, consumer: IConsumer) -> int:
        """Pass the body on; tell how many bytes it had.

        :raises BrokenOff: not all of it came.
        :raises CancelledError: the consumer went away.
        """
        delivery = _Delivery(consumer, self._wire.watchdog, self._wire.timeouts.silence)
        self._response.deliverBody(delivery)
        return await delivery.done

    def discard(self) -> None:
        """Let go of the body, and of the connection if it still has to come."""
        self._response.deliverBody(_Discard())


@frozen
class Wire:
    """Sends requests, one try each."""

    agent: IAgent
    clock: IReactorTime
    timeouts: Timeouts = Timeouts()

    def watchdog(self, bark: Callable[[], None]) -> Watchdog:
        """Make a watchdog on our clock."""
        return Watchdog(self.clock, bark)

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: Body | None
    ) -> Answer:
        """Send one request and wait for the head of its answer.

        :raises S3Unreachable: there was none; ``unknown`` is set if the request may
            have arrived.
        """
        times = self.timeouts
        watchdog = self.watchdog(lambda: asking.cancel())
        producer = None
        if body is not None:
            producer = BodyProducer(
                body, lambda: watchdog.watch(max(times.silence, times.first_byte))
            )
        raw = Headers({name.encode(): [v.encode()] for name, v in headers.items()})
        asking = self.agent.request(method.encode(), url.encode(), raw, producer)
        watchdog.watch(times.connect + times.first_byte)
        try:
            return Answer(await asking, self)
        except Exception as error:
            if _was_cancelled(error) and not watchdog.barked:
                raise CancelledError from None
            raise _unreachable(error, watchdog.barked) from None
        finally:
            watchdog.rest()


def _causes(error: Exception) -> list[BaseException]:
    # The Agent wraps what ended a connection, cancellation included.
    reasons: list[Failure] = getattr(error, "reasons", [])
    inner = [reason.value for reason in reasons if reason.value is not None]
    return [error, *inner]


def _was_cancelled(error: Exception) -> bool:
    return any(isinstance(cause, CancelledError) for cause in _causes(error))


def _unreachable(error: Exception, silent: bool) -> S3Unreachable:
    """Say what happened, without the address: it may bear a signature."""
    tls = [repr(cause) for cause in _causes(error) if isinstance(cause, _TLS_ERRORS)]
    if silent:
        text = "S3 did not answer in time."
    elif isinstance(error, DNSLookupError):
        text = "The name of the S3 endpoint is not known."
    elif isinstance(error, ConnectError):
        text = f"S3 cannot be connected to ({error})"
    elif tls:
        text = f"TLS with S3 failed: {tls[0]}."
        if "certificate" in tls[0]:
            text += " A certificate by an authority of your own needs aws.ca_file."
    else:
        names = ", ".join(type(cause).__name__ for cause in _causes(error))
        text = f"S3 did not answer ({names})."
    fault = S3Unreachable(text)
    # TLS may fail after the request was read, too.
    fault.unknown = not isinstance(error, (ConnectError, DNSLookupError))
    return fault
