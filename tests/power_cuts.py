"""What a loss of power may leave of a folder, at each moment, by what was synced.

The calls of the operating system that change a file system are recorded as they are
made, and carried out. What a loss of power may leave is judged as pessimistically as
POSIX allows, as ALICE does (Pillai et al., "All File Systems Are Not Created Equal"):

- the bytes of a file are durable by an fsync of that file; else it may be empty, be all
  zeros, or have them;
- a name is durable by an fsync of its folder after it was given; else it may lead to
  what it led to at any moment since the last one, each name for itself. An fsync of a
  file does nothing for its name;
- a rename gives a name at once: never half of it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import define, field

#: A name that leads nowhere.
NOTHING = None

#: Returns whether a sync is to be left out, by its number and the path that it is of.
LeaveOut = Callable[[int, str], bool]


def leave_out_none(number: int, path: str) -> bool:
    """Have every sync be done."""
    return False


@define
class Inode:
    """A file or folder, and what may be left of it.

    :ivar names: of a folder: where each name may lead, the latest last.
    :ivar synced: of a file: its bytes at the last fsync.
    :ivar latest: of a file: its bytes now.
    """

    names: dict[str, list[Inode | None]] = field(factory=dict)
    synced: bytes | None = None
    latest: bytes = b""

    def leads_to(self, name: str) -> list[Inode | None]:
        """Return where a name may lead."""
        return self.names.get(name, [NOTHING])

    def give(self, name: str, what: Inode | None) -> None:
        """Have a name lead to something else, not durably."""
        self.names.setdefault(name, [NOTHING]).append(what)

    def settle(self) -> None:
        """Make all names durable."""
        self.names = {name: found[-1:] for name, found in self.names.items()}

    @property
    def only_lost_names(self) -> bool:
        """Whether names were taken away since the last sync, and none was given."""
        changed = [found for found in self.names.values() if len(found) > 1]
        return bool(changed) and all(found[-1] is NOTHING for found in changed)

    @property
    def contents(self) -> set[bytes]:
        """Return which bytes it may have."""
        if self.synced is not None and self.synced == self.latest:
            return {self.latest}
        return {b"", bytes(len(self.latest)), self.latest, self.synced or b""}


@define(eq=False)
class PowerCuts:
    """Records what is done below a folder, and judges what may be left.

    :ivar judge: called after everything that was done.
    :ivar leave_out: which syncs are left out, to see what is lost without them.
    :ivar syncs: paths of all that was synced, or left out, in order; below the folder.
    :ivar removals: numbers of those by which nothing but a removal became durable.
    :ivar became: what a file is called by now, by its first path.
    """

    folder: Path
    judge: Callable[[], None]
    leave_out: LeaveOut = leave_out_none
    syncs: list[str] = field(factory=list, init=False)
    removals: set[int] = field(factory=set, init=False)
    became: dict[str, str] = field(factory=dict, init=False)
    root: Inode = field(factory=Inode, init=False)
    _inodes: dict[tuple[int, int], Inode] = field(factory=dict, init=False)
    _depth: int = field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self._inodes[self._number(os.stat(self.folder))] = self.root

    @staticmethod
    def _number(state: os.stat_result) -> tuple[int, int]:
        return state.st_dev, state.st_ino

    @contextmanager
    def recording(self, patch: Callable[[Any, str, Any], Any]) -> Iterator[None]:
        """Record all that is done until the end of the block.

        :param patch: :meth:`twisted.trial.unittest.SynchronousTestCase.patch`.
        """
        patches = [
            patch(os, name, getattr(self, f"_{name}"))
            for name in ("open", "mkdir", "rename", "link", "unlink", "rmdir", "fsync")
        ]
        try:
            yield
        finally:
            for one in patches:
                one.restore()

    # -- what is looked for ----------------------------------------------------------

    def files(self, key: str) -> list[Inode | None]:
        """Return which files may be found under a key."""
        found: list[Inode | None] = [self.root]
        for name in key.split("/"):
            below: list[Inode | None] = []
            for one in found:
                below += [NOTHING] if one is None else one.leads_to(name)
            found = below
        return found

    def contents(self, key: str) -> set[bytes | None]:
        """Return which bytes may be found under a key; None: there may be none."""
        found: set[bytes | None] = set()
        for file in self.files(key):
            found |= {None} if file is None else file.contents
        return found

    def names_below(self, key: str) -> set[str]:
        """Return which names there may be in a folder."""
        folders = self.files(key) if key else [self.root]
        return {
            name
            for folder in folders
            if folder is not None
            for name, found in folder.names.items()
            if any(one is not None for one in found)
        }

    # -- what is done ----------------------------------------------------------------

    def _open(self, path: Any, flags: int, *args: Any, **how: Any) -> int:
        fd = _REAL.open(path, flags, *args, **how)
        if flags & os.O_CREAT:
            self._gave(path, how.get("dir_fd"), os.fstat(fd))
        return fd

    def _mkdir(self, path: Any, *args: Any, **how: Any) -> None:
        _REAL.mkdir(path, *args, **how)
        self._gave(path, how.get("dir_fd"))

    def _link(self, source: Any, target: Any, **how: Any) -> None:
        _REAL.link(source, target, **how)
        self._became(source, target, how)
        self._gave(target, how.get("dst_dir_fd"))

    def _rename(self, source: Any, target: Any, **how: Any) -> None:
        _REAL.rename(source, target, **how)
        self._became(source, target, how)
        self._took(source, how.get("src_dir_fd"))
        self._gave(target, how.get("dst_dir_fd"))

    def _unlink(self, path: Any, **how: Any) -> None:
        state = os.stat(path, dir_fd=how.get("dir_fd"), follow_symlinks=False)
        _REAL.unlink(path, **how)
        if state.st_nlink == 1:
            self._inodes.pop(self._number(state), None)  # its number may come again
        self._took(path, how.get("dir_fd"))

    def _rmdir(self, path: Any, **how: Any) -> None:
        state = os.stat(path, dir_fd=how.get("dir_fd"), follow_symlinks=False)
        _REAL.rmdir(path, **how)
        self._inodes.pop(self._number(state), None)
        self._took(path, how.get("dir_fd"))

    def _fsync(self, fd: int) -> None:
        _REAL.fsync(fd)
        there = os.readlink(f"/proc/self/fd/{fd}")
        path = self._below(there)
        if self.syncs[-1:] != [path]:
            self.syncs.append(path)  # else it was stamped anew, and is synced again
        inode = self._inodes.get(self._number(os.fstat(fd)))
        if inode is not None and not self.leave_out(len(self.syncs) - 1, path):
            if stat.S_ISDIR(os.fstat(fd).st_mode):
                if inode.only_lost_names:
                    self.removals.add(len(self.syncs) - 1)
                inode.settle()
            else:
                inode.synced = inode.latest = Path(there).read_bytes()
        self.judge()

    def _gave(
        self, path: Any, dir_fd: int | None, state: os.stat_result | None = None
    ) -> None:
        """Note that a name leads to what it now leads to."""
        written = state is None
        state = state or os.stat(path, dir_fd=dir_fd, follow_symlinks=False)
        # One that was made before the recording began may be given a name now.
        inode = self._inodes.setdefault(self._number(state), Inode())
        parent, name = self._place(path, dir_fd)
        if written and dir_fd is not None:
            self._read(inode, Path(f"/proc/self/fd/{dir_fd}") / name)
        if parent is not None:
            parent.give(name, inode)
            self.judge()

    def _below(self, path: str) -> str:
        return os.path.relpath(path, os.path.realpath(self.folder))

    def _became(self, source: Any, target: Any, how: dict[str, Any]) -> None:
        folder = os.readlink(f"/proc/self/fd/{how['dst_dir_fd']}")
        name = os.path.join(folder, os.fsdecode(target))
        self.became[self._below(os.fspath(source))] = self._below(name)

    def _took(self, path: Any, dir_fd: int | None) -> None:
        parent, name = self._place(path, dir_fd)
        if parent is not None:
            parent.give(name, NOTHING)
            self.judge()

    def _place(self, path: Any, dir_fd: int | None) -> tuple[Inode | None, str]:
        folder, name = os.path.split(os.fsdecode(path))
        state = os.stat(folder) if dir_fd is None else os.fstat(dir_fd)
        return self._inodes.get(self._number(state)), name

    def _read(self, inode: Inode, path: Path) -> None:
        """Take note of the bytes of a file, or of all files in a folder."""
        if path.is_dir():
            for below in path.iterdir():
                found = self._inodes.get(self._number(below.stat()))
                if found is not None:
                    self._read(found, below)
        else:
            inode.latest = path.read_bytes()


class _Real:
    """The calls as they are."""

    open, mkdir, rename = os.open, os.mkdir, os.rename
    link, unlink, rmdir, fsync = os.link, os.unlink, os.rmdir, os.fsync


_REAL = _Real
