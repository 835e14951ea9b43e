"""What is said of projects: the values that requests and answers consist of."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal, TypeAlias

from attrs import field, frozen

from pypicloud_tw.index.model import LONGEST_REASON, ProjectStatus
from pypicloud_tw.json_values import longest

#: Reasons go into pages and manifests of everybody: they are one line.
_REASON = longest(LONGEST_REASON, one_line=True)

#: Things of a list, unless it is asked for fewer or more, and at the most.
USUAL, MOST = 100, 1000


@frozen
class Yank:
    """Why something is yanked (PEP 592).

    :ivar reason: shown by installers; may be empty.
    """

    reason: str = field(default="", metadata=_REASON)


@frozen
class StatusChange:
    """What becomes of a project (PEP 792).

    :ivar reason: shown to whoever looks at it.
    """

    status: ProjectStatus
    reason: str | None = field(default=None, metadata=_REASON)


@frozen
class Undo:
    """Which act is undone.

    :ivar act: its id; None: the last one that can be undone.
    """

    act: str | None = None


@frozen
class Status:
    """What has become of a project (PEP 792)."""

    status: ProjectStatus
    reason: str | None


@frozen
class FileDetail:
    """A file that is published.

    :ivar size: bytes.
    :ivar sha256: hexadecimal.
    :ivar yanked: the reason, which may be empty; None: it is not yanked.
    :ivar uploader: None: it was adopted.
    :ivar publisher: the CI job that it came from.
    :ivar url: where it is; relative to the server's root.
    :ivar provenance: where its provenance is (PEP 740), likewise; None: it has none.
    """

    filename: str
    version: str
    size: int
    sha256: str
    uploaded: datetime
    url: str
    requires_python: str | None = None
    yanked: str | None = None
    uploader: str | None = None
    publisher: Mapping[str, str] | None = None
    provenance: str | None = None


@frozen
class ReleaseSummary:
    """A release, without its files.

    :ivar files: how many it has.
    :ivar size: bytes of all of them.
    :ivar uploaded: when its first file was.
    :ivar yanked: whether all of its files are.
    :ivar reason: why, if it is.
    """

    version: str
    files: int
    size: int
    uploaded: datetime
    yanked: bool
    reason: str | None = None
    requires_python: str | None = None
    summary: str | None = None


@frozen
class DeletedFile:
    """A file that was deleted, and can still be restored.

    :ivar until: when it may be gone.
    :ivar act: the id of the act that deleted it.
    """

    filename: str
    version: str
    sha256: str
    deleted: datetime
    until: datetime
    act: str | None = None


@frozen
class ProjectDetail:
    """A project, and every release that it has, oldest first.

    Of a project in quarantine those who may manage it see what it has, nobody else.

    :ivar state: changes whenever the project does.
    :ivar deleted: what can be restored; told to those who may manage the project.
    :ivar restore_for: for how many seconds what is deleted now can be restored.
    """

    name: str
    display_name: str
    status: Status
    state: str
    releases: tuple[ReleaseSummary, ...]
    deleted: tuple[DeletedFile, ...] = ()
    restore_for: int = 0


@frozen
class ReleaseDetail:
    """A release and its files."""

    project: str
    version: str
    files: tuple[FileDetail, ...]


@frozen
class ProjectFiles:
    """A project's files, of all its releases.

    :ivar deleted: see :attr:`ProjectDetail.deleted`.
    """

    name: str
    status: Status
    files: tuple[FileDetail, ...]
    deleted: tuple[DeletedFile, ...] = ()


@frozen
class ProjectName:
    """A project in a list."""

    name: str


@frozen
class ProjectsPage:
    """A part of the list of projects, by name.

    :ivar cursor: gives what follows; None: nothing does.
    """

    items: tuple[ProjectName, ...]
    cursor: str | None = None


#: Whose a project is: of this index, or of another, of which the cache keeps files or
#: which is only known to have such a name.
Origin: TypeAlias = Literal["ours", "kept", "upstream"]

#: What whoever searches may do with what is found, beside reading it.
OwnRight: TypeAlias = Literal["upload", "manage"]


@frozen
class Found:
    """A project that a search found.

    :ivar version: of its newest release; like what follows it is told of ours.
    :ivar updated: when that was uploaded.
    """

    name: str
    version: str | None = None
    summary: str | None = None
    origin: Origin = "ours"
    updated: datetime | None = None
    status: ProjectStatus | None = None


@frozen
class FoundPage:
    """What a search found, the best first.

    :ivar complete: whether all projects of ours were looked at; else of some only the
        names were.
    """

    items: tuple[Found, ...]
    complete: bool = True


@frozen
class PastAct:
    """One act in a project's history; see :class:`~.index.model.HistoryEntry`.

    :ivar undoable: whether it can be undone now.
    """

    id: str
    at: datetime
    act: str
    who: str | None = None
    proof: str = "none"
    address: str | None = None
    version: str | None = None
    files: tuple[str, ...] = ()
    count: int = 0
    reason: str | None = None
    undoes: str | None = None
    undoable: bool = False


@frozen
class HistoryPage:
    """A part of a project's history, newest first.

    :ivar cursor: gives what is older; None: nothing is.
    """

    items: tuple[PastAct, ...]
    cursor: str | None = None


@frozen
class Done:
    """What came of an act.

    :ivar changed: false where everything was so already.
    :ivar state: of the project, now.
    :ivar act: as the history has it now; None: nothing changed.
    :ivar notices: what of it could not be done, a sentence each.
    """

    changed: bool
    state: str
    act: PastAct | None = None
    notices: tuple[str, ...] = ()


@frozen
class ServerStatus:
    """How a server stands, or the store that a command works on.

    :ivar version: of this program.
    :ivar python: of Python, and of Twisted: what it runs on.
    :ivar store: what the packages are in.
    :ivar conditional: whether the store honours conditional writes, so that several
        servers may change it; None: not known yet.
    :ivar ready: whether it is; the reason why not is the sentence.
    :ivar changeable: whether projects may be changed now, as far as the store goes;
        the reason why not is the sentence.
    :ivar read_only: why nothing may be changed (``pypi.read_only``); None: it may.
    :ivar projects: how many there are; None: not known now.
    :ivar lost: how many of them have lost their manifest.
    :ivar described: how many of them searches know by more than the name; None: not
        known yet, or it is no server.
    :ivar fresh_for: seconds within which other servers' changes are seen.
    :ivar marker_age: seconds since the store was last asked what changed; None: never.
    :ivar uptime: seconds that it runs; None: it is no server.
    :ivar advisories: how many are known; None: no source is set, or it is no server.
    :ivar advisories_age: seconds since their source was last seen; None: never.
    :ivar advisories_trouble: what is wrong with that; None: nothing.
    :ivar asked_from: the address of who asks, as the server takes it; None: nobody
        asks a server, or a Unix socket has none.
    :ivar asked_as: the address that it takes for its own there; None likewise.
    """

    version: str
    python: str
    twisted: str
    store: Literal["folder", "bucket"]
    conditional: bool | None
    ready: bool
    changeable: bool
    sentence: str | None = None
    read_only: str | None = None
    projects: int | None = None
    lost: int = 0
    fresh_for: float = 0.0
    marker_age: float | None = None
    uptime: float | None = None
    advisories: int | None = None
    advisories_age: float | None = None
    advisories_trouble: str | None = None
    described: int | None = None
    asked_from: str | None = None
    asked_as: str | None = None
