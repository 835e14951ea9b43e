"""``pypicloud show``: a project, a release or a file."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from pypicloud_tw.cli.output import (
    json_option,
    moment,
    say,
    show_fields,
    show_json,
    show_table,
    size,
)
from pypicloud_tw.cli.projects.selection import Named, takes_selection
from pypicloud_tw.cli.target import Target, takes_target
from pypicloud_tw.index.model import LONGEST_REASON
from pypicloud_tw.json_values import encode
from pypicloud_tw.plain_texts import shortened
from pypicloud_tw.projects.values import (
    DeletedFile,
    FileDetail,
    ProjectDetail,
    ReleaseDetail,
    ReleaseSummary,
    Status,
)

if TYPE_CHECKING:
    from pypicloud_tw.cli.administration import Administration

#: Characters of a text in a table, which it would widen.
_LONGEST = 120


@click.command()
@takes_selection
@takes_target
@json_option
def show(named: Named, target: Target, as_json: bool) -> None:
    """Show a project, a release or a file.

    Of a project: its status, its releases, the newest first, and what was deleted and
    can be restored. Of a release: its files. For example: `pypicloud show acme==1.0`
    """

    async def work(
        index: Administration,
    ) -> ProjectDetail | ReleaseDetail | FileDetail:
        if named.what.file is not None:
            return await index.projects.file(named.project, named.what.file)
        if named.what.version is not None:
            return await index.projects.release(named.project, named.what.version)
        return await index.projects.project(named.project)

    found = target.do(work)
    if as_json:
        show_json(encode(found))
    elif isinstance(found, ProjectDetail):
        _show_project(found)
    elif isinstance(found, ReleaseDetail):
        _show_release(found)
    else:
        show_fields(_fields(found))


def status_text(status: Status) -> str:
    """Say what has become of a project."""
    reason = shortened(status.reason or "", LONGEST_REASON)
    return ": ".join(filter(None, (status.status, reason)))


def _show_project(project: ProjectDetail) -> None:
    show_fields(
        (("project", project.display_name), ("status", status_text(project.status)))
    )
    if project.releases:
        say("")
        columns = ("RELEASE", "UPLOADED", "FILES", "SIZE", "PYTHON", "YANKED")
        show_table(columns, map(_release_row, reversed(project.releases)))
    if project.deleted:
        say("\nDeleted, and can be restored:")
        deleted = ("FILE", "DELETED", "UNTIL", "ACT")
        show_table(deleted, map(_deleted_row, project.deleted))


def _release_row(one: ReleaseSummary) -> tuple[str, ...]:
    return (
        one.version,
        moment(one.uploaded),
        str(one.files),
        size(one.size),
        shortened(one.requires_python or "", _LONGEST),
        _yanked(one.reason or "" if one.yanked else None, _LONGEST),
    )


def _deleted_row(one: DeletedFile) -> tuple[str, ...]:
    return one.filename, moment(one.deleted), moment(one.until), one.act or ""


def _show_release(release: ReleaseDetail) -> None:
    show_fields((("project", release.project), ("release", release.version)))
    say("")
    columns = ("FILE", "UPLOADED", "SIZE", "BY", "PROVENANCE", "YANKED")
    show_table(columns, map(_file_row, release.files))


def _file_row(one: FileDetail) -> tuple[str, ...]:
    return (
        one.filename,
        moment(one.uploaded),
        size(one.size),
        one.uploader or "",
        "yes" if one.provenance else "",
        _yanked(one.yanked, _LONGEST),
    )


def _fields(file: FileDetail) -> Iterable[tuple[str, str | None]]:
    publisher = sorted((file.publisher or {}).items())
    return (
        ("file", file.filename),
        ("release", file.version),
        ("size", size(file.size)),
        ("sha256", file.sha256),
        ("uploaded", f"{moment(file.uploaded)} UTC"),
        ("by", file.uploader),
        ("publisher", ", ".join(f"{name}:{value}" for name, value in publisher)),
        ("python", shortened(file.requires_python or "", LONGEST_REASON)),
        ("yanked", _yanked(file.yanked, LONGEST_REASON)),
        ("address", file.url),
        ("provenance", file.provenance),
    )


def _yanked(reason: str | None, most: int) -> str:
    """Say whether something is yanked, and why, in at most so many characters."""
    if reason is None:
        return ""
    # Not every writer of manifests keeps to our own limit.
    return f"yes: {shortened(reason, most)}" if reason else "yes"
