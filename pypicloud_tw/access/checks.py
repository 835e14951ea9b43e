"""Password checks in threads and helper processes, a few at a time."""

from __future__ import annotations

from hashlib import blake2b

from attrs import field, frozen
from twisted.logger import Logger

from pypicloud_tw.access.hashes import PURE_PYTHON, HashingError, verify
from pypicloud_tw.concurrency.fair_queue import ANYBODY, Asker, FairQueue
from pypicloud_tw.errors import Unavailable
from pypicloud_tw.offload.service import IOffload


@frozen
class StoredPassword:
    """One user's hash, and where it is computed.

    :ivar rank: of the hash; nobody else can know it.
    """

    scheme: str
    hash: str = field(repr=False)
    rank: bytes = field(init=False, repr=False, eq=False)

    @rank.default
    def _make_rank(self) -> bytes:
        return blake2b(self.hash.encode()).digest()


class Checks:
    """A few password checks at a time, behind a bounded, fair queue.

    :param offload: where they run: in threads, and in a helper process what is pure
        Python.
    :param at_once: checks at a time, of either kind. Two of argon2 take 38 MiB.
    :param queue: at most so many of either kind wait; who has the most is refused.
    """

    _log = Logger()

    def __init__(self, offload: IOffload, *, at_once: int = 2, queue: int = 64) -> None:
        self._offload = offload
        # Two of them: threads are not kept waiting by helpers. A flood of log-ins
        # never has more than its two calls in the helpers' own queue.
        self._threads = FairQueue(at_once, queue)
        self._processes = FairQueue(at_once, queue)

    async def verify(
        self, password: str, stored: StoredPassword, asker: Asker = ANYBODY
    ) -> bool:
        """Whether a password is the one that was hashed.

        :raises QueueFullError: too many wait already.
        :raises Unavailable: it could not be computed.
        """
        if stored.scheme in PURE_PYTHON:
            turns, run = self._processes, self._offload.in_process
        else:
            turns, run = self._threads, self._offload.in_thread
        await turns.enter(asker)
        try:
            return await run(verify, password, stored.hash)
        except HashingError as error:
            self._log.error("A password could not be checked: {why}", why=str(error))
            raise Unavailable(
                "The password could not be checked; try again, or tell the operator."
            ) from None
        finally:
            turns.leave(asker)
