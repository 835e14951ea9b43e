"""Asking the store for tokens that this server does not know yet."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Generic, TypeVar

from attrs import define, field
from twisted.internet.interfaces import IReactorTime

from pypicloud_tw.access.throttle import Throttle, network
from pypicloud_tw.concurrency.coalesced import Coalesced
from pypicloud_tw.concurrency.fair_queue import Asker, FairQueue
from pypicloud_tw.store.timeout import in_time

T = TypeVar("T")

#: Asks the store; None: there is no such thing.
Question = Callable[[], Coroutine[Any, Any, T | None]]

#: Questions to the store at a time, and how many wait for their turn.
AT_ONCE, QUEUE = 16, 512

#: Seconds to wait for the store; then what is known must do: installers wait 15 s.
PATIENCE = 5.0


@define(eq=False)
class Lookups(Generic[T]):
    """One question at a time for one thing, and a few for all of them.

    What nobody has asked for yet is charged to the client that asks, until it is found:
    anybody can make up tokens whose checksums are right.
    """

    throttle: Throttle
    clock: IReactorTime
    _turns: FairQueue = field(
        factory=lambda: FairQueue(AT_ONCE, QUEUE, "token checks"), init=False
    )
    _questions: Coalesced[T | None] = field(factory=Coalesced, init=False)
    _attempts: Coalesced[T | None] = field(factory=Coalesced, init=False)

    async def again(self, key: str, client: str, question: Question[T]) -> T | None:
        """Ask for what was found before.

        :raises StoreError: the store is away.
        :raises QueueFullError: too many ask.
        """
        asker = Asker(network(client), key)
        return await self._questions.ask(key, lambda: self._ask(asker, question))

    async def first(
        self,
        key: str,
        client: str,
        question: Question[T],
        token: str,
        has_it: Callable[[T], bool] = lambda found: True,
    ) -> T | None:
        """Ask for a token that was never found; None: there is none.

        A client that shows it many times at once, as the jobs of one CI run do, has
        tried it once.

        :param token: its id, which the client has shown.
        :param has_it: tells whether what was found has that token in it.
        :raises TooManyRequests: the client has shown too many that there are not.
        :raises StoreError: the store is away.
        :raises QueueFullError: too many ask.
        """
        return await self._attempts.ask(
            (token, network(client)),
            lambda: self._first(key, client, question, token, has_it),
        )

    async def _first(
        self,
        key: str,
        client: str,
        question: Question[T],
        token: str,
        has_it: Callable[[T], bool],
    ) -> T | None:
        attempt = self.throttle.admit(f"token {token}", client)
        ask = partial(
            self._questions.ask, key, partial(self._ask, attempt.asker, question)
        )
        joined = key in self._questions
        right: bool | None = None
        try:
            found = await ask()
            if joined and (found is None or not has_it(found)):
                # That question is older than this token may be, which another server
                # has perhaps just made. Any that is joined now is not.
                found = await ask()
            right = found is not None and has_it(found)
        finally:
            attempt.end(right)
        return found if right else None

    async def _ask(self, asker: Asker, question: Question[T]) -> T | None:
        await self._turns.enter(asker)
        try:
            return await in_time(question(), PATIENCE, self.clock)
        finally:
            self._turns.leave(asker)
