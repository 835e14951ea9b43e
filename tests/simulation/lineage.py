"""Every state that a project's manifest has had, and what must be true of them."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from attrs import define, field, frozen

from pypicloud_tw.index.model import File, Project, Tombstone
from pypicloud_tw.index.names import NormalizedName, file_identity
from tests.simulation.servers import RESTORE_FOR

#: Tells that something is not as it must be.
Complain = Callable[[str], None]

#: What a page tells of a project: its status, and name, digest and yank of each file.
Shown = tuple[str, frozenset[tuple[str, str, str | None]]]

#: Seconds by which the clocks of servers may differ, together.
APART = 30.0

#: Seconds after its end in which what a task has asked the store for may still be done.
LATE = 60.0

#: What each kind of task may do with a file that is there, or is not.
_REMOVES = frozenset({"delete", "prune", "undo", "overwrite", "rebuild"})
_UPLOADS = frozenset({"publish", "overwrite"})
_BRINGS_BACK = frozenset({"restore", "undo", "adopt", "rebuild"})
_YANKS = frozenset({"yank", "unyank", "undo", "restore", "rebuild"})
_SETS_STATUS = frozenset({"status", "undo", "rebuild"})
_PURGES = frozenset({"sweep", "rebuild"})


@define(eq=False)
class Task:
    """Something that somebody asked a server for.

    :ivar who: in whose name; nobody else has it.
    :ivar name: the project; None: all of them.
    :ivar outcome: ``open``; ``done``; ``refused``: nothing came of it; ``unknown``.
    :ivar entries: how many of the history it made, as it was told.
    """

    kind: str
    who: str
    server: object
    began: float
    name: str | None = None
    filename: str | None = None
    version: str | None = None
    sha256: str | None = None
    ended: float | None = None
    outcome: str = "open"
    entries: int | None = None

    def end(self, outcome: str, now: float) -> None:
        self.outcome, self.ended = outcome, now

    def may_act(self, now: float) -> bool:
        """Whether something may come of it at this moment."""
        if self.ended is None:
            return True
        return self.outcome == "unknown" and now < self.ended + LATE

    @property
    def brings_files(self) -> bool:
        """Whether files may be there when it is done."""
        return self.kind in _UPLOADS or self.kind in _BRINGS_BACK

    def overlaps(self, other: Task) -> bool:
        """Whether it may act while another is under way."""
        return self.may_act(other.began) or (self.ended or 0) >= other.began

    @property
    def ends_files(self) -> bool:
        """Whether files may be gone when it is done."""
        return self.kind in _REMOVES

    def covers(self, file: File) -> bool:
        """Whether it is about a file that is there."""
        if self.kind == "overwrite":
            return file_identity(self.filename or "") == file_identity(file.filename)
        return self.filename in (None, file.filename) and (
            self.version in (None, file.version)
        )

    def __str__(self) -> str:
        parts = self.kind, self.name, self.version, self.filename
        what = " ".join(filter(None, parts))
        return f"{self.who}: {what}"


@frozen(eq=False)
class State:
    """A manifest that was written.

    :ivar at: when; the next is written later.
    """

    at: float
    project: Project
    etag: str
    shown: Shown

    @classmethod
    def of(cls, at: float, project: Project, etag: str) -> State:
        return cls(at, project, etag, shown_of(project))


def _said(project: Project) -> tuple[object, ...]:
    """Return what a project says to people: all but its ids of changes."""
    status = project.status, project.status_reason
    return (*status, project.files, project.tombstones, project.history)


def shown_of(project: Project) -> Shown:
    """Tell what the page of a project must show (PEP 792: in quarantine no file)."""
    files = () if project.status == "quarantined" else project.files
    return project.status, frozenset((f.filename, f.sha256, f.yanked) for f in files)


@define(eq=False)
class Lineage:
    """All states of one project.

    :ivar tasks: what people asked for with it, oldest first.
    :ivar lost: since when its manifest is gone.
    :ivar was_rebuilt: it was lost once; what only the manifest knew is lost with it.
    :ivar lies_since: when somebody copied a file of it into the store.
    :ivar in_folder_since: into its folder.
    """

    name: NormalizedName
    complain: Complain
    states: list[State] = field(factory=list, init=False)
    tasks: list[Task] = field(factory=list, init=False)
    lost: float | None = field(default=None, init=False)
    was_rebuilt: bool = field(default=False, init=False)
    lies_since: float | None = field(default=None, init=False)
    in_folder_since: float | None = field(default=None, init=False)
    by_etag: dict[str, int] = field(factory=dict, init=False)
    _told: list[float] = field(factory=list, init=False)
    _floors: list[int] = field(factory=list, init=False)

    @property
    def project(self) -> Project | None:
        return self.states[-1].project if self.states else None

    @property
    def under_way(self) -> list[Task]:
        """What was asked for and has no answer yet."""
        return [task for task in self.tasks if task.ended is None]

    def floor(self, now: float) -> int:
        """Return the number of the newest state that was acknowledged by then; or -1.

        Whoever asks later sees no older one.
        """
        at = bisect_right(self._told, now)
        return self._floors[at - 1] if at else -1

    def acknowledge(self, project: Project, now: float) -> None:
        """Take down that somebody was told of this state."""
        number = self._number_of(project)
        if number is None:
            self.complain(f"{self.name}: what was acknowledged was never written")
            return
        self._told.append(now)
        self._floors.append(max(number, self._floors[-1] if self._floors else -1))

    def _number_of(self, project: Project) -> int | None:
        said = _said(project)
        for number in range(len(self.states) - 1, -1, -1):
            if _said(self.states[number].project) == said:
                return number
        return None

    def from_floor(self, floor: int) -> list[State]:
        """Return the states that a reader may see."""
        return self.states[max(floor, 0) :]

    def take(self, at: float, project: Project, etag: str) -> None:
        """Take down a state that was just written, and judge it."""
        before = self.project
        lost, self.lost = self.lost, None
        self.was_rebuilt = self.was_rebuilt or lost is not None
        self.by_etag[etag] = len(self.states)
        self.states.append(State.of(at, project, etag))
        able = [task for task in self.tasks if task.may_act(at)]
        identities = Counter(file_identity(f.filename) for f in project.files)
        for identity, count in identities.items():
            if count > 1:
                self.complain(f"{self.name}: {count} files are {identity}")
        if before is None:
            before = Project(self.name, self.name)
        for what in self._unexplained(before, project, able, lost is not None):
            self.complain(f"{self.name}: {what}")

    def _unexplained(
        self, before: Project, after: Project, able: list[Task], rebuilt: bool
    ) -> Iterator[str]:
        if rebuilt:
            yield from _rebuilt(before, after, able)
            return
        kinds = {task.kind for task in able}
        if after.changes[: len(before.changes)] != before.changes:
            yield "changes of others are lost"
        yield from _files(before, after, able)
        yield from _tombstones(before, after, able, self.states[-1].at)
        if before.status != after.status and not kinds & _SETS_STATUS:
            yield f"nobody made it {after.status}"
        yield from _history(before, after, able)

    def entries_of(self, who: str) -> int:
        """Count the acts in somebody's name that its history has."""
        project = self.project
        return sum(e.who == who for e in project.history) if project else 0

    def has_traces(self, who: str) -> bool:
        """Tell whether anything was ever visible of what somebody asked for."""
        return any(
            any(file.uploader == who for file in state.project.files)
            or any(entry.who == who for entry in state.project.history)
            for state in self.states
        )


def _rebuilt(before: Project, after: Project, able: list[Task]) -> Iterator[str]:
    """Judge the first manifest after one was lost."""
    if not any(task.kind == "rebuild" for task in able):
        yield "a new manifest hides what the lost one named"
    identities = {file_identity(file.filename) for file in after.files}
    for file in before.files:
        if file_identity(file.filename) not in identities:
            yield f"rebuilding left out {file.filename}"


def _same(task: Task, file: File) -> bool:
    return (task.filename, task.sha256) == (file.filename, file.sha256)


def _files(before: Project, after: Project, able: list[Task]) -> Iterator[str]:
    was = {(file.filename, file.sha256): file for file in before.files}
    now = {(file.filename, file.sha256): file for file in after.files}
    for file in before.files:
        if (file.filename, file.sha256) not in now and not _may(able, _REMOVES, file):
            yield f"nobody removed {file.filename}"
    for key, file in now.items():
        if key not in was:
            yield from _added(file, before, able)
        elif file.yanked != was[key].yanked and not _may(able, _YANKS, file):
            yield f"nobody yanked or un-yanked {file.filename}"


def _may(able: list[Task], kinds: frozenset[str], file: File) -> bool:
    return any(task.kind in kinds and task.covers(file) for task in able)


def _added(file: File, before: Project, able: list[Task]) -> Iterator[str]:
    uploads = [task for task in able if task.kind in _UPLOADS]
    if not _may(able, _BRINGS_BACK, file) and not any(_same(t, file) for t in uploads):
        yield f"nobody published {file.filename}"
    tombstone = before.tombstone(file.filename)
    if tombstone is not None and tombstone.sha256 != file.sha256:
        yield f"the deleted {file.filename} came back with other bytes"


def _replaced(tombstone: Tombstone, able: list[Task]) -> bool:
    """Tell whether it may have come back and been replaced, both in one swap."""
    identity = file_identity(tombstone.filename)
    return any(
        task.kind == "overwrite" and file_identity(task.filename or "") == identity
        for task in able
    )


def _tombstones(
    before: Project, after: Project, able: list[Task], now: float
) -> Iterator[str]:
    kinds = {task.kind for task in able}
    there = {file.filename for file in after.files}
    for tombstone in before.tombstones:
        still = after.tombstone(tombstone.filename)
        came_back = tombstone.filename in there or _replaced(tombstone, able)
        if still is None and not came_back:
            yield f"the tombstone of {tombstone.filename} is gone"
        if still is None or still.key != tombstone.key:
            continue
        if tombstone.purged and not still.purged:
            yield f"{tombstone.filename} is not purged any more"
        if still.purged and not tombstone.purged and not kinds & _PURGES:
            yield f"nobody purged {tombstone.filename}"
        ends = tombstone.deleted.timestamp() + RESTORE_FOR - APART
        if still.purged and not tombstone.purged and now < ends:
            yield f"{tombstone.filename} is purged, and could be restored"


def _history(before: Project, after: Project, able: list[Task]) -> Iterator[str]:
    if after.history[: len(before.history)] != before.history and not any(
        task.kind == "adopt"
        for task in able  # it adds to its last entry
    ):
        yield "acts are gone from the history"
    who = {task.who for task in able}
    for entry in after.history[len(before.history) :]:
        if entry.who is not None and entry.who not in who:
            yield f"nobody was at it in whose name is written: {entry.who} {entry.act}"
    counts = Counter(entry.who for entry in after.history if entry.who is not None)
    yield from _twice(counts.items())


def _twice(counts: Iterable[tuple[str | None, int]]) -> Iterator[str]:
    for who, count in counts:
        if count > 1:
            yield f"an act is in the history {count} times: {who}"
