"""Who publishes the projects of upstreams, shown and changed through a server."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from pypicloud_tw.client.api import ApiClient
from pypicloud_tw.projects.pinning import NewPin, PinnedPublisher

_PINS = "pins"


@frozen
class RemotePins:
    """See :class:`~.projects.pinning.PinAdministration`."""

    client: ApiClient

    async def pins(self) -> Sequence[PinnedPublisher]:
        """See the interface."""
        return (await self.client.ask("GET", _PINS, "")).items(PinnedPublisher)

    async def set_pin(self, project: str, new: NewPin) -> PinnedPublisher:
        """See the interface."""
        answer = await self.client.ask("PUT", _PINS, project, value=new)
        return answer.read(PinnedPublisher)

    async def remove_pin(self, project: str) -> PinnedPublisher:
        """See the interface."""
        return (await self.client.ask("DELETE", _PINS, project)).read(PinnedPublisher)
