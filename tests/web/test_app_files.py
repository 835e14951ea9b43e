"""Files are served whole, in part, or not at all, and may be kept for ever."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.errors import StoreError
from pypicloud_tw.index.names import project_name
from pypicloud_tw.store.memory import PIECE
from tests.builders import metadata, sdist, wheel
from tests.web.doubles import Response, Web, request_bytes, started, stored_project

ACME = project_name("acme")
WHEEL, SDIST = "acme-1.0-py3-none-any.whl", "acme-1.0.tar.gz"
DATE = "Sun, 01 Mar 2026 09:30:00 GMT"
FOREVER = "public, max-age=31536000, immutable"
#: Not to be compressed: several pieces of a delivery.
NOISE = b"".join(sha256(bytes([n % 256, n // 256])).digest() for n in range(8192))


class BreakingBytes(bytes):
    """Bytes of a store that goes away behind the first piece."""

    def __getitem__(self, at: Any) -> Any:
        """Give all of them, or a piece."""
        if at.start:
            raise StoreError("The store is away.")
        return self if at.stop == len(self) else bytes.__getitem__(self, at)


class FilesCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.web = Web()
        self.data = wheel(extra=[("acme/noise", NOISE)])
        self.web.publish(WHEEL, self.data)
        self.address = self.address_of(WHEEL)
        self.etag = f'"{sha256(self.data).hexdigest()}"'

    def address_of(self, filename: str) -> str:
        file = stored_project(self.web.store).file(filename)
        assert file is not None
        return f"/packages/acme/{file.sha256[:16]}/{filename}"

    def key(self) -> str:
        return stored_project(self.web.store).files[0].key

    def get(self, **headers: str) -> Response:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.web.get(self.address, fields)


class WholeTests(FilesCase):
    def test_bytes_and_header_fields(self) -> None:
        response = self.get()
        self.assertEqual(response.status, 200)
        self.assertEqual(response.body, self.data)
        for name, value in {
            "Content-Length": str(len(self.data)),
            "Content-Type": "application/octet-stream",
            "ETag": self.etag,
            "Last-Modified": DATE,
            "Cache-Control": FOREVER,
            "Accept-Ranges": "bytes",
            "X-Content-Type-Options": "nosniff",
            # A decoding client would find another digest.
            "Content-Encoding": None,
        }.items():
            self.assertEqual(response[name], value, name)

    def test_an_archive_is_opaque_whatever_is_accepted(self) -> None:
        self.web.publish(SDIST, sdist())
        response = self.web.get(
            self.address_of(SDIST), {"Accept-Encoding": "gzip", "Accept": "text/html"}
        )
        self.assertEqual(response.body, sdist())
        self.assertEqual(response["Content-Type"], "application/octet-stream")
        self.assertIsNone(response["Content-Encoding"])

    def test_head(self) -> None:
        for extra in ({}, {"Range": "bytes=0-0"}):
            response = self.web.head(self.address, extra)
            self.assertEqual((response.status, response.body), (200, b""))
            self.assertEqual(response.fields, self.get().fields)

    def test_core_metadata_beside_it(self) -> None:
        response = self.web.get(f"{self.address}.metadata")
        self.assertEqual((response.status, response.body), (200, metadata()))
        self.assertEqual(response["Content-Type"], "text/plain; charset=utf-8")
        self.assertEqual(response["ETag"], f'"{sha256(metadata()).hexdigest()}"')
        self.assertEqual(response["Cache-Control"], FOREVER)
        headed = self.web.head(f"{self.address}.metadata")
        self.assertEqual((headed.fields, headed.body), (response.fields, b""))
        part = self.web.get(f"{self.address}.metadata", {"Range": "bytes=-5"})
        self.assertEqual((part.status, part.body), (206, metadata()[-5:]))
        etag = response["ETag"] or ""
        again = self.web.get(f"{self.address}.metadata", {"If-None-Match": etag})
        self.assertEqual(again.status, 304)

    def test_no_metadata_of_a_source_distribution(self) -> None:
        self.web.publish(SDIST, sdist())
        response = self.web.get(f"{self.address_of(SDIST)}.metadata")
        self.assertEqual(response.status, 404)
        self.assertIn("core metadata is not kept", response.text)

    def test_an_empty_file(self) -> None:
        # As an adopted one cannot be, but a manifest may say.
        store = self.web.store
        file = stored_project(store).files[0]
        empty = file.sha256, sha256(b"").hexdigest()
        key = ".index/acme.json"
        text = store.objects[key].data.decode()
        text = text.replace(f'"size":{file.size}', '"size":0').replace(*empty)
        store.add(key, text.encode())
        store.add(file.key, b"")
        self.web.domain.index.watch.forget()
        address = f"/packages/acme/{empty[1][:16]}/{WHEEL}"
        for headers in ({}, {"Range": "bytes=-5"}, {"If-Range": '"x"'}):
            response = self.web.get(address, headers)
            self.assertEqual((response.status, response.body), (200, b""))
            self.assertEqual(response["Content-Length"], "0")
        self.assertEqual(self.web.get(address, {"Range": "bytes=0-"}).status, 416)

    def test_addresses_that_lead_nowhere(self) -> None:
        digest = self.address.split("/")[3]
        for path in (
            f"/packages/acme/{'0' * 16}/{WHEEL}",
            f"/packages/acme/{digest[:15]}/{WHEEL}",
            f"/packages/acme/{digest.upper()}x/{WHEEL}",
            f"/packages/acme/{digest}/other-1.0-py3-none-any.whl",
            f"/packages/acme/{digest}/{WHEEL}.metadata.metadata",
            f"/packages/acme/{digest}/.metadata",
            f"/packages/other/{digest}/{WHEEL}",
            f"/packages/acme/{digest}/..%2F..%2F{WHEEL}",
            f"/packages/acme/{digest}/",
            "/packages/acme/../../.index/acme.json",
        ):
            response = self.web.get(path)
            self.assertEqual(response.status, 404, path)
            self.assertIsNone(response["ETag"])

    def test_a_file_that_was_removed(self) -> None:
        self.assertEqual(self.get().status, 200)
        work = self.web.domain.delete("1.0")
        self.successResultOf(started(work))
        response = self.get()
        self.assertEqual(response.status, 404)
        self.assertIn("it may have been removed", response.text)

    def test_a_yanked_file_is_served(self) -> None:
        work = self.web.domain.yank("1.0", "broken")
        self.successResultOf(started(work))
        self.assertEqual(self.get().status, 200)


class RangeTests(FilesCase):
    def test_parts(self) -> None:
        size = len(self.data)
        for asked, start, stop in (
            ("bytes=0-0", 0, 1),
            ("bytes=0-99", 0, 100),
            (f"bytes={size - 1}-", size - 1, size),
            ("bytes=-1", size - 1, size),
            (f"bytes=-{size + 5}", 0, size),
            (f"bytes=100-{size * 2}", 100, size),
            (f"bytes={PIECE - 1}-{PIECE}", PIECE - 1, PIECE + 1),
            ("BYTES = 5 - 9", 5, 10),
        ):
            response = self.get(Range=asked)
            self.assertEqual(response.status, 206, asked)
            self.assertEqual(response.body, self.data[start:stop], asked)
            told = f"bytes {start}-{stop - 1}/{size}"
            self.assertEqual(response["Content-Range"], told)
            self.assertEqual(response["ETag"], self.etag)
            self.assertEqual(response["Cache-Control"], FOREVER)

    def test_only_what_is_asked_for_is_read(self) -> None:
        self.get(Range="bytes=0-0")
        opened = [call for call in self.web.store.calls if call[0] == "open"]
        self.assertEqual(len(opened), 1)

    def test_nothing_of_it_exists(self) -> None:
        size = len(self.data)
        for asked in (
            f"bytes={size}-",
            f"bytes={size}-{size + 1}",
            "bytes=-0",
            f"bytes={'9' * 5000}-",
        ):
            response = self.get(Range=asked)
            self.assertEqual(response.status, 416, asked)
            self.assertEqual(response["Content-Range"], f"bytes */{size}")
            self.assertIn(f"has {size} bytes", response.text)
            self.assertIsNone(response["ETag"])

    def test_what_is_not_understood_is_passed_over(self) -> None:
        for asked in ("bytes=0-0,5-6", "lines=1-2", "bytes=5-4", "bytes=a-b", "x"):
            response = self.get(Range=asked)
            self.assertEqual((response.status, response.body), (200, self.data), asked)
            self.assertIsNone(response["Content-Range"])

    def test_only_if_it_is_still_the_same(self) -> None:
        for validator, status in (
            (self.etag, 206),
            (DATE, 206),
            ('"other"', 200),
            (f"W/{self.etag}", 200),  # strongly compared (RFC 9110, section 13.1.5)
            ("Sun, 01 Mar 2026 09:29:00 GMT", 200),
            ("nonsense", 200),
        ):
            response = self.get(Range="bytes=0-9", If_Range=validator)
            self.assertEqual(response.status, status, validator)

    def test_two_of_them_are_none(self) -> None:
        """RFC 9110, section 14.2."""
        one = "bytes=0-9"
        for fields in (
            {"Range": f"{one}\r\nRange: {one}"},
            {"Range": f"{one}, {one}"},
            {"Range": "bytes=0-\r\nRange: 9"},
            {"Range": one, "If-Range": f"{self.etag}\r\nIf-Range: {self.etag}"},
            {"Range": one, "If-Range": f"{DATE}\r\nIf-Range: {DATE}"},
        ):
            with self.subTest(fields=fields):
                response = self.web.get(self.address, fields)
                self.assertEqual((response.status, response.body), (200, self.data))

    def test_known_already_before_range(self) -> None:
        response = self.get(Range="bytes=0-9", If_None_Match=self.etag)
        self.assertEqual(response.status, 304)

    @settings(max_examples=60, deadline=None)
    @given(
        st.one_of(st.none(), st.integers(0, 300_000)),
        st.one_of(st.none(), st.integers(0, 300_000)),
    )
    def test_any_range(self, first: int | None, last: int | None) -> None:
        asked = f"bytes={'' if first is None else first}-{'' if last is None else last}"
        response = self.get(Range=asked)
        whole = len(self.data)
        if first is None and last is None:
            expected = (200, self.data)
        elif first is None:
            assert last is not None
            tail = self.data[max(0, whole - last) :]
            expected = (206, tail) if last else (416, b"")
        elif last is not None and last < first:
            expected = (200, self.data)
        elif first >= whole:
            expected = (416, b"")
        else:
            stop = whole if last is None else last + 1
            expected = (206, self.data[first:stop])
        self.assertEqual(response.status, expected[0])
        if response.status != 416:
            self.assertEqual(response.body, expected[1])


class ConditionalTests(FilesCase):
    def test_known_already(self) -> None:
        for tags in (self.etag, f"W/{self.etag}", f'"x", {self.etag}', "*"):
            response = self.get(If_None_Match=tags)
            self.assertEqual((response.status, response.body), (304, b""), tags)
            self.assertEqual(response["ETag"], self.etag)
            self.assertEqual(response["Cache-Control"], FOREVER)
        self.assertEqual(self.get(If_Modified_Since=DATE).status, 304)

    def test_another(self) -> None:
        self.assertEqual(self.get(If_None_Match='"x"').status, 200)
        earlier = "Sun, 01 Mar 2026 09:29:00 GMT"
        self.assertEqual(self.get(If_Modified_Since=earlier).status, 200)
        self.assertEqual(self.get(If_Modified_Since="yesterday").status, 200)
        both = self.get(If_None_Match='"x"', If_Modified_Since=DATE)
        self.assertEqual(both.status, 200)

    def test_required(self) -> None:
        later, earlier = DATE.replace("09", "10"), DATE.replace("09", "08")
        for status, headers in (
            (200, {"If-Match": self.etag}),
            (200, {"If-Match": f'"x", {self.etag}'}),
            (200, {"If-Match": "*"}),
            (412, {"If-Match": '"x"'}),
            (412, {"If-Match": f"W/{self.etag}"}),
            (412, {"If-Match": ""}),
            (200, {"If-Unmodified-Since": DATE}),
            (200, {"If-Unmodified-Since": later}),
            (200, {"If-Unmodified-Since": "yesterday"}),
            (412, {"If-Unmodified-Since": earlier}),
            (200, {"If-Unmodified-Since": f"{earlier}, {earlier}"}),
            (
                200,
                {"If-Unmodified-Since": f"{later}\r\nIf-Unmodified-Since: {earlier}"},
            ),
            (200, {"If-Match": f'"x"\r\nIf-Match: {self.etag}'}),
            (200, {"If-Match": f'{self.etag}\r\nIf-Match: "x"'}),
            (200, {"If-Match": self.etag, "If-Unmodified-Since": earlier}),
            (412, {"If-Match": '"x"', "If-None-Match": self.etag}),
            (412, {"If-Match": '"x"', "Range": "bytes=0-1"}),
            (304, {"If-Match": self.etag, "If-None-Match": self.etag}),
        ):
            response = self.web.get(self.address, headers)
            self.assertEqual(response.status, status, headers)
            if status == 412:
                self.assertIn("is not the one", response.text)

    def test_every_server_tells_the_same_tag(self) -> None:
        other = Web(domain=self.web.domain.beside()).get(self.address)
        self.assertEqual(other.fields, self.get().fields)


class LostTests(FilesCase):
    def test_an_object_that_is_gone_is_no_absence(self) -> None:
        del self.web.store.objects[self.key()]
        for headers in ({}, {"Range": "bytes=0-9"}):
            with capturedLogs() as logs:
                response = self.web.get(self.address, headers)
            self.assertEqual(response.status, 503)
            self.assertIn("has lost this file", response.text)
            self.assertEqual(response["Retry-After"], "5")
            self.assertIsNone(response["Content-Range"])
            self.assertIn(self.key(), str([log.get("key") for log in logs]))

    def test_metadata_that_is_gone(self) -> None:
        del self.web.store.objects[f"{self.key()}.metadata"]
        with capturedLogs():
            response = self.web.get(f"{self.address}.metadata")
        self.assertEqual(response.status, 503)
        self.assertEqual(response["Cache-Control"], "no-store")

    def test_an_object_of_another_length_is_not_sent(self) -> None:
        self.web.store.add(self.key(), self.data + b"x")
        with capturedLogs():
            self.assertEqual(self.get().status, 503)

    def test_the_store_is_away(self) -> None:
        self.get()
        self.web.store.fail_next("open", StoreError("The store is away."))
        response = self.get()
        self.assertEqual(response.status, 503)
        self.assertIn("The store is away", response.text)
        self.assertEqual(self.get().status, 200)

    def test_before_the_first_byte_it_is_an_answer(self) -> None:
        self.web.store.fail_next("deliver", StoreError("The store is away."))
        response = self.get()
        self.assertEqual(response.status, 503)
        self.assertIsNone(response["ETag"])

    def test_half_way_it_is_cut_off(self) -> None:
        stored = self.web.store.objects[self.key()]
        broken = evolve(stored, data=BreakingBytes(self.data))
        self.web.store.objects[self.key()] = broken
        connection = self.web.connect()
        with capturedLogs() as logs:
            connection.send(request_bytes("GET", self.address))
        self.assertTrue(connection.wire.aborted)
        self.assertTrue(connection.unread.startswith(b"HTTP/1.1 200 OK"))
        # The answer is not whole, and the client can tell.
        self.assertIn(self.data[:PIECE], connection.unread)
        self.assertIsNone(connection.response())
        self.assertIn("broke off", logs[0]["log_format"])


class FlowTests(FilesCase):
    def test_a_client_that_does_not_read_is_waited_for(self) -> None:
        connection = self.web.connect()
        connection.send(request_bytes("GET", "/health"))
        connection.response()
        held: list[Deferred[None]] = []

        def before(operation: str, key: str) -> Deferred[None] | None:
            if operation != "deliver":
                return None
            held.append(Deferred())
            return held[0]

        self.web.store.before = before
        connection.send(request_bytes("GET", self.address))
        # The transport's buffer is full; Twisted tells the channel so.
        connection.channel.pauseProducing()
        held[0].callback(None)
        self.assertEqual(connection.unread, b"")
        connection.channel.resumeProducing()
        response = connection.response()
        assert response is not None
        self.assertEqual(response.body, self.data)

    def test_a_client_that_goes_away(self) -> None:
        connection = self.web.connect()
        held: Deferred[None] = Deferred()
        self.web.store.before = lambda operation, key: (
            held if operation == "deliver" else None
        )
        connection.send(request_bytes("GET", self.address))
        connection.leave()
        self.web.store.before = lambda operation, key: None
        if not held.called:
            held.callback(None)
        self.assertEqual(self.flushLoggedErrors(), [])
        self.assertEqual(self.get().status, 200)

    def test_two_on_one_connection(self) -> None:
        connection = self.web.connect()
        connection.send(request_bytes("GET", self.address) * 2)
        for _ in range(2):
            response = connection.response()
            assert response is not None
            self.assertEqual(response.body, self.data)
