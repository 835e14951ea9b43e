"""What a project is: immutable values, no store and no HTTP.

The words are those of the simple repository API (PEP 691, 700, 792).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from attrs import field, frozen

from pypicloud_tw.index.names import NormalizedName

#: A document of the simple API's JSON form, or a part of one.
Document = dict[str, Any]

#: The newest manifest format that this version writes.
FORMAT = 1

#: PEP 792: the states a project can be in.
ProjectStatus = Literal["active", "archived", "quarantined", "deprecated"]


@frozen
class File:
    """One distribution file as the manifest tells it.

    :ivar key: the object's key in the store.
    :ivar sha256: lower-case hexadecimal, as are the other digests.
    :ivar upload_time: aware, UTC.
    :ivar yanked: None, or the reason, which may be empty (PEP 592).
    :ivar metadata_key: where its core metadata lies (PEP 658), if it has any.
    :ivar publisher: the CI job that it came from, by :data:`.provenance.PARTS`; None:
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
    extra: Mapping[str, Any] = field(factory=dict)


@frozen
class Tombstone:
    """A filename that was deleted, and may not come back with other bytes.

    :ivar key: the object it named, until a sweep has removed it.
    :ivar purged: the object is known to be gone, or about to be.
    """

    filename: str
    sha256: str
    key: str
    deleted: datetime
    purged: bool = False
    metadata_key: str | None = None
    extra: Mapping[str, Any] = field(factory=dict)


@frozen
class Project:
    """A project: everything its manifest says.

    :ivar display_name: as its first uploader spelled it.
    :ivar files: ordered by version, then filename.
    :ivar changes: ids of the recent changes, newest last (decision D1).
    :ivar format: the manifest format it was read in.
    :ivar extra: keys that this version does not know, kept on rewriting.
    """

    name: NormalizedName
    display_name: str
    files: tuple[File, ...] = ()
    tombstones: tuple[Tombstone, ...] = ()
    status: ProjectStatus = "active"
    status_reason: str | None = None
    changes: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(factory=dict)
    format: int = FORMAT

    def file(self, filename: str) -> File | None:
        """Find a file by its exact name."""
        return next((f for f in self.files if f.filename == filename), None)

    def tombstone(self, filename: str) -> Tombstone | None:
        """Find the tombstone of a deleted filename."""
        return next((t for t in self.tombstones if t.filename == filename), None)
