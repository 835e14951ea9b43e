"""Long listings, read several pages at a time.

S3 tells a page only to who knows the key before it. So a long listing is cut into
ranges of keys at guessed places, and the ranges are read side by side. A bad guess
costs a request, never a key: each range ends exactly where the next one begins.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence

from attrs import frozen
from twisted.internet.defer import Deferred

from pypicloud_tw.store.keys import key_order
from pypicloud_tw.store.s3.client import S3Client
from pypicloud_tw.store.s3.faults import S3Unreachable
from pypicloud_tw.store.s3.xml import ListedObject, Listing

#: Pages that are read one after the other before it counts as long.
SHORT = 3

#: Ranges that are read at the same time, and kept in memory until their turn.
SIDE_BY_SIDE = 6

#: Where to cut, in names of projects and files, and how deep into the first key.
_CUTS = "059cfimpsvz"
_DEPTH = 8


@frozen
class ListingPages:
    """The pages of a listing, in the server's order.

    :ivar ordered: the server's order is that of the keys' bytes.
    """

    client: S3Client
    prefix: str
    ordered: bool
    short: int = SHORT

    async def read(self, after: str) -> AsyncGenerator[ListedObject, None]:
        """List all objects above *after*.

        :raises S3Fault: the listing failed.
        """
        continuation, page, count = None, None, 0
        while page is None or continuation is not None:
            page = await self._page(after, continuation)
            for found in page.objects:
                yield found
            count += 1
            continuation = page.continuation
            if self.ordered and count >= self.short and continuation and page.objects:
                async for found in self._rest(page.objects[-1].key):
                    yield found
                return

    async def _rest(self, last: str) -> AsyncIterator[ListedObject]:
        """List all objects above *last*, range by range."""
        starts = [last, *sorted(cuts(self.prefix, last), key=key_order)]
        ends: list[str | None] = [*starts[1:], None]
        ranges = deque(zip(starts, ends, strict=True))
        reading: deque[Deferred[Sequence[ListedObject]]] = deque()
        try:
            while ranges or reading:
                while ranges and len(reading) < SIDE_BY_SIDE:
                    start, end = ranges.popleft()
                    work = Deferred.fromCoroutine(self._range(start, end))
                    reading.append(work)
                for found in await reading.popleft():
                    yield found
        finally:
            # Whose turn did not come: one before them failed, or nobody listens.
            for work in reading:
                work.addErrback(lambda _: None)
                work.cancel()

    async def _range(self, start: str, end: str | None) -> Sequence[ListedObject]:
        """Collect the objects above *start*, up to and including *end*."""
        collected: list[ListedObject] = []
        limit = None if end is None else key_order(end)
        continuation = None
        while True:
            page = await self._page(start, continuation)
            for found in page.objects:
                if limit is not None and key_order(found.key) > limit:
                    return collected
                collected.append(found)
            continuation = page.continuation
            if continuation is None:
                return collected

    async def _page(self, after: str, continuation: str | None) -> Listing:
        page = await self.client.get_bucket(
            self.prefix, start_after=after, continuation=continuation
        )
        if continuation is not None and page.continuation == continuation:
            raise S3Unreachable("S3 lists the same page again and again.")
        return page


def cuts(prefix: str, last: str) -> Iterator[str]:
    """Guess keys above *last* that cut what is above it into ranges.

    Beside every one of its first characters: where all names begin alike, those are
    the places that matter.
    """
    for depth in range(len(prefix), min(len(prefix) + _DEPTH, len(last))):
        for character in _CUTS:
            if character > last[depth]:
                yield last[:depth] + character
