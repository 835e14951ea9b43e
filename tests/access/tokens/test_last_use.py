"""When tokens were used last: noted by each server, read together."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from pypicloud_tw.access.tokens import last_use
from pypicloud_tw.access.tokens.last_use import (
    DELAY,
    FOLDER,
    FORMER,
    SILENT,
    LastUse,
    LastUses,
    gather_former,
    merged,
)
from pypicloud_tw.access.tokens.lookups import PATIENCE
from pypicloud_tw.errors import StoreError
from tests.access.tokens.doubles import NOW, TokenTestCase

DAY = int(NOW // 86400)
HERE, THERE = "192.0.2.1", "198.51.100.1"

accounts = st.dictionaries(
    st.sampled_from("abc"), st.builds(LastUse, st.integers(0, 3), st.just(HERE))
)


class LastUseTests(TokenTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.one, self.two = self.uses("one"), self.uses("two")

    def uses(self, name: str) -> LastUses:
        return LastUses(self.store, self.clock, name)

    def test_it_is_written_now_and_then(self) -> None:
        self.one.note("a", HERE)
        self.clock.advance(DELAY - 1)
        self.one.note("b", HERE)
        self.assertEqual({}, self.store.objects)
        self.clock.advance(1)
        self.assertEqual([f"{FOLDER}one.json"], list(self.store.objects))
        self.assertEqual(
            {"a": LastUse(DAY, HERE), "b": LastUse(DAY, HERE)},
            self.get(self.two.read_all()),
        )

    def test_the_same_again_is_not_written_again(self) -> None:
        self.one.note("a", HERE)
        self.clock.advance(DELAY)
        before = len(self.store.calls)
        self.one.note("a", HERE)
        self.clock.advance(DELAY)
        self.assertEqual(before, len(self.store.calls))
        self.one.note("a", THERE)
        self.clock.advance(DELAY)
        self.assertEqual({"a": LastUse(DAY, THERE)}, self.get(self.two.read_all()))

    def test_what_is_not_written_yet_is_told_here_and_written_at_the_end(self) -> None:
        self.one.note("a", HERE)
        self.assertEqual({"a": LastUse(DAY, HERE)}, self.get(self.one.read_all()))
        self.get(self.one.stop())
        self.get(self.one.stop())
        self.assertEqual({"a": LastUse(DAY, HERE)}, self.get(self.two.read_all()))
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_a_restart_forgets_nothing(self) -> None:
        self.one.note("a", HERE)
        self.get(self.one.stop())
        again = self.uses("one")
        again.note("b", HERE)
        self.get(again.stop())
        self.assertEqual({"a", "b"}, self.get(again.read_all()).keys())

    def test_a_store_that_is_away_costs_nothing_but_the_note(self) -> None:
        self.one.note("a", HERE)
        self.store.fail_next("get", StoreError("The store is away."))
        self.clock.advance(DELAY)
        self.one.note("b", HERE)
        self.clock.advance(DELAY)
        self.assertEqual({"a", "b"}, self.get(self.two.read_all()).keys())

    def test_what_is_damaged_tells_nothing(self) -> None:
        for data in (b"", b"[]", b'{"used": {"a": 1}}', b"null", b'{"used": []}'):
            self.store.add(f"{FOLDER}two.json", data)
            self.assertEqual({}, self.get(self.one.read_all()))

    def test_servers_that_are_gone_are_put_together(self) -> None:
        for name, token in ("one", "a"), ("two", "b"):
            server = self.uses(name)
            server.note(token, HERE)
            self.get(server.stop())
        self.clock.advance(SILENT + 1)
        self.get(gather_former(self.store, self.now()))
        self.one.note("c", HERE)
        self.get(self.one.stop())
        self.assertEqual([FORMER, f"{FOLDER}one.json"], sorted(self.store.objects))
        self.assertEqual({"a", "b", "c"}, self.get(self.two.read_all()).keys())
        self.clock.advance(SILENT + 1)
        before = dict(self.store.objects)
        gone = self.get(gather_former(self.store, self.now(), dry_run=True))
        self.assertEqual([f"{FOLDER}one.json"], gone)
        self.assertEqual(before, self.store.objects)

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.clock.seconds(), UTC)

    @given(accounts, accounts)
    def test_the_later_use_counts(
        self, one: dict[str, LastUse], other: dict[str, LastUse]
    ) -> None:
        together = merged(one, other)
        self.assertEqual(one.keys() | other.keys(), together.keys())
        for token, use in together.items():
            days = [part[token].day for part in (one, other) if token in part]
            self.assertEqual(max(days), use.day)

    def test_so_many_are_kept_and_the_latest_of_them(self) -> None:
        self.patch(last_use, "LIMIT", 2)
        noted = {name: LastUse(day, HERE) for day, name in enumerate("abc")}
        self.assertEqual({"b", "c"}, merged(noted, {}).keys())

    def test_a_store_that_hangs_does_not_keep_the_server_from_stopping(self) -> None:
        self.one.note("a", HERE)
        self.store.before = lambda operation, key: Deferred()
        stopping = Deferred.fromCoroutine(self.one.stop())
        self.assertNoResult(stopping)
        self.clock.advance(PATIENCE)
        self.successResultOf(stopping)
