"""What the fallback asks about who attests the files of upstreams."""

from __future__ import annotations

from typing import Protocol

from attrs import frozen

from pypicloud_tw.config.exemptions import Rule
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.upstream.judgement.values import Candidate, Refusal
from pypicloud_tw.upstream.links import Link
from pypicloud_tw.upstream.source import UpstreamIndex


class IProvenance(Protocol):
    """Who attests the files of upstreams, compared with who is pinned."""

    async def check(
        self, candidate: Candidate, link: Link, source: UpstreamIndex
    ) -> Refusal | None:
        """Return why a file of a page may not be had for its provenance, if so.

        :raises UpstreamError: its provenance cannot be had.
        :raises Unavailable: it cannot be verified now, or the store is away.
        """

    async def check_kept(
        self, name: NormalizedName, candidate: Candidate
    ) -> Refusal | None:
        """Do the same of a file that is kept, of which :meth:`knows` is true."""

    def knows(self, name: NormalizedName, candidate: Candidate) -> bool:
        """Return whether it is at hand who attests a file."""

    async def recall(self, name: NormalizedName, candidate: Candidate) -> None:
        """Have at hand who attests a file, if that is kept.

        :raises StoreError: the store is away.
        """


@frozen
class NoProvenance:
    """Verifies nothing: what must be proved is refused."""

    def knows(self, name: NormalizedName, candidate: Candidate) -> bool:
        """See :class:`IProvenance`."""
        return False

    async def recall(self, name: NormalizedName, candidate: Candidate) -> None:
        """See :class:`IProvenance`."""

    async def check(
        self, candidate: Candidate, link: Link, source: UpstreamIndex
    ) -> Refusal | None:
        """See :class:`IProvenance`."""
        return await self.check_kept(NormalizedName(link.project), candidate)

    async def check_kept(
        self, name: NormalizedName, candidate: Candidate
    ) -> Refusal | None:
        """See :class:`IProvenance`."""
        return Refusal(
            Rule.PROVENANCE,
            f"{candidate.filename} must be attested (upstream.require_provenance), and "
            "nothing is verified here.",
            "Who runs this index can change that.",
        )
