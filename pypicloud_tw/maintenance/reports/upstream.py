"""What the daily report tells of projects of upstreams: publishers, and names."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Protocol

from attrs import field, frozen

from pypicloud_tw.concurrency.pieces import Pieces
from pypicloud_tw.maintenance.reports.values import Findings, ReportItem
from pypicloud_tw.upstream.names.near import near
from pypicloud_tw.upstream.names.packed import LookAlikes
from pypicloud_tw.upstream.provenance.pins import Pins

#: Gives names, normalized.
Names = Callable[[], Awaitable[Iterable[str]]]


class INamesElsewhere(Protocol):
    """Knows the names of upstreams; see :class:`.listed.NamesElsewhere`."""

    async def look_alikes(
        self, ours: Iterable[str]
    ) -> tuple[tuple[str, LookAlikes], ...] | None:
        """Compare names of ours with every list; None: none was read yet."""


@frozen(eq=False)
class ChangedPublishers:
    """Tells of files that were refused as another publisher attests them."""

    pins: Pins
    name: str = field(default="publishers", init=False)
    title: str = field(default="Projects upstream whose publisher changed", init=False)

    async def findings(self, remembered: frozenset[str]) -> Findings:
        """See :class:`.IReportSource`; told each day until somebody decides."""
        items = []
        async for pin in self.pins.all():
            refused = pin.refused
            if refused is None:
                continue
            pinned = pin.publisher or "the publisher that the ini names"
            items.append(
                ReportItem(
                    f"{refused.file} is attested by {refused.publisher}, and "
                    f"{pin.project} by {pinned}: refused since "
                    f"{refused.at:%Y-%m-%d %H:%M} UTC. 'pypicloud pin set "
                    f"{pin.project} {refused.publisher}' accepts it.",
                    pin.project,
                )
            )
        return Findings(items)


@frozen(eq=False)
class NamesLikeOurs:
    """Tells of names of the upstream that are ours, or look like one of ours.

    :ivar ours: gives the names of ours, those included that are private and not here.
    :ivar taken: gives the upstream's projects of which files were had from here.
    """

    names: INamesElsewhere
    ours: Names
    taken: Names
    pieces: Pieces
    name: str = field(default="names", init=False)
    title: str = field(
        default="Names upstream that look like ours, and are new", init=False
    )

    async def findings(self, remembered: frozenset[str]) -> Findings:
        """See :class:`.IReportSource`."""
        ours = frozenset(await self.ours())
        taken = frozenset(await self.taken()) - ours
        listed = await self.names.look_alikes(ours) or ()
        told: dict[str, ReportItem] = {}
        await self.pieces.collect(_of_taken(taken, ours, told))
        for base, alike in listed:
            _of_list(base, alike, taken, told)
        new = [item for word, item in told.items() if word not in remembered]
        return Findings(new, frozenset(told))


def _of_taken(
    taken: Iterable[str], ours: frozenset[str], told: dict[str, ReportItem]
) -> Iterator[None]:
    """Tell of projects of which somebody may have meant one of ours; a piece each."""
    for name in sorted(taken):
        for own in near(name, ours):
            told[f"{own} {name}"] = ReportItem(
                f"{name} of the upstream is one edit from {own}, which is ours, and "
                "files of it are kept here: somebody asked for it.",
                name,
            )
        yield


def _of_list(
    base: str, alike: LookAlikes, taken: frozenset[str], told: dict[str, ReportItem]
) -> None:
    own = alike.name
    if alike.same:
        told[f"{own} {own}"] = ReportItem(
            f"{own} is ours, and there is another project of that name at {base}.", own
        )
    for name in alike.near:
        if name not in taken:
            told[f"{own} {name}"] = ReportItem(
                f"{name} at {base} is one edit from {own}, which is ours.", own
            )
