"""A project as the edge serves it: its page, and its files by their addresses."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from attrs import frozen

from pypicloud_tw.index.manifest import public_document
from pypicloud_tw.index.manifests import Versioned
from pypicloud_tw.index.model import Document, File, Project
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.web.representation import Page
from pypicloud_tw.web.simple import render_project

#: Hexadecimal digits of a file's SHA-256 in its address.
DIGEST_DIGITS = 16

#: What a file of a project weighs in memory beside its page, measured with 5,000 files.
_FILE_WEIGHT = 1500


@frozen
class ProjectView:
    """What one state of a project is served from.

    :ivar files: by the digest in their address and their name.
    """

    page: Page
    files: Mapping[tuple[str, str], File]


def file_path(name: NormalizedName, file: File) -> str:
    """Give a file's permanent address, below the root of this server (DESIGN.md D4)."""
    return f"packages/{name}/{file.sha256[:DIGEST_DIGITS]}/{quote(file.filename)}"


def own_document(project: Project) -> Document:
    """Make the document of a project's page.

    Its addresses are relative to ``/simple/{project}/``, so that one page is right
    under every host name and path prefix.
    """
    return public_document(
        project, lambda file: f"../../{file_path(project.name, file)}"
    )


async def view_project(state: Versioned) -> tuple[ProjectView, int]:
    """Render a project; also tell its weight in bytes."""
    project = state.project
    page = render_project(own_document(project), state.modified)
    files = {
        (file.sha256[:DIGEST_DIGITS], file.filename): file for file in project.files
    }
    return ProjectView(page, files), page.weight + _FILE_WEIGHT * len(files)
