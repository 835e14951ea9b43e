"""The edge: bodies that are read as they come, refusals, limits, the way out."""

from __future__ import annotations

import re
import socket
import ssl

from hypothesis import given, settings
from hypothesis import strategies as st
from klein import Klein
from twisted.internet import main
from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IPushProducer
from twisted.internet.task import Clock
from twisted.internet.tcp import Connection
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs, formatEvent
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from zope.interface import implementer

from pypicloud_tw.concurrency.pieces import SLICE
from pypicloud_tw.errors import BadRequest, PayloadTooLarge, RequestTimeout
from pypicloud_tw.web.http.connection import (
    LARGE_BODY,
    LEAVE,
    MOST_AT_ONCE,
    AnsweredError,
    Channel,
)
from pypicloud_tw.web.http.head import HeadParser
from pypicloud_tw.web.http.outgoing import LARGE_READ, SMALL_READ
from pypicloud_tw.web.http.request import Request
from pypicloud_tw.web.http.site import Site
from tests.certificates import certificate
from tests.measures import memory_kept
from tests.web.http.doubles import LIMITS, PEER, Client, Wire

DATE = b"Thu, 01 Jan 1970 00:00:00 GMT"


def answer(request: Request, body: bytes, status: int = 200) -> None:
    request.send_whole(status, b"Content-Length: %d\r\n" % len(body), body)


async def echo(request: Request) -> None:
    """Answer with what was sent."""
    answer(request, b"".join([piece async for piece in request.body]))


async def refuse(request: Request) -> None:
    """Answer before the body is read."""
    answer(request, b"no", 401)


async def sized(request: Request) -> None:
    """Answer with the path, whatever the body is."""
    answer(request, request.path)


class Reader:
    """A handler that reads when it is told, and remembers what became of it."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.errors: list[BaseException] = []
        self.limit: int | None = None

    async def __call__(self, request: Request) -> None:
        request.body.limit = self.limit
        try:
            async for piece in request.body:
                self.pieces.append(piece)
        except Exception as error:
            self.errors.append(error)
            answer(request, b"bad", getattr(error, "status", 500))
            return
        answer(request, b"ok")


async def never(request: Request) -> None:
    """Neither read nor answer."""


def post(
    body: bytes | None = None, *, length: int | None = None, more: bytes = b""
) -> bytes:
    size = len(body or b"") if length is None else length
    head = b"POST /up HTTP/1.1\r\nHost: h\r\n%bContent-Length: %d\r\n\r\n"
    return head % (more, size) + (body or b"")


CHUNKED = b"POST /up HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
GET = b"GET /next HTTP/1.1\r\nHost: h\r\n\r\n"


def statuses(data: bytes) -> list[int]:
    """The statuses of answers, none of whose bodies looks like one."""
    return [int(code) for code in re.findall(rb"HTTP/1\.1 ([0-9]{3}) ", data)]


class Dispatch(SynchronousTestCase):
    """A handler runs at the end of the head."""

    def test_before_the_body(self) -> None:
        client = Client(never)
        client.send(b"PUT /a%20b?x=1&y=&x=2 HTTP/1.1\r\nHost: h\r\n")
        self.assertEqual(client.resource.requests, [])
        client.send(b"Content-Length: 10\r\n\r\n")
        (request,) = client.resource.requests
        self.assertEqual(request.method, b"PUT")
        self.assertEqual(request.uri, b"/a%20b?x=1&y=&x=2")
        self.assertEqual(request.path, b"/a%20b")
        self.assertEqual(request.args, {b"x": [b"1", b"2"], b"y": [b""]})
        self.assertEqual(request.clientproto, b"HTTP/1.1")
        self.assertEqual(request.postpath, [b"a b"])
        self.assertEqual(request.body.length, 10)
        assert request.content is not None
        self.assertEqual(request.content.read(), b"")
        self.assertEqual(request.getHeader(b"host"), b"h")

    def test_body_as_it_comes(self) -> None:
        reader = Reader()
        client = Client(reader)
        client.send(post(b"abc", length=7))
        client.send(b"de")
        client.send(b"fg")
        self.assertEqual(reader.pieces, [b"abc", b"de", b"fg"])
        self.assertEqual(statuses(client.received()), [200])

    def test_one_byte_a_packet(self) -> None:
        client = Client(echo)
        client.send(post(b"hello") + CHUNKED + b"5\r\nworld\r\n0\r\n\r\n", at_once=1)
        data = client.received()
        self.assertEqual(statuses(data), [200, 200])
        self.assertIn(b"\r\n\r\nhello", data)
        self.assertTrue(data.endswith(b"\r\n\r\nworld"))

    def test_no_body(self) -> None:
        client = Client(echo)
        client.send(GET)
        self.assertEqual(statuses(client.received()), [200])
        self.assertEqual(client.resource.requests[0].body.length, 0)

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(st.binary(max_size=40), max_size=5),
        st.lists(st.integers(1, 60), min_size=1, max_size=30),
        st.booleans(),
    )
    def test_any_packets(
        self, bodies: list[bytes], packets: list[int], chunked: bool
    ) -> None:
        """However the bytes are cut, the same requests are found in them."""
        data = b""
        for body in bodies:
            data += _chunked(body) if chunked else post(body)
        client = Client(echo)
        position = turn = 0
        while position < len(data):
            step = packets[turn % len(packets)]
            client.send(data[position : position + step])
            position, turn = position + step, turn + 1
        client.clock.advance(0)
        answers = client.received()
        expected = b"".join(
            b"HTTP/1.1 200 OK\r\nServer: %b\r\nDate: %b\r\nContent-Length: %d\r\n\r\n%b"
            % (_server(client), DATE, len(body), body)
            for body in bodies
        )
        self.assertEqual(answers, expected)

    def test_many_that_come_at_once_let_others_have_their_turns(self) -> None:
        """What is in memory by then is answered as such, and who left is not."""

        async def slow(request: Request) -> None:
            client.clock.rightNow += SLICE * 0.6
            answer(request, request.path)

        client, known = Client(slow), set[bytes]()

        def express(channel: Channel, data: bytes) -> bool:
            path = data.split()[1]
            if path in known:
                channel.answer_at_once(200, b"Content-Length: 4\r\n", b"fast")
            return path in known

        client.site.express = express
        others = [client.connect() for _ in range(5)]
        for number, (_, channel) in enumerate(others):
            channel.dataReceived(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number)
        self.assertEqual(len(client.resource.requests), 2)
        self.assertEqual(others[2][0].value(), b"")
        known |= {b"/2", b"/now"}
        client.send(b"GET /now HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertTrue(client.received().endswith(b"fast"))
        others[3][1].connectionLost(Failure(main.CONNECTION_DONE))
        client.clock.advance(0)
        self.assertTrue(others[2][0].value().endswith(b"fast"))
        self.assertTrue(others[4][0].value().endswith(b"/4"))
        paths = [request.path for request in client.resource.requests]
        self.assertEqual(paths, [b"/0", b"/1", b"/4"])

    def test_what_waits_is_served_in_order(self) -> None:
        """The rest of a head, and more requests, may come meanwhile."""
        client = Client(sized)
        client.site.slices.spend(client.clock.seconds() - 1)
        one, two = (b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % n for n in (1, 2))
        client.send(one[:10])
        client.send(one[10:] + two)
        self.assertEqual(client.received(), b"")
        client.clock.advance(0)
        paths = [request.path for request in client.resource.requests]
        self.assertEqual(paths, [b"/1", b"/2"])

    def test_pipelined(self) -> None:
        """Many at once are served in order, a few in a turn."""
        client = Client(sized)
        count = MOST_AT_ONCE * 2 + 3
        client.send(
            b"".join(b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n" % n for n in range(count))
        )
        self.assertEqual(len(client.resource.requests), MOST_AT_ONCE)
        for _ in range(3):
            client.clock.advance(0)
        paths = [request.path for request in client.resource.requests]
        self.assertEqual(paths, [b"/%d" % n for n in range(count)])

    def test_pipelined_unread(self) -> None:
        """Nobody who does not read gets more answers."""
        client = Client(sized)

        async def stuck(request: Request) -> None:
            client.channel.pauseProducing()
            answer(request, b"x")

        client.resource.handler = stuck
        client.send(GET * 3)
        self.assertEqual(len(client.resource.requests), 1)
        client.channel.resumeProducing()
        self.assertEqual(len(client.resource.requests), 2)

    def test_later_requests_wait(self) -> None:
        """While one is handled the next ones are buffered, up to a bound."""
        client = Client(never)
        client.send(GET)
        client.send(GET * 10)
        self.assertFalse(client.wire.paused)
        client.send(GET * 1000)
        self.assertTrue(client.wire.paused)
        self.assertEqual(len(client.resource.requests), 1)

    def test_klein(self) -> None:
        """A Klein application works on it: routes, HEAD, errors, finishing."""
        app = Klein()

        @app.route("/p/<name>/", methods=["GET", "HEAD"])
        def project(request: Request, name: str) -> bytes:
            request.setHeader(b"X-Finish", b"1")
            return name.encode()

        @app.route("/p/<name>/", methods=["POST"])
        async def upload(request: Request, name: str) -> bytes:
            return b"".join([piece async for piece in request.body])

        client = Client(never)
        client.site.resource = app.resource()
        client.send(b"GET /p/foo/ HTTP/1.1\r\nHost: h\r\n\r\n")
        data = client.received()
        self.assertEqual(statuses(data), [200])
        self.assertIn(b"\r\n3\r\nfoo\r\n0\r\n\r\n", data)
        client.send(b"HEAD /p/foo/ HTTP/1.1\r\nHost: h\r\n\r\n")
        self.assertTrue(client.received().endswith(b"\r\n\r\n"))
        client.send(b"POST /p/x/ HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nab")
        self.assertEqual(client.received(), b"")
        client.send(b"cd")
        self.assertIn(b"\r\n4\r\nabcd\r\n", client.received())
        client.send(b"GET /absent HTTP/1.1\r\nHost: h\r\n\r\n")
        self.assertEqual(statuses(client.received()), [404])

    def test_tree_of_resources(self) -> None:
        """A resource that is no leaf is searched as Twisted does."""
        root = Resource()
        client = Client(sized)
        root.putChild(b"a", client.resource)
        client.site.resource = root
        client.send(b"GET /a/b HTTP/1.1\r\nHost: h\r\n\r\n")
        self.assertTrue(client.received().endswith(b"/a/b"))
        self.assertEqual(client.resource.requests[0].postpath, [b"b"])


def _chunked(body: bytes) -> bytes:
    chunks = b"".join(b"%x;x=y\r\n%c\r\n" % (1, byte) for byte in body)
    return CHUNKED + chunks + b"0\r\nTrailer: 1\r\n\r\n"


def _server(client: Client) -> bytes:
    return dict(client.site.common_headers())[b"Server"]


class Continue(SynchronousTestCase):
    """``Expect: 100-continue`` is answered by whoever reads the body."""

    EXPECT = b"Expect: 100-continue\r\n"

    def test_on_first_read(self) -> None:
        client = Client(echo)
        client.send(post(length=3, more=self.EXPECT))
        self.assertEqual(client.received(), b"HTTP/1.1 100 Continue\r\n\r\n")
        client.send(b"abc")
        self.assertEqual(statuses(client.received()), [200])

    def test_not_before_a_read(self) -> None:
        client = Client(never)
        client.send(post(length=3, more=self.EXPECT))
        self.assertEqual(client.received(), b"")

    def test_final_answer_instead(self) -> None:
        client = Client(refuse)
        client.send(post(length=3, more=self.EXPECT))
        data = client.received()
        self.assertEqual(statuses(data), [401])
        self.assertIn(b"Connection: close\r\n", data)

    def test_too_long_instead(self) -> None:
        reader = Reader()
        reader.limit = 10
        client = Client(reader)
        client.send(post(length=11, more=self.EXPECT))
        self.assertEqual(statuses(client.received()), [413])
        self.assertIsInstance(reader.errors[0], PayloadTooLarge)

    def test_not_to_who_has_begun(self) -> None:
        client = Client(echo)
        client.send(post(b"a", length=3, more=self.EXPECT))
        self.assertEqual(client.received(), b"")

    def test_ignored_for_http_1_0(self) -> None:
        client = Client(echo)
        head = post(length=3, more=self.EXPECT).replace(b"HTTP/1.1", b"HTTP/1.0")
        client.send(head)
        self.assertEqual(client.received(), b"")
        client.send(b"abc")
        self.assertEqual(statuses(client.received()), [200])


class Pace(SynchronousTestCase):
    """A body waits for its reader, and its sender with it."""

    def test_paused_and_resumed(self) -> None:
        client = Client(never)
        client.send(post(length=2**20))
        client.send(b"x" * 2**18)
        self.assertTrue(client.wire.paused)
        (request,) = client.resource.requests
        self.assertEqual(self.successResultOf(_deferred(request)), b"x" * 2**18)
        self.assertFalse(client.wire.paused)

    def test_tiny_pieces_count_for_more(self) -> None:
        """What the pieces themselves cost is bounded too."""
        client = Client(never)
        client.send(CHUNKED + b"1388\r\n")
        client.send(b"x" * 5000, at_once=1)
        self.assertTrue(client.wire.paused)

    def test_answer_does_not_resume(self) -> None:
        """That the client reads an answer does not let it send more of a body."""
        client = Client(never)
        client.send(post(length=2**20))
        client.channel.pauseProducing()
        client.send(b"x" * 2**19)
        client.channel.resumeProducing()
        self.assertTrue(client.wire.paused)

    def test_stalled(self) -> None:
        reader = Reader()
        client = Client(reader)
        client.send(post(b"ab", length=10))
        client.clock.advance(LIMITS.body - 1)
        client.send(b"c")
        client.clock.advance(LIMITS.body - 1)
        self.assertEqual(reader.errors, [])
        client.clock.advance(1)
        self.assertIsInstance(reader.errors[0], RequestTimeout)
        self.assertEqual(
            str(reader.errors[0]), "Nothing more of the request came for 20 seconds."
        )
        self.assertEqual(statuses(client.received()), [408])

    def test_our_own_pause_does_not_count(self) -> None:
        client = Client(never)
        client.send(post(length=10))
        client.clock.advance(1000)
        read = _deferred(client.resource.requests[0])
        client.clock.advance(LIMITS.body - 1)
        self.assertNoResult(read)
        client.clock.advance(1)
        self.failureResultOf(read, RequestTimeout)

    def test_client_leaves(self) -> None:
        reader = Reader()
        client = Client(reader)
        client.send(post(b"ab", length=10))
        client.leave()
        self.assertIsInstance(reader.errors[0], ConnectionLost)
        self.assertEqual(client.clock.getDelayedCalls()[0].getTime(), 1.0)  # the log's
        client.clock.advance(1)
        self.assertEqual(client.clock.getDelayedCalls(), [])
        self.assertIn(b'"POST /up HTTP/1.1" 499 - ', client.log[0])

    def test_client_that_leaves_is_forgotten(self) -> None:
        """The reactor has one ConnectionDone, which must not keep the readers' frames.

        Every raise of an exception adds to its traceback.
        """
        client = Client(Reader())
        client.send(post(b"ab", length=10))
        client.leave()
        self.assertIsNone(main.CONNECTION_DONE.__traceback__)

    def test_read_given_up(self) -> None:
        client = Client(never)
        client.send(post(length=10))
        (request,) = client.resource.requests
        read = _deferred(request)
        read.addErrback(lambda _: None)
        read.cancel()
        client.send(b"abc")
        self.assertEqual(self.successResultOf(_deferred(request)), b"abc")

    def test_one_reader(self) -> None:
        client = Client(never)
        client.send(post(length=10))
        (request,) = client.resource.requests
        _deferred(request).addErrback(lambda _: None)
        failure = self.failureResultOf(_deferred(request), RuntimeError)
        self.assertIn("one reader", str(failure.value))

    def test_read_after_the_answer(self) -> None:
        client = Client(refuse)
        client.send(post(length=10))
        self.failureResultOf(_deferred(client.resource.requests[0]), AnsweredError)


def _deferred(request: Request) -> Deferred[bytes]:
    return Deferred.fromCoroutine(request.body.read())


class TooLong(SynchronousTestCase):
    """A limit holds for what is declared and for what comes."""

    def setUp(self) -> None:
        self.reader = Reader()
        self.reader.limit = 10
        self.client = Client(self.reader)

    def test_declared(self) -> None:
        self.client.send(post(length=11))
        data = self.client.received()
        self.assertEqual(statuses(data), [413])
        self.assertIn(b"Connection: close\r\n", data)
        self.assertEqual(self.reader.pieces, [])

    def test_as_it_comes(self) -> None:
        self.client.send(CHUNKED + b"a\r\n0123456789\r\n")
        self.assertEqual(self.reader.errors, [])
        self.client.send(b"1\r\nx\r\n")
        self.assertIsInstance(self.reader.errors[0], PayloadTooLarge)
        self.assertEqual(statuses(self.client.received()), [413])

    def test_came_with_the_head(self) -> None:
        self.client.send(CHUNKED + b"b\r\n01234567890\r\n")
        self.assertIsInstance(self.reader.errors[0], PayloadTooLarge)
        self.assertEqual(self.reader.pieces, [])

    def test_just_long_enough(self) -> None:
        self.client.send(post(b"0123456789"))
        self.assertEqual(statuses(self.client.received()), [200])


class Refusal(SynchronousTestCase):
    """An answer that comes before the body's end reaches who is still sending."""

    def test_half_closed_and_drained(self) -> None:
        client = Client(refuse)
        client.send(post(b"abc", length=10))
        data = client.received()
        self.assertIn(b"Connection: close\r\n", data)
        self.assertTrue(client.wire.half_closed)
        self.assertFalse(client.wire.disconnecting)
        client.send(b"defg")
        self.assertFalse(client.wire.disconnecting)

    def test_closed_when_the_body_has_come(self) -> None:
        client = Client(refuse)
        client.send(post(length=10))
        client.send(b"012345678")
        self.assertFalse(client.wire.disconnecting)
        client.send(b"9")
        self.assertTrue(client.wire.disconnecting)
        self.assertFalse(client.wire.aborted)

    def test_body_that_holds_a_request(self) -> None:
        """Neither before nor after the refusal is a body taken for a request."""
        client = Client(refuse)
        inner = b"DELETE /p HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"
        client.send(post(length=len(inner) * 3))
        client.send(inner)
        client.send(inner + inner + inner)
        self.assertEqual(len(client.resource.requests), 1)
        self.assertEqual(statuses(client.received()), [401])

    def test_chunked_body_that_holds_a_request(self) -> None:
        client = Client(refuse)
        client.send(CHUNKED + b"5\r\nab")
        client.send(b"cde\r\n0\r\n\r\n" + GET)
        client.send(GET)
        self.assertEqual(len(client.resource.requests), 1)
        self.assertTrue(client.wire.half_closed)

    def test_bound_of_bytes(self) -> None:
        client = Client(refuse)
        client.send(post(length=10**6))
        client.send(b"x" * LIMITS.linger_bytes)
        self.assertFalse(client.wire.aborted)
        client.send(b"x")
        self.assertTrue(client.wire.aborted)

    def test_bound_of_time(self) -> None:
        client = Client(refuse)
        client.send(post(length=10**6))
        client.clock.advance(LIMITS.linger - 1)
        client.send(b"x")
        self.assertFalse(client.wire.aborted)
        client.clock.advance(1)
        self.assertTrue(client.wire.aborted)

    def test_paused_sender_is_resumed(self) -> None:
        client = Client(never)
        client.send(post(length=10**6))
        client.send(b"x" * 2**19)
        self.assertTrue(client.wire.paused)
        answer(client.resource.requests[0], b"no", 403)
        self.assertFalse(client.wire.paused)

    def test_answer_in_pieces(self) -> None:
        """A slow answer that begins before the end of the body says so as well."""
        client = Client(never)
        client.send(post(length=3))
        (request,) = client.resource.requests
        request.write(b"part")
        client.send(b"abc" + GET)
        request.finish()
        data = client.received()
        self.assertIn(b"Connection: close\r\n", data)
        self.assertTrue(client.wire.disconnecting)
        self.assertEqual(len(client.resource.requests), 1)

    def test_complete_body_unread(self) -> None:
        """A body that has come whole and that nobody reads costs no connection."""
        client = Client(sized)
        client.send(post(b"abc") + GET)
        data = client.received()
        self.assertEqual(statuses(data), [200, 200])
        self.assertNotIn(b"Connection", data)
        self.assertTrue(data.endswith(b"/next"))

    def test_secure_is_not_half_closed(self) -> None:
        client = Client(refuse)
        client.channel._secure = True
        client.send(post(length=10))
        self.assertFalse(client.wire.half_closed)
        client.send(b"0123456789")
        self.assertTrue(client.wire.disconnecting)


class BrokenChunks(SynchronousTestCase):
    """Chunks that are none end the request and the connection."""

    def test_read(self) -> None:
        reader = Reader()
        client = Client(reader)
        client.send(CHUNKED + b"3\r\nabc\r\n")
        client.send(b"zz\r\n" + GET)
        self.assertIsInstance(reader.errors[0], BadRequest)
        self.assertEqual(
            str(reader.errors[0]), "The request's chunks are not well-formed."
        )
        data = client.received()
        self.assertEqual(statuses(data), [400])
        self.assertIn(b"Connection: close\r\n", data)
        client.send(GET)
        self.assertEqual(len(client.resource.requests), 1)

    def test_unread(self) -> None:
        client = Client(sized)
        client.send(CHUNKED + b"zz\r\n" + GET)
        data = client.received()
        self.assertEqual(statuses(data), [200])
        self.assertIn(b"Connection: close\r\n", data)

    def test_trailer_section(self) -> None:
        """Its fields are well-formed, or a proxy in front ended it elsewhere."""
        end = b"3\r\nabc\r\n0\r\n"
        for trailer in (b"", b"A: b\r\n", b"A: b\r\nx-c:\r\n", b"Host: i\r\n"):
            with self.subTest(trailer=trailer):
                client = Client(echo)
                client.send(CHUNKED + end + trailer + b"\r\n" + CHUNKED + end + b"\r\n")
                self.assertEqual(statuses(client.received()), [200, 200])
        for trailer in (
            b"A\r\n",
            b": b\r\n",
            b"A : b\r\n",
            b"A: b\r\n c\r\n",
            b" A: b\r\n",
            b"A: b\0\r\n",
            b"A: b\rc: d\r\n",
            b"A: b\nc: d\r\n",
            b"GET /next HTTP/1.1\r\nHost: h\r\n",
            b"A: b\r\n" * 300,
            b"A: " + b"b" * 20_000 + b"\r\n",
        ):
            for at_once in (0, 1):
                with self.subTest(trailer=trailer[:60], at_once=at_once):
                    reader = Reader()
                    client = Client(reader)
                    client.send(CHUNKED + end + trailer + b"\r\n", at_once=at_once)
                    self.assertIsInstance(reader.errors[0], BadRequest)
                    answered = client.received()
                    self.assertEqual(statuses(answered), [400])
                    self.assertIn(b"Connection: close\r\n", answered)

    def test_endless_trailer(self) -> None:
        reader = Reader()
        client = Client(reader)
        client.send(CHUNKED + b"0\r\n" + b"A: b" * 5000)
        self.assertEqual(statuses(client.received()), [400])

    def test_noise_is_bounded(self) -> None:
        client = Client(never)
        client.send(CHUNKED + b"zz\r\n")
        client.send(b"x" * (LIMITS.linger_bytes + 1))
        self.assertTrue(client.wire.aborted)


class Deadlines(SynchronousTestCase):
    """Nobody holds a connection for nothing."""

    def test_idle(self) -> None:
        client = Client(sized)
        client.send(GET)
        client.clock.advance(LIMITS.idle - 1)
        self.assertFalse(client.wire.disconnecting)
        client.clock.advance(1)
        self.assertTrue(client.wire.disconnecting)

    def test_first_request(self) -> None:
        client = Client(sized)
        client.clock.advance(LIMITS.head)
        self.assertTrue(client.wire.disconnecting)

    def test_slow_head(self) -> None:
        """Drop by drop is no excuse."""
        client = Client(sized)
        client.send(GET)
        client.received()
        for byte in GET[:9]:
            client.send(bytes([byte]))
            client.clock.advance(1)
        self.assertEqual(client.received(), b"")
        client.clock.advance(1)
        self.assertEqual(statuses(client.received()), [408])

    def test_none_while_handled(self) -> None:
        client = Client(never)
        client.send(GET)
        client.clock.advance(10**6)
        self.assertFalse(client.wire.disconnecting)

    def test_answer_not_taken(self) -> None:
        client = Client(never)
        client.send(GET)
        client.channel.pauseProducing()
        client.clock.advance(LIMITS.send - 1)
        self.assertFalse(client.wire.aborted)
        client.clock.advance(1)
        self.assertTrue(client.wire.aborted)

    def test_answer_taken_slowly(self) -> None:
        client = Client(never)
        client.send(GET)
        for _ in range(5):
            client.channel.pauseProducing()
            client.clock.advance(LIMITS.send - 1)
            client.channel.resumeProducing()
        client.clock.advance(10**6)
        self.assertFalse(client.wire.aborted)

    def test_closing_ends(self) -> None:
        client = Client(sized)
        client.send(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        self.assertTrue(client.wire.disconnecting)
        client.wire.disconnecting = False
        client.clock.advance(LIMITS.send)
        self.assertTrue(client.wire.aborted)

    def test_many_requests_one_delayed_call(self) -> None:
        client = Client(sized)
        for _ in range(5):
            client.send(GET)
        log, *deadlines = sorted(
            client.clock.getDelayedCalls(), key=lambda call: call.getTime()
        )
        self.assertEqual(log.getTime(), 1.0)
        self.assertEqual(len(deadlines), 1)


class Answers(SynchronousTestCase):
    """What an answer looks like on the wire."""

    def test_whole(self) -> None:
        client = Client(sized)
        client.send(GET)
        self.assertEqual(
            client.received(),
            b"HTTP/1.1 200 OK\r\nServer: %b\r\nDate: %b\r\nContent-Length: 5\r\n\r\n"
            b"/next" % (_server(client), DATE),
        )

    def test_date_moves(self) -> None:
        client = Client(sized)
        client.send(GET)
        client.clock.advance(2)
        client.send(GET)
        self.assertIn(b"Date: Thu, 01 Jan 1970 00:00:02 GMT\r\n", client.received())

    def test_head_has_no_body(self) -> None:
        client = Client(sized)
        client.send(GET.replace(b"GET", b"HEAD"))
        data = client.received()
        self.assertIn(b"Content-Length: 5\r\n", data)
        self.assertTrue(data.endswith(b"\r\n\r\n"))

    def test_not_modified_has_no_body(self) -> None:
        async def unchanged(request: Request) -> None:
            request.send_whole(304, b'ETag: "x"\r\n', b"body")

        client = Client(unchanged)
        client.send(GET)
        self.assertTrue(client.received().endswith(b'ETag: "x"\r\n\r\n'))

    def test_whole_tells_who_waits(self) -> None:
        client = Client(never)
        client.send(GET)
        (request,) = client.resource.requests
        finished = request.notifyFinish()
        answer(request, b"x")
        self.assertIsNone(self.successResultOf(finished))

    def test_http_1_0_closes(self) -> None:
        client = Client(sized)
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        self.assertIn(b"Connection: close\r\n", client.received())
        self.assertTrue(client.wire.disconnecting)

    def test_reason(self) -> None:
        """One line of at most 200 printable characters, whatever is given."""

        async def handler(request: Request) -> None:
            request.set_status(400, "Not\r\nSet-Cookie: x=1\x00 é\t" + "y" * 300)
            request.finish()

        client = Client(handler)
        client.send(GET)
        line = client.received().split(b"\r\n")[0]
        self.assertEqual(
            line, b"HTTP/1.1 400 " + (b"Not Set-Cookie: x=1? ? " + b"y" * 300)[:200]
        )

    def test_common_headers(self) -> None:
        async def handler(request: Request) -> None:
            request.setHeader(b"Server", b"mine")
            request.write(b"x")
            request.finish()

        client = Client(handler)
        client.send(GET)
        data = client.received()
        self.assertIn(b"Server: mine\r\n", data)
        self.assertIn(b"Date: %b\r\n" % DATE, data)
        self.assertEqual(data.count(b"Server:"), 1)

    def test_short_answer_cuts(self) -> None:
        """What is shorter than it said must not be followed by another answer."""

        async def handler(request: Request) -> None:
            request.setHeader(b"Content-Length", b"10")
            request.write(b"abc")
            request.finish()

        client = Client(handler)
        client.send(GET + GET)
        self.assertTrue(client.wire.aborted)
        self.assertEqual(statuses(client.received()), [200])

    def test_abort(self) -> None:
        async def handler(request: Request) -> None:
            request.write(b"abc")
            request.abort()
            request.write(b"def")
            request.finish()

        client = Client(handler)
        client.send(GET)
        self.assertTrue(client.wire.aborted)
        self.assertTrue(client.received().endswith(b"3\r\nabc\r\n"))

    def test_failure_is_500(self) -> None:
        async def handler(request: Request) -> None:
            raise ZeroDivisionError("inner secret")

        client = Client(handler)
        client.send(GET)
        data = client.received()
        self.assertEqual(statuses(data), [500])
        self.assertNotIn(b"secret", data)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        length = int(data.split(b"Content-Length: ")[1].split(b"\r\n")[0])
        self.assertEqual(len(data.split(b"\r\n\r\n")[1]), length)

    def test_failure_tells_no_secret(self) -> None:
        async def fail(_request: Request) -> None:
            raise KeyError

        client = Client(fail)
        with capturedLogs() as logs:
            client.send(GET.replace(b"/next", b"/next?token=hunter2&a=1"))
        self.flushLoggedErrors(KeyError)
        texts = [formatEvent(event) for event in logs]
        self.assertIn("<Request GET /next?token=***&a=1> failed", texts)

    def test_failure_after_the_beginning_cuts(self) -> None:
        async def handler(request: Request) -> None:
            request.write(b"abc")
            raise ZeroDivisionError

        client = Client(handler)
        client.send(GET)
        self.assertTrue(client.wire.aborted)
        self.flushLoggedErrors(ZeroDivisionError)

    def test_gone_client_is_no_error(self) -> None:
        client = Client(never)
        client.send(GET)
        (request,) = client.resource.requests
        finished = request.notifyFinish()
        client.leave()
        self.failureResultOf(finished, ConnectionDone)
        request.write(b"x")
        request.finish()
        answer(request, b"x")
        request.abort()
        producer = Producer()
        request.registerProducer(producer, True)
        request.unregisterProducer()
        self.assertEqual(producer.calls, ["stop"])

    def test_producer(self) -> None:
        client = Client(never)
        client.send(GET)
        (request,) = client.resource.requests
        producer = Producer()
        client.channel.pauseProducing()
        request.registerProducer(producer, True)
        client.channel.resumeProducing()
        client.channel.pauseProducing()
        self.assertEqual(producer.calls, ["pause", "resume", "pause"])
        request.unregisterProducer()


@implementer(IPushProducer)
class Producer:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def pauseProducing(self) -> None:
        self.calls.append("pause")

    def resumeProducing(self) -> None:
        self.calls.append("resume")

    def stopProducing(self) -> None:
        self.calls.append("stop")


class Heads(SynchronousTestCase):
    """What is no request, or not to be trusted, is refused with a sentence."""

    def refused(self, data: bytes) -> tuple[int, bytes]:
        client = Client(sized)
        client.send(data)
        answered = client.received()
        self.assertEqual(client.resource.requests, [])
        self.assertEqual(len(statuses(answered)), 1, answered)
        self.assertIn(b"Connection: close\r\n", answered)
        client.send(GET)
        self.assertEqual(client.resource.requests, [])
        client.clock.advance(1)
        self.assertIn(b'"- - -" %d' % statuses(answered)[0], client.log[0])
        return statuses(answered)[0], answered.split(b"\r\n\r\n")[1].strip()

    def test_refused(self) -> None:
        one = b"GET / HTTP/1.1\r\nHost: h\r\n"
        for data, status, sentence in (
            (b"\x16\x03\x01 hello\r\n\r\n", 400, b"first line"),
            (b"\x16", 400, b"first line"),
            (b"head / HTTP/1.1\r\nHost: h\r\n\r\n", 501, b"case differ"),
            (b"Get / HTTP/1.1\r\nHost: h\r\n\r\n", 501, b"case differ"),
            (b"post / HTTP/1.1\r\nHost: h\r\n\r\n", 501, b"case differ"),
            (b"hello / world\r\nHost: h\r\n\r\n", 400, b"first line"),
            (b"GET / http/1.1\r\nHost: h\r\n\r\n", 400, b"first line"),
            (b"GET / HTTP/1.10\r\nHost: h\r\n\r\n", 400, b"first line"),
            (b"GET / HTTP/1\r\nHost: h\r\n\r\n", 400, b"first line"),
            (b"GET /#a HTTP/1.1\r\nHost: h\r\n\r\n", 400, b"first line"),
            (b"GET / HTTP/0.9\r\nHost: h\r\n\r\n", 505, b"spoken"),
            (b"GET / HTTP/3.0\r\nHost: h\r\n\r\n", 505, b"spoken"),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, b"spoken"),
            (b"GET /\r\n\r\n", 400, b"first line"),
            (b"\n" + one + b"\r\n", 400, b"CR LF"),
            (b"\r" + one + b"\r\n", 400, b"CR LF"),
            (b"\r\n\r\r\n" + one + b"\r\n", 400, b"CR LF"),
            (b" " + one + b"\r\n", 400, b"first line"),
            (b"GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505, b"spoken"),
            (b"GET  / HTTP/1.1\r\nHost: h\r\n\r\n", 400, b"first line"),
            (b"G(T / HTTP/1.1\r\nHost: h\r\n\r\n", 400, b"first line"),
            (b"GET /\xc3\xa9 HTTP/1.1\r\nHost: h\r\n\r\n", 400, b"first line"),
            (b"GET / HTTP/1.1\r\n\r\n", 400, b"no Host"),
            (one + b"Host: i\r\n\r\n", 400, b"not one valid name"),
            (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, b"not one valid name"),
            (b"GET evil HTTP/1.1\r\nHost: h\r\n\r\n", 400, b"target"),
            (b"GET * HTTP/1.1\r\nHost: h\r\n\r\n", 400, b"target"),
            (b"CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n", 400, b"target"),
            (one + b"A\r\n\r\n", 400, b"no colon"),
            (one + b"A : b\r\n\r\n", 400, b"token"),
            (one + b" folded: b\r\n\r\n", 400, b"token"),
            (one + b": b\r\n\r\n", 400, b"token"),
            (one + b"A: b\nC: d\r\n\r\n", 400, b"CR LF"),
            (one + b"A: b\rC: d\r\n\r\n", 400, b"CR LF"),
            (one + b"A: b\x00\r\n\r\n", 400, b"NUL"),
            (one + b"Content-Length: +1\r\n\r\n", 400, b"not one number"),
            (one + b"Content-Length: 1, 1\r\n\r\n", 400, b"not one number"),
            (one + b"Content-Length: \r\n\r\n", 400, b"not one number"),
            (one + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", 400, b"number"),
            (
                one + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\n",
                400,
                b"not one number",
            ),
            (
                one + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                400,
                b"two ways",
            ),
            (
                b"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
                400,
                b"two ways",
            ),
            (one + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501, b"chunked"),
            (one + b"Transfer-Encoding: xchunked\r\n\r\n", 501, b"chunked"),
            (one + b"Transfer-Encoding: \x0bchunked\r\n\r\n", 501, b"chunked"),
            (one + b"Transfer-Encoding: chunked, chunked\r\n\r\n", 501, b"chunked"),
            (one + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n", 501, b"chunked"),
            (one + b"Transfer-Encoding : chunked\r\n\r\n", 400, b"token"),
            (one + b"Authorization: a\r\nauthorization: b\r\n\r\n", 400, b"two"),
            (one + b"Authorization: a\r\n" * 2 + b"\r\n", 400, b"two Authorization"),
            (one + b"Content-Type: a\r\n" * 2 + b"\r\n", 400, b"two Content-Type"),
            (one + b"Origin: a\r\n" * 2 + b"\r\n", 400, b"two Origin"),
            (one + b"A: b\r\n" * 300 + b"\r\n", 431, b"too many"),
            (one + b"A: " + b"b" * 20000, 431, b"too long"),
            (b"X" * 20000, 431, b"too long"),
        ):
            with self.subTest(data=data[:60]):
                got, text = self.refused(data)
                self.assertEqual(got, status)
                self.assertIn(sentence, text)

    def test_its_status_has_a_name(self) -> None:
        client = Client(never)
        client.send(b"X" * 20000)
        self.assertTrue(
            client.received().startswith(
                b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
            )
        )

    def test_head_is_refused_without_a_body(self) -> None:
        client = Client(sized)
        client.send(b"HEAD / HTTP/1.1\r\n\r\n")
        answered = client.received()
        self.assertEqual(statuses(answered), [400])
        self.assertTrue(answered.endswith(b"\r\n\r\n"))

    def test_absolute_target(self) -> None:
        client = Client(sized)
        client.send(b"GET http://u:p@real:1/a?b HTTP/1.1\r\nHost: other\r\n\r\n")
        (request,) = client.resource.requests
        self.assertEqual(request.uri, b"/a?b")
        self.assertEqual(request.getHeader(b"Host"), b"real:1")

    def test_later_minor_versions(self) -> None:
        """They are answered as 1.1, with all that it has (RFC 9110, section 6.2)."""
        for minor in range(1, 10):
            client = Client(sized)
            client.send(b"GET / HTTP/1.%d\r\nHost: h\r\n\r\n" % minor * 2)
            self.assertEqual(statuses(client.received()), [200, 200])
            self.assertEqual(client.resource.requests[0].clientproto, b"HTTP/1.1")

    def test_options_of_the_server(self) -> None:
        client = Client(never)
        client.send(b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n")
        self.assertEqual(client.resource.requests, [])
        self.assertEqual(len(statuses(client.received())), 1)

    def test_empty_lines_before(self) -> None:
        client = Client(sized)
        for at_once in (0, 1, 3):
            client.send(b"\r\n\r\n" + GET, at_once=at_once)
            self.assertEqual(statuses(client.received()), [200])

    def test_an_empty_line_in_two_pieces_is_no_head(self) -> None:
        """Nothing is owed to who sends nothing more."""
        client = Client(sized)
        client.send(b"\r")
        client.send(b"\n")
        client.clock.advance(LIMITS.head)
        self.assertFalse(client.wire.disconnecting)
        client.clock.advance(LIMITS.idle)
        self.assertTrue(client.wire.disconnecting)
        self.assertEqual(client.received(), b"")

    def test_names_in_any_case(self) -> None:
        client = Client(sized)
        client.send(b"GET / HTTP/1.1\r\nhOST:h\r\nx-a: 1\r\nX-A:\t2 \r\n\r\n")
        (request,) = client.resource.requests
        headers = request.requestHeaders
        self.assertEqual(headers.getRawHeaders(b"X-a"), [b"1", b"2"])
        self.assertEqual(headers.getRawHeaders("Host"), ["h"])

    @settings(max_examples=200, deadline=None)
    @given(st.binary(max_size=200))
    def test_any_bytes(self, data: bytes) -> None:
        """Whatever is sent, it is answered at most once and raises nothing."""
        client = Client(sized)
        client.send(data + b"\r\n\r\n")
        self.assertLessEqual(len(statuses(client.received())), 1)

    def test_long_names_are_not_remembered(self) -> None:
        heads = HeadParser()

        def many() -> None:
            for number in range(50):
                name = b"X%d-" % number + b"x" * 15_000
                heads.parse(b"GET / HTTP/1.0\r\n" + name + b": 1")

        self.assertLess(memory_kept(many), 50_000)


class Drain(SynchronousTestCase):
    """The way out."""

    def test_idle_connections_close(self) -> None:
        client = Client(sized)
        client.send(GET)
        done = client.site.drain(5)
        self.assertTrue(client.wire.disconnecting)
        self.assertNoResult(done)
        client.leave()
        self.assertIsNone(self.successResultOf(done))

    def test_idle_client_that_does_not_close(self) -> None:
        client = Client(sized)
        client.send(GET)
        client.site.drain(5)
        client.clock.advance(LEAVE)
        self.assertTrue(client.wire.aborted)

    def test_requests_finish(self) -> None:
        client = Client(never)
        client.send(GET)
        done = client.site.drain(5)
        self.assertFalse(client.wire.disconnecting)
        answer(client.resource.requests[0], b"x")
        self.assertIn(b"Connection: close\r\n", client.received())
        self.assertTrue(client.wire.disconnecting)
        client.leave()
        self.assertIsNone(self.successResultOf(done))
        client.site.stopFactory()
        self.assertEqual(client.clock.getDelayedCalls(), [])

    def test_answer_under_way(self) -> None:
        client = Client(never)
        client.send(GET)
        (request,) = client.resource.requests
        request.write(b"begun")
        client.site.drain(5)
        request.finish()
        self.assertTrue(client.wire.disconnecting)

    def test_grace_ends(self) -> None:
        client = Client(never)
        client.send(GET)
        done = client.site.drain(5)
        client.clock.advance(4)
        self.assertFalse(client.wire.aborted)
        client.clock.advance(1)
        self.assertTrue(client.wire.aborted)
        client.leave()
        self.assertIsNone(self.successResultOf(done))

    def test_begun_head_is_served(self) -> None:
        client = Client(sized)
        client.send(GET[:5])
        client.site.drain(5)
        client.send(GET[5:])
        self.assertIn(b"Connection: close\r\n", client.received())

    def test_who_has_just_connected_is_served(self) -> None:
        """Its request may be on the way, and not every client sends it again."""
        client = Client(sized)
        client.site.drain(5)
        self.assertFalse(client.wire.disconnecting)
        client.send(GET)
        self.assertIn(b"Connection: close\r\n", client.received())
        self.assertTrue(client.wire.disconnecting)

    def test_who_connected_and_asks_nothing(self) -> None:
        client = Client(sized)
        client.site.drain(5)
        client.clock.advance(LEAVE)
        self.assertTrue(client.wire.disconnecting)

    def test_nothing_open(self) -> None:
        site = Site(Resource(), reactor=Clock())
        self.assertIsNone(self.successResultOf(site.drain(5)))


class Observed(SynchronousTestCase):
    """Operators see each request once."""

    def setUp(self) -> None:
        self.client = Client(never)
        self.seen: list[tuple[bytes, int, float]] = []
        self.client.site.observe = lambda request, seconds: self.seen.append(
            (request.method, request.code, seconds)
        )

    def lines(self) -> list[bytes]:
        self.client.clock.advance(1)
        return b"".join(self.client.log).splitlines()

    def test_answered(self) -> None:
        self.client.send(
            b"GET /s?X-Amz-Signature=abc&a=1 HTTP/1.1\r\nHost: h\r\n"
            b'User-Agent: pip "x"\r\nReferer: https://u:p@h/?token=t\r\n\r\n'
        )
        self.client.clock.advance(0.25)
        (request,) = self.client.resource.requests
        request.principal_name = b"ann"
        answer(request, b"four")
        self.assertEqual(self.seen, [(b"GET", 200, 0.25)])
        self.assertEqual(
            self.lines(),
            [
                b"192.0.2.7 - ann [01/Jan/1970:00:00:00 +0000] "
                b'"GET /s?X-Amz-Signature=***&a=1 HTTP/1.1" 200 4 '
                b'"https://***@h/?token=***" "pip \\x22x\\x22" 250.0'
            ],
        )

    def test_slow_path(self) -> None:
        self.client.send(GET)
        (request,) = self.client.resource.requests
        request.setResponseCode(404)
        request.write(b"abc")
        request.finish()
        self.assertEqual(self.seen, [(b"GET", 404, 0.0)])
        self.assertIn(b"404 3 ", self.lines()[0])

    def test_client_left(self) -> None:
        self.client.send(GET)
        self.client.leave()
        self.assertEqual(self.seen, [(b"GET", 499, 0.0)])
        self.assertEqual(len(self.lines()), 1)

    def test_client_left_in_the_middle(self) -> None:
        self.client.send(GET)
        self.client.resource.requests[0].write(b"abc")
        self.client.leave()
        self.assertEqual(self.seen, [(b"GET", 200, 0.0)])

    def test_written_together(self) -> None:
        for _ in range(3):
            self.client.send(GET)
            answer(self.client.resource.requests[-1], b"x")
        self.assertEqual(self.client.log, [])
        self.assertEqual(len(self.lines()), 3)
        self.assertEqual(len(self.client.log), 1)

    def test_stopping_writes(self) -> None:
        self.client.send(GET)
        answer(self.client.resource.requests[-1], b"x")
        self.client.site.stopFactory()
        self.assertEqual(len(self.client.log), 1)


class UNIXConnection(Connection):
    """One end of a pair of sockets."""

    def getPeer(self) -> UNIXAddress:
        return UNIXAddress(None)

    getHost = getPeer


class Sockets(SynchronousTestCase):
    """Over a plain socket an answer is written at once, as far as it goes."""

    def setUp(self) -> None:
        self.client = Client(sized)
        self.theirs, ours = socket.socketpair()
        self.addCleanup(self.theirs.close)
        self.addCleanup(ours.close)
        self.theirs.setblocking(False)
        self.channel = self.client.site.buildProtocol(PEER)
        self.connection = UNIXConnection(ours, self.channel, MemoryReactorClock())
        self.connection.connected = True
        self.channel.makeConnection(self.connection)

    def received(self) -> bytes:
        try:
            return self.theirs.recv(2**20)
        except BlockingIOError:
            return b""

    def test_at_once(self) -> None:
        self.channel.dataReceived(GET)
        self.assertTrue(self.received().endswith(b"/next"))
        self.assertEqual(self.connection._tempDataBuffer, [])

    def test_in_order(self) -> None:
        """What waits is not overtaken."""
        self.connection.write(b"first,")
        self.channel.dataReceived(GET)
        self.assertEqual(self.received(), b"")
        self.connection.doWrite()
        data = self.received()
        self.assertTrue(data.startswith(b"first,HTTP/1.1 200 OK\r\n"))
        self.assertTrue(data.endswith(b"/next"))

    def test_a_large_body_is_read_in_larger_pieces(self) -> None:
        done: Deferred[None] = Deferred()

        async def wait(request: Request) -> None:
            await done
            answer(request, b"")

        self.client.resource.handler = wait
        for length, size in ((LARGE_BODY - 1, SMALL_READ), (LARGE_BODY, LARGE_READ)):
            head = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
            self.channel.dataReceived(head % length)
            self.assertEqual(self.connection.bufferSize, size)
            self.channel.dataReceived(bytes(length))
            done.callback(None)
            self.assertEqual(self.connection.bufferSize, SMALL_READ)
            done = Deferred()

    def test_in_part(self) -> None:
        """What the socket does not take is written later."""
        body = bytes(range(256)) * 2**14

        async def large(request: Request) -> None:
            answer(request, body)

        self.client.resource.handler = large
        self.channel.dataReceived(GET)
        data = b""
        while piece := self.received():
            data += piece
            self.connection.doWrite()
        self.assertEqual(data.split(b"\r\n\r\n", 1)[1], body)

    def test_lost(self) -> None:
        """That the client is gone, the transport finds out."""
        self.theirs.close()
        self.channel.dataReceived(GET)
        self.assertIsInstance(self.connection.doWrite(), ConnectionLost)

    def test_not_after_the_end(self) -> None:
        self.client.resource.handler = never
        self.channel.dataReceived(GET)
        self.channel.abort()
        self.channel.write(b"late")
        self.assertEqual(self.received(), b"")

    def test_half_closed(self) -> None:
        self.client.resource.handler = refuse
        self.channel.dataReceived(post(length=10))
        self.assertTrue(self.received().endswith(b"no"))
        self.connection.doWrite()
        self.assertEqual(self.theirs.recv(1), b"")
        self.theirs.send(b"still sending")


class Secure(SynchronousTestCase):
    """Over TLS a refusal reaches the client without half-closing."""

    def setUp(self) -> None:
        self.client = Client(refuse)
        factory = TLSMemoryBIOFactory(
            certificate().options(), False, self.client.site, self.client.clock
        )
        self.wire = Wire()
        self.server = factory.buildProtocol(PEER)
        self.server.makeConnection(self.wire)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(["h2", "http/1.1"])
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing)
        for _ in range(3):
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                self.pump()
        self.pump()

    def pump(self) -> None:
        """Carry bytes both ways."""
        self.server.dataReceived(self.outgoing.read())
        self.client.clock.advance(0)
        self.incoming.write(self.wire.value())
        self.wire.clear()

    def received(self) -> bytes:
        try:
            return self.tls.read(2**16)
        except ssl.SSLWantReadError:
            return b""

    def test_http_1_1(self) -> None:
        self.assertEqual(self.tls.selected_alpn_protocol(), "http/1.1")

    def test_refused(self) -> None:
        self.tls.write(post(length=2**17))
        self.pump()
        self.assertEqual(statuses(self.received()), [401])
        for _ in range(2**17 // len(GET * 100)):
            self.tls.write(GET * 100)
            self.pump()
        self.assertEqual(self.received(), b"")
        self.assertFalse(self.wire.half_closed)
        self.assertEqual(len(self.client.resource.requests), 1)
        self.assertTrue(self.client.resource.requests[0]._secure)

    def test_answered(self) -> None:
        self.client.resource.handler = echo
        self.tls.write(post(length=8))
        self.pump()
        self.tls.write(b"whatever")
        self.pump()
        self.assertTrue(self.received().endswith(b"\r\n\r\nwhatever"))


class Connections(SynchronousTestCase):
    """What a site knows of its connections."""

    def test_counted(self) -> None:
        client = Client(sized)
        wire, channel = client.connect()
        self.assertIsInstance(wire, Wire)
        self.assertEqual(client.site.channels, {client.channel, channel})
        client.leave()
        self.assertEqual(client.site.channels, {channel})

    def test_addresses(self) -> None:
        client = Client(sized)
        client.send(GET)
        (request,) = client.resource.requests
        self.assertEqual(request.getClientAddress(), PEER)
        self.assertFalse(request.isSecure())
        self.assertEqual(request.origin.base_url, "http://h")

    def test_http_1_1_only(self) -> None:
        self.assertEqual(Client(sized).site.acceptableProtocols(), [b"http/1.1"])
