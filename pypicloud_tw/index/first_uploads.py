"""Uploads to projects without a manifest, each told by an object (decision D1, D5).

Manifests are never deleted. So what lies in the store of a project without one is a
loss, unless it is known that it was never named. An upload that finds no manifest says
so before it places its file, says once more that it is about to write the manifest, and
takes that back when it has. One that is broken off leaves it: those very objects are an
unfinished upload, and no others.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from attrs import frozen
from twisted.logger import Logger

from pypicloud_tw.errors import PypicloudError
from pypicloud_tw.index.layout import id_folder, id_folder_of, own_project
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.store.interfaces import IObjectStore, Notice, ObjectInfo

#: {PUBLISHING}{project}/{id}: the id is that of the objects.
PUBLISHING = ".publishing/"

_log = Logger()


class Stage(Enum):
    """How far a first upload has come; the value is what its object holds.

    A listing tells the two apart, by the size.
    """

    #: No manifest has named its objects.
    STORING = b""
    #: One may have, and have been lost since.
    SWAPPING = b"swapping"


@frozen
class FirstUpload:
    """One upload to a project that has no manifest.

    :ivar folder: of its objects, {project}/{id}.
    """

    store: IObjectStore
    folder: str

    @classmethod
    def of(cls, store: IObjectStore, key: str) -> FirstUpload:
        """Make that of an object of ours."""
        return cls(store, id_folder(key))

    def notice(self, stage: Stage) -> Notice:
        """Give the object that says how far it has come."""
        return Notice(f"{PUBLISHING}{self.folder}", stage.value)

    async def reach(self, stage: Stage) -> None:
        """Say how far it has come; durable when this returns.

        :raises StoreError: it may or may not be written.
        """
        notice = self.notice(stage)
        await self.store.put(notice.key, notice.data)

    async def end(self) -> None:
        """Take it back: there is a manifest now, or none of its objects.

        Where that fails, the next start of a server does it, or the next sweep.
        """
        try:
            await self.store.delete(f"{PUBLISHING}{self.folder}")
        except PypicloudError as e:
            _log.warn(
                "{key} is left for the next sweep: {error}",
                key=f"{PUBLISHING}{self.folder}",
                error=e.message,
            )


@frozen
class UnderWay:
    """The first uploads that have not ended, as a listing told.

    To be listed after the objects and before the manifests: an upload does it the other
    way round.

    :ivar told: what tells of each, by the folder of its objects.
    """

    store: IObjectStore
    told: Mapping[str, ObjectInfo]

    @classmethod
    async def listed(
        cls, store: IObjectStore, name: NormalizedName | None = None
    ) -> UnderWay:
        """List those of a project, or of all.

        :raises StoreError: the store is away.
        """
        below = PUBLISHING if name is None else f"{PUBLISHING}{name}/"
        told = {
            info.key.removeprefix(PUBLISHING): info async for info in store.list(below)
        }
        return cls(
            store, {f: i for f, i in told.items() if id_folder_of(f) is not None}
        )

    def stage(self, key: str) -> Stage | None:
        """Tell how far the upload of an object of ours came; None: it is none."""
        info = self.told.get(id_folder(key))
        if info is None:
            return None
        return Stage.SWAPPING if info.size else Stage.STORING

    def uploads(self) -> Mapping[FirstUpload, NormalizedName]:
        """Give each and its project."""
        names = {folder: id_folder_of(folder) for folder in self.told}
        return {FirstUpload(self.store, f): n for f, n in names.items() if n}


async def is_lost(store: IObjectStore, name: NormalizedName) -> bool:
    """Tell whether a project without a manifest has objects that one has named.

    Whoever is told so looks for the manifest again: it may have been made meanwhile.

    :raises StoreError: the store is away.
    """
    listing = store.list(f"{name}/")
    own = [info.key async for info in listing if own_project(info.key)]
    if not own:
        return False
    under_way = await UnderWay.listed(store, name)
    return any(under_way.stage(key) is None for key in own)
