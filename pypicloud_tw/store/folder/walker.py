"""Going through a folder in the order of the keys. Helper processes load this.

Within a folder the names are sorted with ``/`` behind those of folders, and a folder's
keys come where its name does: that is the order of the whole keys (``a-`` before
``a/b``, although ``a`` comes before ``a-``).
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from heapq import merge
from itertools import islice

from attrs import define, field

from pypicloud_tw.errors import StoreError
from pypicloud_tw.store.folder.explain import ABSENT, unreadable
from pypicloud_tw.store.folder.owner import FOLDER
from pypicloud_tw.store.folder.tree import Folder, etag
from pypicloud_tw.store.interfaces import ObjectInfo, Unlistable, Unlisted
from pypicloud_tw.store.keys import HIDDEN, MAX_DEPTH

#: Names that are read and sorted at once.
RUN = 256

#: Above every name in a folder: no UTF-8 has it.
_END = b"\xff"


def object_info(key: str, state: os.stat_result) -> ObjectInfo:
    """Return what a file's state says of its object."""
    return ObjectInfo(key, state.st_size, etag(state), _moment(state.st_mtime))


@define(eq=False)
class Walker:
    """What is looked for, and how far the walk has come.

    :ivar prefix: what the keys begin with, as their order has it.
    :ivar after: what they are above.
    :ivar unlisted: see :meth:`.interfaces.IObjectStore.list`, as *skip*.
    :ivar reached: what the walk has behind it: another may go on after that.
    """

    folder: Folder
    prefix: bytes
    after: bytes
    unlisted: Callable[[Unlisted], None] | None
    skip: Callable[[str], bool]
    reached: bytes = field(init=False)

    @reached.default
    def _nothing_yet(self) -> bytes:
        return self.after

    def below(self, folders: tuple[bytes, ...]) -> Iterator[ObjectInfo | None]:
        """Walk a folder; every None is a good moment for a pause."""
        path = b"".join(name + b"/" for name in folders)
        return self._walk(path, self.folder.opened(folders), len(folders))

    def _walk(
        self, path: bytes, opening: AbstractContextManager[int], depth: int
    ) -> Iterator[ObjectInfo | None]:
        try:
            with opening as fd:
                for name in (yield from self._names(path, fd)):
                    if not name.endswith(b"/"):
                        info = self._info(path, fd, name)
                        self.reached = path + name
                        yield info
                    elif depth < MAX_DEPTH - 1:
                        below = _opened(fd, name[:-1])
                        yield from self._walk(path + name, below, depth + 1)
                    else:
                        self._tell(path + name, Unlistable.DEEP)
        except OSError as e:
            # Deletes remove folders; what was in it was deleted before.
            if e.errno == errno.EACCES:
                self._pass_over(path, e)
            elif e.errno not in ABSENT:
                raise
        self.reached = path + _END

    def _pass_over(self, path: bytes, error: OSError) -> None:
        """Pass a folder by that belongs to somebody else.

        :raises StoreError: it may hold what was asked for, and nobody would be told.
        """
        if self._is_hidden(path):
            return
        if self.unlisted is None or self.prefix.startswith(path):
            # repr: a name may have anything in it.
            what = f"The folder {path.decode()!r}"
            raise StoreError(unreadable(what, self.folder.path)) from error
        self._tell(path, Unlistable.FOLDER)

    def _tell(self, path: bytes, why: Unlistable) -> None:
        """Report what is no object, unless it was hidden on purpose."""
        if self.unlisted is not None and not self._is_hidden(path):
            self.unlisted(Unlisted(path.decode("utf-8", "replace"), why))

    def _is_hidden(self, path: bytes) -> bool:
        """Return whether a folder was hidden on purpose, and was not asked for by name.

        A desktop's ``.Trash-0``, a file server's ``.snapshot``: they are not packages.
        """
        if self.prefix.startswith(path):
            return False
        named = self.prefix[: self.prefix.rfind(b"/") + 1]
        return b"/." in b"/" + path.removeprefix(named)

    def _names(
        self, path: bytes, fd: int
    ) -> Generator[ObjectInfo | None, None, Iterator[bytes]]:
        """Return what is wanted of a folder, sorted; folders end with a slash."""
        runs: list[list[bytes]] = []
        with os.scandir(fd) as entries:
            while names := list(islice(entries, RUN)):
                runs.append(sorted(self._wanted(path, names)))
                yield None
        return merge(*runs)

    def _wanted(self, path: bytes, entries: list[os.DirEntry[str]]) -> Iterator[bytes]:
        """Choose files and folders that lead to wanted keys.

        Of links, pipes and the like, and names that are not UTF-8, which no manifest
        can hold, nothing but their being there is told.
        """
        for entry in entries:
            name = os.fsencode(entry.name)
            if not path and name in HIDDEN:
                continue
            if not _is_text(name):
                end = b"/" if entry.is_dir(follow_symlinks=False) else b""
                self._tell(path + name + end, Unlistable.NAME)
                continue
            if entry.is_dir(follow_symlinks=False):
                below = path + name + b"/"
                if self.unlisted is not None and self._is_hidden(below):
                    continue
                if self._leads_on(below) and not self.skip(below.decode()):
                    yield name + b"/"
            elif entry.is_file(follow_symlinks=False):
                key = path + name
                if key.startswith(self.prefix) and key > self.after:
                    yield name
            elif self.unlisted is not None:
                end = b"/" if _may_be_folder(entry) else b""
                self._tell(path + name + end, Unlistable.LINK)

    def _leads_on(self, path: bytes) -> bool:
        """Return whether keys that begin with *path* may be wanted."""
        if not (path.startswith(self.prefix) or self.prefix.startswith(path)):
            return False
        return path > self.after or self.after.startswith(path)

    def _info(self, path: bytes, fd: int, name: bytes) -> ObjectInfo | None:
        try:
            state = os.stat(name, dir_fd=fd, follow_symlinks=False)
        except FileNotFoundError:
            return None
        if not stat.S_ISREG(state.st_mode):
            return None
        return object_info((path + name).decode("utf-8"), state)


@contextmanager
def _opened(parent: int, name: bytes) -> Iterator[int]:
    fd = os.open(name, FOLDER, dir_fd=parent)
    try:
        yield fd
    finally:
        os.close(fd)


def _may_be_folder(entry: os.DirEntry[str]) -> bool:
    """Tell whether a link leads to a folder, or did: its disk may not be mounted.

    Nothing of what it leads to is opened.
    """
    try:
        return stat.S_ISDIR(entry.stat().st_mode)
    except OSError:
        return True


def _is_text(name: bytes) -> bool:
    try:
        name.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _moment(seconds: float) -> datetime:
    """Return a file's time of change; adopted files may have one beyond any date."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, UTC)
