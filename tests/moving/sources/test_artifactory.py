"""Artifactory: its simple pages, with what its storage tells of each file."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from pypicloud_tw.moving.sources.artifactory import ArtifactoryKind
from tests.moving.sources.doubles import ALICE, SourceTestCase
from tests.upstream.doubles import page, status

ROOT = "https://art.example/artifactory/"
REPO = f"{ROOT}api/pypi/pypi-local/"
WHEEL = "acme-1.0-py3-none-any.whl"
DIGEST = sha256(b"wheel").hexdigest()
FILE = f"{REPO}packages/acme/1.0/{WHEEL}"
INFO = f"{ROOT}api/storage/pypi-local/acme/1.0/{WHEEL}"
LIST = b"""<!DOCTYPE html>
<html><head><title>Simple Index</title><meta name="api-version" value="2" /></head>
<body>
<a href="acme/">acme</a><br />
</body></html>"""


def simple_page(link: str = f"../../packages/acme/1.0/{WHEEL}") -> bytes:
    return f"""<!DOCTYPE html>
<html><head><title>Links for acme</title></head><body><h1>Links for acme</h1>
<a href="{link}#sha256={DIGEST}" data-requires-python="&gt;=3.8" rel="internal">\
{WHEEL}</a><br />
</body></html>""".encode()


def info(**more: Any) -> dict[str, Any]:
    return {
        "repo": "pypi-local",
        "path": f"/acme/1.0/{WHEEL}",
        "created": "2024-05-01T10:00:00.500+02:00",
        "createdBy": "bob",
        "lastModified": "2024-06-01T10:00:00.000Z",
        "modifiedBy": "carol",
        "downloadUri": f"{ROOT}pypi-local/acme/1.0/{WHEEL}",
        "mimeType": "application/zip",
        "size": "5",
        "checksums": {"sha1": "3a3d", "md5": "ddc9", "sha256": DIGEST},
        "originalChecksums": {"sha256": DIGEST},
        "uri": INFO,
        **more,
    }


class ArtifactoryTests(SourceTestCase):
    kind = ArtifactoryKind()
    place = f"{REPO}simple"

    def setUp(self) -> None:
        super().setUp()
        self.workshop.login = ALICE
        self.web.on(f"{REPO}simple/", page(LIST, "text/html"))
        self.web.on(f"{REPO}simple/acme/", page(simple_page(), "text/html"))
        self.on_json(INFO, info())
        self.web.on(FILE, page(b"wheel", "x/y"))

    def test_detected(self) -> None:
        for place in (self.place, REPO, REPO.rstrip("/")):
            self.assertEqual(self.found(place), "ArtifactorySource", place)
        self.assertEqual(self.web.asked, [])

    def test_names(self) -> None:
        self.assertEqual(self.names(), ["acme"])

    def test_file(self) -> None:
        file = self.files()[WHEEL]
        self.assertEqual((file.digests, file.size), ({"sha256": DIGEST}, 5))
        self.assertEqual(
            file.uploaded, datetime(2024, 5, 1, 8, 0, 0, 500000, tzinfo=UTC)
        )
        self.assertEqual(file.uploader, "bob")
        self.assertEqual(self.bytes_of(self.source(), file), b"wheel")
        self.assertEqual(self.asked(INFO), ALICE.authorization)

    def test_remote(self) -> None:
        """What is kept of another index lies below packages/."""
        there = f"packages/62/35/{WHEEL}"
        link = f"../../packages/{there}"
        self.web.on(f"{REPO}simple/acme/", page(simple_page(link), "text/html"))
        self.on_json(f"{ROOT}api/storage/pypi-local/{there}", info())
        self.assertEqual(self.files()[WHEEL].uploader, "bob")

    def test_not_kept(self) -> None:
        """A remote repository's file that nobody fetched yet."""
        self.web.on(INFO, status(404))
        file = self.files()[WHEEL]
        self.assertEqual((file.uploaded, file.uploader), (None, None))

    def test_linked_elsewhere(self) -> None:
        link = f"https://files.example/{WHEEL}"
        self.web.on(f"{REPO}simple/acme/", page(simple_page(link), "text/html"))
        self.assertIsNone(self.files()[WHEEL].uploaded)

    def test_other_bytes(self) -> None:
        """What is told of them is not told of the file."""
        self.on_json(INFO, info(checksums={"sha256": "b" * 64}))
        self.assertIsNone(self.files()[WHEEL].uploader)

    def test_no_digest_on_the_page(self) -> None:
        plain = simple_page().replace(f"#sha256={DIGEST}".encode(), b"")
        self.web.on(f"{REPO}simple/acme/", page(plain, "text/html"))
        file = self.files()[WHEEL]
        self.assertEqual((file.digests, file.uploader), ({"sha256": DIGEST}, "bob"))

    def test_no_such_repository(self) -> None:
        self.web.on(f"{REPO}simple/", status(404))
        said = self.refused(self.source().names())
        self.assertIn("is called pypi-local", said)

    def test_may_not_ask(self) -> None:
        for code in (401, 403):
            self.web.on(INFO, status(code))
            said = self.refused(self.source().project("acme"))
            self.assertIn(f"status {code}", said)
            self.assertIn("--kind simple", said)

    def test_hostile(self) -> None:
        hostile: tuple[object, ...] = (
            [],
            {"children": []},
            info(created="yesterday"),
            info(createdBy="a\nb"),
            info(size=5),
            info(checksums=[]),
        )
        for document in hostile:
            self.on_json(INFO, document)
            said = self.refused(self.source().project("acme"))
            self.assertIn("does not answer as Artifactory does", said)

    def test_no_address(self) -> None:
        making = self.kind.make("https://art.example/ui/", self.workshop.tools)
        self.assertIn("artifactory/api/pypi/REPOSITORY", self.refused(making))
