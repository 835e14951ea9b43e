"""Finds out what a client sees under a project's name, and why (decision D10)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from attrs import evolve, field, frozen
from packaging.version import Version

from pypicloud_tw.advisories.values import IAdvisories, NoAdvisories
from pypicloud_tw.concurrency.pieces import Pieces
from pypicloud_tw.config.exemptions import Rule
from pypicloud_tw.errors import NotFound
from pypicloud_tw.index.index import Index
from pypicloud_tw.index.model import Project
from pypicloud_tw.index.names import NormalizedName, file_identity
from pypicloud_tw.projects.explained.interface import (
    AskedUpstream,
    NearNames,
    NoNearNames,
)
from pypicloud_tw.projects.explained.kept import KeptFiles
from pypicloud_tw.projects.explained.shown import (
    hidden_of,
    own_releases,
    release_of,
    same_version,
    waiting_fix,
    yanked_because,
)
from pypicloud_tw.projects.explained.values import ExplainedRelease, Explanation
from pypicloud_tw.upstream.judgement.explained import ExplainedFiles, Explaining
from pypicloud_tw.upstream.judgement.judge import ProjectJudge
from pypicloud_tw.upstream.judgement.values import Refusal
from pypicloud_tw.upstream.kept import UpstreamPage
from pypicloud_tw.upstream.releases import (
    FoundReleases,
    UpstreamRelease,
    WantedReleases,
    version_rank,
)

#: Releases that are told where none is named: two weeks of boto3's.
MOST = 30

_NO_FILES = KeptFiles({})


@frozen(eq=False)
class Explainer:
    """Explains what the index and the other one come to.

    :ivar upstream: what serves the projects that are not here; None: nothing does.
    :ivar advisories: what is known of projects of ours; the judges know of others.
    :ivar near: knows names that are easily taken for one another.
    """

    index: Index
    upstream: AskedUpstream | None = None
    advisories: IAdvisories = field(factory=NoAdvisories)
    near: NearNames = field(factory=NoNearNames)
    _pieces: Pieces = field(init=False)

    @_pieces.default
    def _make_pieces(self) -> Pieces:
        return Pieces(self.index.clock)

    async def explain(
        self, name: NormalizedName, version: str | None, reads: Callable[[str], bool]
    ) -> Explanation:
        """Explain a project, or a release of it.

        :param reads: tells of which other projects whoever asks may hear.
        :raises PypicloudError: see :class:`.Explanations`.
        """
        own = await self._own(name)
        told = await self._explained(name, version, own)
        near = () if own is not None else await self.near.near(name)
        notes = (_near(name, one) for one in sorted(near) if reads(one))
        return evolve(told, notes=(*told.notes, *notes))

    async def _own(self, name: NormalizedName) -> Project | None:
        """Find a project of ours; None: it is proved that there is none."""
        try:
            found = await self.index.catalog.project(name, prove_absence=True)
        except NotFound:
            if self.upstream is None or name not in self.upstream.merge:
                await self.index.unserved.refuse(name, asks=True)
            return None
        return found.project

    async def _explained(
        self, name: NormalizedName, version: str | None, own: Project | None
    ) -> Explanation:
        upstream = self.upstream
        if own is not None:
            ours = await self._of_ours(own, version)
            merges = upstream is not None and name in upstream.merge
            if upstream is None or not merges or own.status == "quarantined":
                return ours
            theirs = await self._of_theirs(upstream, name, version, own)
            return _merged(ours, theirs)
        if upstream is None:
            return _nobody(
                name,
                version,
                f"There is no project {name} here, and no other index is asked "
                "(pypi.fallback).",
            )
        return await self._of_theirs(upstream, name, version, None)

    # -- ours -----------------------------------------------------------------------

    async def _of_ours(self, project: Project, version: str | None) -> Explanation:
        advisories = self.advisories.of(project.name)
        releases, more = await self._pieces.finish(
            own_releases(project, advisories, version, MOST)
        )
        return _told(
            Explanation(
                project.name,
                version,
                False,
                "here",
                f"{project.name} is a project of this index; nobody else is asked.",
                project.status,
                project.status_reason,
                releases=releases,
                more=more,
            )
        )

    # -- the other index's ----------------------------------------------------------

    async def _of_theirs(
        self,
        upstream: AskedUpstream,
        name: NormalizedName,
        version: str | None,
        own: Project | None,
    ) -> Explanation:
        judge = upstream.upstreams.judges.of(name)
        if judge.refusal is not None:
            return _refused(name, version, judge.refusal)
        if upstream.redirects:
            address = upstream.upstreams.address(name)
            return Explanation(
                name,
                version,
                True,
                "redirect",
                f"{name} is not here: clients are sent to {address}, and nothing but "
                "the name is judged.",
            )
        kept = _NO_FILES
        if upstream.keeps:
            kept = await KeptFiles.of(self.index.store, name)
        now = self.index.clock.seconds()
        try:
            found, page = await upstream.upstreams.releases(
                name, _wanted(judge, version, kept)
            )
        except NotFound:
            return _Theirs(Explaining(judge, now), version, own, kept).tell_gone()
        judge = judge.with_standing(page.standing)
        return _Theirs(Explaining(judge, now), version, own, kept).tell(found, page)


@frozen
class _Theirs:
    """Tells of a project of the other index.

    :ivar own: ours of that name, whose files go before.
    """

    explaining: Explaining
    version: str | None
    own: Project | None
    kept: KeptFiles

    def tell(self, found: FoundReleases, page: UpstreamPage[Any]) -> Explanation:
        explained = [(one.version, *self._release(one)) for one in found.releases]
        asked = [
            release
            for version, release, _ in explained
            if self.version is None or same_version(version, self.version)
            if release.files or release.hidden  # else ours go before all of them
        ]
        asked += self._gone(found.gone)
        asked.sort(key=_rank, reverse=True)
        name, standing = self.explaining.judge.name, page.standing
        listed = 0 if self.version is not None else len(found.releases)
        told = Explanation(
            name,
            self.version,
            False,
            "upstream",
            f"{name} is not here: it is answered from the other index.",
            standing.status,
            standing.reason or None,
            releases=tuple(asked),
            more=max(0, found.total - listed) if self.version is None else 0,
            notes=(*_of_age(page), *self._fixes(explained)),
        )
        return _told(told)

    def tell_gone(self) -> Explanation:
        """Tell of a project that the other index has not, or no more."""
        name = self.explaining.judge.name
        releases = tuple(self._gone(self.kept.filenames))
        if not releases:
            sentence = f"Neither this index nor the one that it asks has {name}."
            return _nobody(name, self.version, sentence)
        sentence = (
            f"The other index has no {name} any more. What the cache has of it is "
            "given by its address alone, as lock files have it."
        )
        return evolve(_nobody(name, self.version, sentence), releases=releases)

    def _release(
        self, release: UpstreamRelease
    ) -> tuple[ExplainedRelease, ExplainedFiles]:
        own = self.own.files if self.own is not None else ()
        ours = {file_identity(file.filename) for file in own}
        files = [
            one
            for one in release.files
            if file_identity(one.candidate.filename) not in ours
        ]
        candidates = [one.candidate for one in files]
        explained = self.explaining.release(release.version, candidates)
        yanked = yanked_because(one.yanked for one in files)
        shown = release_of(release.version, candidates, explained)
        kept = self.kept.count(candidates)
        return evolve(shown, yanked=yanked, kept=kept), explained

    def _gone(self, filenames: Iterable[str]) -> Iterator[ExplainedRelease]:
        """Tell of what its author deleted, and the cache still has."""
        judge = self.explaining.judge
        gone = self.kept.gone(judge, filenames)
        for version in sorted(gone, key=version_rank, reverse=True)[:MOST]:
            if self.version is None or same_version(version, self.version):
                files = gone[version]
                explained = self.explaining.release(version, files)
                shown = release_of(version, files, explained)
                yield evolve(shown, uploaded=None, kept=len(files), gone=True)

    def _fixes(
        self,
        explained: Iterable[tuple[str | None, ExplainedRelease, ExplainedFiles]],
    ) -> Iterator[str]:
        for version, _, files in explained:
            if version is not None:
                yield from waiting_fix(self.explaining.judge.name, version, files)


def _wanted(
    judge: ProjectJudge, version: str | None, kept: KeptFiles
) -> WantedReleases:
    if version is None:
        return WantedReleases(most=MOST, filenames=kept.filenames)
    flaws = judge.advisories.flaws_of(version)
    # What repairs it may wait for its age, which is to be told.
    fixed = (fix for flaw in flaws for fix in flaw.fixed)
    return WantedReleases((version, *fixed), filenames=kept.filenames)


def _nobody(name: str, version: str | None, sentence: str) -> Explanation:
    return Explanation(name, version, False, "nobody", sentence)


def _refused(name: str, version: str | None, refusal: Refusal) -> Explanation:
    if refusal.rule is Rule.PRIVATE:
        return _nobody(name, version, refusal.sentence)
    hidden = hidden_of(refusal, 0)
    return evolve(_nobody(name, version, refusal.sentence), hidden=hidden)


def _merged(ours: Explanation, theirs: Explanation) -> Explanation:
    if theirs.answered_from == "nobody":
        return ours
    releases = sorted((*ours.releases, *theirs.releases), key=_rank, reverse=True)
    return _told(
        evolve(
            ours,
            answered_from="both",
            sentence=f"{ours.project} is shown as this index and the other one have it "
            "together (upstream.merge).",
            releases=tuple(releases),
            more=ours.more + theirs.more,
            notes=(*ours.notes, *theirs.notes),
        )
    )


def _rank(release: ExplainedRelease) -> tuple[bool, Version]:
    return version_rank(release.version)


def _told(told: Explanation) -> Explanation:
    """Say whether everything that was asked for is shown, and what is not there."""
    shown = bool(told.releases) and all(one.shown for one in told.releases)
    notes = told.notes
    if not told.releases:
        which = f"release {told.version}" if told.version else "release"
        notes = (f"There is no {which} of {told.project}.", *notes)
    return evolve(told, shown=shown, notes=notes)


def _of_age(page: UpstreamPage[Any]) -> Iterator[str]:
    if page.stale:
        yield (
            "The other index does not answer: this is as it was "
            f"{page.age / 60:.0f} minutes ago."
        )


def _near(name: str, other: str) -> str:
    return (
        f"{name} is one letter away from {other}, which is a project of this index: "
        "see which of them is meant."
    )
