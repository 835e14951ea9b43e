"""What is not ours, as the routes get it, and what is shown with ours."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.config.sections.upstream import UpstreamSection
from pypicloud_tw.errors import UpstreamError
from pypicloud_tw.index.model import Document
from pypicloud_tw.index.names import project_name
from pypicloud_tw.upstream.client import Client
from pypicloud_tw.upstream.freshness import UNTOLD
from pypicloud_tw.upstream.judgement.judges import Judges
from pypicloud_tw.upstream.service import Upstreams
from pypicloud_tw.upstream.source import ClientLimits, sources
from pypicloud_tw.web.fallback import Fallback
from pypicloud_tw.web.representation import Page
from pypicloud_tw.web.simple import render_project, render_upstream, reread_upstream
from tests.doubles import InlineOffload
from tests.upstream.doubles import (
    BASE,
    HOST,
    FakeUpstream,
    clock,
    file,
    page,
    project,
    started,
    status,
)

ACME = project_name("acme")
URL = f"{BASE}acme/"


class MergeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = clock()
        self.upstream = FakeUpstream()
        self.offload = InlineOffload()
        client = Client(
            self.upstream, self.clock, ClientLimits(retries=0), "tests", lambda: 0.5
        )
        upstreams = Upstreams(
            client,
            sources([BASE]),
            Judges(),
            render_upstream,
            reread_upstream,
            self.offload,
            self.clock,
            UpstreamSection(),
        )
        self.fallback = Fallback(upstreams, merge=frozenset({ACME}))

    def own(self, *filenames: str, versions: tuple[str, ...] = ()) -> Page:
        files = [{**file(name), "url": f"../../{name}"} for name in filenames]
        return render_project(project("acme", *files, versions=versions))

    def have(self, *filenames: str, **more: Any) -> None:
        document = project("acme", *map(file, filenames), **more)
        self.upstream.on(URL, page(document))

    def merge(self, own: Page) -> Deferred[tuple[Page, str | None]]:
        return started(self.fallback.merged(ACME, own))

    def merged(self, own: Page) -> Document:
        made, warning = self.successResultOf(self.merge(own))
        self.assertIsNone(warning)
        document: Document = json.loads(made.json)
        return document

    def urls(self, own: Page) -> list[str]:
        return [file["url"] for file in self.merged(own)["files"]]

    def test_both(self) -> None:
        self.have("acme-1.0.tar.gz", versions=["1.0", "1.10"])
        document = self.merged(self.own("acme-1.9.tar.gz", versions=("1.9",)))
        self.assertEqual(
            [file["filename"] for file in document["files"]],
            ["acme-1.0.tar.gz", "acme-1.9.tar.gz"],
        )
        self.assertEqual(document["versions"], ["1.0", "1.9", "1.10"])

    def test_ours_shadow_equal_files(self) -> None:
        """However they are spelled: an installer would take either."""
        self.have(
            "Acme-1.0.tar.gz",
            "acme-1.0.0-py3-none-any.whl",
            "acme-1.0-1-py3-none-any.whl",
            "acme-1.0.zip",
            "acme-1.zip",
            "nonsense.tar.gz",
            "nonsense.whl",
        )
        own = self.own(
            *("acme-1.0.tar.gz", "acme-1.0-py3-none-any.whl", "acme-1.zip"),
            "nonsense.whl",
        )
        theirs = [url for url in self.urls(own) if url.startswith("https:")]
        self.assertEqual(
            [url.rpartition("/")[2] for url in theirs],
            ["acme-1.0-1-py3-none-any.whl", "acme-1.0.zip", "nonsense.tar.gz"],
        )

    def test_nothing_upstream(self) -> None:
        own = self.own("acme-1.9.tar.gz")
        self.assertEqual(self.successResultOf(self.merge(own)), (own, None))

    def test_what_is_in_quarantine_is_not_offered(self) -> None:
        self.have("acme-1.0.tar.gz", **{"project-status": {"status": "quarantined"}})
        self.assertEqual(
            self.urls(self.own("acme-1.9.tar.gz")), ["../../acme-1.9.tar.gz"]
        )

    def test_made_once(self) -> None:
        self.have("acme-1.0.tar.gz")
        own = self.own("acme-1.9.tar.gz")
        first, second = (self.successResultOf(self.merge(own))[0] for _ in range(2))
        self.assertIs(first, second)
        changed, _ = self.successResultOf(self.merge(self.own("acme-2.0.tar.gz")))
        self.assertIn(b"acme-2.0", changed.json)

    def test_large_ones_are_merged_elsewhere(self) -> None:
        """Not in the reactor's thread."""
        self.have(*(f"acme-1.{number}.tar.gz" for number in range(8000)))
        own = self.own("acme-1.9.tar.gz")
        self.assertEqual(len(self.urls(own)), 8000)
        self.assertEqual(
            self.offload.processed, ["prepare_elsewhere", "merge_elsewhere"]
        )
        self.assertEqual(self.offload.threaded[-2:], ["_pack_pages", "unpacked"])

    def test_an_upstream_that_fails(self) -> None:
        """With the upstream's last known page there is a warning; without, nothing."""
        own = self.own("acme-1.9.tar.gz")
        self.upstream.refuses.add(HOST)
        self.failureResultOf(self.merge(own), UpstreamError)
        self.upstream.refuses.clear()
        self.have("acme-1.0.tar.gz")
        made, _ = self.successResultOf(self.merge(own))
        self.clock.advance(UNTOLD + 1)
        self.upstream.on(URL, status(500))
        again, warning = self.successResultOf(self.merge(own))
        self.assertIs(again, made)
        self.assertIn("Revalidation Failed", warning or "")
