"""Small files on their way to a helper process: those of one uploader go together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Protocol

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred

from pypicloud_tw.concurrency.pieces import Pieces
from pypicloud_tw.concurrency.steps import Steps
from pypicloud_tw.errors import PypicloudError
from pypicloud_tw.index.taking import Placed, SmallFile, take, take_all
from pypicloud_tw.offload.service import IOffload

#: Files that go together at most, and bytes.
TOGETHER, BYTES = 16, 2**20


class InTurn(Protocol):
    """Does what takes a helper, when it is an uploader's turn."""

    def __call__(
        self, uploader: str | None, work: Callable[[], Awaitable[None]], /
    ) -> Awaitable[None]:
        """Do it.

        :raises Unavailable: this uploader has too many that wait already.
        """


#: Makes a file ready to be sent, for each try anew.
Make = Callable[[], SmallFile]


@define(eq=False)
class _Waiting:
    """A file, and whoever waits for what comes of it.

    :ivar alone: the job that has this file only, while it is under way.
    """

    make: Make
    done: Deferred[Placed] = field(init=False)
    alone: Deferred[Placed] | None = field(default=None, init=False)

    @done.default
    def _nothing_yet(self) -> Deferred[Placed]:
        return Deferred(lambda _: self._give_up())

    def _give_up(self) -> None:
        if self.alone is not None:
            self.alone.cancel()

    def answer(self, outcome: Placed | Exception) -> None:
        """Tell what came of it, if somebody waits still."""
        if self.done.called:
            return
        if isinstance(outcome, Placed):
            self.done.callback(outcome)
        else:
            self.done.errback(outcome)


@define(eq=False)
class _Group:
    """Files of one uploader that wait for its turn."""

    files: list[_Waiting] = field(factory=list)
    size: int = 0

    def has_room(self, size: int) -> bool:
        return len(self.files) < TOGETHER and self.size + size <= BYTES


def _answers(
    files: Sequence[_Waiting], outcomes: Sequence[Placed | Exception]
) -> Steps[None]:
    """Answer each, one by one: 16 that go on with their uploads take 10 to 20 ms."""
    for waiting, outcome in zip(files, outcomes, strict=True):
        waiting.answer(outcome)
        yield


@define(eq=False)
class SmallFiles:
    """Has small files judged and placed.

    Whoever uploads many at once waits once for a turn, and no file of another's is in
    the same job: what one has sent cannot delay or harm another's. Where a job fails as
    a whole, each of its files gets one of its own.
    """

    offload: IOffload
    in_turn: InTurn
    pieces: Pieces
    _groups: dict[str | None, _Group] = field(factory=dict, init=False)

    def take(self, uploader: str | None, size: int, make: Make) -> Deferred[Placed]:
        """Have a file judged, and placed if it is fit; errors as of :func:`.take`.

        :raises Unavailable: this uploader has too many that wait already.
        """
        waiting = _Waiting(make)
        group = self._groups.get(uploader)
        if group is not None and group.has_room(size):
            group.files.append(waiting)
            group.size += size
        else:
            group = self._groups[uploader] = _Group([waiting], size)
            Deferred.fromCoroutine(self._work(uploader, group))
        return waiting.done

    async def _work(self, uploader: str | None, group: _Group) -> None:
        """Wait for a turn, send those that wait by then, and answer them."""
        try:
            await self.in_turn(uploader, partial(self._send, uploader, group))
        except Exception as e:
            self._close(uploader, group)
            for waiting in group.files:
                waiting.answer(e)

    def _close(self, uploader: str | None, group: _Group) -> None:
        if self._groups.get(uploader) is group:
            del self._groups[uploader]

    async def _send(self, uploader: str | None, group: _Group) -> None:
        self._close(uploader, group)
        files = [waiting for waiting in group.files if not waiting.done.called]
        if len(files) > 1 and await self._send_together(files):
            return
        for waiting in files:
            if not waiting.done.called:
                await self._send_alone(waiting)

    async def _send_together(self, files: Sequence[_Waiting]) -> bool:
        """Send several; return whether they were answered."""
        made = [waiting.make() for waiting in files]
        try:
            outcomes = await self.offload.in_process(take_all, made)
        except PypicloudError:
            # One of them took too much, or the helper died over it: which?
            return False
        await self.pieces.finish(_answers(files, outcomes))
        return True

    async def _send_alone(self, waiting: _Waiting) -> None:
        """Send one; nobody looks into what nobody waits for any more."""
        waiting.alone = self.offload.in_process(take, waiting.make())
        try:
            waiting.answer(await waiting.alone)
        except (CancelledError, Exception) as e:
            waiting.answer(e)
        finally:
            waiting.alone = None
