"""What a release needs, and what that changes from one release to another."""

from __future__ import annotations

import re
from collections import defaultdict, deque
from collections.abc import Callable, Iterable

from attrs import evolve, field, frozen
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from pypicloud_tw.projects.described.texts import clean_line
from pypicloud_tw.projects.described.values import (
    ChangedDependency,
    Dependency,
    DependencyChanges,
    ReleaseMetadata,
)

#: Characters of a requirement, as it stands and of its parts: the longest known has
#: 360.
_LONGEST = 1_000

_EXTRA = re.compile(r"""\bextra\s*==\s*(?:"([^"]*)"|'([^']*)')""")


def parse_dependency(text: str) -> Dependency:
    """Read one Requires-Dist (PEP 508); what cannot be read is text alone."""
    shown = clean_line(text, _LONGEST)
    if len(text) > _LONGEST:
        return Dependency("", shown)
    try:
        parsed = Requirement(text)
    except (InvalidRequirement, RecursionError):
        return Dependency("", shown)
    marker = "" if parsed.marker is None else str(parsed.marker)
    found = _EXTRA.search(marker)
    extra = "" if found is None else found[1] or found[2] or ""
    return Dependency(
        canonicalize_name(parsed.name),
        shown,
        tuple(sorted(clean_line(one, _LONGEST) for one in parsed.extras)),
        clean_line(str(parsed.specifier) or parsed.url or "", _LONGEST),
        clean_line(marker, _LONGEST),
        canonicalize_name(clean_line(extra, _LONGEST)),
    )


def compare(old: ReleaseMetadata, new: ReleaseMetadata) -> DependencyChanges:
    """Tell what changes of what a project needs between two of its releases.

    A dependency is the same by its name; one that stands several times, for several
    environments, is compared one by one.
    """
    changes = _Changes()
    before, after = _by_name(old.dependencies), _by_name(new.dependencies)
    for name in sorted(before.keys() | after.keys()):
        changes.add(before.get(name, []), after.get(name, []))
    pythons = old.requires_python, new.requires_python
    return DependencyChanges(
        old.version,
        new.version,
        tuple(changes.added),
        tuple(changes.removed),
        tuple(changes.changed),
        pythons if pythons[0] != pythons[1] else None,
        tuple(one for one in new.extras if one not in old.extras),
        tuple(one for one in old.extras if one not in new.extras),
    )


@frozen
class _Changes:
    added: list[Dependency] = field(factory=list)
    removed: list[Dependency] = field(factory=list)
    changed: list[ChangedDependency] = field(factory=list)

    def add(self, before: list[Dependency], after: list[Dependency]) -> None:
        """Compare what two releases say of one name."""
        kept = {_meaning(one) for one in before} & {_meaning(one) for one in after}
        gone = [one for one in before if _meaning(one) not in kept]
        come = [one for one in after if _meaning(one) not in kept]
        gone, come = self._pair(gone, come, lambda one: one.marker)
        # Another environment, too; but what an extra needs does not become what
        # everybody needs.
        gone, come = self._pair(gone, come, lambda one: one.extra)
        self.removed.extend(gone)
        self.added.extend(come)

    def _pair(
        self,
        gone: list[Dependency],
        come: list[Dependency],
        key: Callable[[Dependency], str],
    ) -> tuple[list[Dependency], list[Dependency]]:
        """Take those of one key for the same, changed; return what is left."""
        waiting: dict[str, deque[Dependency]] = defaultdict(deque)
        for new in come:
            waiting[key(new)].append(new)
        left = []
        for old in gone:
            # What could not be understood is another thing, not the same one changed.
            if old.name and waiting[key(old)]:
                new = waiting[key(old)].popleft()
                self.changed.append(ChangedDependency(old, new))
            else:
                left.append(old)
        return left, [new for some in waiting.values() for new in some]


def _by_name(dependencies: Iterable[Dependency]) -> dict[str, list[Dependency]]:
    found: dict[str, list[Dependency]] = defaultdict(list)
    for one in dict.fromkeys(dependencies):
        found[one.name].append(one)
    return found


def _meaning(one: Dependency) -> Dependency:
    """Return what counts of a dependency: not how it is written."""
    return evolve(one, text="") if one.name else one
