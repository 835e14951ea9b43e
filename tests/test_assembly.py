"""What is assembled changes nothing before it is known how the store takes it."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.cli.offline import check_only_writer
from pypicloud_tw.errors import Conflict, StoreError, Unavailable
from pypicloud_tw.index import lease
from pypicloud_tw.index.index import Index
from pypicloud_tw.index.manifests import Manifests
from pypicloud_tw.index.names import Filename
from pypicloud_tw.index.publication import Publication
from pypicloud_tw.index.publish import Publisher
from pypicloud_tw.index.standing import Standing
from pypicloud_tw.store.s3.probe import Abilities, Conditional
from pypicloud_tw.store.s3.store import S3Store
from tests.doubles import InlineOffload, Siblings
from tests.store.s3.doubles import Drop, Harness

T = TypeVar("T")

GOOD = Abilities(Conditional.QUOTED, ordered=True)
BAD = evolve(GOOD, conditional=Conditional.NONE)


class SecuringTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.harness = Harness()
        self.store = S3Store(self.harness.client, InlineOffload())
        self.index = self.make()

    def make(self) -> Index:
        """Another process on the bucket."""
        clock = self.harness.clock
        offload: Any = InlineOffload()
        unused: Any = None
        manifests = Manifests(self.store, clock, standing=Standing.starting())
        publisher = Publisher(self.store, manifests, unused, offload, clock)
        return Index(self.store, manifests, unused, publisher, clock)

    def run_now(self, work: Coroutine[Any, Any, T]) -> T:
        result: T = self.successResultOf(self.harness.run(work))
        return result

    def refusal(self, index: Index) -> str:
        """Try to publish; tell why not."""
        filename = Filename.parse("acme-1.0.tar.gz")
        error = self.failureResultOf(
            self.harness.run(Publication(index.publisher).begin(filename)), Unavailable
        ).value
        return str(error.message)

    def test_nothing_is_changed_before(self) -> None:
        """How the store takes a condition is not known yet."""
        self.assertIn("being got ready", self.refusal(self.index))
        self.assertEqual(self.harness.fake.seen, [])
        self.store.abilities = GOOD
        self.run_now(self.index.secure())
        self.index.manifests.check_open()

    def test_several_workers_are_refused(self) -> None:
        """They would take it from each other; it is told before anything is changed."""
        siblings = Siblings()
        self.index = evolve(self.index, siblings=siblings)
        self.store.abilities = BAD
        self.failureResultOf(self.harness.run(self.index.secure()), Unavailable)
        [said] = siblings.refused
        self.assertIn("set server.workers = 1", said)
        self.assertNotIn(lease.KEY, self.harness.fake.objects)

    def test_the_lease_is_taken_at_the_second_try_too(self) -> None:
        self.store.abilities = BAD
        self.harness.fake.fail("*", *[Drop()] * 5)
        self.failureResultOf(self.harness.run(self.index.secure()), StoreError)
        self.assertIn("being got ready", self.refusal(self.index))
        self.run_now(self.index.secure())
        self.assertIn(lease.KEY, self.harness.fake.objects)
        self.index.manifests.check_open()

    def test_a_rival_s_bytes_are_refused_before_they_are_sent(self) -> None:
        self.store.abilities = BAD
        self.run_now(self.index.secure())
        other = self.make()
        self.run_now(other.secure())
        self.assertIn("Another process", self.refusal(other))
        # What to do about it, also just after a server was killed.
        self.assertIn("or end it and try again", self.refusal(other))
        self.assertIn("killed counts for 90 s", self.refusal(other))

    def test_commands_refuse_beside_the_writer(self) -> None:
        self.store.abilities = BAD
        self.run_now(self.index.secure())
        check_only_writer(self.index)
        other = self.make()
        self.run_now(other.secure())
        with self.assertRaises(Conflict) as caught:
            check_only_writer(other)
        self.assertIn("Stop the server, run this again", caught.exception.message)

    def test_nothing_is_changed_by_a_lease_that_was_not_renewed(self) -> None:
        self.store.abilities = BAD
        self.run_now(self.index.secure())
        self.index.manifests.check_open()
        self.harness.fake.fail("*", *[Drop()] * 100)
        self.harness.clock.pump([1.0] * int(lease.ENDS_AFTER))
        self.assertIn("could not be renewed", self.refusal(self.index))
