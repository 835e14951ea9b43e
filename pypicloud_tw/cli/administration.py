"""All that commands administer, wherever they do it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Protocol, TypeAlias, TypeVar

from pypicloud_tw.access.administration.interface import AccessAdministration
from pypicloud_tw.access.audit.question import Question
from pypicloud_tw.projects.affected.interface import AdvisoryAdministration
from pypicloud_tw.projects.explained.interface import Explanations
from pypicloud_tw.projects.interface import ProjectAdministration
from pypicloud_tw.projects.pinning import PinAdministration
from pypicloud_tw.projects.pruning import PruningAdministration
from pypicloud_tw.projects.statistics.interface import Statistics


class Records(Protocol):
    """Records of changes."""

    def read(
        self, question: Question, broken: Callable[[str], None]
    ) -> AsyncGenerator[Mapping[str, object], None]:
        """Give the records that are asked for, the oldest first.

        :param broken: told what was not understood and is left out, in a sentence.
        :raises BadRequest: the question is not understood.
        """


class Administration(Protocol):
    """An index, as whoever looks after it sees it."""

    @property
    def access(self) -> AccessAdministration:
        """Who may do what."""

    @property
    def projects(self) -> ProjectAdministration:
        """The projects."""

    @property
    def pruning(self) -> PruningAdministration:
        """Prunes of the projects."""

    @property
    def advisories(self) -> AdvisoryAdministration:
        """What advisories affect, and the daily report."""

    @property
    def pins(self) -> PinAdministration:
        """Who publishes the projects of upstreams."""

    @property
    def explanations(self) -> Explanations:
        """What a client sees, and why."""

    @property
    def statistics(self) -> Statistics:
        """How often projects are fetched."""

    @property
    def records(self) -> Records:
        """Who did what."""


T = TypeVar("T")

#: What is to be shown or done, wherever that is.
Work: TypeAlias = Callable[[Administration], Awaitable[T]]
