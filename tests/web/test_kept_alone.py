"""What clients see where nobody is asked (``pypi.fallback = kept``)."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.errors import NotFound
from pypicloud_tw.upstream.client import Validators
from pypicloud_tw.upstream.judgement.entries import RuleEntry
from pypicloud_tw.upstream.judgement.rules import UpstreamRules
from pypicloud_tw.upstream.judgement.values import Standing
from tests.upstream.doubles import BASE, FILES, file, page, project, ranged
from tests.web.doubles import started
from tests.web.test_app_fallback import METADATA, Front

DAY = 86_400.0
OLD, NEW = "acme-9.0-py3-none-any.whl", "acme-9.1-py3-none-any.whl"


class KeptAloneTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.online = Front("cache", keeps_pages=True)
        self.tell()
        self.keep(OLD)

    def tell(self, **about: Any) -> None:
        """Have the upstream have both files."""
        told = [
            {
                **file(name, name.encode(), uploaded="2020-01-01T00:00:00Z"),
                "core-metadata": {"sha256": sha256(METADATA).hexdigest()},
                "requires-python": ">=3.8",
            }
            for name in (OLD, NEW)
        ]
        document = project("acme", *told, versions=["9.0", "9.1"], **about)
        self.online.upstream.on(f"{BASE}acme/", page(document))
        for name in (OLD, NEW):
            self.online.upstream.on(f"{FILES}/{name}", ranged(name.encode()))
            self.online.upstream.on(f"{FILES}/{name}.metadata", ranged(METADATA))

    def keep(self, name: str) -> None:
        """Have a client of the server that is online fetch a file."""
        path = f"/{self.path(name)}"
        self.assertEqual(self.online.get(path).body, name.encode())
        self.assertEqual(self.online.get(f"{path}.metadata").body, METADATA)

    def path(self, name: str) -> str:
        files = self.online.document()["files"]
        (url,) = [one["url"] for one in files if one["filename"] == name]
        return str(url.removeprefix("../../"))

    def offline(self, **options: Any) -> Front:
        front = Front("kept", domain=self.online.domain.beside(), **options)
        self.addCleanup(lambda: self.assertEqual(front.asked(), []))
        return front

    def test_only_what_is_kept_is_listed(self) -> None:
        document = self.offline().document()
        (told,) = document["files"]
        self.assertEqual((told["filename"], document["versions"]), (OLD, ["9.0"]))
        self.assertEqual(told["requires-python"], ">=3.8")
        digest = sha256(METADATA).hexdigest()
        self.assertEqual(told["core-metadata"], {"sha256": digest})
        self.assertEqual(told["upload-time"], "2020-01-01T00:00:00Z")

    def test_files(self) -> None:
        front = self.offline()
        (told,) = front.document()["files"]
        path = f"/{told['url'].removeprefix('../../')}"
        self.assertEqual(front.get(path).body, OLD.encode())
        self.assertEqual(front.get(f"{path}.metadata").body, METADATA)

    def test_what_is_brought_later(self) -> None:
        front = self.offline()
        front.document()
        self.keep(NEW)
        front.domain.clock.advance(61)
        names = [one["filename"] for one in front.document()["files"]]
        self.assertEqual(names, [OLD, NEW])

    def test_what_is_not_kept(self) -> None:
        front = self.offline()
        answer = front.get("/simple/other/")
        self.assertEqual(answer.status, 404, answer)
        self.assertEqual(front.get(f"/{self.path(NEW)}").status, 404)
        self.assertEqual(front.get("/pypi/acme/json").status, 404)

    def test_without_its_page(self) -> None:
        """Files are found without the page that told of them."""
        started(self.online.domain.store.delete(".cache/.pages/acme"))
        (told,) = self.offline().document()["files"]
        self.assertEqual((told["filename"], told["size"]), (OLD, len(OLD)))
        self.assertEqual(told["upload-time"], "2020-01-01T00:00:00Z")

    def test_metadata_that_is_not_kept(self) -> None:
        """Resolvers must not be sent for it."""
        store = self.online.domain.store
        (key,) = [key for key in store.objects if key.endswith(".metadata")]
        started(store.delete(key))
        (told,) = self.offline().document()["files"]
        self.assertNotIn("core-metadata", told)

    def test_a_page_that_is_older_than_a_quarantine(self) -> None:
        front = self.offline()
        front.fallback.upstreams.judges.standings.saw("acme", Standing("quarantined"))
        for _ in range(2):
            document = front.document()
            self.assertEqual(document["files"], [])
            self.assertEqual(document["project-status"]["status"], "quarantined")
            front.domain.clock.advance(120)
        answer = front.get(f"/{self.path(OLD)}")
        self.assertEqual(answer["x-pypicloud-refused"], "quarantined")

    def test_rules(self) -> None:
        deny = UpstreamRules(deny=(RuleEntry.parse("acme==9.0"),))
        self.assertEqual(self.offline(rules=deny).document()["files"], [])
        private = UpstreamRules(private=(RuleEntry.parse("acme"),))
        self.assertEqual(self.offline(rules=private).get("/simple/acme/").status, 404)

    def test_nobody_is_asked(self) -> None:
        upstreams = self.offline().fallback.upstreams
        client, (source,) = upstreams.client, upstreams.sources
        for asked in (
            client.open(source, f"{FILES}/{OLD}"),
            client.open_unless(source, BASE, Validators()),
        ):
            error = self.failureResultOf(started(asked), NotFound).value
            self.assertIn("no other index is asked", error.message)

    def test_names(self) -> None:
        front = self.offline()
        self.assertEqual(
            self.successResultOf(started(front.fallback.files.names())),  # type: ignore[union-attr]  # it keeps
            {"acme"},
        )
