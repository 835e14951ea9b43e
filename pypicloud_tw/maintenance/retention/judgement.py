"""Which releases of a project a rule lets go: pure, by the project and the time alone.

Releases are final, pre-releases or development releases (PEP 440); each kind has its
own number and age. The newest are those of the highest versions, whenever they were
uploaded; yanked ones come behind all others, so that they are the first to go. What has
no version by PEP 440 stays, and so does the release that installers choose.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from enum import Enum

from attrs import frozen
from packaging.version import InvalidVersion, Version

from pypicloud_tw.concurrency.steps import Steps, batches
from pypicloud_tw.config.retention import Keeping
from pypicloud_tw.config.values import show_age
from pypicloud_tw.index.model import File, Project
from pypicloud_tw.index.names import parse_version
from pypicloud_tw.maintenance.retention.plan import PlannedFile, PlannedRelease

#: Versions that are read in a piece: a millisecond.
_BATCH = 100


@frozen
class Fetched:
    """When the releases of a project were fetched last.

    :ivar since: what was fetched before is not known; aware.
    :ivar last: by version, as PEP 440 normalizes it; who is not in it was not fetched.
    """

    since: datetime
    last: Mapping[str, datetime]


class Kind(Enum):
    """What kinds of releases are judged apart; the value is what people call them."""

    FINAL = "final releases"
    PRE = "pre-releases"
    DEV = "development releases"


@frozen
class Release:
    """The files of one version.

    :ivar text: the version as the project's files have it.
    """

    version: Version
    text: str
    files: tuple[File, ...]

    @property
    def kind(self) -> Kind:
        """The kind that it is judged with."""
        if self.version.is_devrelease:
            return Kind.DEV
        return Kind.PRE if self.version.is_prerelease else Kind.FINAL

    @property
    def yanked(self) -> bool:
        """Whether all of its files are."""
        return all(file.yanked is not None for file in self.files)

    @property
    def uploaded(self) -> datetime:
        """When its newest file was."""
        return max(file.upload_time for file in self.files)

    @property
    def planned_files(self) -> tuple[PlannedFile, ...]:
        """Its files, as a plan has them."""
        return tuple(PlannedFile(file.filename, file.size) for file in self.files)


@frozen
class Limits:
    """What keeps releases of one kind; None: that does not.

    :ivar newest: how many are kept.
    :ivar younger: seconds.
    """

    newest: int | None
    younger: int | None

    @property
    def keep_all(self) -> bool:
        """Whether none may go."""
        return self.newest is None and self.younger is None


def limits_of(keep: Keeping) -> Mapping[Kind, Limits]:
    """Return what keeps each kind."""
    return {
        Kind.FINAL: Limits(keep.releases, keep.younger),
        Kind.PRE: Limits(keep.prereleases, keep.prereleases_younger),
        Kind.DEV: Limits(keep.dev, keep.dev_younger),
    }


def is_covered(keep: Keeping, fetched: Fetched | None, now: datetime) -> bool:
    """Whether enough is known of what was fetched, to let anything go."""
    if keep.fetched is None:
        return True
    needed = now - timedelta(seconds=keep.fetched)
    return fetched is not None and fetched.since <= needed


def due_releases(
    project: Project, keep: Keeping, now: datetime, fetched: Fetched | None = None
) -> Steps[tuple[PlannedRelease, ...]]:
    """Find the releases that may go, oldest version first, in pieces.

    :param fetched: None: nothing is known, and where the rule asks, nothing goes.
    """
    if keep.keeps_all or project.status == "quarantined":
        return ()
    if not is_covered(keep, fetched, now):
        return ()
    releases = yield from releases_of(project.files)
    if not releases:
        return ()
    by_kind: dict[Kind, list[Release]] = {kind: [] for kind in Kind}
    for release in releases:
        by_kind[release.kind].append(release)
    chosen = max(releases, key=_installers_rank)
    limits = limits_of(keep)
    due = [
        (release, why)
        for kind, of_it in by_kind.items()
        for release, why in _due_of_kind(kind, of_it, limits[kind], now)
        if release is not chosen and not _was_fetched(release, keep, fetched, now)
    ]
    due.sort(key=lambda pair: pair[0].version)
    return tuple(
        PlannedRelease(release.text, why, release.uploaded, release.planned_files)
        for release, why in due
    )


def releases_of(files: Iterable[File]) -> Steps[list[Release]]:
    """Gather files by version, in pieces; what has none by PEP 440 is left out."""
    by_text: dict[str, list[File]] = {}
    for file in files:
        by_text.setdefault(file.version, []).append(file)
    # 1.0 and 1.0.0 are one release.
    found: dict[Version, list[File]] = {}
    for batch in batches(by_text.items(), _BATCH):
        yield
        for text, of_it in batch:
            try:
                version = parse_version(text)
            except InvalidVersion:
                continue
            found.setdefault(version, []).extend(of_it)
    return [
        Release(version, of_it[0].version, tuple(of_it))
        for version, of_it in found.items()
    ]


def _installers_rank(release: Release) -> tuple[bool, bool, Version]:
    """Return by what installers choose: the highest one of what is not yanked.

    A pre-release is chosen only if there is nothing else.
    """
    version = release.version
    return not release.yanked, not version.is_prerelease, version


def _due_of_kind(
    kind: Kind, releases: list[Release], limits: Limits, now: datetime
) -> Iterator[tuple[Release, str]]:
    if limits.keep_all:
        return
    ranked = sorted(releases, key=lambda one: (not one.yanked, one.version))
    kept = limits.newest or 0
    for release in ranked[: max(0, len(ranked) - kept)]:
        if not _is_young(release, limits.younger, now):
            yield release, _why(kind, release, limits)


def _is_young(release: Release, younger: int | None, now: datetime) -> bool:
    if younger is None:
        return False
    return now - release.uploaded < timedelta(seconds=younger)


def _was_fetched(
    release: Release, keep: Keeping, fetched: Fetched | None, now: datetime
) -> bool:
    if keep.fetched is None or fetched is None:
        return False
    last = fetched.last.get(str(release.version))
    return last is not None and now - last < timedelta(seconds=keep.fetched)


def _why(kind: Kind, release: Release, limits: Limits) -> str:
    reasons = []
    if release.yanked:
        reasons.append("yanked")
    if limits.newest is not None:
        reasons.append(f"not among the newest {limits.newest} {kind.value}")
    if limits.younger is not None:
        reasons.append(f"older than {show_age(limits.younger)}")
    return ", ".join(reasons)
