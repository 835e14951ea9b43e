"""What a bucket costs: the page tells what the counts come to."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.costs import Counted, Load, Prices, bill, table
from tests.test_docs import DOCS


class CostTests(SynchronousTestCase):
    def test_the_page_has_the_table(self) -> None:
        page = (DOCS / "guide" / "scale.rst").read_text()
        self.assertIn(f"\n\n{table()}\n\n", page)

    def test_the_page_has_the_counts(self) -> None:
        page = (DOCS / "guide" / "scale.rst").read_text()
        counted = Counted()
        for number, unit in (
            (counted.idle_reads, "reads a second"),
            (counted.idle_writes, "writes a second"),
            (counted.upload_reads, "reads for an upload"),
            (counted.upload_writes, "writes for an upload"),
            (counted.heard_reads, "reads by each other server"),
        ):
            self.assertIn(f"{number:g} {unit}", " ".join(page.split()))

    def test_prices(self) -> None:
        self.assertAlmostEqual(Prices().of(1_000_000, 1000), 0.405)

    def test_idle_servers(self) -> None:
        counted = Counted(idle_reads=0.1, idle_writes=0.0)
        made = bill(Load(0, 10, uploads=0), counted)
        self.assertAlmostEqual(made.reads, 1.0)
        self.assertEqual((made.writes, made.files), (0, 0))
        self.assertAlmostEqual(made.of_servers, 1.0368)

    def test_each_server_asks_no_oftener_than_it_is_asked(self) -> None:
        counted = Counted(idle_reads=0.0)
        for installs, servers, each in ((1, 10, 0.2), (10, 10, 2.0), (1000, 10, 3.1)):
            made = bill(Load(installs, servers, uploads=0, pages=120), counted)
            self.assertAlmostEqual(made.reads, servers * each)
