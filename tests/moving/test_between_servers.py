"""From a server of this program, and into one by its API."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from attrs import define, evolve, field
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.basic import Login
from pypicloud_tw.client.address import IndexAddress
from pypicloud_tw.client.api import ApiClient
from pypicloud_tw.client.logins import Credentials
from pypicloud_tw.client.projects import RemoteProjects
from pypicloud_tw.errors import Unauthorized
from pypicloud_tw.index.acts import Acts
from pypicloud_tw.index.admission import Claims
from pypicloud_tw.index.imported import Imported
from pypicloud_tw.index.model import Project, Selection
from pypicloud_tw.index.names import Filename, project_name
from pypicloud_tw.index.publication import Publication
from pypicloud_tw.moving.http import SourceHttp
from pypicloud_tw.moving.importer import PATIENCE
from pypicloud_tw.moving.remote import ServerDestination
from pypicloud_tw.moving.sources.same import SameKind, SameSource
from tests import builders
from tests.doubles import InlineOffload
from tests.moving.doubles import ACTOR, Bench, Site, whl, whys
from tests.upstream.doubles import FILES, page
from tests.web.api.doubles import AccessWeb, Canned, WebAgent
from tests.web.doubles import Response

THEN = datetime(2022, 5, 1, 12, tzinfo=UTC)
URL = "https://pypi.example/"
ACME = project_name("acme")
ANN = Login("ann", "secret")


@define(eq=False)
class Server:
    """A server in memory, and a clock that is its own."""

    web: AccessWeb = field(factory=AccessWeb)
    agent: WebAgent = field()

    @agent.default
    def _its_agent(self) -> WebAgent:
        return WebAgent(self.web)

    def destination(self, login: Login | None = ANN) -> ServerDestination:
        address = IndexAddress.parse(URL, "--index")
        client = ApiClient(address, Credentials(login), self.agent, Clock())
        return ServerDestination(client, RemoteProjects(client), InlineOffload())

    def source(self, login: Login | None = ANN) -> SameSource:
        http = SourceHttp.at(
            URL,
            Credentials(login),
            self.agent,
            Clock(),
            InlineOffload(),
            lambda: 0.5,
        )
        return SameSource(http, URL)

    def project(self, bench: Bench) -> Project | None:
        found = bench.finish(self.web.domain.publisher.find(ACME))
        return None if found is None else found.project


@define(eq=False)
class Flaky(Canned):
    """Says so many times that it fails; only what its status is, it tells always."""

    web: AccessWeb
    times: int
    status: int

    def request(self, *asked: Any) -> Response:
        """Answer."""
        if self.times and not asked[1].endswith("status"):
            self.times -= 1
            return Response(self.status, "", {}, b'{"detail": "No."}')
        return self.web.request(*asked)


class IntoServerTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.bench = Bench()
        self.site = self.bench.site
        self.server = Server()

    def test_what_is_kept(self) -> None:
        data = self.site.has(uploaded=THEN.isoformat(), yanked="why")
        report = self.bench.take(into=self.server.destination())
        self.assertEqual((report.total("taken"), report.remarks), (1, []))
        project = self.server.project(self.bench)
        assert project is not None
        (file,) = project.files
        self.assertEqual(file.sha256, sha256(data).hexdigest())
        self.assertEqual((file.upload_time, file.yanked), (THEN, "why"))
        self.assertIsNone(file.uploader)
        (entry,) = project.history
        self.assertEqual((entry.act, entry.who), ("imported", "ann"))

    def test_a_second_run(self) -> None:
        self.site.has()
        self.bench.take(into=self.server.destination())
        self.site.has("2.0")
        self.site.files["acme"][0]["yanked"] = True
        self.site.publish("acme", **{"project-status": {"status": "archived"}})
        report = self.bench.take(into=self.server.destination())
        (one,) = report.projects
        self.assertEqual((one.taken, one.there, one.yanked), (1, 1, 1))
        self.assertEqual(one.status, "archived")
        uploads = [
            path for _, path, _, _ in self.server.agent.asked if "legacy" in path
        ]
        self.assertEqual(len(uploads), 2)

    def test_where_no_digest_is_told(self) -> None:
        self.site.has(hashes={})
        self.assertEqual(
            self.bench.take(into=self.server.destination()).total("taken"), 1
        )
        report = self.bench.take(into=self.server.destination())
        self.assertEqual((report.total("there"), report.total("taken")), (1, 0))

    def test_other_bytes_are_refused(self) -> None:
        self.site.has(hashes={}, size=None)
        self.bench.take(into=self.server.destination())
        other = builders.wheel(extra=[("more.py", b"")])
        self.site.upstream.on(f"{FILES}/{whl('1.0')}", page(other))
        report = self.bench.take(into=self.server.destination())
        self.assertIn("File already exists", whys(report)[whl("1.0")])
        self.assertEqual(report.exit_code, 1)

    def test_only_administrators_and_before_anything_is_fetched(self) -> None:
        self.site.has()
        with self.assertRaisesRegex(Unauthorized, "Log in"):
            self.bench.take(into=self.server.destination(None))
        self.assertEqual(self.site.upstream.asked, [])
        # To see what would be taken, nobody need be one.
        report = self.bench.take(into=self.server.destination(None), dry_run=True)
        self.assertEqual(report.total("taken"), 1)

    def test_a_server_that_is_away_for_a_while(self) -> None:
        self.site.has()
        self.server.agent.web = Flaky(self.server.web, 100, 503)
        report = self.bench.take(into=self.server.destination())
        self.assertEqual((report.total("failed"), report.exit_code), (1, 2))
        self.server.agent.web = Flaky(self.server.web, 100, 507)
        report = self.bench.take(into=self.server.destination())
        self.assertEqual(report.stopped, "No.")
        self.server.agent.web = Flaky(self.server.web, 2, 503)
        report = self.bench.take(into=self.server.destination())
        self.assertEqual((report.total("taken"), report.remarks), (1, []))

    def test_a_server_that_takes_long_to_start(self) -> None:
        """All that wait for it wait a minute, and not each once more."""
        for name in ("acme", "b", "c", "d"):
            self.site.has(name=name)
        clock = self.site.clock
        web = Flaky(self.server.web, 1000, 503)
        self.server.agent.web = web
        began = clock.seconds()
        clock.callLater(PATIENCE - 15, setattr, web, "times", 0)
        report = self.bench.take(into=self.server.destination(), jobs=1)
        self.assertEqual((report.total("taken"), report.remarks), (4, []))
        self.assertGreaterEqual(clock.seconds() - began, PATIENCE - 15)
        self.site.has("2.0")
        web.times, began = 1000, clock.seconds()
        report = self.bench.take(into=self.server.destination(), jobs=1)
        self.assertEqual(report.total("failed"), 4)
        self.assertLess(clock.seconds() - began, 2 * PATIENCE)

    def test_a_refusal_of_the_server(self) -> None:
        self.site.has(data=b"PK no wheel")
        report = self.bench.take(into=self.server.destination())
        self.assertTrue(whys(report)[whl("1.0")].startswith("refused: "))
        self.assertIsNone(self.server.project(self.bench))


class FromServerTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.bench = Bench()
        self.server = Server()

    def publish(self, version: str, imported: Imported | None = None) -> None:
        async def publish() -> None:
            publication = Publication(self.server.web.domain.publisher, ACTOR)
            await publication.begin(Filename.parse(whl(version)))
            await publication.write(builders.wheel(version=version))
            await publication.finish(Claims(), imported=imported)

        self.bench.finish(publish())

    def test_all_that_there_is_to_know(self) -> None:
        self.publish("1.0", Imported("devpi", THEN, "bob", "why"))
        self.publish("2.0")
        acts = Acts(self.server.web.domain.publisher)
        self.bench.finish(acts.set_status(ACME, "deprecated", "old"))
        report = self.bench.take(source=self.server.source())
        self.assertEqual((report.total("taken"), report.remarks), (2, []))
        project = self.bench.project()
        self.assertEqual((project.status, project.status_reason), ("deprecated", "old"))
        first, second = project.files
        self.assertEqual(
            (first.upload_time, first.uploader, first.yanked), (THEN, "bob", "why")
        )
        self.assertEqual((second.uploader, second.yanked), (ACTOR.name, None))
        again = self.bench.take(source=self.server.source())
        self.assertEqual((again.total("there"), again.total("taken")), (2, 0))

    def test_what_was_deleted_is_not_taken(self) -> None:
        self.publish("1.0")
        self.publish("2.0")
        acts = Acts(self.server.web.domain.publisher)
        self.bench.finish(acts.delete(ACME, Selection("1.0")))
        self.bench.take(source=self.server.source())
        self.assertEqual([f.version for f in self.bench.project().files], ["2.0"])

    def test_quarantine(self) -> None:
        self.publish("1.0")
        acts = Acts(self.server.web.domain.publisher)
        self.bench.finish(acts.set_status(ACME, "quarantined"))
        report = self.bench.take(source=self.server.source())
        self.assertIn("quarantined there", whys(report)[None])
        self.assertFalse(self.bench.has())

    def test_it_is_recognized(self) -> None:
        http = self.server.source().http
        tools = evolve(Site().tools(), http=lambda _: http)
        for place in (URL, f"{URL}simple/"):
            found = SameKind().recognise(place, tools)
            self.assertTrue(self.bench.finish(found))
