"""The edge over real sockets, plain and TLS: refusals reach who is still sending."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from typing import ParamSpec, TypeVar, cast

from twisted.internet import reactor as global_reactor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint, wrapServerTLS
from twisted.internet.interfaces import IListeningPort, IStreamServerEndpoint
from twisted.internet.posixbase import PosixReactorBase
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from pypicloud_tw.web.http.request import Request
from pypicloud_tw.web.http.site import ConnectionLimits, Site
from tests.certificates import certificate
from tests.integration import apart
from tests.web.http.doubles import AsyncResource

P = ParamSpec("P")
T = TypeVar("T")

MIB = 2**20
PIECE = b"POST /inner HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n".ljust(4096)


async def handler(request: Request) -> None:
    """Refuse at /refuse, else count what is sent."""
    if request.path == b"/refuse":
        body, status = b"nobody knows you", 401
    else:
        size = 0
        async for piece in request.body:
            size += len(piece)
        body, status = b"%d" % size, 200
    request.send_whole(status, b"Content-Length: %d\r\n" % len(body), body)


def pieces(size: int) -> Iterator[bytes]:
    """Make a body that is full of requests."""
    for _ in range(size // len(PIECE)):
        yield PIECE


class Edge:
    """The cases, whatever carries them."""

    resource: AsyncResource
    port: int
    secure: bool

    # trial's, for the type checker
    assertEqual: Callable[..., None]
    assertGreater: Callable[..., None]

    def connect(self) -> HTTPConnection:
        if not self.secure:
            return HTTPConnection("127.0.0.1", self.port, timeout=60)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return HTTPSConnection("127.0.0.1", self.port, timeout=60, context=context)

    def post(self, path: str, size: int, **headers: str) -> tuple[HTTPResponse, bytes]:
        connection = self.connect()
        declared = {"Content-Length": str(size)} | headers
        connection.request("POST", path, body=pieces(size), headers=declared)
        response = connection.getresponse()
        body = response.read()
        connection.close()
        return response, body

    async def test_refusal_during_an_upload(self) -> None:
        """Whoever sends 100 MiB before it reads gets the answer, and no reset."""
        response, body = await in_thread(self.post, "/refuse", 100 * MIB)
        self.assertEqual((response.status, body), (401, b"nobody knows you"))
        self.assertEqual(response.getheader("Connection"), "close")
        self.assertEqual([r.path for r in self.resource.requests], [b"/refuse"])

    async def test_chunked_refusal(self) -> None:
        def post() -> tuple[int, bytes]:
            connection = self.connect()
            connection.request("POST", "/refuse", body=pieces(20 * MIB))
            response = connection.getresponse()
            return response.status, response.read()

        self.assertEqual(await in_thread(post), (401, b"nobody knows you"))
        self.assertEqual(len(self.resource.requests), 1)

    async def test_upload(self) -> None:
        response, body = await in_thread(self.post, "/take", 50 * MIB)
        self.assertEqual((response.status, body), (200, b"%d" % (50 * MIB)))

    async def test_chunked_upload(self) -> None:
        def post() -> bytes:
            connection = self.connect()
            connection.request("POST", "/take", body=pieces(5 * MIB))
            first = connection.getresponse().read()
            connection.request("POST", "/take", body=pieces(MIB))
            return first + b" " + connection.getresponse().read()

        got = await in_thread(post)
        self.assertEqual(got, b"%d %d" % (5 * MIB, MIB))

    async def test_one_byte_a_packet(self) -> None:
        def post() -> int:
            connection = self.connect()
            connection.connect()
            sock = cast(socket.socket, connection.sock)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab":
                sock.sendall(bytes([byte]))
            response = HTTPResponse(sock)
            response.begin()
            return response.status if response.read() == b"2" else 0

        self.assertEqual(await in_thread(post), 200)


def in_thread(
    function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> Deferred[T]:
    result: Deferred[T] = deferToThread(function, *args, **kwargs)
    return result


class EdgeTestCase(TestCase):
    secure = False
    limits = ConnectionLimits()

    async def setUp(self) -> None:  # type: ignore[override]  # trial awaits it
        reactor = cast(PosixReactorBase, global_reactor)
        self.resource = AsyncResource(handler)
        self.site = Site(self.resource, reactor=reactor, limits=self.limits)
        endpoint: IStreamServerEndpoint = TCP4ServerEndpoint(
            reactor, 0, interface="127.0.0.1"
        )
        if self.secure:
            endpoint = wrapServerTLS(certificate().options(), endpoint)
        self.listening: IListeningPort = await endpoint.listen(self.site)
        self.port = cast(IPv4Address, self.listening.getHost()).port

    async def tearDown(self) -> None:  # type: ignore[override]  # trial awaits it
        stopped = self.listening.stopListening()
        await self.site.drain(1)
        if stopped is not None:
            await stopped


class PlainTests(Edge, EdgeTestCase):
    """Over TCP."""

    async def test_nothing_is_left(self) -> None:
        """The connection of a refused client ends when the client ends it."""
        await in_thread(self.post, "/refuse", MIB)
        for _ in range(100):
            if not self.site.channels:
                return
            await in_thread(lambda: None)
        self.assertEqual(self.site.channels, set())


class SecureTests(Edge, EdgeTestCase):
    """Over TLS, where there is no half-closing."""

    secure = True


class BoundTests(EdgeTestCase):
    """Nobody sends in vain for ever."""

    limits = ConnectionLimits(linger_bytes=MIB)

    async def test_cut(self) -> None:
        def post() -> str:
            connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
            try:
                connection.request("POST", "/refuse", body=pieces(2000 * MIB))
            except OSError as error:
                return type(error).__name__
            return "all was taken"

        got = await in_thread(post)
        self.assertIn(got, ("ConnectionResetError", "BrokenPipeError"))


test_suite = apart(__name__)
