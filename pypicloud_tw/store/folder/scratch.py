"""Temporary files: a folder for each running process, removed when it has died.

``.tmp/{id}.lock`` is locked (flock) for as long as the process lives, and its files are
in ``.tmp/{id}/``; the kernel lets go of the lock however the process ends. The lock is
taken before the folder is made, and the folder removed before the lock file, so a
folder without a locked file beside it always belongs to the dead.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from contextlib import suppress
from itertools import count
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO

from attrs import define, field

from pypicloud_tw.errors import StoreError

_ID = re.compile(r"([0-9a-f]{32})(\.lock)?")

_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW


@define(eq=False)
class Draft:
    """A file on its way, without a name among the objects yet.

    :ivar path: its name in the scratch folder; absolute.
    """

    path: Path
    file: BinaryIO

    @classmethod
    def begin(cls, path: Path) -> Draft:
        """Make it; its mode is that of the object it becomes."""
        return cls(path, os.fdopen(os.open(path, _CREATE, 0o644), "w+b"))

    @property
    def state(self) -> os.stat_result:
        """Size, inode and time, of the opened file itself."""
        return os.fstat(self.file.fileno())

    def discard(self) -> None:
        """Close and remove it; what was linked or renamed from it stays."""
        self.file.close()
        with suppress(FileNotFoundError):
            self.path.unlink()


@define(eq=False)
class Scratch:
    """This process's folder below ``.tmp``; *path* is absolute."""

    path: Path
    _lock: int
    _numbers: count[int] = field(factory=count, init=False, repr=False)

    @classmethod
    def claim(cls, parent: Path) -> Scratch:
        """Make a folder in *parent* that is ours for as long as we live.

        :raises StoreError: the file system's locks do not lock.
        :raises OSError: it cannot be made there.
        """
        while True:
            path = parent / token_hex(16)
            lock = _locked_file(path.with_suffix(".lock"))
            if lock is not None:
                break
        try:
            path.mkdir(mode=0o700)
            return cls(path, lock)
        except BaseException:
            os.close(lock)
            raise

    def draft(self) -> Draft:
        """Begin a file."""
        return Draft.begin(self.free_name())

    def free_name(self) -> Path:
        """Name a file or folder that is to be made in it."""
        return self.path / f"{next(self._numbers):x}"

    def release(self) -> None:
        """Remove the folder with all that is in it, and then let go of the lock."""
        _remove(self.path)
        os.close(self._lock)

    def leave(self) -> None:
        """Let go of the lock alone: what is in it is for whoever comes next."""
        os.close(self._lock)


def left_by_the_dead(parent: Path) -> list[Scratch]:
    """Claim what dead processes left in *parent*; whoever asks has to release it.

    What may not be opened, as another user's, is left where it is.

    :raises OSError: it cannot be done for another reason.
    """
    found = []
    for identity in _identities(parent):
        path = parent / identity
        with suppress(FileNotFoundError, PermissionError):
            lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_NOFOLLOW)
            # Whoever was faster has removed it, and lets go of it then.
            if _try_lock(lock) and os.fstat(lock).st_nlink:
                found.append(Scratch(path, lock))
            else:
                os.close(lock)
    return found


def sweep(parent: Path) -> list[Path]:
    """Remove what dead processes left in *parent*, and nothing that a living one has.

    :return: folders that may not be looked into or removed, as another user's; they
        take room and do no other harm.
    :raises OSError: it cannot be done for another reason.
    """
    left = []
    for identity in _identities(parent):
        try:
            _sweep(parent / identity)
        except PermissionError:
            left.append(parent / identity)
    return left


def _identities(parent: Path) -> set[str]:
    return {m[1] for n in os.listdir(parent) if (m := _ID.fullmatch(n))}


def _sweep(path: Path) -> None:
    try:
        lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        _remove(path)
        return
    try:
        if _try_lock(lock):
            _remove(path)
    finally:
        os.close(lock)


def _locked_file(path: Path) -> int | None:
    """Make a lock file and lock it; None if a sweep was between the two."""
    lock = os.open(path, _CREATE, 0o600)
    try:
        if not _try_lock(lock) or not os.fstat(lock).st_nlink:
            os.close(lock)
            return None
        second = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
        try:
            if _try_lock(second):
                raise StoreError(
                    f"Locks (flock) do not lock on the file system of {path.parent}, "
                    "so two servers could harm each other: set storage.dir to a "
                    "folder on another."
                )
        finally:
            os.close(second)
    except BaseException:
        os.close(lock)
        raise
    return lock


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _remove(path: Path) -> None:
    """Remove a process's folder, then its lock file; another may be faster."""
    with suppress(FileNotFoundError):
        shutil.rmtree(path)
    with suppress(FileNotFoundError):
        path.with_suffix(".lock").unlink()
