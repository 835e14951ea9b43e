"""To whom new files and folders of a store's folder belong.

A command that root runs (by cron, to refresh or to yank) works in the folder of a
server that has a user of its own. What root makes there belongs to the owner of the
folder, or that server could neither read nor fill it.
"""

from __future__ import annotations

import os
from contextlib import suppress

#: How to open a folder, and no link to one.
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


def entrust(fd: int, root: os.stat_result) -> None:
    """Give what root has just made, opened, to whom the store's folder belongs.

    :param root: the state of the store's folder.
    """
    if os.geteuid() == 0:
        # File systems without owners, or that do not believe this root, refuse.
        with suppress(OSError):
            os.fchown(fd, root.st_uid, root.st_gid)


def make_folder(
    parent: int, name: bytes | str, root: os.stat_result, mode: int = 0o777
) -> int:
    """Open a folder, made where it is missing.

    :param root: the state of the store's folder.
    :param mode: of a new one, before the umask.
    :raises FileNotFoundError: it was removed at this very moment.
    """
    try:
        return os.open(name, FOLDER, dir_fd=parent)
    except FileNotFoundError:
        pass  # nearly always it is there
    try:
        os.mkdir(name, mode, dir_fd=parent)
    except FileExistsError:
        return os.open(name, FOLDER, dir_fd=parent)
    fd = os.open(name, FOLDER, dir_fd=parent)
    entrust(fd, root)
    return fd
