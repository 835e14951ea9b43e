"""What projects are shown and changed in, whoever asks: a server, or a command."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import field, frozen

from pypicloud_tw.concurrency.pieces import Pieces
from pypicloud_tw.index.catalog import Catalog
from pypicloud_tw.index.index import Index
from pypicloud_tw.projects.summaries import Summaries


def _nothing() -> str | None:
    """Be changeable."""
    return None


@frozen(eq=False)
class AdministeredProjects:
    """An index, and what looking through all of it takes.

    :ivar read_only: tells why nothing may be changed now; None: it may.
    :ivar started: when this server was, by the index's clock; None: it is a command.
    """

    index: Index
    read_only: Callable[[], str | None] = field(default=_nothing)
    started: float | None = None
    pieces: Pieces = field(init=False)
    summaries: Summaries = field(init=False)

    @pieces.default
    def _make_pieces(self) -> Pieces:
        return Pieces(self.index.clock)

    @summaries.default
    def _make_summaries(self) -> Summaries:
        return Summaries(self.catalog)

    @property
    def is_command(self) -> bool:
        """Whether one question is all that is asked, and may take its time."""
        return self.started is None

    @property
    def catalog(self) -> Catalog[Any]:
        """Every project, as it is known here."""
        return self.index.catalog
