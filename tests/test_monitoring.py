"""contrib/prometheus and contrib/grafana: whatever they ask for, a server shows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from attrs import define, field, frozen
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw import errors
from tests.all_metrics import every_metric
from tests.test_tap import WHEEL, TapCase
from tests.web.doubles import HASH, basic

CONTRIB = Path(__file__).absolute().parents[1] / "contrib"

#: What Prometheus adds to each metric, and what it makes itself.
SCRAPED = frozenset({"job", "instance"})

_REFERENCE = re.compile(r"\b(up|(?:pypicloud|process)_\w+)(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
_GROUPED = re.compile(r"\bby \(([^)]*)\)")


@frozen
class Expression:
    """A question to Prometheus.

    :ivar where: it stands.
    """

    where: str
    text: str

    def references(self) -> Iterator[tuple[str, list[tuple[str, str, str]]]]:
        """Give each metric that it is about, and what is asked of its labels."""
        # A label's name may be within a function's brackets, but no metric's may.
        without = _GROUPED.sub("", self.text)
        for name, matchers in _REFERENCE.findall(without):
            yield name, _MATCHER.findall(matchers)

    def grouped_by(self) -> set[str]:
        """Tell the labels by which it adds up."""
        found = (part.split(",") for part in _GROUPED.findall(self.text))
        return {label.strip() for labels in found for label in labels}


def alerts() -> list[dict[str, Any]]:
    """Read the rules."""
    document = yaml.safe_load((CONTRIB / "prometheus" / "alerts.yml").read_text())
    return [rule for group in document["groups"] for rule in group["rules"]]


def alert_tests() -> list[dict[str, Any]]:
    """Read their tests."""
    document = yaml.safe_load((CONTRIB / "prometheus" / "alerts_test.yml").read_text())
    tests: list[dict[str, Any]] = document["tests"]
    return tests


def dashboard() -> Any:
    """Read the dashboard."""
    return json.loads((CONTRIB / "grafana" / "pypicloud.json").read_text())


def panels() -> list[dict[str, Any]]:
    """Give all that show something."""
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def expressions() -> Iterator[Expression]:
    """Give all of both."""
    for rule in alerts():
        yield Expression(rule["alert"], rule["expr"])
    for panel in panels():
        for target in panel["targets"]:
            yield Expression(panel["title"], target["expr"])
    for variable in dashboard()["templating"]["list"]:
        if variable["type"] == "query":
            [asked] = re.findall(r"label_values\((.*), \w+\)", variable["definition"])
            yield Expression(variable["name"], asked)


@define
class Shown:
    """What servers show: each metric's labels, and their values."""

    labels: dict[str, dict[str, set[str]]] = field(factory=dict)

    def add(self, text: str) -> None:
        """Take what one shows."""
        for name, labels in re.findall(r"^(\w+)(?:\{(.*)\})? \S+$", text, re.MULTILINE):
            of_name = self.labels.setdefault(name, {})
            for label, value in re.findall(r'(\w+)="([^"]*)"', labels):
                of_name.setdefault(label, set()).add(value)

    def values(self, name: str, label: str) -> set[str]:
        return self.labels[name].get(label, set())


class NamesTests(TapCase):
    def setUp(self) -> None:
        super().setUp()
        self.shown = Shown({"up": {}})
        self.shown.add(every_metric(Path(self.mktemp())))
        self.shown.add(self.of_a_server())

    def of_a_server(self) -> str:
        """Let a server do something, and read its metrics."""
        self.start("metrics.read = everyone", f"user.ann = {HASH}")
        self.assertEqual(self.upload(basic()).status, 200)
        self.assertEqual(self.upload(basic("ann", "wrong")).status, 401)
        self.assertEqual(self.upload(basic("__token__", "wrong")).status, 401)
        self.assertEqual(self.upload({}).status, 401)
        page = self.request("GET", "/simple/acme/").text
        address = page.partition('href="../..')[2].partition("#")[0]
        self.assertEqual(self.status(address), 200)
        self.assertIn(WHEEL, address)
        text = self.request("GET", "/metrics").text
        self.stop()
        return text

    def test_names(self) -> None:
        for one in expressions():
            names = [name for name, _ in one.references()]
            self.assertNotEqual(names, [], one)
            for name in names:
                self.assertIn(name, self.shown.labels, one)

    def test_labels(self) -> None:
        for one in expressions():
            known = set(SCRAPED)
            for name, matchers in one.references():
                labels = self.shown.labels[name].keys() | SCRAPED
                known |= labels
                for label, _, _ in matchers:
                    self.assertIn(label, labels, one)
            self.assertLessEqual(one.grouped_by(), known, one)

    def test_values(self) -> None:
        """A value that no server shows would never be found."""
        codes = {
            kind.code
            for kind in vars(errors).values()
            if isinstance(kind, type) and issubclass(kind, errors.PypicloudError)
        }
        for one in expressions():
            for name, matchers in one.references():
                for label, how, text in matchers:
                    if label in SCRAPED or re.fullmatch(r"\d\.\.", text):
                        continue
                    known = self.shown.values(name, label)
                    if label in ("result", "reason"):
                        known = known | codes
                    values = text.split("|") if how in ("=~", "!~") else [text]
                    self.assertLessEqual(set(values), known, one)

    def test_series_of_the_alerts_tests(self) -> None:
        """They are ones that there are."""
        for test in alert_tests():
            for one in test["input_series"]:
                [(name, matchers)] = Expression(
                    test["name"], one["series"]
                ).references()
                labels = {label for label, _, _ in matchers}
                self.assertLessEqual(labels, self.shown.labels[name].keys() | SCRAPED)

    def test_everything_that_is_to_be_alerted_on(self) -> None:
        """As the reference says."""
        text = (CONTRIB.parent / "docs" / "reference" / "metrics.rst").read_text()
        told = re.findall(
            r"^``(\w+)``\n((?:    .*\n)+)", text.replace("\n\n", "\n"), re.MULTILINE
        )
        wanted = {name for name, about in told if "Alert on this" in about}
        self.assertGreater(len(wanted), 4)
        rules = " ".join(rule["expr"] for rule in alerts())
        for name in wanted:
            self.assertIn(name, rules)


class AlertTests(SynchronousTestCase):
    def test_each_says_what_it_is_about(self) -> None:
        names = [rule["alert"] for rule in alerts()]
        self.assertEqual(len(names), len(set(names)))
        for rule in alerts():
            self.assertRegex(rule["alert"], r"^Pypicloud[A-Z]\w+$")
            self.assertIn(rule["labels"]["severity"], ("page", "ticket"))
            self.assertRegex(rule["annotations"]["summary"], r"\.$|\)$")

    def test_each_is_told_of(self) -> None:
        """By guide/monitoring.rst, in their order."""
        text = (CONTRIB.parent / "docs" / "guide" / "monitoring.rst").read_text()
        told = re.findall(r"^(Pypicloud\w+)  +\S", text, re.MULTILINE)
        self.assertEqual(told, [rule["alert"] for rule in alerts()])

    def test_each_is_tested(self) -> None:
        """By alerts_test.yml, which promtool runs."""
        fired = {
            case["alertname"]
            for test in alert_tests()
            for case in test["alert_rule_test"]
            if case.get("exp_alerts")
        }
        self.assertEqual({rule["alert"] for rule in alerts()}, fired)


class DashboardTests(SynchronousTestCase):
    """It can be imported, into any Grafana."""

    def test_imported(self) -> None:
        found = dashboard()
        self.assertEqual((found["uid"], found["title"]), ("pypicloud-tw", "pypicloud"))
        self.assertGreaterEqual(found["schemaVersion"], 36)
        self.assertNotIn("id", found)  # it is the Grafana's that has it

    def test_any_data_source(self) -> None:
        source: Mapping[str, str] = {"type": "prometheus", "uid": "${datasource}"}
        variables = {one["name"]: one for one in dashboard()["templating"]["list"]}
        self.assertEqual(variables["datasource"]["type"], "datasource")
        for panel in panels():
            for one in (panel, *panel["targets"]):
                self.assertEqual(one["datasource"], source, panel["title"])

    def test_of_the_servers_that_are_chosen(self) -> None:
        for panel in panels():
            for target in panel["targets"]:
                expression = Expression(panel["title"], target["expr"])
                for _, matchers in expression.references():
                    labels = {label for label, _, _ in matchers}
                    self.assertLessEqual(SCRAPED, labels, panel["title"])

    def test_places(self) -> None:
        """No panel lies on another, and each has an id of its own."""
        taken: set[tuple[int, int]] = set()
        for panel in dashboard()["panels"]:
            place = panel["gridPos"]
            cells = {
                (place["x"] + dx, place["y"] + dy)
                for dx in range(place["w"])
                for dy in range(place["h"])
            }
            self.assertEqual(cells & taken, set(), panel["title"])
            self.assertLessEqual(place["x"] + place["w"], 24)
            taken |= cells
        ids = [panel["id"] for panel in dashboard()["panels"]]
        self.assertEqual(len(ids), len(set(ids)))
