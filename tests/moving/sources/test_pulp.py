"""Pulp: its simple pages, and its API for what older ones do not tell."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

from pypicloud_tw.moving.sources.pulp import PulpKind
from tests.moving.sources.doubles import SourceTestCase
from tests.upstream.doubles import page, project, status

ROOT = "https://pulp.example/"
API = f"{ROOT}pulp/api/v3/"
SIMPLE = f"{ROOT}pypi/tools/simple/"
WHEEL = "acme-1.0-py3-none-any.whl"
DIGEST = sha256(b"wheel").hexdigest()
REPOSITORY = "/pulp/api/v3/repositories/python/python/0189-ab/"
VERSION = f"{REPOSITORY}versions/3/"
DISTRIBUTIONS = f"{API}distributions/python/pypi/?base_path=tools"
CAME = datetime(2024, 5, 1, 8, 0, 0, 500000, tzinfo=UTC)

STATUS = {
    "versions": [{"component": "core", "version": "3.49.0", "package": "pulpcore"}]
}
PYTHON = {"component": "python", "version": "3.36.4", "package": "pulp_python"}


def packages(page: int = 1) -> str:
    query = {
        "repository_version": VERSION,
        "fields": "filename,sha256,pulp_created",
        "ordering": "pk",
        "limit": 1000,
        "offset": (page - 1) * 1000,
    }
    return f"{API}content/python/packages/?{urlencode(query)}"


def package(name: str = WHEEL, **more: Any) -> dict[str, Any]:
    created = "2024-05-01T08:00:00.500000Z"
    return {"filename": name, "sha256": DIGEST, "pulp_created": created, **more}


def listing(*results: object) -> dict[str, Any]:
    return {"count": 1, "next": None, "previous": None, "results": list(results)}


def distribution(**more: Any) -> dict[str, Any]:
    return {
        "pulp_href": "/pulp/api/v3/distributions/python/pypi/0189-cd/",
        "base_path": "tools",
        "base_url": SIMPLE,
        "name": "tools",
        "repository": REPOSITORY,
        "publication": None,
        "remote": None,
        **more,
    }


class PulpTests(SourceTestCase):
    kind = PulpKind()
    place = SIMPLE

    def setUp(self) -> None:
        super().setUp()
        self.on_json(
            f"{API}status/", {**STATUS, "versions": [*STATUS["versions"], PYTHON]}
        )
        link = f"{ROOT}pulp/content/tools/{WHEEL}"
        html = f'<html><body><a href="{link}#sha256={DIGEST}">{WHEEL}</a></body></html>'
        self.web.on(f"{SIMPLE}acme/", page(html.encode(), "text/html"))
        self.on_json(DISTRIBUTIONS, listing(distribution()))
        self.on_json(
            f"{ROOT}{REPOSITORY[1:]}", {"latest_version_href": VERSION, "name": "tools"}
        )
        self.on_json(packages(), listing(package()))

    def test_detected(self) -> None:
        for place in (SIMPLE, f"{ROOT}pypi/tools/", f"{ROOT}pulp/content/tools"):
            self.assertEqual(self.found(place), "PulpSource", place)

    def test_another_server(self) -> None:
        for answer in (status(404), page(b"{}", "application/json")):
            self.web.on(f"{API}status/", answer)
            recognising = self.kind.recognise(SIMPLE, self.workshop.tools)
            self.assertFalse(self.wait(recognising))

    def test_pulp_without_python(self) -> None:
        self.on_json(f"{API}status/", STATUS)
        recognising = self.kind.recognise(SIMPLE, self.workshop.tools)
        self.assertFalse(self.wait(recognising))

    def test_newer(self) -> None:
        """Its page tells everything, and nothing else is asked."""
        file = {
            "filename": WHEEL,
            "url": f"{ROOT}pulp/content/tools/{WHEEL}",
            "hashes": {"sha256": DIGEST},
            "size": 5,
            "upload-time": "2024-05-01T08:00:00.500000Z",
            "yanked": "broken",
        }
        self.web.on(f"{SIMPLE}acme/", page(project("acme", file)))
        (told,) = self.project().files
        self.assertEqual((told.uploaded, told.yanked), (CAME, "broken"))
        self.assertEqual(self.web.urls(), [f"{SIMPLE}acme/"])

    def test_older(self) -> None:
        (file,) = self.project().files
        self.assertEqual(file.uploaded, CAME)

    def test_asked_once(self) -> None:
        source = self.source()
        self.wait(source.project("acme"))
        self.wait(source.project("acme"))
        self.assertEqual(self.web.urls().count(packages()), 1)

    def test_other_bytes(self) -> None:
        self.on_json(packages(), listing(package(sha256="b" * 64)))
        self.assertIsNone(self.files()[WHEEL].uploaded)

    def test_publication(self) -> None:
        href = "/pulp/api/v3/publications/python/pypi/0189-ef/"
        served = distribution(repository=None, publication=href)
        self.on_json(DISTRIBUTIONS, listing(served))
        self.on_json(f"{ROOT}{href[1:]}", {"repository_version": VERSION})
        self.assertEqual(self.files()[WHEEL].uploaded, CAME)

    def test_version(self) -> None:
        served = distribution(repository=None, repository_version=VERSION)
        self.on_json(DISTRIBUTIONS, listing(served))
        self.assertEqual(self.files()[WHEEL].uploaded, CAME)

    def test_many_packages(self) -> None:
        full = [package(f"p{number}-1.tar.gz") for number in range(1000)]
        self.on_json(packages(), listing(*full))
        self.on_json(packages(2), listing(package()))
        self.assertEqual(self.files()[WHEEL].uploaded, CAME)

    def test_may_not_ask(self) -> None:
        self.web.on(DISTRIBUTIONS, status(403))
        said = self.refused(self.source().project("acme"))
        self.assertIn("--kind simple", said)

    def test_path_elsewhere(self) -> None:
        for href in ("//evil.example/x", "https://evil.example/", "/a/../b", "/a b"):
            self.on_json(DISTRIBUTIONS, listing(distribution(repository=href)))
            said = self.refused(self.source().project("acme"))
            self.assertIn("none of its API", said)
        self.assertFalse([url for url in self.web.urls() if "evil" in url])

    def test_hostile(self) -> None:
        hostile: tuple[object, ...] = (
            [],
            {"results": 7},
            listing(package(pulp_created="yesterday")),
            listing(package(sha256=None)),
        )
        for document in hostile:
            self.on_json(packages(), document)
            said = self.refused(self.source().project("acme"))
            self.assertIn("does not answer as Pulp does", said)

    def test_serves_nothing(self) -> None:
        self.on_json(DISTRIBUTIONS, listing(distribution(repository=None)))
        said = self.refused(self.source().project("acme"))
        self.assertIn("serves no repository", said)
