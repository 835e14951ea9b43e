"""What a bundle says of itself; ``docs/architecture/formats.rst`` has its form."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from datetime import datetime
from functools import cached_property
from hashlib import sha256
from typing import Literal

from attrs import evolve, field, frozen
from packaging.utils import is_normalized_name

from pypicloud_tw.errors import BadRequest
from pypicloud_tw.index.model import ProjectStatus
from pypicloud_tw.json_documents import DAMAGED
from pypicloud_tw.json_values import NotAsDeclared, from_bytes, longest, to_bytes
from pypicloud_tw.moving.bundle.identity import ID
from pypicloud_tw.outbound.origins import origin_of

FORMAT = 1

#: What a bundle may have: projects of the index, and files that its cache keeps.
Contents = Literal["own", "kept"]

#: Characters of a page of kept files: the largest page known, that of 43,000 files,
#: has 30 MB. A factor of 2.
_LONGEST_PAGE = 64 * 2**20
#: Bytes of core metadata, or of provenance, as they are bounded where they come in.
MAX_SMALL = 64 * 2**20
#: As manifests take them.
_LONGEST_REASON = 4096

_SHA256 = re.compile(r"[0-9a-f]{64}")


@frozen
class OwnFile:
    """A file of a project of the index.

    :ivar uploaded: when; aware, UTC.
    :ivar yanked: None, or the reason, which may be empty.
    :ivar provenance: the SHA-256 of its provenance object, if it has one.
    """

    filename: str
    sha256: str
    size: int
    uploaded: datetime
    yanked: str | None = field(default=None, metadata=longest(_LONGEST_REASON))
    uploader: str | None = None
    provenance: str | None = None


@frozen
class DeletedFile:
    """A file that was deleted."""

    filename: str
    sha256: str


@frozen
class OwnProject:
    """A project of the index, all of it.

    :ivar serial: of its last change.
    """

    name: str
    display_name: str
    serial: int
    files: tuple[OwnFile, ...] = ()
    deleted: tuple[DeletedFile, ...] = ()
    status: ProjectStatus = "active"
    status_reason: str | None = field(default=None, metadata=longest(_LONGEST_REASON))

    def file(self, filename: str) -> OwnFile | None:
        """Find a file by its name."""
        return self._by_name.get(filename)

    def has_deleted(self, filename: str, digest: str) -> bool:
        """Return whether a file is among the deleted ones."""
        return DeletedFile(filename, digest) in self._deleted

    # Of each project every file is looked up: a project of builds has 10,000.
    @cached_property
    def _by_name(self) -> dict[str, OwnFile]:
        return {file.filename: file for file in self.files}

    @cached_property
    def _deleted(self) -> frozenset[DeletedFile]:
        return frozenset(self.deleted)


@frozen
class KeptBundled:
    """A file of the other index.

    :ivar metadata: the SHA-256 of its core metadata, if that is kept.
    """

    filename: str
    sha256: str
    size: int
    metadata: str | None = None


@frozen
class KeptProject:
    """A project of the other index, as far as it is kept.

    :ivar base: of that index.
    :ivar confirmed: when that last said so; seconds since the epoch.
    :ivar page: its page, as JSON (PEP 691), with the files that are kept alone.
    """

    name: str
    base: str
    confirmed: float
    page: str = field(metadata=longest(_LONGEST_PAGE), repr=False)
    files: tuple[KeptBundled, ...] = ()


@frozen
class Member:
    """An object that lies in the bundle, under its digest."""

    sha256: str
    size: int

    @property
    def name(self) -> str:
        """Its name in the tar."""
        return f"files/{self.sha256}"


@frozen
class BundleIndex:
    """What a bundle has, and what there is besides.

    It tells all of the projects that it is about, also what an earlier one brought: so
    nothing depends on clocks or serials, and whoever takes it knows what is missing.

    :ivar id: of the bundle, by all that stands in it.
    :ivar source: the id of the index that it was made of; see :mod:`.identity`.
    :ivar chain: the id of the first of those that follow one another; empty: its own.
    :ivar number: its place among them, from 1.
    :ivar follows: the id of the one before, whose files it leaves out; None: it leaves
        out none.
    :ivar serial: of the index's last change when it was made.
    :ivar patterns: of projects; none: of all.
    :ivar members: what is in it, in the tar's order.
    """

    made: datetime
    serial: int
    patterns: tuple[str, ...] = ()
    contents: tuple[Contents, ...] = ()
    own: tuple[OwnProject, ...] = field(default=(), repr=False)
    kept: tuple[KeptProject, ...] = field(default=(), repr=False)
    members: tuple[Member, ...] = field(default=(), repr=False)
    number: int = 1
    follows: str | None = None
    chain: str = ""
    source: str = ""
    id: str = ""
    format: int = FORMAT

    def named(self) -> BundleIndex:
        """Return it with its id, and its chain's."""
        digest = sha256(to_bytes(evolve(self, id=""))).hexdigest()[:32]
        return evolve(self, id=digest)

    @property
    def of_chain(self) -> str:
        """The id of its chain."""
        return self.chain or self.id

    @property
    def size(self) -> int:
        """Bytes of all that is in it."""
        return sum(member.size for member in self.members)

    def digests(self) -> Iterator[str]:
        """Return the digest of every object that it tells of."""
        for project in self.own:
            for file in project.files:
                yield file.sha256
                if file.provenance is not None:
                    yield file.provenance
        for other in self.kept:
            for one in other.files:
                yield one.sha256
                if one.metadata is not None:
                    yield one.metadata


def read_index(data: bytes, where: str) -> BundleIndex:
    """Read what a bundle says of itself.

    :param where: its name, for messages.
    :raises BadRequest: it is no such thing, of a newer format, or contradicts itself.
    """
    try:
        index = from_bytes(BundleIndex, data)
    except NotAsDeclared as e:
        told = _format(data)
        if told is not None and told != FORMAT:
            raise BadRequest(
                f"{where} has the format {told}; this version reads {FORMAT}."
            ) from None
        raise BadRequest(f"{where} is no bundle: {e}") from None
    _check(index, where)
    return index


def _format(data: bytes) -> int | None:
    try:
        told = json.loads(data)["format"]
    except DAMAGED:
        return None
    return told if isinstance(told, int) else None


def _check(index: BundleIndex, where: str) -> None:
    """Refuse what would be believed later on."""
    if index.format != FORMAT:
        raise BadRequest(f"{where} has a format that is not known here.")
    if index.named().id != index.id:
        raise BadRequest(f"{where} was changed since it was made: its id is another.")
    digests = [member.sha256 for member in index.members]
    if digests != sorted(set(digests)):
        raise BadRequest(f"{where} has a member twice, or not in order.")
    for digest in (*digests, *index.digests()):
        if _SHA256.fullmatch(digest) is None:
            raise BadRequest(f"{where} has something that is no SHA-256.")
    _check_names(index, where)
    sizes = [member.size for member in index.members]
    sizes += [file.size for project in index.own for file in project.files]
    sizes += [file.size for other in index.kept for file in other.files]
    if any(size < 0 for size in sizes):
        raise BadRequest(f"{where} has a size below zero.")
    if not all(_is_base(other.base) for other in index.kept):
        raise BadRequest(f"{where} has an address of an index that is none.")
    if not all(math.isfinite(other.confirmed) for other in index.kept):
        raise BadRequest(f"{where} has a time that is none.")
    ids = [index.id, index.source, *filter(None, (index.chain, index.follows))]
    if any(ID.fullmatch(one) is None for one in ids) or index.number < 1:
        raise BadRequest(f"{where} does not tell which bundle it is, or of what index.")


def _is_base(base: str) -> bool:
    """Return whether it is an index's address, or none where it was not known."""
    try:
        return not base or bool(origin_of(base))
    except ValueError:
        return False


def _check_names(index: BundleIndex, where: str) -> None:
    """Refuse names that would lead elsewhere, and projects that are in it twice."""
    for projects in (index.own, index.kept):
        names = [project.name for project in projects]
        if names != sorted(set(names)) or not all(map(is_normalized_name, names)):
            raise BadRequest(
                f"{where} has a project twice, not in order, or with a name that is "
                "none."
            )
        for project in projects:
            if any("/" in file.filename for file in project.files):
                raise BadRequest(f"{where} has a filename with a folder in it.")
