"""A connection: bytes -> requests, one after the other, and their answers' way out.

Twisted's channel reads a request whole before anyone sees it. This one starts the
handler at the end of the head (DESIGN.md D6), lets it read the body at its own pace,
and carries a refusal to a client that is still sending.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING, cast

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IPushProducer,
    ISSLTransport,
    ITCPTransport,
)
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel

from pypicloud_tw.concurrency.deadline import Deadline
from pypicloud_tw.errors import BadRequest
from pypicloud_tw.web.http.body import RequestBody
from pypicloud_tw.web.http.framing import ByChunks, ByLength, Framing
from pypicloud_tw.web.http.head import MAX_HEAD, BadHeadError, Head, check_beginning
from pypicloud_tw.web.http.proxies import Peer
from pypicloud_tw.web.http.request import Request, plain_text
from pypicloud_tw.web.http.wire import Wire, as_socket, written_at_once

if TYPE_CHECKING:
    from pypicloud_tw.web.http.site import Site

#: Requests that came together and are served before others get their turn.
MOST_AT_ONCE = 16

#: Seconds for an idle client to take leave of when the server stops.
LEAVE = 1.0

_EMPTY_LINES = re.compile(rb"(?:\r\n)+")


class State(Enum):
    """What the next bytes are."""

    #: A request's head, or nothing for now.
    HEAD = "head"
    #: The body of the request that is being handled.
    BODY = "body"
    #: For later: the request that is being handled has come whole.
    LATER = "later"
    #: Nothing that could be understood, while the request is being handled.
    NOISE = "noise"
    #: The rest of a body that was refused; to be discarded.
    REFUSED = "refused"
    #: Of no interest any more.
    CLOSING = "closing"


# By these names a member is found in 0.1 µs, by its class in 0.4 (Python 3.11); a
# request asks ten times.
HEAD, BODY, LATER, NOISE, REFUSED, CLOSING = State


class Channel(HTTPChannel):
    """One connection.

    Of Twisted's channel remain the way of the answers and their producers; how bytes
    become requests is ours, and with it the deadlines.
    """

    _log = Logger()

    factory: Site
    site: Site
    wire: Wire
    peer: Peer

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted's
        self._state = HEAD
        self._buffer = b""
        self._serving = False
        self._paused = False
        self._expects_continue = False
        self._framing: Framing | None = None
        self._discarded = 0
        self._body: RequestBody | None = None
        self._resumption: IDelayedCall | None = None

    # --- the transport's side

    def connectionMade(self) -> None:
        """Begin: remember what every request will ask, and wait for the first."""
        self.wire = wire = cast(Wire, self.transport)
        self._socket = as_socket(wire)
        self._secure = ISSLTransport.providedBy(wire)
        self._address, self._host = wire.getPeer(), wire.getHost()
        # By the address: a UNIX socket says that it is TCP, and so does TLS over one.
        if isinstance(self._host, IPv4Address | IPv6Address):
            cast(ITCPTransport, wire).setTcpNoDelay(True)
        self.peer = Peer.of(self._address, self.site.proxies)
        self._networkProducer = wire
        wire.registerProducer(self, True)
        self._registered = True
        self._deadline = Deadline(self.site.reactor, self._expired)
        self._deadline.set(self.site.limits.head)
        self._in_head = False
        self.site.channels.add(self)

    def dataReceived(self, data: bytes) -> None:
        """Take bytes; what they are depends on what came before."""
        state = self._state
        if state is HEAD:
            self._buffer += data
            self._serve()
        elif state is BODY:
            self._body_received(data)
        elif state is LATER:
            self._buffer += data
            self._adjust_reading()
        else:
            self._discard(len(data))

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """End whatever was under way."""
        self._state = CLOSING
        self._deadline.cancel()
        if self._resumption is not None:
            self._resumption.cancel()
            self._resumption = None
        self._buffer = b""
        for request in self.requests:
            request.connectionLost(reason)
        self.requests.clear()
        self.site.channel_lost(self)

    def pauseProducing(self) -> None:
        """The client does not read as fast as we answer."""
        self._waitingForTransport = True
        self._deadline.set(self.site.limits.send)
        if self._requestProducer is not None:
            self._requestProducer.pauseProducing()

    def resumeProducing(self) -> None:
        """The client has read what was waiting."""
        self._waitingForTransport = False
        if self._state is HEAD:
            self._deadline.set(self.site.limits.idle)
            self._in_head = False
            self._serve()
        elif self._state in (BODY, LATER, NOISE):
            self._deadline.clear()
        if self._requestProducer is not None:
            self._requestProducer.resumeProducing()

    # --- requests

    def _serve(self) -> None:
        """Serve the requests that have come.

        One after the other in a loop, not each by the end of the one before it: a
        client may send thousands at once. None begins while an answer waits for the
        client to read, lest unread answers pile up.
        """
        if self._serving:
            return
        self._serving = True
        try:
            for _ in range(MOST_AT_ONCE):
                if self._state is not HEAD or self._waitingForTransport:
                    break
                if not self._buffer or not self._serve_next():
                    break
            else:
                self._continue_later()
        finally:
            self._serving = False
        self._adjust_reading()

    def _serve_next(self) -> bool:
        """Serve the first request in the buffer; false if it is not there yet."""
        buffer = self._buffer
        if buffer.startswith(b"\r\n"):
            # Before a request they are to be ignored (RFC 9112, section 2.2).
            buffer = self._buffer = _EMPTY_LINES.sub(b"", buffer, count=1)
        end = buffer.find(b"\r\n\r\n", 0, MAX_HEAD + 4)
        try:
            if end >= 0:
                head = self.site.heads.parse(buffer[:end])
                self._buffer = buffer[end + 4 :]
                self._begin(head)
                return True
            if len(buffer) >= MAX_HEAD:
                raise BadHeadError(431, "The request's head is too long.")
            check_beginning(buffer)
        except BadHeadError as error:
            self._refuse(error)
            return False
        if buffer and not self._in_head:
            self._in_head = True
            self._deadline.set(self.site.limits.head)
        return False

    def _continue_later(self) -> None:
        if self._resumption is None:
            self._resumption = self.site.reactor.callLater(0, self._resume_serving)

    def _resume_serving(self) -> None:
        self._resumption = None
        self._serve()

    def _begin(self, head: Head) -> None:
        """Let a request be handled, whose body may still be on its way."""
        site = self.site
        self._deadline.clear()
        self._in_head = False
        self.persistent = head.persistent and not site.draining
        request: Request = site.requestFactory(self)
        self.requests.append(request)
        if head.length == 0:
            self._state = LATER
            request.begin(head, None)
            return
        self._body = body = RequestBody(
            head.length, self, site.reactor, site.limits.body
        )
        self._expects_continue = head.expects_continue
        self._framing = ByChunks() if head.length is None else ByLength(head.length)
        self._state = BODY
        data, self._buffer = self._buffer, b""
        # First the bytes that came along: if they are all, the answer may know it.
        if data:
            self._body_received(data)
        request.begin(head, body)

    def requestDone(self, request: Request) -> None:
        """Go on after an answer: with the next request, or to the end."""
        assert self.requests[0] is request, "one request is handled at a time"
        self.requests.clear()
        body, self._body = self._body, None
        if self._state in (BODY, NOISE):
            self._linger()
        elif self._state is CLOSING:
            pass
        elif self.site.draining or not self.persistent:
            self.loseConnection()
        else:
            self._state = HEAD
            limits = self.site.limits
            waiting = self._waitingForTransport
            self._deadline.set(limits.send if waiting else limits.idle)
            if self._buffer:
                self._serve()
            elif self._paused:
                self._adjust_reading()
        if body is not None:
            body.fail(AnsweredError("The request has been answered already."))

    def answer_begins(self) -> bool:
        """Tell whether the answer must say that the connection ends with it.

        So it does when the body has not come whole: nobody will look for its end.
        """
        if self.site.draining or self._state is not LATER:
            self.persistent = False
        return not self.persistent

    # --- bodies

    def body_wanted(self) -> None:
        """See :class:`~pypicloud_tw.web.http.body.Sender`: now is the time for 100.

        Whoever has begun to send is not waiting for it (RFC 9110, section 10.1.1).
        """
        expected, self._expects_continue = self._expects_continue, False
        if not expected or self._state is not BODY:
            return
        if self._body is not None and not self._body.received:
            self.wire.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def body_drained(self) -> None:
        """See :class:`~pypicloud_tw.web.http.body.Sender`."""
        self._adjust_reading()

    def _body_received(self, data: bytes) -> None:
        body, framing = self._body, self._framing
        assert body is not None, "a body is received while its request is handled"
        assert framing is not None, "and so is the way to find its end"
        try:
            part, rest = framing.split(data)
        except BadRequest as error:
            self._state = NOISE
            body.fail(error)
            return
        if rest is not None:
            # First we: as soon as the handler hears that this is all, it may answer.
            self._state = LATER
            self._buffer = rest
        if part:
            body.feed(part)
        if rest is not None:
            body.end()
        self._adjust_reading()

    # --- ends

    def _linger(self) -> None:
        """Read on for a while after an answer that came before the body's end.

        If we closed now, the unread rest would make the kernel send a reset, at which
        the client forgets the answer before it has read it (RFC 9112, section 9.6).
        """
        self._state = REFUSED
        self._buffer = b""
        self._deadline.set(self.site.limits.linger)
        self._unregister()
        half_close = getattr(self.wire, "loseWriteConnection", None)
        # TLS has no half-closing: it would cut the TCP connection below it.
        if half_close is not None and not self._secure:
            half_close()
        self._adjust_reading()

    def _discard(self, size: int) -> None:
        """Count what is not of interest any more, to an end."""
        if self._state is CLOSING:
            return
        self._discarded += size
        if self._discarded > self.site.limits.linger_bytes:
            self.abort()
        elif self._state is REFUSED and isinstance(self._framing, ByLength):
            self._framing.remaining -= size
            if self._framing.remaining <= 0:
                self.loseConnection()

    def _refuse(self, error: BadHeadError) -> None:
        """Answer what is no request, and end."""
        self.site.log_refusal(self.peer, error.status)
        fields, body = plain_text(error.sentence.encode())
        if self._buffer.startswith(b"HEAD "):
            body = b""
        head = self.site.answer_head(error.status) + fields
        self.wire.write(head + b"Connection: close\r\n\r\n" + body)
        self._framing = None
        self._linger()

    def _expired(self) -> None:
        """Something took too long."""
        if self._state is HEAD and not self._waitingForTransport:
            if self._in_head:
                self._refuse(
                    BadHeadError(408, "The request's head did not come in time.")
                )
            else:
                self.loseConnection()
            return
        if self._state is not CLOSING:
            self._log.info(
                "Cut the connection to {peer}: it did not take its answer, or sent a "
                "refused body for too long.",
                peer=self._address,
            )
        self.abort()

    def drain(self) -> None:
        """Close if nothing is under way, else after what is."""
        if self._state is HEAD and not self._buffer:
            self.loseConnection()
            # Over TLS a client that is idle does not even hear that we take leave.
            self._deadline.set(LEAVE)

    def loseConnection(self) -> None:
        """Close when everything has been written."""
        self._state = CLOSING
        self._deadline.set(self.site.limits.send)
        self._unregister()
        self.wire.loseConnection()

    def _unregister(self) -> None:
        """Let the transport write what it has without asking us for more."""
        if self._registered:
            self._registered = False
            self.wire.unregisterProducer()

    def abort(self) -> None:
        """Close now, whatever is still to be written."""
        self._state = CLOSING
        self.wire.abortConnection()

    # --- reading and not reading

    def _adjust_reading(self) -> None:
        """Pause or resume the sender; the only place that does.

        It is paused while a handler has enough of its body unread, and while enough
        later requests wait.
        """
        state = self._state
        if state is BODY and self._body is not None:
            pause = self._body.full
        else:
            pause = state is not REFUSED and len(self._buffer) > MAX_HEAD
        if pause is not self._paused and state is not CLOSING:
            self._paused = pause
            if pause:
                self.wire.pauseProducing()
            else:
                self.wire.resumeProducing()

    def write(self, data: bytes) -> None:
        """Write bytes of an answer; at once, where nothing else waits to be written."""
        if self._socket is not None and self._state is not CLOSING:
            data = written_at_once(self._socket, data)
        if data:
            self.wire.write(data)

    # --- what requests ask

    def getPeer(self) -> IAddress:
        """The other end; asked of the transport once, for that makes it anew."""
        return self._address

    def getHost(self) -> IAddress:
        """Our end."""
        return self._host

    def isSecure(self) -> bool:
        """Whether this is TLS."""
        return self._secure

    def registerProducer(self, producer: IPushProducer, streaming: bool) -> None:
        """Let a producer write the answer's body; it may have to wait at first."""
        super().registerProducer(producer, streaming)  # type: ignore[no-untyped-call]  # Twisted's
        if self._waitingForTransport and self._requestProducer is not None:
            self._requestProducer.pauseProducing()


class AnsweredError(ConnectionError):
    """A body is read after its request was answered; nobody sends it any more."""
