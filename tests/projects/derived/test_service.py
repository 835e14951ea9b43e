"""What servers know of all projects, over one store in memory."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.errors import PreconditionFailed, StoreError
from pypicloud_tw.index.manifest import manifest_key
from pypicloud_tw.index.marker import KEY as MARKER
from pypicloud_tw.index.names import NormalizedName, project_name
from pypicloud_tw.metrics import Metrics
from pypicloud_tw.projects.derived.describing import Describer
from pypicloud_tw.projects.derived.service import (
    ATTEMPTS,
    COMPARE_EVERY,
    OTHERS_PATIENCE,
    PAUSE,
    POLL_EVERY,
    WORK_EVERY,
    DerivedProjects,
)
from pypicloud_tw.projects.derived.shards import FOLDER, shard_key, shard_of
from pypicloud_tw.projects.derived.waiting import Waiting, Wanted
from tests.builders import metadata, wheel
from tests.web.doubles import ACME, Domain, started

#: Within this a change is known everywhere.
MINUTE = 60


def anybody(name: str) -> bool:
    return True


def nobody(name: str) -> bool:
    return False


class Server:
    """A process that keeps what it knows up."""

    def __init__(self, domain: Domain, *, secured: bool = True) -> None:
        self.domain = domain
        if secured:
            domain.index.standing.open(None)
        self.derived = DerivedProjects(domain.index)
        self.derived.start()

    def entry(self, name: str = "acme") -> Any:
        return self.derived.entry(name)


class ServiceCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.domain = Domain()
        self.store, self.clock = self.domain.store, self.domain.clock
        self.servers: list[Server] = []
        self.one = self.serve(self.domain)

    def tearDown(self) -> None:
        for server in self.servers:
            server.derived.stop()
        left = [call for call in self.clock.getDelayedCalls() if call.active()]
        self.assertEqual(left, [])

    def serve(self, domain: Domain | None = None) -> Server:
        """Start a server."""
        server = Server(domain or self.domain.beside())
        self.servers.append(server)
        self.wait(0)
        return server

    def kill(self, server: Server) -> None:
        server.derived.stop()
        self.servers.remove(server)

    def wait(self, seconds: float) -> None:
        """Let time pass; a second at a time, as loops look."""
        self.clock.pump([0.01] * 20)
        self.clock.pump([1.0] * int(seconds))
        self.clock.pump([0.01] * 20)

    def do(self, work: Any) -> Any:
        done: Deferred[Any] = started(work)
        self.domain.settle(done)
        return self.successResultOf(done)

    def publish(
        self,
        name: str = "acme",
        version: str = "1.0",
        *,
        more: str = "",
        domain: Domain | None = None,
    ) -> None:
        data = wheel(
            name, version, core_metadata=metadata(name, version) + more.encode()
        )
        filename = f"{name}-{version}-py3-none-any.whl"
        self.do((domain or self.domain).publish(filename, data))

    def counted(self, operation: str, prefix: str = "") -> int:
        """Count calls of the store, from now on as well."""
        return sum(o == operation and k.startswith(prefix) for o, k in self.store.calls)


class OwnChangeTests(ServiceCase):
    def test_an_upload_is_known_and_written_within_seconds(self) -> None:
        self.publish(more="Keywords: web\nRequires-Dist: Zope.Interface\n")
        self.assertIsNone(self.one.entry())
        self.wait(WORK_EVERY)
        entry = self.one.entry()
        self.assertEqual(
            (entry.version, entry.summary, entry.uploader, entry.releases),
            ("1.0", "A tool of Acme's", "ann", 1),
        )
        etag = self.store.objects[manifest_key(ACME)].info.etag
        self.assertTrue(self.one.derived.table.is_of("acme", etag))
        requires = self.do(self.one.derived.dependents("zope-interface", 9, anybody))
        self.assertEqual([one.name for one in requires], ["acme"])
        self.assertIn(shard_key(shard_of("acme")), self.store.objects)

    def test_no_upload_waits_or_fails_for_it(self) -> None:
        def away(operation: str, key: str) -> None:
            if key.startswith(FOLDER) or operation == "ping":
                raise StoreError("The store is away.")

        self.store.before = away
        self.publish()
        self.wait(WORK_EVERY)
        self.assertIsNone(self.one.entry())
        self.store.before = lambda operation, key: None
        self.wait(PAUSE + WORK_EVERY)
        self.assertEqual(self.one.entry().version, "1.0")

    def test_many_changes_are_written_together(self) -> None:
        for number in range(5):
            self.publish(version=f"{number}.0")
        self.wait(WORK_EVERY)
        self.assertEqual(self.counted("put", FOLDER), 1)
        self.assertEqual(
            (self.one.entry().version, self.one.entry().releases), ("4.0", 5)
        )

    def test_nothing_is_asked_where_nothing_changes(self) -> None:
        self.publish()
        self.wait(2 * MINUTE)
        before = len(self.store.calls)
        self.wait(10 * POLL_EVERY)
        self.assertLessEqual(len(self.store.calls) - before, 10)
        self.assertEqual({k for _, k in self.store.calls[before:]}, {MARKER})

    def test_what_is_quarantined_archived_or_empty(self) -> None:
        acts = self.domain.index.acts
        self.publish(more="Requires-Dist: tool\n")
        self.do(acts.set_status(ACME, "archived", None))
        self.wait(WORK_EVERY)
        entry = self.one.entry()
        self.assertEqual((entry.status, entry.version), ("archived", "1.0"))
        self.do(acts.set_status(ACME, "quarantined", None))
        self.wait(WORK_EVERY)
        entry = self.one.entry()
        self.assertEqual((entry.status, entry.version), ("quarantined", None))
        self.assertEqual(
            (entry.summary, entry.uploaded, entry.releases), (None, None, 0)
        )
        self.assertEqual(self.do(self.one.derived.dependents("tool", 9, anybody)), ())
        self.do(acts.set_status(ACME, "active", None))
        self.do(self.domain.delete("1.0"))
        self.wait(WORK_EVERY)
        entry = self.one.entry()
        self.assertEqual((entry.status, entry.version), ("active", None))

    def test_hostile_texts(self) -> None:
        summary = "Summary: " + "\u202e\x1b[31mx" * 20_000 + "\n"
        data = metadata().replace(b"Summary: A tool of Acme's\n", summary.encode())
        self.do(
            self.domain.publish("acme-1.0-py3-none-any.whl", wheel(core_metadata=data))
        )
        self.wait(WORK_EVERY)
        entry = self.one.entry()
        self.assertTrue(entry.summary.isprintable())
        self.assertLessEqual(len(entry.summary), 512)

    def test_metadata_that_cannot_be_read_says_nothing(self) -> None:
        self.publish(more="Requires-Dist: tool\n")
        (key,) = (k for k in self.store.objects if k.endswith(".metadata"))
        for data in (b"Requires-Dist: tool\n" * 20_000, b"\xff" * (3 * 2**20), None):
            if data is None:
                del self.store.objects[key]
            else:
                self.store.add(key, data)
            describer = Describer(
                self.store, self.domain.manifests, self.domain.offload
            )
            described = self.do(describer.describe(ACME))
            self.assertEqual(described.requires, ())
            self.assertEqual(described.entry.version, "1.0")

    def test_long_metadata_is_read_in_a_helper(self) -> None:
        self.publish(more="".join(f"Requires-Dist: p{n}\n" for n in range(1000)))
        self.wait(WORK_EVERY)
        self.assertIn("read_searched", self.domain.offload.processed)
        found = self.do(self.one.derived.dependents("p999", 9, anybody))
        self.assertEqual(len(found), 1)


class OtherServerTests(ServiceCase):
    def setUp(self) -> None:
        super().setUp()
        self.two = self.serve()

    def test_an_upload_is_known_everywhere_within_a_minute(self) -> None:
        self.publish()
        before = len(self.store.calls)
        self.wait(MINUTE)
        self.assertEqual(self.two.entry(), self.one.entry())
        self.assertIsNotNone(self.two.entry())
        # It was described once, and the other server has read the shard.
        described = [k for o, k in self.store.calls[before:] if k.endswith(".metadata")]
        self.assertEqual(len(described), 1)

    def test_a_change_of_a_known_project_as_well(self) -> None:
        self.publish()
        self.wait(MINUTE)
        self.publish(version="2.0")
        self.wait(MINUTE)
        self.assertEqual(self.two.entry().version, "2.0")

    def test_whoever_hears_of_it_does_it_if_the_writer_ended(self) -> None:
        self.publish()
        self.kill(self.one)
        self.wait(MINUTE)
        self.assertEqual(self.two.entry().version, "1.0")
        self.assertIn(shard_key(shard_of("acme")), self.store.objects)

    def test_an_older_entry_does_not_pass_for_the_new_one(self) -> None:
        self.publish()
        self.wait(MINUTE)
        self.kill(self.one)
        self.publish(version="2.0")
        self.wait(MINUTE)
        self.assertEqual(self.two.entry().version, "2.0")

    def test_the_next_start_does_it_if_nobody_else_ran(self) -> None:
        self.publish()
        self.wait(WORK_EVERY)
        self.publish(version="2.0")
        self.kill(self.one)
        self.kill(self.two)
        three = self.serve()
        self.assertEqual(three.entry().version, "2.0")

    def test_a_marker_that_was_lost(self) -> None:
        self.publish()
        self.wait(MINUTE)
        self.kill(self.one)
        self.publish(version="2.0")
        del self.store.objects[MARKER]
        self.publish("tool", domain=self.domain.beside())
        self.wait(2 * MINUTE)
        self.assertEqual(self.two.entry().version, "2.0")
        self.assertEqual(self.two.entry("tool").version, "1.0")

    def test_what_nobody_was_told_is_found_in_an_hour(self) -> None:
        self.publish()
        self.wait(MINUTE)
        quiet = self.domain.beside()
        self.kill(self.one)
        with_marker = dict(self.store.objects)
        self.publish(version="2.0", domain=quiet)
        self.store.objects[MARKER] = with_marker[MARKER]
        self.wait(COMPARE_EVERY + MINUTE)
        self.assertEqual(self.two.entry().version, "2.0")

    def test_both_write_one_shard(self) -> None:
        names = [f"p{number}" for number in range(500)]
        other = next(n for n in names if shard_of(n) == shard_of("acme"))
        self.publish()
        self.publish(other, domain=self.two.domain)
        self.wait(MINUTE)
        self.kill(self.one)
        self.kill(self.two)
        before = self.counted("get", ".index/")
        three = self.serve()
        self.assertEqual(three.entry(other).version, "1.0")
        self.assertEqual(three.entry("acme").version, "1.0")
        self.assertEqual(self.counted("get", ".index/"), before)

    def test_races_that_are_lost_are_run_again(self) -> None:
        lost = iter(range(3))

        def overtaken(operation: str, key: str) -> None:
            if operation == "put" and key.startswith(FOLDER) and next(lost, 9) < 3:
                raise PreconditionFailed("Another was first.")

        self.store.before = overtaken
        self.publish()
        self.wait(MINUTE)
        self.assertIn(shard_key(shard_of("acme")), self.store.objects)

    def test_too_many_races_end(self) -> None:
        def overtaken(operation: str, key: str) -> None:
            if operation == "put" and key.startswith(FOLDER):
                raise PreconditionFailed("Another was first.")

        self.kill(self.two)
        self.store.before = overtaken
        self.publish()
        self.wait(MINUTE)
        self.assertEqual(self.counted("put", FOLDER), ATTEMPTS)
        self.assertEqual(self.one.entry().version, "1.0")


class StartTests(ServiceCase):
    def three(self) -> list[str]:
        names = ["acme", "tool", "zebra"]
        for name in names:
            self.publish(name)
        self.wait(MINUTE)
        return names

    def test_no_manifest_is_read_where_nothing_changed(self) -> None:
        names = self.three()
        before = len(self.store.calls)
        two = self.serve()
        self.assertTrue(all(two.entry(name) == self.one.entry(name) for name in names))
        read = [k for o, k in self.store.calls[before:] if o == "get"]
        self.assertEqual([k for k in read if not k.startswith(FOLDER)], [MARKER])

    def test_two_that_start_without_it_share_the_work(self) -> None:
        names = [f"p{number}" for number in range(40)]
        for name in names:
            self.publish(name)
        self.kill(self.one)
        for key in [k for k in self.store.objects if k.startswith(FOLDER)]:
            del self.store.objects[key]
        self.store.calls.clear()
        servers = [self.serve(), self.serve()]
        for server in servers:
            self.assertEqual(len(server.derived.table), 40)
        self.assertEqual(self.counted("get", ".index/"), 40)

    def test_a_store_without_derived_data(self) -> None:
        self.three()
        for key in [k for k in self.store.objects if k.startswith(FOLDER)]:
            del self.store.objects[key]
        two = self.serve()
        self.assertEqual(len(two.derived.table), 3)
        keys = {shard_key(shard_of(name)) for name in ("acme", "tool", "zebra")}
        self.assertLessEqual(keys, self.store.objects.keys())

    def test_a_damaged_shard_is_made_again(self) -> None:
        self.three()
        key = shard_key(shard_of("acme"))
        self.store.add(key, b"?")
        two = self.serve()
        self.assertEqual(two.entry(), self.one.entry())
        self.assertNotEqual(self.store.objects[key].data, b"?")

    def test_a_shard_that_is_lost_later_is_made_whole(self) -> None:
        """By who writes one project of it, for all others of it."""
        names = (f"p{number}" for number in range(500))
        other = next(n for n in names if shard_of(n) == shard_of("acme"))
        self.publish()
        self.publish(other)
        self.wait(MINUTE)
        del self.store.objects[shard_key(shard_of("acme"))]
        self.publish(version="2.0")
        self.wait(WORK_EVERY)
        before = self.counted("get", ".index/")
        two = self.serve()
        self.assertEqual(two.entry(other).version, "1.0")
        self.assertEqual(self.counted("get", ".index/"), before)

    def test_what_a_newer_version_wrote_stays(self) -> None:
        self.three()
        key, newer = shard_key(shard_of("acme")), b'{"_format": 2}\n'
        self.store.add(key, newer)
        two = self.serve()
        self.assertEqual(two.entry().version, "1.0")
        self.publish(version="2.0", domain=two.domain)
        self.wait(MINUTE)
        self.assertEqual(two.entry().version, "2.0")
        self.assertEqual(self.store.objects[key].data, newer)

    def test_a_manifest_that_is_damaged_or_lost(self) -> None:
        self.three()
        self.store.add(manifest_key(ACME), b"{")
        del self.store.objects[manifest_key(project_name("tool"))]
        two = self.serve()
        self.assertEqual(two.entry("acme").version, "1.0")
        self.assertIsNone(two.entry("tool"))
        self.assertIsNotNone(two.entry("zebra"))
        self.wait(COMPARE_EVERY + MINUTE)
        self.assertIsNone(self.one.entry("tool"))

    def test_an_object_that_cannot_be_read(self) -> None:
        """Be it a manifest or a shard, the others are known."""
        names = self.three()
        bad = {manifest_key(ACME), shard_key(shard_of("acme"))}

        def unreadable(operation: str, key: str) -> None:
            if operation == "get" and key in bad:
                raise StoreError("It cannot be read.")

        self.store.before = unreadable
        two = self.serve()
        known = [name for name in names if two.entry(name) is not None]
        self.assertEqual(known, ["tool", "zebra"])
        self.publish("other")
        self.wait(MINUTE)
        self.assertIsNotNone(two.entry("other"))

    def test_the_store_is_away(self) -> None:
        self.three()

        def away(operation: str, key: str) -> None:
            raise StoreError("The store is away.")

        self.store.before = away
        two = self.serve()
        self.wait(MINUTE)
        self.assertEqual(len(two.derived.table), 0)
        self.assertEqual(len(self.one.derived.table), 3)
        self.store.before = lambda operation, key: None
        self.wait(PAUSE + WORK_EVERY)
        self.assertEqual(len(two.derived.table), 3)

    def test_only_the_holder_of_the_lease_writes(self) -> None:
        self.kill(self.one)
        domain = self.domain.beside()
        server = self.serve(domain)
        self.publish()
        domain.index.standing.wait()
        self.wait(MINUTE)
        self.assertEqual(server.entry().version, "1.0")
        self.assertEqual(self.counted("put", FOLDER), 0)

    def test_stopping_ends_what_is_under_way(self) -> None:
        never: Deferred[None] = Deferred()
        self.store.before = lambda operation, key: never if key == FOLDER else None
        two = self.serve()
        self.kill(two)
        self.assertTrue(never.called)


class WaitingTests(SynchronousTestCase):
    def test_own_changes_come_first(self) -> None:
        waiting = Waiting(first=5)
        names = [NormalizedName(f"p{number}") for number in range(400)]
        for name in names:
            waiting.add(name, Wanted(0, etag="x"))
        number, _ = waiting.next(1) or (None, None)
        self.assertEqual(number, 5)
        waiting.add(names[7], Wanted(0))
        waiting.add(names[7], Wanted(9, serial=1))  # as the marker tells it, too
        number, due = waiting.next(1) or (-1, {})
        self.assertEqual(number, shard_of(names[7]))
        self.assertTrue(due[names[7]].own)
        seen: set[NormalizedName] = set()
        while some := waiting.next(1):
            waiting.done(*some)
            seen.update(some[1])
        self.assertEqual((seen, len(waiting)), (set(names), 0))

    def test_what_is_wanted_anew_meanwhile_stays(self) -> None:
        for first, again in (
            (Wanted(0), Wanted(1)),
            (Wanted(0), Wanted(9, serial=1)),
            (Wanted(0, serial=1), Wanted(0, serial=1)),
        ):
            waiting = Waiting()
            waiting.add(ACME, first)
            some = waiting.next(0)
            assert some is not None
            waiting.add(ACME, again)
            waiting.done(*some)
            self.assertIsNotNone(waiting.next(0))


class AskedTests(ServiceCase):
    def test_what_nobody_may_read_is_neither_counted_nor_named(self) -> None:
        self.publish()
        self.publish("tool", more="Requires-Dist: acme\n")
        self.wait(WORK_EVERY)
        derived = self.one.derived
        for reads, count in ((nobody, 0), (anybody, 1)):
            requires = self.do(derived.dependents("acme", 9, reads))
            self.assertEqual(len(requires), count)
            self.assertEqual(len(self.do(derived.newest(9, reads))), 2 * count)
        self.assertEqual(self.do(derived.total(nobody)), 0)
        self.assertEqual(self.do(derived.total(anybody)), 2)
        self.assertEqual(derived.near("acm", 9, nobody), ())
        self.assertEqual(derived.near("acm", 9, anybody), ("acme",))

    def test_a_total_is_counted_once_a_minute(self) -> None:
        self.publish()
        self.wait(WORK_EVERY)
        asked: list[str] = []

        def reads(name: str) -> bool:
            asked.append(name)
            return True

        for _ in range(2):
            self.assertEqual(self.do(self.one.derived.total(reads)), 1)
        self.assertEqual(len(asked), 1)
        self.wait(MINUTE)
        self.do(self.one.derived.total(reads))
        self.assertEqual(len(asked), 2)

    def test_that_nothing_is_known_is_not_kept(self) -> None:
        """As at a start, of which one might ask before anything is read."""
        derived = self.one.derived
        self.assertEqual(self.do(derived.total(anybody)), 0)
        self.publish()
        self.wait(WORK_EVERY)
        self.assertEqual(self.do(derived.total(anybody)), 1)

    def test_what_is_not_described_yet(self) -> None:
        derived = self.one.derived
        self.publish()
        names: tuple[NormalizedName, ...] = self.do(self.domain.catalog.names())
        steps = derived.pieces.finish
        self.assertEqual(self.do(steps(derived.unknown(names))), ["acme"])
        self.wait(WORK_EVERY)
        self.assertEqual(self.do(steps(derived.unknown(names))), [])
        first = self.do(steps(derived.unknown(names)))
        self.assertIs(self.do(steps(derived.unknown(names))), first)

    def test_metrics(self) -> None:
        metrics = Metrics(self.clock)
        self.one.derived.register(metrics)
        self.publish()
        self.wait(WORK_EVERY)
        text = metrics.render().decode()
        self.assertIn("pypicloud_derived_projects 1.0", text)
        self.assertIn("pypicloud_derived_waiting 0.0", text)


class RebuildTests(ServiceCase):
    def test_all_is_made_anew(self) -> None:
        self.publish()
        self.publish("tool")
        self.wait(WORK_EVERY)
        del self.store.objects[manifest_key(project_name("tool"))]
        self.kill(self.one)
        told: list[int] = []
        rebuilt = self.do(DerivedProjects(self.domain.index).rebuild(told.append))
        self.assertEqual((rebuilt.described, rebuilt.unreadable), (1, ()))
        self.assertEqual(told[-1], 1)
        two = self.serve()
        self.assertEqual(two.entry().version, "1.0")

    def test_what_cannot_be_read_is_told(self) -> None:
        self.publish()
        self.store.add(manifest_key(ACME), b"{")
        rebuilt = self.do(DerivedProjects(self.domain.index).rebuild())
        ((name, why),) = rebuilt.unreadable
        self.assertEqual(name, "acme")
        self.assertIn("damaged", why)

    def test_another_writes_meanwhile(self) -> None:
        self.publish()
        self.wait(WORK_EVERY)
        self.store.fail_next("put", PreconditionFailed("Another was first."))
        rebuilt = self.do(DerivedProjects(self.domain.index).rebuild())
        self.assertEqual(rebuilt.described, 1)

    def test_what_a_newer_version_wrote_stays(self) -> None:
        self.publish()
        key = shard_key(shard_of("acme"))
        self.store.add(key, b'{"_format": 2}\n')
        rebuilt = self.do(DerivedProjects(self.domain.index).rebuild())
        self.assertEqual(rebuilt.left, (key,))


assert OTHERS_PATIENCE + POLL_EVERY + 2 * WORK_EVERY < MINUTE
