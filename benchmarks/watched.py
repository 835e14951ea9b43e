"""This program with a watch over its reactor: ``-m benchmarks.watched FILE ...``.

What follows FILE is what twistd takes. For each turn of the reactor that takes longer
than :data:`LONG`, a line of JSON is added to FILE: see :class:`Turn`. That tells apart
what this program does from what the machine does, which a clock alone cannot.
"""

from __future__ import annotations

import json
import os
import select
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attrs import asdict, define, field, frozen

#: Seconds of a turn that is written down.
LONG = 0.004


@frozen
class Turn:
    """From when the reactor has events until it waits for others.

    :ivar began: by the monotonic clock, which all processes of a machine share.
    :ivar took: seconds.
    :ivar worked: for how long of that its thread had a processor.
    :ivar queued: for how long it could have worked, but others had the processors. What
        is left is waiting: for the GIL, which another thread had, or for a disk.
    """

    began: float
    took: float
    worked: float
    queued: float

    @property
    def waited(self) -> float:
        """Seconds for the GIL, or for a disk."""
        return max(self.took - self.worked - self.queued, 0.0)


def turns(file: Path, begin: float, end: float) -> Iterator[Turn]:
    """Read the long turns that began in a span of time."""
    for line in file.read_text().splitlines():
        turn = Turn(**json.loads(line))
        if begin <= turn.began < end:
            yield turn


@define(eq=False)
class _Poll:
    """An epoll that tells how long it was not asked."""

    poller: Any
    output: int
    _scheduled: int = field(init=False)
    _left: tuple[float, int, int] | None = field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        thread = threading.get_native_id()
        name = f"/proc/self/task/{thread}/schedstat"
        self._scheduled = os.open(name, os.O_RDONLY)

    def poll(self, *args: Any) -> list[tuple[int, int]]:
        """See :class:`select.epoll`."""
        self._arrive()
        events: list[tuple[int, int]] = self.poller.poll(*args)
        self._leave()
        return events

    def __getattr__(self, name: str) -> Any:
        return getattr(self.poller, name)

    def _leave(self) -> None:
        self._left = time.monotonic(), *self._schedule()

    def _arrive(self) -> None:
        if self._left is None:
            return
        began, worked, queued = self._left
        took = time.monotonic() - began
        if took > LONG:
            worked_since, queued_since = self._schedule()
            turn = Turn(
                began,
                took,
                (worked_since - worked) / 1e9,
                (queued_since - queued) / 1e9,
            )
            os.write(self.output, json.dumps(asdict(turn)).encode() + b"\n")

    def _schedule(self) -> tuple[int, int]:
        """Read the nanoseconds with a processor, and in the queue for one: proc(5)."""
        worked, queued, _ = os.pread(self._scheduled, 100, 0).split()
        return int(worked), int(queued)


def main() -> None:
    """Run twistd."""
    from twisted.internet import reactor
    from twisted.scripts.twistd import run

    file = sys.argv.pop(1)
    sys.argv[0] = "twistd"
    output = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    poller = reactor._poller  # type: ignore[attr-defined]  # the epoll reactor's own
    assert isinstance(poller, select.epoll)
    reactor._poller = _Poll(poller, output)  # type: ignore[attr-defined]
    run()


if __name__ == "__main__":
    main()
