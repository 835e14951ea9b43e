"""What a project is: immutable values, no store and no HTTP.

The words are those of the simple repository API (PEP 691, 700, 792).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from typing import Any, Literal

from attrs import field, frozen

from pypicloud_tw.index.names import NormalizedName, hint, version_hint

#: A document of the simple API's JSON form, or a part of one.
Document = dict[str, Any]

#: The newest manifest format that this version writes, for large projects; and that of
#: all others, which have one object.
FORMAT, WHOLE = 2, 1

#: Characters of a reason: a long paragraph. Manifests keep it.
LONGEST_REASON = 1000

#: PEP 792: the states a project can be in.
ProjectStatus = Literal["active", "archived", "quarantined", "deprecated"]


@frozen
class File:
    """One distribution file as the manifest tells it.

    :ivar key: the object's key in the store.
    :ivar sha256: lower-case hexadecimal, as are the other digests.
    :ivar upload_time: aware, UTC.
    :ivar provenance_key: where its provenance object lies (PEP 740), if it has one.
    :ivar yanked: None, or the reason, which may be empty (PEP 592).
    :ivar metadata_key: where its core metadata lies (PEP 658), if it has any.
    :ivar publisher: the CI job that it came from, by :data:`.ci_job.PARTS`; None:
        a person or a machine's own secret uploaded it.
    :ivar extra: keys that this version does not know, kept on rewriting.
    """

    filename: str
    version: str
    key: str
    size: int
    sha256: str
    upload_time: datetime
    md5: str | None = None
    blake2b_256: str | None = None
    requires_python: str | None = None
    yanked: str | None = None
    metadata_key: str | None = None
    metadata_sha256: str | None = None
    uploader: str | None = None
    summary: str | None = None
    publisher: Mapping[str, str] | None = None
    provenance_key: str | None = None
    extra: Mapping[str, Any] = field(factory=dict)

    @cached_property
    def hint(self) -> str:
        """What tells it from most others, see :func:`.names.hint`."""
        return hint(self.filename)

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of all its objects, its own first."""
        beside = (self.metadata_key, self.provenance_key)
        return (self.key, *filter(None, beside))


@frozen
class Tombstone:
    """A filename that was deleted, and may not come back with other bytes.

    :ivar key: the object it named, until a sweep has removed it.
    :ivar purged: the object is known to be gone, or about to be.
    :ivar file: all that was known of the file, to restore it; None: it is purged, or an
        older version deleted it.
    :ivar act: the id of the act that deleted it; None: an older version did.
    """

    filename: str
    sha256: str
    key: str
    deleted: datetime
    purged: bool = False
    metadata_key: str | None = None
    file: File | None = None
    act: str | None = None
    extra: Mapping[str, Any] = field(factory=dict)

    @cached_property
    def hint(self) -> str:
        """What tells it from most others, see :func:`.names.hint`."""
        return hint(self.filename)

    @cached_property
    def numbers(self) -> str:
        """The numbers in its name, a point before and behind each."""
        return f".{version_hint(self.filename)}."

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of all objects that it still names."""
        if self.purged:
            return ()
        if self.file is not None:
            return self.file.keys
        return (self.key, *filter(None, (self.metadata_key,)))


@frozen
class HistoryEntry:
    """One act on a project, as the project's history tells it.

    :ivar id: of the act: 16 hexadecimal digits, random.
    :ivar at: when, by the clock of the server that did it; aware, UTC.
    :ivar act: what was done, in the past tense, as of :class:`.audit.Act`.
    :ivar who: a user's or a publisher's name; None: the server by itself, or anybody.
    :ivar proof: the kind, as of :class:`.audit.Proof`.
    :ivar address: the client's.
    :ivar version: of the release, where it is about one.
    :ivar files: the names of the files it is about, the first ones.
    :ivar count: how many files it is about.
    :ivar reason: why, as was said.
    :ivar undoes: the id of the act that this one undid.
    :ivar before: what undoing it takes; None: it cannot be undone.
    :ivar extra: keys that this version does not know, kept on rewriting.
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
    before: Mapping[str, Any] | None = None
    extra: Mapping[str, Any] = field(factory=dict)

    @cached_property
    def weight(self) -> int:
        """About how many bytes it takes in a manifest."""
        texts = (self.reason or "", str(self.before), str(self.extra), *self.files)
        return 200 + sum(map(len, texts))


@frozen
class Moving:
    """What of a project's objects is on its way to other keys.

    :ivar to: the id of the new keys, as {project}/{to}/...; None: nothing moves there
        any more.
    :ivar left: former keys, whose objects are still to be deleted.
    """

    to: str | None
    left: tuple[str, ...] = ()


@frozen
class Project:
    """A project: everything its manifest says.

    :ivar display_name: as its first uploader spelled it.
    :ivar files: ordered by version, then filename.
    :ivar history: its most recent acts, newest last; older ones lie in objects beside
        the manifest.
    :ivar changes: ids of the recent changes, newest last (decision D1).
    :ivar moving: its objects are on their way, because it was quarantined.
    :ivar serial: of its last change, larger with each; 0: an older version made it. The
        marker tells of that by one that is as large or larger.
    :ivar format: the manifest format it was read in.
    :ivar extra: keys that this version does not know, kept on rewriting.
    :ivar older_history: the id of the object that has the acts before ``history``
        (:mod:`.older_history`); None: there are none.
    """

    name: NormalizedName
    display_name: str
    files: tuple[File, ...] = ()
    tombstones: tuple[Tombstone, ...] = ()
    status: ProjectStatus = "active"
    status_reason: str | None = None
    history: tuple[HistoryEntry, ...] = ()
    changes: tuple[str, ...] = ()
    moving: Moving | None = None
    extra: Mapping[str, Any] = field(factory=dict)
    format: int = WHOLE
    older_history: str | None = None
    serial: int = 0

    def file(self, filename: str) -> File | None:
        """Find a file by its exact name."""
        return next((f for f in self.files if f.filename == filename), None)

    @property
    def offered(self) -> tuple[File, ...]:
        """The files that are shown and handed out (PEP 792: none in quarantine)."""
        return () if self.status == "quarantined" else self.files

    def tombstone(self, filename: str) -> Tombstone | None:
        """Find the tombstone of a deleted filename."""
        return next((t for t in self.tombstones if t.filename == filename), None)


@frozen
class Selection:
    """What of a project an act is about; neither: all of it.

    :ivar version: a release, by PEP 440.
    :ivar file: a file, by its exact name.
    """

    version: str | None = None
    file: str | None = None
