"""How often projects were fetched, as is known in memory, for whoever may know."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from datetime import datetime, timedelta
from functools import cache

from attrs import define, field, frozen

from pypicloud_tw.access.administration.authority import Authority
from pypicloud_tw.concurrency.cache import Cache
from pypicloud_tw.concurrency.coalesced import Coalesced
from pypicloud_tw.concurrency.pieces import Pieces
from pypicloud_tw.concurrency.steps import Steps, batches
from pypicloud_tw.config.rights import Action
from pypicloud_tw.errors import BadRequest, NotFound, PypicloudError
from pypicloud_tw.index.index import Index
from pypicloud_tw.index.names import NormalizedName, asked_project
from pypicloud_tw.projects.shown import visible_files
from pypicloud_tw.projects.statistics.sums import Clients, by_day, by_month
from pypicloud_tw.projects.statistics.values import (
    MOST,
    MOST_DAYS,
    USUAL,
    USUAL_DAYS,
    FetchedProject,
    ProjectFetches,
    TopPage,
    TotalFetches,
    VersionFetches,
)
from pypicloud_tw.statistics.counts import version_of
from pypicloud_tw.statistics.downloads import CountedDownloads

#: Seconds for which it is told again what all projects together were fetched.
FRESH = 300.0

#: Of so many questions: of days, and of readers who may read the same.
OVERVIEWS = 8

#: Projects that are looked at in a piece. Each has a few hundred counts.
_BATCH = 10


@frozen
class _Overview:
    """What those who may read the same are told of all projects.

    :ivar ranking: the negative of the fetches, and the project; sorted.
    """

    ranking: list[tuple[int, str]]
    totals: TotalFetches


@define(eq=False)
class AdministeredStatistics:
    """What is counted of one index, and what of it was looked up lately.

    :ivar counted: None: nothing is counted.
    """

    index: Index
    counted: CountedDownloads | None = None
    pieces: Pieces = field(init=False)
    _overviews: Cache[tuple[int, Hashable], _Overview] = field(init=False)
    _making: Coalesced[_Overview] = field(factory=Coalesced, init=False)

    @pieces.default
    def _make_pieces(self) -> Pieces:
        return Pieces(self.index.clock)

    @_overviews.default
    def _make_overviews(self) -> Cache[tuple[int, Hashable], _Overview]:
        return Cache(OVERVIEWS, seconds=self.index.clock.seconds, lifetime=FRESH)

    async def overview(self, days: int, authority: Authority) -> _Overview:
        """Look all projects through, unless that was done lately."""
        reads = authority.reads()
        key = days, reads
        found = self._overviews.get(key)
        if found is not None:
            return found
        return await self._making.ask(key, lambda: self._look(key, reads))

    async def _look(
        self, key: tuple[int, Hashable], reads: Callable[[str], bool]
    ) -> _Overview:
        counted = self.checked()
        found = await self.pieces.finish(_Look(counted, key[0], reads).over())
        # Where nothing was counted yet, the first download is not to wait to be told.
        if counted.projects():
            self._overviews.put(key, found)
        return found

    def checked(self) -> CountedDownloads:
        """Return what counts.

        :raises NotFound: nothing does.
        """
        if self.counted is None:
            raise NotFound(
                "Downloads are not counted here. An administrator can set "
                "statistics.downloads = true in the ini."
            )
        return self.counted


@define
class _Look:
    """A look at all projects that may be read."""

    counted: CountedDownloads
    days: int
    reads: Callable[[str], bool]
    _projects: Counter[str] = field(factory=Counter, init=False)
    _by_day: Counter[str] = field(factory=Counter, init=False)
    _by_month: Counter[str] = field(factory=Counter, init=False)
    _clients: Clients = field(factory=Clients, init=False)

    def over(self) -> Steps[_Overview]:
        """Look at the days, then at the months."""
        months = self.counted.stored.months
        for batch in batches(self.counted.projects(), _BATCH):
            for project in filter(self.reads, batch):
                self._look_at(project)
            yield
        for batch in batches(months.projects(), _BATCH):
            for project in filter(self.reads, batch):
                self._by_month.update(months.of(project))
            yield
        ranking = sorted((-count, name) for name, count in self._projects.items())
        return _Overview(ranking, self._totals())

    def _look_at(self, project: str) -> None:
        by_day = self._by_day
        fetches = 0
        for day, _, count in self.counted.files(project, self.days):
            by_day[day] += count
            fetches += count
        if fetches:
            self._projects[project] = fetches
        self._clients.add(self.counted.clients(project, self.days))

    def _totals(self) -> TotalFetches:
        counted = self.counted
        return TotalFetches(
            self.days,
            counted.since,
            self._projects.total(),
            len(self._projects),
            by_day(self._by_day, counted.today, self.days, counted.knows),
            by_month(self._by_month),
            *self._clients.tell(),
        )


@frozen
class StoredStatistics:
    """:class:`.Statistics` in the index itself, for whoever may."""

    administered: AdministeredStatistics
    authority: Authority

    async def project(self, name: str, days: int = USUAL_DAYS) -> ProjectFetches:
        """See :class:`.Statistics`."""
        project = asked_project(name)
        self.authority.check(Action.READ, project)
        counted = self._counted(days)
        here = await self._versions_here(project)
        versions: Counter[str | None] = Counter()
        daily: Counter[str] = Counter()
        clients = Clients()
        version = cache(version_of)
        for day, filename, count in counted.files(project, days):
            versions[version(filename, project)] += count
            daily[day] += count
        clients.add(counted.clients(project, days))
        return ProjectFetches(
            project,
            days,
            counted.since,
            daily.total(),
            by_day(daily, counted.today, days, counted.knows),
            by_month(counted.stored.months.of(project)),
            _versions(versions, here, counted.last(project)),
            *clients.tell(),
        )

    async def top(
        self, days: int = USUAL_DAYS, cursor: str | None = None, limit: int = USUAL
    ) -> TopPage:
        """See :class:`.Statistics`."""
        if not 1 <= limit <= MOST:
            raise BadRequest(f"The limit is a number from 1 to {MOST}.")
        after = None if cursor is None else _read_cursor(cursor)
        self.authority.check_some(Action.READ)
        counted = self._counted(days)
        overview = await self.administered.overview(days, self.authority)
        start = 0 if after is None else bisect_right(overview.ranking, after)
        part = overview.ranking[start : start + limit]
        more = start + limit < len(overview.ranking)
        return TopPage(
            tuple(FetchedProject(name, -fetches) for fetches, name in part),
            days,
            counted.since,
            f"{-part[-1][0]},{part[-1][1]}" if more else None,
        )

    async def totals(self, days: int = USUAL_DAYS) -> TotalFetches:
        """See :class:`.Statistics`."""
        self.authority.check_some(Action.READ)
        self._counted(days)
        return (await self.administered.overview(days, self.authority)).totals

    def _counted(self, days: int) -> CountedDownloads:
        if not 1 <= days <= MOST_DAYS:
            raise BadRequest(f"The days are a number from 1 to {MOST_DAYS}.")
        return self.administered.checked()

    async def _versions_here(self, project: NormalizedName) -> frozenset[str]:
        """Return the releases that are here, as far as that is known."""
        try:
            found = (await self.administered.index.catalog.project(project)).project
        except PypicloudError:
            return frozenset()  # of another index, or the store is away
        return frozenset(file.version for file in visible_files(found, managed=False))


def _versions(
    counts: Mapping[str | None, int],
    here: frozenset[str],
    last: Mapping[str, datetime],
) -> tuple[VersionFetches, ...]:
    versions: set[str | None] = {*counts, *here, *last}
    told = (
        VersionFetches(
            version,
            counts.get(version, 0),
            _day_before(last.get(version or "")),
        )
        for version in versions
    )
    return tuple(sorted(told, key=lambda one: (-one.fetches, one.version or "")))


def _day_before(end: datetime | None) -> str | None:
    return None if end is None else (end - timedelta(days=1)).date().isoformat()


def _read_cursor(text: str) -> tuple[int, str]:
    try:
        fetches, project = text.split(",", 1)
        return -int(fetches), project
    except ValueError:
        raise BadRequest("That is no cursor of a page of this list.") from None
