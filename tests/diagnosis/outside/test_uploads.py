"""What is in front lets through of uploads, told by the heads of requests alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.interfaces import IProtocolFactory, IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from pypicloud_tw.client.address import IndexAddress
from pypicloud_tw.diagnosis.outside.uploads import SILENCE, SIZES, Head, Uploads
from pypicloud_tw.diagnosis.values import Finding
from tests.diagnosis.doubles import levels, the
from tests.web.api.doubles import AccessWeb
from tests.web.doubles import Connection

MIB = 2**20

#: What nginx says to what is too large.
NGINX = (
    b"HTTP/1.1 413 Request Entity Too Large\r\nServer: nginx/1.22.1\r\n"
    b"Content-Type: text/html\r\nContent-Length: 0\r\n\r\n"
)


def answer(status: int, kind: str = "application/json") -> bytes:
    return f"HTTP/1.1 {status} No\r\nContent-Type: {kind}\r\n\r\n".encode()


@implementer(IStreamClientEndpoint)
@define(eq=False)
class Heads:
    """Answers the head of a request.

    :ivar answers: gives bytes for a size that is announced; none: nobody answers.
    """

    answers: Callable[[int], bytes]
    asked: list[bytes] = field(factory=list)
    transports: list[StringTransport] = field(factory=list)
    away: bool = False

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        if self.away:
            return fail(ConnectionRefusedError())
        client: Any = protocolFactory.buildProtocol(None)  # type: ignore[arg-type]  # unused
        transport = StringTransport()
        self.transports.append(transport)
        client.makeConnection(transport)
        request = transport.value()
        self.asked.append(request)
        size = int(request.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
        if told := self.answers(size):
            client.dataReceived(told)
        return succeed(client)


class UploadTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.heads = Heads(lambda _: answer(401))

    def look(self, answers: Callable[[int], bytes] | None = None) -> list[Finding]:
        if answers is not None:
            self.heads.answers = answers
        address = IndexAddress.parse("http://pypi.example/root/simple/", "x")
        uploads = Uploads(address, lambda: self.heads, self.clock)
        looking = Deferred.fromCoroutine(uploads.look())
        self.clock.advance(SILENCE)
        return self.successResultOf(looking)

    def test_right(self) -> None:
        self.assertEqual(levels(self.look()), ["ok", "ok"])
        self.assertEqual(len(self.heads.asked), len(SIZES))
        for asked, transport in zip(
            self.heads.asked, self.heads.transports, strict=True
        ):
            self.assertTrue(asked.startswith(b"POST /root/legacy/ HTTP/1.1\r\n"))
            self.assertTrue(asked.endswith(b"\r\n\r\n"), "there is no body")
            self.assertNotIn(b"Authorization", asked)
            self.assertTrue(transport.disconnecting)

    def test_the_real_server(self) -> None:
        """It says by the head that nobody is logged in."""
        web = AccessWeb()

        def ask(size: int) -> bytes:
            connection = Connection(web.site)
            # What is in front takes the prefix off.
            connection.send(self.heads.asked[-1].replace(b"/root", b"", 1))
            return connection.unread

        found = self.look(ask)
        self.assertEqual(levels(found), ["ok", "ok"])
        self.assertIn("one is refused at once", found[1].found)

    def test_default_of_nginx(self) -> None:
        found = self.look(lambda size: NGINX if size > MIB else answer(401))
        wrong = the("fault", found)
        self.assertIn("refuses an upload of 2 MiB (413, nginx/1.22.1)", wrong.found)
        self.assertIn("client_max_body_size 0", wrong.advice)

    def test_other_limits(self) -> None:
        found = self.look(lambda size: NGINX if size > 100 * MIB else answer(401))
        self.assertIn("128 MiB", the("warning", found).found)
        found = self.look(lambda size: NGINX if size > 2000 * MIB else answer(401))
        self.assertIn("6000 MiB", the("warning", found).found)

    def test_the_servers_own_limit(self) -> None:
        found = self.look(lambda size: answer(413 if size > 5 * MIB else 401))
        self.assertIn("pypi.max_upload", the("note", found).found)

    def test_buffered(self) -> None:
        """Whoever is in front wants the whole file first."""
        found = self.look(lambda _: b"")
        self.assertEqual(levels(found), ["ok", "note"])
        self.assertIn("proxy_request_buffering off", found[1].advice)

    def test_other_answers(self) -> None:
        for status, level in (
            (403, "ok"),
            (301, "fault"),
            (404, "fault"),
            (500, "note"),
        ):
            found = self.look(lambda _, status=status: answer(status))  # type: ignore[misc]  # bound at once
            self.assertEqual(found[1].level, level, status)

    def test_not_reached(self) -> None:
        self.heads.away = True
        self.assertEqual(levels(self.look()), ["unseen"])
        address = IndexAddress.parse("http://pypi.example", "x")
        looking = Deferred.fromCoroutine(Uploads(address, None, self.clock).look())
        result: list[Finding] = self.successResultOf(looking)
        found = the("unseen", result)
        self.assertIn("a proxy that the environment names", found.found)

    def test_heads(self) -> None:
        for received in (b"", b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 x\r\n\r\n"):
            self.assertIsNone(Head.of(received).status)
        self.assertEqual(Head.of(NGINX), Head(413, False, "nginx/1.22.1"))
        strange = b"HTTP/1.1 200 OK\r\nServer: a\x1b[31mb\r\n\r\n"
        self.assertEqual(Head.of(strange).server, "a[31mb")
