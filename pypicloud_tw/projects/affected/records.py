"""Records in OSV's form, out of what is kept of them.

What is kept is what is used here: details, references and credits are not told.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from attrs import frozen

from pypicloud_tw.advisories.values import (
    Advisory,
    IAdvisories,
    ProjectAdvisories,
    VersionRange,
)
from pypicloud_tw.json_documents import compact

#: Of the OSV schema that these records follow.
_SCHEMA = "1.7.0"


class INamed(IAdvisories, Protocol):
    """Advisories that are found by their ids, too."""

    def named(self, identifier: str) -> tuple[Advisory, ...]:
        """Return what the record of an id says, of each project."""


@frozen(eq=False)
class KeptRecords:
    """See :class:`.IRecords`.

    :ivar projects: gives the names of all projects that something is known of.
    """

    advisories: INamed
    projects: Callable[[], Collection[str]]

    @property
    def edition(self) -> int:
        """See :class:`.IAdvisories`."""
        return self.advisories.edition

    @property
    def trouble(self) -> str | None:
        """See :class:`.IAdvisories`."""
        return self.advisories.trouble

    def of(self, name: str) -> ProjectAdvisories:
        """See :class:`.IAdvisories`."""
        return self.advisories.of(name)

    def names(self) -> Collection[str]:
        """See :class:`.IKnownAdvisories`."""
        return self.projects()

    async def find(self, identity: str) -> bytes | None:
        """See :class:`.IRecords`."""
        named = self.advisories.named(identity)
        return compact(record_of(named)) if named else None


def record_of(advisories: Sequence[Advisory]) -> dict[str, Any]:
    """Make a record of what it says of each project; there is one at least."""
    first = advisories[0]
    record: dict[str, Any] = {
        "schema_version": _SCHEMA,
        "id": first.id,
        "modified": modified_of(first),
        "affected": [_affected(one) for one in advisories],
        "database_specific": {"severity": first.severity.name},
    }
    if first.published is not None:
        record["published"] = _moment(first.published)
    if first.summary:
        record["summary"] = first.summary
    if first.aliases:
        record["aliases"] = list(first.aliases)
    return record


def modified_of(advisory: Advisory) -> str:
    """Return when a record was changed last, which OSV's form requires."""
    return advisory.modified or _moment(advisory.published or 0.0)


def _affected(one: Advisory) -> dict[str, Any]:
    package = {
        "name": one.project,
        "ecosystem": "PyPI",
        "purl": f"pkg:pypi/{one.project}",
    }
    ranges = [{"type": "ECOSYSTEM", "events": _events(piece)} for piece in one.ranges]
    return {"package": package, "ranges": ranges, "versions": sorted(one.versions)}


def _events(piece: VersionRange) -> list[dict[str, str]]:
    """Write a range as OSV does: an object for each of its bounds."""
    events = [{"introduced": piece.introduced or "0"}]
    if piece.fixed is not None:
        events.append({"fixed": piece.fixed})
    if piece.last_affected is not None:
        events.append({"last_affected": piece.last_affected})
    if piece.limit is not None:
        events.append({"limit": piece.limit})
    return events


def _moment(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"
