"""What lies in the store, and whose names that makes ours (decision D5).

Whatever lies under a project's name makes it ours, with a manifest or without: a file
that was skipped or cannot be read, what is left of a project whose manifest was lost.
One listing of the store tells it, a request for each 1,000 objects; no object is read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import cached_property

from attrs import define, field, frozen

from pypicloud_tw.errors import ObjectNotFound
from pypicloud_tw.index.first_uploads import FirstUpload, Stage, UnderWay
from pypicloud_tw.index.layout import (
    claimed_names,
    id_folder,
    id_folder_of,
    is_foreign,
    is_hidden,
    own_project,
)
from pypicloud_tw.index.manifest import manifest_key, project_of
from pypicloud_tw.index.manifests import Manifests
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.store.interfaces import IObjectStore, ObjectInfo, Unlistable, Unlisted

#: Why a name is held, in a sentence for whoever asks for it.
WAITING = (
    "The files in the store are being read, and this project's may be among them; "
    "try again."
)
UNFINISHED = (
    "The first upload of this project is under way, or was broken off and nothing of "
    "it is published: upload it again."
)
PUBLISHED = "This project was published a moment ago; try again."
COPIED = (
    "What lies in the store for this project came there while the server ran: its "
    "operator can run pypicloud refresh, which adopts it or says why not."
)
IN_DOUBT = (
    "The first upload of this project was broken off at its last step: upload it "
    "again, or let its operator run pypicloud rebuild with the project's name."
)
UNREADABLE = (
    "A folder of this project in the store cannot be read by the user that runs the "
    "server; its operator can give it the right to."
)
_UNLISTED = {
    Unlistable.FOLDER: UNREADABLE,
    Unlistable.DEEP: (
        "What lies in the store for this project is in too many folders; its operator "
        "can move it up."
    ),
    Unlistable.NAME: (
        "A file in the store has a name that is no UTF-8; its operator can rename it."
    ),
    Unlistable.LINK: (
        "What lies in the store under this project's name is a symbolic link or no "
        "regular file, which is never read; its operator can put a copy in its place."
    ),
}
_STRANGE = "What lies in the store under this name is no distribution that is taken."


def lost(name: NormalizedName) -> str:
    """Say that a project's manifest is gone, and what its operator can do."""
    return (
        f"The manifest of {name} is lost: its operator can restore "
        f"{manifest_key(name)} from a backup, or run: pypicloud rebuild {name}."
    )


def why_unlisted(what: Unlisted) -> str:
    """Say of what is no object in the store what its operator can do."""
    return _UNLISTED[what.why]


@define
class Survey:
    """Everything that one listing told.

    :ivar manifests: projects that have one.
    :ivar own: projects without one of which objects of our layout lie there, and the
        folders of these.
    :ivar under_way: first uploads.
    :ivar foreign: what others put there and may be adopted.
    :ivar others: keys of all else that is not ours, as a lone core metadata file.
    :ivar unlisted: what lies there and is no object, or cannot be looked at; also in
        a manifest's place.
    """

    under_way: UnderWay
    manifests: set[NormalizedName] = field(factory=set)
    own: dict[NormalizedName, set[str]] = field(factory=lambda: defaultdict(set))
    foreign: list[ObjectInfo] = field(factory=list)
    others: list[str] = field(factory=list)
    unlisted: list[Unlisted] = field(factory=list)

    @property
    def lost(self) -> set[NormalizedName]:
        """The projects whose manifest is gone; manifests are never deleted (D1)."""
        told = self.under_way.told.keys()
        lost = {name for name, folders in self.own.items() if not folders <= told}
        displaced = {project_of(what.key.removesuffix("/")) for what in self.unlisted}
        return lost.union(filter(None, displaced)) - self.manifests

    @property
    def ended(self) -> list[FirstUpload]:
        """First uploads of projects that have a manifest: nobody need know of them."""
        uploads = self.under_way.uploads()
        return [one for one, name in uploads.items() if name in self.manifests]

    def reasons(
        self, skipped: Callable[[str], str | None] = lambda key: WAITING
    ) -> dict[NormalizedName, str]:
        """Tell the names that are ours without a manifest, and why each is not served.

        :param skipped: tells why the file of that key was not adopted, or None.
        """
        reasons: dict[NormalizedName, str] = {}
        for key in self.others:
            _add(reasons, claimed_names(key), _STRANGE)
        for info in self.foreign:
            why = skipped(info.key)
            if why is not None:
                _add(reasons, claimed_names(info.key), why)
        for what in self.unlisted:
            _add(reasons, claimed_names(what.key), why_unlisted(what))
        for name, folders in self.own.items():
            stages = {self.under_way.stage(f"{folder}/") for folder in folders}
            _add(reasons, {name}, IN_DOUBT if Stage.SWAPPING in stages else UNFINISHED)
        reasons.update((name, lost(name)) for name in self.lost)
        for name in self.manifests & reasons.keys():
            del reasons[name]
        return reasons

    def see(self, info: ObjectInfo) -> None:
        """Take an object into account."""
        key = info.key
        own = own_project(key)
        if own is not None:
            if own not in self.manifests:
                self.own[own].add(id_folder(key))
        elif is_foreign(key):
            self.foreign.append(info)
        elif not is_hidden(key):
            self.others.append(key)


async def survey(store: IObjectStore, manifests: Manifests) -> Survey:
    """List the whole store.

    Manifests are listed before the files, and again if one is missed: a project that
    was published in between has one by then.

    :raises StoreError: the store is away.
    """
    found = Survey(UnderWay(store, {}))
    names = manifests.names(found.unlisted.append)
    found.manifests = {name async for name, _ in names}

    known = _Known("\n".join(found.manifests))
    listing = store.list("", unlisted=found.unlisted.append, skip=known)
    async for info in listing:
        found.see(info)
    found.under_way = await UnderWay.listed(store)
    if found.own:
        found.manifests |= {name async for name, _ in manifests.names()}
    return found


@frozen
class _Known:
    """Tells folders that a publish of a project with a manifest made.

    Half of a walk is spared by it. It can go to another process, at no pause of the
    reactor's that anybody would notice: names are many.

    :ivar names: of the projects, a line each.
    """

    names: str = field(repr=False)

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(self.names.split("\n"))

    def __call__(self, folder: str) -> bool:
        return id_folder_of(folder) in self._names


async def claim_below(store: IObjectStore, name: NormalizedName) -> str | None:
    """Tell why a project without a manifest is ours, of what lies in its own folder.

    That is where we place objects, and where pypicloud 1.x does. It may have come there
    since the survey, and a manifest may have been lost since.

    :raises StoreError: the store is away.
    """
    found = Survey(UnderWay(store, {}))
    async for info in store.list(f"{name}/", unlisted=found.unlisted.append):
        found.see(info)
    if found.own:
        found.under_way = await UnderWay.listed(store, name)
    why = found.reasons(lambda key: COPIED).get(name)
    if found.own and await _exists(store, manifest_key(name)):
        return PUBLISHED
    return why


async def _exists(store: IObjectStore, key: str) -> bool:
    try:
        await store.head(key)
    except ObjectNotFound:
        return False
    return True


def _add(
    reasons: dict[NormalizedName, str], names: Iterable[NormalizedName], why: str
) -> None:
    for name in names:
        reasons.setdefault(name, why)
