"""Lists that pages show a part of, with the ways to the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from attrs import frozen

from pypicloud_tw.web.api.json_api import number
from pypicloud_tw.web.pages.acting import Visit

T = TypeVar("T")

#: Rows of a page, which have up to 1 kB each.
ROWS = 50

#: Of the longest list; to look further on is not worth a page.
_MOST_PAGES = 100_000


@frozen
class Listed(Generic[T]):
    """A part of a list.

    :ivar previous: the number of the page before; None: this is the first.
    :ivar following: of the next; None: this is the last.
    """

    items: Sequence[T]
    previous: int | None
    following: int | None

    @classmethod
    def of(cls, visit: Visit, everything: Sequence[T]) -> Listed[T]:
        """Take the part that the address asks for; with a form the first one."""
        page = 1 if visit.sent else number(visit.request, "page", 1, _MOST_PAGES)
        last = max(1, -(-len(everything) // ROWS))
        return cls(
            everything[(page - 1) * ROWS : page * ROWS],
            min(page - 1, last) if page > 1 else None,
            page + 1 if page < last else None,
        )
