"""Forms as clients send them, whole and in any packets, and as they do not."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from itertools import pairwise

from attrs import define, evolve, field
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.concurrency.budget import BufferBudget
from pypicloud_tw.errors import BadRequest, Conflict, PayloadTooLarge, Unavailable
from pypicloud_tw.web import upload
from pypicloud_tw.web.upload import (
    FileField,
    FileSink,
    FormMemory,
    UploadFields,
    receive_form,
)

CONTENT = b"PK\x03\x04 wheel \r\n--not the end\r\n\r\n bytes\r"
BOUNDARY = b"b0undary"
CONTENT_TYPE = b"multipart/form-data; boundary=b0undary"


@define
class Packets:
    """A body that comes in these pieces."""

    pieces: list[bytes]

    @classmethod
    def cut(cls, body: bytes, at: Sequence[int] = ()) -> Packets:
        ends = [0, *sorted(at), len(body)]
        return cls([body[a:b] for a, b in pairwise(ends) if a < b])

    async def read(self) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""


@define
class Sink:
    """Takes the file, and remembers what was known when it began."""

    file: FileField | None = None
    data: bytearray = field(factory=bytearray)

    async def begin(self, file: FileField) -> FileSink:
        self.file = file
        return self

    async def write(self, data: bytes) -> None:
        self.data += data


def part(name: str, value: bytes, more: str = "") -> bytes:
    head = f'Content-Disposition: form-data; name="{name}"{more}\r\n\r\n'
    return b"--" + BOUNDARY + b"\r\n" + head.encode() + value + b"\r\n"


def file_part(value: bytes = CONTENT, name: str = "content") -> bytes:
    return part(name, value, '; filename="foo-1.0.tar.gz"')


END = b"--" + BOUNDARY + b"--\r\n"


def distutils_form(content: bytes) -> tuple[bytes, bytes]:
    """Build a form byte for byte as Python 3.11's distutils does."""
    fields: list[tuple[str, object]] = [
        (":action", "file_upload"),
        ("protocol_version", "1"),
        ("name", "foo"),
        ("version", "1.0"),
        ("content", ("foo-1.0.tar.gz", content)),
        ("filetype", "sdist"),
        ("pyversion", ""),
        ("metadata_version", "1.0"),
        ("summary", "UNKNOWN"),
        ("description", "Eins\r\nzwei\n\ndrei ü"),
        ("classifiers", ["A :: B", "C :: D"]),
        ("comment", ""),
        ("md5_digest", "0123456789ABCDEF"),
    ]
    boundary = "--------------GHSKFJDLGDS7543FJKLFHRE75642756743254"
    separator = b"\r\n--" + boundary.encode("ascii")
    body = io.BytesIO()
    for key, values in fields:
        title = f'\r\nContent-Disposition: form-data; name="{key}"'
        for value in values if isinstance(values, list) else [values]:
            if isinstance(value, tuple):
                title += f'; filename="{value[0]}"'
                data = value[1]
            else:
                data = str(value).encode()
            body.write(separator + title.encode() + b"\r\n\r\n" + data)
    body.write(separator + b"--\r\n")
    return f"multipart/form-data; boundary={boundary}".encode(), body.getvalue()


def twine_form(content: bytes) -> tuple[bytes, bytes]:
    """Build a form as requests-toolbelt does for twine: the file last."""
    boundary = b"c0d7d7e2c1b84e2f9f0b3c8a7d6e5f40"
    body = b"".join(
        part(name, value, more)
        for name, value, more in (
            ("name", b"foo", ""),
            ("version", b"1.0", ""),
            ("filetype", b"bdist_wheel", ""),
            ("classifiers", b"A :: B", ""),
            ("classifiers", b"C :: D", ""),
            (
                "gpg_signature",
                b"-----BEGIN",
                '; filename="foo-1.0.tar.gz.asc"\r\nContent-Type: text/plain',
            ),
            ("sha256_digest", b"AB" * 32, ""),
            (":action", b"file_upload", ""),
            ("protocol_version", b"1", ""),
        )
    )
    kind = '; filename="foo-1.0.tar.gz"\r\nContent-Type: application/octet-stream'
    body = (body + part("content", content, kind) + END).replace(BOUNDARY, boundary)
    return b"multipart/form-data; boundary=" + boundary, body


def uv_form(content: bytes) -> tuple[bytes, bytes]:
    """Build a form as uv's HTTP library does: a length on no part, the file last."""
    body = b"".join(
        part(name, value)
        for name, value in (
            (":action", b"file_upload"),
            ("sha256_digest", b"ab" * 32),
            ("protocol_version", b"1"),
            ("metadata_version", b"2.3"),
            ("name", b"foo"),
            ("version", b"1.0"),
            ("filetype", b"sdist"),
            ("pyversion", b"source"),
            ("requires_python", b">=3.8"),
            ("classifiers", b"A :: B"),
            ("classifiers", b"C :: D"),
        )
    )
    kind = '; filename="foo-1.0.tar.gz"\r\nContent-Type: application/octet-stream'
    return CONTENT_TYPE, body + part("content", content, kind) + END


class FormTestCase(SynchronousTestCase):
    def receive(
        self, body: bytes, content_type: bytes = CONTENT_TYPE, at: Sequence[int] = ()
    ) -> tuple[UploadFields, Sink]:
        sink = Sink()
        form = receive_form(Packets.cut(body, at), content_type, on_file=sink.begin)
        return self.successResultOf(Deferred.fromCoroutine(form)), sink

    def refused(
        self,
        body: bytes,
        content_type: bytes = CONTENT_TYPE,
        error: type[BadRequest] | type[PayloadTooLarge] = BadRequest,
    ) -> str:
        form = receive_form(Packets.cut(body), content_type, on_file=Sink().begin)
        failure = self.failureResultOf(Deferred.fromCoroutine(form), error)
        return str(failure.value)


class Clients(FormTestCase):
    """The forms of real clients."""

    def test_distutils(self) -> None:
        content_type, body = distutils_form(CONTENT)
        form, sink = self.receive(body, content_type)
        self.assertEqual(form.action, "file_upload")
        self.assertEqual((form.name, form.version), ("foo", "1.0"))
        self.assertEqual(form.filetype, "sdist")
        self.assertIsNone(form.pyversion)
        self.assertIsNone(form.summary)
        self.assertEqual(form.metadata_version, "1.0")
        self.assertEqual(form.md5_digest, "0123456789abcdef")
        self.assertIsNone(form.sha256_digest)
        self.assertEqual(form.fields["classifiers"], ("A :: B", "C :: D"))
        self.assertEqual(form.fields["description"], ("Eins\r\nzwei\n\ndrei ü",))
        self.assertEqual(bytes(sink.data), CONTENT)
        assert sink.file is not None
        self.assertEqual(sink.file.filename, "foo-1.0.tar.gz")
        self.assertEqual(sink.file.before["name"], ("foo",))
        self.assertNotIn("filetype", sink.file.before)

    def test_twine(self) -> None:
        content_type, body = twine_form(CONTENT)
        form, sink = self.receive(body, content_type)
        self.assertEqual(form.action, "file_upload")
        self.assertEqual(form.sha256_digest, "ab" * 32)
        self.assertEqual(form.fields["classifiers"], ("A :: B", "C :: D"))
        self.assertNotIn("gpg_signature", form.fields)
        self.assertNotIn("content", form.fields)
        self.assertEqual(bytes(sink.data), CONTENT)

    def test_uv(self) -> None:
        content_type, body = uv_form(CONTENT)
        form, sink = self.receive(body, content_type)
        self.assertEqual(form.requires_python, ">=3.8")
        self.assertEqual(form.pyversion, "source")
        self.assertEqual(bytes(sink.data), CONTENT)

    def test_one_byte_a_packet(self) -> None:
        for build in (distutils_form, twine_form, uv_form):
            with self.subTest(build=build.__name__):
                content_type, body = build(CONTENT)
                whole = self.receive(body, content_type)
                single = self.receive(body, content_type, range(len(body)))
                self.assertEqual(single, whole)

    @settings(max_examples=150, deadline=None)
    @given(
        st.sampled_from([distutils_form, twine_form, uv_form]),
        st.binary(max_size=300)
        | st.text("\r\n-b0undaryGHSK", max_size=80).map(str.encode),
        st.data(),
    )
    def test_any_packets(
        self,
        build: Callable[[bytes], tuple[bytes, bytes]],
        content: bytes,
        data: st.DataObject,
    ) -> None:
        content_type, body = build(content)
        cuts = data.draw(st.lists(st.integers(0, len(body)), max_size=20))
        form, sink = self.receive(body, content_type, cuts)
        self.assertEqual(bytes(sink.data), content)
        self.assertEqual(form, self.receive(body, content_type)[0])
        self.assertEqual(form.name, "foo")

    def test_urlencoded(self) -> None:
        form, sink = self.receive(
            b"%3Aaction=remove_pkg&name=foo&version=1.0&a=1&a=&b=%C3%BC+x",
            b"application/x-www-form-urlencoded; charset=utf-8",
        )
        self.assertEqual(form.action, "remove_pkg")
        self.assertEqual((form.name, form.version), ("foo", "1.0"))
        self.assertEqual(form.fields["a"], ("1", ""))
        self.assertEqual(form.fields["b"], ("ü x",))
        self.assertIsNone(sink.file)


class Oddities(FormTestCase):
    """What is unusual and understood."""

    def test_content_types(self) -> None:
        for content_type in (
            b"multipart/form-data; boundary=b0undary",
            b'Multipart/Form-Data;boundary="b0undary"; charset=utf-8',
            b"multipart/form-data; charset=utf-8; BOUNDARY=b0undary ; x=y",
        ):
            with self.subTest(content_type=content_type):
                form, _ = self.receive(part("name", b"foo") + END, content_type)
                self.assertEqual(form.name, "foo")

    def test_boundary_of_odd_characters(self) -> None:
        body = (part("name", b"foo") + END).replace(BOUNDARY, b"----=_Part/1:2.3")
        form, _ = self.receive(body, b"multipart/form-data; boundary=----=_Part/1:2.3")
        self.assertEqual(form.name, "foo")

    def test_no_final_line_end(self) -> None:
        form, _ = self.receive(part("name", b"foo") + END[:-2])
        self.assertEqual(form.name, "foo")

    def test_as_many_fields_as_the_largest(self) -> None:
        # boto3-stubs: one field for each Requires-Dist and each Provides-Extra.
        body = b"".join(
            part(name, b"x" * 40) * count
            for name, count in (
                ("requires_dist", 882),
                ("provides_extra", 439),
                ("classifiers", 30),
            )
        )
        form, sink = self.receive(part("name", b"foo") + body + file_part() + END)
        self.assertEqual((form.name, bytes(sink.data)), ("foo", CONTENT))
        self.assertEqual(len(form.fields["requires_dist"]), 882)

    def test_not_utf8(self) -> None:
        # distutils of Python 2 sends a README as it lies on the disk.
        form, _ = self.receive(part("description", b"\xfc") + part("name", b"a") + END)
        self.assertEqual((form.name, form.fields["description"]), ("a", ("\ufffd",)))
        urlencoded = b"application/x-www-form-urlencoded"
        for body in (b"description=%FC&name=a", b"description=\xfc&name=a"):
            form, _ = self.receive(body, urlencoded)
            self.assertEqual(form.fields["description"], ("\ufffd",))
            self.assertEqual(form.name, "a")

    def test_text_around(self) -> None:
        body = b"preamble\r\n" + part("name", b"foo") + END + b"epilogue" * 100
        for at in ((), range(len(body))):
            form, _ = self.receive(body, at=at)
            self.assertEqual(form.name, "foo")

    def test_digest_after_the_file(self) -> None:
        body = file_part() + part("sha256_digest", b"ab") + END
        form, sink = self.receive(body)
        self.assertEqual(form.sha256_digest, "ab")
        self.assertEqual(bytes(sink.data), CONTENT)

    def test_empty_file(self) -> None:
        form, sink = self.receive(file_part(b"") + part("name", b"x") + END)
        assert sink.file is not None
        self.assertEqual((sink.data, form.name), (b"", "x"))

    def test_no_file(self) -> None:
        _, sink = self.receive(part(":action", b"submit") + END)
        self.assertIsNone(sink.file)

    def test_filename_in_another_alphabet(self) -> None:
        for more in (
            "; filename*=UTF-8''f%C3%B6o.zip",
            "; filename=\"foo\"; filename*=utf-8'en'f%C3%B6o.zip",
            "; filename*=iso-8859-1''f%F6o.zip",
            '; filename="föo.zip"',
        ):
            with self.subTest(more=more):
                _, sink = self.receive(part("content", b"x", more) + END)
                assert sink.file is not None
                self.assertEqual(sink.file.filename, "föo.zip")

    def test_same_value_twice(self) -> None:
        body = part("name", b"foo") + part("name", b" foo\r\n") + END
        self.assertEqual(self.receive(body)[0].name, "foo")

    def test_dropped_file(self) -> None:
        """Whoever wants no file gets the fields all the same."""

        async def unwanted(file: FileField) -> None:
            return None

        body = file_part() + part("name", b"foo") + END
        form = receive_form(Packets.cut(body), CONTENT_TYPE, on_file=unwanted)
        got = self.successResultOf(Deferred.fromCoroutine(form))
        self.assertEqual(got.fields, {"name": ("foo",)})


class Refused(FormTestCase):
    """What is not understood is refused with a sentence."""

    def test_no_form(self) -> None:
        for content_type in (
            b"",
            b"text/plain",
            b"multipart/form-data",
            b"multipart/form-data; boundary=",
            b"multipart/mixed; boundary=b0undary",
        ):
            with self.subTest(content_type=content_type):
                self.assertIn("An upload is a form", self.refused(b"", content_type))

    def test_boundary_of_blanks(self) -> None:
        blank = b"multipart/form-data; boundary= ; charset=utf-8"
        self.assertIn("not well-formed", self.refused(b"", blank))

    def test_malformed(self) -> None:
        good = part("name", b"foo")
        disposition = b'\r\nContent-Disposition: form-data; name="a"'
        for body in (
            b"",
            b"nothing of the kind",
            good,
            good + END[:-4],
            good + END.replace(b"\r\n", b"")[:-1],
            (good + END).replace(b"\r\n", b"\n"),
            b"--b0undary\r\n\r\nvalue\r\n" + END,
            b"--b0undary\r\nno colon\r\n\r\nvalue\r\n" + END,
            b"--b0undary" + disposition + b"\r\nContent-Length: 9\r\n\r\nx\r\n" + END,
            b"--b0undary\r\nContent-Disposition: \xff\r\n\r\nvalue\r\n" + END,
        ):
            with self.subTest(body=body):
                self.assertIn("not well-formed", self.refused(body))

    def test_two_files(self) -> None:
        self.assertIn("two files", self.refused(file_part() + file_part() + END))

    def test_content_is_no_file(self) -> None:
        self.assertIn("is not a file", self.refused(part("content", b"x") + END))

    def test_filenames(self) -> None:
        for name in ("", "a/b", "..\\b", "/etc/passwd", "a\x00b", "x" * 256):
            with self.subTest(name=name):
                body = part("content", b"x", f'; filename="{name}"') + END
                self.assertIn("not one name", self.refused(body))
        body = part("content", b"x", "; filename*=utf-8''..%2Fa") + END
        self.assertIn("not one name", self.refused(body))

    def test_two_names(self) -> None:
        body = part("name", b"foo") + part("name", b"bar") + END
        self.assertIn("'name' has two different values", self.refused(body))

    def test_too_many_fields(self) -> None:
        body = part("a", b"") * (upload.MAX_FIELDS + 1) + END
        self.assertIn(
            "more than 12000 fields", self.refused(body, error=PayloadTooLarge)
        )
        self.receive(part("a", b"") * upload.MAX_FIELDS + END)
        sent = self.refused(
            b"a=&" * 13_000, b"application/x-www-form-urlencoded", PayloadTooLarge
        )
        self.assertIn("more than 12000 fields", sent)

    def test_long_fields(self) -> None:
        body = part("a", b"x" * 2**20) * 11 + END
        self.assertIn("bytes together", self.refused(body, error=PayloadTooLarge))
        body = part("a", b"x" * 2**20) * 9 + END
        self.receive(body)

    def test_long_names(self) -> None:
        error = self.refused(part("a" * 5000, b"") + END, error=PayloadTooLarge)
        self.assertIn("long head", error)

    def test_long_urlencoded(self) -> None:
        kind = b"application/x-www-form-urlencoded"
        body = b"a=" + b"x" * upload.MAX_URLENCODED
        self.assertIn("multipart", self.refused(body, kind, PayloadTooLarge))

    def test_sink_refuses(self) -> None:
        """What the sink raises ends the reading."""

        async def taken(file: FileField) -> FileSink:
            raise Conflict("File already exists.")

        packets = Packets([file_part()[:-10], b"never read"])
        form = receive_form(packets, CONTENT_TYPE, on_file=taken)
        self.failureResultOf(Deferred.fromCoroutine(form), Conflict)
        self.assertEqual(packets.pieces, [b"never read"])

    @settings(max_examples=200, deadline=None)
    @given(st.lists(st.binary(max_size=60) | st.sampled_from([END, b"--b0undary\r\n"])))
    def test_any_bytes(self, pieces: list[bytes]) -> None:
        """Whatever comes is a form or refused, and nothing else."""
        form = receive_form(
            Packets([p for p in pieces if p]), CONTENT_TYPE, on_file=Sink().begin
        )
        results: list[object] = []
        Deferred.fromCoroutine(form).addBoth(results.append)
        (result,) = results
        if not isinstance(result, UploadFields):
            self.assertIsInstance(result.value, BadRequest)  # type: ignore[attr-defined]


class MemoryTests(FormTestCase):
    """What is kept of forms, and the memory that all have together."""

    def setUp(self) -> None:
        self.budget = BufferBudget(350_000)

    def form(
        self, body: bytes, content_type: bytes = CONTENT_TYPE, at: Sequence[int] = ()
    ) -> tuple[FormMemory, Deferred[UploadFields]]:
        memory = FormMemory(self.budget)
        packets = Packets.cut(body, at)
        form = receive_form(packets, content_type, on_file=Sink().begin, memory=memory)
        return memory, Deferred.fromCoroutine(form)

    def test_what_nobody_reads_is_dropped(self) -> None:
        readme = part("description", b"x" * 5_000_000)
        body = readme + part("name", b"foo") + part("classifiers", b"A :: B") + END
        memory, form = self.form(body, at=range(0, 5_000_000, 65536))
        self.assertEqual(self.successResultOf(form).fields, {"name": ("foo",)})
        self.assertLess(self.budget.used, 1000)
        memory.release()
        self.assertEqual(self.budget.used, 0)
        memory.release()
        self.assertEqual(self.budget.used, 0)

    def test_every_known_field_is_kept(self) -> None:
        for build in (distutils_form, twine_form, uv_form):
            content_type, body = build(CONTENT)
            whole, _ = self.receive(body, content_type)
            kept = self.successResultOf(self.form(body, content_type)[1])
            self.assertEqual(evolve(kept, fields={}), evolve(whole, fields={}))

    def test_what_is_dropped_is_counted(self) -> None:
        _, form = self.form(part("description", b"x" * 2**20) * 11 + END)
        error = self.failureResultOf(form, PayloadTooLarge).value
        self.assertIn("bytes together", error.message)

    def test_too_much_of_one_form(self) -> None:
        for body in (
            part("summary", b"x" * upload.MAX_KEPT) + END,
            part("name", b"") * 1_100 + END,
        ):
            memory, form = self.form(body)
            error = self.failureResultOf(form, PayloadTooLarge).value
            self.assertIn("longer than 131072 bytes together", error.message)
            memory.release()
            self.assertEqual(self.budget.used, 0)

    def test_too_much_of_all_forms(self) -> None:
        summary = part("summary", b"x" * 100_000) + END
        memories = []
        for _ in range(3):
            memory, form = self.form(summary)
            self.successResultOf(form)
            memories.append(memory)
        one_more, form = self.form(summary)
        error = self.failureResultOf(form, Unavailable).value
        self.assertIn("Too many uploads at this moment", error.message)
        one_more.release()
        memories[0].release()
        self.successResultOf(self.form(summary)[1])

    def test_urlencoded(self) -> None:
        kind = b"application/x-www-form-urlencoded"
        body = b":action=remove_pkg&name=foo&x=" + b"y" * 1000
        memory, form = self.form(body, kind)
        kept = self.successResultOf(form).fields
        self.assertEqual(kept, {":action": ("remove_pkg",), "name": ("foo",)})
        self.assertEqual(self.budget.used, len(body))
        memory.release()
        self.assertEqual(self.budget.used, 0)
