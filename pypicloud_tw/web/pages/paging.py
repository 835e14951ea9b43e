"""Lists that pages show a part of, with the ways to the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar
from urllib.parse import urlencode

from attrs import field, frozen

from pypicloud_tw.web.api.json_api import number
from pypicloud_tw.web.pages.acting import Visit

T = TypeVar("T")

#: Rows of a page, which have up to 1 kB each.
ROWS = 50

#: Of the longest list; to look further on is not worth a page.
_MOST_PAGES = 100_000


@frozen
class Listing(Generic[T]):
    """A part of a list as a page shows it.

    :ivar total: how many there are in all.
    :ivar page: its number, from 1.
    :ivar query: what else the address says.
    """

    items: Sequence[T]
    total: int
    page: int
    query: Mapping[str, str] = field(factory=dict)

    @classmethod
    def of(cls, visit: Visit, everything: Sequence[T]) -> Listing[T]:
        """Take the part of a list at hand that the address asks for."""
        page = page_asked(visit)
        items = everything[(page - 1) * ROWS : page * ROWS]
        return cls(items, len(everything), page)

    @property
    def pages(self) -> int:
        """How many there are."""
        return max(1, -(-self.total // ROWS))

    @property
    def previous(self) -> str | None:
        """The query of the page before; None: this is the first."""
        return self._at(min(self.page, self.pages + 1) - 1) if self.page > 1 else None

    @property
    def following(self) -> str | None:
        """The query of the next page; None: this is the last."""
        return self._at(self.page + 1) if self.page < self.pages else None

    def _at(self, page: int) -> str:
        given = {name: value for name, value in self.query.items() if value}
        return f"?{urlencode({**given, 'page': str(page)})}"


def page_asked(visit: Visit) -> int:
    """Return which page of a list the address asks for; with a form the first one.

    :raises BadRequest: there can be no such page.
    """
    return 1 if visit.sent else number(visit.request, "page", 1, _MOST_PAGES)
