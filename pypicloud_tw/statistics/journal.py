"""What a server has counted and the bucket does not have yet, on this machine.

A write to a bucket costs money, one to a local file nothing. So objects are written
here each minute and there a few times an hour: a process that is killed loses a minute.
The next server of the same store on this machine finds by a lock (flock) who has died,
and writes to the store what it has left: whole objects, under the keys that they were
for, so that it may be done twice.

All of it blocks: it is done in threads.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from attrs import define, field, frozen

from pypicloud_tw.statistics.counts import day_and_name, key_of
from pypicloud_tw.store.folder.scratch import Scratch, left_by_the_dead

#: ``2026-03-01.0123456789abcdef``: a day, and how the server is called on it.
_NAME = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})\.([0-9a-f]{16})")
#: What is written before it takes the place of what was there.
_NEW = ".new"


def journal_folder(parent: Path, *store: str | None) -> Path:
    """Return where servers of a store keep their journals.

    :param store: what tells the store from others.
    """
    told = "\0".join("" if part is None else part for part in store)
    digest = sha256(told.encode()).hexdigest()[:16]
    # Of each user one: nobody writes into another's.
    return parent / f"pypicloud.counts-{os.geteuid()}-{digest}"


@frozen
class Left:
    """An object that a dead server has left.

    :ivar data: None: the file cannot be read.
    """

    key: str
    data: bytes | None
    path: Path


@define(eq=False)
class Journal:
    """The journal of one server; see :func:`open_journal`."""

    folder: Path
    _scratch: Scratch = field(repr=False)

    def write(self, key: str, data: bytes) -> None:
        """Keep an object in place of what was kept of it before.

        :raises OSError: there is no room, or no folder any more.
        """
        path = self._path(key)
        new = path.with_name(path.name + _NEW)
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(data)
        # Without fsync: it is for processes that die, not for machines.
        new.replace(path)

    def drop(self, key: str) -> None:
        """Forget an object that the store has."""
        self._path(key).unlink(missing_ok=True)

    def left(self) -> list[DeadJournal]:
        """Take over what dead servers have left.

        :raises OSError: the folder cannot be read.
        """
        return [DeadJournal(scratch) for scratch in left_by_the_dead(self.folder)]

    def close(self, *, keep: bool) -> None:
        """End it.

        :param keep: the next server is to find what is in it.
        """
        if keep:
            self._scratch.leave()
        else:
            self._scratch.release()

    def _path(self, key: str) -> Path:
        day, name = day_and_name(key) or ("", "")
        return self._scratch.path / f"{day}.{name}"


@define(eq=False)
class DeadJournal:
    """A journal whose server has died; nobody else has it."""

    _scratch: Scratch = field(repr=False)

    def objects(self) -> Iterator[Left]:
        """Give what it has; what was not written to its end is none of it."""
        try:
            names = sorted(os.listdir(self._scratch.path))
        except FileNotFoundError:
            return
        for name in names:
            found = _NAME.fullmatch(name)
            if found is not None and day_and_name(key := key_of(*found.groups())):
                path = self._scratch.path / name
                yield Left(key, _read(path), path)

    def end(self) -> None:
        """Remove it: the store has what was in it."""
        self._scratch.release()

    def leave(self) -> None:
        """Let go of it: what is in it is for whoever comes next."""
        self._scratch.leave()


def open_journal(folder: Path) -> Journal:
    """Begin a journal.

    :raises OSError: the folder cannot be made, or is open to other users.
    :raises StoreError: locks do not lock there.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    # In a folder that everybody may write to, anybody may have made it before.
    state = folder.lstat()
    if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.geteuid():
        raise PermissionError(f"{folder} is not ours")
    if state.st_mode & 0o077:
        raise PermissionError(f"{folder} is open to other users")
    return Journal(folder, Scratch.claim(folder))


def _read(path: Path) -> bytes | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        with os.fdopen(fd, "rb") as file:
            return file.read()
    except OSError:
        return None
