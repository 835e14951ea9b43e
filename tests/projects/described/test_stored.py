"""What releases and files say of themselves, here and at the other index."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any, TypeVar

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.errors import (
    BadRequest,
    Forbidden,
    NotFound,
    RefusedByRule,
    StoreError,
    Unavailable,
    UpstreamError,
)
from pypicloud_tw.index.admission import UploadRules
from pypicloud_tw.index.audit import SERVER
from pypicloud_tw.index.names import project_name
from pypicloud_tw.projects.described.interface import Described
from pypicloud_tw.projects.described.stored import StoredDescribed
from pypicloud_tw.projects.described.values import ReleaseMetadata
from pypicloud_tw.upstream.judgement.entries import RuleEntry
from pypicloud_tw.upstream.judgement.rules import UpstreamRules
from tests.builders import METADATA, bare_sdist, member, sdist, tar_of, wheel
from tests.projects.described.test_rendering import Failing
from tests.upstream.doubles import BASE, file, page, project, ranged, status
from tests.web.doubles import ACME, Web, started
from tests.web.test_app_fallback import FRESH, Front

T = TypeVar("T")

OURS, SOURCE = "acme-1.0-py3-none-any.whl", "acme-1.0.tar.gz"


SUMMARY = "A tool of Acme's"


def core(version: str = "1.0", more: str = "", body: str = "# Acme\n") -> bytes:
    head = METADATA.format(name="acme", version=version)
    kind = "Description-Content-Type: text/markdown\n"
    return f"{head}{kind}{more}\n{body}".encode()


class OwnTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.web = Web()
        self.domain = self.web.domain
        self.described: Described = StoredDescribed.of(self.domain.index)

    def have(
        self, version: str = "1.0", more: str = "", body: str = "# Acme\n"
    ) -> None:
        data = wheel(version=version, core_metadata=core(version, more, body))
        self.web.publish(f"acme-{version}-py3-none-any.whl", data)

    def metadata(self, version: str = "1.0") -> ReleaseMetadata:
        found = self.web.wait(self.described.metadata(ACME, version))
        assert found is not None
        return found

    def test_by_core_metadata(self) -> None:
        self.have(more="Requires-Dist: beta>=1\n")
        found = self.metadata("1.0.0")
        self.assertEqual((found.name, found.version), ("acme", "1.0"))
        self.assertEqual(
            (found.source, found.summary), ("metadata", "A tool of Acme's")
        )
        self.assertEqual([one.name for one in found.dependencies], ["beta"])
        rendered = self.web.wait(self.described.description(ACME, "1.0"))
        self.assertIn("Acme</h3>", rendered.html)

    def test_read_once(self) -> None:
        self.have()
        first = self.metadata()
        self.domain.store.calls.clear()
        self.assertEqual(self.metadata(), first)
        reads = [k for _, k in self.domain.store.calls if k.endswith(".metadata")]
        self.assertEqual(reads, [])

    def test_by_a_source_archive(self) -> None:
        told = core(more="Requires-Dist: beta\n")
        self.web.publish(SOURCE, tar_of([(member("acme-1.0/PKG-INFO"), told)]))
        found = self.metadata()
        self.assertEqual((found.source, found.requires_python), ("archive", ">=3.8"))
        self.assertEqual([one.name for one in found.dependencies], ["beta"])
        rendered = self.web.wait(self.described.description(ACME, "1.0"))
        self.assertIn("Acme</h3>", rendered.html)
        self.domain.store.calls.clear()
        self.assertEqual(self.metadata(), found)
        self.assertNotIn("open", [call for call, _ in self.domain.store.calls])

    def test_a_source_archive_that_tells_nothing_is_read_once(self) -> None:
        self.domain.publisher.rules = UploadRules(legacy_formats=True)
        self.web.publish(SOURCE, bare_sdist())
        for _ in range(2):
            self.assertEqual(self.metadata().source, "manifest")
        opened = [call for call, _ in self.domain.store.calls if call == "open"]
        self.assertEqual(len(opened), 1)

    def test_many_who_read_a_source_archive(self) -> None:
        """They wait together; nobody's page fails because too many files are read."""
        self.web.publish(SOURCE, sdist())
        waiting: list[Deferred[None]] = []

        def wait(operation: str, key: str) -> Deferred[None] | None:
            if operation != "open":
                return None
            waiting.append(Deferred())
            return waiting[-1]

        self.domain.store.before = wait
        asked = [started(self.described.metadata(ACME, "1.0")) for _ in range(50)]
        (one,) = waiting
        one.callback(None)
        found = [self.successResultOf(each) for each in asked]
        self.assertEqual({told and told.source for told in found}, {"archive"})

    def test_a_source_archive_when_helpers_are_busy(self) -> None:
        self.web.publish(SOURCE, sdist())
        offload = Failing(errors=[Unavailable("The server is busy.")])
        described: Any = self.described
        described._contents.offload = offload
        self.assertEqual(self.metadata().source, "manifest")
        self.assertEqual(self.metadata().source, "archive")

    def test_a_source_archive_while_the_store_is_away(self) -> None:
        self.web.publish(SOURCE, sdist())
        self.domain.store.fail_next("open", StoreError("It is away."))
        with self.assertRaises(StoreError):
            self.metadata()

    def test_by_the_manifest(self) -> None:
        """Of what is no tar, and of a large one, nothing is fetched for a page."""
        self.web.publish(SOURCE, sdist())
        state = self.web.wait(self.domain.catalog.project(ACME)).project
        (own,) = state.files
        for change in {"size": 2**30}, {"filename": "acme-1.0.exe"}:
            self.domain.store.calls.clear()
            described: Any = self.described
            project = evolve(state, files=(evolve(own, **change),))
            found = self.web.wait(described._of_ours(project, "1.0"))
            self.assertEqual((found.source, found.summary), ("manifest", SUMMARY))
            self.assertEqual(self.domain.store.calls, [])
        rendered = self.web.wait(self.described.rendered(found))
        self.assertEqual((rendered.how, rendered.html), ("none", ""))

    def test_core_metadata_that_is_lost(self) -> None:
        self.have()
        (key,) = (k for k in self.domain.store.objects if k.endswith(".metadata"))
        del self.domain.store.objects[key]
        self.assertEqual(self.metadata().source, "manifest")

    def test_core_metadata_that_exceeds_a_bound(self) -> None:
        """It was stored before the bound was known."""
        self.have()
        (key,) = (k for k in self.domain.store.objects if k.endswith(".metadata"))
        self.domain.store.add(key, b"A:\n" * 20_000)
        self.assertEqual(self.metadata().source, "manifest")

    def test_the_store_is_away(self) -> None:
        self.have()
        self.domain.store.fail_next("get", StoreError("It is away."))
        self.domain.store.fail_next("get", StoreError("It is away."))
        with self.assertRaises(StoreError):
            self.metadata()

    def test_large_metadata_is_read_in_a_helper(self) -> None:
        self.have(body="word " * 20_000)
        self.domain.offload.processed.clear()
        self.metadata()
        self.assertEqual(self.domain.offload.processed, ["read_metadata"])

    def test_what_is_not_there(self) -> None:
        self.have()
        for version in ("2.0", "none", "\0", "1" * 9_999):
            with self.assertRaises(NotFound):
                self.metadata(version)
        with self.assertRaises(NotFound):
            self.web.wait(self.described.metadata(project_name("beta"), "1.0"))
        with self.assertRaises(NotFound):
            self.web.wait(self.described.contents(project_name("beta"), OURS))
        with self.assertRaises(NotFound):
            self.web.wait(self.described.contents(ACME, "acme-2.0.tar.gz"))

    def test_quarantined(self) -> None:
        self.have()
        acts = self.domain.index.acts
        self.web.wait(acts.set_status(ACME, "quarantined", "bad", actor=SERVER))
        for look in (
            self.described.metadata(ACME, "1.0"),
            self.described.contents(ACME, OURS),
            self.described.member(ACME, OURS, "acme-1.0.dist-info/METADATA"),
        ):
            with self.assertRaises(Forbidden):
                self.web.wait(look)

    def test_compare(self) -> None:
        self.have("1.0", "Requires-Dist: beta>=1\n")
        self.have("2.0", "Requires-Dist: beta>=2\nRequires-Dist: gamma\n")
        changes = self.web.wait(self.described.compare(ACME, "1.0", "2.0"))
        self.assertEqual([one.name for one in changes.added], ["gamma"])
        (one,) = changes.changed
        self.assertEqual((one.old.specifier, one.new.specifier), (">=1", ">=2"))

    def test_compare_in_a_helper(self) -> None:
        many = "".join(f"Requires-Dist: d{n}\n" for n in range(600))
        self.have("1.0")
        self.have("2.0", many)
        changes = self.web.wait(self.described.compare(ACME, "1.0", "2.0"))
        self.assertEqual(len(changes.added), 600)
        self.assertIn("compare_apart", self.domain.offload.processed)

    def test_compare_what_is_not_known(self) -> None:
        self.have("1.0")
        self.web.publish("acme-2.0.tar.gz", sdist(version="2.0"))
        with self.assertRaises(NotFound) as raised:
            self.web.wait(self.described.compare(ACME, "1.0", "2.0"))
        self.assertIn("acme 2.0 needs is not known", str(raised.exception))

    def test_contents(self) -> None:
        self.web.publish(OURS, wheel(extra=[("acme/x.py", b"x = 1\n")]))
        self.web.publish(SOURCE, sdist())
        found = self.web.wait(self.described.contents(ACME, OURS))
        self.assertIn("acme/x.py", [one.path for one in found.members])
        text = self.web.wait(self.described.member(ACME, OURS, "acme/x.py"))
        self.assertEqual(text.text, "x = 1\n")
        found = self.web.wait(self.described.contents(ACME, SOURCE))
        self.assertEqual([one.path for one in found.members], ["acme-1.0/PKG-INFO"])
        text = self.web.wait(self.described.member(ACME, SOURCE, "acme-1.0/PKG-INFO"))
        self.assertIn("Name: acme", text.text)

    def test_contents_of_a_file_that_is_lost(self) -> None:
        self.have()
        for key in [key for key in self.domain.store.objects if key.endswith(".whl")]:
            del self.domain.store.objects[key]
        with self.assertRaises(StoreError) as raised:
            self.web.wait(self.described.contents(ACME, OURS))
        self.assertIn("lost this file", str(raised.exception))


def theirs(filename: str = "acme-9.0-py3-none-any.whl", **more: Any) -> Any:
    return file(filename, filename.encode(), **more)


class UpstreamTests(SynchronousTestCase):
    def front(self, *files: Any, mode: str = "cache", **more: Any) -> Front:
        front = Front(mode, **more)
        files = files or (theirs() | {"core-metadata": True},)
        front.upstream.on(f"{BASE}acme/", page(project("acme", *files), headers=FRESH))
        for one in files:
            front.upstream.on(one["url"], ranged(one["filename"].encode()))
            front.upstream.on(f"{one['url']}.metadata", ranged(core("9.0")))
        return front

    def described(self, front: Front) -> Described:
        asked, files = front.fallback.asked, front.fallback.files
        return StoredDescribed.of(front.domain.index, asked, files)

    def metadata(self, front: Front, version: str = "9.0") -> ReleaseMetadata | None:
        return front.web.wait(self.described(front).metadata(ACME, version))

    def tell(self, front: Front, version: str = "9.0", **info: Any) -> None:
        """Have the upstream's JSON tell of a release."""
        base = BASE.removesuffix("simple/")
        document = {
            "info": {"version": version, **info},
            "urls": [theirs(url=f"{BASE}x", upload_time_iso_8601="2024-01-01T00:00:00Z",
                            digests={})],
        }  # fmt: skip
        body = json.dumps(document).encode()
        front.upstream.on(f"{base}pypi/acme/{version}/json", page(body))

    def test_by_core_metadata(self) -> None:
        for mode in ("relay", "cache"):
            found = self.metadata(self.front(mode=mode))
            assert found is not None
            self.assertEqual((found.source, found.version), ("metadata", "9.0"))
            self.assertEqual(found.description, "# Acme\n")

    def test_fetched_once(self) -> None:
        digest = {"sha256": sha256(core("9.0")).hexdigest()}
        front = self.front(theirs() | {"core-metadata": digest}, mode="relay")
        described = self.described(front)
        for _ in range(2):
            found = front.web.wait(described.metadata(ACME, "9.0"))
            assert found is not None
        asked = [url for url in front.asked() if url.endswith(".metadata")]
        self.assertEqual(len(asked), 1)

    def test_by_json(self) -> None:
        """Of what has no core metadata, and where pages lead to the other index."""
        source = theirs("acme-9.0.tar.gz")
        for front in self.front(source), self.front(mode="proxy"):
            self.tell(front, summary="Theirs", requires_dist=["beta"])
            found = self.metadata(front)
            assert found is not None
            self.assertEqual((found.source, found.summary), ("upstream", "Theirs"))
            self.assertEqual([one.name for one in found.dependencies], ["beta"])

    def test_nothing_is_known(self) -> None:
        front = self.front(theirs("acme-9.0.tar.gz"))
        self.assertIsNone(self.metadata(front))
        described = self.described(front)
        rendered = front.web.wait(described.description(ACME, "9.0"))
        self.assertEqual(rendered.how, "none")
        with self.assertRaises(NotFound):
            front.web.wait(described.compare(ACME, "9.0", "9.0"))

    def test_no_such_release_or_project(self) -> None:
        front = self.front()
        with self.assertRaises(NotFound):
            self.metadata(front, "8.0")
        front.upstream.on(f"{BASE}acme/", page(b"", status=404))
        with self.assertRaises(NotFound):
            self.metadata(self.gone())

    def gone(self) -> Front:
        front = Front("cache")
        front.upstream.on(f"{BASE}acme/", page(b"", status=404))
        return front

    def test_it_fails(self) -> None:
        front = Front("cache")
        front.upstream.on(f"{BASE}acme/", status(500))
        with self.assertRaises(UpstreamError):
            self.metadata(front)

    def test_rules(self) -> None:
        rules = UpstreamRules(deny=(RuleEntry.parse("acme==9.0"),))
        front = self.front(rules=rules)
        with self.assertRaises(RefusedByRule):
            self.metadata(front)
        self.assertEqual([u for u in front.asked() if u.endswith(".metadata")], [])

    def test_redirects(self) -> None:
        front = self.front(mode="redirect")
        with self.assertRaises(NotFound):
            self.metadata(front)
        self.assertEqual(front.asked(), [])

    def test_ours_is_never_asked_for(self) -> None:
        front = self.front()
        front.web.publish(OURS, wheel())
        with self.assertRaises(NotFound):
            self.metadata(front)
        with self.assertRaises(NotFound):
            front.web.wait(self.described(front).contents(ACME, "acme-9.0.tar.gz"))
        self.assertEqual(front.asked(), [])

    def test_what_lies_here_unread_is_ours(self) -> None:
        front = self.front()
        front.domain.store.add("acme/what-is-this", b"x")
        with self.assertRaises(Unavailable):
            self.metadata(front)
        self.assertEqual(front.asked(), [])

    def test_merged(self) -> None:
        front = self.front(merge=frozenset({"acme"}))
        front.web.publish(OURS, wheel())
        for version in ("1.0", "9.0"):
            found = self.metadata(front, version)
            assert found is not None
            self.assertEqual(found.version, version)

    def test_contents_of_what_is_kept(self) -> None:
        data = wheel(version="9.0", extra=[("acme/x.py", b"x")])
        one = file("acme-9.0-py3-none-any.whl", data)
        front = self.front(one)
        front.upstream.on(one["url"], ranged(data))
        described = self.described(front)
        with self.assertRaises(NotFound) as raised:
            front.web.wait(described.contents(ACME, one["filename"]))
        self.assertIn("not kept here", str(raised.exception))
        (link,) = (found["url"] for found in front.document()["files"])
        self.assertEqual(front.get(f"/{link.removeprefix('../../')}").status, 200)
        front.domain.clock.advance(120)
        found = front.web.wait(described.contents(ACME, one["filename"]))
        self.assertIn("acme/x.py", [one.path for one in found.members])
        text = front.web.wait(described.member(ACME, one["filename"], "acme/x.py"))
        self.assertEqual(text.text, "x")

    def test_contents_where_nothing_is_kept(self) -> None:
        for mode in ("proxy", "relay"):
            front = self.front(mode=mode)
            with self.assertRaises(NotFound) as raised:
                front.web.wait(self.described(front).contents(ACME, OURS))
            self.assertIn("not kept here", str(raised.exception))


class BareTests(SynchronousTestCase):
    def test_a_source_archive_without_anything(self) -> None:
        """Nothing of it is known but its files."""
        web = Web()
        web.domain.publisher.rules = UploadRules(legacy_formats=True)
        web.publish(SOURCE, bare_sdist())
        described = StoredDescribed.of(web.domain.index)
        found = web.wait(described.metadata(ACME, "1.0"))
        self.assertEqual(found, ReleaseMetadata("acme", "1.0", source="manifest"))

    def test_a_file_that_is_no_archive(self) -> None:
        web = Web()
        web.publish(OURS, wheel())
        (key,) = (key for key in web.domain.store.objects if key.endswith(".whl"))
        web.domain.store.add(key, b"x" * len(wheel()))
        described = StoredDescribed.of(web.domain.index)
        with self.assertRaises(BadRequest):
            web.wait(described.contents(ACME, OURS))
