"""``pypicloud stats``: the same of a server and of a store."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.cli.stored_index import StatisticsInStore
from pypicloud_tw.config.configuration import Config
from pypicloud_tw.metrics import Metrics
from pypicloud_tw.process import Process
from pypicloud_tw.statistics.counts import day_of
from pypicloud_tw.statistics.downloads import CountedDownloads
from tests.builders import wheel
from tests.cli.administration import Offline, Online, SuiteCase
from tests.statistics.test_agents import PIP, UV
from tests.web.doubles import Domain


class CommandSuite(SuiteCase):
    def setUp(self) -> None:
        super().setUp()
        web = self.runner.web
        web.publish("acme-1.0-py3-none-any.whl", wheel())
        web.publish("acme-2.0-py3-none-any.whl", wheel(version="2.0"))
        self.counted = web.counted
        self.today = day_of(web.domain.clock.seconds())
        for agent in (PIP, PIP, UV):
            self.counted.count("acme", "acme-1.0-py3-none-any.whl", agent)
        self.counted.count("beta", "beta-3.tar.gz")

    def rows(self, command: str) -> list[list[str]]:
        return [line.split() for line in self.do(command).splitlines()]

    def test_the_most_fetched(self) -> None:
        told = [["PROJECT", "DOWNLOADS"], ["acme", "3"], ["beta", "1"]]
        self.assertEqual(self.rows("stats"), told)
        self.assertEqual(self.rows("stats --limit 1"), told[:2])
        [first, _] = self.read("stats")
        self.assertEqual(first, {"project": "acme", "fetches": 3})

    def test_a_project(self) -> None:
        rows = self.rows("stats acme")
        self.assertEqual(" ".join(rows[0]), "acme: 3 downloads within 30 days")
        table = [
            ["VERSION", "DOWNLOADS", "LAST"],
            ["1.0", "3", self.today],
            ["2.0", "0"],
        ]
        self.assertEqual(rows[2:], table)
        self.assertEqual(self.read("stats acme --days 7")["days"], 7)

    def test_by_whatever(self) -> None:
        for by, row in (
            ("client", "pip 26.2 2 66.7 %"),
            ("python", "3.12 2 66.7 %"),
            ("system", "Linux 2 66.7 %"),
        ):
            rows = self.rows(f"stats acme --by {by}")
            self.assertEqual(" ".join(rows[3]), row)
        rows = self.rows("stats --by client")
        self.assertEqual(" ".join(rows[3]), "pip 26.2 2 50.0 %")
        self.assertEqual(" ".join(rows[0]), "all projects: 4 downloads within 30 days")
        self.assertEqual(
            self.rows("stats acme --by month")[2:], [["MONTH", "DOWNLOADS"]]
        )

    def test_days_of_which_nothing_is_known(self) -> None:
        rows = self.rows("stats acme --by day --days 2")
        self.assertEqual(rows[3][1:], ["unknown"])
        self.assertEqual(rows[4], [self.today, "at", "least", "3"])
        reading = Deferred.fromCoroutine(self.counted.read())
        self.runner.web.domain.settle(reading)
        result = self.invoke("stats", "acme", "--by", "day", *self.target())
        self.assertIn(f"counted since {self.today}", result.stderr)
        self.assertIn(f"{self.today}  3", result.stdout)

    def test_what_cannot_be_asked(self) -> None:
        self.assertIn("Name a project", self.fail_with(2, "stats --by version"))
        self.fail_with(2, "stats acme --days 0")
        self.fail_with(2, "stats acme --by address")

    def test_nothing_is_counted(self) -> None:
        self.runner.web.application.statistics.counted = None
        self.assertIn("statistics.downloads", self.fail_with(1, "stats"))
        self.assertIn("statistics.downloads", self.fail_with(1, "stats acme"))


class OfflineTests(CommandSuite, Offline, SynchronousTestCase):
    pass


class OnlineTests(CommandSuite, Online, SynchronousTestCase):
    pass


class StoreTests(SynchronousTestCase):
    def test_what_servers_have_written(self) -> None:
        domain = Domain()
        offload: Any = domain.offload
        process = Process(domain.clock, offload, Metrics(domain.clock))
        server = CountedDownloads(domain.store, domain.offload, domain.clock)
        server.count("acme", "acme-1.0.tar.gz", PIP)
        stored = StatisticsInStore(Config(), process, domain.index)

        async def told() -> tuple[int, int, int]:
            await server.stop()
            project = await stored.project("acme")
            top, totals = await stored.top(), await stored.totals()
            return project.fetches, top.items[0].fetches, totals.fetches

        telling = Deferred.fromCoroutine(told())
        domain.settle(telling)
        self.assertEqual(self.successResultOf(telling), (1, 1, 1))
