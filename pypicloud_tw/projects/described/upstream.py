"""What the other index tells of its releases, behind the rules."""

from __future__ import annotations

import json

from attrs import frozen

from pypicloud_tw.errors import NotFound, RefusedByRule
from pypicloud_tw.index.archive import MAX_METADATA
from pypicloud_tw.index.model import Document
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.offload.limits import limited
from pypicloud_tw.offload.service import IOffload
from pypicloud_tw.projects.described.contents import read_range
from pypicloud_tw.projects.described.limits import DESCRIPTIONS
from pypicloud_tw.projects.described.release_metadata import read_info
from pypicloud_tw.projects.described.values import ReleaseMetadata
from pypicloud_tw.projects.explained.interface import AskedUpstream
from pypicloud_tw.projects.explained.kept import KeptFiles
from pypicloud_tw.store.interfaces import IObjectStore
from pypicloud_tw.upstream.links import METADATA, Link, segment
from pypicloud_tw.upstream.relay import IFiles, LocatedFile
from pypicloud_tw.upstream.releases import UpstreamFile, WantedReleases

#: Files of a release whose core metadata is asked for: all tell nearly the same.
_TRIES = 3


@limited(DESCRIPTIONS)
def read_document(body: bytes, name: str, version: str) -> ReleaseMetadata:
    """Read an answer of the older JSON API, which was checked for being one."""
    document: Document = json.loads(body)
    return read_info(document["info"], name, version)


@frozen(eq=False)
class DescribedUpstream:
    """Finds core metadata of releases that are not here, and files that are kept.

    :ivar files: gives files; None where pages lead to the other index.
    """

    asked: AskedUpstream
    store: IObjectStore
    offload: IOffload
    files: IFiles | None = None

    async def links(self, name: NormalizedName, version: str) -> list[Link]:
        """Return files of a release that have core metadata beside them.

        None where pages lead to the other index: its addresses are not kept then.

        :raises NotFound: there is no such project or release.
        :raises RefusedByRule: all that was looked at may not be had.
        """
        if self.files is None:
            return []
        found, _ = await self.asked.upstreams.releases(name, WantedReleases((version,)))
        files = [file for release in found.releases for file in release.files]
        if not files:
            raise NotFound(f"There is no such release of {name}.")
        refusal: RefusedByRule | None = None
        links: list[Link] = []
        for file in sorted(files, key=_is_no_wheel)[:_TRIES]:
            try:
                links.append(await self._link(name, file))
            except RefusedByRule as e:
                refusal = e
            except NotFound:
                continue  # the page was changed since, or does not tell its digest
        if refusal is not None and not links:
            raise refusal
        return [link for link in links if link.metadata is not None]

    async def metadata(self, name: NormalizedName, link: Link) -> bytes | None:
        """Fetch the core metadata beside a file; None: there is none after all."""
        assert self.files is not None, "it gave the link"
        beside = link.filename + METADATA
        try:
            file = await self.files.locate(name, link.segment, beside)
        except NotFound:
            return None
        if file.size is not None and file.size > MAX_METADATA:
            return None
        return await read_range(file, None, self.offload)

    async def told(self, name: NormalizedName, version: str) -> ReleaseMetadata | None:
        """Ask the older JSON API; None: the other index has none."""
        try:
            body, _ = await self.asked.upstreams.legacy_json(name, version, "")
        except NotFound:
            return None
        return await self.offload.in_process(read_document, body, name, version)

    async def kept(self, name: NormalizedName, filename: str) -> LocatedFile:
        """Find a file that the cache has.

        :raises NotFound: it has none of that name.
        :raises RefusedByRule: it may not be had now.
        """
        if self.files is not None and self.asked.keeps:
            found = await KeptFiles.of(self.store, name)
            for known, digest in found.uploaded:
                if known == filename:
                    place = segment(digest, "")
                    file = await self.files.locate(name, place, filename)
                    if file.key is not None:
                        return file
        raise NotFound(
            "This file is not kept here, so that there is nothing to look into; "
            "install it once through this index, or look at it where it comes from."
        )

    async def _link(self, name: NormalizedName, file: UpstreamFile) -> Link:
        digest, filename = file.candidate.sha256, file.candidate.filename
        if digest is None:
            raise NotFound("Its page does not tell its digest.")
        link, _ = await self.asked.upstreams.link(name, segment(digest, ""), filename)
        return link


def _is_no_wheel(file: UpstreamFile) -> bool:
    return not file.candidate.filename.endswith(".whl")
