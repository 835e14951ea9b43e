"""What was taken that advisories affect, for whoever may know it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Awaitable, Callable, Collection
from functools import partial

from attrs import define, field, frozen
from twisted.internet.defer import CancelledError, TimeoutError
from twisted.logger import Logger

from pypicloud_tw.access.administration.authority import Authority
from pypicloud_tw.advisories.values import AdvisoriesStanding
from pypicloud_tw.concurrency.coalesced import Coalesced
from pypicloud_tw.concurrency.pieces import Pieces
from pypicloud_tw.concurrency.steps import Steps, batches
from pypicloud_tw.config.rights import Action
from pypicloud_tw.errors import BadRequest, PypicloudError, Unavailable
from pypicloud_tw.index.index import Index
from pypicloud_tw.index.names import NormalizedName, project_name
from pypicloud_tw.maintenance.reports.stored import StoredReports
from pypicloud_tw.maintenance.reports.values import DailyReport
from pypicloud_tw.projects.affected.audit import Audit, Auditor
from pypicloud_tw.projects.affected.interface import (
    IFetches,
    IKept,
    IRecords,
    IVisible,
    NoRecords,
    NothingKept,
    NothingVisible,
)
from pypicloud_tw.projects.affected.osv import Osv
from pypicloud_tw.projects.affected.reporting import found_by_digest
from pypicloud_tw.projects.affected.values import (
    MOST,
    AffectedPage,
    AffectedQuestion,
    AffectedRelease,
    cursor_of,
    read_cursor,
)

#: Seconds for which an audit is told again, unless other advisories are known.
FRESH = 300.0

#: Seconds that one waits for an audit; clients wait for a minute.
PATIENCE = 40.0

#: Rows that are looked at in a piece.
_ROWS = 500


async def _nobody() -> Collection[str]:
    """Know of no other projects."""
    return ()


@define(eq=False)
class AdministeredAffected:
    """The last audit of an index, made anew when it is asked for and too old.

    :ivar also: tells the projects that a thorough audit found by digests alone.
    """

    auditor: Auditor
    also: Callable[[], Awaitable[Collection[str]]] = _nobody
    _last: Audit | None = field(default=None, init=False)
    _finished: float = field(default=0.0, init=False)
    _making: Coalesced[Audit] = field(factory=Coalesced, init=False)
    _log = Logger()

    async def audit(self) -> Audit:
        """Return what was found lately, or look now.

        :raises Unavailable: that takes long, and goes on.
        :raises StoreError: the store is away.
        """
        last, clock = self._last, self.auditor.index.clock
        if last is not None and self._holds(last, clock.seconds()):
            return last
        making = self._making.ask("", self._make)
        making.addTimeout(PATIENCE, clock)
        try:
            return await making
        except (TimeoutError, CancelledError):
            raise Unavailable(
                "Everything is being looked through; ask again in a while.", 15
            ) from None

    def _holds(self, last: Audit, now: float) -> bool:
        # Since its end: one that takes long is of use for as long as others.
        is_young = 0 <= now - self._finished < FRESH
        return is_young and last.edition == self.auditor.advisories.edition

    async def _make(self) -> Audit:
        try:
            also = await self.also()
        except PypicloudError as e:
            self._log.warn("The last report was not read: {error}", error=e.message)
            also = ()
        self._last = audit = await self.auditor.look(also=also)
        self._finished = self.auditor.index.clock.seconds()
        return audit


@frozen(eq=False)
class AdministeredAdvisories:
    """All that is asked of advisories about one index.

    :ivar affected: what was taken that they affect.
    :ivar osv: answers clients that ask as they would ask OSV.
    :ivar reports: the daily reports.
    :ivar standing: tells how what is known of them stands; None: no source is set.
    """

    affected: AdministeredAffected
    osv: Osv
    reports: StoredReports
    standing: Callable[[], AdvisoriesStanding | None]

    @classmethod
    def of(
        cls,
        index: Index,
        advisories: IRecords,
        is_private: Callable[[str], bool],
        kept: IKept,
        fetches: IFetches | None,
        visible: IVisible,
        standing: Callable[[], AdvisoriesStanding | None] = lambda: None,
    ) -> AdministeredAdvisories:
        """Make it for an index; parameters as of :class:`.Auditor`."""
        pieces, reports = Pieces(index.clock), StoredReports(index.store)
        auditor = Auditor(index, advisories, pieces, kept, fetches, visible, is_private)
        return cls(
            AdministeredAffected(auditor, partial(found_by_digest, reports)),
            Osv(advisories, pieces, is_private),
            reports,
            standing,
        )

    def close(self) -> None:
        """End an audit that goes on."""
        self.affected.auditor.close()

    @classmethod
    def without(cls, index: Index) -> AdministeredAdvisories:
        """Make it for an index where nothing is known of advisories."""
        return cls.of(
            index,
            NoRecords(),
            lambda name: False,
            NothingKept(),
            None,
            NothingVisible(),
        )


@frozen
class StoredAdvisories:
    """:class:`.AdvisoryAdministration` in the index itself, for whoever may."""

    administered: AdministeredAdvisories
    authority: Authority

    async def affected(self, question: AffectedQuestion) -> AffectedPage:
        """See :class:`.AdvisoryAdministration`."""
        begin = None if question.cursor is None else read_cursor(question.cursor)
        if not 1 <= question.limit <= MOST:
            raise BadRequest(f"The limit is a number from 1 to {MOST}.")
        if question.project is not None:
            self._check(project_name(question.project))
        else:
            self.authority.check_some(Action.MANAGE)
        audit = await self.administered.affected.audit()
        at = 0
        if begin is not None:
            at = bisect_right(audit.rows, begin, key=lambda row: row.key)
        pieces = self.administered.affected.auditor.pieces
        rows, more = await pieces.finish(self._page(audit.rows, at, question))
        return AffectedPage(
            tuple(rows),
            audit.moment,
            audit.known,
            audit.counted,
            audit.looked_at if self._sees_all else 0,
            audit.left_out if self._sees_all else 0,
            audit.notices if self._sees_all else (),
            cursor_of(rows[-1]) if more else None,
        )

    async def report(self, date: str | None = None) -> DailyReport:
        """See :class:`.AdvisoryAdministration`."""
        self.authority.check_administers()
        return (await self.administered.reports.read(date)).report

    def _page(
        self, rows: tuple[AffectedRelease, ...], at: int, question: AffectedQuestion
    ) -> Steps[tuple[list[AffectedRelease], bool]]:
        found: list[AffectedRelease] = []
        may: dict[str, bool] = {}
        for batch in batches(range(at, len(rows)), _ROWS):
            yield
            for number in batch:
                row = rows[number]
                if question.wants(row) and self._may(row.project, may):
                    if len(found) == question.limit:
                        return found, True
                    found.append(row)
        return found, False

    @property
    def _sees_all(self) -> bool:
        return self.authority.administers()

    def _may(self, project: str, known: dict[str, bool]) -> bool:
        if project not in known:
            try:
                self._check(NormalizedName(project))
                known[project] = True
            except PypicloudError:
                known[project] = False
        return known[project]

    def _check(self, name: NormalizedName) -> None:
        self.authority.check(Action.MANAGE, name)
        self.authority.check(Action.READ, name)
