"""A project as the edge serves it: its page, and its files by their addresses."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

from pypicloud_tw.config.namespaces import NO_NAMESPACES, Namespaces
from pypicloud_tw.index.catalog import Rendered
from pypicloud_tw.index.manifest import public_document, public_file, public_head
from pypicloud_tw.index.manifests import Versioned
from pypicloud_tw.index.model import Document, File, Project
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.projects.addresses import (
    DIGEST_DIGITS,
    file_path,
    provenance_path,
)
from pypicloud_tw.store.interfaces import IObjectStore
from pypicloud_tw.web.representation import Page
from pypicloud_tw.web.simple import file_json, render_around, render_project

#: What a file of a project weighs in memory beside its page, measured with 5,000 files.
_FILE_WEIGHT = 1500

#: Files that are looked through for one: two microseconds. Where there are more, their
#: addresses are kept.
_FEW = 40

#: What is kept of its rendering weighs beside its JSON, likewise.
_FRAGMENT_WEIGHT = 300

#: Projects of more files keep what each was rendered to, so that a change of one costs
#: 4 ms for 5,000 rather than 48. Of smaller ones the memory would be worth more: most
#: projects are, and all 256 together are rendered in 2.5 ms.
LARGE = 256


@frozen
class Fragment:
    """What is served of a file, for as long as it stays as it is.

    :ivar key: the digest in its address, and its name.
    """

    file: File
    key: tuple[str, str]
    json: bytes = field(repr=False)

    @classmethod
    def of(cls, name: NormalizedName, file: File) -> Fragment:
        """Render a file of a project."""
        document = public_file(file)
        document["url"] = f"../../{file_path(name, file)}"
        if (path := provenance_path(name, file)) is not None:
            document["provenance"] = f"../../{path}"
        return cls(file, _file_key(file), file_json(document))


@frozen
class ProjectView:
    """What one state of a project is served from.

    :ivar fragments: of a large project: what each file was rendered to, by its
        identity. A fragment keeps its file, so that none other gets that.
    """

    page: Page
    _state: Versioned = field(repr=False)
    _by_address: Mapping[tuple[str, str], File] | None = field(repr=False)
    fragments: Mapping[int, Fragment] = field(factory=dict, repr=False)

    def file(self, digest: str, filename: str) -> File | None:
        """Find a file by the digest in its address and its name."""
        if self._by_address is not None:
            return self._by_address.get((digest, filename))
        for file in self._state.project.offered:
            if file.filename == filename and file.sha256[:DIGEST_DIGITS] == digest:
                return file
        return None


@frozen
class Views:
    """Renders projects with addresses of this server.

    They are relative to ``/simple/{project}/``, so that one page is right under every
    host name and path prefix.
    """

    namespaces: Namespaces = NO_NAMESPACES

    async def __call__(
        self, state: Versioned, before: ProjectView | None = None
    ) -> Rendered[ProjectView]:
        """Render a project; good until it changes.

        :param before: what an earlier state of it was rendered to, if that is known.
        """
        project = state.project
        if len(project.offered) > LARGE:
            known = {} if before is None else before.fragments
            return self._large(state, known)

        def address(file: File) -> str:
            return f"../../{file_path(project.name, file)}"

        document = public_document(project, address, self.namespaces)
        return _view(state, document, float("inf"))

    def _large(
        self, state: Versioned, known: Mapping[int, Fragment]
    ) -> Rendered[ProjectView]:
        """Render only those files that are not known to be as they were."""
        project = state.project
        fragments = [
            known.get(id(file)) or Fragment.of(project.name, file)
            for file in project.offered
        ]
        written = [fragment.json for fragment in fragments]
        document = public_head(project, self.namespaces)
        relative = any(file.provenance_key for file in project.offered)
        page = render_around(document, written, state.modified, relative=relative)
        view = ProjectView(
            page,
            state,
            {fragment.key: fragment.file for fragment in fragments},
            {id(fragment.file): fragment for fragment in fragments},
        )
        kept = len(page.json) + _FRAGMENT_WEIGHT * len(fragments)
        weight = page.weight + _FILE_WEIGHT * len(fragments) + kept
        return Rendered(view, weight)


@frozen
class SignedViews:
    """Renders projects with the store's own signed addresses (``aws.link = signed``).

    Such pages omit core metadata: pip and uv derive its address from the file's, and
    the store would refuse it (decision D4).
    """

    store: IObjectStore
    namespaces: Namespaces = NO_NAMESPACES

    async def __call__(
        self, state: Versioned, before: ProjectView | None = None
    ) -> Rendered[ProjectView]:
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
    weight = page.weight + _FILE_WEIGHT * len(project.offered)
    view = ProjectView(page, state, _by_address(project))
    return Rendered(view, weight, good_until)


def _by_address(project: Project) -> Mapping[tuple[str, str], File] | None:
    """Have files by their addresses; None: they are few, and looked through sooner."""
    if len(project.offered) <= _FEW:
        return None
    return {_file_key(file): file for file in project.offered}


def _file_key(file: File) -> tuple[str, str]:
    return file.sha256[:DIGEST_DIGITS], file.filename


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
