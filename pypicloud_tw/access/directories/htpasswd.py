"""A file of users as Apache's ``htpasswd`` writes it (``auth.htpasswd``)."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from attrs import define, field, frozen
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from pypicloud_tw.concurrency.coalesced import Coalesced
from pypicloud_tw.config.hashes import identify
from pypicloud_tw.config.ini import IniError, lines_of, read_text
from pypicloud_tw.config.sources import user_name_problem
from pypicloud_tw.errors import ConfigError, Unavailable
from pypicloud_tw.offload.service import IOffload

#: No file of users is longer; bytes. It has room for 10,000.
_MAX_FILE = 2**20

#: Seconds after which it is looked at again, when somebody logs in.
_LOOK_EVERY = 1.0

#: Seconds that a look may take, should the file be on a server that is away.
_PATIENCE = 5.0

#: Times that it is read until nobody has changed it meanwhile.
_TRIES = 3

#: Lines that are told of at each reading.
_MOST_TOLD = 20

#: What to do about the hashes of htpasswd that are none any more, by how they begin.
_OLD_KINDS = {"$apr1$": "MD5", "{SHA}": "SHA-1 without salt"}

_RENEW = "Set the password again by 'htpasswd -B FILE {name}'."

#: What tells one state of the file from another.
_State = tuple[int, int, int, int]


@frozen
class Reading:
    """What a file says.

    :ivar hashes: by user name; None where there is none that can be checked, so that
        the name belongs to nobody else.
    :ivar problems: a sentence for each line that makes nobody, without its hash.
    """

    hashes: Mapping[str, str | None] = field(repr=False)
    problems: tuple[str, ...]


def parse_htpasswd(text: str) -> Reading:
    """Read ``name:hash`` lines; empty ones and those that begin with # are skipped.

    What stands behind a second colon is ignored, as Apache does.
    """
    hashes: dict[str, str | None] = {}
    problems = []
    for number, line in enumerate(lines_of(text), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, colon, rest = line.partition(":")
        hashed = rest.partition(":")[0].strip()
        problem = _problem(name, hashed) if colon else "there is no colon in it."
        if name in hashes and colon:
            # Apache takes the first; we take neither for the other's.
            problem = f"{name[:80]!a} is there twice; the first counts."
        elif colon and user_name_problem(name) is None:
            hashes[name] = None if problem else hashed
        if problem:
            problems.append(f"line {number}: {problem}")
    return Reading(hashes, tuple(problems))


def _problem(name: str, hashed: str) -> str | None:
    problem = user_name_problem(name)
    if problem is not None:
        return f"{name[:80]!a}: {problem}"
    if identify(hashed) is not None:
        return None
    kind = next((_OLD_KINDS[b] for b in _OLD_KINDS if hashed.startswith(b)), None)
    why = f"is {kind}, which is too weak" if kind else "is of no kind that works here"
    return f"the hash of {name[:80]!r} {why}. {_RENEW.format(name=name[:80])}"


def _look(path: Path) -> _State:
    status = os.stat(path)
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _read(path: Path) -> tuple[_State, Reading]:
    """Read it, and the state that it was in; half of a change is not taken for users.

    :raises IniError: it cannot be read, or somebody writes it again and again.
    """
    for _ in range(_TRIES):
        state = _look(path)
        text = read_text(path, _MAX_FILE)
        if _look(path) == state:
            return state, parse_htpasswd(text)
    raise IniError("it changes while it is read.")


@define(eq=False)
class Htpasswd:
    """Keeps what is known of a file's users fresh.

    :ivar path: of the file.
    :ivar update: is given the users of each new reading.
    """

    path: Path
    update: Callable[[Mapping[str, str | None]], None]
    offload: IOffload
    clock: IReactorTime
    _state: _State | None = field(default=None, init=False)
    _looked: float = field(default=float("-inf"), init=False)
    _began: float | None = field(default=None, init=False)
    _told: str = field(default="", init=False)
    _looks: Coalesced[None] = field(factory=Coalesced, init=False)
    _log = Logger()

    @property
    def fresh(self) -> bool:
        """Whether it was looked at just now, or cannot be: then nobody waits for it."""
        now = self.clock.seconds()
        hangs = self._began is not None and now - self._began >= _PATIENCE
        # The clock may have been set back.
        return hangs or 0 <= now - self._looked < _LOOK_EVERY

    def load(self) -> None:
        """Read it here and now, before anything is served.

        :raises ConfigError: it cannot be read.
        """
        result = self._attempt()
        if isinstance(result, str):
            raise ConfigError([f"auth.htpasswd = {self.path}: {result}"])
        self._apply(result)

    async def freshen(self) -> None:
        """Look whether it has changed, unless that was done just now; never fails."""
        if self.fresh:
            return
        looking = self._looks.ask("", self._look_again)
        try:
            await looking.addTimeout(_PATIENCE, self.clock)
        except DeferredTimeout:
            self._apply(f"it is not read within {_PATIENCE:g} s.")

    def reload(self) -> None:
        """Read it when it is needed next, whether or not it seems to have changed."""
        self._state, self._looked = None, float("-inf")

    async def _look_again(self) -> None:
        self._began = self.clock.seconds()
        try:
            self._apply(await self.offload.in_thread(self._attempt))
        except Unavailable:
            return  # the server stops
        finally:
            self._began = None
            self._looked = self.clock.seconds()

    def _attempt(self) -> tuple[_State, Reading] | str | None:
        """Read it if it has changed; in a thread. A text tells why that failed."""
        try:
            return None if _look(self.path) == self._state else _read(self.path)
        except IniError as e:
            return str(e)
        except OSError as e:
            return f"{e.strerror}."

    def _apply(self, result: tuple[_State, Reading] | str | None) -> None:
        if isinstance(result, str):
            if result != self._told:
                self._log.error(
                    "auth.htpasswd = {path}: {why} The users of before stay.",
                    path=str(self.path),
                    why=result,
                )
            self._told = result
        elif result is not None:
            self._told = ""
            self._state, reading = result
            self._tell(reading)
            self.update(reading.hashes)

    def _tell(self, reading: Reading) -> None:
        for problem in reading.problems[:_MOST_TOLD]:
            self._log.error(
                "auth.htpasswd = {path}, {problem}",
                path=str(self.path),
                problem=problem,
            )
        if len(reading.problems) > _MOST_TOLD:
            self._log.error("auth.htpasswd: {n} lines in all.", n=len(reading.problems))
        self._log.info("auth.htpasswd has {n} users.", n=len(reading.hashes))
