"""The pages of kept projects are asked for again, whoever dies or is slow."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.errors import ObjectNotFound, RefusedByRule, StoreError
from pypicloud_tw.index.standing import Standing as OwnStanding
from pypicloud_tw.store.interfaces import IfAbsent
from pypicloud_tw.upstream.judgement.values import Standing
from pypicloud_tw.upstream.keeper import page_key
from pypicloud_tw.upstream.recheck import CLAIMS, PARTS
from pypicloud_tw.upstream.standings import DOCUMENT, GONE, Standings
from tests.upstream.doubles import (
    BASE,
    Behaviour,
    later,
    page,
    project,
    silent,
    started,
    status,
)
from tests.upstream.test_kept_judged import HOUR, QUARANTINED, Server
from tests.upstream.test_pages import ACME, ACME_NAME, DAY
from tests.upstream.test_relay import BODY, DIGEST, KEY, NAME, Sink, wheel

PART = HOUR / PARTS


class Fleet:
    """Servers of one store, which has a file of each of many projects."""

    def __init__(self, projects: int = 40, servers: int = 2) -> None:
        first = Server()
        self.clock, self.store, self.upstream = first.clock, first.store, first.upstream
        self.clocks = [self.clock]
        self.asked: list[tuple[str, float]] = []
        self.names = [f"p{number}" for number in range(projects)]
        for name in self.names:
            key = f".cache/{name}/{DIGEST}/{name}-1-py3-none-any.whl"
            Deferred.fromCoroutine(self.store.put(key, b"", condition=IfAbsent()))
            self.say(name, page(project(name)))
        self.servers = [first]
        for _ in range(servers - 1):
            other = Server(store=self.store)
            self.store.clock = self.clock.seconds
            other.recheck.clock = other.files.clock = self.clock
            other.recheck.client = first.client
            self.servers.append(other)

    def say(self, name: str, behaviour: Behaviour) -> None:
        self.upstream.on(f"{BASE}{name}/", partial(self._answer, name, behaviour))

    def _answer(self, name: str, behaviour: Behaviour, request: Any) -> Any:
        self.asked.append((name, self.clock.seconds()))
        return behaviour(request)

    def start(self) -> None:
        # A period begins.
        rest = HOUR - self.clock.seconds() % HOUR
        for clock in self.clocks:
            clock.advance(rest)
        for server in self.servers:
            server.recheck.start()

    def run_for(self, seconds: float) -> None:
        for _ in range(int(seconds // 5)):
            for clock in self.clocks:
                clock.advance(5)
            self.upstream.flush()

    def times(self, name: str) -> list[float]:
        return [at for asked, at in self.asked if asked == name]

    def pauses(self) -> list[float]:
        """Return the seconds between two questions for each project."""
        return [
            b - a for times in map(self.times, self.names) for a, b in pairwise(times)
        ]


class PeriodTests(SynchronousTestCase):
    def test_each_project_once_a_period_and_a_period_apart(self) -> None:
        fleet = Fleet()
        fleet.start()
        fleet.run_for(3 * HOUR)
        self.assertEqual({len(fleet.times(name)) for name in fleet.names}, {3})
        for pause in fleet.pauses():
            self.assertLess(abs(pause - HOUR), 120)
        shares = [server.recheck.asked for server in fleet.servers]
        self.assertEqual(sum(shares), 3 * 40)
        self.assertGreater(min(shares), 0)

    def test_spread_out(self) -> None:
        fleet = Fleet(160)
        fleet.start()
        fleet.run_for(HOUR)
        times = [at for _, at in fleet.asked]
        a_minute = [
            sum(at // 60 == minute for at in times)
            for minute in range(int(times[0] // 60), int(times[-1] // 60) + 1)
        ]
        self.assertGreater(len(a_minute), 50)
        self.assertLess(max(a_minute), 10)

    def test_a_server_that_dies_leaves_nothing_for_two_periods(self) -> None:
        fleet = Fleet()
        fleet.start()
        fleet.run_for(HOUR + PART / 3)
        fleet.servers[0].recheck.stop()
        fleet.run_for(2 * HOUR)
        self.assertLess(max(fleet.pauses()), 2 * HOUR + 120)
        last = {name: fleet.times(name)[-1] for name in fleet.names}
        self.assertGreater(min(last.values()), fleet.clock.seconds() - HOUR - 120)

    def test_a_slow_upstream_has_few_questions_at_once(self) -> None:
        fleet = Fleet(800, servers=1)
        for name in fleet.names:
            fleet.say(name, silent)
        fleet.start()
        # A hundred in this part, so eight in that time; the client waits for longer.
        fleet.run_for(29)
        self.assertEqual(len(fleet.asked), 4)
        fleet.servers[0].recheck.stop()
        self.assertEqual(fleet.clock.getDelayedCalls(), [])

    def test_strange_answers_end_nothing(self) -> None:
        fleet = Fleet(4, servers=1)
        fleet.say("p0", page(b"\xff{", "application/vnd.pypi.simple.v1+json"))
        fleet.say("p1", status(500))
        key = page_key("p2")
        self.successResultOf(started(fleet.store.put(key, b"[]\n")))
        self.successResultOf(started(fleet.store.put(page_key("p3"), b"\xff")))
        fleet.start()
        fleet.run_for(2 * HOUR)
        for name in fleet.names:
            self.assertGreaterEqual(len(fleet.times(name)), 2, name)
        self.assertEqual(fleet.servers[0].standings.all, {})

    def test_what_nobody_foresaw_ends_nothing(self) -> None:
        fleet = Fleet(1, servers=1)
        server = fleet.servers[0]

        def fails(*_arguments: object) -> Deferred[Any]:
            raise ZeroDivisionError

        server.recheck.offload = evolve_offload(server.offload, fails)
        fleet.start()
        fleet.run_for(2 * HOUR)
        self.assertEqual(len(fleet.times("p0")), 2)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

    def test_the_store_comes_back(self) -> None:
        fleet = Fleet(8, servers=1)

        def away(operation: str, key: str) -> None:
            raise StoreError("The store is away.")

        fleet.store.before = away
        fleet.start()
        fleet.run_for(HOUR)
        self.assertEqual(fleet.asked, [])
        fleet.store.before = lambda operation, key: None
        fleet.run_for(HOUR)
        self.assertEqual({name for name, _ in fleet.asked}, set(fleet.names))

    def test_servers_whose_clocks_differ(self) -> None:
        fleet = Fleet()
        ahead = Clock()
        ahead.advance(fleet.clock.seconds() + 11 * 60)
        fleet.servers[1].recheck.clock = ahead
        fleet.clocks.append(ahead)
        fleet.start()
        fleet.run_for(4 * HOUR)
        counts = [len(fleet.times(name)) for name in fleet.names]
        self.assertLessEqual(max(counts), 5)
        self.assertGreaterEqual(min(counts), 3)
        self.assertLess(max(fleet.pauses()), HOUR + PART + 120)

    def test_old_claims_go(self) -> None:
        fleet = Fleet(1, servers=1)
        put = fleet.store.put
        for told in ("1", "99999999999", "x"):
            self.successResultOf(started(put(f"{CLAIMS}{told}", b"")))
        fleet.start()
        fleet.run_for(HOUR)
        claims = [key for key in fleet.store.objects if key.startswith(CLAIMS)]
        self.assertEqual(len(claims), PARTS)

    def test_never(self) -> None:
        fleet = Fleet(1, servers=1)
        fleet.servers[0].recheck.period = 0
        fleet.start()
        fleet.run_for(HOUR)
        self.assertEqual(fleet.asked, [])

    def test_who_may_change_nothing_asks_nothing(self) -> None:
        fleet = Fleet(1, servers=1)
        fleet.servers[0].recheck.own = OwnStanding.starting()
        fleet.start()
        fleet.run_for(HOUR)
        self.assertEqual(fleet.asked, [])


def evolve_offload(offload: Any, in_process: Any) -> Any:
    """Return an offload whose helpers do something else."""

    class Failing(type(offload)):  # type: ignore[misc]  # of whatever kind it is
        pass

    made = Failing()
    made.in_process = in_process
    return made


class FoundTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.server = Server()
        self.successResultOf(self.server.get(Sink()))

    def recheck(self) -> None:
        self.successResultOf(started(self.server.recheck.recheck(ACME_NAME)))

    def refused(self, server: Server) -> str:
        failure = self.failureResultOf(server.get(Sink()), RefusedByRule)
        return str(failure.value)

    def test_removed_after_its_quarantine(self) -> None:
        self.server.say(**QUARANTINED)
        self.recheck()
        self.server.upstream.on(ACME, status(404))
        self.recheck()
        self.refused(self.server)
        self.server.say(wheel())
        self.recheck()
        self.successResultOf(self.server.get(Sink()))

    def test_a_deleted_project_comes_back(self) -> None:
        self.server.upstream.on(ACME, status(404))
        self.recheck()
        self.assertEqual(self.server.standings.of("acme").status, GONE)
        self.assertNotIn(page_key("acme"), self.server.store.objects)
        # Other people have the name now, and other bytes.
        self.server.say(wheel(b"other"))
        self.recheck()
        sink = Sink()
        self.successResultOf(self.server.get(sink))
        self.assertEqual(sink.data, BODY)

    def test_known_before_the_first_file(self) -> None:
        self.server.standings.saw("acme", Standing("quarantined"))
        other = Server(store=self.server.store)
        self.refused(other)

    def test_no_file_while_that_is_not_known(self) -> None:
        other = Server(store=self.server.store)
        other.store.fail_next("get", StoreError("The store is away."))
        failure = self.failureResultOf(other.get(Sink()), StoreError)
        self.assertIn("is away", str(failure.value))
        self.successResultOf(other.get(Sink()))

    def test_an_older_page_lifts_nothing(self) -> None:
        waiting: Deferred[bytes] = Deferred()
        self.server.clock.advance(DAY)
        self.server.upstream.on(ACME, later(waiting), page(project("acme")))
        asking = self.server.ask()
        self.server.standings.saw("acme", Standing("quarantined"))
        waiting.callback(b'{"meta": {}, "name": "acme", "files": []}')
        self.server.upstream.flush()
        self.successResultOf(asking)
        self.refused(self.server)

    def test_a_reason_is_one_line(self) -> None:
        told: Any = {"status": "quarantined", "reason": "a\r\nX: \x1b" + "b" * 9999}
        more: Any = {"project-status": told}
        self.server.say(**more)
        self.recheck()
        known = self.server.standings.of("acme")
        self.assertEqual((known.reason[:7], len(known.reason)), ("a X: bb", 500))
        self.assertIn(DOCUMENT, self.server.store.objects)

    def test_a_page_that_must_not_be_kept(self) -> None:
        del self.server.store.objects[page_key("acme")]
        headers = {"cache-control": "no-store"}
        self.server.upstream.on(ACME, page(project("acme"), headers=headers))
        self.recheck()
        self.assertNotIn(page_key("acme"), self.server.store.objects)

    def test_what_still_holds_is_rarely_written(self) -> None:
        self.server.recheck.confirm_after = DAY
        self.server.say(wheel(), etag='"one"')
        self.recheck()
        before = self.server.store.objects[page_key("acme")]
        self.server.clock.advance(HOUR)
        self.recheck()
        self.assertEqual(self.server.store.objects[page_key("acme")], before)
        self.server.clock.advance(DAY)
        self.recheck()
        self.assertNotEqual(self.server.store.objects[page_key("acme")], before)


class MarkTests(SynchronousTestCase):
    """What was found is told by servers that have never seen the page."""

    def setUp(self) -> None:
        self.server = Server()
        self.successResultOf(self.server.get(Sink()))

    def mark(self) -> str | None:
        """Have one server look, and another that was just started tell."""
        self.successResultOf(started(self.server.recheck.recheck(ACME_NAME)))
        self.successResultOf(started(self.server.standings.refresh()))
        other = Server(store=self.server.store)
        mark = self.successResultOf(other.locate()).mark
        self.assertEqual(other.asked(), 0)
        self.assertEqual(self.successResultOf(other.locate(f"{NAME}")).mark, mark)
        return mark

    def test_yanked(self) -> None:
        self.server.say({**wheel(), "yanked": "broken " + "x" * 999})
        mark = str(self.mark())
        self.assertEqual((mark[:17], len(mark)), ("yanked; broken xx", 200))
        self.server.say({**wheel(), "yanked": True})
        self.assertEqual(self.mark(), "yanked")
        self.server.say(wheel())
        self.assertEqual(self.mark(), None)
        self.assertEqual(self.server.standings.edition, 0)

    def test_deleted(self) -> None:
        self.server.say()
        self.assertEqual(self.mark(), "deleted")

    def test_of_other_bytes(self) -> None:
        self.server.say(wheel(b"other"))
        self.assertEqual(self.mark(), "deleted")

    def test_a_quarantine_deletes_nothing(self) -> None:
        self.server.say(**QUARANTINED)
        self.successResultOf(started(self.server.recheck.recheck(ACME_NAME)))
        self.server.standings.saw("acme", Standing())
        self.assertIsNone(self.server.standings.mark("acme", DIGEST[:16], NAME))

    def test_a_mark_lifts_no_quarantine_of_another_server(self) -> None:
        other = Server(store=self.server.store)
        self.successResultOf(started(other.standings.refresh()))
        self.server.standings.saw("acme", Standing("quarantined"))
        other.standings.saw_marks("acme", {f"{DIGEST[:16]}/{NAME}": "deleted"})
        self.assertEqual(other.standings.of("acme").status, "active")
        for standings in (other.standings, Standings(self.server.store, other.clock)):
            self.successResultOf(started(standings.refresh()))
            self.assertEqual(standings.of("acme").status, "quarantined")
            self.assertEqual(standings.mark("acme", DIGEST[:16], NAME), "deleted")

    def test_an_upstream_that_lost_everything(self) -> None:
        """The document is written once for all that refuses nothing."""
        standings = self.server.standings
        self.server.store.calls.clear()
        for number in range(100):
            standings.saw(f"p{number}", Standing(GONE))
        self.assertEqual(self.server.store.calls, [])
        self.successResultOf(started(standings.refresh()))
        puts = [call for call in self.server.store.calls if call[0] == "put"]
        self.assertEqual(puts, [("put", DOCUMENT)])
        other = Standings(self.server.store, self.server.clock)
        self.successResultOf(started(other.refresh()))
        self.assertEqual(len(other.all), 100)

    def test_bounded(self) -> None:
        standings = self.server.standings
        files = [f"{number:04}" for number in range(9_000)]
        for name in ("a", "b", "c"):
            standings.saw_marks(name, {f"s/{one}": "deleted" for one in files})
        marked = [one for one in files if standings.mark("c", "s", one)]
        self.assertEqual(len(marked), 2_000)


class HalfEmptiedTests(SynchronousTestCase):
    """Anything below ``.cache/`` may be removed by hand at any time."""

    def setUp(self) -> None:
        self.server = Server()
        self.successResultOf(self.server.get(Sink()))
        self.objects = self.server.store.objects
        self.records = [key for key in self.objects if f"{DIGEST}." in key]

    def fresh(self) -> Server:
        return Server(store=self.server.store)

    def test_a_record_without_its_file(self) -> None:
        del self.objects[KEY]
        server = self.fresh()
        self.assertEqual(self.successResultOf(started(server.files.names())), set())
        self.successResultOf(server.get(Sink()))
        self.assertIn(KEY, self.objects)

    def test_a_file_without_its_record(self) -> None:
        for key in self.records:
            del self.objects[key]
        self.successResultOf(self.fresh().get(Sink()))

    def test_all_of_it_while_servers_run(self) -> None:
        self.server.standings.saw("acme", Standing("quarantined"))
        self.objects.clear()
        self.successResultOf(started(self.server.standings.refresh()))
        self.failureResultOf(self.server.get(Sink()), RefusedByRule)
        self.server.standings.saw("acme", Standing())
        self.successResultOf(self.server.get(Sink()))

    def test_killed_between_record_and_file(self) -> None:
        self.objects.clear()
        server = self.fresh()

        def dies(operation: str, key: str) -> None:
            if operation == "commit":
                raise StoreError("The process was killed.")

        server.store.before = dies
        self.successResultOf(server.get(Sink()))
        server.store.before = lambda operation, key: None
        self.assertIn(self.records[0], self.objects)
        self.assertNotIn(KEY, self.objects)
        later_one = self.fresh()
        self.successResultOf(later_one.get(Sink()))
        self.assertIn(KEY, self.objects)


class DocumentTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.server = Server()
        self.store = self.server.store

    def make(self, own: OwnStanding | None = None) -> Standings:
        return Standings(self.store, self.server.clock, own or OwnStanding())

    def read(self) -> bytes:
        stored = self.successResultOf(started(self.store.get(DOCUMENT)))
        assert stored is not None
        return stored.data

    def test_one_writer_where_the_store_honours_no_conditions(self) -> None:
        own = OwnStanding.starting()
        one = self.make(own)
        one.saw("a", Standing("quarantined"))
        self.failureResultOf(started(self.store.get(DOCUMENT)), ObjectNotFound)
        self.assertEqual(one.of("a").status, "quarantined")
        own.open(None)
        self.successResultOf(started(one.refresh()))
        self.assertIn(b"quarantined", self.read())

    def test_a_newer_version_is_not_written_over(self) -> None:
        newer = b'{"_format": 2}'
        self.successResultOf(started(self.store.put(DOCUMENT, newer)))
        one = self.make()
        one.saw("a", Standing("quarantined"))
        self.assertEqual(one.of("a").status, "quarantined")
        self.successResultOf(started(one.refresh()))
        self.assertEqual(self.read(), newer)

    def test_only_what_is_not_well(self) -> None:
        one = self.make()
        for number, state in enumerate(("active", "archived", "deprecated", "new")):
            one.saw(f"p{number}", Standing(state))
        self.assertEqual(one.all, {})
        self.assertEqual(one.edition, 0)

    def test_damaged_in_many_ways(self) -> None:
        for data in (
            b"",
            b"[]",
            b"\xff",
            b'{"_format": "x"}',
            b'{"_format": 1}',
            b'{"_format": 1, "projects": {"a": 1}}',
            b"[" * 100_000,
        ):
            self.successResultOf(started(self.store.put(DOCUMENT, data)))
            one = self.make()
            self.successResultOf(started(one.refresh()))
            one.saw("a", Standing("quarantined"))
            self.assertIn(b"quarantined", self.read())

    def test_a_read_while_nothing_has_changed(self) -> None:
        self.make().saw("a", Standing("quarantined"))
        one = self.make()
        self.successResultOf(started(one.refresh()))
        self.store.calls.clear()
        self.successResultOf(started(one.refresh()))
        self.assertEqual(self.store.calls, [("get", DOCUMENT)])
