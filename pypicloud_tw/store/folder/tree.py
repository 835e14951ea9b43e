"""A folder of objects: what a thread does for the directory store.

Every function here may block and is called in a thread. Nothing follows a symbolic
link below the folder: names are opened one after the other, from the folder down. The
folder itself may be a link. It must stay the one it was at the start, because an empty
mount point must not look like an empty index (decision D5).
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from random import SystemRandom
from typing import BinaryIO, TypeVar

from attrs import define, field

from pypicloud_tw.errors import (
    ObjectNotFound,
    ObjectUnreadable,
    PreconditionFailed,
    StoreError,
)
from pypicloud_tw.store.checkpoints import Checkpoint, pass_by
from pypicloud_tw.store.folder.explain import ABSENT, folder_error, unreadable
from pypicloud_tw.store.folder.locks import open_lock, stripe, wait_for_lock
from pypicloud_tw.store.folder.owner import FOLDER, entrust, make_folder
from pypicloud_tw.store.folder.scratch import Draft
from pypicloud_tw.store.interfaces import Condition, IfAbsent, IfMatch
from pypicloud_tw.store.keys import PRIVATE, key_segments

T = TypeVar("T")

Segments = Sequence[bytes]

#: A folder's path, and the device and inode that it must be.
Identified = tuple[Path, tuple[int, int] | None]

# O_NONBLOCK: opening a pipe that lies there must not wait for its writer.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW

#: Times that a folder may be removed by a delete just when a file is put there.
TRIES = 100

#: Folders whose names are known to be durable; with more, all are made so again.
REMEMBERED = 4096

#: What others than owner and group may do with a file.
_OTHERS = 0o007

#: Errors of a file system that has no hard links.
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})


def etag(state: os.stat_result) -> str:
    """Name the bytes of a file: inode, size and time of change.

    A file is never changed in place, and :func:`_stamp` keeps the time from coming
    again, so this differs from that of every earlier state of the object.
    """
    return f"{state.st_ino:x}-{state.st_size:x}-{state.st_mtime_ns:x}"


@define(eq=False)
class Folder:
    """The store's folder.

    :ivar path: absolute.
    :ivar clock: seconds since 1970.
    :ivar checkpoint: called between the steps of a change with their names, for tests
        that end a process there; see :class:`.directory.DirectoryStore`.
    """

    path: Path
    clock: Callable[[], float]
    checkpoint: Checkpoint
    _identity: tuple[int, int] | None = field(default=None, kw_only=True)
    _durable: dict[tuple[bytes, ...], int] = field(factory=dict, init=False, repr=False)
    _random: SystemRandom = field(factory=SystemRandom, init=False)

    @property
    def beside(self) -> Identified:
        """What another process opens the same folder by."""
        return self.path, self._identity

    @classmethod
    def again(cls, place: Identified, now: Callable[[], float] = time.time) -> Folder:
        """Open another process's folder."""
        path, identity = place
        return cls(path, now, pass_by, identity=identity)

    def prepare(self) -> None:
        """Create the folder durably where it is missing, and remember which it is."""
        _make_durably(self.path)
        state = os.stat(self.path)
        self._identity = (state.st_dev, state.st_ino)
        with self.opened(()) as root:
            for name in (b".tmp", b".locks"):
                os.close(make_folder(root, name, state))

    @contextmanager
    def opened(self, folders: Segments) -> Iterator[int]:
        """Open the folder of those names, from the root down, for the while.

        :raises StoreError: the root is not there, or not the one it was.
        :raises OSError: one of *folders* is not there (:data:`ABSENT`), or worse.
        """
        fd = self._root()
        try:
            for name in folders:
                fd = _step_down(fd, name)
            yield fd
        finally:
            os.close(fd)

    def known_durable(self, folders: Segments) -> int | None:
        """Return the inode of a folder whose name is known to be durable."""
        return self._durable.get(tuple(folders))

    def learn_durable(self, folders: Segments, inode: int) -> None:
        """Remember that a folder's name is durable."""
        if len(self._durable) >= REMEMBERED:
            self._durable.clear()
        self._durable[tuple(folders)] = inode

    def open(self, key: str) -> tuple[BinaryIO, os.stat_result]:
        """Open an object; what the state tells is of the very bytes opened.

        :raises ObjectNotFound: there is no such object.
        :raises ObjectUnreadable: its file belongs to somebody else.
        """
        *folders, name = key_segments(key)
        try:
            with self.opened(folders) as parent:
                fd = os.open(name, _FILE, dir_fd=parent)
        except OSError as e:
            # ENXIO: a socket lies there.
            if e.errno in ABSENT or e.errno == errno.ENXIO:
                raise _absent() from None
            if e.errno == errno.EACCES:
                raise ObjectUnreadable(unreadable("A file", self.path)) from e
            raise
        state = os.fstat(fd)
        if not stat.S_ISREG(state.st_mode):
            os.close(fd)
            raise _absent()
        return os.fdopen(fd, "rb", buffering=0), state

    def place(self, draft: Draft, key: str, condition: Condition) -> os.stat_result:
        """Give a written draft its name, durably, if *condition* holds.

        :raises PreconditionFailed: it does not hold.
        :raises StoreError: it may or may not have its name.
        """
        self.make_ready(draft, key)
        *folders, name = key_segments(key)

        def place(parent: int) -> os.stat_result:
            self._place(draft, parent, name, condition)
            self.make_sure(parent)
            return draft.state

        with self._locked(key):
            return self._retrying(folders, place)

    def put(
        self, draft: Draft, key: str, data: bytes, condition: Condition
    ) -> os.stat_result:
        """Write an object's bytes into a draft, and do :meth:`place` with it."""
        try:
            draft.file.write(data)
            draft.file.flush()
            return self.place(draft, key, condition)
        finally:
            draft.discard()

    def make_ready(self, draft: Draft, key: str, *, durable: bool = True) -> None:
        """Prepare a written draft for its name: all of it but the name is durable then.

        :param durable: without it, nothing is.
        """
        self.checkpoint("object:written")
        _stamp(draft, self._now())
        if _is_private(key_segments(key)[:-1]):
            os.fchmod(draft.file.fileno(), draft.state.st_mode & 0o777 & ~_OTHERS)
        entrust(draft.file.fileno(), os.stat(self.path))
        if durable:
            os.fsync(draft.file.fileno())
        self.checkpoint("object:synced")

    def give_name(
        self, draft: Draft, key: str, condition: Condition, *, durable: bool = True
    ) -> int:
        """Give a prepared draft its name, if *condition* holds; not durably yet.

        :returns: its folder, opened, for :meth:`make_sure`; to be closed.
        :raises PreconditionFailed: it does not hold.
        :raises StoreError: it may or may not have its name.
        """
        *folders, name = key_segments(key)

        def place(parent: int) -> int:
            self._place(draft, parent, name, condition, durable=durable)
            return os.dup(parent)

        with self._locked(key):
            return self._retrying(folders, place)

    def place_together(
        self, draft: Path, folders: Segments, objects: Mapping[bytes, bytes]
    ) -> None:
        """Have a new folder of objects exist, all of them or none, durably.

        :param draft: where the folder is made first, beside nobody else's.
        :param folders: its names, of which the last is nobody else's.
        :raises StoreError: it may or may not be there.
        """
        root, when = os.stat(self.path), self._now()
        os.mkdir(draft)
        try:
            with _opened(draft) as fd:
                entrust(fd, root)
                for name, data in objects.items():
                    _write_new(fd, name, data, when, root)
                os.fsync(fd)
            self._retrying(
                folders[:-1], lambda parent: self._move_to(draft, parent, folders[-1])
            )
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise

    def _move_to(self, draft: Path, parent: int, name: bytes) -> None:
        try:
            os.rename(draft, name, dst_dir_fd=parent)
        except OSError as e:
            if e.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            # An earlier try did it, of which nobody heard.
            shutil.rmtree(draft)
        self.make_sure(parent)

    def link(self, source: str, target: str) -> os.stat_result | None:
        """Give an object a second name, durably; None where that cannot be.

        :raises ObjectNotFound: there is no such object.
        :raises StoreError: it may or may not have that name.
        """
        file, state = self.open(source)
        *folders, name = key_segments(target)
        with file, self._locked(target):
            linked = self._retrying(
                folders, lambda parent: self._link_to(source, parent, name, state)
            )
        return state if linked else None

    def check(self, key: str, condition: Condition) -> None:
        """See whether *condition* holds by now, to spare the work if it does not.

        :raises PreconditionFailed: it does not hold.
        """
        *folders, name = key_segments(key)
        try:
            with self.opened(folders) as parent:
                _hold(condition, _state(parent, name))
        except OSError as e:
            if e.errno not in ABSENT:
                raise
            _hold(condition, None)

    def delete(self, key: str) -> None:
        """Remove an object and the folders that are empty without it, if it is there.

        A folder that could not be removed, or came back after a loss of power, is
        harmless.
        """
        *folders, name = key_segments(key)
        with self._locked(key):
            try:
                with self.opened(folders) as parent:
                    if not _is_file(parent, name):
                        return
                    os.unlink(name, dir_fd=parent)
                    self.checkpoint("object:unlinked")
                    os.fsync(parent)
            except OSError as e:
                if e.errno not in ABSENT:
                    raise
                return
        self._prune(folders)

    def ping(self) -> None:
        """Return if the folder can be listed and written.

        :raises OSError: it cannot.
        """
        with self.opened(()) as root:
            with os.scandir(root) as entries:
                next(entries, None)
            if not os.access(".", os.R_OK | os.W_OK | os.X_OK, dir_fd=root):
                read_only = os.fstatvfs(root).f_flag & os.ST_RDONLY
                raise OSError(errno.EROFS if read_only else errno.EACCES, "")

    def _root(self) -> int:
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as e:
            # Said at once: a root that is gone proves nothing about an object.
            raise folder_error(e, self.path) from e
        state = os.fstat(fd)
        if self._identity not in (None, (state.st_dev, state.st_ino)):
            os.close(fd)
            raise StoreError(
                f"The store's folder {self.path} is not the one it was when the server "
                "started: see whether its disk is mounted, and start the server again."
            )
        return fd

    def _now(self) -> int:
        """Return a time of change, in nanoseconds since 1970.

        The last millisecond is drawn: an object that was deleted and came again may
        get its old inode, and its old time if the clock was set back.
        """
        return int(self.clock() * 1e9) + self._random.randrange(10**6)

    def _place(
        self,
        draft: Draft,
        parent: int,
        name: bytes,
        condition: Condition,
        *,
        durable: bool = True,
    ) -> None:
        before = _state(parent, name)
        _hold(condition, before)
        if before is None:
            self._link(draft, parent, name, condition)
        else:
            if draft.state.st_mtime_ns <= before.st_mtime_ns:
                _stamp(draft, before.st_mtime_ns + 1, above=before.st_mtime_ns)
                if durable:
                    os.fsync(draft.file.fileno())
            os.rename(draft.path, name, dst_dir_fd=parent)
        self.checkpoint("object:linked")

    def make_sure(self, parent: int) -> None:
        """Make the names durable that objects have just got in a folder.

        :raises StoreError: they can be seen, and may be lost.
        """
        try:
            os.fsync(parent)
        except OSError as e:
            # Whatever it says (no room, even): the object can be seen already.
            raise StoreError(
                f"The store's folder {self.path} may lose what was written: "
                f"{e.strerror}. See to its disk."
            ) from e
        self.checkpoint("folder:synced")

    def _link(
        self, draft: Draft, parent: int, name: bytes, condition: Condition
    ) -> None:
        """Give a draft a name that is free.

        :raises FileExistsError: somebody who does not lock was faster.
        """
        try:
            os.link(draft.path, name, dst_dir_fd=parent)
        except FileExistsError:
            if condition is not None:
                raise PreconditionFailed("There is such an object already.") from None
            raise
        except OSError as e:
            if e.errno not in _NO_LINKS:
                raise
            # Without hard links, the lock alone guards the name.
            os.rename(draft.path, name, dst_dir_fd=parent)

    def _link_to(
        self, source: str, parent: int, name: bytes, state: os.stat_result
    ) -> bool:
        """Give the file that was opened as *source* a name that is free, or has it."""
        *folders, former = key_segments(source)
        try:
            with self.opened(folders) as above:
                os.link(former, name, src_dir_fd=above, dst_dir_fd=parent)
        except FileExistsError:
            pass
        except FileNotFoundError:
            raise _absent() from None
        except OSError as e:
            # EPERM: it is another user's, which protected_hardlinks forbids.
            if e.errno not in (*_NO_LINKS, errno.EXDEV, errno.EACCES):
                raise
            return False
        there = _state(parent, name)
        if there is None or (there.st_ino, there.st_dev) != (
            state.st_ino,
            state.st_dev,
        ):
            return False
        self.checkpoint("object:linked")
        self.make_sure(parent)
        return True

    def _retrying(self, folders: Segments, act: Callable[[int], T]) -> T:
        """Do something in a folder that deletes may be removing all the time."""
        for _ in range(TRIES):
            try:
                with self._made(folders) as parent:
                    return act(parent)
            except (FileNotFoundError, FileExistsError):
                continue
        raise StoreError(f"Folders in {self.path} vanish as fast as they are made.")

    @contextmanager
    def _made(self, folders: Segments) -> Iterator[int]:
        """Open a folder, made where it is missing, with every name on the way durable.

        :raises FileNotFoundError: a delete removed one of them at this very moment.
        :raises OSError: something else lies there, or cannot be made there.
        """
        fd = self._root()
        mode = 0o777 & ~_OTHERS if _is_private(folders) else 0o777
        try:
            root = os.fstat(fd)
            for depth, name in enumerate(folders, 1):
                above, fd = fd, make_folder(fd, name, root, mode)
                try:
                    self._settle(above, tuple(folders[:depth]))
                finally:
                    os.close(above)
            yield fd
        finally:
            os.close(fd)

    def _settle(self, parent: int, path: tuple[bytes, ...]) -> None:
        """Make a folder's name durable, unless we did: whoever made it may not yet."""
        inode = os.stat(path[-1], dir_fd=parent, follow_symlinks=False).st_ino
        if self._durable.get(path) == inode:
            return
        os.fsync(parent)
        self.checkpoint("folder:made")
        self.learn_durable(path, inode)

    def _prune(self, folders: Segments) -> None:
        for depth in range(len(folders), 0, -1):
            try:
                with self.opened(folders[: depth - 1]) as parent:
                    os.rmdir(folders[depth - 1], dir_fd=parent)
            except OSError:
                return
            self._durable.pop(tuple(folders[:depth]), None)

    @contextmanager
    def _locked(self, key: str) -> Iterator[None]:
        """Exclude every other change of this object, in this and other processes."""
        with self.opened(()) as root:
            lock = open_lock(root, stripe(key))
        try:
            wait_for_lock(lock, self.path)
            yield
        finally:
            os.close(lock)


def _step_down(fd: int, name: bytes) -> int:
    """Exchange an opened folder for the one below it of that name."""
    below = os.open(name, FOLDER, dir_fd=fd)
    os.close(fd)
    return below


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    fd = os.open(folder, FOLDER)
    try:
        yield fd
    finally:
        os.close(fd)


def _write_new(
    parent: int, name: bytes, data: bytes, when: int, root: os.stat_result
) -> None:
    """Write a file durably into a folder that is not seen yet; its name is not yet."""
    with os.fdopen(os.open(name, _NEW, 0o644, dir_fd=parent), "wb") as file:
        file.write(data)
        file.flush()
        os.utime(file.fileno(), ns=(when, when))
        entrust(file.fileno(), root)
        os.fsync(file.fileno())


def _is_private(folders: Segments) -> bool:
    """Return whether other users than the server's may not read what is there."""
    return bool(folders) and folders[0] in PRIVATE


def _state(parent: int, name: bytes) -> os.stat_result | None:
    """Return what lies under a name: None if nothing does.

    :raises OSError: something does that is no file.
    """
    try:
        state = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(state.st_mode):
        raise OSError(errno.EISDIR, "")
    return state


def _is_file(parent: int, name: bytes) -> bool:
    state = os.stat(name, dir_fd=parent, follow_symlinks=False)
    return stat.S_ISREG(state.st_mode)


def _hold(condition: Condition, state: os.stat_result | None) -> None:
    """Raise PreconditionFailed unless *condition* holds for what there is."""
    if isinstance(condition, IfAbsent) and state is not None:
        raise PreconditionFailed("There is such an object already.")
    if isinstance(condition, IfMatch) and (
        state is None or etag(state) != condition.etag
    ):
        raise PreconditionFailed("The object is not the one that was read.")


def _stamp(draft: Draft, when: int, *, above: int = -1) -> None:
    """Set the time of change, and see that it is *above* another as it is stored.

    Older file systems keep whole microseconds, seconds, or pairs of them.

    :raises StoreError: no later time can be stored.
    """
    for step in (0, 10**3, 10**6, 10**9, 2 * 10**9):
        os.utime(draft.file.fileno(), ns=(when + step, when + step))
        if draft.state.st_mtime_ns > above:
            return
    raise StoreError("The file system does not keep times of change.")


def _make_durably(path: Path) -> None:
    """Make a folder and those above it that are missing, each name durable."""
    if path.is_dir():
        return
    _make_durably(path.parent)
    with suppress(FileExistsError):
        path.mkdir()
    fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _absent() -> ObjectNotFound:
    return ObjectNotFound("There is no such object in the store.")
