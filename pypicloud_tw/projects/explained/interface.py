"""What can be asked of what a client sees, and what that is found out from."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Protocol

from attrs import frozen

from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.projects.explained.values import Explanation

if TYPE_CHECKING:
    # It brings the client of other indexes, which no command needs that asks a server.
    from pypicloud_tw.upstream.service import Upstreams


class Explanations(Protocol):
    """Explains what a client sees under a name."""

    async def explain(self, name: str, version: str | None = None) -> Explanation:
        """Explain a project, or one release of it.

        :raises Forbidden: the asker may not read it, or Unauthorized.
        :raises UpstreamError: it is not here, and the other index does not answer.
        :raises Unavailable: it is not known whether it is here.
        """


class NearNames(Protocol):
    """Knows names that are easily taken for one another."""

    async def near(self, name: NormalizedName) -> Collection[NormalizedName]:
        """Return the names of this index that are within one edit of another."""


@frozen
class NoNearNames:
    """Knows of none."""

    async def near(self, name: NormalizedName) -> Collection[NormalizedName]:
        """See :class:`NearNames`."""
        return ()


@frozen
class AskedUpstream:
    """The other index, as clients are given it.

    :ivar redirects: clients are sent there.
    :ivar keeps: its files are kept in the store.
    :ivar merge: names whose files from here and from there are shown together.
    """

    upstreams: Upstreams[Any]
    redirects: bool = False
    merge: frozenset[str] = frozenset()
    keeps: bool = False
