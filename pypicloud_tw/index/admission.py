"""What an index takes: the rules that judge an upload, as functions over values."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TypeVar

from attrs import evolve, frozen
from packaging.utils import InvalidName, canonicalize_name
from packaging.version import InvalidVersion

from pypicloud_tw.errors import BadRequest, Conflict
from pypicloud_tw.index.layout import SWEEP_AGE
from pypicloud_tw.index.manifest import put_in_order
from pypicloud_tw.index.manifests import Change
from pypicloud_tw.index.model import File, Project, Tombstone
from pypicloud_tw.index.names import (
    Filename,
    NormalizedName,
    file_identity,
    parse_version,
    version_hint,
)
from pypicloud_tw.index.statuses import check_takes_files
from pypicloud_tw.store.spool import Digests

Named = TypeVar("Named", File, Tombstone)


@frozen
class UploadRules:
    """What an index takes.

    :ivar legacy_formats: eggs, installers and old source archives too, source
        distributions without core metadata, and what else falls short of the rules for
        core metadata and RECORD (:class:`.archive.findings.Findings`).
    :ivar reupload_deleted: the name of a file that was deleted may be taken again by
        other bytes.
    :ivar sweep_age: seconds after which a sweep takes an unnamed object for an orphan.
    """

    legacy_formats: bool = False
    reupload_deleted: bool = False
    sweep_age: float = SWEEP_AGE


#: Raises the error for a file that must not be taken in, whoever sends it, by its
#: project, version and sha256.
Screen = Callable[[NormalizedName, str, str], None]


def take_all(project: NormalizedName, version: str, sha256: str) -> None:
    """Refuse nothing."""


@frozen
class Claims:
    """What the sender says of a file.

    Every claim made is checked, but for the other digests where there is a SHA-256:
    they would prove nothing that it does not, and take four times as long.

    :ivar md5: hexadecimal, as are the other digests.
    """

    name: str | None = None
    version: str | None = None
    sha256: str | None = None
    md5: str | None = None
    blake2b_256: str | None = None

    @property
    def lack_sha256(self) -> bool:
        """Whether only other digests can tell that the sender's bytes have come."""
        return self.sha256 is None and (self.md5 or self.blake2b_256) is not None


def admission(
    file: File,
    display_name: str,
    rules: UploadRules,
    *,
    overwrite: bool,
    imported: bool = False,
) -> Change:
    """Make the change that adds a file to its project, by the rules of the index.

    :param overwrite: whoever publishes it may replace a file of that name.
    :param imported: it is taken from another index, which replaces nothing, and brings
        nothing back that was deleted here.
    """

    def admit(project: Project) -> Project:
        check_takes_files(project)
        there, dead = _alike(file, project.files), _alike(file, project.tombstones)
        existing = next((f for f in there if f.filename == file.filename), None)
        if existing is not None and existing.sha256 == file.sha256:
            return _attested(project, existing, file.provenance_key)
        if imported and any(t.filename == file.filename for t in dead):
            raise Conflict(
                "This file was deleted here, and is not brought back by an import."
            )
        replaced = _rivals(file, there)
        if replaced and (imported or not overwrite):
            raise Conflict(
                "File already exists, with other bytes. A published file never "
                "changes: give the release a new version."
            )
        if not rules.reupload_deleted and _rivals(file, dead):
            raise Conflict(
                "File already existed and was deleted; its name is not taken again "
                "with other bytes. Give the release a new version."
            )
        tombstones, files = project.tombstones, project.files
        buried = next((t for t in dead if t.filename == file.filename), None)
        if buried is not None:
            tombstones = tuple(t for t in tombstones if t is not buried)
        if replaced:
            files = tuple(f for f in files if f not in replaced)
        return evolve(
            project,
            display_name=project.display_name if project.files else display_name,
            files=put_in_order(files, (file,)),
            tombstones=tombstones,
        )

    return admit


def _attested(project: Project, file: File, provenance_key: str | None) -> Project:
    """Give a file that has none its provenance: an index may add it (PEP 740)."""
    if provenance_key is None or file.provenance_key is not None:
        return project
    attested = evolve(file, provenance_key=provenance_key)
    files = tuple(attested if f is file else f for f in project.files)
    return evolve(project, files=files)


def _alike(file: File, others: Iterable[Named]) -> list[Named]:
    """Find those that can have a file's name, however it is spelled.

    To read thousands of names would cost more than all else of an upload.
    """
    return [other for other in others if other.hint == file.hint]


def _rivals(file: File, others: Iterable[Named]) -> list[Named]:
    """Find those that give other bytes this name, however it is spelled.

    Installers take equal names for one file, and would install either.
    """
    identity = file_identity(file.filename)
    return [
        other
        for other in others
        if other.sha256 != file.sha256 and file_identity(other.filename) == identity
    ]


def bury(file: File, now: datetime, act: str) -> Tombstone:
    """Make what remains of a file that is deleted.

    :param act: the id of the act that deletes it.
    """
    return Tombstone(
        filename=file.filename,
        sha256=file.sha256,
        key=file.key,
        deleted=now,
        metadata_key=file.metadata_key,
        file=file,
        act=act,
    )


def same_version(one: str, other: str) -> bool:
    """Compare two versions as PEP 440 does, or as text where one is none."""
    if one == other or version_hint(one) != version_hint(other):
        return one == other
    try:
        return parse_version(one) == parse_version(other)
    except InvalidVersion:
        return one == other


def check_claims(claims: Claims, filename: Filename) -> None:
    """Compare name and version with the filename.

    :raises BadRequest: they differ.
    """
    if claims.name is not None and _normalized(claims.name) != filename.project:
        raise BadRequest("The form's name is not the project that the filename says.")
    if claims.version is not None and not same_version(
        claims.version, str(filename.version)
    ):
        raise BadRequest("The form's version is not the one that the filename says.")


def _normalized(name: str) -> str | None:
    try:
        return canonicalize_name(name, validate=True)
    except InvalidName:
        return None


def check_digests(claims: Claims, computed: Digests) -> None:
    """Compare the digests that were sent with those of the bytes.

    :param computed: all of them where the claims :attr:`~Claims.lack_sha256`.
    :raises BadRequest: they differ.
    """
    claimed: list[tuple[str, str | None, str | None]] = [
        ("SHA-256", claims.sha256, computed.sha256)
    ]
    if claims.lack_sha256:
        claimed += [
            ("MD5", claims.md5, computed.md5),
            ("BLAKE2b-256", claims.blake2b_256, computed.blake2b_256),
        ]
    for algorithm, said, seen in claimed:
        if said is not None and said.lower() != seen:
            raise BadRequest(
                f"The {algorithm} digest sent is not that of the bytes received; "
                "send the file again."
            )
