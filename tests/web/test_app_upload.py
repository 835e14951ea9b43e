"""Uploads as clients send them: who may, what is taken, and what is said if not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import blake2b, md5, sha256
from io import BytesIO
from random import Random
from typing import Any, ClassVar, ParamSpec, TypeVar, TypeVarTuple

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.errors import InsufficientStorage, StoreError, Unavailable
from pypicloud_tw.index.admission import UploadRules
from pypicloud_tw.index.archive import inspect_file
from pypicloud_tw.index.audit import Act
from pypicloud_tw.index.manifest import manifest_key
from pypicloud_tw.index.marker import KEY as MARKER
from pypicloud_tw.index.names import Filename, project_name
from pypicloud_tw.index.publish import LOOKED_INTO, WAITING
from pypicloud_tw.index.standing import PATIENCE
from pypicloud_tw.index.taking import look_into
from pypicloud_tw.store.spool import Spool
from pypicloud_tw.web.publishing import FORM_ALLOWANCE
from pypicloud_tw.web.upload import FORM_MEMORY
from tests.access.doubles import policy_of
from tests.builders import bare_sdist, metadata, sdist, wheel, zip_of
from tests.doubles import InlineOffload
from tests.web.doubles import (
    FORM_TYPE,
    HASH,
    Connection,
    Domain,
    Response,
    Web,
    basic,
    damage,
    data_keys,
    form_bytes,
    named,
    request_bytes,
    stored_project,
    stored_projects,
    upload_form,
)
from tests.zips import build, wheel_parts

ACME = project_name("acme")
MANIFEST = manifest_key(ACME)
WHEEL, SDIST = "acme-1.0-py3-none-any.whl", "acme-1.0.tar.gz"
OTHER_WHEEL = wheel(extra=[("acme/__init__.py", b"other = True\n")])
ADDRESSES = (
    "/",
    "/simple",
    "/simple/",
    "/legacy",
    "/legacy/",
    "/pypi",
    "/pypi/",
    "",  # as http://host without a path; clients send "/" for it
)
AWAY = "The store is away."

P = ParamSpec("P")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class UploadCase(SynchronousTestCase):
    rules = UploadRules()

    def setUp(self) -> None:
        self.web = self.make()
        self.store = self.web.store

    def make(self) -> Web:
        return Web(domain=Domain(rules=self.rules))

    def upload(self, filename: str = WHEEL, data: bytes | None = None) -> Response:
        return self.web.post(upload_form(filename, data or wheel()))

    def refused(self, response: Response, status: int, sentence: str) -> None:
        """It is refused, and the sentence is where twine, pip and people look."""
        self.assertEqual(response.status, status, response)
        self.assertIn(sentence, response.text)
        self.assertIn(sentence[:100], response.reason)

    def nothing_kept(self) -> None:
        self.assertEqual(self.store.objects, {})

    def assert_tidy(self) -> None:
        self.assertEqual(damage(self.store), [])
        self.assertEqual(data_keys(self.store), named(self.store))

    def break_store(self, operation: str, ending: str) -> None:
        def before(asked: str, key: str) -> None:
            if asked == operation and key.endswith(ending):
                raise StoreError(AWAY)

        self.store.before = before

    def heal(self) -> None:
        self.store.before = lambda operation, key: None


class TakenTests(UploadCase):
    def test_at_every_address_and_never_a_redirect(self) -> None:
        for number, address in enumerate(ADDRESSES):
            version = f"1.{number}"
            filename = f"acme-{version}-py3-none-any.whl"
            form = upload_form(filename, wheel(version=version), version=version)
            response = self.web.post(form, address or "/")
            self.assertEqual((response.status, response.body), (200, b""), address)
            page = self.web.get("/simple/acme/").text
            self.assertIn(filename, page)
        self.assert_tidy()

    def test_it_can_be_installed_at_once(self) -> None:
        self.upload()
        file = stored_project(self.store).files[0]
        address = f"/packages/acme/{file.sha256[:16]}/{WHEEL}"
        self.assertEqual(self.web.get(address).body, wheel())
        self.assertEqual(file.uploader, "ann")

    def test_as_distutils_sends_it(self) -> None:
        # MD5 alone, a line before the first boundary, fields with the value UNKNOWN.
        data = sdist()
        form = b"\r\n" + form_bytes(
            [
                ("name", "acme"),
                ("version", "1.0"),
                ("content", (SDIST, data)),
                ("filetype", "sdist"),
                ("pyversion", "source"),
                ("md5_digest", md5(data).hexdigest()),
                # That of Python 3.11 sends all 512 bits under this name.
                ("blake2_256_digest", blake2b(data).hexdigest()),
                ("metadata_version", "1.0"),
                ("license", "UNKNOWN"),
                (":action", "file_upload"),
                ("protocol_version", "1"),
            ]
        )
        self.assertEqual(self.web.post(form).status, 200)
        self.assert_tidy()

    def test_unknown_fields_and_signatures_are_ignored(self) -> None:
        data = wheel()
        form = form_bytes(
            [
                (":action", "file_upload"),
                ("name", "acme"),
                ("version", "1.0"),
                ("attestations", ""),
                ("gpg_signature", (f"{WHEEL}.asc", b"signature")),
                ("content", (WHEEL, data)),
                ("blake2_256_digest", blake2b(data, digest_size=32).hexdigest()),
                ("surprise", "\N{SNOWMAN}"),
            ]
        )
        self.assertEqual(self.web.post(form).status, 200)
        self.assert_tidy()

    def test_in_chunks_and_one_byte_a_packet(self) -> None:
        form = upload_form(WHEEL, wheel())
        chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in form) + b"0\r\n\r\n"
        fields = {**FORM_TYPE, **basic(), "Transfer-Encoding": "chunked"}
        request = request_bytes("POST", "/legacy/", fields, chunks)
        connection = self.web.connect()
        for byte in request:
            connection.send(bytes([byte]))
        response = connection.response()
        assert response is not None
        self.assertEqual(response.status, 200)
        self.assert_tidy()

    def test_a_body_that_looks_like_a_request(self) -> None:
        inner = request_bytes("POST", "/", {**FORM_TYPE, **basic()}, b"x")
        data = wheel(extra=[("acme/request", inner)])
        stored = upload_form(WHEEL, data)
        connection = self.web.connect()
        request = request_bytes("POST", "/", {**FORM_TYPE, **basic()}, stored)
        connection.send(request + request_bytes("GET", "/health"))
        statuses = [connection.response(), connection.response()]
        self.assertEqual([r.status for r in statuses if r], [200, 200])
        self.assertIsNone(connection.response())

    def test_expect_100_continue(self) -> None:
        form = upload_form(WHEEL, wheel())
        fields = {
            **FORM_TYPE,
            **basic(),
            "Expect": "100-continue",
            "Content-Length": str(len(form)),
        }
        connection = self.web.connect()
        connection.send(request_bytes("POST", "/", fields))
        told = connection.response()
        assert told is not None
        self.assertEqual(told.status, 100)
        connection.send(form)
        response = connection.response()
        assert response is not None
        self.assertEqual(response.status, 200)


class ActionTests(UploadCase):
    def act(self, *fields: tuple[str, str | tuple[str, bytes]]) -> Response:
        return self.web.post(form_bytes(fields))

    def test_what_needs_nothing_is_answered_empty(self) -> None:
        for action in ("verify", "submit", "doc_upload"):
            response = self.act((":action", action), ("name", "acme"))
            self.assertEqual((response.status, response.body), (200, b""), action)
        self.nothing_kept()

    def test_an_archive_of_documents_is_dropped(self) -> None:
        response = self.act(
            (":action", "doc_upload"),
            ("name", "acme"),
            ("content", ("acme.zip", zip_of([("index.html", b"")]))),
        )
        self.assertEqual((response.status, response.body), (200, b""))
        self.nothing_kept()

    def test_missing_or_unknown(self) -> None:
        self.refused(self.act(("name", "acme")), 400, "has no ':action'")
        self.refused(self.act((":action", "")), 400, "has no ':action'")
        self.refused(self.act((":action", "explode")), 400, "is not known here")
        data = upload_form(WHEEL, wheel()).replace(b"file_upload", b"file_download")
        self.refused(self.web.post(data), 400, "is not known here")
        self.nothing_kept()

    def test_an_urlencoded_form_works_for_what_has_no_file(self) -> None:
        headers = {**basic(), "Content-Type": "application/x-www-form-urlencoded"}
        for body, status in (
            (b"%3Aaction=verify&name=acme", 200),
            (b"name=acme", 400),
            (b"%3Aaction=file_upload&name=acme&version=1.0", 400),
        ):
            self.assertEqual(self.web.post(body, headers=headers).status, status)

    def test_remove_pkg_removes_that_release(self) -> None:
        self.upload()
        self.upload(SDIST, sdist())
        later = upload_form("acme-2.0.tar.gz", sdist(version="2.0"), version="2.0")
        self.web.post(later)
        self.web.get("/simple/acme/")
        response = self.act(
            (":action", "remove_pkg"), ("name", "ACME"), ("version", "1.0")
        )
        self.assertEqual((response.status, response.body), (200, b""))
        page = self.web.get("/simple/acme/").text
        self.assertNotIn("acme-1.0", page)
        self.assertIn("acme-2.0", page)
        self.refused(self.upload(data=OTHER_WHEEL), 409, "already existed")
        self.assertEqual(self.upload().status, 200)

    def test_remove_pkg_of_a_project_that_is_not_served(self) -> None:
        self.upload()
        del self.store.objects[MANIFEST]
        fields = (":action", "remove_pkg"), ("name", "acme"), ("version", "1.0")
        response = self.act(*fields)
        self.assertEqual(response.status, 503)
        self.assertIn("pypicloud rebuild acme", response.text)

    def test_remove_pkg_of_what_is_not_there(self) -> None:
        def remove(**fields: str) -> Response:
            return self.act((":action", "remove_pkg"), *fields.items())

        self.refused(remove(name="acme", version="1.0"), 404, "no project acme")
        self.upload()
        self.refused(remove(name="acme", version="2.0"), 404, "no such release")
        self.refused(remove(name="acme"), 400, "'name' and 'version'")
        self.refused(remove(version="1.0"), 400, "'name' and 'version'")
        for version in ("x", "1" * 5000):
            refused = remove(name="acme", version=version)
            self.refused(refused, 400, "not a valid version")
        self.refused(remove(name="-", version="1"), 400, "not a valid project name")
        self.assertEqual(len(stored_project(self.store).files), 1)


class RefusedTests(UploadCase):
    """What is wrong with it is said, and nothing is kept."""

    def test_the_form(self) -> None:
        for fields, sentence in (
            ([("name", "acme"), ("version", "1.0")], "The form has no file"),
            ([("content", "text")], "'content' is not a file"),
            ([("content", (WHEEL, wheel()))], "needs the fields 'name' and 'version'"),
            (
                [("name", "acme"), ("content", (WHEEL, wheel()))],
                "needs the fields 'name' and 'version'",
            ),
        ):
            form = form_bytes([(":action", "file_upload"), *fields])
            self.refused(self.web.post(form), 400, sentence)
            self.nothing_kept()

    def test_a_version_of_more_digits_than_python_reads(self) -> None:
        form = upload_form(WHEEL, wheel(), version="1" * 5000)
        self.refused(self.web.post(form), 400, "version is not the one")
        self.nothing_kept()

    def test_the_filename(self) -> None:
        for filename, sentence in (
            ("acme.txt", "must end in .whl or .tar.gz"),
            ("acme-1.0.zip", "Files that end in .zip are not taken"),
            ("acme-1.0.whl", "not a valid wheel name"),
            ("../acme-1.0.tar.gz", "not one name"),
            ("..", "one name, not a path"),
            (".acme-1.0.tar.gz", "one name, not a path"),
            ("acme 1.0.tar.gz", "printable ASCII"),
            ("acm\N{LATIN SMALL LETTER E WITH ACUTE}-1.0.tar.gz", "printable ASCII"),
            ("a" * 240 + "-1.0.tar.gz", "longer than"),
        ):
            self.refused(self.upload(filename, b"x"), 400, sentence)
            self.nothing_kept()

    def test_what_does_not_agree(self) -> None:
        wrong = "0" * 64
        for form, sentence in (
            (upload_form(WHEEL, wheel(), name="other"), "form's name is not"),
            (upload_form(WHEEL, wheel(), version="2.0"), "form's version is not"),
            (upload_form(WHEEL, wheel(), sha256_digest=wrong), "SHA-256 digest"),
            (
                upload_form(WHEEL, wheel(), sha256_digest="", md5_digest=wrong[:32]),
                "MD5 digest",
            ),
            (
                upload_form(WHEEL, wheel(), sha256_digest="", blake2_256_digest=wrong),
                "BLAKE2b-256",
            ),
            (upload_form(WHEEL, wheel("other")), "dist-info folder names another"),
            (
                upload_form(WHEEL, wheel(core_metadata=metadata("other"))),
                "Name is not the project",
            ),
            (upload_form(WHEEL, sdist()), "cannot be opened as the archive"),
            (upload_form(WHEEL, b""), "cannot be opened as the archive"),
            (upload_form(SDIST, sdist()[:-9]), "cannot be opened as the archive"),
            (upload_form(SDIST, bare_sdist()), "has a PKG-INFO in its top folder"),
            (
                upload_form(WHEEL, wheel(extra=[("../../evil", b"")])),
                "leads out of it",
            ),
        ):
            response = self.web.post(form)
            self.refused(response, 400, sentence)
            self.nothing_kept()
        self.assertNotIn("commit", [operation for operation, _ in self.store.calls])

    def test_what_is_no_form(self) -> None:
        for content_type, body, status in (
            ("application/json", b"{}", 400),
            ("multipart/form-data", b"x", 400),
            (FORM_TYPE["Content-Type"], b"no form at all", 400),
            (FORM_TYPE["Content-Type"], upload_form(WHEEL, wheel())[:-20], 400),
            (FORM_TYPE["Content-Type"], b"", 400),
        ):
            headers = {**basic(), "Content-Type": content_type}
            response = self.web.post(body, headers=headers)
            self.assertEqual(response.status, status, body[:20])
            self.nothing_kept()

    def test_chunks_that_are_none(self) -> None:
        fields = {**FORM_TYPE, **basic(), "Transfer-Encoding": "chunked"}
        connection = self.web.connect()
        connection.send(request_bytes("POST", "/", fields, b"nonsense\r\n"))
        response = connection.response()
        assert response is not None
        self.assertEqual(response.status, 400)
        self.assertEqual(response["Connection"], "close")
        self.nothing_kept()

    @settings(max_examples=40, deadline=None)
    @given(st.data())
    def test_any_damage(self, data: st.DataObject) -> None:
        """A form that is cut or changed anywhere is refused, or it is the file."""
        self.setUp()
        form = bytearray(upload_form(WHEEL, wheel()))
        for _ in range(data.draw(st.integers(1, 3))):
            at = data.draw(st.integers(0, len(form) - 1))
            form[at] = data.draw(st.integers(0, 255))
        response = self.web.post(bytes(form[: data.draw(st.integers(1, len(form)))]))
        self.assertIn(response.status, (200, 400, 413))
        for project in stored_projects(self.store).values():
            for file in project.files:
                self.assertEqual(self.store.objects[file.key].data, wheel())
        self.assert_tidy()


class SlowOffload(InlineOffload):
    """Looks into archives when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.looking: list[Deferred[Any]] = []
        self.finish: list[Callable[[], None]] = []

    def in_thread(
        self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> Deferred[T]:
        """Look into an archive later, and do everything else now."""
        if function.__name__ != inspect_file.__name__:
            return super().in_thread(function, *args, **kwargs)
        return self._later(lambda: function(*args, **kwargs))

    def in_process(self, function: Callable[[*Ts], T], *args: *Ts) -> Deferred[T]:
        """Look into a small archive later, too."""
        if function.__name__ != look_into.__name__:
            return super().in_process(function, *args)
        return self._later(lambda: function(*args))

    def _later(self, look: Callable[[], T]) -> Deferred[T]:
        looking: Deferred[T] = Deferred()
        self.looking.append(looking)
        self.finish.append(lambda: looking.callback(look()))
        return looking


class FormTests(UploadCase):
    """The memory of forms is given back, however they end."""

    def used(self) -> int:
        return self.web.application.forms.used

    def test_published(self) -> None:
        self.assertEqual(self.upload().status, 200)
        self.assertEqual(self.used(), 0)

    def test_refused(self) -> None:
        self.assertEqual(self.upload(data=b"no wheel").status, 400)
        self.assertEqual(self.used(), 0)

    def test_broken_off(self) -> None:
        connection = self.web.connect()
        fields = {**FORM_TYPE, **basic(), "Content-Length": "100000"}
        form = upload_form(WHEEL, wheel())
        connection.send(request_bytes("POST", "/", fields) + form[:-100])
        self.assertGreater(self.used(), 0)
        connection.leave()
        self.assertEqual(self.used(), 0)

    def test_no_memory_left(self) -> None:
        self.web.application.forms.take(FORM_MEMORY)
        response = self.upload()
        self.refused(response, 503, "Too many uploads at this moment")
        self.assertEqual(response["Retry-After"], "5")
        self.nothing_kept()
        self.web.application.forms.release(FORM_MEMORY)
        self.assertEqual(self.upload().status, 200)


class GoneTests(UploadCase):
    """The sender hangs up when everything was sent."""

    def make(self) -> Web:
        self.offload = SlowOffload()
        return Web(domain=Domain(rules=self.rules, offload=self.offload))

    def send(self) -> Connection:
        connection = self.web.connect()
        fields = {**FORM_TYPE, **basic()}
        form = upload_form(WHEEL, wheel())
        connection.send(request_bytes("POST", "/", fields, form))
        return connection

    def test_nobody_looks_into_what_nobody_waits_for(self) -> None:
        connection = self.send()
        (looking,) = self.offload.looking
        self.assertFalse(looking.called)
        connection.leave()
        self.assertTrue(looking.called)
        self.nothing_kept()

    def test_the_next_sender_is_served(self) -> None:
        self.send().leave()
        connection = self.send()
        self.offload.finish[1]()
        response = connection.response()
        assert response is not None
        self.assertEqual(response.status, 200)
        self.assert_tidy()

    def test_what_was_found_fit_is_published(self) -> None:
        held: Deferred[None] = Deferred()

        def before(operation: str, key: str) -> Deferred[None] | None:
            return held if (operation, key) == ("put", MANIFEST) else None

        self.store.before = before
        connection = self.send()
        self.offload.finish[0]()
        connection.leave()
        held.callback(None)
        self.assertEqual(
            [f.filename for f in stored_project(self.store).files], [WHEEL]
        )
        self.assert_tidy()

    def test_before_anybody_looks(self) -> None:
        held: Deferred[None] = Deferred()
        self.store.before = lambda operation, key: (
            held if operation == "begin" else None
        )
        self.send().leave()
        held.callback(None)
        self.assertEqual(self.offload.looking, [])
        self.nothing_kept()


class TurnTests(UploadCase):
    """Who uploads much waits behind itself."""

    def make(self) -> Web:
        self.offload = SlowOffload()
        return Web(domain=Domain(rules=self.rules, offload=self.offload))

    def inspect(self, uploader: str | None) -> Deferred[Any]:
        publisher = self.web.domain.publisher
        spool = Spool(BytesIO(wheel()), InlineOffload())
        name = Filename.parse(WHEEL)
        return Deferred.fromCoroutine(publisher.inspect(spool, name, uploader))

    def test_a_second_uploader_is_next(self) -> None:
        many = [self.inspect("ann") for _ in range(10)]
        other, adopted = self.inspect("bob"), self.inspect(None)
        # No more than two at a time, and one of each: there is a place for others.
        for number in range(3):
            self.assertEqual(len(self.offload.looking), number + 2)
            self.offload.looking[number].callback(None)
        self.offload.looking[3].callback(None)
        self.successResultOf(other)
        self.successResultOf(adopted)
        self.assertEqual(sum(one.called for one in many), 2)
        for number in range(4, 12):
            self.assertEqual(len(self.offload.looking), number + 1)
            self.offload.looking[number].callback(None)
        self.assertTrue(all(one.called for one in many))

    def test_who_has_the_most_is_refused_where_there_is_no_room(self) -> None:
        many = [self.inspect("ann") for _ in range(LOOKED_INTO + WAITING)]
        other = self.inspect("bob")
        error = self.failureResultOf(many[-1], Unavailable).value
        self.assertIn("Too many uploads at this moment", error.message)
        self.assertNoResult(other)

    def test_who_has_gone_makes_room(self) -> None:
        many = [self.inspect("ann") for _ in range(5)]
        for one in many[:4]:
            one.addErrback(lambda _: None)
            one.cancel()
        self.offload.looking[-1].callback(None)
        self.successResultOf(many[4])


class SameNameTests(UploadCase):
    def test_identical_bytes_again(self) -> None:
        for _ in range(3):
            self.assertEqual(self.upload().status, 200)
        self.assert_tidy()

    def test_other_bytes(self) -> None:
        self.upload()
        response = self.upload(data=OTHER_WHEEL)
        self.refused(response, 409, "File already exists")
        # twine's --skip-existing looks for this in text or reason.
        self.assertIn("already exist", response.reason)
        self.assertEqual(stored_project(self.store).files[0].size, len(wheel()))
        self.assert_tidy()

    def test_two_at_the_same_moment(self) -> None:
        held: list[Deferred[None]] = []

        def before(operation: str, key: str) -> Deferred[None] | None:
            if (operation, key) != ("put", MANIFEST):
                return None
            held.append(Deferred())
            return held[-1]

        self.store.before = before
        forms = {
            WHEEL: wheel(),
            SDIST: sdist(),
            "acme-2.0.tar.gz": sdist(version="2.0"),
        }
        connections = [
            self.begin(upload_form(filename, data, version=filename[5:8]))
            for filename, data in forms.items()
        ]
        other = self.begin(upload_form(WHEEL, OTHER_WHEEL))
        while held:
            held.pop(0).callback(None)
        statuses = [self.status(connection) for connection in (*connections, other)]
        self.assertEqual(statuses, [200, 200, 200, 409])
        names = {file.filename for file in stored_project(self.store).files}
        self.assertEqual(names, set(forms))
        self.assert_tidy()

    def begin(self, form: bytes) -> Connection:
        connection = self.web.connect()
        fields = {**FORM_TYPE, **basic()}
        connection.send(request_bytes("POST", "/", fields, form))
        return connection

    def status(self, connection: Connection) -> int:
        response = connection.response()
        assert response is not None
        return response.status


class OverwriteTests(UploadCase):
    def make(self) -> Web:
        return Web(policy=policy_of("pypi.allow_overwrite = true"))

    def test_other_bytes(self) -> None:
        self.upload()
        self.assertEqual(self.upload(data=OTHER_WHEEL).status, 200)
        page = self.web.get("/simple/acme/").text
        self.assertIn(sha256(OTHER_WHEEL).hexdigest(), page)
        self.assertNotIn(sha256(wheel()).hexdigest(), page)


class OldSetuptoolsTests(UploadCase):
    def test_a_version_that_only_the_form_tells_from_the_name(self) -> None:
        filename, version = "acme-1.0-2.tar.gz", "1.0-2"
        form = upload_form(filename, sdist("acme", version), version=version)
        self.assertEqual(self.web.post(form).status, 200)
        self.assertIn(filename, self.web.get("/simple/acme/").text)
        self.assert_tidy()


class WarningTests(UploadCase):
    """What is taken and is not quite right is answered with a warning."""

    SENTENCE = (
        "The filename is not normalised: it should begin with acme-1.0; current build "
        "tools name it so."
    )

    def test_in_a_field_and_in_the_text(self) -> None:
        response = self.upload("Acme-1.0-py3-none-any.whl")
        self.assertEqual(response.status, 200)
        self.assertEqual(response["X-Pypicloud-Warning"], self.SENTENCE)
        self.assertEqual(response["Content-Type"], "text/plain; charset=utf-8")
        self.assertEqual(response.text, f"Warning: {self.SENTENCE}\n")

    def test_each_in_a_field_of_its_own(self) -> None:
        parts = wheel_parts(folder="Acme-1_1.0.dist-info", core_metadata=metadata())
        response = self.upload("Acme-1.0-py3-none-any.whl", build(parts))
        self.assertEqual(response.text.count("Warning: "), 2)
        for line in response.text.splitlines():
            told = line.removeprefix("Warning: ")
            self.assertIn(told, response["X-Pypicloud-Warning"] or "")

    def test_in_the_log(self) -> None:
        with capturedLogs() as events:
            self.upload("Acme-1.0-py3-none-any.whl")
        told = [formatEvent(event) for event in events]
        name = "Acme-1.0-py3-none-any.whl"
        self.assertIn(f"{name} was published: {self.SENTENCE}", told)

    def test_none(self) -> None:
        response = self.upload()
        self.assertEqual((response["X-Pypicloud-Warning"], response.body), (None, b""))

    def test_of_the_name_of_a_new_project(self) -> None:
        """It is taken; its second file is not warned of."""
        asked: list[str] = []
        acts: list[Act] = []

        async def warn(name: str) -> tuple[str, ...]:
            asked.append(name)
            return (f"{name} is elsewhere, too.",)

        publisher = self.web.domain.publisher
        publisher.warnings_of_new, publisher.audit = warn, acts.append
        response = self.upload()
        self.assertEqual(response.status, 200)
        self.assertEqual(response["X-Pypicloud-Warning"], "acme is elsewhere, too.")
        response = self.upload("acme-1.0.tar.gz", sdist())
        self.assertIsNone(response["X-Pypicloud-Warning"])
        self.assertEqual(asked, ["acme"])
        reasons = [act.reason for act in acts]
        self.assertEqual(reasons, ["acme is elsewhere, too.", None])


class LegacyFormatTests(UploadCase):
    rules = UploadRules(legacy_formats=True)

    def test_old_formats(self) -> None:
        data = zip_of([("acme-1.0/PKG-INFO", metadata())])
        self.assertEqual(self.upload("acme-1.0.zip", data).status, 200)
        egg = zip_of([("EGG-INFO/PKG-INFO", metadata())])
        self.assertEqual(self.upload("acme-1.0-py2.7.egg", egg).status, 200)
        self.assertEqual(self.upload(SDIST, bare_sdist()).status, 200)
        self.assert_tidy()


class WhoTests(UploadCase):
    """The sender is judged before the body is taken."""

    def head_only(self, headers: dict[str, str], length: int = 1000) -> Connection:
        connection = self.web.connect()
        fields = {**FORM_TYPE, "Content-Length": str(length), **headers}
        connection.send(request_bytes("POST", "/legacy/", fields))
        return connection

    def judged(self, headers: dict[str, str], status: int, length: int = 1000) -> None:
        connection = self.head_only(headers, length)
        response = connection.response()
        assert response is not None, connection.unread
        self.assertEqual(response.status, status)
        # Whoever is still sending gets to read it (see tests/web/http/test_site.py).
        self.assertEqual(response["Connection"], "close")
        self.assertTrue(connection.wire.half_closed)
        # The rest is no request.
        connection.send(request_bytes("GET", "/health"))
        self.assertEqual(connection.unread, b"")
        self.nothing_kept()
        self.assertNotIn("begin", [operation for operation, _ in self.store.calls])
        # Failures are slowed, and what was charged leaks away.
        self.web.domain.clock.advance(10_000)

    STRANGERS: ClassVar[tuple[dict[str, str], ...]] = (
        {},
        basic(password="wrong"),
        basic(user="bob"),
        {"Authorization": "Basic"},
        {"Authorization": "Basic \xff\xfe"},
        {"Authorization": "Bearer token"},
        {"Authorization": "Basic " + "A" * 9000},
    )

    def test_strangers(self) -> None:
        for headers in self.STRANGERS:
            self.judged(headers, 401)
            # No 100 first, but the answer.
            self.judged({**headers, "Expect": "100-continue"}, 401)

    def test_the_challenge(self) -> None:
        response = self.head_only({}).response()
        assert response is not None
        challenge = response["WWW-Authenticate"] or ""
        self.assertTrue(challenge.startswith('Basic realm="'), challenge)
        self.assertIn("Log in", response.text)

    def test_repeated_failures_are_slowed(self) -> None:
        statuses, after = [], ""
        for _ in range(50):
            response = self.head_only(basic(password="wrong")).response()
            assert response is not None
            statuses.append(response.status)
            after = response["Retry-After"] or ""
        self.assertEqual(set(statuses), {401, 429})
        self.assertEqual(statuses, sorted(statuses))
        self.assertGreater(int(after), 0)

    def test_too_long(self) -> None:
        length = self.web.max_upload + FORM_ALLOWANCE + 1
        self.judged(basic(), 413, length)
        self.judged({**basic(), "Expect": "100-continue"}, 413, length)
        # Who may not upload hears only that.
        self.judged({}, 401, length)

    def test_too_long_as_it_arrives(self) -> None:
        self.web = Web(max_upload=1000)
        self.store = self.web.store
        large = wheel(extra=[("x", Random(1).randbytes(2000))])
        self.assertGreater(len(large), 1000)
        response = self.web.post(upload_form(WHEEL, large))
        self.refused(response, 413, "Files of more than 1000 bytes")
        self.nothing_kept()
        just = wheel(extra=[("x", b"")])
        self.web.application.max_upload = len(just)
        self.assertEqual(self.web.post(upload_form(WHEEL, just)).status, 200)
        self.web.application.max_upload = len(just) - 1
        self.assertEqual(self.web.post(upload_form(WHEEL, just)).status, 413)

    def test_too_long_in_chunks(self) -> None:
        self.web = Web(max_upload=1000)
        self.store = self.web.store
        form = upload_form(WHEEL, bytes(5000))
        fields = {**FORM_TYPE, **basic(), "Transfer-Encoding": "chunked"}
        connection = self.web.connect()
        connection.send(request_bytes("POST", "/", fields))
        # Without an end: the refusal does not wait for one.
        connection.send(b"%x\r\n%b\r\n" % (len(form), form))
        response = connection.response()
        assert response is not None
        self.assertEqual(response.status, 413)
        self.assertEqual(response["Connection"], "close")
        self.nothing_kept()

    def test_writes_that_a_browser_was_tricked_into(self) -> None:
        for headers in (
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {"Origin": "http://pypi.example"},  # another port
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
            {"Sec-Fetch-Site": "cross-site", "Origin": "http://pypi.example:6543"},
        ):
            self.judged({**basic(), **headers}, 403)
            response = self.head_only({**basic(), **headers}).response()
            assert response is not None
            self.assertIn("A page of another site", response.text)

    def test_one_s_own_pages_may_write(self) -> None:
        for headers in (
            {"Origin": "http://pypi.example:6543"},
            {"Sec-Fetch-Site": "same-origin", "Origin": "http://pypi.example:6543"},
            {"Sec-Fetch-Site": "none"},
        ):
            form = upload_form(WHEEL, wheel())
            response = self.web.post(form, headers={**basic(), **headers})
            self.assertEqual(response.status, 200, headers)

    @settings(max_examples=80, deadline=None)
    @given(
        st.sampled_from(ADDRESSES[:-1]),
        st.sampled_from(
            ["file_upload", "remove_pkg", "verify", "submit", "doc_upload", "x", None]
        ),
        st.sampled_from(STRANGERS),
        st.one_of(
            st.just(FORM_TYPE["Content-Type"]),
            st.just("application/x-www-form-urlencoded"),
            st.text(st.characters(codec="ascii", min_codepoint=32), max_size=20),
        ),
        st.binary(max_size=50),
    )
    def test_any_write_without_credentials(
        self,
        address: str,
        action: str | None,
        headers: dict[str, str],
        content_type: str,
        tail: bytes,
    ) -> None:
        """It is 401 or slowed, whatever the form; and nothing changes."""
        self.web.publish(WHEEL, wheel())
        before = dict(self.store.objects)
        form = upload_form(SDIST, sdist())
        if action != "file_upload":
            form = form_bytes(
                [
                    *([] if action is None else [(":action", action)]),
                    ("name", "acme"),
                    ("version", "1.0"),
                ]
            )
        fields = {**headers, "Content-Type": content_type.replace("\x7f", "")}
        response = self.web.request("POST", address, fields, form + tail)
        self.assertIn(response.status, (401, 429))
        self.assertEqual(self.store.objects, before)
        self.web.domain.clock.advance(10_000)


class NobodyTests(UploadCase):
    def make(self) -> Web:
        return Web(users={})

    def test_nobody_may_write_until_there_is_a_user(self) -> None:
        for address in ADDRESSES[:-1]:
            for headers in ({}, basic(), {"Authorization": "Basic !"}):
                response = self.web.request(
                    "POST",
                    address,
                    {**FORM_TYPE, **headers},
                    upload_form(WHEEL, wheel()),
                )
                malformed = "!" in headers.get("Authorization", "")
                self.assertEqual(response.status, 401 if malformed else 403)
                if not malformed:
                    self.assertIn("pypicloud-gen-password", response.text)
                self.nothing_kept()


class ErrorFormTests(UploadCase):
    def test_one_line_of_printable_ascii(self) -> None:
        for response in (
            self.upload("a\x01b-1.0.tar.gz", b""),
            self.upload("acme-1.0.zip", b""),
            self.web.post(upload_form(WHEEL, wheel(), name="x\r\nX-Evil: 1")),
            self.web.post(form_bytes([(":action", "x\r\nX-Evil: \N{SNOWMAN}" * 100)])),
        ):
            self.assertEqual(response.status, 400)
            self.assertRegex(response.reason, r"^[\x20-\x7e]{10,200}$")
            self.assertNotIn("Evil", response.reason + response.text)
            self.assertIsNone(response["X-Evil"])
        self.nothing_kept()

    def test_json_for_uv(self) -> None:
        accept = "application/json;q=0.9, text/plain;q=0.8, text/html;q=0.7"
        self.upload()
        headers = {**basic(), "Accept": accept}
        response = self.web.post(upload_form(WHEEL, OTHER_WHEEL), headers=headers)
        self.assertEqual(response.status, 409)
        self.assertEqual(response["Content-Type"], "application/json; charset=utf-8")
        self.assertEqual(response.json["code"], "conflict")
        self.assertIn("File already exists", response.json["message"])
        self.assertEqual(set(response.json), {"code", "message"})

    def test_html_for_browsers(self) -> None:
        headers = {**basic(), "Accept": "text/html"}
        response = self.web.post(form_bytes([]), headers=headers)
        self.assertEqual(response["Content-Type"], "text/html; charset=utf-8")
        self.assertIn("<html", response.text)


class FailureTests(UploadCase):
    """The store fails in the midst of it: an honest answer, and a repetition heals."""

    def heals(self) -> None:
        self.assertEqual(damage(self.store), [])
        self.heal()
        self.assertEqual(self.upload().status, 200)
        self.assertEqual(damage(self.store), [])
        self.assertIn(WHEEL, self.web.get("/simple/acme/").text)

    def test_at_each_step(self) -> None:
        for operation, ending in (
            ("begin", WHEEL),
            ("get", MANIFEST),
            ("commit", WHEEL),
            ("put", ".metadata"),
            ("put", MANIFEST),
            ("put", MARKER),
        ):
            self.setUp()
            self.break_store(operation, ending)
            response = self.upload()
            self.assertEqual(response.status, 503, (operation, ending))
            self.assertEqual(response["Retry-After"], "5")
            self.assertIn(AWAY, response.text)
            visible = (operation, ending) == ("put", MARKER)
            self.heal()
            self.assertIs(MANIFEST in self.store.objects, visible)
            self.heals()

    def test_no_room(self) -> None:
        self.store.fail_next("begin", InsufficientStorage("There is no room."))
        self.refused(self.upload(), 507, "There is no room.")
        self.heals()

    def test_what_nobody_foresaw(self) -> None:
        self.store.fail_next("commit", ZeroDivisionError("a secret detail"))
        response = self.upload()
        self.assertEqual(response.status, 500)
        self.assertNotIn("secret", response.text + response.reason)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.heals()


class LeavingTests(UploadCase):
    def begin(self, part: float) -> Connection:
        connection = self.web.connect()
        form = upload_form(WHEEL, wheel())
        request = request_bytes("POST", "/", {**FORM_TYPE, **basic()}, form)
        connection.send(request[: int(len(request) * part)])
        return connection

    def test_in_the_midst_of_the_body(self) -> None:
        for part in (0.3, 0.6, 0.9, 0.999):
            connection = self.begin(part)
            self.assertIsNone(connection.response())
            connection.leave()
            self.assertEqual(connection.unread, b"")
            self.nothing_kept()
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_while_the_store_works(self) -> None:
        for operation, ending, published in (
            ("begin", WHEEL, False),
            # All of it has come: what was begun is brought to its end.
            ("commit", WHEEL, True),
            ("put", ".metadata", True),
            ("put", MANIFEST, True),
            ("put", MARKER, True),
        ):
            self.setUp()
            held: Deferred[None] = Deferred()

            def before(
                asked: str,
                key: str,
                held: Deferred[None] = held,
                wanted: tuple[str, str] = (operation, ending),
            ) -> Deferred[None] | None:
                right = asked == wanted[0] and key.endswith(wanted[1])
                return held if right else None

            self.store.before = before
            connection = self.begin(1)
            self.assertIsNone(connection.response())
            connection.leave()
            self.heal()
            if not held.called:
                held.callback(None)
            self.assertIs(MANIFEST in self.store.objects, published, operation)
            self.assertEqual(damage(self.store), [])
            self.assertEqual(self.upload().status, 200)
            self.assertEqual(damage(self.store), [])
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_while_the_store_is_got_ready(self) -> None:
        standing = self.web.domain.manifests.standing
        standing.wait()
        connection = self.begin(1)
        self.assertIsNone(connection.response())
        connection.leave()
        standing.open(None)
        self.nothing_kept()
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_a_sender_that_stalls(self) -> None:
        connection = self.begin(0.6)
        self.web.domain.clock.advance(self.web.limits.body + 1)
        response = connection.response()
        assert response is not None
        self.assertEqual(response.status, 408)
        self.assertEqual(response["Connection"], "close")
        self.nothing_kept()


class StartTests(UploadCase):
    """Whoever uploads as soon as the port is open need not try again."""

    def begin(self) -> Connection:
        self.standing = self.web.domain.manifests.standing
        self.standing.wait()
        connection = self.web.connect()
        form = upload_form(WHEEL, wheel())
        connection.send(request_bytes("POST", "/", {**FORM_TYPE, **basic()}, form))
        self.assertIsNone(connection.response())
        return connection

    def test_it_waits_for_the_store(self) -> None:
        connection = self.begin()
        self.web.domain.clock.advance(PATIENCE - 1)
        self.assertIsNone(connection.response())
        self.standing.open(None)
        response = connection.response()
        assert response is not None
        self.assertEqual(response.status, 200)
        connection.leave()
        self.assertEqual(self.web.domain.clock.getDelayedCalls(), [])

    def test_but_not_for_ever(self) -> None:
        connection = self.begin()
        self.web.domain.clock.advance(PATIENCE)
        response = connection.response()
        assert response is not None
        self.refused(response, 503, "The store is being got ready")
        # Whoever may not upload need not wait for that.
        self.assertEqual(self.web.request("POST", "/", {}).status, 401)


class ImportedTests(SynchronousTestCase):
    """A form that says what another index said of the file."""

    TOLD: ClassVar[dict[str, str]] = {
        "imported_from": "devpi at https://devpi.example/",
        "imported_uploaded": "2022-05-01T12:00:00+02:00",
        "imported_uploader": "alice",
        "imported_yanked": "",
    }

    def setUp(self) -> None:
        self.web = Web(
            users=dict.fromkeys(("boss", "bob"), HASH),
            policy=policy_of("auth.admins = boss\npypi.default_write = authenticated"),
        )

    def upload(self, user: str = "boss", **told: str) -> Response:
        form = upload_form(WHEEL, wheel(), **told)
        return self.web.request("POST", "/legacy/", {**FORM_TYPE, **basic(user)}, form)

    def test_an_administrator_says_it(self) -> None:
        self.assertEqual(self.upload(**self.TOLD).status, 200)
        project = stored_project(self.web.store)
        (file,) = project.files
        self.assertEqual(file.upload_time, datetime(2022, 5, 1, 10, tzinfo=UTC))
        self.assertEqual((file.uploader, file.yanked), ("alice", ""))
        (entry,) = project.history
        self.assertEqual((entry.act, entry.who), ("imported", "boss"))

    def test_nobody_else_does(self) -> None:
        response = self.upload("bob", **self.TOLD)
        self.assertEqual(response.status, 403)
        self.assertEqual(data_keys(self.web.store), set())

    def test_nor_behind_the_file(self) -> None:
        form = form_bytes(
            [
                (":action", "file_upload"),
                ("name", "acme"),
                ("version", "1.0"),
                ("content", (WHEEL, wheel())),
                *self.TOLD.items(),
            ]
        )
        headers = {**FORM_TYPE, **basic("bob")}
        response = self.web.request("POST", "/legacy/", headers, form)
        self.assertEqual(response.status, 403)
        self.assertEqual(data_keys(self.web.store), set())

    def test_the_others_alone_say_nothing(self) -> None:
        told = {**self.TOLD, "imported_from": ""}
        self.assertEqual(self.upload("bob", **told).status, 200)
        (file,) = stored_project(self.web.store).files
        self.assertEqual((file.uploader, file.yanked), ("bob", None))

    def test_a_moment_that_is_none(self) -> None:
        response = self.upload(**{**self.TOLD, "imported_uploaded": "yesterday"})
        self.assertEqual(response.status, 400)
        self.assertIn(b"imported_uploaded", response.body)
