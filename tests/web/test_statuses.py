"""What a project's status lets be done with it over HTTP (PEP 792)."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.index.model import ProjectStatus
from tests.builders import wheel
from tests.web.doubles import ACME, Web, basic, stored_project, upload_form

WHEEL, NEXT = "acme-1.0-py3-none-any.whl", "acme-2.0-py3-none-any.whl"
JSON = {"Accept": "application/vnd.pypi.simple.v1+json"}


class StatusCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.web = Web()
        self.web.publish(WHEEL, wheel())
        #: Another server on the same store, which knows the page.
        self.other = Web(self.web.domain.beside())
        self.assertEqual(len(self.files(self.other)), 1)

    def set_status(self, status: ProjectStatus, reason: str | None = None) -> None:
        acts = self.web.domain.index.acts
        self.web.wait(acts.set_status(ACME, status, reason))
        self.web.domain.clock.advance(self.web.domain.fresh_for)

    def files(self, web: Web) -> list[str]:
        page = web.get("/simple/acme/", JSON)
        self.assertEqual(page.status, 200)
        return [file["filename"] for file in page.json["files"]]


class QuarantineTests(StatusCase):
    def addresses(self) -> list[str]:
        [file] = stored_project(self.web.store).files
        address = f"/packages/acme/{file.sha256[:16]}/{WHEEL}"
        return [
            address,
            f"{address}.metadata",
            f"/api/package/acme/{WHEEL}",
            "/pypi/acme/json",
            "/pypi/acme/1.0/json",
        ]

    def test_no_file_is_listed_or_handed_out_anywhere(self) -> None:
        addresses = self.addresses()
        for web in (self.web, self.other):
            for address in addresses:
                self.assertEqual(web.get(address).status, 200, address)
            self.assertIn(WHEEL, web.get("/packages/").text)
        self.set_status("quarantined", "malware")
        for web in (self.web, self.other):
            self.assertEqual(self.files(web), [])
            self.assertNotIn(WHEEL, web.get("/simple/acme/").text)
            self.assertNotIn(WHEEL, web.get("/packages/").text)
            for address in addresses:
                answer = web.get(address)
                self.assertEqual(answer.status, 403, address)
                self.assertIn("acme is quarantined (malware)", answer.text)
        self.set_status("active")
        for web in (self.web, self.other):
            self.assertEqual(self.files(web), [WHEEL])
            for address in addresses:
                self.assertEqual(web.get(address).status, 200, address)

    def test_the_page_says_so(self) -> None:
        self.set_status("quarantined", "malware")
        page = self.other.get("/simple/acme/", JSON)
        self.assertEqual(
            page.json["project-status"], {"status": "quarantined", "reason": "malware"}
        )

    def test_deprecated_and_archived_are_handed_out(self) -> None:
        statuses: tuple[ProjectStatus, ...] = ("deprecated", "archived")
        for status in statuses:
            self.set_status(status)
            self.assertEqual(self.files(self.other), [WHEEL])
            self.assertEqual(self.other.get(self.addresses()[0]).status, 200)


class UploadTests(StatusCase):
    def upload(self) -> tuple[int, str]:
        form = upload_form(NEXT, wheel(version="2.0"), version="2.0")
        answer = self.other.post(form)
        return answer.status, answer.text

    def test_nothing_is_kept_of_what_is_refused(self) -> None:
        """A small file may be stored by then: the server asks nobody before."""
        self.set_status("archived", "superseded by other")
        kept = set(self.web.store.objects)
        status, text = self.upload()
        self.assertEqual(status, 403)
        self.assertIn("acme is archived and takes no uploads", text)
        self.assertIn("set its status to active", text)
        self.assertEqual(set(self.web.store.objects), kept)

    def test_the_swap_decides(self) -> None:
        """It was archived while the bytes came."""
        connection = self.other.connect()
        form = upload_form(NEXT, wheel(version="2.0"), version="2.0")
        head = (
            "POST / HTTP/1.1\r\nHost: pypi.example:6543\r\n"
            "Content-Type: multipart/form-data; boundary=an-unlikely-boundary\r\n"
            f"Authorization: {basic()['Authorization']}\r\n"
            f"Content-Length: {len(form)}\r\n\r\n"
        )
        connection.send(head.encode() + form[:-200])
        self.set_status("archived")
        connection.send(form[-200:])
        for _ in range(50):
            self.web.domain.clock.advance(0.5)
        answer = connection.response("POST")
        assert answer is not None
        self.assertEqual(answer.status, 403)
        self.assertEqual(len(stored_project(self.web.store).files), 1)
        leftover = [key for key in self.web.store.objects if NEXT in key]
        self.assertEqual(leftover, [])

    def test_taken_by_a_deprecated_one(self) -> None:
        self.set_status("deprecated")
        self.assertEqual(self.upload()[0], 200)
