from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.concurrency.steps import at_once
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.projects.search import BATCH, Search, Words, page_of
from pypicloud_tw.projects.summaries import Summary
from pypicloud_tw.projects.values import FoundPage


def names(count: int) -> tuple[NormalizedName, ...]:
    return tuple(sorted(NormalizedName(f"p{number}") for number in range(count)))


def search(
    query: str, summaries: Mapping[str, str | None], limit: int = 10
) -> FoundPage:
    """Search among projects; None: its summary is not in memory."""
    found = {
        name: None if text is None else Summary("", "1.0", text)
        for name, text in summaries.items()
    }
    every = tuple(sorted(map(NormalizedName, summaries)))
    look = Search(Words.parse(query), lambda name: name != "secret", found.get, limit)
    return at_once(look.over(every))


def listed(page: FoundPage) -> list[str]:
    return [one.name for one in page.items]


class SearchTests(SynchronousTestCase):
    def test_the_best_come_first(self) -> None:
        projects = {
            "tool": "",
            "toolbox": "",
            "acme-tool": "",
            "zebra": "A TOOL.",
            "other": "nothing",
        }
        self.assertEqual(
            listed(search("Tool", projects)), ["tool", "toolbox", "acme-tool", "zebra"]
        )

    def test_all_words_in_name_or_summary_together(self) -> None:
        projects = {"acme": "A fine tool", "fine": "Of others"}
        self.assertEqual(listed(search("acme fine", projects)), ["acme"])

    def test_words_are_spelled_as_names_are(self) -> None:
        self.assertEqual(listed(search("Acme_tool", {"acme-tool": ""})), ["acme-tool"])
        self.assertEqual(listed(search("snake_case", {"x": "of snake_case"})), ["x"])

    def test_what_may_not_be_read_is_not_found_or_counted(self) -> None:
        page = search("secret", {"secret": None})
        self.assertEqual(page, FoundPage((), complete=True))

    def test_no_more_than_the_limit_of_each_rank(self) -> None:
        projects = {f"x{number}": "tool" for number in range(50)} | {"tool": ""}
        page = search("tool", projects, limit=3)
        self.assertEqual(listed(page), ["tool", "x0", "x1"])


class PageTests(SynchronousTestCase):
    @given(st.integers(0, 3 * BATCH), st.integers(BATCH // 8, 2 * BATCH))
    def test_pages_have_everything_once(self, count: int, limit: int) -> None:
        every = names(count)
        seen: list[str] = []
        cursor = None
        while True:
            page = at_once(page_of(every, cursor, limit, lambda name: True))
            seen += [one.name for one in page.items]
            self.assertLessEqual(len(page.items), limit)
            cursor = page.cursor
            if cursor is None:
                break
        self.assertEqual(seen, list(every))

    def test_a_cursor_that_is_gone_still_tells_the_place(self) -> None:
        page = at_once(page_of(names(5), "p2-gone", 10, lambda name: True))
        self.assertEqual([one.name for one in page.items], ["p3", "p4"])
