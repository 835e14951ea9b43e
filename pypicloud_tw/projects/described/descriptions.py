"""Descriptions that were rendered, remembered by what they are made of."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

from attrs import define, field

from pypicloud_tw.concurrency.cache import Cache
from pypicloud_tw.concurrency.coalesced import Coalesced
from pypicloud_tw.errors import BadRequest, Unavailable
from pypicloud_tw.offload.service import IOffload
from pypicloud_tw.projects.described.rendering import (
    BUSY,
    LONGEST,
    TOO_MUCH,
    plain,
    plain_by_type,
    render,
)
from pypicloud_tw.projects.described.values import (
    ReleaseMetadata,
    RenderedDescription,
)

#: Bytes of rendered descriptions that are kept: a thousand of the usual 15 kB.
CAPACITY = 16 * 2**20

#: Seconds for which one is shown as text that took too much, or that no helper was
#: there for: each try may take as long as a job may.
AGAIN, SOON = 3600.0, 30.0

#: A few words more than the text: the object, its key and its place.
_OVERHEAD = 500


def _weight(rendered: RenderedDescription) -> int:
    return _OVERHEAD + 2 * len(rendered.html)


@define(eq=False)
class Descriptions:
    """Renders each description once.

    :ivar seconds: a clock, by which what failed is tried again.
    """

    offload: IOffload
    seconds: Callable[[], float]
    _known: Cache[str, RenderedDescription] = field(init=False)
    _rendering: Coalesced[RenderedDescription] = field(factory=Coalesced, init=False)

    @_known.default
    def _make_known(self) -> Cache[str, RenderedDescription]:
        return Cache(CAPACITY, _weight, self.seconds)

    async def rendered(self, metadata: ReleaseMetadata) -> RenderedDescription:
        """Return a release's description as it is put into a page; never fails."""
        # A character more than is rendered tells that there are more.
        text = metadata.description[: LONGEST + 1]
        content_type = metadata.description_type
        if not text.strip():
            return RenderedDescription("", "none")
        shown = plain_by_type(text, content_type)
        if shown is not None:
            return shown
        digest = sha256(f"{content_type}\0{text}".encode()).hexdigest()
        known = self._known.get(digest)
        if known is not None:
            return known
        return await self._rendering.ask(
            digest, lambda: self._render(digest, text, content_type)
        )

    async def _render(
        self, digest: str, text: str, content_type: str
    ) -> RenderedDescription:
        lifetime = None
        try:
            made = await self.offload.in_process(render, text, content_type)
        except BadRequest:
            made, lifetime = plain(text, TOO_MUCH), AGAIN
        except Unavailable:
            made, lifetime = plain(text, BUSY), SOON
        self._known.put(digest, made, lifetime=lifetime)
        return made
