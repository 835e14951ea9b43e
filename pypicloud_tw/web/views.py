"""A project as the edge serves it: its page, and its files by their addresses."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from pypicloud_tw.config.namespaces import NO_NAMESPACES, Namespaces
from pypicloud_tw.index.catalog import Rendered
from pypicloud_tw.index.manifest import public_document
from pypicloud_tw.index.manifests import Versioned
from pypicloud_tw.index.model import Document, File, Project
from pypicloud_tw.projects.addresses import (
    DIGEST_DIGITS,
    file_path,
    provenance_path,
)
from pypicloud_tw.store.interfaces import IObjectStore
from pypicloud_tw.web.representation import Page
from pypicloud_tw.web.simple import render_project

#: What a file of a project weighs in memory beside its page, measured with 5,000 files.
_FILE_WEIGHT = 1500


@frozen
class ProjectView:
    """What one state of a project is served from.

    :ivar files: by the digest in their address and their name.
    """

    page: Page
    files: Mapping[tuple[str, str], File]


@frozen
class Views:
    """Renders projects with addresses of this server.

    They are relative to ``/simple/{project}/``, so that one page is right under every
    host name and path prefix.
    """

    namespaces: Namespaces = NO_NAMESPACES

    async def __call__(self, state: Versioned) -> Rendered[ProjectView]:
        """Render a project; good until it changes."""

        def address(file: File) -> str:
            return f"../../{file_path(state.project.name, file)}"

        document = public_document(state.project, address, self.namespaces)
        return _view(state, document, float("inf"))


@frozen
class SignedViews:
    """Renders projects with the store's own signed addresses (``aws.link = signed``).

    Such pages omit core metadata: pip and uv derive its address from the file's, and
    the store would refuse it (decision D4).
    """

    store: IObjectStore
    namespaces: Namespaces = NO_NAMESPACES

    async def __call__(self, state: Versioned) -> Rendered[ProjectView]:
        """Render a project; good until the first address in it should be replaced."""
        good_until = float("inf")

        def address(file: File) -> str:
            nonlocal good_until
            signed = self.store.url(file.key, filename=file.filename)
            if signed is None:
                return f"../../{file_path(state.project.name, file)}"
            good_until = min(good_until, signed.fresh_until)
            return signed.url

        document = public_document(state.project, address, self.namespaces)
        for file in document["files"]:
            file.pop("core-metadata", None)
        return _view(state, document, good_until)


def _view(
    state: Versioned, document: Document, good_until: float
) -> Rendered[ProjectView]:
    project = state.project
    relative = _add_provenance(project, document)
    serial = project.serial or None
    page = render_project(document, state.modified, serial, relative=relative)
    files = {
        (file.sha256[:DIGEST_DIGITS], file.filename): file for file in project.offered
    }
    weight = page.weight + _FILE_WEIGHT * len(files)
    return Rendered(ProjectView(page, files), weight, good_until)


def _add_provenance(project: Project, document: Document) -> bool:
    """Say where the files' provenance is, relative to the page; return whether any is.

    It is always asked of this server, wherever the files are.
    """
    added = False
    for file, told in zip(project.offered, document["files"], strict=True):
        path = provenance_path(project.name, file)
        if path is not None:
            told["provenance"] = f"../../{path}"
            added = True
    return added
