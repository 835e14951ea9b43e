"""Exemptions that are added while servers run: each obeys, none is restarted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.exemptions import Exemptions
from pypicloud_tw.access.policy import Policy
from pypicloud_tw.upstream.judgement.rules import UpstreamRules
from tests.access.administration.doubles import settings
from tests.upstream.doubles import BASE, file, page, project
from tests.web.doubles import BEGINNING, Domain, Web, basic
from tests.web.test_app_fallback import FRESH, JSON, Front

DAY = 86_400.0
FIX = "acme-2.0-py3-none-any.whl"


def uploaded(version: str, days: float) -> Any:
    when = datetime.fromtimestamp(BEGINNING, UTC) - timedelta(days=days)
    name = f"acme-{version}-py3-none-any.whl"
    return file(name, version.encode(), uploaded=when.isoformat())


class NightTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.one = self.server(Domain(fresh_for=10.0))
        self.two = self.server(self.one.domain.beside())

    def server(self, domain: Domain) -> Front:
        front = Front(rules=UpstreamRules(min_age=7 * DAY), domain=domain)
        told = project("acme", uploaded("1.0", 99), uploaded("2.0", 1))
        front.upstream.on(f"{BASE}acme/", page(told, headers=FRESH))
        front.web = web = Web(domain, policy=Policy(settings()))
        web.application.projects.fallback = front.fallback
        exemptions = Exemptions(web.application.access)
        front.fallback.upstreams.judges.exemptions = exemptions
        return front

    def sees_fix(self, front: Front) -> bool:
        answer = front.web.get("/simple/acme/", JSON)
        return any(one["filename"] == FIX for one in answer.json["files"])

    def change(self, method: str, path: str, body: bytes = b"") -> Any:
        headers = {**basic(), "Content-Type": "application/json"}
        path = f"/api/v1/access/exemptions{path}"
        answer = self.one.web.request(method, path, headers, body)
        self.assertIn(answer.status, (200, 201), answer.body)
        return answer.json

    def test_every_server_lets_a_fix_through(self) -> None:
        fronts = self.one, self.two
        self.assertEqual([self.sees_fix(front) for front in fronts], [False, False])
        end = datetime.fromtimestamp(BEGINNING, UTC) + timedelta(days=1)
        body = (
            '{"project": "acme", "versions": "==2.0", "reason": "CVE fix", '
            f'"until": "{end.isoformat()}"}}'
        )
        id = self.change("POST", "", body.encode())["id"]
        self.assertTrue(self.sees_fix(self.one))
        self.one.domain.clock.advance(10)
        self.assertTrue(self.sees_fix(self.two))
        self.change("DELETE", f"/{id}")
        self.one.domain.clock.advance(10)
        self.assertEqual([self.sees_fix(front) for front in fronts], [False, False])

    def test_it_ends_by_itself(self) -> None:
        end = datetime.fromtimestamp(BEGINNING, UTC) + timedelta(hours=1)
        body = f'{{"project": "acme", "reason": "x", "until": "{end.isoformat()}"}}'
        self.change("POST", "", body.encode())
        self.assertTrue(self.sees_fix(self.one))
        self.one.domain.clock.advance(3600)
        self.assertFalse(self.sees_fix(self.one))
