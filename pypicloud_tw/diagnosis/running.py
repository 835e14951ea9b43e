"""Doing checks: side by side, each within its time, told in their order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from pypicloud_tw.concurrency.side_by_side import all_at_once
from pypicloud_tw.concurrency.waiters import Waiters
from pypicloud_tw.diagnosis.values import Check, Finding, Looked, lines_of, unseen
from pypicloud_tw.errors import PypicloudError

#: Checks that look at the same time.
AT_ONCE = 8

#: Levels by which a check is no ground for another one.
_NO_GROUND = frozenset({"fault", "unseen"})


@define(eq=False)
class Round:
    """Does the checks of one diagnosis."""

    checks: Sequence[Check]
    clock: IReactorTime
    _found: dict[str, Sequence[Finding]] = field(factory=dict, init=False)
    _waiters: dict[str, Waiters[None]] = field(factory=dict, init=False)
    _turns: DeferredSemaphore = field(
        factory=lambda: DeferredSemaphore(AT_ONCE), init=False
    )
    _log = Logger()

    async def run(self) -> list[Looked]:
        """Do all of them; whatever fails becomes a line."""
        self._waiters = {check.name: Waiters() for check in self.checks}
        await all_at_once(map(self._do, self.checks))
        return [
            line
            for check in self.checks
            for line in lines_of(check.name, self._found[check.name])
        ]

    async def _do(self, check: Check) -> None:
        found = await self._looked(check)
        self._found[check.name] = found
        self._waiters[check.name].answer(None)

    async def _looked(self, check: Check) -> Sequence[Finding]:
        if check.needs is not None:
            if check.needs not in self._found:
                await self._waiters[check.needs].wait()
            if any(one.level in _NO_GROUND for one in self._found[check.needs]):
                return [unseen(f"It makes no sense before {check.needs} is right.")]
        await self._turns.acquire()
        try:
            return await self._look(check)
        finally:
            self._turns.release()

    async def _look(self, check: Check) -> Sequence[Finding]:
        looking = Deferred.fromCoroutine(_listed(check))
        looking.addTimeout(check.patience, self.clock)
        try:
            return await looking
        except DeferredTimeout:
            return [unseen(f"There was no answer within {check.patience:g} s.")]
        except CancelledError:
            return [unseen("It was given up.")]  # the command was interrupted
        except PypicloudError as e:
            return [unseen(e.message)]
        except OSError as e:
            where = "" if e.filename is None else f"{e.filename}: "
            return [unseen(f"{where}{e.strerror or type(e).__name__}.")]
        except Exception as e:
            # Its text is left out: it may hold anything.
            self._log.failure("The check {check} failed.", check=check.name)
            return [unseen(f"The check itself failed ({type(e).__name__}).")]


async def _listed(check: Check) -> Sequence[Finding]:
    return list(await check.look())


async def run_checks(checks: Iterable[Check], clock: IReactorTime) -> list[Looked]:
    """Do checks side by side; their lines come in the order of the checks.

    A check may need only what stands before it, so that none waits in a circle.
    """
    return await Round(tuple(checks), clock).run()
