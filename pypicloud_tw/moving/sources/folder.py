"""A folder of distribution files, flat or nested.

pypiserver's, pypicloud 1.x's, a wheelhouse, what ``pip download`` has made.
Which project a file is of, its name tells; when it was uploaded, its time of change.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from attrs import define, field, frozen
from packaging.utils import canonicalize_name

from pypicloud_tw.concurrency.asked_once import AskedOnce
from pypicloud_tw.errors import BadRequest, NotFound, PypicloudError
from pypicloud_tw.index.names import LEGACY_SUFFIXES, Filename
from pypicloud_tw.json_values import NotAsDeclared, from_bytes, longest
from pypicloud_tw.moving.kinds import Tools
from pypicloud_tw.moving.source import Note, Source, SourceFile, SourceProject
from pypicloud_tw.moving.sources.disk import Disk, DiskBody
from pypicloud_tw.outbound.origins import is_web
from pypicloud_tw.store.interfaces import ObjectInfo, Unlistable, Unlisted

_SUFFIXES = (".whl", ".tar.gz", *LEGACY_SUFFIXES)

#: What lies beside a file and tells of it: its digest, what pypicloud 1.x knew, its
#: signature.
_DIGEST, _FORMER, _SIGNATURE = ".sha256", ".meta", ".asc"
_BESIDE = (_DIGEST, _FORMER, _SIGNATURE)

#: Bytes of a file beside another. pypicloud 1.x's have a summary in them: a kilobyte.
_MAX_BESIDE = 64 * 1024

#: As ``sha256sum`` writes it; what follows is the file's name.
_SHA256 = re.compile(rb"\\?([0-9a-fA-F]{64})(?:\s|\Z)")

_OTHERWISE = {
    Unlistable.FOLDER: "may not be read by this user",
    Unlistable.DEEP: "is below too many other folders",
    Unlistable.NAME: "has a name that is not UTF-8",
    Unlistable.LINK: (
        "is no file, or is a symbolic link that leads out of the folder, or to nothing"
    ),
}


@frozen
class _FormerMetadata:
    """What pypicloud 1.x keeps beside a file (its ``storage/files.py``)."""

    hash_sha256: str | None = None
    uploader: str | None = field(default=None, metadata=longest(1024, one_line=True))


@frozen
class _Found:
    """A file that was found.

    :ivar filename: as it is called, which a link may do otherwise than its target.
    """

    filename: str
    info: ObjectInfo


@define
class _Contents:
    """What a folder has, by the project's name.

    :ivar beside: keys of what tells of other files.
    """

    files: dict[str, list[_Found]] = field(factory=lambda: defaultdict(list))
    notes: dict[str, list[Note]] = field(factory=lambda: defaultdict(list))
    beside: set[str] = field(factory=set)

    def take(self, key: str, info: ObjectInfo) -> None:
        """Take a file that lies under a key, or is linked there."""
        filename = key.rpartition("/")[2]
        if filename.startswith("."):
            return
        if filename.endswith(_SUFFIXES):
            self.files[_project_of(key)].append(_Found(filename, info))
        elif filename.endswith(_BESIDE):
            self.beside.add(key)

    def miss(self, what: Unlisted) -> None:
        """Note what cannot be taken, where it may be missed."""
        key = what.key.rstrip("/")
        name = key.rpartition("/")[2]
        # A link to nothing may have been one to a folder.
        is_file = name.endswith(_SUFFIXES)
        if not is_file and key == what.key:
            return
        why = f"{key!r} {_OTHERWISE[what.why]}."
        project = _project_of(key) if is_file else canonicalize_name(name)
        note = Note(why, name if is_file else None, lost=True)
        self.notes[project].append(note)

    @property
    def names(self) -> list[str]:
        """The projects of which there is anything to tell."""
        return sorted(self.files.keys() | self.notes.keys())


@define(eq=False)
class FolderSource:
    """See :class:`~.source.Source`."""

    disk: Disk
    _contents: AskedOnce[_Contents] = field(init=False)

    @_contents.default
    def _once(self) -> AskedOnce[_Contents]:
        return AskedOnce(self._look)

    @property
    def description(self) -> str:
        """See :class:`~.source.Source`."""
        return f"the folder {self.disk.path}"

    async def names(self) -> Sequence[str]:
        """See :class:`~.source.Source`."""
        return (await self._contents.answer()).names

    async def project(self, name: str) -> SourceProject:
        """See :class:`~.source.Source`."""
        contents = await self._contents.answer()
        name = canonicalize_name(name)
        if name not in contents.files and name not in contents.notes:
            raise NotFound(f"There is no file of {name} in {self.disk.path}.")
        notes = list(contents.notes.get(name, ()))
        files = []
        for found in contents.files.get(name, ()):
            try:
                files.append(await self._told(found, contents.beside))
            except PypicloudError as e:
                notes.append(Note(e.message, found.filename, lost=True))
        return SourceProject(name, tuple(files), notes=tuple(notes))

    async def open(self, file: SourceFile) -> DiskBody:
        """See :class:`~.source.Source`."""
        return await self.disk.open(file.location)

    async def provenance(self, file: SourceFile) -> bytes | None:
        """See :class:`~.source.Source`."""
        return None

    async def close(self) -> None:
        """See :class:`~.source.Source`."""

    async def _look(self) -> _Contents:
        """Find what there is; one look is enough for all who ask."""
        contents = _Contents()
        links: list[Unlisted] = []
        async for info in self.disk.files(unlisted=links.append):
            contents.take(info.key, info)
        for link in links:
            await self._follow(link, contents)
        return contents

    async def _follow(self, link: Unlisted, contents: _Contents) -> None:
        if link.why is Unlistable.LINK:
            behind = await self.disk.behind(link.key)
            if behind.file is not None:
                contents.take(link.key, behind.file)
            # What is in a folder within this one was found there.
            if behind.file is not None or behind.folder:
                return
        contents.miss(link)

    async def _told(self, found: _Found, beside: set[str]) -> SourceFile:
        """Add what lies beside a file.

        :raises PypicloudError: it is damaged; the file may be, too.
        """
        info = found.info
        digest, uploader = None, None
        if f"{info.key}{_FORMER}" in beside:
            former = await self._former(f"{info.key}{_FORMER}")
            digest, uploader = former.hash_sha256, former.uploader
        if f"{info.key}{_DIGEST}" in beside:
            digest = await self._digest(f"{info.key}{_DIGEST}")
        signature = f"{info.key}{_SIGNATURE}"
        return SourceFile(
            found.filename,
            info.key,
            {} if digest is None else {"sha256": digest.lower()},
            info.size,
            info.modified,
            uploader=uploader,
            signature=signature if signature in beside else None,
        )

    async def _digest(self, key: str) -> str:
        found = _SHA256.match(await self.disk.read(key, _MAX_BESIDE))
        if found is None:
            raise BadRequest(
                f"{key!r} has no SHA-256 in it, as sha256sum writes one: repair it, or "
                "remove it to have the file taken unchecked."
            )
        return found[1].decode()

    async def _former(self, key: str) -> _FormerMetadata:
        data = await self.disk.read(key, _MAX_BESIDE)
        try:
            return from_bytes(_FormerMetadata, data, strict=False)
        except NotAsDeclared as e:
            raise BadRequest(
                f"{key!r} is not what pypicloud 1.x writes ({e}) Repair it, or remove "
                "it to have the file taken unchecked."
            ) from None


@frozen
class FolderKind:
    """Takes any folder, so that those of a certain form are asked before it."""

    name: str = "folder"
    title: str = "a folder of distribution files"

    async def recognise(self, place: str, tools: Tools) -> bool:
        """See :class:`~.kinds.Kind`."""
        return await is_folder(place, tools)

    async def make(self, place: str, tools: Tools) -> Source:
        """See :class:`~.kinds.Kind`."""
        if not await is_folder(place, tools):
            raise BadRequest(f"There is no folder {place}.")
        return FolderSource(Disk(Path(place), tools.offload))


async def is_folder(place: str, tools: Tools) -> bool:
    """Return whether a place is a folder of this machine."""
    if is_web(place) or "\0" in place:
        return False
    return await Disk(Path(place), tools.offload).has_folders("")


def _project_of(key: str) -> str:
    """Return the name of the project that a file is of, as well as can be told.

    Whoever takes the file judges its name, and says what is wrong with it.
    """
    path = PurePosixPath(key)
    try:
        return Filename.parse(path.name, legacy=True, project=_hint(path)).project
    except BadRequest:
        return canonicalize_name(path.name.partition("-")[0] or path.name)


def _hint(path: PurePosixPath) -> str | None:
    """Return what the folders that a file is in say that it is of."""
    stem = canonicalize_name(path.name)
    names = map(canonicalize_name, path.parts[-3:-1])
    return next((name for name in names if stem.startswith(f"{name}-")), None)
