"""What the cache has kept is judged as everything is when it is asked for."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.advisories.values import Advisory, ProjectAdvisories
from pypicloud_tw.config.exemptions import make_exemption
from pypicloud_tw.errors import RefusedByRule, StoreError
from pypicloud_tw.index.model import Document
from pypicloud_tw.index.standing import Standing as OwnStanding
from pypicloud_tw.store.memory import MemoryStore
from pypicloud_tw.upstream.judgement.entries import RuleEntry
from pypicloud_tw.upstream.judgement.judges import FixedExemptions
from pypicloud_tw.upstream.judgement.rules import UpstreamRules
from pypicloud_tw.upstream.judgement.values import Standing
from pypicloud_tw.upstream.recheck import CLAIMS, PARTS, Recheck
from pypicloud_tw.upstream.standings import DOCUMENT, Standings
from tests.doubles import InlineOffload
from tests.upstream.doubles import HOST, START, page, project, started, status
from tests.upstream.test_pages import ACME, ACME_NAME, DAY, moment
from tests.upstream.test_relay import BODY, DIGEST, NAME, CachedBench, Sink, wheel

HOUR = 3600.0
QUARANTINED: Any = {"project-status": {"status": "quarantined", "reason": "spam"}}


class Known:
    """Advisories that a test sets."""

    def __init__(self) -> None:
        self.edition = 0
        self.trouble: str | None = None
        self.known = ProjectAdvisories()

    def of(self, name: str) -> ProjectAdvisories:
        return self.known

    def say(self, *advisories: Advisory) -> None:
        self.known = ProjectAdvisories(advisories)
        self.edition += 1


class Server(CachedBench):
    """A server in cache mode, with all that judges."""

    def __init__(self, told: Document | None = None, **options: Any) -> None:
        store = options.pop("store", None) or MemoryStore(InlineOffload())
        super().__init__(told, store=store, **options)
        self.store.clock = self.clock.seconds
        self.standings = Standings(self.store, self.clock)
        self.advisories = Known()
        judges = self.upstreams.judges
        judges.standings = self.standings
        judges.advisories = self.advisories
        self.recheck = Recheck(
            self.client,
            self.upstreams.sources,
            judges,
            self.standings,
            self.upstreams.keeper,  # type: ignore[arg-type]  # it is kept
            self.files.names,
            self.store,
            OwnStanding(),
            self.offload,
            self.clock,
            HOUR,
            Random(1),
        )

    def say(self, *files: Document, etag: str | None = None, **more: Any) -> None:
        """Have the upstream's page be that."""
        document = project("acme", *files) | more
        self.upstream.on(ACME, page(document, etag=etag))

    def asked(self) -> int:
        return len([one for one in self.upstream.asked if one.url == ACME])


class KeptTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.server = Server(wheel(uploaded=moment(START - 30 * DAY)))

    def keep(self) -> None:
        self.successResultOf(self.server.get(Sink()))

    def rule(self, filename: str = NAME) -> str:
        failure = self.failureResultOf(self.server.get(Sink(), filename), RefusedByRule)
        return str(failure.value.rule)

    def given(self) -> None:
        sink = Sink()
        self.successResultOf(self.server.get(sink))
        self.assertEqual(sink.data, BODY)

    def test_malware_that_was_kept(self) -> None:
        self.keep()
        self.server.upstream.refuses.add(HOST)
        self.server.advisories.say(
            Advisory("MAL-1", "acme", malware=True, versions=frozenset({"1"}))
        )
        self.assertEqual(self.rule(), "malware")
        self.assertEqual(self.rule(f"{NAME}.metadata"), "malware")
        until = datetime.fromtimestamp(START + DAY, UTC)
        one = make_exemption("acme==1.0", until=until, reason="x", rule="malware")
        self.server.upstreams.judges.exemptions = FixedExemptions((one,), 1)
        self.given()
        self.server.clock.advance(DAY)
        self.assertEqual(self.rule(), "malware")

    def test_malware_by_digest_alone(self) -> None:
        self.keep()
        self.server.advisories.say(
            Advisory("MAL-1", "acme", malware=True, sha256s=frozenset({DIGEST}))
        )
        self.assertEqual(self.rule(), "malware")

    def test_nothing_known_and_closed(self) -> None:
        self.keep()
        self.server.advisories.trouble = "Nothing is known."
        self.server.advisories.edition += 1
        self.assertEqual(self.rule(), "advisories")

    def test_quarantined_is_found_by_recheck(self) -> None:
        self.keep()
        self.server.say(**QUARANTINED)
        self.given()  # nobody has asked yet
        self.successResultOf(started(self.server.recheck.recheck(ACME_NAME)))
        self.assertEqual(self.rule(), "quarantined")
        failure = self.failureResultOf(self.server.get(Sink()))
        self.assertIn("has quarantined acme: spam. Nothing of it", str(failure.value))
        self.server.say(wheel())
        self.successResultOf(started(self.server.recheck.recheck(ACME_NAME)))
        self.given()

    def test_other_servers_hear_of_it(self) -> None:
        self.keep()
        other = Server(store=self.server.store)
        self.server.standings.saw("acme", Standing("quarantined"))
        self.successResultOf(started(other.standings.refresh()))
        self.failureResultOf(other.get(Sink()), RefusedByRule)
        other.standings.saw("acme", Standing())
        self.successResultOf(started(self.server.standings.refresh()))
        self.given()

    def test_an_ordinary_page_tells_it_too(self) -> None:
        self.keep()
        self.server.say(**QUARANTINED)
        self.server.clock.advance(DAY)
        self.successResultOf(self.server.ask())
        self.assertEqual(self.rule(), "quarantined")

    def test_absence_of_an_answer_lifts_nothing(self) -> None:
        self.keep()
        self.server.standings.saw("acme", Standing("quarantined"))
        self.server.upstream.on(ACME, status(503))
        self.failureResultOf(started(self.server.recheck.recheck(ACME_NAME)))
        self.assertEqual(self.rule(), "quarantined")

    def test_deleted_stays_and_is_marked(self) -> None:
        self.keep()
        self.server.upstream.on(ACME, status(404))
        self.successResultOf(started(self.server.recheck.recheck(ACME_NAME)))
        located = self.successResultOf(self.server.locate())
        self.assertEqual(located.mark, "deleted")
        self.given()

    def test_a_file_that_left_its_page_is_marked(self) -> None:
        self.keep()
        self.server.say()
        self.server.clock.advance(DAY)
        self.successResultOf(self.server.ask())
        self.assertEqual(self.successResultOf(self.server.locate()).mark, "deleted")

    def test_yanked_stays_and_is_marked(self) -> None:
        self.keep()
        self.server.say({**wheel(), "yanked": "broken\r\nX: y"})
        self.server.clock.advance(DAY)
        self.successResultOf(self.server.ask())
        self.assertEqual(self.successResultOf(self.server.locate()).mark, "yanked")
        self.server.say({**wheel(), "yanked": "broken"})
        self.server.clock.advance(DAY)
        self.successResultOf(self.server.ask())
        located = self.successResultOf(self.server.locate())
        self.assertEqual(located.mark, "yanked; broken")
        # No client takes a header field of any length.
        self.server.say({**wheel(), "yanked": "x" * 100_000})
        self.server.clock.advance(DAY)
        self.successResultOf(self.server.ask())
        located = self.successResultOf(self.server.locate())
        self.assertEqual(len(located.mark or ""), 200)


class FirstToldTests(SynchronousTestCase):
    """The time of upload that was told when a file was kept counts."""

    def kept(self, uploaded: str | None) -> Server:
        first = Server(wheel(uploaded=uploaded))
        self.successResultOf(first.get(Sink()))
        later = Server(store=first.store, rules=UpstreamRules(min_age=7 * DAY))
        later.clock.advance(DAY)
        return later

    def test_another_time_changes_nothing(self) -> None:
        server = self.kept(moment(START - 30 * DAY))
        server.say(wheel(uploaded=moment(START)))
        self.successResultOf(server.get(Sink()))

    def test_an_earlier_time_lifts_nothing(self) -> None:
        server = self.kept(moment(START - DAY))
        server.say(wheel(uploaded=moment(START - 30 * DAY)))
        failure = self.failureResultOf(server.get(Sink()), RefusedByRule)
        self.assertEqual(failure.value.until, START + 6 * DAY)
        server.clock.advance(5 * DAY)
        self.successResultOf(server.get(Sink()))

    def test_no_time_any_more(self) -> None:
        server = self.kept(moment(START - 30 * DAY))
        server.say(wheel())
        self.successResultOf(server.get(Sink()))
        self.assertEqual(server.asked(), 0)

    def test_never_told(self) -> None:
        server = self.kept(None)
        server.say(wheel())
        self.failureResultOf(server.get(Sink()), RefusedByRule)

    def test_an_older_cache_is_completed(self) -> None:
        server = self.kept(moment(START - 30 * DAY))
        records = [key for key in server.store.objects if f"{DIGEST}." in key]
        self.assertEqual(len(records), 1)
        del server.store.objects[records[0]]
        server.say(wheel(uploaded=moment(START - 30 * DAY)))
        self.successResultOf(server.get(Sink()))
        self.assertIn(records[0], server.store.objects)

    def test_told_by_who_has_just_kept_it(self) -> None:
        """The page need not be asked, and may be gone."""
        rules = UpstreamRules(min_age=7 * DAY)
        server = Server(wheel(uploaded=moment(START - 30 * DAY)), rules=rules)
        self.successResultOf(server.get(Sink()))
        server.upstream.on(ACME, status(404))
        server.clock.advance(30)
        self.successResultOf(server.get(Sink()))

    def test_no_more_questions_of_the_store(self) -> None:
        server = self.kept(moment(START - 30 * DAY))
        self.successResultOf(started(server.standings.refresh()))
        asked: list[str] = []
        server.store.before = lambda operation, key: asked.append(operation)
        self.successResultOf(server.get(Sink()))
        self.assertEqual(asked, ["list", "open", "deliver"])


class RecheckTests(SynchronousTestCase):
    def servers(self) -> tuple[Server, Server]:
        first = Server()
        self.successResultOf(first.get(Sink()))
        second = Server(store=first.store)
        second.clock = second.recheck.clock = first.clock
        return first, second

    def run_for(self, server: Server, seconds: float, *servers: Server) -> None:
        for _ in range(int(seconds // 30)):
            server.clock.advance(30)
            for one in (server, *servers):
                one.upstream.flush()

    def test_one_question_a_project_and_period(self) -> None:
        first, second = self.servers()
        before = first.asked()
        for one in (first, second):
            one.recheck.start()
        self.run_for(first, 5 * HOUR, second)
        asked = first.asked() - before + second.asked()
        self.assertGreaterEqual(asked, 4)
        self.assertLessEqual(asked, 6)
        claims = [key for key in first.store.objects if key.startswith(CLAIMS)]
        self.assertLessEqual(len(claims), 2 * PARTS + 1)
        for one in (first, second):
            one.recheck.stop()
        self.assertEqual(
            [c for c in first.clock.getDelayedCalls() if c.getTime() < START - 1], []
        )

    def test_conditionally(self) -> None:
        first, _ = self.servers()
        first.say(wheel(), etag='"one"')
        self.successResultOf(started(first.recheck.recheck(ACME_NAME)))
        self.successResultOf(started(first.recheck.recheck(ACME_NAME)))
        self.assertEqual(first.upstream.asked[-1].header("if-none-match"), '"one"')
        self.assertEqual(first.standings.of("acme").status, "active")

    def test_a_reserved_name_is_not_told(self) -> None:
        server = Server()
        self.successResultOf(server.get(Sink()))
        server.upstreams.judges.rules = UpstreamRules(
            private=(RuleEntry.parse("acme"),)
        )
        before = server.asked()
        self.successResultOf(started(server.recheck.recheck(ACME_NAME)))
        self.assertEqual(server.asked(), before)


class StandingsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.server = Server()
        self.store = self.server.store

    def others(self) -> Standings:
        return Standings(self.store, self.server.clock)

    def refreshed(self) -> Standings:
        made = self.others()
        self.successResultOf(started(made.refresh()))
        return made

    def test_two_servers_lose_nothing(self) -> None:
        one, two = self.others(), self.others()
        one.saw("a", Standing("quarantined", "x"))
        two.saw("b", Standing("quarantined"))
        read = self.refreshed()
        self.assertEqual(read.of("a"), Standing("quarantined", "x", START))
        self.assertEqual(read.of("b").status, "quarantined")

    def test_away_is_tried_again(self) -> None:
        one = self.others()
        held: Deferred[None] = Deferred()
        self.store.before = lambda operation, key: held
        one.saw("a", Standing("quarantined"))
        self.assertEqual(one.of("a").status, "quarantined")
        self.store.before = lambda operation, key: None
        held.errback(StoreError("The store is away."))
        self.assertNotIn(DOCUMENT, self.store.objects)
        self.successResultOf(started(one.refresh()))
        self.assertEqual(self.refreshed().of("a").status, "quarantined")

    def test_damaged_is_written_anew(self) -> None:
        self.refreshed().saw("a", Standing("quarantined"))
        known = self.refreshed()
        self.successResultOf(started(self.store.put(DOCUMENT, b"{")))
        self.successResultOf(started(known.refresh()))
        self.assertEqual(known.of("a").status, "quarantined")
        known.saw("b", Standing("quarantined"))
        self.assertEqual(self.refreshed().of("a").status, "quarantined")

    def test_the_edition_moves_with_what_is_known(self) -> None:
        one = self.others()
        one.saw("a", Standing())
        self.assertEqual(one.edition, 0)
        one.saw("a", Standing("quarantined"))
        one.saw("a", Standing("quarantined"))
        self.assertEqual(one.edition, 1)
        one.saw("a", Standing("archived"))
        self.assertEqual((one.edition, one.of("a")), (2, Standing()))
