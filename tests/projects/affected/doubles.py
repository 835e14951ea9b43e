"""Advisories, kept files and downloads in memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from attrs import define, field
from packaging.utils import canonicalize_version
from twisted.internet.defer import Deferred

from pypicloud_tw.advisories.values import (
    NO_DIGESTS,
    Advisory,
    MaliciousDigests,
    ProjectAdvisories,
    Severity,
    VersionRange,
)
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.projects.affected.interface import KeptFile
from pypicloud_tw.projects.affected.values import Fix


@define
class Known:
    """See :class:`.IKnownAdvisories`."""

    edition: int = 1
    trouble: str | None = None
    digests: MaliciousDigests = NO_DIGESTS
    records: dict[str, bytes] = field(factory=dict)
    _by_name: dict[str, list[Advisory]] = field(factory=lambda: defaultdict(list))

    def add(self, *advisories: Advisory) -> None:
        """Know of more."""
        for one in advisories:
            self._by_name[one.project].append(one)
        self.edition += 1

    def of(self, name: str) -> ProjectAdvisories:
        """See :class:`.IAdvisories`."""
        return ProjectAdvisories(tuple(self._by_name.get(name, ())), self.digests)

    def names(self) -> Collection[str]:
        """See :class:`.IKnownAdvisories`."""
        return self._by_name.keys()

    async def find(self, identity: str) -> bytes | None:
        """Return a record as it was read."""
        return self.records.get(identity)


@define
class Fetched:
    """See :class:`.IFetches`.

    :ivar slow: who asks waits for it.
    """

    counts: dict[str, dict[str, int]] = field(factory=dict)
    slow: Deferred[None] | None = None

    async def names(self, days: int) -> Collection[str]:
        """See :class:`.IFetches`."""
        if self.slow is not None:
            await self.slow
        return self.counts.keys()

    async def versions(self, name: str, days: int) -> Mapping[str, int]:
        """See :class:`.IFetches`."""
        return self.counts[name]


@define
class Kept:
    """See :class:`.IKept`."""

    files: dict[NormalizedName, list[KeptFile]] = field(factory=dict)

    async def names(self) -> Collection[NormalizedName]:
        """See :class:`.IKept`."""
        return self.files.keys()

    async def of(self, name: NormalizedName) -> Sequence[KeptFile]:
        """See :class:`.IKept`."""
        return self.files[name]


@define
class Visible:
    """See :class:`.IVisible`."""

    known: dict[str, Fix] = field(factory=dict)

    async def fixes(
        self, name: NormalizedName, versions: Collection[str]
    ) -> Mapping[str, Fix]:
        """See :class:`.IVisible`."""
        return {text: fix for text, fix in self.known.items() if text in versions}


def flaw(
    project: str,
    identity: str = "GHSA-1",
    *,
    severity: Severity = Severity.HIGH,
    fixed: str = "2.0",
    aliases: Iterable[str] = (),
) -> Advisory:
    """A flaw that a version repairs."""
    return Advisory(
        identity,
        project,
        f"A flaw of {project}.",
        tuple(aliases),
        severity=severity,
        ranges=(VersionRange("", fixed),),
        fixed=(fixed,),
    )


def malware(project: str, version: str = "1.1", identity: str = "MAL-1") -> Advisory:
    """A release that is malicious."""
    versions = frozenset({canonicalize_version(version)})
    return Advisory(identity, project, malware=True, versions=versions)


def digests(**by_id: str) -> MaliciousDigests:
    """Digests, each by the id of the advisory that names it."""
    pairs = sorted((bytes.fromhex(sha256), i) for i, sha256 in by_id.items())
    return MaliciousDigests(
        b"".join(digest for digest, _ in pairs), "\n".join(i for _, i in pairs)
    )
