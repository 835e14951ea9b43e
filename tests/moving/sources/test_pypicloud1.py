"""pypicloud 1.x: answers as 1.3.12 gave them, to its own log-ins and to others'."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256

from pypicloud_tw.moving.sources.pypicloud1 import FormerKind
from tests.moving.sources.doubles import ALICE, MD5, SourceTestCase
from tests.upstream.doubles import page, project, status

BASE = "https://old.example/pypi-cloud/"
LISTED = f"{BASE}api/package/"
ACME = f"{BASE}api/package/acme/"
WHEEL = "acme-1.0-py3-none-any.whl"
DIGEST = sha256(b"wheel").hexdigest()
PAGE = b"<!DOCTYPE html>\n<html><body><a href='acme/'>acme</a><br></body></html>"

PACKAGE = {
    "name": "acme",
    "filename": WHEEL,
    "last_modified": 1714550400,
    "version": "1.0",
    "url": f"{BASE}api/package/acme/{WHEEL}#sha256={DIGEST}",
    "summary": "A tool",
    "metadata": {
        "requires_python": ">=3.8",
        "hash_sha256": DIGEST,
        "hash_md5": MD5,
        "uploader": "bob",
        "summary": "A tool",
    },
}


class FormerTests(SourceTestCase):
    kind = FormerKind()
    place = f"{BASE}simple/"

    def setUp(self) -> None:
        super().setUp()
        self.on_json(LISTED, {"packages": ["acme", "big-tool"]})
        self.on_json(ACME, {"packages": [PACKAGE], "write": False})
        self.web.on(f"{BASE}simple/", page(PAGE, "text/html; charset=UTF-8"))
        self.web.on(f"{BASE}api/package/acme/{WHEEL}", page(b"wheel", "x/y"))

    def test_detected(self) -> None:
        for place in (BASE, BASE.rstrip("/"), f"{BASE}simple", f"{BASE}pypi/"):
            self.assertEqual(self.found(place), "FormerSource", place)

    def test_this_program_is_none(self) -> None:
        """It has the same API, and tells more by another."""
        self.web.on(f"{BASE}simple/", page(project("x")))
        self.assertFalse(self.wait(self.kind.recognise(BASE, self.workshop.tools)))

    def test_without_simple_pages(self) -> None:
        self.web.on(f"{BASE}simple/", status(404))
        self.assertFalse(self.wait(self.kind.recognise(BASE, self.workshop.tools)))

    def test_others_are_none(self) -> None:
        answers = (
            status(404),
            status(403),
            status(401),
            status(406),
            status(500),
            page(b"<html>", "text/html"),
            page(b"[]", "application/json"),
        )
        self.workshop.login = ALICE
        for answer in answers:
            self.web.on(LISTED, answer)
            self.assertFalse(self.wait(self.kind.recognise(BASE, self.workshop.tools)))
        self.assertEqual(len(self.web.asked), len(answers), "Each was asked once.")

    def test_names(self) -> None:
        self.assertEqual(self.names(), ["acme", "big-tool"])

    def test_file(self) -> None:
        (file,) = self.project().files
        self.assertEqual(file.filename, WHEEL)
        self.assertEqual(file.digests["sha256"], DIGEST)
        self.assertEqual(file.uploaded, datetime(2024, 5, 1, 8, tzinfo=UTC))
        self.assertEqual(file.uploader, "bob")
        self.assertIsNone(file.yanked)
        self.assertEqual(self.bytes_of(self.source(), file), b"wheel")

    def test_name_as_it_is_spelled(self) -> None:
        self.on_json(f"{LISTED}big-tool/", {"packages": [PACKAGE]})
        self.assertEqual(len(self.project("Big_Tool").files), 1)

    def test_little_is_told(self) -> None:
        """1.0 and earlier kept no digests and no uploaders."""
        little = {key: PACKAGE[key] for key in ("filename", "url", "last_modified")}
        self.on_json(ACME, {"packages": [{**little, "metadata": {}}]})
        (file,) = self.project().files
        self.assertEqual((file.digests, file.uploader), ({}, None))

    def test_log_in(self) -> None:
        self.workshop.login = ALICE
        self.names()
        self.assertEqual(self.asked(LISTED), ALICE.authorization)

    def test_bucket(self) -> None:
        """Its link leads to the bucket, which is not told who logs in."""
        self.workshop.login = ALICE
        url = "https://bucket.example/acme.whl?X-Amz-Signature=abc"
        self.on_json(ACME, {"packages": [{**PACKAGE, "url": url}]})
        self.web.on(url, page(b"wheel", "x/y"))
        (file,) = self.project().files
        self.assertEqual(self.bytes_of(self.source(), file), b"wheel")
        self.assertIsNone(self.asked(url))

    def test_wrong_password(self) -> None:
        """It answers with what a stranger may read: nothing."""
        self.workshop.login = ALICE
        self.on_json(LISTED, {"packages": []})
        said = self.refused(self.source().names())
        self.assertIn("wrong password", said)

    def test_wants_a_log_in(self) -> None:
        self.workshop.login = ALICE
        self.web.on(ACME, status(401))
        said = self.refused(self.source().project("acme"))
        self.assertIn("does not take this log-in", said)

    def test_empty(self) -> None:
        self.on_json(LISTED, {"packages": []})
        self.assertEqual(self.names(), [])

    def test_no_such_project(self) -> None:
        self.on_json(f"{LISTED}none/", {"packages": [], "write": True})
        said = self.refused(self.source().project("none"))
        self.assertIn("has no file of none", said)

    def test_address_elsewhere(self) -> None:
        self.on_json(ACME, {"packages": [{**PACKAGE, "url": "file:///etc/passwd"}]})
        project = self.project()
        self.assertEqual(project.files, ())
        self.assertIn("none of a web server", project.notes[0].why)

    def test_hostile(self) -> None:
        hostile: tuple[object, ...] = (
            {"packages": [7]},
            {"packages": [{**PACKAGE, "last_modified": "now"}]},
            {"packages": [{**PACKAGE, "last_modified": 10**30}]},
            {"packages": [{**PACKAGE, "filename": "x" * 5000}]},
            {"packages": [{**PACKAGE, "metadata": {"uploader": "a\nb"}}]},
            {"files": []},
            [],
        )
        for document in hostile:
            self.on_json(ACME, document)
            said = self.refused(self.source().project("acme"))
            self.assertRegex(said, "does not answer as|a time that there is not")
