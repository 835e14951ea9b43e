"""What an advisory says of a project: the part of an OSV record that is used here.

The format's rules are those of the OSV schema (https://ossf.github.io/osv-schema/).
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left
from collections.abc import Callable
from enum import IntEnum
from functools import cached_property
from typing import Protocol

from attrs import define, field, frozen
from packaging.utils import canonicalize_version
from packaging.version import Version

_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


class Severity(IntEnum):
    """How bad it is, as CVSS has it; ordered."""

    UNKNOWN = 0
    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4

    @property
    def word(self) -> str:
        """Return it as people and settings write it."""
        return self.name.lower()


@frozen
class VersionRange:
    """Versions of a project, by an OSV range of the type ECOSYSTEM.

    :ivar introduced: the first that is affected; empty: the very first.
    :ivar fixed: the first that is not, if one is.
    :ivar last_affected: the last that is, if it is told so.
    :ivar limit: nothing is said of it, and of what is higher; not that it is fixed.
    """

    introduced: str = ""
    fixed: str | None = None
    last_affected: str | None = None
    limit: str | None = None

    def holds(self, version: Version) -> bool:
        """Return whether a version lies in it. A bound that is none bounds nothing."""
        begin, end = _version(self.introduced or None), _version(self.fixed)
        last, limit = _version(self.last_affected), _version(self.limit)
        if begin is not None and version < begin:
            return False
        if end is not None and version >= end:
            return False
        if limit is not None and version >= limit:
            return False
        return last is None or version <= last


@frozen
class Advisory:
    """An advisory about one project.

    :ivar id: of the record: ``MAL-2026-1``, ``PYSEC-…``, ``GHSA-…``.
    :ivar aliases: other ids of the same matter.
    :ivar malware: it says that these versions are malicious, not that they have a flaw.
    :ivar versions: those that are named one by one, as
        :func:`~packaging.utils.canonicalize_version` spells them.
    :ivar ranges: affected as well.
    :ivar sha256s: of malicious files, hexadecimal, whatever they are called.
    :ivar fixed: the versions that repair it, oldest first.
    :ivar published: when; seconds since the epoch, or None.
    :ivar modified: when the record last changed, as it says.
    """

    id: str
    project: str
    summary: str = ""
    aliases: tuple[str, ...] = ()
    malware: bool = False
    severity: Severity = Severity.UNKNOWN
    versions: frozenset[str] = frozenset()
    ranges: tuple[VersionRange, ...] = ()
    sha256s: frozenset[str] = frozenset()
    fixed: tuple[str, ...] = ()
    published: float | None = None
    modified: str = ""

    def affects(self, version: str | None) -> bool:
        """Return whether it speaks of a version.

        :param version: None where it is not known: then only what speaks of all of
            them does.
        """
        if version is None:
            return any(r == VersionRange() for r in self.ranges)
        if spelled(version) in self.versions:
            return True
        parsed = _version(version)
        return parsed is not None and any(r.holds(parsed) for r in self.ranges)

    def repairs(self, version: str | None) -> bool:
        """Return whether a version is the first that is not affected any more."""
        if version is None:
            return False
        wanted = spelled(version)
        return any(spelled(fixed) == wanted for fixed in self.fixed)


@frozen
class MaliciousDigests:
    """The digests of malicious files of all projects, compactly.

    :ivar digests: sha256, 32 bytes each, sorted, joined.
    :ivar ids: of the advisories, in that order, one a line.
    """

    digests: bytes = field(default=b"", repr=False)
    ids: str = field(default="", repr=False)
    _firsts: bytes = field(init=False, repr=False, eq=False)

    @_firsts.default
    def _take_firsts(self) -> bytes:
        """Take the first eight bytes of each, as numbers: bisect looks these up."""
        data = self.digests
        firsts = (int.from_bytes(data[i : i + 8]) for i in range(0, len(data), 32))
        return array("Q", firsts).tobytes()

    def finder(self) -> Callable[[str], bool]:
        """Make a quick test of many digests: false for all that are not listed.

        What it is true for is to be looked up by :meth:`id_of`.
        """
        firsts = memoryview(self._firsts).cast("Q")
        count = len(firsts)

        def may_be_listed(sha256: str) -> bool:
            first = int(sha256[:16], 16)
            at = bisect_left(firsts, first)
            return at < count and firsts[at] == first

        return may_be_listed

    def id_of(self, sha256: str) -> str | None:
        """Return the id of the advisory that names a file's digest, if one does.

        :param sha256: hexadecimal.
        """
        if _SHA256.fullmatch(sha256) is None:
            return None
        wanted = bytes.fromhex(sha256)
        firsts = memoryview(self._firsts).cast("Q")
        at = bisect_left(firsts, int.from_bytes(wanted[:8]))
        while self.digests[at * 32 : at * 32 + 8] == wanted[:8]:
            if self.digests[at * 32 : at * 32 + 32] == wanted:
                return self.ids.split("\n")[at]
            at += 1
        return None


#: Where nothing is known of digests.
NO_DIGESTS = MaliciousDigests()


@define(slots=False, frozen=True)
class ProjectAdvisories:
    """All that is known of one project. Picklable: helpers judge by it too.

    :ivar malicious: what is known of digests, of any project.
    """

    advisories: tuple[Advisory, ...] = ()
    malicious: MaliciousDigests = NO_DIGESTS

    @cached_property
    def malware(self) -> tuple[Advisory, ...]:
        """Those that speak of malware."""
        return tuple(one for one in self.advisories if one.malware)

    @cached_property
    def flaws(self) -> tuple[Advisory, ...]:
        """Those that speak of vulnerabilities."""
        return tuple(one for one in self.advisories if not one.malware)

    def malware_of(self, version: str | None, sha256: str | None) -> str | None:
        """Return the id of the advisory by which a file is malware, if one is."""
        for one in self.malware:
            if one.affects(version) or (sha256 is not None and sha256 in one.sha256s):
                return one.id
        return None if sha256 is None else self.malicious.id_of(sha256)

    def flaws_of(self, version: str | None) -> tuple[Advisory, ...]:
        """Return the vulnerabilities of a version."""
        return tuple(one for one in self.flaws if one.affects(version))

    def repaired_by(self, version: str | None) -> tuple[Advisory, ...]:
        """Return the vulnerabilities that a version is the first to be free of."""
        return tuple(one for one in self.flaws if one.repairs(version))


#: Where nothing is known of a project.
UNKNOWN_PROJECT = ProjectAdvisories()


@frozen
class AdvisoriesStanding:
    """How what is known of advisories stands.

    :ivar records: how many are known.
    :ivar age: seconds since the source was last seen to be as it is known; None: never.
    :ivar trouble: what is wrong with that, a sentence or two; None: nothing.
    """

    records: int
    age: float | None
    trouble: str | None


class IAdvisories(Protocol):
    """What is known now."""

    @property
    def edition(self) -> int:
        """Grows whenever something else is known, or :attr:`trouble` is another."""

    @property
    def trouble(self) -> str | None:
        """Why files of others must not be given out now, a sentence; None: they may.

        Not None only where ``advisories.when_away = closed``.
        """

    def of(self, name: str) -> ProjectAdvisories:
        """Return what is known of a project; quick."""


@frozen
class NoAdvisories:
    """Knows nothing, as where no source is set."""

    edition: int = 0
    trouble: str | None = None

    def of(self, name: str) -> ProjectAdvisories:
        """See :class:`IAdvisories`."""
        return UNKNOWN_PROJECT


#: Knows nothing.
NO_ADVISORIES = NoAdvisories()


def _version(text: str | None) -> Version | None:
    if text is None:
        return None
    try:
        return Version(text)
    except ValueError:  # InvalidVersion, or a number of more digits than int takes
        return None


def spelled(version: str) -> str:
    """Spell a version as versions are compared here; what is none stays as it is."""
    try:
        return canonicalize_version(version)
    except ValueError:
        return version
