"""What each act makes of a project: functions over values.

Each returns None, or the project as it was, where everything is so already.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from attrs import evolve, frozen

from pypicloud_tw.errors import Conflict, NotFound
from pypicloud_tw.index.admission import bury
from pypicloud_tw.index.history import Doing
from pypicloud_tw.index.manifest import in_order, put_in_order
from pypicloud_tw.index.model import (
    File,
    HistoryEntry,
    Moving,
    Project,
    ProjectStatus,
    Selection,
    Tombstone,
)
from pypicloud_tw.index.names import comparable_versions, file_identity
from pypicloud_tw.index.selections import (
    choose,
    choose_releases,
    release_of,
    some_of,
)

#: What :attr:`.HistoryEntry.before` has: the former reasons of files, a former status,
#: that files can be restored, or the names of those that were.
WAS_YANKED, WAS_STATUS, WAS_DELETED, WAS_RESTORED = (
    "yanked",
    "status",
    "deleted",
    "restored",
)


@frozen
class Edit:
    """What an act made of a project.

    :ivar files: the names of those that it is about.
    :ivar version: of the release, where it is about one.
    :ivar file: where it is about one alone.
    :ivar reason: why, where the act's own parts say that.
    :ivar before: see :attr:`.HistoryEntry.before`.
    :ivar undoes: the act that is undone.
    :ivar left: what of it could not be done, a sentence each.
    """

    project: Project
    files: tuple[str, ...] = ()
    version: str | None = None
    file: File | None = None
    reason: str | None = None
    before: Mapping[str, Any] | None = None
    undoes: HistoryEntry | None = None
    left: tuple[str, ...] = ()


def yank(project: Project, what: Selection, reason: str | None) -> Edit | None:
    """Yank a release or a file; with None un-yank it (PEP 592).

    :raises NotFound: there is none; or it was deleted.
    """
    files = choose(project, what).files
    if not files:
        raise NotFound("This was deleted; restore it first.")
    touched = [file for file in files if file.yanked != reason]
    if not touched:
        return None
    return Edit(
        _replacing(project, (evolve(file, yanked=reason) for file in touched)),
        _names(touched),
        files[0].version,
        touched[0] if what.file is not None else None,
        before={WAS_YANKED: _by_reason(touched)},
    )


def delete(project: Project, what: Selection, doing: Doing) -> Edit | None:
    """Delete files; their names stay taken, and the project's stays ours (D5).

    :raises NotFound: there is and was no such thing.
    """
    files = choose(project, what).files
    if not files:
        return None
    return evolve(
        _deleted(project, files, doing),
        version=files[0].version if what.version or what.file else None,
        file=files[0] if what.file is not None else None,
    )


def prune(project: Project, versions: Iterable[str], doing: Doing) -> Edit | None:
    """Delete several releases at once.

    :raises NotFound: there is and was no such release.
    """
    files = choose_releases(project, versions)
    return _deleted(project, files, doing) if files else None


def _deleted(project: Project, files: Collection[File], doing: Doing) -> Edit:
    ordered = in_order(files)
    return Edit(
        without(project, ordered, doing),
        _names(ordered),
        before={WAS_DELETED: len(ordered)},
    )


def without(project: Project, files: Iterable[File], doing: Doing) -> Project:
    """Take files out of a project, and bury them."""
    gone = {file.filename: file for file in files}
    others = tuple(t for t in project.tombstones if t.filename not in gone)
    buried = (bury(file, doing.at, doing.id) for file in gone.values())
    return evolve(
        project,
        files=tuple(f for f in project.files if f.filename not in gone),
        tombstones=(*others, *buried),
    )


def restore(
    project: Project, what: Selection, doing: Doing, restore_for: float
) -> Edit | None:
    """Publish again what was deleted, as it was.

    :param restore_for: seconds since it was deleted.
    :raises NotFound: there was no such thing; or all of it is gone.
    :raises Conflict: nothing of it can be restored, for another file has the name.
    """
    chosen = choose(project, what)
    if not chosen.tombstones:
        return None
    whys = dict(_whys_not(project, chosen.tombstones, doing.at, restore_for))
    back = [t for t in chosen.tombstones if whys[t.filename] is None]
    left = tuple(filter(None, whys.values()))
    if not back and chosen.files:
        return Edit(project, left=left)
    if not back:
        gone = all(why_gone(t, doing.at, restore_for) for t in chosen.tombstones)
        raise (NotFound if gone else Conflict)(some_of(left))
    edit = restored(project, back)
    named = what.version or what.file
    return evolve(
        edit,
        version=release_of(back[0]) if named else None,
        file=back[0].file if what.file is not None else None,
        left=left,
    )


def _whys_not(
    project: Project,
    tombstones: Collection[Tombstone],
    now: datetime,
    restore_for: float,
) -> Iterator[tuple[str, str | None]]:
    """Tell of each file why it cannot be restored; None: it can.

    Of several that are the same file for installers, the one that was deleted last is.
    """
    taken = _identities(project, {release_of(t) or "" for t in tombstones})
    for tombstone in sorted(tombstones, key=lambda t: t.deleted, reverse=True):
        name, why = tombstone.filename, why_gone(tombstone, now, restore_for)
        identity = None if why else file_identity(name)
        if why is None and identity in taken:
            why = f"{name} cannot be restored: another file has its name."
        taken.add(identity)
        yield name, why


def restored(project: Project, back: Iterable[Tombstone]) -> Edit:
    """Bring files back, as they were.

    :param back: tombstones that have all that this takes.
    """
    files = {t.filename: t.file for t in back if t.file is not None}
    project = evolve(
        project,
        files=put_in_order(project.files, files.values()),
        tombstones=tuple(t for t in project.tombstones if t.filename not in files),
    )
    names = tuple(files)
    return Edit(project, names, before={WAS_RESTORED: list(names)})


def whys_not(
    project: Project, back: Collection[Tombstone], now: datetime, restore_for: float
) -> tuple[str, ...]:
    """Tell in sentences why files cannot all be restored; none: they can."""
    whys = _whys_not(project, back, now, restore_for)
    return tuple(why for _, why in whys if why is not None)


def _identities(project: Project, versions: Collection[str]) -> set[object]:
    """Tell which names of these releases are taken, however they are spelled.

    To parse all names of a large project would take long.
    """
    every = (file.version for file in project.files)
    known = comparable_versions((*versions, *every))
    wanted = {known[version] for version in versions}
    files = (f for f in project.files if known[f.version] in wanted)
    return {file_identity(file.filename) for file in files}


def why_gone(tombstone: Tombstone, now: datetime, restore_for: float) -> str | None:
    """Tell in a sentence why a file cannot be restored; None: it can."""
    if tombstone.purged:
        why = "a sweep has removed its bytes"
    elif tombstone.file is None:
        why = "an older version of this program deleted it"
    elif now >= restorable_until(tombstone, restore_for):
        why = "it was deleted longer ago than index.restore_for allows"
    else:
        return None
    return f"{tombstone.filename} cannot be restored: {why}."


def restorable_until(tombstone: Tombstone, restore_for: float) -> datetime:
    """Tell until when a file can be restored, if it is not purged."""
    return tombstone.deleted + timedelta(seconds=restore_for)


def set_status(
    project: Project, status: ProjectStatus, reason: str | None, doing: Doing
) -> Edit | None:
    """Set what has become of a project (PEP 792)."""
    if (project.status, project.status_reason) == (status, reason):
        return None
    before = {"status": project.status, "reason": project.status_reason}
    return Edit(
        evolve(
            project,
            status=status,
            status_reason=reason,
            moving=_moving(project, status, doing),
        ),
        reason=status if reason is None else f"{status}: {reason}",
        before={WAS_STATUS: before},
    )


def _moving(project: Project, status: ProjectStatus, doing: Doing) -> Moving | None:
    """Tell what is to move: all, when a project comes into quarantine."""
    moving = project.moving
    if status == "quarantined" == project.status:
        return moving
    left = () if moving is None else moving.left
    if status == "quarantined":
        return Moving(doing.move, left)
    return Moving(None, left) if left else None


def with_reasons(project: Project, groups: Iterable[Mapping[str, Any]]) -> Edit:
    """Set back why files were yanked, or that they were not."""
    former = {name: group["reason"] for group in groups for name in group["files"]}
    files = [file for file in project.files if file.filename in former]
    changed = (evolve(file, yanked=former[file.filename]) for file in files)
    return Edit(_replacing(project, changed), _names(files))


def _by_reason(files: Iterable[File]) -> list[dict[str, Any]]:
    """Write down why files are yanked: each reason once."""
    groups: dict[str | None, list[str]] = {}
    for file in files:
        groups.setdefault(file.yanked, []).append(file.filename)
    return [{"reason": reason, "files": names} for reason, names in groups.items()]


def _replacing(project: Project, files: Iterable[File]) -> Project:
    changed = {file.filename: file for file in files}
    return evolve(
        project, files=tuple(changed.get(f.filename, f) for f in project.files)
    )


def _names(files: Iterable[File]) -> tuple[str, ...]:
    return tuple(file.filename for file in files)
