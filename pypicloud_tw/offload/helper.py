"""A helper process: runs one function of this package at a time (decision D6).

Started by :mod:`~.service` as ``python -m pypicloud_tw.offload.helper BYTES NICENESS``:
so much memory it may use, and so much is added to the server's niceness. On standard
input come frames, an eight-byte big-endian length and then a pickle of ``(module, name,
arguments)``; on standard output go as many, of ``(True, result)`` or ``(False,
exception)``. Both ends are ours, which is why pickles are safe here.

Nothing outside the standard library is imported before it is asked for.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import resource
import signal
import struct
import sys
import threading
import traceback
from collections.abc import Callable
from importlib import import_module
from typing import BinaryIO

PACKAGE = "pypicloud_tw"
HEADER = struct.Struct(">Q")


def frame(value: object) -> bytes:
    """Encode one message, of either direction."""
    data = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    return HEADER.pack(len(data)) + data


def address(function: Callable[..., object]) -> tuple[str, str]:
    """Return a function's module and name, by which a helper finds it.

    :raises TypeError: it is not a module-level function of this package.
    """
    module = getattr(function, "__module__", None) or ""
    name = getattr(function, "__qualname__", "")
    if not _is_ours(module) or not name.isidentifier():
        raise TypeError(f"{function!r} is not a module-level function of {PACKAGE}.")
    return module, name


def resolve(module: str, name: str) -> Callable[..., object]:
    """Find the function that :func:`address` told of.

    :raises TypeError: there is none.
    """
    found = getattr(import_module(module), name, None) if _is_ours(module) else None
    if not callable(found):
        raise TypeError(f"{module}.{name} is not a function of {PACKAGE}.")
    return found  # type: ignore[no-any-return]  # callable() tells no signature


def _is_ours(module: str) -> bool:
    return module.startswith(f"{PACKAGE}.")


def answer(request: bytes) -> bytes:
    """Do what one request asks; the frame that goes back."""
    try:
        module, name, args = pickle.loads(request)  # noqa: S301  from our own parent
        return frame((True, resolve(module, name)(*args)))
    except MemoryError:
        # Where memory is short, whatever is told of it beyond this might fail as well.
        return frame((False, MemoryError()))
    except Exception as error:
        # Source lines only: a message may quote what was being worked on.
        trace = "".join(traceback.format_tb(error.__traceback__))
        error.add_note(f"In a helper process:\n{trace}")
        return frame((False, _portable(error)))


def _portable(error: Exception) -> Exception:
    """Make sure that an exception survives pickling, which many do not."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301  pickled in this very line
    except Exception:
        return RuntimeError(
            f"{type(error).__qualname__} was raised in a helper process, "
            "and cannot be pickled."
        )
    return error


def _read_requests(source: BinaryIO, requests: queue.SimpleQueue[bytes]) -> None:
    """Hand on requests; leave at once, even amid work, when the server is gone."""
    while len(header := source.read(HEADER.size)) == HEADER.size:
        (length,) = HEADER.unpack(header)
        requests.put(source.read(length))
    os._exit(0)


def _be_polite(niceness: int) -> None:
    """Leave signals to the server, which ends us by closing our standard input."""
    # Ctrl-C, a lost terminal and systemd's stop reach the whole group of processes,
    # and the server wants to finish what it has begun.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        os.nice(niceness)


def limit_memory(size: int) -> None:
    """Have every demand for memory fail that would make it more than *size* bytes.

    Python raises MemoryError then. Linux counts what a process may write to and shares
    with nobody (RLIMIT_DATA, getrlimit(2)): unlike its address space, that is what it
    can come to use. Other systems know the address space only, if they know that.
    """
    kind = resource.RLIMIT_DATA if sys.platform == "linux" else resource.RLIMIT_AS
    _, hard = resource.getrlimit(kind)
    with contextlib.suppress(OSError, ValueError):
        soft = size if hard == resource.RLIM_INFINITY else min(size, hard)
        resource.setrlimit(kind, (soft, hard))


def _take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Keep standard input and output for ourselves: others may print and read."""
    source = os.fdopen(os.dup(0), "rb")
    sink = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return source, sink


def main() -> None:
    """Answer requests until standard input ends."""
    _be_polite(int(sys.argv[2]))
    limit_memory(int(sys.argv[1]))
    source, sink = _take_pipes()
    requests: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(
        target=_read_requests, args=(source, requests), daemon=True
    ).start()
    while True:
        reply = answer(requests.get())
        try:
            sink.write(reply)
            sink.flush()
        except OSError:
            sys.exit(0)


if __name__ == "__main__":
    main()
