"""A connection: bytes -> requests, one after the other, and their answers' way out.

Why it is not Twisted's ``HTTPChannel``:

- Twisted calls the handler when the whole body has come, and keeps the body in memory
  or in a temporary file until then (Twisted's issue #4688). So no request can be
  refused by its head alone, an upload is written twice, and a client that sends too
  fast cannot be slowed down. Here the handler is called at the end of the head and
  reads the body at its own pace (decision D6); a refusal reaches a client that is
  still sending.
- Twisted sends ``100 Continue`` at the end of every head that asks for it. Here that
  waits until the handler wants the body (RFC 9110, section 10.1.1).
- Twisted has one timeout, from one piece of input to the next. Here the whole head, a
  body that is waited for, an answer that is not read and an idle connection have one
  each.
- Twisted accepts header fields that are folded, and requests with no Host or several.
  A proxy in front may understand those differently; ``head.py`` refuses them.

When Twisted calls handlers at the end of the head, delete ``body.py``, ``framing.py``
and, in this file, the states of a body (``BODY``, ``NOISE``, ``REFUSED``) with the
methods that serve them. The timeouts and the strict head would still be missing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum
from typing import Protocol

from twisted.internet.interfaces import IPushProducer
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from pypicloud_tw.concurrency.deadline import Deadline
from pypicloud_tw.concurrency.slices import Place, Slices
from pypicloud_tw.errors import BadRequest
from pypicloud_tw.web.http.body import RequestBody
from pypicloud_tw.web.http.framing import ByChunks, ByLength, Framing
from pypicloud_tw.web.http.head import (
    MAX_HEAD,
    BadHeadError,
    Head,
    HeadParser,
    check_beginning,
)
from pypicloud_tw.web.http.limits import ConnectionLimits
from pypicloud_tw.web.http.outgoing import LARGE_READ, SMALL_READ, Outgoing
from pypicloud_tw.web.http.proxies import Peer
from pypicloud_tw.web.http.request import Request, RequestSite, plain_text

#: Requests that came together and are served before others get their turn.
MOST_AT_ONCE = 16

#: Bytes of a body that is read in larger pieces: 64 of them at least.
LARGE_BODY = 64 * LARGE_READ

#: Seconds for an idle client to take leave of when the server stops, or to send the
#: request for which it has just connected.
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


class ConnectionSite(RequestSite, Protocol):
    """What a connection asks of its site.

    :ivar draining: no connection outlives the answer it waits for.
    :ivar channels: the open connections; each adds itself.
    :ivar slices: in which requests begin, but for those that ``express`` answers: these
        need not wait for all others that have come.
    :ivar express: answers what came on an idle connection without making a request of
        it, if it can, and says whether; None: every request is made.
    """

    limits: ConnectionLimits
    heads: HeadParser
    draining: bool
    channels: set[Channel]
    slices: Slices
    express: Callable[[Channel, bytes], bool] | None

    def channel_lost(self, channel: Channel) -> None:
        """Forget a connection that has ended."""

    def log_refusal(self, peer: Peer, status: int) -> None:
        """Write bytes that were no request into the access log."""


@implementer(IPushProducer)
class Channel(Outgoing):
    """One connection: how its bytes become requests.

    :ivar persistent: the connection may carry another request after the current one.
    :ivar kept: what the application keeps of one request for the next.
    :ivar kept_head: what it keeps of one request's head.
    """

    _log = Logger()

    peer: Peer
    kept: object = None
    kept_head: object = None

    def __init__(self, site: ConnectionSite) -> None:
        super().__init__(site.reactor)
        # By the name `factory` Twisted's Request asks where its end is to be logged.
        self.site = self.factory = site
        self.persistent = True
        self._request: Request | None = None
        self._state = HEAD
        self._buffer = b""
        self._serving = False
        # It has had a request.
        self._asked = False
        self._paused = False
        self._expects_continue = False
        self._framing: Framing | None = None
        self._discarded = 0
        self._body: RequestBody | None = None
        self._place: Place | None = None

    # --- the transport's side

    def connectionMade(self) -> None:
        """Begin: wait for the first request."""
        super().connectionMade()
        self.peer = Peer.of(self._address, self.site.proxies)
        self._deadline = Deadline(self.site.reactor, self._expired)
        self._deadline.set(self.site.limits.head)
        self._in_head = False
        self.site.channels.add(self)

    def dataReceived(self, data: bytes) -> None:
        """Take bytes; what they are depends on what came before."""
        state = self._state
        if state is HEAD:
            if not self._buffer and self._expressed(data):
                return
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
        if self._place is not None:
            self._place.cancel()
            self._place = None
        self._buffer = b""
        request, self._request = self._request, None
        if request is not None:
            request.connectionLost(reason)
        self.site.channel_lost(self)

    def pauseProducing(self) -> None:
        """The client does not read as fast as we answer."""
        self._deadline.set(self.site.limits.send)
        self.bridge.pause()

    def resumeProducing(self) -> None:
        """The client has read what was waiting."""
        idle = self._state is HEAD
        if self._state in (BODY, LATER, NOISE):
            self._deadline.clear()
        self.bridge.resume()
        if idle:
            self._deadline.set(self.site.limits.idle)
            self._in_head = False
            self._serve()

    # --- requests

    def _serve(self) -> None:
        """Serve the requests that have come.

        One after the other in a loop, not each by the end of the one before it: a
        client may send thousands at once. None begins while an answer waits for the
        client to read, lest unread answers pile up.
        """
        if self._serving or self._place is not None:
            return
        slices = self.site.slices
        if slices.over:
            self._serve_later()
        else:
            self._serve_now(slices)
        self._adjust_reading()

    def _serve_now(self, slices: Slices) -> None:
        began = slices.clock.seconds()
        self._serving = True
        try:
            for _ in range(MOST_AT_ONCE):
                if self._state is not HEAD or self.bridge.paused:
                    break
                if not self._buffer or not self._serve_next():
                    break
            else:
                self._serve_later()
        finally:
            self._serving = False
            slices.spend(began)

    def _serve_next(self) -> bool:
        """Serve the first request in the buffer; false if it is not there yet."""
        buffer = self._buffer
        if buffer.startswith(b"\r\n"):
            # Before a request they are to be ignored (RFC 9112, section 2.2).
            buffer = self._buffer = _EMPTY_LINES.sub(b"", buffer, count=1)
            if not buffer and self._in_head:
                self._in_head = False
                self._deadline.set(self.site.limits.idle)
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

    def _serve_later(self) -> None:
        self._place = self.site.slices.wait(self._resume_serving)

    def _resume_serving(self) -> None:
        self._place = None
        slices = self.site.slices
        began = slices.clock.seconds()
        if self._answered_meanwhile():
            slices.spend(began)
        else:
            self._serve_now(slices)
        self._adjust_reading()

    def _answered_meanwhile(self) -> bool:
        """Try the fast way once more: what was not in memory may be there by now."""
        if self._state is not HEAD:
            return False
        data, self._buffer = self._buffer, b""
        if self._expressed(data):
            return True
        self._buffer = data
        return False

    def _expressed(self, data: bytes) -> bool:
        """Have what has come answered the fast way, if it can be."""
        express = self.site.express
        waits = self._serving or self._in_head or self.bridge.paused
        return express is not None and not waits and express(self, data)

    def _begin(self, head: Head) -> None:
        """Let a request be handled, whose body may still be on its way."""
        site = self.site
        self._deadline.clear()
        self._asked, self._in_head = True, False
        self.persistent = head.persistent and not site.draining
        self._request = request = Request(self)
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
        if (head.length or 0) >= LARGE_BODY:
            self.read_by(LARGE_READ)
        data, self._buffer = self._buffer, b""
        # First the bytes that came along: if they are all, the answer may know it.
        if data:
            self._body_received(data)
        request.begin(head, body)

    def requestDone(self, request: Request) -> None:
        """Go on after an answer: with the next request, or to the end."""
        assert self._request is request, "one request is handled at a time"
        self._request = None
        body, self._body = self._body, None
        if body is not None and (body.length or 0) >= LARGE_BODY:
            self.read_by(SMALL_READ)
        if self._state in (BODY, NOISE):
            self._linger()
        elif self._state is CLOSING:
            pass
        elif self.site.draining or not self.persistent:
            self.loseConnection()
        else:
            self._state = HEAD
            limits = self.site.limits
            paused = self.bridge.paused
            self._deadline.set(limits.send if paused else limits.idle)
            if self._buffer:
                self._serve()
            elif self._paused:
                self._adjust_reading()
        if body is not None:
            body.fail(AnsweredError("The request has been answered already."))

    def answer_at_once(self, status: int, fields: bytes, body: bytes) -> None:
        """Write a whole answer where no request was made, and wait for the next.

        :param fields: lines ending in CR LF, Content-Length among them; without Server,
            Date and Connection, and without the empty line.
        """
        site = self.site
        self._asked, self._in_head = True, False
        self.write_whole(b"".join((site.answer_head(status), fields, b"\r\n")), body)
        limits = site.limits
        self._deadline.set(limits.send if self.bridge.paused else limits.idle)

    def answer_begins(self) -> bool:
        """Return whether the answer must say that the connection ends with it.

        It does if the body has not come whole: its end will not be looked for.
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
        self.let_go()
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
        if self._state is HEAD and not self.bridge.paused:
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
        if self._state is not HEAD or self._buffer:
            return
        if not self._asked:
            # Its first request is on the way, and not every client sends that again.
            self._deadline.set(LEAVE)
            return
        self.loseConnection()
        # Over TLS a client that is idle does not even hear that we take leave.
        self._deadline.set(LEAVE)

    def loseConnection(self) -> None:
        """Close when everything has been written."""
        self._state = CLOSING
        self._deadline.set(self.site.limits.send)
        super().loseConnection()

    def abort(self) -> None:
        """Close now, whatever is still to be written."""
        self._state = CLOSING
        super().abort()

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


class AnsweredError(ConnectionError):
    """A body is read after its request was answered, when no more of it comes."""
