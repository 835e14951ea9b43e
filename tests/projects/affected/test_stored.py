"""What is affected is the same in the index and through its server; rights decide."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.administration.authority import Operator
from pypicloud_tw.access.basic import Login
from pypicloud_tw.client.address import IndexAddress
from pypicloud_tw.client.advisories import RemoteAdvisories
from pypicloud_tw.client.api import ApiClient
from pypicloud_tw.client.logins import Credentials
from pypicloud_tw.errors import (
    BadRequest,
    Forbidden,
    NotFound,
    PypicloudError,
    Unavailable,
)
from pypicloud_tw.projects.affected.interface import AdvisoryAdministration
from pypicloud_tw.projects.affected.stored import (
    FRESH,
    PATIENCE,
    AdministeredAdvisories,
    StoredAdvisories,
)
from pypicloud_tw.projects.affected.values import (
    AffectedPage,
    AffectedQuestion,
    AffectedRelease,
)
from tests.access.doubles import policy_of
from tests.maintenance.retention.doubles import PrunedIndex
from tests.projects.affected.doubles import Fetched, Known, flaw, malware
from tests.web.api.doubles import WebAgent
from tests.web.doubles import HASH, Web, basic

T = TypeVar("T")

RIGHTS = """
auth.admins = root
package.acme.user.ann = rw
package.other.user.ann = r
pypi.private = mine-*
"""


class AffectedCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.index = PrunedIndex()
        for name in ("acme", "evil", "other"):
            self.index.add(name, ("1.0", "1.1", "2.0"))
        self.known = Known()
        self.known.add(flaw("acme"), flaw("other", "GHSA-2"), malware("evil"))
        self.fetched = Fetched({"other": {"1.0": 3}})
        self.web = Web(
            self.index.domain,
            users=dict.fromkeys(("ann", "root", "bob"), HASH),
            policy=policy_of(RIGHTS),
            known=self.known,
            fetches=self.fetched,
        )

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        waiting = Deferred.fromCoroutine(work)
        self.index.domain.settle(waiting)
        return self.successResultOf(waiting)

    def refused(
        self, kind: type[PypicloudError], work: Coroutine[Any, Any, Any]
    ) -> str:
        waiting = Deferred.fromCoroutine(work)
        self.index.domain.settle(waiting)
        failure = self.failureResultOf(waiting, PypicloudError)
        self.assertIsInstance(failure.value, kind, failure.value)
        return str(failure.value)


if TYPE_CHECKING:
    SuiteCase = AffectedCase
else:
    SuiteCase = object


class DoorsSuite(SuiteCase):
    """What is true wherever it is asked, by whoever administers everything."""

    def make(self) -> AdvisoryAdministration:
        raise NotImplementedError

    def ask(self, **question: Any) -> AffectedPage:
        return self.wait(self.make().affected(AffectedQuestion(**question)))

    def test_the_worst_first(self) -> None:
        page = self.ask()
        self.assertEqual(
            [(row.project, row.version, row.severity) for row in page.items],
            [
                ("evil", "1.1", "critical"),
                ("other", "1.0", "high"),
                ("acme", "1.0", "high"),
                ("acme", "1.1", "high"),
                ("other", "1.1", "high"),
            ],
        )
        self.assertEqual((page.known, page.counted, page.looked_at), (True, True, 3))

    def test_page_by_page(self) -> None:
        whole = self.ask().items
        found: list[AffectedRelease] = []
        cursor = None
        for _ in range(9):
            page = self.ask(limit=2, cursor=cursor)
            found += page.items
            if (cursor := page.cursor) is None:
                break
        self.assertEqual(tuple(found), whole)

    def test_filters(self) -> None:
        worst = self.ask(severity="critical").items
        self.assertEqual([row.project for row in worst], ["evil"])
        self.assertEqual(self.ask(malware=True).items, worst)
        named = self.ask(project="ACME").items
        self.assertEqual({row.project for row in named}, {"acme"})

    def test_a_cursor_that_is_none(self) -> None:
        question = AffectedQuestion(cursor="x")
        said = self.refused(BadRequest, self.make().affected(question))
        self.assertIn("cursor", said)

    def test_there_is_no_report_yet(self) -> None:
        said = self.refused(NotFound, self.make().report())
        self.assertEqual(said, "There is no report yet; one is made once a day.")


class StoredTests(DoorsSuite, AffectedCase):
    def make(self) -> AdvisoryAdministration:
        return StoredAdvisories(self.web.application.advisories, Operator())


class RemoteTests(DoorsSuite, AffectedCase):
    def make(self, user: str | None = "root") -> AdvisoryAdministration:
        address = IndexAddress.parse("http://pypi.example/", "test")
        login = None if user is None else Login(user, "secret")
        client = ApiClient(
            address, Credentials(login), WebAgent(self.web), self.index.domain.clock
        )
        return RemoteAdvisories(client)

    def test_who_manages_a_project_sees_that_one(self) -> None:
        page = self.wait(self.make("ann").affected(AffectedQuestion()))
        self.assertEqual({row.project for row in page.items}, {"acme"})
        self.assertEqual(page.looked_at, 0)

    def test_not_another(self) -> None:
        asked = self.make("ann").affected(AffectedQuestion(project="other"))
        self.refused(Forbidden, asked)

    def test_nor_who_manages_nothing(self) -> None:
        self.refused(Forbidden, self.make("bob").affected(AffectedQuestion()))

    def test_the_report_is_for_administrators(self) -> None:
        self.refused(Forbidden, self.make("ann").report())

    def test_nobody_is_asked_to_log_in(self) -> None:
        self.assertEqual(self.web.get("/api/v1/advisories").status, 401)


class PageTests(AffectedCase):
    def get(self, path: str = "/advisories", user: str = "root") -> str:
        answer = self.web.get(path, basic(user))
        self.assertEqual(answer.status, 200, answer.text)
        self.assertEqual(answer["cache-control"], "no-store, private")
        return answer.text

    def test_it_says_what_the_api_says(self) -> None:
        text = self.get()
        self.assertIn("<strong>malware</strong>", text)
        self.assertIn("fetched 3 times in 30 days", text)
        self.assertIn("Repaired in 2.0, which clients get here", text)
        self.assertEqual(text.count("<script"), 1)  # the frame's

    def test_the_front_page_leads_here_those_who_manage_something(self) -> None:
        for user, leads in (("root", True), ("ann", True), ("bob", False)):
            self.assertEqual("/advisories" in self.home(user), leads, user)

    def home(self, user: str) -> str:
        return self.web.get("/", basic(user)).text

    def test_more_follows(self) -> None:
        text = self.get("/advisories?limit=1&severity=high")
        begin = text.index('href="advisories?severity=high&amp;limit=1&amp;cursor=')
        following = text[begin + 6 :].partition('"')[0].replace("&amp;", "&")
        self.assertNotIn("malware</strong>", self.get(f"/{following}"))

    def test_texts_of_records_are_no_markup(self) -> None:
        bad = evolve(flaw("acme", "GHSA-9"), summary="<b>&")
        self.known.add(bad)
        self.assertIn("&lt;b&gt;&amp;", self.get("/advisories?project=acme"))

    def test_a_severity_that_is_none(self) -> None:
        answer = self.web.get("/advisories?severity=bad", basic("root"))
        self.assertEqual(answer.status, 400)

    def test_without_a_source_it_says_so(self) -> None:
        web = Web(users={"ann": HASH})
        self.assertIn("advisories.source", web.get("/advisories", basic("ann")).text)


class FreshnessTests(AffectedCase):
    def setUp(self) -> None:
        super().setUp()
        self.advised: AdministeredAdvisories = self.web.application.advisories

    def audited(self) -> int:
        return len(self.wait(self.advised.affected.audit()).rows)

    def test_it_is_told_again_for_a_while(self) -> None:
        self.assertEqual(self.audited(), 5)
        self.index.add("acme", ("1.2",))
        self.assertEqual(self.audited(), 5)
        self.index.domain.clock.advance(FRESH)
        self.assertEqual(self.audited(), 6)

    def test_other_advisories_are_heeded_at_once(self) -> None:
        self.assertEqual(self.audited(), 5)
        self.known.add(malware("acme", "2.0", "MAL-2"))
        self.assertEqual(self.audited(), 6)

    def test_who_waits_too_long_is_told_to_come_again(self) -> None:
        slow: Deferred[None] = Deferred()
        self.fetched.slow = slow
        asking = Deferred.fromCoroutine(self.advised.affected.audit())
        self.index.domain.clock.pump([1.0] * int(PATIENCE + 1))
        error = self.failureResultOf(asking, Unavailable).value
        self.assertEqual(error.retry_after, 15)
        self.index.domain.clock.advance(FRESH)
        slow.callback(None)
        self.fetched.slow = Deferred()
        self.assertEqual(self.audited(), 5)
