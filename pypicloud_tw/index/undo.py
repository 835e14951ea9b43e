"""Undoing acts on a project: which one, whether it can be, and what comes of it.

Only what stands in the manifest can be undone: a project's most recent acts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import evolve

from pypicloud_tw.errors import Conflict, NotFound
from pypicloud_tw.index.admission import same_version
from pypicloud_tw.index.edits import (
    WAS_DELETED,
    WAS_RESTORED,
    WAS_STATUS,
    WAS_YANKED,
    Edit,
    restored,
    set_status,
    whys_not,
    with_reasons,
    without,
)
from pypicloud_tw.index.history import Doing
from pypicloud_tw.index.model import HistoryEntry, Project
from pypicloud_tw.index.selections import some_of


def to_undo(project: Project, act: str | None) -> HistoryEntry:
    """Find the act that is to be undone.

    :param act: its id; None: the last one that can be undone.
    :raises NotFound: there is no such act.
    """
    if act is None:
        undone = _undone(project)
        for entry in reversed(project.history):
            if entry.before is not None and entry.id not in undone:
                return entry
        raise NotFound(f"Nothing was done with {project.name} that can be undone.")
    for entry in project.history:
        if entry.id == act:
            return entry
    raise NotFound(
        f"There is no such act among the most recent ones of {project.name}; its "
        "history tells their ids."
    )


def is_undoable(project: Project, entry: HistoryEntry) -> bool:
    """Return whether an act's kind, and what came later, let it be undone."""
    return why_not(project, entry) is None and entry.id not in _undone(project)


def why_not(project: Project, entry: HistoryEntry) -> str | None:
    """Tell in a sentence why an act cannot be undone; None: it can, or it was."""
    if entry.act in ("published", "imported"):
        return "An upload is not undone; delete the file."
    if entry.before is None:
        return f"This cannot be undone: {entry.act}."
    since = _later(project, entry)
    named = _named(project, [entry, *since])
    for later in since:
        if _meet(entry, later, named):
            return (
                f"Something was done since that touches the same: {later.act}, by act "
                f"{later.id}. Undo that first."
            )
    return None


def undo(
    project: Project, act: str | None, doing: Doing, restore_for: float
) -> Edit | None:
    """Undo an act; None if it was undone already.

    :raises NotFound: there is no such act.
    :raises Conflict: it cannot be undone; the message says why.
    """
    entry = to_undo(project, act)
    if entry.id in _undone(project):
        return None
    if (why := why_not(project, entry)) is not None:
        raise Conflict(why)
    assert entry.before is not None, "what has none cannot be undone"
    for kind, undone_by in _UNDO.items():
        if kind in entry.before:
            edit = undone_by(project, entry, entry.before[kind], doing, restore_for)
            return evolve(
                edit,
                version=entry.version,
                reason=entry.act,
                before=None,
                undoes=entry,
            )
    raise Conflict("A newer version of this program did that; undo it there.")


def _undone(project: Project) -> set[str]:
    return {entry.undoes for entry in project.history if entry.undoes is not None}


def _later(project: Project, entry: HistoryEntry) -> list[HistoryEntry]:
    """List what was done since and still holds."""
    undone = _undone(project)
    since = project.history[project.history.index(entry) + 1 :]
    return [e for e in since if e.undoes is None and e.id not in undone]


def _meet(
    one: HistoryEntry, other: HistoryEntry, named: Mapping[str, set[str]]
) -> bool:
    """Tell whether two acts are about the same, as far as can be told."""
    about_status = [WAS_STATUS in (entry.before or ()) for entry in (one, other)]
    if any(about_status):
        return all(about_status)
    names, others = named[one.id], named[other.id]
    if names & others:
        return True
    if len(names) >= one.count and len(others) >= other.count:
        return False
    # Of one only the first files are known.
    versions = one.version, other.version
    return None in versions or same_version(*map(str, versions))


def _named(project: Project, entries: Sequence[HistoryEntry]) -> dict[str, set[str]]:
    """Tell the files that each act is about, as many as are known, by its id."""
    named = {entry.id: set(entry.files) for entry in entries}
    for entry in entries:
        before = entry.before or {}
        named[entry.id].update(before.get(WAS_RESTORED, ()))
        for group in before.get(WAS_YANKED, ()):
            named[entry.id].update(group["files"])
    # A project may have many tombstones: they are looked through once.
    for tombstone in project.tombstones:
        if tombstone.act in named:
            named[tombstone.act].add(tombstone.filename)
    return named


def _undo_yank(
    project: Project, entry: HistoryEntry, was: Any, doing: Doing, restore_for: float
) -> Edit:
    return with_reasons(project, was)


def _undo_status(
    project: Project, entry: HistoryEntry, was: Any, doing: Doing, restore_for: float
) -> Edit:
    edit = set_status(project, was["status"], was["reason"], doing)
    # A server of an older version knows nothing of history.
    return edit or Edit(project)


def _undo_delete(
    project: Project, entry: HistoryEntry, was: Any, doing: Doing, restore_for: float
) -> Edit:
    back = [t for t in project.tombstones if t.act == entry.id]
    if why := some_of(whys_not(project, back, doing.at, restore_for)):
        raise Conflict(f"This cannot be undone any more. {why}")
    if len(back) != was:
        raise Conflict("This cannot be undone any more: some of it is gone or back.")
    return restored(project, back)


def _undo_restore(
    project: Project, entry: HistoryEntry, was: Any, doing: Doing, restore_for: float
) -> Edit:
    names = set(was)
    files = [file for file in project.files if file.filename in names]
    return Edit(without(project, files, doing), tuple(file.filename for file in files))


_UNDO: Mapping[str, Callable[[Project, HistoryEntry, Any, Doing, float], Edit]] = {
    WAS_YANKED: _undo_yank,
    WAS_STATUS: _undo_status,
    WAS_DELETED: _undo_delete,
    WAS_RESTORED: _undo_restore,
}
