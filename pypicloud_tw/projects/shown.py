"""A project's parts as whoever asks sees them: values from values."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from pypicloud_tw.concurrency.steps import Steps, batches
from pypicloud_tw.index.model import File, HistoryEntry, Project, Tombstone
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.projects.addresses import file_path, provenance_path
from pypicloud_tw.projects.releases import by_version, is_yanked
from pypicloud_tw.projects.values import (
    DeletedFile,
    FileDetail,
    PastAct,
    ProjectDetail,
    ProjectFiles,
    ReleaseSummary,
    Status,
)

#: Releases that are looked at in a piece: a millisecond.
_BATCH = 100


def project_detail(
    project: Project, state: str, *, managed: bool, restorable: timedelta
) -> Steps[ProjectDetail]:
    """Show a project; one of 5,000 releases takes a while.

    :param managed: to somebody who may manage it.
    :param restorable: how long what was deleted can be restored.
    """
    releases: list[ReleaseSummary] = []
    by_release = by_version(visible_files(project, managed=managed))
    for some in batches(by_release.items(), _BATCH):
        releases += (release_summary(version, files) for version, files in some)
        yield
    return ProjectDetail(
        project.name,
        project.display_name,
        Status(project.status, project.status_reason),
        state,
        tuple(releases),
        _deleted_files(project, restorable) if managed else (),
        int(restorable.total_seconds()),
    )


def project_files(
    project: Project, *, managed: bool, restorable: timedelta
) -> Steps[ProjectFiles]:
    """Show all files of a project; the parameters are those of its page."""
    files: list[FileDetail] = []
    for some in batches(visible_files(project, managed=managed), _BATCH):
        files += (file_detail(project.name, file) for file in some)
        yield
    return ProjectFiles(
        project.name,
        Status(project.status, project.status_reason),
        tuple(files),
        _deleted_files(project, restorable) if managed else (),
    )


def _deleted_files(project: Project, restorable: timedelta) -> tuple[DeletedFile, ...]:
    return tuple(
        deleted_file(stone, stone.file, restorable)
        for stone in project.tombstones
        if stone.file is not None and not stone.purged
    )


def visible_files(project: Project, *, managed: bool) -> tuple[File, ...]:
    """Return its files; of one in quarantine only to those who manage it (PEP 792)."""
    hidden = project.status == "quarantined" and not managed
    return () if hidden else project.files


def release_summary(version: str, files: Sequence[File]) -> ReleaseSummary:
    """Show a release, which has at least one file."""
    yanked = is_yanked(files)
    return ReleaseSummary(
        version,
        len(files),
        sum(file.size for file in files),
        min(file.upload_time for file in files),
        yanked,
        next(filter(None, (file.yanked for file in files)), "") if yanked else None,
        next(filter(None, (file.requires_python for file in files)), None),
        next(filter(None, (file.summary for file in files)), None),
    )


def file_detail(name: NormalizedName, file: File) -> FileDetail:
    """Show a file."""
    return FileDetail(
        file.filename,
        file.version,
        file.size,
        file.sha256,
        file.upload_time,
        file_path(name, file),
        file.requires_python,
        file.yanked,
        file.uploader,
        file.publisher,
        provenance_path(name, file),
    )


def deleted_file(stone: Tombstone, file: File, restorable: timedelta) -> DeletedFile:
    """Show what can be restored.

    :param file: as it was.
    """
    return DeletedFile(
        stone.filename,
        file.version,
        stone.sha256,
        stone.deleted,
        stone.deleted + restorable,
        stone.act,
    )


def past_act(entry: HistoryEntry, *, undoable: bool) -> PastAct:
    """Show an act of a project's history."""
    return PastAct(
        entry.id,
        entry.at,
        entry.act,
        entry.who,
        entry.proof,
        entry.address,
        entry.version,
        entry.files,
        entry.count,
        entry.reason,
        entry.undoes,
        undoable,
    )
