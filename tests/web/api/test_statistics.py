"""How often projects are fetched, over HTTP: counted as it happens, told by right."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.projects.statistics.stored import FRESH
from pypicloud_tw.statistics.counts import day_of
from tests.access.doubles import policy_of
from tests.builders import wheel
from tests.statistics.test_agents import PIP, UV
from tests.web.doubles import HASH, Response, Web, basic

WHEEL = "acme-1.0-py3-none-any.whl"
NEWER = "acme-2.0-py3-none-any.whl"
DAY = 86_400.0
RULES = """
pypi.default_read = everyone
pypi.default_write = ann
package.secret.user.bob = r
"""
USERS = dict.fromkeys(("ann", "bob"), HASH)


class StatisticsCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.web = Web(users=USERS, policy=policy_of(RULES))
        self.counted = self.web.counted
        self.web.publish(WHEEL, wheel())
        self.web.publish(NEWER, wheel(version="2.0"))

    def ask(self, path: str, login: dict[str, str] | None = None) -> Response:
        return self.web.get(f"/api/v1/stats/{path}", login or {})

    def told(self, path: str, login: dict[str, str] | None = None) -> Any:
        response = self.ask(path, login)
        self.assertEqual(response.status, 200, response.body)
        return response.json

    def download(self, filename: str, agent: bytes = PIP, method: str = "GET") -> None:
        detail = self.web.get(f"/api/v1/projects/acme/files/{filename}").json
        fields = {"User-Agent": agent.decode()}
        answer = self.web.request(method, f"/{detail['url'].lstrip('/')}", fields)
        self.assertEqual(answer.status, 200, detail)

    def read(self) -> None:
        self.web.domain.settle(Deferred.fromCoroutine(self.counted.read()))

    def today(self) -> str:
        return day_of(self.web.domain.clock.seconds())


class CountingTests(StatisticsCase):
    def test_downloads_are_counted(self) -> None:
        self.read()
        for agent in (PIP, PIP, UV):
            self.download(WHEEL, agent)
        self.download(NEWER, b"ann's own/1.0 at 10.0.0.7")
        told = self.told("projects/acme?days=2")
        self.assertEqual(told["fetches"], 4)
        self.assertEqual(
            [(v["version"], v["fetches"], v["last"]) for v in told["versions"]],
            [("1.0", 3, self.today()), ("2.0", 1, self.today())],
        )
        self.assertEqual(
            told["clients"],
            [
                {"installer": "pip", "version": "26.2", "fetches": 2},
                {"installer": "other", "version": None, "fetches": 1},
                {"installer": "uv", "version": "0.9.1", "fetches": 1},
            ],
        )
        self.assertEqual(
            [(one["name"], one["fetches"]) for one in told["pythons"]],
            [("3.12", 2), (None, 1), ("3.13", 1)],
        )
        self.assertEqual(
            [(one["name"], one["fetches"]) for one in told["systems"]],
            [("Linux", 2), (None, 1), ("macOS", 1)],
        )

    def test_what_is_no_download(self) -> None:
        self.download(WHEEL, method="HEAD")
        self.web.get("/packages/acme/0123456789abcdef/acme-9-py3-none-any.whl")
        self.web.get("/simple/acme/")
        self.assertEqual(self.told("projects/acme")["fetches"], 0)

    def test_nothing_of_a_client_is_kept(self) -> None:
        agent = (
            b'pip/26.2 {"user_data":"ann@example.com","system":{"name":"anns-laptop"}}'
        )
        self.download(WHEEL, agent)
        [own] = self.counted._own.values()
        told = repr(own.counts)
        for secret in ("ann", "example", "laptop", "10.0.0.7"):
            self.assertNotIn(secret, told)


class ToldTests(StatisticsCase):
    def test_zero_and_unknown(self) -> None:
        self.download(WHEEL)
        told = self.told("projects/acme?days=3")
        self.assertIsNone(told["since"])
        self.assertEqual([day["known"] for day in told["by_day"]], [False] * 3)
        self.read()
        told = self.told("projects/acme?days=3")
        days = [(day["fetches"], day["known"]) for day in told["by_day"]]
        self.assertEqual(days, [(0, False), (0, False), (1, True)])
        self.assertTrue(told["since"].startswith(self.today()))
        other = self.told("projects/nobody-fetched-this?days=1")
        self.assertEqual(other["fetches"], 0)
        self.assertEqual(other["by_day"][0]["known"], True)
        self.assertEqual(other["versions"], [])

    def test_releases_that_nobody_fetched(self) -> None:
        told = self.told("projects/acme")
        versions = [(one["version"], one["fetches"]) for one in told["versions"]]
        self.assertEqual(versions, [("1.0", 0), ("2.0", 0)])

    def test_the_spelling_of_a_name(self) -> None:
        self.download(WHEEL)
        self.assertEqual(self.told("projects/Acme")["project"], "acme")
        self.assertEqual(self.told("projects/Acme")["fetches"], 1)

    def test_top(self) -> None:
        for count, name in ((3, "a"), (5, "b"), (3, "c"), (1, "d")):
            for _ in range(count):
                self.counted.count(name, f"{name}-1.0.tar.gz")
        found: list[tuple[str, int]] = []
        cursor = ""
        for _ in range(4):
            page = self.told(f"top?limit=1{cursor}")
            found += [(one["project"], one["fetches"]) for one in page["items"]]
            cursor = f"&cursor={page['cursor']}"
        self.assertEqual(found, [("b", 5), ("a", 3), ("c", 3), ("d", 1)])
        self.assertIsNone(page["cursor"])

    def test_totals(self) -> None:
        self.download(WHEEL)
        self.counted.count("b", "b-1.0.tar.gz", UV)
        told = self.told("totals?days=7")
        self.assertEqual((told["fetches"], told["projects"]), (2, 2))
        self.assertEqual(len(told["by_day"]), 7)
        self.assertEqual(told["by_day"][-1]["fetches"], 2)
        self.assertEqual([one["installer"] for one in told["clients"]], ["pip", "uv"])

    def test_the_first_download_is_told_at_once(self) -> None:
        self.assertEqual(self.told("totals")["fetches"], 0)
        self.download(WHEEL)
        self.assertEqual(self.told("totals")["fetches"], 1)

    def test_all_of_them_are_looked_at_now_and_then(self) -> None:
        self.counted.count("a", "a-1.0.tar.gz")
        self.assertEqual(self.told("totals")["fetches"], 1)
        self.counted.count("a", "a-1.0.tar.gz")
        self.assertEqual(self.told("totals")["fetches"], 1)
        self.assertEqual(self.told("projects/a")["fetches"], 2)
        self.web.domain.clock.advance(FRESH)
        self.assertEqual(self.told("totals")["fetches"], 2)

    def test_what_cannot_be_asked(self) -> None:
        for path in (
            *("projects/acme?days=0", "projects/acme?days=3661", "totals?days=x"),
            *("top?limit=1001", "top?cursor=x", "top?cursor=1,", "top?cursor=1,A"),
            *("projects/acme?by=day",),
        ):
            self.assertEqual(self.ask(path).status, 400, path)
        self.assertEqual(self.ask("projects/%00").status, 404)

    def test_nothing_is_counted(self) -> None:
        self.web.application.statistics.counted = None
        for path in ("projects/acme", "top", "totals"):
            response = self.ask(path)
            self.assertEqual(response.status, 404, path)
            self.assertIn("statistics.downloads", response.json["detail"])


class RightsTests(StatisticsCase):
    """``tests.web.test_rights`` has who may ask; here is what is in the answer."""

    def setUp(self) -> None:
        super().setUp()
        for name in ("acme", "secret", "(others)"):
            self.counted.count(name, f"{name}-1.0.tar.gz")

    def test_of_what_one_may_read(self) -> None:
        for login, names in ((None, ["acme"]), (basic("bob"), ["acme", "secret"])):
            top = self.told("top", login)
            self.assertEqual([one["project"] for one in top["items"]], names)
            totals = self.told("totals", login)
            self.assertEqual(totals["projects"], len(names))
            self.assertEqual(totals["fetches"], len(names))
            self.assertEqual(totals["by_day"][-1]["fetches"], len(names))
            self.assertEqual(totals["clients"][0]["fetches"], len(names))

    def test_of_what_one_may_not(self) -> None:
        self.assertEqual(self.ask("projects/secret").status, 401)
        self.assertEqual(self.told("projects/secret", basic("bob"))["fetches"], 1)
