"""What projects are shown and changed in, whoever asks: a server, or a command."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from attrs import field, frozen

from pypicloud_tw.advisories.values import AdvisoriesStanding
from pypicloud_tw.concurrency.fair_queue import Asker, FairQueue
from pypicloud_tw.concurrency.pieces import Pieces
from pypicloud_tw.concurrency.steps import Steps
from pypicloud_tw.index.catalog import Catalog
from pypicloud_tw.index.index import Index
from pypicloud_tw.projects.derived.service import COMMAND_AT_ONCE, DerivedProjects
from pypicloud_tw.projects.elsewhere import Elsewhere

T = TypeVar("T")

#: Looks through all names at a time, and that may wait; of one client one fewer. Each
#: takes half a second at worst, of 100,000 projects.
LOOKS, WAITING = 2, 64


def _nothing() -> str | None:
    """Be changeable."""
    return None


@frozen(eq=False)
class AdministeredProjects:
    """An index, and what looking through all of it takes.

    :ivar read_only: tells why nothing may be changed now; None: it may.
    :ivar started: when this server was, by the index's clock; None: it is a command.
    :ivar advisories: tells how what is known of advisories stands; None: nothing is
        read.
    :ivar derived: what is known of all projects at once.
    :ivar elsewhere: what is known here of other indexes.
    """

    index: Index
    read_only: Callable[[], str | None] = field(default=_nothing)
    started: float | None = None
    advisories: Callable[[], AdvisoriesStanding | None] = field(default=lambda: None)
    derived: DerivedProjects = field()
    elsewhere: Elsewhere = field(factory=Elsewhere)
    pieces: Pieces = field(init=False)
    _turns: FairQueue = field(
        factory=lambda: FairQueue(LOOKS, WAITING, "searches", LOOKS - 1), init=False
    )

    @pieces.default
    def _make_pieces(self) -> Pieces:
        return Pieces(self.index.clock)

    @derived.default
    def _make_derived(self) -> DerivedProjects:
        return DerivedProjects(self.index, writes=False, at_once=COMMAND_AT_ONCE)

    async def look_through(self, steps: Steps[T], client: str | None) -> T:
        """Do what looks at all names, in its turn, and so that nobody waits for it.

        :param client: whose request it is for; None: nobody's.
        :raises Unavailable: too many do so at this moment.
        """
        asker = Asker(client or "", "")
        await self._turns.enter(asker)
        try:
            return await self.pieces.finish(steps)
        finally:
            self._turns.leave(asker)

    @property
    def is_command(self) -> bool:
        """Whether one question is all that is asked, and may take its time."""
        return self.started is None

    @property
    def catalog(self) -> Catalog[Any]:
        """Every project, as it is known here."""
        return self.index.catalog
