from __future__ import annotations

from collections.abc import Collection, Mapping

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.concurrency.steps import at_once
from pypicloud_tw.errors import BadRequest
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.projects.derived.table import Table
from pypicloud_tw.projects.search import (
    BATCH,
    LONGEST_QUERY,
    MOST_WORDS,
    Others,
    Search,
    Words,
    page_of,
)
from pypicloud_tw.projects.values import Found
from pypicloud_tw.upstream.names.packed import pack, parts
from tests.projects.derived.test_table import described


def names(count: int) -> tuple[NormalizedName, ...]:
    return tuple(sorted(NormalizedName(f"p{number}") for number in range(count)))


def not_secret(name: str) -> bool:
    return "secret" not in name


def search(
    query: str, summaries: Mapping[str, str | None], limit: int = 10
) -> list[str]:
    """Search among projects; None: there is no entry yet."""
    table = Table()
    for name, text in summaries.items():
        if text is not None:
            table.put(described(name, text))
    unknown = [
        NormalizedName(n) for n, text in sorted(summaries.items()) if text is None
    ]
    look = Search(Words.parse(query), not_secret, limit)
    return [one.name for one in at_once(look.ours(table, unknown))]


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
            search("Tool", projects), ["tool", "toolbox", "acme-tool", "zebra"]
        )

    def test_all_words_in_name_or_summary_together(self) -> None:
        projects = {"acme": "A fine tool", "fine": "Of others"}
        self.assertEqual(search("acme fine", projects), ["acme"])

    def test_words_are_spelled_as_names_are(self) -> None:
        self.assertEqual(search("Acme_tool", {"acme-tool": ""}), ["acme-tool"])
        self.assertEqual(search("snake_case", {"x": "of snake_case"}), ["x"])
        self.assertEqual(search("snake_case", {"snake-case-x": ""}), ["snake-case-x"])

    def test_keywords_are_searched(self) -> None:
        table = Table()
        table.put(described("acme", "A tool", keywords="Web, fast"))
        (found,) = at_once(
            Search(Words.parse("web tool"), not_secret, 9).ours(table, [])
        )
        self.assertEqual(
            found,
            Found("acme", "1.0", "A tool", "ours", found.updated, "active"),
        )
        self.assertIsNotNone(found.updated)

    def test_any_language(self) -> None:
        projects = {"a": "ÄPFEL 🎉", "b": "Apfel"}
        self.assertEqual(search("äpfel", projects), ["a"])
        self.assertEqual(search("🎉", projects), ["a"])
        self.assertEqual(search("\ud800", projects), [])

    def test_what_may_not_be_read_is_not_found(self) -> None:
        projects = {"secret": "tool", "tool-secret": "tool", "a": "tool secret"}
        self.assertEqual(search("tool", projects), ["a"])
        self.assertEqual(search("secret", {"secret": None}), [])

    def test_no_more_than_the_limit(self) -> None:
        projects = {f"x{number}": "tool" for number in range(50)} | {"tool": ""}
        self.assertEqual(search("tool", projects, limit=3), ["tool", "x0", "x1"])

    def test_what_has_no_entry_yet_is_found_by_its_name(self) -> None:
        projects = {"acme-tool": "", "tool": None, "a": "tool", "z-tool": None}
        self.assertEqual(search("tool", projects), ["tool", "acme-tool", "z-tool", "a"])

    def test_too_much_is_refused(self) -> None:
        self.assertRaises(BadRequest, Words.parse, "x" * (LONGEST_QUERY + 1))
        self.assertRaises(BadRequest, Words.parse, "x " * (MOST_WORDS + 1))

    @settings(max_examples=200)
    @given(
        st.dictionaries(
            st.from_regex(r"[ab](-?[ab]){0,4}", fullmatch=True),
            st.text("aBb_-. \x00ä", max_size=6),
            max_size=12,
        ),
        st.text("ab-_ä ", min_size=1, max_size=6).filter(str.strip),
        st.integers(1, 12),
    )
    def test_as_looking_at_each_would_find(
        self, projects: dict[str, str], query: str, limit: int
    ) -> None:
        words = Words.parse(query)
        ranked = []
        for name, summary in projects.items():
            rank, text = words.rank(name), f"{summary} ".lower()
            pairs = zip(words.in_names, words.in_texts, strict=True)
            if rank is None and all(n in name or t in text for n, t in pairs):
                rank = 3
            if rank is not None:
                ranked.append((rank, name))
        wanted = [name for _, name in sorted(ranked)][:limit]
        self.assertEqual(search(query, projects, limit), wanted)


class OthersTests(SynchronousTestCase):
    def find(
        self,
        query: str,
        listed: Collection[str],
        kept: Collection[str] = (),
        limit: int = 9,
        **more: bool,
    ) -> list[tuple[str, str]]:
        lists = [parts(pack(listed))]
        others = Others(
            sorted(map(NormalizedName, kept)),
            lists,
            lambda name: name == "acme-ours",
            **more,
        )
        found = at_once(others.found(Search(Words.parse(query), not_secret, limit)))
        return [(one.name, one.origin) for one in found]

    def test_names_of_others_are_marked(self) -> None:
        listed = ["acme", "acme-x", "my-acme", "acme-ours", "other", "acme-secret"]
        self.assertEqual(
            self.find("acme", listed, ["acme-x"]),
            [("acme-x", "kept"), ("acme", "upstream"), ("my-acme", "upstream")],
        )

    def test_the_best_come_first(self) -> None:
        listed = ["a-tool", "tool", "tool-a", "toolbox"]
        found = [name for name, _ in self.find("tool", listed)]
        self.assertEqual(found, ["tool", "tool-a", "toolbox", "a-tool"])
        self.assertEqual(len(self.find("tool", listed, limit=2)), 2)

    def test_all_words_must_be_there(self) -> None:
        found = self.find("tool acme", ["acme-tool", "acme", "tool"])
        self.assertEqual(found, [("acme-tool", "upstream")])

    def test_only_those_that_are_not_kept(self) -> None:
        found = self.find("acme", ["acme", "acme-x"], ["acme"], shows_kept=False)
        self.assertEqual(found, [("acme-x", "upstream")])

    def test_a_list_that_one_may_not_read_is_not_looked_through_for_ever(self) -> None:
        asked: list[str] = []

        def reads(name: str) -> bool:
            asked.append(name)
            return False

        lists = [parts(pack(f"p{number}" for number in range(50_000)))]
        found = at_once(Search(Words.parse("p"), reads, 9).listed(lists))
        self.assertEqual((found, len(asked)), ([], 20_000))

    @given(
        st.sets(st.from_regex(r"[ab](-?[ab]){0,4}", fullmatch=True), max_size=30),
        st.text("ab-", min_size=1, max_size=3),
    )
    def test_as_looking_at_each_would_find(self, listed: set[str], query: str) -> None:
        words = Words.parse(query)
        ranks = {name: words.rank(name) for name in listed}
        found = [name for name, _ in self.find(query, listed, limit=100)]
        self.assertEqual(
            set(found), {n for n, rank in ranks.items() if rank is not None}
        )
        self.assertEqual(
            [ranks[n] for n in found], sorted(ranks[n] or 0 for n in found)
        )


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
