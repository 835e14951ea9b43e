"""Downloads from the bucket, resumed where they broke off."""

from __future__ import annotations

from attrs import define, field
from twisted.internet.interfaces import IConsumer
from zope.interface import implementer

from pypicloud_tw.errors import StoreError
from pypicloud_tw.store.interfaces import ByteRange, IDownload, ObjectInfo
from pypicloud_tw.store.s3.client import S3Client
from pypicloud_tw.store.s3.explain import explained
from pypicloud_tw.store.s3.objects import object_info
from pypicloud_tw.store.s3.response import BrokenOff, S3Response

#: Times that a download which broke off is taken up again where it ended.
RESUMPTIONS = 3


@implementer(IDownload)
@define(eq=False)
class S3Download:
    """See :class:`IDownload`. What breaks off is taken up again where it ended."""

    info: ObjectInfo
    _client: S3Client = field(repr=False)
    _path: str
    _answer: S3Response | None = field(repr=False)
    _start: int
    _stop: int

    @classmethod
    def of(
        cls,
        key: str,
        client: S3Client,
        path: str,
        answer: S3Response,
        byte_range: ByteRange | None,
    ) -> S3Download:
        """Take over an answer to GET.

        :raises StoreError: it is not what was asked for; it is discarded.
        """
        try:
            info = object_info(key, answer.headers())
            start, stop = _served(answer, info, byte_range)
        except StoreError:
            answer.discard()
            raise
        return cls(info, client, path, answer, start, stop)

    async def deliver(self, consumer: IConsumer) -> None:
        """See :class:`IDownload`."""
        for attempt in range(RESUMPTIONS + 1):
            with explained(self._client.endpoint):
                answer = await self._take()
                try:
                    self._start += await answer.deliver(consumer)
                except BrokenOff as error:
                    self._start += error.delivered
                    if attempt == RESUMPTIONS:
                        raise
            if self._start >= self._stop:
                return
        raise StoreError("S3 delivered fewer bytes than it promised.")

    def abandon(self) -> None:
        """See :class:`IDownload`."""
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.discard()

    async def _take(self) -> S3Response:
        answer, self._answer = self._answer, None
        if answer is not None:
            return answer
        rest = ByteRange(self._start, self._stop)
        reply = await self._client.get_object(
            self._path, byte_range=rest, match=self.info.etag
        )
        if reply.answer.length != rest.stop - rest.start:
            reply.answer.discard()
            raise StoreError("S3 sent other bytes than the range that was asked for.")
        return reply.answer


def _served(
    answer: S3Response, info: ObjectInfo, byte_range: ByteRange | None
) -> tuple[int, int]:
    """Return which bytes of the object an answer bears."""
    if byte_range is None:
        return 0, info.size
    start, stop = byte_range.start, min(byte_range.stop, info.size)
    if answer.status != 206 or answer.length != stop - start:
        raise StoreError("S3 sent other bytes than the range that was asked for.")
    return start, stop
