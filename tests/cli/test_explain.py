"""``pypicloud explain``: readable at any width, and for scripts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.upstream.judgement.rules import UpstreamRules
from tests.builders import wheel
from tests.cli.administration import Offline, Online, SuiteCase
from tests.upstream.doubles import BASE, file, page, project
from tests.web.doubles import BEGINNING
from tests.web.test_app_fallback import Front

DAY = 86_400.0
COMMAND = "pypicloud exempt add acme==2.0 --for 7d --reason WHY"


def uploaded(version: str, days: float) -> Any:
    when = datetime.fromtimestamp(BEGINNING, UTC) - timedelta(days=days)
    return file(f"acme-{version}.tar.gz", uploaded=when.isoformat())


class CommandSuite(SuiteCase):
    def setUp(self) -> None:
        super().setUp()
        web = self.runner.web
        front = Front(rules=UpstreamRules(min_age=7 * DAY), domain=web.domain)
        files = [uploaded("1.0", 99), uploaded("1.9", 3), uploaded("2.0", 2)]
        told = project("acme", *files)
        front.upstream.on(f"{BASE}acme/", page(told))
        web.application.projects.fallback = front.fallback
        self.runner.asked_upstream = front.fallback.asked

    def told(self, code: int, *args: str) -> str:
        result = self.invoke("explain", *args, *self.target())
        self.assertEqual(result.exit_code, code, result.output)
        self.assertEqual(result.stderr, "")
        return result.stdout

    def test_hidden(self) -> None:
        told = self.told(1, "acme")
        lines = told.splitlines()
        self.assertIn("answered from the other index", lines[0])
        self.assertIn("2.0  hidden (min-age until 2026-03-06 09:30 UTC)", lines)
        self.assertIn("1.0  shown", lines)
        self.assertIn("1.9  hidden (min-age until 2026-03-05 09:30 UTC)", lines)
        # Once is enough for people.
        self.assertEqual(told.count("An administrator can exempt it"), 1)
        self.assertIn(COMMAND, told)

    def test_one_that_is_shown(self) -> None:
        self.assertNotIn("2.0", self.told(0, "acme==1.0"))

    def test_what_is_not_there(self) -> None:
        self.assertIn("no release 3 of acme", self.told(1, "acme==3"))
        self.assertIn("Neither this index", self.told(1, "other"))

    def test_ours(self) -> None:
        self.runner.web.publish("beta-1.0-py3-none-any.whl", wheel("beta"))
        told = self.told(0, "beta")
        self.assertIn("nobody else is asked", told)
        self.assertIn("of this index", told)

    def test_at_a_terminal(self) -> None:
        self.terminal = True
        for width in (40, 80):
            self.environ |= {"COLUMNS": str(width), "TERM": "dumb"}
            told = self.told(1, "acme==2.0")
            self.assertLessEqual(max(map(len, told.splitlines())), width)
            self.assertIn(COMMAND, " ".join(told.split()))
            self.assertNotIn("\x1b", told)
        self.environ["TERM"] = "xterm"
        self.assertIn("\x1b[1m2.0  hidden", self.told(1, "acme==2.0"))

    def test_for_scripts(self) -> None:
        result = self.invoke("explain", "acme", "--json", *self.target())
        self.assertEqual(result.exit_code, 1)
        self.assertIn('"answered_from": "upstream"', result.stdout)

    def test_no_release(self) -> None:
        for what in ("acme>=1", "==1", ""):
            result = self.invoke("explain", what, *self.target())
            self.assertEqual(result.exit_code, 2, what)


class OfflineTests(CommandSuite, Offline, SynchronousTestCase):
    pass


class OnlineTests(CommandSuite, Online, SynchronousTestCase):
    pass
