"""The list of all files, project by project."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

from pypicloud_tw.errors import ManifestDamaged, ManifestLost, NotFound
from pypicloud_tw.index.catalog import Catalog
from pypicloud_tw.index.manifest import public_document
from pypicloud_tw.index.model import Document, Project
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.projects.addresses import file_path
from pypicloud_tw.web.pages.pages import PageFrame, packages_section
from pypicloud_tw.web.views import ProjectView


async def all_files(
    frame: PageFrame, catalog: Catalog[ProjectView], names: Iterable[NormalizedName]
) -> AsyncIterator[bytes]:
    """Write the page in pieces: with 100,000 files it has 40 MB."""
    yield frame.start
    for name in names:
        try:
            project = (await catalog.project(name)).project
        except (NotFound, ManifestLost, ManifestDamaged):
            continue  # this says nothing of the others
        yield packages_section(_below_packages(project))
    yield frame.end


def _below_packages(project: Project) -> Document:
    return public_document(project, lambda file: f"../{file_path(project.name, file)}")
