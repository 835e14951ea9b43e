"""Locks on objects that hold between processes.

They are files below ``.locks``, locked by flock: the kernel lets go of one however its
process ends. Opened for each change anew, they exclude threads of one process, too.
"""

from __future__ import annotations

import fcntl
import os
import time
from hashlib import sha256
from pathlib import Path

from pypicloud_tw.errors import StoreError
from pypicloud_tw.store.folder.owner import entrust, make_folder

#: Lock files, shared by keys: an object of its own each would never be removed. Keys
#: that share one only wait for each other; nothing takes two.
STRIPES = 256
#: Seconds until a lock that another process holds is given up, and between tries.
LOCK_PATIENCE, LOCK_PAUSE = 30.0, 0.002


def stripe(key: str) -> int:
    """Return the lock file that guards an object; the same in all processes."""
    return sha256(key.encode()).digest()[0] % STRIPES


def open_lock(root: int, number: int) -> int:
    """Open a lock file of the store's opened folder, made where it is missing."""
    state = os.fstat(root)
    locks = make_folder(root, ".locks", state)
    name = f"{number:02x}"
    try:
        return _open_lock(locks, name, state)
    except PermissionError:
        # Another user made it: to lock a file it is enough to read it.
        return os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=locks)
    finally:
        os.close(locks)


def _open_lock(locks: int, name: str, root: os.stat_result) -> int:
    flags = os.O_RDWR | os.O_NOFOLLOW
    try:
        return os.open(name, flags, dir_fd=locks)
    except FileNotFoundError:
        flags |= os.O_CREAT  # once in the life of a store
    try:
        lock = os.open(name, flags | os.O_EXCL, 0o644, dir_fd=locks)
    except FileExistsError:
        return os.open(name, flags, 0o644, dir_fd=locks)
    entrust(lock, root)
    return lock


def wait_for_lock(lock: int, folder: Path) -> None:
    """Wait in this thread, but not for ever: a stopped process may hold the lock."""
    give_up = time.monotonic() + LOCK_PATIENCE
    pause = LOCK_PAUSE
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > give_up:
                raise StoreError(
                    f"Another process has held a lock in {folder}/.locks for "
                    f"{LOCK_PATIENCE:.0f} s: see whether one hangs."
                ) from None
            time.sleep(pause)
            pause = min(2 * pause, 0.05)
        else:
            return
