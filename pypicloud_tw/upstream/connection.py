"""How connections to an upstream fail, in our words."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NoReturn, TypeVar

from pypicloud_tw.outbound.trouble import trouble
from pypicloud_tw.upstream.failures import AskingFailed, Away, Slow

T = TypeVar("T")


def too_slow(host: str) -> Callable[[object, float], NoReturn]:
    """Make what ``addTimeout`` calls; the error says how long was waited."""

    def timed_out(_result: object, seconds: float) -> NoReturn:
        raise Slow(f"{host} did not answer within {seconds:g} s.")

    return timed_out


async def in_our_words(asking: Awaitable[T], host: str) -> T:
    """Wait for an answer, and say what went wrong with the connection."""
    try:
        return await asking
    except AskingFailed:
        raise
    except Exception as e:
        found = trouble(e, "upstream.allow_private_hosts")
        raise (Slow if found.slow else Away)(f"{host} {found.sentence}") from None
