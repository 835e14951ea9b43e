"""The entries in memory, against dictionaries that do the same slowly."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.concurrency.steps import at_once
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.projects.derived.lines import Lines
from pypicloud_tw.projects.derived.near import near_names
from pypicloud_tw.projects.derived.table import BLOCK, Row, Table
from pypicloud_tw.projects.derived.values import DerivedEntry, DescribedProject
from tests.builders import MORNING


def described(
    name: str,
    summary: str | None = None,
    *,
    keywords: str = "",
    requires: tuple[str, ...] = (),
    minutes: int | None = 0,
    etag: str = "one",
    serial: int = 1,
) -> DescribedProject:
    """A project; *minutes* after which it was uploaded, None: it offers nothing."""
    entry = DerivedEntry(
        NormalizedName(name),
        name,
        "active",
        None if minutes is None else "1.0",
        summary,
        None if minutes is None else MORNING + timedelta(minutes=minutes),
        "ann",
        1,
    )
    return DescribedProject(entry, etag, serial, keywords, requires)


def table_of(*all_described: DescribedProject) -> Table:
    table = Table()
    for one in all_described:
        table.put(one)
    return table


def anybody(name: str) -> bool:
    return True


def not_secret(name: str) -> bool:
    return not name.startswith("secret")


names = st.text("ab-", min_size=1, max_size=4)


class LinesTests(SynchronousTestCase):
    @given(
        st.lists(st.binary(max_size=5).map(lambda b: b.replace(b"\n", b"")), max_size=9)
    )
    def test_lines_come_back(self, lines: list[bytes]) -> None:
        joined = Lines.of(lines)
        self.assertEqual([joined[n] for n in range(len(lines))], lines)

    @given(st.lists(st.text("ab", max_size=4), max_size=9), st.text("ab", min_size=1))
    def test_finds_each_line_that_has_a_word_once(
        self, lines: list[str], word: str
    ) -> None:
        joined = Lines.of(line.encode() for line in lines)
        wanted = [n for n, line in enumerate(lines) if word in line]
        self.assertEqual(list(joined.having(word.encode())), wanted)


class TableTests(SynchronousTestCase):
    @given(st.lists(st.tuples(names, st.booleans()), max_size=40), names)
    def test_holds_what_was_put_and_not_dropped(
        self, acts: list[tuple[str, bool]], prefix: str
    ) -> None:
        table, model = Table(), dict[str, DerivedEntry]()
        for number, (name, puts) in enumerate(acts):
            if puts:
                one = described(name, f"summary {number}")
                table.put(one)
                model[name] = one.entry
            else:
                table.drop(name)
                model.pop(name, None)
        self.assertEqual(at_once(table.lacking(())), sorted(model))
        self.assertEqual(len(table), len(model))
        self.assertEqual({name: table.get(name) for name in model}, model)
        begin = [one.name for one in table.beginning(prefix)]
        self.assertEqual(begin, sorted(n for n in model if n.startswith(prefix)))

    @settings(max_examples=5)
    @given(st.permutations(range(3 * BLOCK)))
    def test_grows_beyond_its_blocks(self, order: list[int]) -> None:
        table = Table()
        for number in order:
            table.put(described(f"p{number:04}"))
        everything = [f"p{number:04}" for number in range(3 * BLOCK)]
        self.assertEqual(at_once(table.lacking(())), everything)
        self.assertTrue(all(len(block) < 2 * BLOCK for block in table.blocks))
        for name in everything[1:]:
            table.drop(name)
        self.assertEqual(at_once(table.lacking(())), ["p0000"])
        table.drop("p0000")
        self.assertEqual((len(table), table.blocks), (0, ()))

    def test_is_built_of_many_rows(self) -> None:
        rows = [Row.of(described(f"p{number:04}")) for number in range(2 * BLOCK + 1)]
        table = at_once(Table.building([*rows[:1], *rows, *rows[:7]]))
        self.assertEqual(len(table), 2 * BLOCK + 1)
        self.assertEqual(at_once(Table.building([])).get("p"), None)

    def test_knows_of_which_state_an_entry_is(self) -> None:
        table = table_of(described("acme", etag="one"))
        self.assertTrue(table.is_of("acme", "one"))
        self.assertFalse(table.is_of("acme", "two"))
        self.assertFalse(table.is_of("other", "one"))
        table.put(described("b", etag="b"))
        self.assertTrue(table.is_of("acme", "one"))

    def test_what_changes_makes_another_edition(self) -> None:
        table = table_of(described("acme"))
        editions = [table.edition]
        table.put(described("acme", "other"))
        editions.append(table.edition)
        table.drop("acme")
        editions.append(table.edition)
        self.assertEqual(len(set(editions)), 3)

    def test_the_newest_are_those_that_one_may_read(self) -> None:
        table = table_of(
            described("old", minutes=1),
            described("secret-tool", minutes=9),
            described("new", "A tool", minutes=5),
            described("empty", minutes=None),
        )
        found = at_once(table.newest(2, not_secret))
        self.assertEqual([one.name for one in found], ["new", "old"])
        self.assertEqual(
            (found[0].version, found[0].summary, found[0].uploader),
            ("1.0", "A tool", "ann"),
        )
        self.assertEqual(
            [o.name for o in at_once(table.newest(1, not_secret))], ["new"]
        )
        self.assertEqual(at_once(table.newest(5, lambda name: False)), ())

    @given(st.lists(st.integers(0, 50), max_size=600), st.integers(1, 20))
    @settings(max_examples=30)
    def test_the_newest_of_many(self, minutes: list[int], limit: int) -> None:
        every = [described(f"p{n:03}", minutes=m) for n, m in enumerate(minutes)]
        table = at_once(Table.building(map(Row.of, every)))
        found = [one.uploaded for one in at_once(table.newest(limit, anybody))]
        moments = [one.entry.uploaded for one in every if one.entry.uploaded]
        self.assertEqual(found, sorted(moments, reverse=True)[:limit])

    def test_what_requires_a_project(self) -> None:
        table = table_of(
            described("app", requires=("acme", "tool")),
            described("secret-app", requires=("acme",)),
            described("other", requires=("acme-tool",)),
            described("web", requires=("zope", "acme")),
        )
        found = at_once(table.dependents("acme", 10, not_secret))
        self.assertEqual([one.name for one in found], ["app", "web"])
        self.assertEqual(len(at_once(table.dependents("acme", 1, anybody))), 1)
        self.assertEqual(at_once(table.dependents("too", 10, anybody)), ())

    def test_only_what_one_may_read_is_counted(self) -> None:
        table = table_of(described("acme"), described("secret"))
        self.assertEqual(at_once(table.count(not_secret)), 1)


class NearTests(SynchronousTestCase):
    def near(self, name: str, *there: str, limit: int = 5) -> list[str]:
        table = table_of(*map(described, there))
        return list(near_names(table, name, limit, not_secret))

    def test_one_edit_comes_first(self) -> None:
        found = self.near("acmetool", "acmetool-extra", "acme-tool", "acme", "zebra")
        self.assertEqual(found, ["acme-tool", "acmetool-extra"])

    def test_what_begins_so(self) -> None:
        self.assertEqual(
            self.near("acme-x", "acme-tool", "acme"), ["acme", "acme-tool"]
        )

    def test_the_name_itself_is_not_near(self) -> None:
        self.assertEqual(self.near("acme", "acme", "acme-tool"), ["acme-tool"])

    def test_what_may_not_be_read_is_not_named(self) -> None:
        self.assertEqual(self.near("secre", "secret", "secret-tool"), [])

    def test_a_name_may_be_long_and_odd(self) -> None:
        self.assertEqual(self.near("a" * 5000, "acme"), [])
        self.assertEqual(self.near("-" * 9, "acme"), [])
        self.assertEqual(self.near("ö", "acme"), [])

    def test_no_more_than_asked_for(self) -> None:
        self.assertEqual(
            len(self.near("acme", "acme-a", "acme-b", "acme-c", limit=2)), 2
        )
