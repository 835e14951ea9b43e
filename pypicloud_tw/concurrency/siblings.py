"""The other processes of this server, where there are several (``server.workers``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol


class Siblings(Protocol):
    """What a part of the server says to the same part of the others.

    Values are what JSON has.
    """

    @property
    def exist(self) -> bool:
        """Whether there are any, or may be."""

    def subscribe(self, topic: str, hear: Callable[[Any], None]) -> None:
        """Have what they say about a topic told to *hear*; it must not fail."""

    async def tell(self, topic: str, value: object) -> None:
        """Tell them all; return when they have heard it, or at a bound of time."""

    def post(self, topic: str, value: object) -> None:
        """Tell them all, soon."""

    def refuse(self, problem: str) -> None:
        """End the server: several processes cannot serve this."""


class Alone:
    """There are none."""

    exist = False

    def subscribe(self, topic: str, hear: Callable[[Any], None]) -> None:
        """Nobody will say anything."""

    async def tell(self, topic: str, value: object) -> None:
        """Nobody is told."""

    def post(self, topic: str, value: object) -> None:
        """Nobody is told."""

    def refuse(self, problem: str) -> None:
        """One process can serve everything."""


ALONE = Alone()
