"""What a project's status lets be done with it (PEP 792)."""

from __future__ import annotations

from pypicloud_tw.errors import Forbidden
from pypicloud_tw.index.model import Project

#: Of neither "the index MUST NOT allow uploads of new distributions".
CLOSED = ("archived", "quarantined")


def check_takes_files(project: Project) -> None:
    """Return if files may be added to a project.

    :raises Forbidden: they may not; the message says what would let them.
    """
    if project.status in CLOSED:
        raise Forbidden(
            f"The project {project.name} is {project.status} and takes no uploads; "
            "whoever manages it can set its status to active."
        )


def is_offered(project: Project) -> bool:
    """Return whether a project's files are handed out."""
    return project.status != "quarantined"


def check_offered(project: Project) -> None:
    """Return if a project's files are handed out.

    :raises Forbidden: they are not; the message says so.
    """
    if not is_offered(project):
        reason = f" ({project.status_reason})" if project.status_reason else ""
        raise Forbidden(
            f"The project {project.name} is quarantined{reason} and none of its files "
            "is handed out; ask whoever manages it."
        )
