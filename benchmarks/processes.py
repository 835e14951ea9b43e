"""What the processes of a server take: all that it has started count as it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")

#: The ``stat`` of a process that has ended.
_NONE = ") " + "0 " * 20


def worked(pid: int) -> float:
    """Tell the processor's seconds, user's and system's, of a process and its children.

    Those of children that have ended are in their parents' sums.
    """
    return sum(_ticks(one) for one in tree(pid)) / _TICKS


def worked_alone(pid: int) -> float:
    """Tell the same of a process without its children."""
    return alone_of(_read(_PROC / str(pid) / "stat") or _NONE) / _TICKS


def highest(pid: int) -> int:
    """Tell the bytes that a process and its children had resident at most.

    It is the sum of what each had at most, be it at different times; what they share is
    counted for each of them.
    """
    return sum(_highest(one) for one in tree(pid))


def tree(pid: int) -> Iterator[int]:
    """Give a process and all below it."""
    yield pid
    for child in _children(pid):
        yield from tree(child)


def ticks_of(stat: str) -> int:
    """Read utime, stime, cutime and cstime of a ``/proc/PID/stat``, proc(5)."""
    return sum(_times(stat))


def alone_of(stat: str) -> int:
    """Read utime and stime alone."""
    return sum(_times(stat)[:2])


def _times(stat: str) -> list[int]:
    # The name, which is in brackets, may have spaces and brackets in it.
    fields = stat.rpartition(")")[2].split()
    return [int(field) for field in fields[11:15]]


def highest_of(status: str) -> int:
    """Read VmHWM of a ``/proc/PID/status``, in bytes; 0 where there is none."""
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def _ticks(pid: int) -> int:
    return ticks_of(_read(_PROC / str(pid) / "stat") or _NONE)


def _highest(pid: int) -> int:
    return highest_of(_read(_PROC / str(pid) / "status"))


def _children(pid: int) -> list[int]:
    """Ask each thread: whichever started a process is its parent."""
    return [
        int(child)
        for thread in (_PROC / str(pid) / "task").glob("*")
        for child in _read(thread / "children").split()
    ]


def _read(path: Path) -> str:
    """Read a file of a process; nothing, if that has just ended."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
