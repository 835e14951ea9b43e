"""``pypicloud audit advisories`` and ``pypicloud report``: what they print."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime
from io import StringIO
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.cli.advisories.formats import COLUMNS, csv_text, sarif
from pypicloud_tw.maintenance.reports.stored import StoredReport
from pypicloud_tw.maintenance.reports.values import (
    DailyReport,
    ReportItem,
    ReportSection,
)
from pypicloud_tw.projects.affected.values import AffectedRelease, Fix
from tests.builders import wheel
from tests.cli.administration import Offline, Online, SuiteCase
from tests.projects.affected.doubles import Known, flaw, malware
from tests.web.api.doubles import AccessWeb

ROW = AffectedRelease(
    "acme",
    "1.0",
    ("GHSA-1", "CVE-1"),
    False,
    "high",
    ("hosted",),
    7,
    "A flaw, with a comma.",
    ("2.0",),
    Fix("2.0", "hidden", "min-age", datetime(2026, 12, 24, tzinfo=UTC)),
)
EVIL = AffectedRelease(
    "evil", "1.1", ("MAL-1",), True, "critical", ("kept",), None, "=cmd|' /C calc'!A0"
)


class CsvTests(SynchronousTestCase):
    def test_a_row_for_each(self) -> None:
        head, first, _ = csv.reader(StringIO(csv_text([ROW, EVIL])))
        self.assertEqual(tuple(head), COLUMNS)
        told = dict(zip(head, first, strict=True))
        self.assertEqual(told["ids"], "GHSA-1 CVE-1")
        self.assertEqual(told["fetches_30d"], "7")
        self.assertEqual(told["fix_until"], "2026-12-24T00:00:00+00:00")
        self.assertEqual(told["summary"], "A flaw, with a comma.")

    def test_no_cell_is_a_formula(self) -> None:
        for begin in ("=", "+", "-", "@", "\t=", "\r\n@"):
            row = evolve(EVIL, summary=f"{begin}1\r\n2")
            (_, cells) = csv.reader(StringIO(csv_text([row])))
            self.assertEqual(cells[-1], f"'{begin.strip()}1 2")


class SarifTests(SynchronousTestCase):
    """The required members of SARIF 2.1.0 (OASIS), by its sections."""

    def setUp(self) -> None:
        other = evolve(ROW, version="1.1")
        self.log: Any = json.loads(json.dumps(sarif([EVIL, ROW, other])))
        (self.run_,) = self.log["runs"]

    def test_the_log(self) -> None:
        self.assertEqual(self.log["version"], "2.1.0")  # 3.13.2
        self.assertEqual(self.run_["tool"]["driver"]["name"], "pypicloud")  # 3.19.8

    def test_a_rule_for_each_matter(self) -> None:
        rules = self.run_["tool"]["driver"]["rules"]
        self.assertEqual([rule["id"] for rule in rules], ["MAL-1", "GHSA-1"])
        for rule in rules:
            self.assertTrue(rule["shortDescription"]["text"])  # 3.12.3
            self.assertIn(rule["defaultConfiguration"]["level"], {"error", "warning"})
        self.assertEqual(rules[1]["properties"]["security-severity"], "8.0")

    def test_a_result_for_each_row(self) -> None:
        results = self.run_["results"]
        rules = self.run_["tool"]["driver"]["rules"]
        self.assertEqual(len(results), 3)
        for result in results:
            self.assertTrue(result["message"]["text"])  # 3.27.11
            self.assertEqual(rules[result["ruleIndex"]]["id"], result["ruleId"])
            (location,) = result["locations"]
            uri = location["physicalLocation"]["artifactLocation"]["uri"]
            self.assertTrue(uri.startswith("simple/"))
        prints = {r["partialFingerprints"]["release/v1"] for r in results}
        self.assertEqual(len(prints), 3)

    def test_it_says_what_to_do(self) -> None:
        text = self.run_["results"][1]["message"]["text"]
        self.assertEqual(
            text,
            "acme 1.0 has a flaw (high) by GHSA-1, CVE-1 (hosted, fetched 7 times in "
            "30 days). Take 2.0, which min-age hides until 2026-12-24 00:00 UTC.",
        )

    def test_nothing_is_a_log_as_well(self) -> None:
        self.assertEqual(sarif([])["runs"][0]["results"], [])


class CommandsSuite(SuiteCase):
    def setUp(self) -> None:
        super().setUp()
        self.known = Known()
        self.known.add(flaw("acme"), malware("evil"))
        self.runner.web = AccessWeb(known=self.known)
        self.runner.web.publish("acme-1.0-py3-none-any.whl", wheel("acme"))

    def audit(self, *options: str, code: int = 1) -> str:
        result = self.invoke("audit", "advisories", *options, *self.target())
        self.assertEqual(result.exit_code, code, result.output)
        return result.stdout

    def test_a_table(self) -> None:
        lines = self.audit().splitlines()
        self.assertEqual(
            " ".join(lines[1].split()),
            "acme 1.0 high GHSA-1 hosted not counted 2.0 (not known here)",
        )
        self.assertIn("Downloads are not counted.", lines[-1])

    def test_nothing_above_a_threshold_is_well(self) -> None:
        self.assertIn("Nothing is affected", self.audit("--severity=critical", code=0))

    def test_other_forms(self) -> None:
        page = json.loads(self.audit("--format=json"))
        self.assertEqual(page["items"][0]["ids"], ["GHSA-1"])
        self.assertIn("acme,1.0,GHSA-1,false,high", self.audit("--format=csv"))
        log = json.loads(self.audit("--format=sarif"))
        self.assertEqual(log["version"], "2.1.0")

    def test_what_is_not_known_is_no_success(self) -> None:
        self.runner.web = AccessWeb()
        self.assertIn(
            "advisories.source is not set", self.fail_with(2, "audit advisories")
        )

    def test_the_records_need_no_name(self) -> None:
        for words in ("audit", "audit records"):
            result = self.invoke(*words.split(), "--since", "1d", *self.target())
            self.assertEqual(result.exit_code, 0, result.output)

    def test_a_report(self) -> None:
        self.assertIn("There is no report yet", self.fail_with(1, "report"))
        section = ReportSection("x", "News", (ReportItem("Some.\x1b[2J"),), 3)
        when = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
        report = DailyReport("2026-03-01", when, (section,))
        reports = self.runner.web.application.advisories.reports
        self.runner.web.domain.settle(
            Deferred.fromCoroutine(reports.write(StoredReport(report, {})))
        )
        self.assertEqual(
            self.do("report --date 2026-03-01"),
            "Report of 2026-03-01, made at 2026-03-01 09:30 UTC\n\n"
            "News: 4\n  - Some.?[2J\n  - and 3 more\n",
        )
        self.assertEqual(self.read("report")["date"], "2026-03-01")


class OfflineTests(CommandsSuite, Offline):
    pass


class OnlineTests(CommandsSuite, Online):
    pass
