"""Uploading by the page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.store.interfaces import IUpload
from pypicloud_tw.store.memory import MemoryStore, MemoryUpload
from pypicloud_tw.web import batches
from tests.access.doubles import policy_of
from tests.builders import sdist, wheel
from tests.doubles import InlineOffload
from tests.web.doubles import (
    BOUNDARY,
    FORM_TYPE,
    Domain,
    Fields,
    Response,
    Web,
    form_bytes,
    new_clock,
    request_bytes,
    stored_project,
    stored_projects,
)
from tests.web.pages.browser import OWN_SITE, Browser
from tests.web.pages.doubles import Reader

ONE, TWO = "acme-1.0-py3-none-any.whl", "acme-2.0-py3-none-any.whl"
TAG = re.compile(r'<span class="tag[^"]*">([^<]*)</span>')
File = tuple[str, bytes]


class WatchedStore(MemoryStore):
    """Keeps the uploads that were begun."""

    begun: list[IUpload]

    async def begin(self, key: str, **given: Any) -> IUpload:
        upload = await super().begin(key, **given)
        self.begun.append(upload)
        return upload


class UploadCase(SynchronousTestCase):
    def setUp(self) -> None:
        clock = new_clock()
        store = WatchedStore(InlineOffload(), clock=clock.seconds)
        self.begun = store.begun = list[IUpload]()
        self.web = Web(Domain(clock=clock, store=store))
        self.browser = Browser(self.web)
        self.browser.log_in()

    def fields(self, *files: File) -> list[tuple[str, str | File]]:
        token = self.browser.token("/upload")
        return [("token", token), *(("content", file) for file in files)]

    def upload(self, *files: File) -> Response:
        return self.browser.send_files("/upload", self.fields(*files))

    def tags(self, answer: Response) -> Sequence[str]:
        """What came of each file, in a word."""
        return TAG.findall(answer.text)

    def nothing_left(self) -> None:
        """Each upload that was begun was brought to its end, or forgotten."""
        self.assertTrue(self.begun)
        for upload in self.begun:
            assert isinstance(upload, MemoryUpload)
            self.assertTrue(upload.spool.file.closed, upload.key)

    @property
    def names(self) -> list[str]:
        projects = stored_projects(self.web.store).values()
        return sorted(file.filename for one in projects for file in one.files)


class UploadTests(UploadCase):
    def test_the_form(self) -> None:
        answer = self.browser.get("/upload")
        self.assertEqual(answer["Cache-Control"], "no-store, private")
        page = Reader(answer.body)
        names = [one.get("name") for one in page.named("input") if "id" not in one]
        self.assertEqual(names, ["token"], "It must come first.")
        (file,) = (one for one in page.named("input") if one.get("type") == "file")
        self.assertIn("multiple", file)

    def test_one_file(self) -> None:
        answer = self.upload((ONE, wheel()))
        self.assertEqual(answer.status, 200, answer.text)
        self.assertEqual(self.tags(answer), ["published"])
        self.assertIn('href="/project/acme/1.0/"', answer.text)
        (file,) = stored_project(self.web.store).files
        self.assertEqual((file.filename, file.uploader), (ONE, "ann"))
        self.assertIsNotNone(file.metadata_key)

    def test_several_each_by_itself(self) -> None:
        answer = self.upload(
            (ONE, wheel()),
            ("acme-1.5-py3-none-any.whl", b"no archive"),
            ("notes.txt", b"hello"),
            (TWO, wheel(version="2.0")),
            ("acme-2.0.tar.gz", sdist("acme", "2.0")),
        )
        self.assertEqual(answer.status, 200)
        tags = ["published", "refused", "refused", "published", "published"]
        self.assertEqual(self.tags(answer), tags)
        self.assertEqual(self.names, [ONE, TWO, "acme-2.0.tar.gz"])
        self.nothing_left()

    def test_the_same_again(self) -> None:
        self.upload((ONE, wheel()))
        answer = self.upload((ONE, wheel()))
        self.assertEqual((answer.status, self.tags(answer)), (200, ["was here"]))
        other = wheel(extra=[("acme/x.py", b"x")])
        answer = self.upload((ONE, other))
        self.assertEqual((answer.status, self.tags(answer)), (409, ["refused"]))

    def test_the_very_same_twice_in_one_form(self) -> None:
        answer = self.upload((ONE, wheel()), (ONE, wheel()))
        self.assertEqual(self.tags(answer), ["published", "was here"])

    def test_no_file(self) -> None:
        for files in ((), (("", b""),)):
            answer = self.upload(*files)
            self.assertEqual(answer.status, 400)
            self.assertIn("Choose a file", answer.text)

    def test_what_a_file_holds_is_compared_with_its_name(self) -> None:
        answer = self.upload((TWO, wheel()))
        self.assertEqual((answer.status, self.tags(answer)), (400, ["refused"]))
        self.assertEqual(self.names, [])

    def test_too_large_and_the_next(self) -> None:
        self.web = Web(self.web.domain, max_upload=5000)
        self.browser = Browser(self.web)
        self.browser.log_in()
        large = ("acme-3.0-py3-none-any.whl", b"x" * 20_000)
        answer = self.upload(large, (ONE, wheel()))
        self.assertEqual(self.tags(answer), ["refused", "published"])
        self.assertIn("pypi.max_upload", answer.text)
        self.nothing_left()

    def test_too_many(self) -> None:
        files = [(f"{n}.txt", b"") for n in range(batches.MOST_FILES + 3)]
        answer = self.upload(*files)
        self.assertIn("3 more files were not looked at", answer.text)
        self.assertEqual(len(self.tags(answer)), batches.MOST_FILES)

    def test_markup_in_names_stays_text(self) -> None:
        answer = self.upload(("<script>x.whl", b""))
        self.assertNotIn("<script>x", answer.text)


class RefusedTests(UploadCase):
    def test_the_form_of_somebody_else(self) -> None:
        for token in ("", "x" * 88):
            form: Fields = [("token", token), ("content", (ONE, wheel()))]
            answer = self.browser.send_files("/upload", form)
            self.assertEqual(answer.status, 403)
            self.assertIn("not made for you", answer.text)
        late = self.fields((ONE, wheel()))[::-1]
        self.assertEqual(self.browser.send_files("/upload", late).status, 403)
        foreign = {"Origin": "https://evil.example"}
        fields = self.fields((ONE, wheel()))
        self.assertEqual(
            self.browser.send_files("/upload", fields, foreign).status, 403
        )
        self.assertEqual(self.names, [])

    def test_before_the_bytes_have_come(self) -> None:
        """Neither a stranger's nor a wrong form's file is read."""
        body = form_bytes([("token", "x" * 88), ("content", (ONE, b"x"))])
        begun = body.removesuffix(f"\r\n--{BOUNDARY}--\r\n".encode())
        length = {"Content-Length": "9000000"}
        cookies = "; ".join(f"{k}={v}" for k, v in self.browser.cookies.items())
        for fields, status in (({}, 303), ({"Cookie": cookies}, 403)):
            given = {**FORM_TYPE, **OWN_SITE, **length, **fields}
            connection = self.web.connect()
            connection.send(request_bytes("POST", "/upload", given, begun))
            answer = connection.response()
            assert answer is not None
            self.assertEqual(answer.status, status)
            connection.leave()

    def test_who_may_not(self) -> None:
        web = Web(policy=policy_of("package.acme.user.ann = rw\nauth.admins = boss"))
        self.web, self.browser = web, Browser(web)
        self.browser.log_in()
        other = ("other-1.0-py3-none-any.whl", wheel("other"))
        answer = self.upload(other, (ONE, wheel()))
        self.assertEqual(self.tags(answer), ["refused", "published"])
        answer = self.upload(other)
        self.assertEqual((answer.status, self.tags(answer)), (403, ["refused"]))
        self.assertEqual(self.names, [ONE])

    def test_one_whose_session_ends_meanwhile(self) -> None:
        fields = self.fields((ONE, wheel()))
        body = form_bytes(fields)
        cookies = "; ".join(f"{k}={v}" for k, v in self.browser.cookies.items())
        given = {**FORM_TYPE, **OWN_SITE, "Cookie": cookies}
        whole = request_bytes("POST", "/upload", given, body)
        connection = self.web.connect()
        connection.send(whole[:-50])
        self.browser.post("/logout", token=self.browser.token("/logout"))
        self.web.domain.clock.advance(5)
        connection.send(whole[-50:])
        answer = connection.response()
        assert answer is not None
        self.assertEqual(answer.status, 303)
        self.assertEqual(self.names, [])
        self.nothing_left()

    def test_who_goes_away(self) -> None:
        body = form_bytes(self.fields((ONE, wheel()), (TWO, wheel(version="2.0"))))
        cookies = "; ".join(f"{k}={v}" for k, v in self.browser.cookies.items())
        given = {**FORM_TYPE, **OWN_SITE, "Cookie": cookies}
        connection = self.web.connect()
        connection.send(request_bytes("POST", "/upload", given, body)[:-50])
        connection.leave()
        self.web.domain.clock.advance(5)
        # The first had come whole.
        self.assertEqual(self.names, [ONE])
        self.nothing_left()

    def test_a_form_that_breaks_off(self) -> None:
        whole = form_bytes(self.fields((ONE, wheel()), (TWO, wheel(version="2.0"))))
        answer = self.browser._ask(
            "POST", "/upload", {**FORM_TYPE, **OWN_SITE}, whole[:-60]
        )
        self.assertEqual(answer.status, 400)
        self.assertIn("not whole", answer.text)
        self.assertEqual(self.tags(answer), ["published"])

    def test_nothing_while_read_only(self) -> None:
        settings = "pypi.read_only = We move until noon."
        web = Web(policy=policy_of(settings))
        browser = Browser(web)
        browser.log_in()
        self.assertNotIn('type="file"', browser.get("/upload").text)

    def test_records_of_what_is_refused(self) -> None:
        web = Web(policy=policy_of("package.acme.user.ann = rw\nauth.admins = boss"))
        self.web, self.browser = web, Browser(web)
        acts: list[object] = []
        web.domain.publisher.audit = acts.append
        self.browser.log_in()
        self.upload(("other-1.0-py3-none-any.whl", wheel("other")))
        self.assertIn("refused", [getattr(act, "outcome", None) for act in acts])
