"""Describing a project by its manifest and its newest release's core metadata."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from pypicloud_tw.errors import BadRequest, ObjectNotFound, StoreError
from pypicloud_tw.index.archive.bounds import MAX_METADATA
from pypicloud_tw.index.manifests import Manifests
from pypicloud_tw.index.model import File, Project
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.offload.service import IOffload
from pypicloud_tw.projects.derived.requirements import (
    Searched,
    headers_of,
    one_line,
    read_searched,
)
from pypicloud_tw.projects.derived.values import DerivedEntry, DescribedProject
from pypicloud_tw.projects.releases import newest, releases
from pypicloud_tw.store.interfaces import IObjectStore

#: Bytes of headers that are read in the reactor's thread: 1 ms. Longer ones, which one
#: project in a hundred has, go to a helper.
_SHORT = 16 * 1024


@frozen
class Describer:
    """Makes the entries; two requests to the store for each project."""

    store: IObjectStore
    manifests: Manifests
    offload: IOffload

    async def describe(self, name: NormalizedName) -> DescribedProject:
        """Describe a project as it is now.

        :raises NotFound: there is no such project.
        :raises ManifestDamaged: its manifest cannot be read.
        :raises StoreError: the store is away.
        """
        state = await self.manifests.read(name)
        file = newest(state.project)
        made_of = (state.etag, state.project.serial)
        if file is None:
            return DescribedProject(_entry(state.project, None, ()), *made_of)
        offered = releases(state.project)
        release = offered[file.version]
        searched = await self._searched(file, release)
        entry = _entry(state.project, file, release, len(offered))
        return DescribedProject(entry, *made_of, searched.keywords, searched.requires)

    async def _searched(self, file: File, release: Sequence[File]) -> Searched:
        """Read the core metadata of a release; what cannot be read says nothing."""
        keys = (one.metadata_key for one in (file, *release))
        key = next(filter(None, keys), None)
        if key is None:
            return Searched()
        try:
            stored = await self.store.get(key, limit=MAX_METADATA)
        except ObjectNotFound:
            return Searched()
        except StoreError:
            # One object that cannot be read says nothing; all of them are an outage.
            await self.store.ping()
            return Searched()
        assert stored is not None, "an unconditional read gives bytes"
        headers = headers_of(stored.data)
        try:
            if len(headers) <= _SHORT:
                return read_searched(headers)
            return await self.offload.in_process(read_searched, headers)
        except BadRequest:
            return Searched()  # it was adopted with a warning, or by an older version


def _entry(
    project: Project, file: File | None, release: Sequence[File], count: int = 0
) -> DerivedEntry:
    display_name = one_line(project.display_name) or project.name
    if display_name == project.name:
        display_name = project.name  # the same object: there are many
    entry = (project.name, display_name, project.status)
    if file is None:
        return DerivedEntry(*entry)
    return DerivedEntry(
        *entry,
        version=file.version,
        summary=one_line(file.summary),
        uploaded=min(one.upload_time for one in release),
        uploader=one_line(file.uploader),
        releases=count,
    )
