"""Writes of small objects that wait together and share the way to a thread.

What is shared is the way there and back, and the sync of a folder into which several of
them go: that makes the names of all of them durable (a group commit).
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from typing import ParamSpec, TypeVar

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from pypicloud_tw.errors import PypicloudError
from pypicloud_tw.offload.service import IOffload
from pypicloud_tw.store.folder.scratch import Draft
from pypicloud_tw.store.folder.tree import Folder
from pypicloud_tw.store.folder.walker import object_info
from pypicloud_tw.store.interfaces import Condition, ObjectInfo

P = ParamSpec("P")
T = TypeVar("T")

#: Writes that go together at most, and bytes; what is larger goes alone.
TOGETHER, BYTES = 32, 2**20

#: Groups that are under way: while one waits for the disk, the next is written.
AT_ONCE = 2


@frozen
class Write:
    """One object that is to be written; see :meth:`.IObjectStore.put`."""

    key: str
    data: bytes = field(repr=False)
    condition: Condition = None
    durable: bool = True


Error = PypicloudError | OSError
#: What came of a write: what is there now, or why it is not.
Outcome = ObjectInfo | Error


@define(eq=False)
class GroupWriter:
    """One process's writes of small objects into a folder.

    :ivar draft: begins a file below ``.tmp``, in a thread.
    """

    folder: Folder
    draft: Callable[[], Draft]
    offload: IOffload = field(repr=False)
    _waiting: deque[tuple[Write, Deferred[ObjectInfo]]] = field(
        factory=deque, init=False, repr=False
    )
    _groups: int = field(default=0, init=False)

    def write(self, write: Write) -> Deferred[ObjectInfo]:
        """Write an object with those that wait; whoever stops waiting stops nothing."""
        done: Deferred[ObjectInfo] = Deferred()
        self._waiting.append((write, done))
        self._feed()
        return done

    def _feed(self) -> None:
        while self._waiting and self._groups < AT_ONCE:
            group = self._next_group()
            self._groups += 1
            writes = [write for write, _ in group]
            work = self.offload.in_thread(write_all, self.folder, self.draft, writes)
            work.addBoth(self._end, [done for _, done in group])

    def _next_group(self) -> list[tuple[Write, Deferred[ObjectInfo]]]:
        group = [self._waiting.popleft()]
        size = len(group[0][0].data)
        while self._waiting and len(group) < TOGETHER:
            size += len(self._waiting[0][0].data)
            if size > BYTES:
                break
            group.append(self._waiting.popleft())
        return group

    def _end(
        self,
        outcomes: Sequence[Outcome] | Failure,
        waiting: Sequence[Deferred[ObjectInfo]],
    ) -> None:
        self._groups -= 1
        self._feed()
        for number, done in enumerate(waiting):
            outcome = outcomes if isinstance(outcomes, Failure) else outcomes[number]
            if done.called:
                continue
            if isinstance(outcome, ObjectInfo):
                done.callback(outcome)
            else:
                done.errback(outcome)


def write_all(
    folder: Folder, begin: Callable[[], Draft], writes: Iterable[Write]
) -> list[Outcome]:
    """Write several objects, in a thread; each has an outcome of its own.

    :raises StoreError: the folder is not the one that it was.
    """
    with folder.opened(()), ExitStack() as stack:
        prepared = [
            (write, _attempt(_prepare, folder, begin, write, stack)) for write in writes
        ]
        named = [
            draft
            if isinstance(draft, Exception)
            else _attempt(_give_name, folder, draft, write, stack)
            for write, draft in prepared
        ]
        return _made_sure(folder, named)


@frozen
class _Named:
    """An object that can be seen.

    :ivar parent: the folder that it is in, opened, and which that is.
    """

    info: ObjectInfo
    durable: bool
    parent: int
    place: tuple[int, int]


def _attempt(step: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | Error:
    try:
        return step(*args, **kwargs)
    except (PypicloudError, OSError) as e:
        return e


def _prepare(
    folder: Folder, begin: Callable[[], Draft], write: Write, stack: ExitStack
) -> Draft:
    draft = begin()
    stack.callback(draft.discard)
    draft.file.write(write.data)
    draft.file.flush()
    folder.make_ready(draft, write.key, durable=write.durable)
    return draft


def _give_name(folder: Folder, draft: Draft, write: Write, stack: ExitStack) -> _Named:
    parent = folder.give_name(draft, write.key, write.condition, durable=write.durable)
    stack.callback(os.close, parent)
    there, info = os.fstat(parent), object_info(write.key, draft.state)
    return _Named(info, write.durable, parent, (there.st_dev, there.st_ino))


def _made_sure(folder: Folder, named: Sequence[_Named | Error]) -> list[Outcome]:
    """Sync each folder in which objects have got their names, once."""
    seen = [one for one in named if isinstance(one, _Named)]
    folders = {one.place: one.parent for one in seen if one.durable}
    synced = {place: _attempt(folder.make_sure, fd) for place, fd in folders.items()}
    return [
        (one.durable and synced[one.place]) or one.info
        if isinstance(one, _Named)
        else one
        for one in named
    ]
