"""Which releases of one project advisories affect; nothing is read here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from attrs import define, evolve, field, frozen
from packaging.utils import canonicalize_version

from pypicloud_tw.advisories.matters import Matter, matters_of
from pypicloud_tw.advisories.values import ProjectAdvisories
from pypicloud_tw.concurrency.steps import Steps
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.projects.affected.values import AffectedRelease, Fix, Place

#: What is said of a file whose digest alone tells what it is.
_BYTES = "A file with exactly these bytes is known to be malicious."

_ORDER: tuple[Place, ...] = ("hosted", "kept", "fetched")


@define
class Release:
    """A release that this index has or gave out.

    :ivar sha256s: of its files, as far as they are here.
    """

    version: str
    places: set[Place] = field(factory=set)
    sha256s: set[str] = field(factory=set)
    fetches: int = 0


@define
class Releases:
    """The releases of a project, whatever their versions are spelled like."""

    _by_version: dict[str, Release] = field(factory=dict)

    def add(self, place: Place, version: str | None, sha256: str | None = None) -> None:
        """Have a file of one."""
        release = self._of(version or "")
        release.places.add(place)
        if sha256 is not None:
            release.sha256s.add(sha256)

    def count(self, fetches: Mapping[str, int]) -> None:
        """Have downloads, by version."""
        for version, count in fetches.items():
            release = self._of(version)
            release.fetches += count
            if not release.places:
                release.places.add("fetched")

    def _of(self, version: str) -> Release:
        spelled = canonicalize_version(version)
        return self._by_version.setdefault(spelled, Release(version))

    @property
    def all(self) -> Iterable[Release]:
        """Each once."""
        return self._by_version.values()

    @property
    def hosted(self) -> frozenset[str]:
        """The versions that are published here, as they are compared."""
        found = self._by_version.items()
        return frozenset(spelled for spelled, one in found if "hosted" in one.places)


@frozen
class Judgement:
    """What is known of a project, and how it is told.

    :ivar by_name: whether a record of this name speaks of this project: not of one
        that is private here.
    :ivar counted: whether downloads are counted.
    """

    name: NormalizedName
    known: ProjectAdvisories
    by_name: bool
    counted: bool

    def rows(self, releases: Releases) -> Steps[list[AffectedRelease]]:
        """Make the rows of a project, in pieces."""
        matters = matters_of(self.known.advisories)
        rows: list[AffectedRelease] = []
        for release in releases.all:
            yield
            told: set[str] = set()
            for matter in matters:
                if self._is_affected(matter, release):
                    told.update(matter.ids)
                    rows.append(self._row(matter, release))
            rows += self._by_digest(release, told)
        return rows

    def _is_affected(self, matter: Matter, release: Release) -> bool:
        if any(map(matter.names, release.sha256s)):
            return True
        return self.by_name and matter.affects(release.version or None)

    def _row(self, matter: Matter, release: Release) -> AffectedRelease:
        fixes = matter.fixes_of(release.version)
        return AffectedRelease(
            self.name,
            release.version,
            matter.ids,
            matter.malware,
            matter.severity.word,  # type: ignore[arg-type]  # the words are the same
            _places(release),
            release.fetches if self.counted else None,
            matter.summary,
            fixes,
            Fix(fixes[0]) if fixes else None,
            _moment(matter.published),
        )

    def _by_digest(self, release: Release, told: set[str]) -> Iterable[AffectedRelease]:
        """Tell of files that are malicious by a record of whatever project."""
        found = map(self.known.malicious.id_of, release.sha256s)
        for identity in sorted(one for one in set(found) if one and one not in told):
            yield AffectedRelease(
                self.name,
                release.version,
                (identity,),
                True,
                "critical",
                _places(release),
                release.fetches if self.counted else None,
                _BYTES,
            )


def with_hosted_fix(row: AffectedRelease, hosted: frozenset[str]) -> AffectedRelease:
    """Say that clients get a row's next repair, if it is published here.

    :param hosted: versions that are.
    """
    fix = row.fix
    if fix is None or canonicalize_version(fix.version) not in hosted:
        return row
    return evolve(row, fix=evolve(fix, state="visible"))


def with_seen_fix(row: AffectedRelease, seen: Mapping[str, Fix]) -> AffectedRelease:
    """Say of a row's next repair whether clients get it.

    :param seen: what is known of the project's versions upstream.
    """
    fix = None if row.fix is None else seen.get(row.fix.version)
    return row if fix is None else evolve(row, fix=fix)


def _places(release: Release) -> tuple[Place, ...]:
    fetched = {"fetched"} if release.fetches else set()
    return tuple(one for one in _ORDER if one in release.places | fetched)


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
