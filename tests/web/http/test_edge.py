"""Whatever is sent to the whole server: answers that are well-formed, no traceback."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from tests.builders import wheel
from tests.web.doubles import (
    BOUNDARY,
    Connection,
    Response,
    Web,
    basic,
    parse_response,
    stored_project,
    upload_form,
)

WHEEL = "acme-1.0-py3-none-any.whl"
AUTHORIZATION = basic()["Authorization"].encode()

METHODS = st.sampled_from(
    b"GET HEAD POST PUT DELETE OPTIONS PATCH TRACE CONNECT BREW get Head".split()
) | st.binary(max_size=8)

SEGMENTS = st.sampled_from(
    b"simple acme packages pypi legacy json health ready metrics api package 1.0 . .. "
    b"%2e %2F %5c %00 %0d%0a %ff %C3%A4 %zz % ; a;b=c a:b a@b \\ ACME x%20y ~ #".split()
) | st.just(b"")
QUERIES = st.sampled_from(
    [b"", b"?", b"?format=json", b"?format=%ff", b"?format=a&format=b", b"?a=%", b"??"]
)
PATHS = st.builds(
    lambda segments, query: b"/" + b"/".join(segments) + query,
    st.lists(SEGMENTS, max_size=5),
    QUERIES,
)
TARGETS = (
    PATHS
    | st.sampled_from([b"*", b"h:443", b"http://h/simple/", b"http://[::1/", b"x://h/"])
    | st.binary(max_size=20)
)
VERSIONS = st.sampled_from(
    [b"HTTP/1.1"] * 6
    + [b"HTTP/1.0", b"HTTP/1.2", b"HTTP/2.0", b"HTTP/0.9", b"http/1.1"]
) | st.binary(max_size=9)

VALUES = st.sampled_from(
    [
        b"",
        b"*",
        b"*/*",
        b"text/html;q=0.0001",
        b"application/vnd.pypi.simple.v1+json",
        b"application/json, ;q=, text/html;q=x",
        b"gzip, identity;q=0",
        b"bytes=0-",
        b"bytes=-0",
        b"bytes=5-1",
        b"bytes=99999999999999999999-",
        b'"x", W/"y"',
        b"Sun, 01 Mar 2026 09:30:00 GMT",
        b"Sun, 99 Mar 0000 09:30:00 GMT",
        b"100-continue",
        b"close",
        b"keep-alive, upgrade, HTTP2-Settings",
        b"h2c",
        b"websocket",
        b"https",
        b"198.51.100.1, evil",
        b"evil.example/..//",
        b"cross-site",
        b"null",
        b"application/x-www-form-urlencoded",
        b"multipart/form-data",
        b"multipart/form-data; boundary=" + BOUNDARY.encode(),
        b"Basic",
        b"Basic \xff",
        b"Bearer x",
        AUTHORIZATION,
    ]
) | st.binary(max_size=30)
NAMES = st.sampled_from(
    b"Accept Accept-Encoding Range If-Range If-Match If-None-Match If-Modified-Since "
    b"If-Unmodified-Since Expect Connection Upgrade HTTP2-Settings X-Forwarded-For "
    b"X-Forwarded-Proto X-Forwarded-Host X-Forwarded-Prefix Origin Sec-Fetch-Site "
    b"Content-Type Content-Encoding Authorization Cookie Referer User-Agent TE Trailer "
    b"Content_Length Transfer_Encoding Host Via X".split()
) | st.binary(max_size=8)
FIELDS = st.builds(
    lambda name, colon, value, end: name + colon + value + end,
    NAMES,
    st.sampled_from([b": "] * 8 + [b":", b" : ", b":\t", b""]),
    VALUES,
    st.sampled_from([b"\r\n"] * 12 + [b"\n", b"\r", b"\r\n ", b"\0\r\n"]),
)

FORM = upload_form("acme-2.0-py3-none-any.whl", wheel(version="2.0"), version="2.0")
BODIES = st.sampled_from([b"", FORM, FORM[:200], FORM[:-20], b"a=b"]) | st.binary(
    max_size=40
)


def _chunked(body: bytes, size: bytes, trailer: bytes) -> bytes:
    return b"%b\r\n%b\r\n0\r\n%b\r\n" % (size % len(body), body, trailer)


FRAMED = st.one_of(
    BODIES.map(lambda body: b"Content-Length: %d\r\n\r\n" % len(body) + body),
    BODIES.map(lambda body: b"\r\n" + body),
    st.builds(
        lambda body, size, trailer: (
            b"Transfer-Encoding: chunked\r\n\r\n" + _chunked(body, size, trailer)
        ),
        BODIES,
        st.sampled_from([b"%x", b"%X;a=b", b"0%x", b"+%x", b"%x ", b"-%x", b"0x%x"]),
        st.sampled_from([b"", b"", b"A: b\r\n", b"A\r\n", b" A: b\r\n", b"\0: b\r\n"]),
    ),
    st.builds(
        lambda lines, body: lines + b"\r\n" + body,
        st.sampled_from(
            [
                b"Content-Length: 5\r\nContent-Length: 6\r\n",
                b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
                b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
                b"Transfer-Encoding: \x0bchunked\r\n",
                b"Transfer-Encoding: chunked, gzip\r\n",
                b"Content-Length: -1\r\n",
                b"Content-Length: 1e3\r\n",
                b"Content-Length: 18446744073709551617\r\n",
            ]
        ),
        BODIES,
    ),
)

REQUESTS = st.builds(
    lambda method, target, version, host, fields, framed: (
        b"%b %b %b\r\n%b%b%b"
        % (method, target, version, host, b"".join(fields), framed)
    ),
    METHODS,
    TARGETS,
    VERSIONS,
    st.sampled_from([b"Host: pypi.example\r\n"] * 9 + [b"", b"Host: a b\r\n"]),
    st.lists(FIELDS, max_size=4),
    FRAMED,
)


class AnythingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.web = Web()
        self.web.publish(WHEEL, wheel())

    def answers(self, data: bytes, packet: int) -> tuple[list[Response], Connection]:
        """Send bytes, wait a minute or two, and take what was answered apart."""
        connection = self.web.connect()
        with capturedLogs() as logs:
            for start in range(0, len(data), packet):
                connection.send(data[start : start + packet])
                if connection.wire.disconnecting:
                    break
            for _ in range(300):
                self.web.domain.clock.advance(0.5)
        bad = [e for e in logs if e["log_level"] >= LogLevel.error or "failure" in e]
        self.assertEqual(bad, [])
        self.assertEqual(self.flushLoggedErrors(), [])
        rest, taken = connection.unread, []
        # Of a HEAD nobody but its sender knows that there is no body.
        method = "HEAD" if data.lstrip(b"\r\n").startswith(b"HEAD ") else "GET"
        while rest:
            if rest.startswith(b"HTTP/1.0 "):
                rest = rest.replace(b"1.0", b"1.1", 1)  # to a client of 1.0
            parsed = parse_response(rest, method)
            assert parsed is not None, rest[:200]
            response, rest = parsed
            taken.append(response)
            if response.status >= 200:
                method = "GET"
        return taken, connection

    @settings(max_examples=400, deadline=None)
    @given(REQUESTS, st.sampled_from([1, 7, 100, 100_000]))
    def test_one_request(self, data: bytes, packet: int) -> None:
        """Whatever it is, it is answered, or the connection ends."""
        taken, connection = self.answers(data, max(packet, len(data) // 200))
        wire = connection.wire
        final = [response for response in taken if response.status >= 200]
        ended = wire.disconnecting or wire.aborted or wire.half_closed
        self.assertTrue(final or ended)
        for response in final:
            self.assertNotIn("Traceback", response.body.decode("latin-1"))
            if response.status >= 400:
                self.assertNotEqual(response.status, 500)
                self.assertEqual(response["X-Content-Type-Options"], "nosniff")
        connection.leave()

    @settings(max_examples=200, deadline=None)
    @given(st.lists(st.binary(max_size=80) | REQUESTS, max_size=4))
    def test_any_bytes(self, pieces: list[bytes]) -> None:
        """Every byte that comes back belongs to a well-formed answer."""
        data = b"".join(pieces)
        connection = self.web.connect()
        with capturedLogs() as logs:
            connection.send(data)
            for _ in range(300):
                self.web.domain.clock.advance(0.5)
            connection.leave()
        self.assertEqual([e for e in logs if e["log_level"] >= LogLevel.error], [])
        self.assertEqual(self.flushLoggedErrors(), [])
        received = connection.unread
        self.assertRegex(received, rb"\A(?:HTTP/1\.[01] [0-9]{3} |\Z)")

    @settings(max_examples=100, deadline=None)
    @given(
        PATHS,
        st.lists(
            st.tuples(
                st.sampled_from(
                    ["Accept", "Accept-Encoding", "If-None-Match", "If-Match"]
                ),
                st.sampled_from(
                    ["*", "*/*", '"x"', "gzip", "text/html", "identity;q=0"]
                ),
            ),
            max_size=3,
        ),
    )
    def test_head_is_get_without_a_body(
        self, path: bytes, fields: list[tuple[str, str]]
    ) -> None:
        target = path.partition(b"#")[0].decode() or "/"
        get = self.web.get(target, dict(fields))
        head = self.web.head(target, dict(fields))
        self.assertEqual(head.status, get.status)
        self.assertEqual(head.body, b"")
        # The time of day goes on, and what is sent in pieces has no length.
        for name in set(get.fields) - {"date", "transfer-encoding"}:
            self.assertEqual(head[name], get[name], name)

    def test_files(self) -> None:
        """HEAD of a file, too, and of its metadata."""
        file = stored_project(self.web.store).files[0]
        for name in (WHEEL, f"{WHEEL}.metadata"):
            address = f"/packages/acme/{file.sha256[:16]}/{name}"
            get, head = self.web.get(address), self.web.head(address)
            self.assertEqual((head.status, head.fields), (200, get.fields))
