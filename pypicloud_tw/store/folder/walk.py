"""Listing a folder: what is short in a thread, the rest of what is long in a helper.

A thread that reads names and states gives up the interpreter's lock at every one, and
waits for it again while the reactor's thread works (decision D6).
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator

from pypicloud_tw.errors import StoreError, Unavailable
from pypicloud_tw.offload.service import IOffload
from pypicloud_tw.store.folder.explain import explained
from pypicloud_tw.store.folder.scan import scan, unpacked
from pypicloud_tw.store.folder.tree import Folder
from pypicloud_tw.store.folder.walker import Walker
from pypicloud_tw.store.interfaces import ObjectInfo, Unlisted, enter
from pypicloud_tw.store.keys import key_order, key_segments

#: Seconds of a thread's turn: threads that work in Python for longer than the
#: interpreter's switch interval (5 ms) slow the reactor's thread to a crawl.
TURN = 0.002

#: Turns after which a listing is long. A helper takes 0.2 s to start.
SHORT = 20


async def walk(
    folder: Folder,
    offload: IOffload,
    prefix: str,
    after: str,
    unlisted: Callable[[Unlisted], None] | None = None,
    skip: Callable[[str], bool] = enter,
    short: int = SHORT,
) -> AsyncIterator[ObjectInfo]:
    """List every object whose key begins with *prefix* and is above *after*.

    :param unlisted: see :meth:`.interfaces.IObjectStore.list`; called in a thread,
        as *skip* is.
    :param short: turns that are taken before it counts as long.
    :raises StoreError: a folder cannot be read; what is in it is not absent.
    """
    start = prefix.rpartition("/")[0]
    try:
        segments = key_segments(start) if start else ()
    except StoreError:
        # There are no such keys, so there is nothing to tell of.
        return
    tell = None if unlisted is None else _Once(unlisted)
    walker = Walker(folder, key_order(prefix), key_order(after), tell, skip)
    # Never closed by hand: a listing may be given up while a thread is at work in it.
    steps = walker.below(segments)
    for _ in range(short):
        piece, over = await offload.in_thread(_turn, folder, steps)
        for info in piece:
            yield info
        if over:
            return
    async for info in _apart(walker, offload, segments, tell):
        yield info


async def _apart(
    walker: Walker,
    offload: IOffload,
    segments: tuple[bytes, ...],
    tell: Callable[[Unlisted], None] | None,
) -> AsyncIterator[ObjectInfo]:
    """Go on in a helper, from where a walk has come to."""
    reached: bytes | None = walker.reached
    while reached is not None:
        question = walker.folder.beside, segments, walker.prefix, reached
        try:
            scanned = await offload.in_process(
                scan, *question, tell is not None, walker.skip
            )
        except Unavailable as e:
            raise StoreError(e.message) from e
        for what in scanned.unlisted:
            assert tell is not None, "nobody asked for these"
            tell(what)
        for packed in scanned.packed:
            for info in await offload.in_thread(unpacked, packed):
                yield info
        reached = scanned.reached


class _Once:
    """Tells everything once: who goes on in a folder sees all that is in it again."""

    def __init__(self, tell: Callable[[Unlisted], None]) -> None:
        self._tell = tell
        self._told: set[Unlisted] = set()

    def __call__(self, what: Unlisted) -> None:
        if what not in self._told:
            self._told.add(what)
            self._tell(what)


def _turn(
    folder: Folder, steps: Iterator[ObjectInfo | None]
) -> tuple[list[ObjectInfo], bool]:
    """Walk on for a short while; tell what was found, and whether that is the end."""
    found: list[ObjectInfo] = []
    until = time.monotonic() + TURN
    with explained(folder.path):
        for step in steps:
            if step is not None:
                found.append(step)
            if time.monotonic() > until:
                return found, False
    return found, True
