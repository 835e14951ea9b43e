"""What the daily report tells of advisories."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime
from hashlib import blake2b

from attrs import define, field, frozen

from pypicloud_tw.concurrency.pieces import Pieces
from pypicloud_tw.concurrency.steps import Steps, batches
from pypicloud_tw.errors import NotFound
from pypicloud_tw.maintenance.reports.stored import StoredReports
from pypicloud_tw.maintenance.reports.values import Findings, ReportItem
from pypicloud_tw.projects.affected.audit import Audit, Auditor
from pypicloud_tw.projects.affected.interface import IKept
from pypicloud_tw.projects.affected.values import AffectedRelease, Fix
from pypicloud_tw.upstream.judgement.values import Standing

NAME = "advisories"

#: Rows that are looked at in a piece.
_ROWS = 200

#: Before the name of a project of which a digest alone told that it has malware.
_BY_DIGEST = "digest:"


@define(eq=False)
class NewlyAffected:
    """Tells of advisories that affect what was taken, and did not the day before.

    :ivar last: the thorough audit that this made last, for whoever tells more of it.
    """

    auditor: Auditor
    name: str = field(default=NAME, init=False)
    title: str = field(
        default="Advisories that newly affect what this index has or gave out",
        init=False,
    )
    last: Audit | None = field(default=None, init=False)

    async def findings(self, remembered: frozenset[str]) -> Findings:
        """See :class:`.IReportSource`."""
        self.last = audit = await self.auditor.look(
            thorough=True, also=by_digest(remembered)
        )
        return await self.auditor.pieces.finish(_compared(audit, remembered))


def _compared(audit: Audit, remembered: frozenset[str]) -> Steps[Findings]:
    """Tell what is not remembered, and what is to be from now on; in pieces."""
    items: list[ReportItem] = []
    now = {f"{_BY_DIGEST}{name}" for name in audit.by_digest}
    for batch in batches(audit.rows, _ROWS):
        yield
        for row in batch:
            words = _words(row)
            if remembered.isdisjoint(words):
                items.append(_item(row))
            now.update(words)
    return Findings(items, frozenset(now))


@frozen(eq=False)
class WaitingFixes:
    """Tells of fixes that clients do not get yet, for they are younger than min_age.

    :ivar newly: is asked before, and has looked at everything.
    """

    newly: NewlyAffected
    name: str = field(default="fixes", init=False)
    title: str = field(
        default="Fixes that wait until upstream.min_age is over", init=False
    )

    async def findings(self, remembered: frozenset[str]) -> Findings:
        """See :class:`.IReportSource`."""
        rows = () if self.newly.last is None else self.newly.last.rows
        return Findings(tuple(_waiting(rows)))


@frozen(eq=False)
class QuarantinedKept:
    """Tells of projects of which files are kept and that the upstream quarantined.

    :ivar standing: tells what is known of a project upstream; quick.
    """

    kept: IKept
    standing: Callable[[str], Standing]
    pieces: Pieces
    name: str = field(default="quarantined", init=False)
    title: str = field(
        default="Kept projects that the other index has quarantined", init=False
    )

    async def findings(self, remembered: frozenset[str]) -> Findings:
        """See :class:`.IReportSource`."""
        names = await self.kept.names()
        return Findings(await self.pieces.finish(self._quarantined(names)))

    def _quarantined(self, names: Iterable[str]) -> Steps[list[ReportItem]]:
        items: list[ReportItem] = []
        for batch in batches(names, _ROWS):
            yield
            for name in sorted(batch):
                standing = self.standing(name)
                if standing.status == "quarantined":
                    items.append(_quarantined_item(name, standing))
        return items


def _quarantined_item(name: str, standing: Standing) -> ReportItem:
    since = ""
    if standing.since is not None:
        moment = datetime.fromtimestamp(standing.since, UTC)
        since = f" since {moment:%Y-%m-%d %H:%M} UTC"
    reason = f": {standing.reason}" if standing.reason else ""
    return ReportItem(
        f"{name} is in quarantine at the other index{since}{reason.rstrip('.')}. "
        "What is kept of it is not given out.",
        name,
    )


async def found_by_digest(reports: StoredReports) -> Collection[str]:
    """Return the projects that the last report found by digests alone.

    :raises StoreError: the store is away, or the report is damaged.
    """
    try:
        stored = await reports.read()
    except NotFound:
        return ()
    return by_digest(stored.remembered.get(NAME, frozenset()))


def by_digest(remembered: Iterable[str]) -> frozenset[str]:
    """Take the names of projects out of what was remembered."""
    return frozenset(
        word.removeprefix(_BY_DIGEST)
        for word in remembered
        if word.startswith(_BY_DIGEST)
    )


def _waiting(rows: Iterable[AffectedRelease]) -> Iterable[ReportItem]:
    told: dict[tuple[str, str], Fix] = {}
    for row in rows:
        fix = row.fix
        if fix is None or fix.state != "hidden" or fix.until is None:
            continue
        if (row.project, fix.version) not in told:
            told[row.project, fix.version] = fix
            yield ReportItem(
                f"{row.project} {fix.version} repairs {row.ids[0]} of {row.version}, "
                f"and is hidden by {fix.rule} until {fix.until:%Y-%m-%d %H:%M} UTC. "
                "'pypicloud exempt add' lets it through before.",
                row.project,
                fix.version,
                row.ids[0],
            )


def _item(row: AffectedRelease) -> ReportItem:
    what = "is malware" if row.malware else f"has a flaw ({row.severity})"
    count = "" if row.fetches is None else f", fetched {row.fetches} times in 30 days"
    fix = f" {row.fix.version} repairs it." if row.fix is not None else ""
    summary = f" {row.summary.rstrip('.')}." if row.summary else ""
    return ReportItem(
        f"{row.project} {row.version} {what} by {row.ids[0]} "
        f"({', '.join(row.places)}{count}).{summary}{fix}",
        row.project,
        row.version,
        row.ids[0],
    )


def _words(row: AffectedRelease) -> set[str]:
    """Return what stands for a row tomorrow; another id of the matter may lead then."""
    return {
        blake2b(
            f"{row.project} {row.version} {identity}".encode(), digest_size=8
        ).hexdigest()
        for identity in row.ids
    }
