"""What an operating system's errors mean for a store in a folder."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pypicloud_tw.errors import InsufficientStorage, PypicloudError, StoreError
from pypicloud_tw.store.no_room import NO_ROOM

#: Errors of a look-up that prove that there is no such object: not there, below a
#: file, below or at a symbolic link (which is never followed), or too long to be there.
ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG})

_ADVICE = {
    errno.EACCES: "give the user that runs the server (uid {uid}) the right to it",
    errno.EPERM: "give the user that runs the server (uid {uid}) the right to it",
    errno.EROFS: "mount its file system for writing, or set storage.dir to another",
    errno.ENOENT: "see whether its disk is mounted, and start the server again",
    errno.ENOTDIR: "a file or a symbolic link lies where a folder is needed",
    errno.EISDIR: "a folder lies where a file is needed",
    errno.EMFILE: "raise the limit of open files of the server (ulimit -n)",
    errno.ENFILE: "raise the limit of open files of the system (fs.file-max)",
    errno.ENAMETOOLONG: "its file system does not take names as long as this",
    errno.ESTALE: "its file server has lost it; mount it again",
    errno.EIO: "look after its disk",
    errno.ENOLCK: "its file system has no locks (flock); set storage.dir to another",
}


def folder_error(error: OSError, folder: Path) -> PypicloudError:
    """Say what failed and what to do, naming the store's folder and nothing below it.

    The key is left out: it comes from outside and may carry control characters.
    """
    if error.errno in NO_ROOM:
        return InsufficientStorage(
            f"There is no room left on the disk of the store's folder {folder}; its "
            "operator can free space there."
        )
    reason = os.strerror(error.errno) if error.errno else type(error).__name__
    advice = _ADVICE.get(error.errno or 0, "look after its file system")
    return StoreError(
        f"The store's folder {folder} failed ({reason}): "
        f"{advice.format(uid=os.geteuid())}."
    )


def unreadable(what: str, folder: Path) -> str:
    """Say that something in the store's folder belongs to somebody else."""
    return (
        f"{what} in the store's folder {folder} cannot be read by the user that runs "
        f"the server (uid {os.geteuid()}); give it the right to."
    )


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Turn every error of the operating system into one that can be shown."""
    try:
        yield
    except OSError as e:
        raise folder_error(e, folder) from e
