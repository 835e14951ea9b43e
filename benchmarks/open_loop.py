"""Requests at a fixed rate over kept connections, whatever becomes of the answers.

``python -m benchmarks.open_loop PORT CONNECTIONS RATE FILE``, a process of its own that
:func:`asking` starts; FILE has the requests, each with a NUL behind it. When standard
input ends, it writes what the answers took, in milliseconds, as JSON.

A client that waits for an answer before it asks again asks less while the server stands
still, and so hardly notices it. This one does not wait. A request's time ends when the
kernel has its answer's last piece (SO_TIMESTAMPNS, socket(7)): how late this process
comes to read it does not matter.
"""

from __future__ import annotations

import json
import re
import select
import socket
import struct
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

from attrs import define, field

# socket(7) and asm-generic/socket.h; Python has no names for it.
_SO_TIMESTAMPNS = 35
_TIMESPEC = struct.Struct("@qq")

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_PIECE = 256 * 1024


@define
class Asked:
    """What came of it.

    :ivar waits: milliseconds, in order of their length.
    :ivar unanswered: requests for which no connection was free: all waited for answers.
    """

    waits: list[float] = field(factory=list)
    unanswered: int = 0

    def part(self, of_thousand: int) -> float:
        """Tell how long so many of a thousand took at most."""
        return self.waits[
            min(len(self.waits) * of_thousand // 1000, -1 % len(self.waits))
        ]


@contextmanager
def asking(
    folder: Path, port: int, requests: Iterable[bytes], *, connections: int, rate: float
) -> Iterator[Asked]:
    """Ask while the block runs; what is given is filled in at its end.

    :raises RuntimeError: the process failed, or got something else than pages.
    """
    file = folder / "open-loop"
    file.write_bytes(b"".join(request + b"\0" for request in requests))
    words = [str(port), str(connections), str(rate), str(file)]
    asked = Asked()
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.open_loop", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()  # it has its connections
        yield asked
    finally:
        output, _ = process.communicate(timeout=60)
    if process.returncode:
        raise RuntimeError("The client with the fixed rate failed.")
    told = json.loads(output)
    asked.waits, asked.unanswered = sorted(told["waits"]), told["unanswered"]


@define(eq=False)
class _Connection:
    """One connection; *asked* is when it was asked what it has not answered yet."""

    socket: socket.socket
    asked: float = 0.0
    received: bytearray = field(factory=bytearray)
    expected: int = 0

    @classmethod
    def open(cls, port: int) -> _Connection:
        """Connect."""
        connected = socket.create_connection(("127.0.0.1", port), timeout=60)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connected.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        return cls(connected)

    def ask(self, request: bytes) -> None:
        """Send a request."""
        self.asked = time.time()
        self.socket.sendall(request)

    def read(self) -> float | None:
        """Read; if that was the end of the answer, tell the seconds that it took.

        :raises RuntimeError: it is not a page.
        """
        data, marks, _, _ = self.socket.recvmsg(_PIECE, 64)
        if not data:
            raise RuntimeError("The server closed a connection.")
        self.received += data
        if not self.expected:
            self.expected = self._whole()
        if not self.expected or len(self.received) < self.expected:
            return None
        self.received.clear()
        self.expected = 0
        return _arrived(marks) - self.asked

    def _whole(self) -> int:
        head, end, _ = bytes(self.received).partition(b"\r\n\r\n")
        if not end:
            return 0
        length = _LENGTH.search(head)
        if not head.startswith(b"HTTP/1.1 200 ") or length is None:
            raise RuntimeError(f"This is no page: {head[:200]!r}")
        return len(head) + len(end) + int(length[1])


def _arrived(marks: list[tuple[int, int, bytes]]) -> float:
    for level, kind, data in marks:
        if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS):
            seconds, nanoseconds = _TIMESPEC.unpack(data)
            return int(seconds) + int(nanoseconds) / 1e9
    return time.time()


def ask(port: int, connections: int, rate: float, requests: list[bytes]) -> Asked:
    """Ask until standard input ends."""
    asked, poll, over = Asked(), select.epoll(), sys.stdin.fileno()
    free = deque(_Connection.open(port) for _ in range(connections))
    by_number = {one.socket.fileno(): one for one in free}
    for number in (over, *by_number):
        poll.register(number, select.EPOLLIN)
    print("ready", flush=True)
    endless, due = cycle(requests), time.monotonic()
    while True:
        for number, _ in poll.poll(max(due - time.monotonic(), 0)):
            if number == over:
                return asked
            took = by_number[number].read()
            if took is not None:
                asked.waits.append(took * 1000)
                free.append(by_number[number])
        while due <= time.monotonic():
            due += 1 / rate
            if free:
                free.popleft().ask(next(endless))
            else:
                asked.unanswered += 1


def main() -> None:
    """Ask, and write what came of it."""
    port, connections, rate, file = sys.argv[1:]
    requests = Path(file).read_bytes().split(b"\0")[:-1]
    asked = ask(int(port), int(connections), float(rate), requests)
    told: dict[str, Any] = {"waits": asked.waits, "unanswered": asked.unanswered}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
