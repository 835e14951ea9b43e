"""What is not ours, as clients read it: who is asked for it, and when nobody is."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

from attrs import define, field
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.advisories.values import AdvisoriesStanding
from pypicloud_tw.config.sections.upstream import UpstreamSection
from pypicloud_tw.errors import StoreError, Unauthorized
from pypicloud_tw.index.attestations.service import Attestations
from pypicloud_tw.index.model import Document
from pypicloud_tw.index.names import project_name
from pypicloud_tw.upstream.caching import CachingFiles
from pypicloud_tw.upstream.client import Client
from pypicloud_tw.upstream.judgement.entries import RuleEntry
from pypicloud_tw.upstream.judgement.judges import Judges
from pypicloud_tw.upstream.judgement.rules import UpstreamRules
from pypicloud_tw.upstream.keeper import StoredPages
from pypicloud_tw.upstream.offline import OfflineClient
from pypicloud_tw.upstream.relay import Relay
from pypicloud_tw.upstream.service import Upstreams
from pypicloud_tw.upstream.source import ClientLimits, sources
from pypicloud_tw.upstream.standings import Standings
from pypicloud_tw.web.fallback import Fallback
from pypicloud_tw.web.simple import render_upstream, reread_upstream
from tests.builders import wheel
from tests.index.attestations.doubles import SIGNER, Verifier, attestation
from tests.upstream.doubles import (
    BASE,
    FILES,
    FakeUpstream,
    file,
    page,
    project,
    ranged,
)
from tests.web.doubles import Domain, Response, Web, started, upload_form

ACME, BETA = project_name("acme"), project_name("beta")
NAME = "acme-9.0-py3-none-any.whl"
OURS = "acme-1.0-py3-none-any.whl"
JSON = {"Accept": "application/vnd.pypi.simple.v1+json"}
METADATA = b"Metadata-Version: 2.1\n"
FRESH = {"cache-control": "max-age=600"}
STALE = {"cache-control": "no-cache"}


@define
class Front:
    """A server in front of a fake upstream, which has ``acme`` 9.0.

    :ivar mode: ``proxy``, ``relay``, ``cache``, ``kept`` or ``redirect``.
    :ivar keeps_pages: in the store, beyond the server's life.
    :ivar judges: the cache looks into what it keeps, as it does in a server.
    """

    mode: str = "relay"
    rules: UpstreamRules = field(factory=UpstreamRules)
    merge: frozenset[str] = frozenset()
    judges: bool = False
    keeps_pages: bool = False
    domain: Domain = field(factory=Domain)
    upstream: FakeUpstream = field(factory=FakeUpstream)
    web: Web = field(init=False)
    fallback: Fallback = field(init=False)

    def __attrs_post_init__(self) -> None:
        domain = self.domain
        self.web = Web(domain)
        client = Client(
            self.upstream, domain.clock, ClientLimits(retries=0), "tests", lambda: 0.5
        )
        pages = StoredPages.over(domain.store, domain.offload, 2**20)
        judges = Judges(self.rules)
        if self.mode == "kept":
            judges.standings = Standings(domain.store, domain.clock)
            client = OfflineClient(
                client.agent,
                client.clock,
                client.limits,
                client.user_agent,
                client.random,
                pages=pages,
                standings=judges.standings,
                offload=domain.offload,
            )
        upstreams = Upstreams(
            client,
            sources([BASE]),
            judges,
            render_upstream,
            reread_upstream,
            domain.offload,
            domain.clock,
            UpstreamSection(),
            own_links=self.mode in ("relay", "cache", "kept"),
            keeper=pages if self.keeps_pages else None,
        )
        files: Any = None
        if self.mode in ("cache", "kept"):
            judge = domain.publisher.inspect if self.judges else None
            files = CachingFiles(upstreams, client, domain.store, domain.clock, judge)
        elif self.mode == "relay":
            files = Relay(upstreams, client)
        self.fallback = Fallback(
            upstreams,
            files=files,
            redirects=self.mode == "redirect",
            merge=self.merge,
        )
        self.web.application.projects.fallback = self.fallback

    def have(
        self,
        told: Document | None = None,
        headers: dict[str, str] = FRESH,
        **more: Any,
    ) -> None:
        """Have the upstream tell of a file, and of its page's freshness."""
        told = told or {**file(NAME), "core-metadata": True}
        self.upstream.on(
            f"{BASE}acme/",
            page(project("acme", told, versions=["9.0"], **more), headers=headers),
        )
        self.upstream.on(told["url"], ranged(b"bytes"))
        self.upstream.on(f"{told['url']}.metadata", ranged(METADATA))

    def document(self) -> Document:
        answer = self.web.get("/simple/acme/", JSON)
        assert answer.status == 200, answer
        document: Document = answer.json
        return document

    def link(self) -> str:
        """Give the address here of the upstream's file."""
        (link,) = (
            one["url"] for one in self.document()["files"] if one["filename"] == NAME
        )
        return f"/{link.removeprefix('../../')}"

    def get(self, path: str) -> Response:
        return self.web.get(path)

    def asked(self) -> list[str]:
        """Take what the upstream was asked since the last time."""
        urls = self.upstream.urls()
        self.upstream.asked.clear()
        return urls


class PublishedElsewhereTests(SynchronousTestCase):
    """A project that another server published a moment ago is not asked for."""

    def front(self, mode: str, **options: Any) -> Front:
        front = Front(mode, **options)
        front.have(headers=STALE)
        return front

    def publish(self, front: Front) -> None:
        """Publish beside the server, which has proved a moment ago that it is not."""
        front.web.get("/simple/acme/")
        front.asked()
        front.domain.clock.advance(0.1)
        other = Web(front.domain.beside())
        other.publish(OURS, wheel())

    def test_pages(self) -> None:
        for mode in ("proxy", "relay", "cache", "redirect"):
            front = self.front(mode)
            self.publish(front)
            (one,) = front.document()["files"]
            self.assertEqual(one["filename"], OURS)
            self.assertEqual(front.asked(), [], mode)

    def test_legacy_json(self) -> None:
        """Not even if its simple page is known to be not there either."""
        for known in (True, False):
            front = self.front("proxy")
            if known:
                front.upstream.on(f"{BASE}acme/", page(b"", status=404))
            self.publish(front)
            answer = front.get("/pypi/acme/json")
            self.assertEqual(answer.json["info"]["version"], "1.0")
            self.assertEqual(front.asked(), [])

    def test_files(self) -> None:
        for mode in ("relay", "cache"):
            for suffix in ("", ".metadata"):
                front = self.front(mode)
                link = front.link()
                self.publish(front)
                self.assertEqual(front.get(link + suffix).status, 404)
                self.assertEqual(front.asked(), [], mode)

    def test_what_is_kept_is_given_without_a_proof_each_time(self) -> None:
        front = self.front("cache")
        link = front.link()
        for _ in range(2):
            self.assertEqual(front.get(link).body, b"bytes")
        calls = front.domain.store.calls
        calls.clear()
        self.assertEqual(front.get(link).body, b"bytes")
        self.assertEqual([operation for operation, _ in calls], ["open", "deliver"])


class AskedByNobodyTests(SynchronousTestCase):
    """Whatever goes wrong here, nothing is asked there."""

    PATHS = (
        "/simple/acme/",
        "/pypi/acme/json",
        "/pypi/acme/9.0/json",
        f"/packages/acme/0123456789abcdef/{NAME}",
        f"/packages/acme/0123456789abcdef/{NAME}.metadata",
    )

    def test_the_store_does_not_tell(self) -> None:
        """One that is down, or that refuses us: neither proves an absence."""
        for mode in ("relay", "cache", "redirect"):
            front = Front(mode)
            front.have()

            def before(operation: str, key: str) -> None:
                raise StoreError("The store answers 403 for what it does not have.")

            front.domain.store.before = before
            for path in self.PATHS:
                self.assertEqual(front.get(path).status, 503, (mode, path))
            self.assertEqual(front.asked(), [])

    def test_strangers(self) -> None:
        for mode in ("relay", "cache", "redirect"):
            front = Front(mode)
            front.web = Web(front.domain, default_read="authenticated")
            front.web.application.projects.fallback = front.fallback
            front.have()
            for path in self.PATHS:
                self.assertEqual(front.get(path).status, 401, (mode, path))
            self.assertEqual(front.asked(), [])


class MergeTests(SynchronousTestCase):
    def test_what_is_denied_does_not_hide_ours(self) -> None:
        """By its name, or for not being among what is allowed."""
        for rules in (
            UpstreamRules(deny=(RuleEntry.parse("acme"),)),
            UpstreamRules(allow=(RuleEntry.parse("other"),)),
            UpstreamRules(private=(RuleEntry.parse("acme"),)),
        ):
            front = Front("relay", rules, frozenset({"acme"}))
            front.have()
            front.web.publish(OURS, wheel())
            (one,) = front.document()["files"]
            self.assertEqual(one["filename"], OURS)
            self.assertEqual(front.asked(), [])

    def test_what_ours_shadows_is_not_there(self) -> None:
        """By no address either, however its name is spelled."""
        for mode in ("relay", "cache"):
            front = Front(mode, merge=frozenset({"acme"}))
            told = file("acme-1.0.0-py3-none-any.whl", b"theirs")
            front.have({**told, "core-metadata": True})
            front.upstream.on(told["url"], ranged(b"theirs"))
            front.web.publish(OURS, wheel())
            (one,) = front.document()["files"]
            self.assertEqual(one["filename"], OURS)
            link = f"/packages/acme/{told['hashes']['sha256'][:16]}/{told['filename']}"
            front.asked()
            for path in (link, f"{link}.metadata"):
                self.assertEqual(front.get(path).status, 404, path)
            self.assertEqual(front.asked(), [])

    def test_files_of_both_are_there(self) -> None:
        front = Front("relay", merge=frozenset({"acme"}))
        front.have()
        front.web.publish(OURS, wheel())
        for one in front.document()["files"]:
            link = f"/{one['url'].removeprefix('../../')}"
            self.assertEqual(front.get(link).status, 200, one)


class ProvenanceTests(SynchronousTestCase):
    """What the other index attests (PEP 740) is passed on as it is."""

    ADDRESS = f"/integrity/acme/9.0/{NAME}/provenance"
    LINK = f"https://up.example/integrity/acme/9.0/{NAME}/provenance"

    def front(self, mode: str, link: str = LINK, **options: Any) -> Front:
        domain = Domain(
            attestations=Attestations(Verifier(), lambda project: (SIGNER,))
        )
        front = Front(mode, domain=domain, **options)
        front.have({**file(NAME), "provenance": link})
        return front

    def test_pages(self) -> None:
        for mode in ("proxy", "relay", "cache"):
            front = self.front(mode)
            (told,) = front.document()["files"]
            self.assertEqual(told["provenance"], self.LINK)
            html = front.get("/simple/acme/").text
            self.assertIn(f'data-provenance="{self.LINK}"', html)

    def test_our_address_of_it_leads_there(self) -> None:
        for mode in ("proxy", "relay", "cache"):
            answer = self.front(mode).get(self.ADDRESS)
            self.assertEqual((answer.status, answer["location"]), (302, self.LINK))

    def test_where_there_is_none(self) -> None:
        without = Front("relay")
        without.have()
        for front in (
            without,
            Front("relay"),
            self.front("relay", "javascript:alert(1)"),
            self.front("relay", "https://up.example/\r\nX: y"),
            self.front("redirect"),
        ):
            self.assertEqual(front.get(self.ADDRESS).status, 404)

    def test_merged_with_ours(self) -> None:
        front = self.front("relay", merge=frozenset({"acme"}))
        data = wheel()
        attested = json.dumps([attestation(OURS, sha256(data).hexdigest())])
        form = upload_form(OURS, data, attestations=attested)
        self.assertEqual(front.web.post(form).status, 200)
        for host in ("a.example", "b.example"):
            page = front.web.get("/simple/acme/", {**JSON, "Host": host}).json
            links = {one["filename"]: one["provenance"] for one in page["files"]}
            ours = f"http://{host}/integrity/acme/1.0/{OURS}/provenance"
            self.assertEqual(links, {OURS: ours, NAME: self.LINK})
        self.assertEqual(front.get(self.ADDRESS)["location"], self.LINK)
        self.assertEqual(
            front.get(f"/integrity/acme/1.0/{OURS}/provenance").status, 200
        )


class CachingTests(SynchronousTestCase):
    """What clients are told of how long a file stays as it is."""

    def test_forever_where_the_address_has_a_digest(self) -> None:
        for mode in ("relay", "cache"):
            front = Front(mode)
            front.have()
            link = front.link()
            for path in (link, link, f"{link}.metadata", f"{link}.metadata"):
                told = front.get(path)["Cache-Control"] or ""
                self.assertIn("immutable", told, (mode, path))
                # A proxy that is shared must not outlive a judgement.
                self.assertIn("s-maxage=0", told, (mode, path))

    def test_of_unknown_digest(self) -> None:
        """The upstream may put other bytes there."""
        for mode in ("relay", "cache"):
            front = Front(mode)
            front.have({"filename": NAME, "url": f"{FILES}/{NAME}", "hashes": {}})
            answer = front.get(front.link())
            self.assertEqual(answer.body, b"bytes")
            self.assertEqual(answer["Cache-Control"], "public, no-cache")


class UnservedTests(SynchronousTestCase):
    """What is ours and cannot be served is asked of nobody, at no address."""

    paths: tuple[str, ...] = (
        "/simple/acme/",
        f"/packages/acme/0123456789abcdef/{NAME}",
        f"/api/package/acme/{NAME}",
        "/pypi/acme/json",
        "/pypi/acme/9.0/json",
    )

    def refused(self, front: Front, sentence: str) -> None:
        for path in self.paths:
            answer = front.get(path)
            self.assertEqual((path, answer.status), (path, 503))
            self.assertIn(sentence, answer.text)
        self.assertEqual(front.asked(), [])

    def test_with_every_fallback_and_without(self) -> None:
        for mode in ("proxy", "relay", "cache", "redirect", "none"):
            front = Front(mode)
            front.have()
            application = front.web.application
            if mode == "none":
                application.projects.fallback = None
            application.index.unserved.find({ACME: "It is broken."})
            self.refused(front, "It is broken.")
            application.index.unserved.find({})
            self.assertNotEqual(front.get("/simple/acme/").status, 503)

    def test_a_page_that_is_known_is_not_shown_any_more(self) -> None:
        front = Front("relay")
        front.have()
        path = front.link()
        for _ in range(2):
            self.assertEqual(front.get("/simple/acme/").status, 200)
        front.asked()
        front.web.application.index.unserved.find({ACME: "It is broken."})
        self.paths = (*self.paths, path)
        self.refused(front, "It is broken.")

    def test_what_is_in_quarantine_hides_the_upstream_s_too(self) -> None:
        front = Front("relay", merge=frozenset({"acme"}))
        front.have()
        front.web.publish(OURS, wheel())
        theirs = f"/{front.link().lstrip('./')}"
        acts = front.domain.index.acts
        front.web.wait(acts.set_status(ACME, "quarantined"))
        front.domain.clock.advance(1)
        self.assertEqual(front.document()["files"], [])
        self.assertEqual(front.web.get(theirs).status, 403)

    def test_what_is_merged_shows_the_upstream_s_all_the_same(self) -> None:
        """Its page never shows less than before."""
        front = Front("proxy", merge=frozenset({"acme"}))
        front.have()
        front.web.application.index.unserved.find({ACME: "It is broken."})
        for _ in range(2):
            self.assertEqual(front.get("/simple/acme/").status, 200)

    def test_another_process_has_found_it(self) -> None:
        front = Front("proxy")
        front.have(headers=STALE)
        self.assertEqual(front.get("/simple/acme/").status, 200)
        front.asked()
        other = Web(front.domain.beside()).application.index.unserved
        self.successResultOf(started(other.tell({ACME: "It is broken."})))
        front.domain.clock.advance(1)
        self.refused(front, "It is broken.")

    def test_readiness_tells_of_advisories(self) -> None:
        front = Front("none")
        self.assertEqual(front.get("/ready").text, "ready\n")
        front.web.advisories = AdvisoriesStanding(0, None, "They are away.")
        answer = front.get("/ready")
        self.assertEqual((answer.status, answer.text), (200, "ready\nThey are away.\n"))
        front.web.advisories = AdvisoriesStanding(7, 60.0, None)
        self.assertEqual(front.get("/ready").text, "ready\n")

    def test_readiness_names_it_to_those_who_may_know(self) -> None:
        front = Front("none")
        front.web.application.projects.fallback = None
        application = front.web.application
        self.assertEqual(front.get("/ready").text, "ready\n")
        application.index.unserved.find({ACME: "It is broken."})
        self.assertEqual(
            front.get("/ready").text,
            "ready\n1 project(s) in the store cannot be served.\nacme: It is broken.\n",
        )
        front.web.publish("beta-1.0-py3-none-any.whl", wheel("beta"))
        application.index.unserved.find({ACME: "It is broken.", BETA: "It was."})
        front.web.get("/simple/")
        self.assertNotIn("beta", front.get("/ready").text)
        for judge in (False, Unauthorized("Log in.")):

            def may(_principal: Any, _client: str, judge: Any = judge) -> bool:
                if isinstance(judge, Exception):
                    raise judge
                return False

            application.metrics_read = may
            answer = front.get("/ready")
            self.assertEqual(answer.status, 200)
            self.assertNotIn("acme", answer.text)
            self.assertIn("1 project(s)", answer.text)
