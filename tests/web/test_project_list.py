"""The lists of projects: whose is whose, what they take, and that nobody waits."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import pairwise

from attrs import define
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.policy import Policy
from pypicloud_tw.access.principal import ANONYMOUS, Principal, Scope
from pypicloud_tw.concurrency.pieces import SLICE
from pypicloud_tw.index.changelog import Changelog
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.web import list_entries, project_list
from pypicloud_tw.web.list_entries import BATCH, regrouped
from pypicloud_tw.web.media import Encoding, Format, Variant
from pypicloud_tw.web.negotiation import Choice
from pypicloud_tw.web.project_list import QUICK_INDEX, ProjectList
from pypicloud_tw.web.representation import Representation
from pypicloud_tw.web.simple import html_entries
from tests.access.doubles import policy_of
from tests.doubles import InlineOffload
from tests.web.doubles import started


def choice(format: Format) -> Choice:
    plain = Variant(format, Encoding.IDENTITY)
    return Choice(plain, plain)


JSON, HTML = choice(Format.JSON), choice(Format.HTML)
RULES = """
pypi.default_read = everyone
package.team-a-*.user.bob = r
package.team-b-*.user.dev1 = r
"""
BOB, DEV = Principal("bob"), Principal("dev1")


@define
class SlowClock(Clock):
    """Each look at it takes a while, as work does."""

    step: float = 0.0
    looks: int = 0

    def __attrs_pre_init__(self) -> None:
        Clock.__init__(self)

    def seconds(self) -> float:
        self.looks += 1
        self.rightNow += self.step
        return float(super().seconds())


def names(*given: str) -> tuple[NormalizedName, ...]:
    return tuple(sorted(map(NormalizedName, given)))


class ListCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock, self.offload = SlowClock(), InlineOffload()
        self.list = ProjectList(self.offload, self.clock, memory=10**6)
        self.own = names("open", "team-a-x", "team-b-x")
        self.kept: frozenset[NormalizedName] = frozenset()
        self.policy: Policy = policy_of(RULES)
        self.changelog = Changelog()

    def find(self, who: Principal, choice: Choice = JSON) -> Representation:
        work = started(
            self.list.find(
                self.own, self.kept, self.policy, who, choice, self.changelog
            )
        )
        self.clock.pump([0.0] * 10_000) if not work.called else None
        return self.successResultOf(work)

    def read(self, who: Principal) -> list[str]:
        document = json.loads(self.find(who).body)
        return [project["name"] for project in document["projects"]]


class WhoseTests(ListCase):
    def test_what_each_may_read(self) -> None:
        self.assertEqual(self.read(ANONYMOUS), ["open"])
        self.assertEqual(self.read(BOB), ["open", "team-a-x"])
        self.assertEqual(self.read(DEV), ["open", "team-b-x"])
        token = Principal("bob", scope=Scope(projects=("team-a-y",)))
        self.assertEqual(self.read(token), ["open"])

    def test_one_for_all_with_equal_rights(self) -> None:
        self.assertIs(self.find(ANONYMOUS), self.find(Principal("stranger")))
        self.assertIsNot(self.find(ANONYMOUS), self.find(BOB))

    def test_names_of_the_cache_obey_too_and_come_once(self) -> None:
        self.kept = frozenset(names("team-a-kept", "open", "a"))
        self.assertEqual(self.read(ANONYMOUS), ["a", "open"])
        self.assertEqual(self.read(BOB), ["a", "open", "team-a-kept", "team-a-x"])

    def test_serials(self) -> None:
        self.kept = frozenset(names("kept"))
        changes = (("open", 12), ("team-a-x", 13), ("team-b-x", 14))
        self.changelog = Changelog(11, changes, known=True)
        document = json.loads(self.find(BOB).body)
        # Of what one may not read not even that it changed.
        self.assertEqual(document["meta"]["_last-serial"], 13)
        self.assertEqual(
            document["projects"],
            [
                {"name": "kept"},
                {"name": "open", "_last-serial": 12},
                {"name": "team-a-x", "_last-serial": 13},
            ],
        )
        self.assertIn(b"X-PyPI-Last-Serial: 13\r\n", self.find(BOB).fields)

    def test_another_serial_makes_another_json_list(self) -> None:
        before, page = self.find(BOB), self.find(BOB, HTML)
        self.assertIs(before, self.find(BOB))
        self.changelog = Changelog(12, known=True)
        document = json.loads(self.find(BOB).body)
        self.assertEqual(document["projects"][0], {"name": "open", "_last-serial": 12})
        self.assertIs(page, self.find(BOB, HTML))

    def test_other_rules_and_other_names_make_others(self) -> None:
        self.read(BOB)
        self.policy = policy_of("package.open.user.dev1 = r")
        self.assertEqual(self.read(BOB), ["team-a-x", "team-b-x"])
        self.own = names(*self.own, "newer")
        self.assertEqual(self.read(BOB), ["newer", "team-a-x", "team-b-x"])

    def test_html(self) -> None:
        page = self.find(BOB, HTML).body.decode()
        self.assertIn('<a href="team-a-x/">team-a-x</a>', page)
        self.assertNotIn("team-b-x", page)


class NextTests(ListCase):
    """What is made of the list before is what would be made without it."""

    def fresh(self, who: Principal, choice: Choice) -> bytes:
        former, self.list = self.list, ProjectList(self.offload, self.clock)
        made = self.find(who, choice).body
        self.list = former
        return made

    @settings(max_examples=40)
    @given(st.data())
    def test_any_changes(self, data: st.DataObject) -> None:
        self.own, self.kept, self.changelog = (), frozenset(), Changelog()
        self.list = ProjectList(self.offload, self.clock)
        self.patch(list_entries, "BATCH", 3)
        self.patch(project_list, "BATCH", 3)
        some = st.sampled_from([f"{x}-{n}" for n in range(9) for x in ("a", "team-a")])
        for serial in range(12, 12 + data.draw(st.integers(1, 8))):
            name = data.draw(some)
            match data.draw(st.sampled_from(["own", "kept", "given up", "rules"])):
                case "own":
                    self.own = names(*{*self.own, name})
                    changes = (*self.changelog.changes, (name, serial))[-2:]
                    self.changelog = Changelog(serial - 2, changes, known=True)
                case "kept":
                    self.kept = self.kept.union(names(name))
                case "given up":
                    self.kept = self.kept.difference(names(name))
                case _:
                    self.policy = policy_of(RULES)
            for who in (ANONYMOUS, BOB):
                for choice in (JSON, HTML):
                    made = self.find(who, choice).body
                    self.assertEqual(made, self.fresh(who, choice))

    def test_one_project_more_is_one_batch(self) -> None:
        self.own = names(*(f"open-{n}" for n in range(10 * BATCH)))
        written: list[int] = []
        write = html_entries

        def counted(given: Iterable[NormalizedName]) -> bytes:
            written.append(len(list(given)))
            return write(given)

        self.patch(list_entries, "html_entries", counted)
        self.find(ANONYMOUS, HTML)
        self.assertEqual(sum(written), 10 * BATCH)
        written.clear()
        self.own = names(*self.own, "open-7-more")
        self.assertIn(b"open-7-more", self.find(ANONYMOUS, HTML).body)
        self.assertEqual(written, [BATCH + 1])

    def test_no_batch_grows_for_ever(self) -> None:
        for n in range(3 * BATCH):
            self.own = names(*self.own, f"open-{n}")
            if n % 50 == 0:
                self.find(ANONYMOUS, HTML)
        self.find(ANONYMOUS, HTML)
        grouped = list(regrouped(self.own, (), []))
        self.assertLess(max(map(len, grouped)), 2 * BATCH)


class ManyTests(ListCase):
    NUMBER = 4 * BATCH + QUICK_INDEX

    def setUp(self) -> None:
        super().setUp()
        numbers = range(self.NUMBER)
        self.own = names(*(f"{x}-{n}" for n in numbers for x in ("open", "team-a")))

    def test_equal_to_what_is_made_at_once(self) -> None:
        self.kept = frozenset(names("team-a-kept", "open-1", "zebra", *self.own[::7]))
        every = sorted({*self.own, *self.kept})
        self.assertEqual(self.read(BOB), every)
        public = [name for name in every if not name.startswith("team-a")]
        self.assertEqual(self.read(ANONYMOUS), public)

    def test_others_have_their_turn_between(self) -> None:
        self.clock.step = 0.002  # for each piece
        work = started(
            self.list.find(self.own, self.kept, self.policy, BOB, JSON, self.changelog)
        )
        turns: list[float] = []

        def turn() -> None:
            turns.append(self.clock.rightNow)
            if not work.called:
                self.clock.callLater(0, turn)

        turn()
        self.clock.pump([0.0] * 1000)
        self.successResultOf(work)
        longest = max(b - a for a, b in pairwise(turns))
        self.assertLess(longest, SLICE + 8 * self.clock.step)
        pieces = 2 * len(self.own) / BATCH  # rights, then markup
        self.assertGreater(len(turns), pieces / 3)

    def test_who_asks_meanwhile_shares_it(self) -> None:
        asked = [
            started(
                self.list.find(
                    self.own, self.kept, self.policy, who, JSON, self.changelog
                )
            )
            for who in (BOB, BOB, ANONYMOUS)
        ]
        asked[0].cancel()
        self.failureResultOf(asked[0])
        self.clock.pump([0.0] * 1000)
        mine = self.successResultOf(asked[1])
        self.assertIs(mine, self.find(BOB))
        self.assertIsNot(mine, self.successResultOf(asked[2]))

    def test_is_compressed_in_a_thread(self) -> None:
        self.find(BOB)
        self.assertEqual(self.offload.threaded, ["represent"])

    def test_memory_is_bounded(self) -> None:
        self.list = ProjectList(self.offload, self.clock, memory=300_000)
        scopes = [Scope(projects=(f"team-a-{n}",)) for n in range(9)]
        readers = [Principal("bob", scope=scope) for scope in scopes]
        for who in readers:
            self.find(who)
            self.assertLessEqual(self.list.weight, 300_000)
        self.assertGreater(self.list.weight, 50_000)
        # The last is kept, the first was given up.
        made = len(self.offload.threaded)
        self.find(readers[-1])
        self.assertEqual(len(self.offload.threaded), made)
        self.find(readers[0])
        self.assertEqual(len(self.offload.threaded), made + 1)
