"""What is made of a run's document: the table, the chart and the history."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from twisted.trial.unittest import SynchronousTestCase

from benchmarks import chart, history, table
from tests.benchmarks.runs import document

SVG = "{http://www.w3.org/2000/svg}"


def entries(*ratios: float, **more: Any) -> list[dict[str, Any]]:
    return [history.entry(document(ratio, **more)) for ratio in ratios]


def found(earlier: list[dict[str, Any]], new: dict[str, Any]) -> list[str]:
    return [str(one) for one in history.regressions(earlier, new, {"page-20": "20"})]


class HistoryTests(SynchronousTestCase):
    """:mod:`benchmarks.history`."""

    def test_a_fifth_less_is_shown(self) -> None:
        earlier = entries(0.50, 0.52, 0.48)
        (new,) = entries(0.39)
        self.assertEqual(found(earlier, new), ["20, ours: 0.39 of nginx, 0.5 before"])
        (new,) = entries(0.41)
        self.assertEqual(found(earlier, new), [])

    def test_the_last_three_count(self) -> None:
        (new,) = entries(0.39)
        self.assertEqual(found(entries(0.9, 0.9, 0.4, 0.4, 0.4), new), [])

    def test_only_machines_of_the_same_kind(self) -> None:
        (new,) = entries(0.1)
        machine = {**document(0.5)["machine"], "cores": 64}
        self.assertEqual(found(entries(0.5, machine=machine), new), [])
        self.assertEqual(found(entries(0.5, quick=True), new), [])
        self.assertEqual(found([], new), [])

    def test_where_nginx_has_no_part(self) -> None:
        """Beside the best peer, if it is the same one."""
        (new,) = entries(0.5)
        self.assertEqual(
            new["figures"]["upload-8"]["ours"],
            {"median": 100.0, "of_best_peer": 0.6, "best_peer": "fast"},
        )
        (before,) = entries(0.5)
        before["figures"]["upload-8"]["ours"]["of_best_peer"] = 0.9
        self.assertEqual(
            found([before], new), ["upload-8, ours: 0.6 of fast, 0.9 before"]
        )
        before["figures"]["upload-8"]["ours"]["best_peer"] = "other"
        self.assertEqual(found([before], new), [])

    def test_file(self) -> None:
        path = Path(self.mktemp())
        self.assertEqual(history.read(path), [])
        for one in entries(0.5, 0.6):
            history.append(path, one)
        self.assertEqual(history.read(path), entries(0.5, 0.6))


class ChartTests(SynchronousTestCase):
    """:mod:`benchmarks.chart`."""

    def test_is_svg_whatever_names_have_in_them(self) -> None:
        drawn = ElementTree.fromstring(chart.draw(document(0.5)))
        self.assertEqual(drawn.tag, f"{SVG}svg")
        texts = [text.text or "" for text in drawn.iter(f"{SVG}text")]
        self.assertIn("fast", texts)
        self.assertTrue(any("One & <Only>" in text for text in texts), texts)

    def test_a_bar_for_whoever_was_measured(self) -> None:
        drawn = ElementTree.fromstring(chart.draw(document(0.5)))
        bars = list(drawn.iter(f"{SVG}rect"))
        self.assertEqual(len(bars), 4)
        lowest = max(float(bar.get("y", 0)) for bar in bars)
        self.assertLess(lowest, float(drawn.get("height", 0)))


class TableTests(SynchronousTestCase):
    """:mod:`benchmarks.table`."""

    def test_says_all(self) -> None:
        text = table.write(json.loads(json.dumps(document(0.5))))
        for part in (
            "0.5 of nginx",
            "2 of fast",
            "nginx            not measured: it takes no uploads",
            "missing: slow: --install fetches it",
            "ours: all is synced",
            "page of 20 files [page-20], per CPU second",
        ):
            self.assertIn(part, text)
