"""Becomes the first process of a container; see :mod:`.container`.

    unshare --mount --pid --net --fork python inside.py DESCRIPTION

It needs nothing but the standard library.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

_DEVICES = ("null", "zero", "full", "random", "urandom")

#: Linux's names: of an interface's flags, and of what keeps a process from more rights.
_SIOCSIFFLAGS, _IFF_UP, _PR_SET_NO_NEW_PRIVS = 0x8914, 1, 38


def main(told: dict[str, Any]) -> None:
    """Enter the file system, as the user, and run the command."""
    _raise_loopback()
    root = Path(told["root"])
    _mount("--bind", str(root), str(root))
    _mount("--bind", told["data"], str(root / "data"))
    _mount("-t", "proc", "proc", str(root / "proc"))
    _mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", str(root / "dev"))
    for name in _DEVICES:
        (root / "dev" / name).touch()
        _mount("--bind", f"/dev/{name}", str(root / "dev" / name))
    (root / "dev" / "shm").mkdir(mode=0o1777)
    _mount("-o", "remount,bind,ro", str(root))
    os.chroot(root)
    os.chdir(told["cwd"])
    os.setgroups([])
    os.setgid(told["gid"])
    os.setuid(told["uid"])
    ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    os.execvpe(told["command"][0], told["command"], told["environment"])


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sh", b"lo", _IFF_UP) + bytes(14)
        fcntl.ioctl(control, _SIOCSIFFLAGS, request)


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
