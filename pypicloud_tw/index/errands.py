"""Commands for a store that only one process may write to (DESIGN.md D1).

Where conditional writes are not honoured, a command leaves all changes to the process
that holds the lease: it puts an errand into the store, that process does it, and what
it has to say lies beside it in numbered pieces, of which none is written twice. Whoever
may write to the store may give errands; there is nothing else to be opened or kept.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from io import StringIO
from secrets import token_hex
from typing import Any, TextIO

from attrs import asdict, define, field, frozen
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger

from pypicloud_tw.errors import ObjectNotFound, PypicloudError, StoreError, Unavailable
from pypicloud_tw.store.interfaces import IObjectStore

PREFIX = ".errands/"

#: Seconds between two looks for errands, and between two pieces of what is said.
LOOK_EVERY, SAY_EVERY = 2.0, 1.0

#: Seconds of silence after which an empty piece tells that the work goes on, and after
#: which whoever waits gives up.
ALIVE_EVERY, PATIENCE = 20.0, 90.0

#: Seconds after which what nobody came for is removed.
FORGOTTEN = 3600.0

#: Bytes that an errand may have.
_LONGEST = 64 * 1024

#: Does a command with its arguments, and writes what it has to say to the two streams;
#: gives the exit code.
Do = Callable[[str, Mapping[str, Any], TextIO, TextIO], Awaitable[int]]


@frozen
class Errand:
    """What is to be done.

    :ivar arguments: the command's, by name; what JSON can say.
    """

    command: str
    arguments: Mapping[str, Any] = field(factory=dict)


@frozen
class Piece:
    """Some of what was said.

    :ivar out: for standard output; *err* likewise.
    :ivar code: the exit code, in the last piece.
    """

    out: str = ""
    err: str = ""
    code: int | None = None


def _encode(message: Errand | Piece) -> bytes:
    return json.dumps({"_format": 1, **asdict(message)}).encode()


@define
class Errands:
    """The side of the process that may write.

    :ivar may: tells whether that is still so.
    """

    store: IObjectStore
    clock: IReactorTime
    do: Do = field(repr=False)
    may: Callable[[], bool] = field(repr=False)
    _loop: LoopingCall | None = field(default=None, init=False)
    _working: set[Deferred[None]] = field(factory=set, init=False)
    # A listing may show for a while what was removed.
    _taken: deque[str] = field(factory=lambda: deque(maxlen=256), init=False)
    _seen: dict[str, float] = field(factory=dict, init=False)
    _log = Logger()

    def start(self) -> None:
        """Look for errands from time to time."""
        self._loop = LoopingCall(lambda: Deferred.fromCoroutine(self._look()))
        self._loop.clock = self.clock
        self._loop.start(LOOK_EVERY, now=False)

    async def stop(self) -> None:
        """Break off what is being done, and tell those who wait for it."""
        if self._loop is not None and self._loop.running:
            self._loop.stop()
        working = list(self._working)
        for one in working:
            one.cancel()
        await DeferredList(working)

    async def _look(self) -> None:
        if not self.may():
            return
        try:
            await self._look_once()
        except PypicloudError as e:
            self._log.warn("Errands could not be looked for: {error}", error=e.message)

    async def _look_once(self) -> None:
        now = self.clock.seconds()
        keys = [info.key async for info in self.store.list(PREFIX)]
        self._seen = {key: self._seen.get(key, now) for key in keys}
        for key in keys:
            if now - self._seen[key] >= FORGOTTEN:
                await self.store.delete(key)
            elif "." not in key.removeprefix(PREFIX) and key not in self._taken:
                self._taken.append(key)
                self._begin(key)

    def _begin(self, key: str) -> None:
        working = Deferred.fromCoroutine(self._run(key))
        self._working.add(working)
        working.addErrback(
            lambda failure: self._log.failure("An errand was not done", failure)
        )
        working.addBoth(lambda _: self._working.discard(working))

    async def _run(self, key: str) -> None:
        try:
            stored = await self.store.get(key, limit=_LONGEST)
            await self.store.delete(key)
        except ObjectNotFound:
            return  # thought better of
        assert stored is not None, "it was not asked for conditionally"
        await _Run(self, key).through(stored.data)


@define
class _Run:
    """One errand on its way.

    :ivar number: of the next piece.
    :ivar told: when the last one was written.
    """

    errands: Errands
    key: str
    out: StringIO = field(factory=StringIO, init=False)
    err: StringIO = field(factory=StringIO, init=False)
    number: int = field(default=1, init=False)
    told: float = field(default=float("-inf"), init=False)
    code: int | None = field(default=None, init=False)
    _log = Logger()

    async def through(self, data: bytes) -> None:
        """Do it to its end, and say how it goes."""
        clock = self.errands.clock
        working = Deferred.fromCoroutine(self._work(data))
        try:
            while self.code is None:
                await self._say()
                await deferLater(clock, SAY_EVERY)
            await self._say()
        except CancelledError:
            working.cancel()
            self.err.write("pypicloud: The server ended meanwhile; repeat this.\n")
            self.code = 1
            await self._say()
        except StoreError:
            working.cancel()
            raise

    async def _work(self, data: bytes) -> None:
        code = 1
        try:
            errand = _understood(data)
            self._log.info(
                "Doing for a command: {command} {arguments}",
                command=errand.command,
                arguments=errand.arguments,
            )
            code = await self.errands.do(
                errand.command, errand.arguments, self.out, self.err
            )
        except PypicloudError as e:
            self.err.write(f"pypicloud: {e.message}\n")
        except CancelledError:
            pass  # whoever breaks it off says why
        except Exception:
            self._log.failure("An errand failed")
            self.err.write("pypicloud: The server failed; its log tells why.\n")
        finally:
            self.code = code

    async def _say(self) -> None:
        now = self.errands.clock.seconds()
        piece = Piece(_taken(self.out), _taken(self.err), self.code)
        if piece == Piece() and now - self.told < ALIVE_EVERY:
            return
        self.told = now
        place = f"{self.key}.{self.number}"
        self.number += 1
        await self.errands.store.put(
            place, _encode(piece), content_type="application/json"
        )


def _understood(data: bytes) -> Errand:
    try:
        document = json.loads(data)
        return Errand(str(document["command"]), dict(document["arguments"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Unavailable("The server cannot read what it shall do.") from None


def _taken(stream: StringIO) -> str:
    text = stream.getvalue()
    stream.seek(0)
    stream.truncate()
    return text


@define
class Asking:
    """The side of a command.

    :ivar free: tells whether the store is ours to change after all.
    """

    store: IObjectStore
    clock: IReactorTime
    free: Callable[[], bool]
    out: TextIO
    err: TextIO

    async def have_done(self, errand: Errand) -> int | None:
        """Have the process that may write do it, and pass on what it says.

        :return: the exit code; None if that process has ended and nothing was done.
        :raises Unavailable: nobody answers.
        """
        key = f"{PREFIX}{token_hex(16)}"
        await self.store.put(key, _encode(errand), content_type="application/json")
        try:
            return await self._listen(key)
        finally:
            with suppress(PypicloudError):
                await self.store.delete(key)

    async def _listen(self, key: str) -> int | None:
        number, heard = 1, self.clock.seconds()
        while True:
            piece = await self._piece(f"{key}.{number}")
            if piece is not None:
                self.out.write(piece.out)
                self.err.write(piece.err)
                self.out.flush()
                if piece.code is not None:
                    return piece.code
                number, heard = number + 1, self.clock.seconds()
                continue
            if number == 1 and self.free():
                return None
            if self.clock.seconds() - heard > PATIENCE:
                raise Unavailable(
                    "The process that writes to this bucket does not answer: see "
                    "whether it is of this version, or end it and try again."
                )
            await deferLater(self.clock, SAY_EVERY)

    async def _piece(self, key: str) -> Piece | None:
        try:
            stored = await self.store.get(key)
        except ObjectNotFound:
            return None
        assert stored is not None, "it was not asked for conditionally"
        await self.store.delete(key)
        document = json.loads(stored.data)
        return Piece(document["out"], document["err"], document["code"])
