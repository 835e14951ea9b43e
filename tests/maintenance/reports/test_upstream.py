"""What the daily report tells of projects of upstreams."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import define
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.concurrency.pieces import Pieces
from pypicloud_tw.config.signers import Signer
from pypicloud_tw.errors import StoreError
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.index.standing import Standing
from pypicloud_tw.maintenance.reports.upstream import ChangedPublishers, NamesLikeOurs
from pypicloud_tw.maintenance.reports.values import Findings, IReportSource
from pypicloud_tw.store.memory import MemoryStore
from pypicloud_tw.upstream.names.packed import LookAlikes
from pypicloud_tw.upstream.provenance.pins import Pins
from tests.doubles import InlineOffload
from tests.upstream.doubles import clock, started

ACME, TOOL = NormalizedName("acme"), NormalizedName("tool")
ONE = Signer.parse("github:acme/tool:release.yml")
TWO = Signer.parse("github:mallory/tool:release.yml")
BASE = "https://up.example/simple/"


def sentences(findings: Findings) -> list[str]:
    return [item.sentence for item in findings.items]


class PublisherTests(SynchronousTestCase):
    def test_changed(self) -> None:
        store = MemoryStore(InlineOffload())
        pins = Pins(store, clock(), Standing())
        self.successResultOf(started(pins.set(ACME, ONE, "root")))
        self.successResultOf(started(pins.set(TOOL, ONE, "root")))
        source: IReportSource = ChangedPublishers(pins)
        found = self.successResultOf(started(source.findings(frozenset())))
        self.assertEqual(found.items, [])
        self.successResultOf(started(pins.note_refused(ACME, TWO, "acme-2.0.tar.gz")))
        found = self.successResultOf(started(source.findings(frozenset())))
        (item,) = found.items
        self.assertEqual(item.project, "acme")
        self.assertEqual(
            item.sentence,
            "acme-2.0.tar.gz is attested by github:mallory/tool:release.yml, and acme "
            "by github:acme/tool:release.yml: refused since 2023-11-14 22:13 UTC. "
            "'pypicloud pin set acme github:mallory/tool:release.yml' accepts it.",
        )
        self.successResultOf(started(pins.set(ACME, TWO, "root")))
        found = self.successResultOf(started(source.findings(frozenset())))
        self.assertEqual(found.items, [])


@define
class Lists:
    """Knows what it is told."""

    found: tuple[tuple[str, LookAlikes], ...] | None = None
    fails: bool = False

    async def look_alikes(
        self, ours: Iterable[str]
    ) -> tuple[tuple[str, LookAlikes], ...] | None:
        if self.fails:
            raise StoreError("The store is away.")
        return self.found


class NamesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.lists = Lists()
        self.taken = {"acme-utilz", "requests", "acme-utils"}

    def find(self, *remembered: str) -> Deferred[Findings]:
        async def ours() -> Iterable[str]:
            return {"acme-utils", "tool"}

        async def taken() -> Iterable[str]:
            return self.taken

        source: IReportSource = NamesLikeOurs(
            self.lists, ours, taken, Pieces(self.clock)
        )
        finding = started(source.findings(frozenset(remembered)))
        self.clock.pump([0.0] * 10)
        return finding

    def test_what_was_taken_before_any_list_was_read(self) -> None:
        found = self.successResultOf(self.find())
        (sentence,) = sentences(found)
        self.assertIn(
            "acme-utilz of the upstream is one edit from acme-utils", sentence
        )
        self.assertIn("files of it are kept here", sentence)
        self.assertEqual(found.remembered, {"acme-utils acme-utilz"})

    def test_what_is_listed(self) -> None:
        alike = LookAlikes("acme-utils", ("acme-util", "acme-utilz"), same=True)
        self.lists.found = ((BASE, alike), (BASE, LookAlikes("tool", ("tools",))))
        told = sentences(self.successResultOf(self.find()))
        self.assertEqual(len(told), 4)
        self.assertEqual(len([one for one in told if "acme-utilz" in one]), 1)
        self.assertIn(
            f"acme-utils is ours, and there is another project of that name at {BASE}.",
            told,
        )
        self.assertIn(f"tools at {BASE} is one edit from tool, which is ours.", told)

    def test_each_once(self) -> None:
        first = self.successResultOf(self.find())
        again = self.successResultOf(self.find(*first.remembered))
        self.assertEqual(again.items, [])
        self.assertEqual(again.remembered, first.remembered)

    def test_a_store_that_is_away(self) -> None:
        self.lists.fails = True
        self.failureResultOf(self.find(), StoreError)
