"""What is read of wrk and of processes, and what is made of it."""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from benchmarks import processes
from benchmarks.figures import Kind, Sample, Table
from benchmarks.load import Result, understand
from benchmarks.variants import Variant

WRK = """\
Running 3s test @ http://127.0.0.1:36229/
  1 threads and 16 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     4.25ms   11.00ms  79.77ms   94.89%
    Req/Sec     9.15k     3.36k   12.68k    60.00%
  Latency Distribution
     50%    1.35ms
     75%    2.07ms
     90%    5.10ms
     99%    {p99}
  9307 requests in 3.08s, 23.85MB read
{more}Requests/sec:   3021.75
Transfer/sec:     22.09MB
"""


class WrkTests(SynchronousTestCase):
    """:func:`understand`."""

    def test_units(self) -> None:
        for p99, milliseconds in (
            ("900.00us", 0.9),
            ("66.75ms", 66.75),
            ("1.20s", 1200),
            ("1.50m", 90_000),
        ):
            result = understand(WRK.format(p99=p99, more=""))
            self.assertEqual(result, Result(9307, 3021.75, 1.35, milliseconds))

    def test_errors_are_no_answers(self) -> None:
        for more in (
            "  Non-2xx or 3xx responses: 13\n",
            "  Socket errors: connect 0, read 3, write 0, timeout 0\n",
        ):
            with self.assertRaises(RuntimeError) as raised:
                understand(WRK.format(p99="1.00ms", more=more))
            self.assertIn(more.strip(), str(raised.exception))

    def test_nothing_was_answered(self) -> None:
        """wrk prints no latencies then."""
        with self.assertRaises(RuntimeError) as raised:
            understand("  0 requests in 3.00s, 0.00B read\nRequests/sec:      0.00\n")
        self.assertIn("did not get", str(raised.exception))


class ProcessTests(SynchronousTestCase):
    """:mod:`benchmarks.processes`."""

    def test_name_with_brackets(self) -> None:
        before = "1234 (a) name (x) S " + " ".join(["7"] * 10)
        stat = f"{before} 100 20 3 4 20 0 1 0 5"
        self.assertEqual(processes.ticks_of(stat), 127)

    def test_highest(self) -> None:
        self.assertEqual(processes.highest_of("Name:\tx\nVmHWM:\t  12 kB\n"), 12288)
        self.assertEqual(processes.highest_of("Name:\tkthreadd\n"), 0)

    def test_this_process(self) -> None:
        pid = os.getpid()
        self.assertIn(pid, list(processes.tree(pid)))
        self.assertGreater(processes.worked(pid), 0)
        self.assertGreater(processes.highest(pid), 1_000_000)


class TableTests(SynchronousTestCase):
    """:class:`Table`."""

    def table(self, kind: Kind) -> Table:
        table = Table()
        for name, values in {
            "ours": (10, 30, 20),
            "nginx": (40, 40, 40),
            "slow": (1, 1, 1),
            "fast": (80, 20, 40),
        }.items():
            table.cell(kind, name).samples += [Sample(value) for value in values]
        table.cell(kind, "unable").why_not = "it cannot"
        return table

    def test_ratios_of_the_same_rounds(self) -> None:
        """The machine's other work hits both: medians alone would give 0.5 of fast."""
        kind = Kind("row", "A row")
        table = self.table(kind)
        self.assertEqual(table.of(kind, "ours", "nginx"), 0.5)
        self.assertEqual(table.of(kind, "ours", "fast"), 0.5)
        table.cell(kind, "fast").samples[2] = Sample(10)
        self.assertEqual(table.of(kind, "ours", "fast"), 1.5)
        self.assertIsNone(table.of(kind, "ours", "unable"))
        self.assertIsNone(table.of(kind, "ours", "nobody"))

    def test_best_peer(self) -> None:
        peers = ["slow", "fast", "unable"]
        more, less = Kind("row", "A row"), Kind("row", "A row", "s", lower=True)
        self.assertEqual(self.table(more).best_peer(more, peers), "fast")
        self.assertEqual(self.table(less).best_peer(less, peers), "slow")
        self.assertIsNone(self.table(more).best_peer(more, ["unable"]))

    def test_less_is_better(self) -> None:
        """A ratio says how many times as good, whatever is counted."""
        kind = Kind("row", "A row", "s", lower=True)
        self.assertEqual(self.table(kind).of(kind, "ours", "nginx"), 2.0)

    def test_written(self) -> None:
        kind = Kind("row", "A row")
        names = ["ours", "nginx", "fast", "unable"]
        (row,) = self.table(kind).as_json(names, names[2:])
        self.assertEqual(list(row["servers"]), names)
        ours = row["servers"]["ours"]
        self.assertEqual(
            (ours["median"], ours["lowest"], ours["highest"]), (20, 10, 30)
        )
        self.assertEqual(ours["rounds"], [10, 30, 20])
        self.assertEqual((ours["of_nginx"], ours["best_peer"]), (0.5, "fast"))
        self.assertEqual(row["servers"]["unable"], {"why_not": "it cannot"})
        self.assertNotIn("best_peer", row["servers"]["fast"])


class VariantTests(SynchronousTestCase):
    """``--ours``."""

    def test_words(self) -> None:
        made = Variant.parse('two=--workers=2 server.lane=no programs=/x/bin "a.b=c d"')
        self.assertEqual(made.name, "two")
        self.assertEqual(list(made.options), ["--workers=2"])
        self.assertEqual(made.settings, {"server.lane": "no", "a.b": "c d"})
        self.assertEqual(str(made.programs), "/x/bin")
        self.assertIsNone(made.checkout)
        self.assertEqual(str(Variant.parse("old=checkout=/y").checkout), "/y")

    def test_wrong(self) -> None:
        for text, cause in (("two", "NAME=WORDS"), ("two=lane", "'lane': neither")):
            with self.assertRaises(ValueError) as raised:
                Variant.parse(text)
            self.assertIn(cause, str(raised.exception))
