"""What the page of the server's state shows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pypicloud_tw.advisories.values import AdvisoriesStanding
from pypicloud_tw.errors import StoreError
from pypicloud_tw.outbound.origins import origin_of, shown
from pypicloud_tw.statistics.counts import key_of
from pypicloud_tw.upstream.failures import Slow
from tests.upstream.doubles import BASE
from tests.web.api.doubles import AccessWeb
from tests.web.doubles import Web
from tests.web.pages.admin.doubles import USERS, AdminCase
from tests.web.test_app_fallback import Front


class ServerPageTests(AdminCase):
    def make_web(self) -> Web:
        return AccessWeb(
            users=USERS, advisories=AdvisoriesStanding(3, 7200.0, "It is old.")
        )

    def text(self) -> str:
        return " ".join(self.read("/admin/server").text.split())

    def test_what_there_is(self) -> None:
        self.web.application.metrics.read("pypicloud_x", "What is X", lambda: 0.5)
        self.web.application.metrics.read_by(
            "pypicloud_y", "What is Y", "of", lambda: {"one": 2_000.0}
        )
        text = self.text()
        for told in (
            "pypicloud-tw",
            "Kinda folder",
            "3 advisories known; their source was last seen 2 hours ago.",
            "It is old.",
            "None is asked",
            "What is Xpypicloud_x0.5",
            "What is Y: onepypicloud_y2 000",
        ):
            self.assertIn(told, text)

    def test_servers_that_were_seen(self) -> None:
        self.assertIn("None has written anything since yesterday", self.text())
        for key in (
            key_of("2026-01-01", "long-gone"),
            key_of(self.day(-1), "the-other"),
            key_of(self.day(0), "sum"),
            key_of(self.day(0), "this-one"),
            ".stats/months/x",
        ):
            self.web.wait(self.web.store.put(key, b"x", content_type="text/plain"))
        page = self.read("/admin/server")
        self.assertIn("the-other", page.text)
        self.assertIn("this-one", page.text)
        self.assertNotIn("long-gone", page.text)
        self.assertNotIn("months", page.text)

    def day(self, days: int) -> str:
        now = datetime.fromtimestamp(self.web.domain.clock.seconds(), UTC)
        return f"{now + timedelta(days=days):%Y-%m-%d}"

    def test_without_the_store(self) -> None:
        for _ in range(2):  # of projects, and of servers
            self.web.store.fail_next("list", StoreError("It is away."))
        text = self.text()
        self.assertIn("The store does not answer", text)


class OriginTests(AdminCase):
    def make_web(self) -> Web:
        self.front = Front()
        web = AccessWeb(self.front.domain, users=USERS)
        web.application.projects.fallback = self.front.fallback
        return web

    def origins(self) -> str:
        return " ".join(self.read("/admin/server").text.split())

    def test_what_is_asked(self) -> None:
        self.assertNotIn("Hosts that were asked", self.origins())
        self.front.have()
        self.assertEqual(self.web.get("/simple/acme/").status, 200)
        self.assertIn(f"Asked, in this order: {shown(BASE)}", self.origins())
        self.assertIn("answers", self.origins())

    def test_what_is_away(self) -> None:
        breaker = self.front.fallback.upstreams.client.breakers.of(origin_of(BASE))
        now = self.web.domain.clock.seconds()
        breaker.failed(Slow("It timed out."), now)
        text = self.origins()
        self.assertIn("not asked now It timed out. Tried again in 5 seconds.", text)
