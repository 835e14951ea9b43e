"""A response of S3: its head, and its body, read or delivered."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from attrs import define
from twisted.internet.interfaces import IConsumer, IReactorTime
from twisted.web.iweb import UNKNOWN_LENGTH

from pypicloud_tw.concurrency.delivery import deliver
from pypicloud_tw.outbound.response_body import ResponseBody
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


@define
class S3Response:
    """The head of a response, and its body, not yet read."""

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
        body = self._body()
        if self.length is not None and self.length > limit:
            body.abort()
            raise _too_long(limit)
        return b"".join(await body.read_all(limit, lambda: _too_long(limit)))

    async def deliver(self, consumer: IConsumer) -> int:
        """Pass the body on; tell how many bytes it had.

        :raises BrokenOff: not all of it came.
        :raises CancelledError: the consumer went away.
        """
        body = self._body()
        delivered = 0

        async def pieces() -> AsyncIterator[bytes]:
            nonlocal delivered
            while piece := await body.read():
                delivered += len(piece)
                yield piece

        try:
            await deliver(consumer, pieces(), body.abort)
        except S3Unreachable:
            raise BrokenOff(delivered) from None
        finally:
            body.abort()
        return delivered

    def discard(self) -> None:
        """Let go of the body, and of the connection if it still has to come."""
        self._body().abort()

    def _body(self) -> ResponseBody:
        # What is delivered waits in its consumer, not in here.
        body = ResponseBody(
            self._clock,
            self._timeouts.silence,
            lambda _how: S3Unreachable("S3's answer broke off."),
            lambda: S3Unreachable("S3's answer broke off."),
            high_water=0,
        )
        self._response.deliverBody(body)
        return body


def _too_long(limit: int) -> S3TooLong:
    return S3TooLong(f"S3's answer is longer than {limit} bytes.")
