"""Looking through everything that was taken for what advisories affect.

An index may have 100,000 projects. Of most of them no advisory speaks, and their
manifests are not read; of the others a few are in memory at a time. Only a thorough
audit, once a day, reads all, for digests that became known after the upload.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime
from heapq import merge

from attrs import define, field, frozen

from pypicloud_tw.concurrency.pieces import Pieces
from pypicloud_tw.concurrency.side_by_side import side_by_side
from pypicloud_tw.concurrency.steps import Steps, batches
from pypicloud_tw.errors import (
    ManifestDamaged,
    ManifestLost,
    NotFound,
    ObjectUnreadable,
    Unavailable,
)
from pypicloud_tw.index.index import Index
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.projects.affected.interface import (
    IFetches,
    IKept,
    IKnownAdvisories,
    IVisible,
    NothingKept,
    NothingVisible,
)
from pypicloud_tw.projects.affected.judgement import (
    Judgement,
    Releases,
    with_hosted_fix,
    with_seen_fix,
)
from pypicloud_tw.projects.affected.values import DAYS, AffectedRelease, Fix

#: Projects that are looked at side by side.
AT_ONCE = 8

#: Rows that an audit has at most: 20 MB or so.
MOST_ROWS = 50_000

#: Projects, those with the worst rows, of which it is found out whether clients get the
#: repair: their pages may have to be asked for.
MOST_ASKED = 500

#: Names that are looked at in a piece: 2 ms.
_NAMES = 5_000

#: Rows that are sorted in a piece.
_SORTED = 500

#: What says nothing of the other projects, nor of the store.
_OF_ONE_PROJECT = (ManifestDamaged, ManifestLost, ObjectUnreadable)


@frozen
class Audit:
    """What an audit came to.

    :ivar rows: the worst first.
    :ivar made: when it began, in seconds since the epoch.
    :ivar edition: of the advisories.
    :ivar looked_at: projects that were.
    :ivar left_out: rows that were too many.
    :ivar notices: what could not be looked at.
    :ivar by_digest: projects of which only the digest of a file told that it is
        malicious; whoever looks again by names alone does not find them.
    """

    rows: tuple[AffectedRelease, ...]
    made: float
    edition: int
    known: bool
    counted: bool
    looked_at: int = 0
    left_out: int = 0
    notices: tuple[str, ...] = ()
    by_digest: frozenset[str] = frozenset()

    @property
    def moment(self) -> datetime:
        """When it began."""
        return datetime.fromtimestamp(self.made, UTC)


def _never(name: str) -> bool:
    """Have no private name."""
    return False


@define(eq=False)
class Auditor:
    """Audits one index.

    :ivar fetches: None: downloads are not counted.
    :ivar is_private: tells whether a normalized name is private here, so that a public
        record of the same name speaks of somebody else's project.
    :ivar most_rows: that an audit has.
    """

    index: Index
    advisories: IKnownAdvisories
    pieces: Pieces
    kept: IKept = field(factory=NothingKept)
    fetches: IFetches | None = None
    visible: IVisible = field(factory=NothingVisible)
    is_private: Callable[[str], bool] = _never
    most_rows: int = MOST_ROWS
    _closed: bool = field(default=False, init=False)

    async def look(
        self, *, thorough: bool = False, also: Collection[str] = ()
    ) -> Audit:
        """Audit everything that is hosted, kept or was fetched.

        :param thorough: read also the manifests of projects of which no advisory
            speaks, where digests of malicious files are known.
        :param also: projects to look at, likewise.
        :raises StoreError: the store is away.
        :raises Unavailable: this stops.
        """
        looking = _Looking(self, self.index.clock.seconds())
        await looking.find(thorough, also)
        await side_by_side(AT_ONCE, looking.work, looking.queue)
        return await looking.end()

    def close(self) -> None:
        """Begin with no project any more."""
        self._closed = True

    def check_open(self) -> None:
        """Return if this goes on.

        :raises Unavailable: it does not.
        """
        if self._closed:
            raise Unavailable("The server stops.")


@define(eq=False)
class _Looking:
    """One audit in the making."""

    auditor: Auditor
    began: float
    edition: int = field(init=False)
    queue: deque[NormalizedName] = field(factory=deque, init=False)
    known: frozenset[str] = field(default=frozenset(), init=False)
    hosted: Collection[str] = field(default=frozenset(), init=False)
    kept: Collection[str] = field(default=frozenset(), init=False)
    fetched: Collection[str] = field(default=frozenset(), init=False)
    rows: list[AffectedRelease] = field(factory=list, init=False)
    found: int = field(default=0, init=False)
    looked_at: int = field(default=0, init=False)
    notices: dict[str, None] = field(factory=dict, init=False)
    by_digest: set[str] = field(factory=set, init=False)

    @edition.default
    def _edition(self) -> int:
        return self.auditor.advisories.edition

    async def find(self, thorough: bool, also: Collection[str]) -> None:
        """Find the projects that are looked at."""
        auditor = self.auditor
        names = await auditor.index.catalog.names()
        self.kept = await auditor.kept.names()
        if auditor.fetches is not None:
            self.fetched = await auditor.fetches.names(DAYS)
        self.hosted = await auditor.pieces.finish(_gathered(names))
        self.known = await auditor.pieces.finish(_gathered(auditor.advisories.names()))
        chosen = self._chosen(frozenset(also), thorough)
        self.queue.extend(await auditor.pieces.finish(chosen))

    def _chosen(
        self, also: frozenset[str], thorough: bool
    ) -> Steps[list[NormalizedName]]:
        # Digests are the same for all projects: any tells whether some are known.
        everything = (
            thorough and self.auditor.advisories.of("").malicious.digests != b""
        )
        chosen: dict[NormalizedName, None] = {}
        for of in (self.hosted, self.kept, self.fetched):
            for batch in batches(of, _NAMES):
                yield
                for name in batch:
                    if everything or name in self.known or name in also:
                        chosen[NormalizedName(name)] = None
        return list(chosen)

    async def work(self) -> None:
        """Look at projects until there are none."""
        while self.queue:
            # What is in memory is read without a pause.
            await self.auditor.pieces.collect(())
            self.auditor.check_open()
            if not self.queue:
                return
            name = self.queue.popleft()
            self.looked_at += 1
            try:
                await self._add(await self._rows(name))
            except _OF_ONE_PROJECT as e:
                self.notices[e.message] = None

    async def _rows(self, name: NormalizedName) -> list[AffectedRelease]:
        auditor = self.auditor
        known = auditor.advisories.of(name)
        by_name = not (name in self.hosted and auditor.is_private(name))
        judgement = Judgement(name, known, by_name, auditor.fetches is not None)
        releases = await self._releases(name)
        rows = await auditor.pieces.finish(judgement.rows(releases))
        if rows and not (by_name and name in self.known):
            self.by_digest.add(name)
        hosted = releases.hosted
        return [with_hosted_fix(row, hosted) for row in rows] if hosted else rows

    async def _releases(self, name: NormalizedName) -> Releases:
        auditor, releases = self.auditor, Releases()
        if name in self.hosted:
            try:
                project = (await auditor.index.manifests.read(name)).project
            except NotFound:
                pass  # its manifest went between the listing and now
            else:
                for file in project.files:
                    releases.add("hosted", file.version, file.sha256)
        if name in self.kept:
            for kept in await auditor.kept.of(name):
                releases.add("kept", kept.version, kept.sha256)
        if auditor.fetches is not None and name in self.fetched:
            releases.count(await auditor.fetches.versions(name, DAYS))
        return releases

    async def _add(self, rows: list[AffectedRelease]) -> None:
        self.rows += rows
        self.found += len(rows)
        if len(self.rows) >= 2 * self.auditor.most_rows:
            # Others add to the list meanwhile.
            full, self.rows = self.rows, []
            worst = await self.auditor.pieces.finish(_sorted(full))
            self.rows += worst[: self.auditor.most_rows]

    async def end(self) -> Audit:
        """Sort what was found."""
        auditor = self.auditor
        rows = await auditor.pieces.finish(_sorted(self.rows))
        rows = await self._with_fixes(rows[: auditor.most_rows])
        return Audit(
            tuple(rows),
            self.began,
            self.edition,
            bool(self.known),
            auditor.fetches is not None,
            self.looked_at,
            max(0, self.found - auditor.most_rows),
            tuple(self.notices),
            frozenset(self.by_digest),
        )

    async def _with_fixes(self, rows: list[AffectedRelease]) -> list[AffectedRelease]:
        """Find out of the worst rows whether clients get what repairs them."""
        wanted: dict[NormalizedName, set[str]] = {}
        for row in rows:
            if row.fix is None or row.project in self.hosted:
                continue
            name = NormalizedName(row.project)
            if name in wanted or len(wanted) < MOST_ASKED:
                wanted.setdefault(name, set()).add(row.fix.version)
        seen: dict[str, Mapping[str, Fix]] = {}
        queue = deque(wanted)

        async def work() -> None:
            while queue:
                self.auditor.check_open()
                name = queue.popleft()
                seen[name] = await self.auditor.visible.fixes(name, wanted[name])

        await side_by_side(AT_ONCE, work, queue)
        return await self.auditor.pieces.finish(_seen(rows, seen))


def _seen(
    rows: list[AffectedRelease], seen: Mapping[str, Mapping[str, Fix]]
) -> Steps[list[AffectedRelease]]:
    """Say of each row's repair whether clients get it, in pieces."""
    told: list[AffectedRelease] = []
    for batch in batches(rows, _SORTED):
        yield
        told += (with_seen_fix(row, seen.get(row.project, {})) for row in batch)
    return told


def _gathered(names: Iterable[str]) -> Steps[frozenset[str]]:
    """Make a set, in pieces."""
    found: set[str] = set()
    for batch in batches(names, _NAMES):
        yield
        found.update(batch)
    return frozenset(found)


def _sorted(rows: list[AffectedRelease]) -> Steps[list[AffectedRelease]]:
    """Sort in pieces, which are then merged."""
    runs = []
    for batch in batches(rows, _SORTED):
        yield
        runs.append(sorted(batch, key=lambda row: row.key))
    merged: list[AffectedRelease] = []
    for batch in batches(merge(*runs, key=lambda row: row.key), _SORTED):
        yield
        merged += batch
    return merged
