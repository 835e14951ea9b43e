"""Nexus Repository 3: its list of components, page by page."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from pypicloud_tw.moving.sources.nexus import NexusKind, NexusSource
from tests.moving.sources.doubles import ALICE, MD5, SourceTestCase
from tests.upstream.doubles import page, status

ROOT = "https://nexus.example/"
LIST = f"{ROOT}service/rest/v1/components?repository=pypi-hosted"
STATUS = f"{ROOT}service/rest/v1/status"
WHEEL = "acme-1.0-py3-none-any.whl"
DIGEST = sha256(b"wheel").hexdigest()


def asset(path: str = f"/packages/acme/1.0/{WHEEL}", **more: Any) -> dict[str, Any]:
    return {
        "downloadUrl": f"http://localhost:8081/repository/pypi-hosted{path}",
        "path": path,
        "id": "cHlwaS1ob3N0ZWQ6MTM1",
        "repository": "pypi-hosted",
        "format": "pypi",
        "checksum": {"sha1": "3a3d", "sha256": DIGEST, "md5": MD5},
        "contentType": "application/zip",
        "lastModified": "2024-06-01T10:00:00.000+00:00",
        "lastDownloaded": None,
        "uploader": "bob",
        "uploaderIp": "192.0.2.7",
        "fileSize": 5,
        "blobCreated": "2024-05-01T10:00:00.123+02:00",
        **more,
    }


def component(name: str, *assets: object, form: str = "pypi") -> dict[str, Any]:
    return {
        "id": "cHlwaS1ob3N0ZWQ6OTg3",
        "repository": "pypi-hosted",
        "format": form,
        "group": None,
        "name": name,
        "version": "1.0",
        "assets": list(assets),
    }


def listing(*components: object, token: str | None = None) -> dict[str, Any]:
    return {"items": list(components), "continuationToken": token}


class NexusTests(SourceTestCase):
    kind = NexusKind()
    place = f"{ROOT}repository/pypi-hosted/simple"

    def setUp(self) -> None:
        super().setUp()
        self.web.on(STATUS, page(b"", "application/json"))
        self.on_json(LIST, listing(component("acme", asset()), token="two"))
        second = component("Big_Tool", asset("/packages/big-tool/2/big_tool-2.tar.gz"))
        self.on_json(f"{LIST}&continuationToken=two", listing(second))

    def test_detected(self) -> None:
        for place in (self.place, f"{ROOT}repository/pypi-hosted/"):
            self.assertEqual(self.found(place), "NexusSource", place)

    def test_another_server(self) -> None:
        """Not everybody who has a repository/ is Nexus."""
        self.web.on(STATUS, status(404))
        recognising = self.kind.recognise(self.place, self.workshop.tools)
        self.assertFalse(self.wait(recognising))

    def test_names(self) -> None:
        self.assertEqual(self.names(), ["acme", "big-tool"])

    def test_file(self) -> None:
        file = self.files()[WHEEL]
        self.assertEqual(file.digests, {"sha256": DIGEST, "md5": MD5})
        self.assertEqual(file.size, 5)
        self.assertEqual(
            file.uploaded, datetime(2024, 5, 1, 8, 0, 0, 123000, tzinfo=UTC)
        )
        self.assertEqual(file.uploader, "bob")

    def test_location(self) -> None:
        """It is where the list was asked for, whatever Nexus was told of itself."""
        self.workshop.login = ALICE
        file = self.files()[WHEEL]
        url = f"{ROOT}repository/pypi-hosted/packages/acme/1.0/{WHEEL}"
        self.web.on(url, page(b"wheel", "x/y"))
        self.assertEqual(self.bytes_of(self.source(), file), b"wheel")
        self.assertEqual(self.asked(url), ALICE.authorization)

    def test_older(self) -> None:
        """Paths without a slash at the beginning, and one time."""
        told = asset(f"packages/acme/1.0/{WHEEL}")
        for name in ("blobCreated", "uploader", "fileSize"):
            del told[name]
        self.on_json(LIST, listing(component("acme", told)))
        file = self.files()[WHEEL]
        self.assertEqual(file.uploaded, datetime(2024, 6, 1, 10, tzinfo=UTC))
        self.assertEqual((file.size, file.uploader), (None, None))

    def test_signature(self) -> None:
        signed = asset(f"/packages/acme/1.0/{WHEEL}.asc")
        self.on_json(LIST, listing(component("acme", asset(), signed)))
        files = self.files()
        self.assertEqual(set(files), {WHEEL})
        location = files[WHEEL].location
        self.assertEqual(files[WHEEL].signature, f"{location}.asc")

    def test_listed_once(self) -> None:
        source = self.source()
        self.wait(source.names())
        self.wait(source.project("acme"))
        self.assertEqual(self.web.urls().count(LIST), 1)

    def test_no_such_project(self) -> None:
        said = self.refused(self.source().project("none"))
        self.assertIn("no file of none", said)

    def test_no_such_repository(self) -> None:
        self.web.on(LIST, status(404))
        said = self.refused(self.source().names())
        self.assertIn("has no repository pypi-hosted", said)

    def test_may_not_list(self) -> None:
        self.web.on(LIST, status(403))
        said = self.refused(self.source().names())
        self.assertIn("nx-repository-view-pypi-pypi-hosted-browse", said)
        self.assertIn("--kind simple", said)

    def test_another_format(self) -> None:
        self.on_json(LIST, listing(component("guava", asset(), form="maven2")))
        self.assertIn("'maven2'", self.refused(self.source().names()))

    def test_endless(self) -> None:
        """A token that comes again leads round in a circle."""
        self.on_json(f"{LIST}&continuationToken=two", listing(token="two"))
        said = self.refused(self.source().names())
        self.assertIn("does not come to an end", said)

    def test_endless_with_other_tokens(self) -> None:
        for number in range(10):
            after = f"&continuationToken={number}" if number else ""
            self.on_json(f"{LIST}{after}", listing(token=f"{number + 1}"))
        source = NexusSource(self.workshop.http(ROOT), ROOT, "pypi-hosted", pages=3)
        self.assertIn("does not come to an end", self.refused(source.names()))
        self.assertEqual(len(self.web.asked), 4)

    def test_elsewhere(self) -> None:
        for path in ("/packages/../../service/x.whl", "..", "a//b.whl", ""):
            self.on_json(LIST, listing(component("acme", asset(path))))
            said = self.refused(self.source().names())
            self.assertIn("leads elsewhere", said, path)

    def test_hostile(self) -> None:
        hostile: tuple[object, ...] = (
            [],
            {"items": 7},
            {"items": [{"name": "acme"}]},
            listing(component("acme", {**asset(), "path": 7})),
            listing(component("acme", asset(checksum={"sha256": 7}))),
            listing(component("acme", asset(uploader="a\nb"))),
            listing(component("acme", asset(blobCreated="yesterday"))),
            {**listing(), "continuationToken": 7},
        )
        for document in hostile:
            self.on_json(LIST, document)
            said = self.refused(self.source().names())
            self.assertIn("does not answer as Nexus Repository 3 does", said)

    def test_no_address(self) -> None:
        making = self.kind.make(ROOT, self.workshop.tools)
        self.assertIn("https://HOST/repository/NAME/", self.refused(making))
