"""Lists that come in pages, told as they come."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

import click

from pypicloud_tw.cli.base import Command
from pypicloud_tw.projects.values import MOST

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Page(Protocol[T_co]):
    """A part of a list."""

    @property
    def items(self) -> Sequence[T_co]:
        """What it has."""

    @property
    def cursor(self) -> str | None:
        """What gives the next one; None: nothing does."""


def takes_limit(most: int | None, what: str) -> Callable[[Command], Command]:
    """Give a command the option that says how much it tells.

    :param most: where it is not given; None: everything.
    """
    return click.option(
        "--limit",
        type=click.IntRange(min=1),
        metavar="N",
        default=most,
        show_default=most is not None,
        help=f"At most so many {what}.",
    )


async def items(
    ask: Callable[[str | None, int], Awaitable[Page[T]]], limit: int | None
) -> AsyncGenerator[T, None]:
    """Go through a list, a page at a time.

    :param ask: asks for the page behind a cursor, of so many.
    :param limit: ends after so many; None: with the list.
    """
    cursor: str | None = None
    while limit is None or limit > 0:
        page = await ask(cursor, MOST if limit is None else min(limit, MOST))
        for item in page.items:
            yield item
        if page.cursor is None or page.cursor == cursor:
            return
        limit = None if limit is None else limit - len(page.items)
        cursor = page.cursor
