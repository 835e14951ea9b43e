"""Whether uploads come through what stands in front: large ones, and as they arrive.

Nothing is uploaded, and nobody logs in: only the head of a request is sent. A proxy
refuses by it what it thinks too large; the server answers by it that nobody is logged
in; and where neither answers, somebody waits for the whole file first.
"""

from __future__ import annotations

from typing import Protocol
from urllib.parse import urlsplit

from attrs import define, field, frozen
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory, connectionDone
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.python.failure import Failure

from pypicloud_tw import __version__
from pypicloud_tw.client.address import IndexAddress
from pypicloud_tw.concurrency.waiters import Waiters
from pypicloud_tw.diagnosis.values import Finding, fault, note, ok, unseen, warning

MIB = 2**20

#: What is announced, in bytes: above nginx's default of 1 MiB, above what clouds allow
#: (100 MB), above 1 GiB, and just below what a server takes by default.
SIZES = (2 * MIB, 128 * MIB, 1100 * MIB, 6000 * MIB)

#: Seconds after which nobody answers by the head alone.
SILENCE = 5.0

#: Bytes of a head that are read.
_MOST = 64 * 1024

_TOO_LARGE = 413


class Connect(Protocol):
    """Makes endpoints to a server, TLS included."""

    def __call__(self) -> IStreamClientEndpoint:
        """Make one."""


@frozen
class Uploads:
    """Announces uploads.

    :ivar connect: None: the server is reached through a proxy of ours.
    """

    address: IndexAddress
    connect: Connect | None
    clock: IReactorTime

    async def look(self) -> list[Finding]:
        """Announce uploads of several sizes, all at the same time."""
        if self.connect is None:
            said = "It is reached through a proxy that the environment names."
            return [unseen(said, "Run this where the server is reached directly.")]
        asked = [
            Deferred.fromCoroutine(self._announce(self.connect, size)) for size in SIZES
        ]
        results = await DeferredList(asked, consumeErrors=True)
        heads = [head if succeeded else None for succeeded, head in results]
        if not any(succeeded for succeeded, _ in results):
            return [unseen("No connection could be made.")]
        return [*self._of_sizes(heads), self._of_waiting(heads[0])]

    def _of_sizes(self, heads: list[Head | None]) -> list[Finding]:
        for size, head in zip(SIZES, heads, strict=True):
            if head is None or head.status != _TOO_LARGE:
                continue
            if head.is_ours:
                said = f"The server itself refuses {_size(size)} (pypi.max_upload)."
                return [note(said)]
            said = (
                f"What stands in front refuses an upload of {_size(size)} "
                f"({_TOO_LARGE}{f', {head.server}' if head.server else ''})."
            )
            advice = (
                "Lift its limit, for the server has one of its own; for nginx: "
                "client_max_body_size 0; its default is 1 MiB."
            )
            return [(fault if size == SIZES[0] else warning)(said, advice)]
        return [ok(f"What stands in front lets {_size(SIZES[-1])} through.")]

    def _of_waiting(self, head: Head | None) -> Finding:
        if head is None or head.status is None:
            return note(
                "By the head of an upload alone nobody answers: what stands in front "
                "takes the whole file first, or anybody may upload.",
                "Pass uploads on as they arrive; for nginx: proxy_request_buffering "
                "off. Then what is refused is refused at once.",
            )
        if head.status == _TOO_LARGE:
            return note("Whether uploads are passed on as they arrive cannot be seen.")
        if head.status in (401, 403):
            return ok("Uploads are passed on as they arrive: one is refused at once.")
        if 300 <= head.status < 400:
            return fault(
                f"/legacy/ redirects ({head.status}), which upload clients do not "
                "follow.",
                "Give them the address where it leads.",
            )
        if head.status in (404, 405):
            return fault(
                f"/legacy/ answers {head.status}: no upload comes through.",
                "What stands in front must pass on POST to /legacy/, its own prefix "
                "taken off.",
            )
        return note(f"An upload by nobody is answered {head.status}.")

    async def _announce(self, connect: Connect, size: int) -> Head:
        parts = urlsplit(self.address.base)
        lines = (
            f"POST {parts.path}/legacy/ HTTP/1.1",
            f"Host: {parts.netloc}",
            f"User-Agent: pypicloud/{__version__}",
            "Accept: application/json",
            "Content-Type: multipart/form-data; boundary=doctor",
            f"Content-Length: {size}",
            "Connection: close",
        )
        request = "\r\n".join((*lines, "", "")).encode("ascii")
        exchange = Exchange(request)
        connecting = connect().connect(Factory.forProtocol(lambda: exchange))
        connecting.addTimeout(SILENCE, self.clock)
        await connecting
        try:
            if not exchange.ended:
                await exchange.answered.wait_at_most(SILENCE, self.clock)
        finally:
            exchange.close()
        return Head.of(bytes(exchange.received))


@frozen
class Head:
    """The head of an answer.

    :ivar status: None: none came.
    :ivar is_ours: this program's server answered, by the form that was asked for.
    """

    status: int | None
    is_ours: bool = False
    server: str = ""

    @classmethod
    def of(cls, received: bytes) -> Head:
        """Read one."""
        lines = received.decode("latin-1").split("\r\n")
        words = lines[0].split(" ")
        if len(words) < 2 or not words[1].isdecimal():
            return cls(None)
        fields = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines[1:])
        }
        kind = fields.get("content-type", "")
        server = "".join(c for c in fields.get("server", "") if c.isprintable())
        return cls(int(words[1]), kind.startswith("application/json"), server[:40])


@define(eq=False)
class Exchange(TwistedProtocol):
    """Sends bytes, and takes the head of what is answered.

    :ivar ended: it has come, or nothing more does.
    """

    request: bytes
    received: bytearray = field(factory=bytearray, init=False)
    answered: Waiters[None] = field(factory=Waiters, init=False)
    ended: bool = field(default=False, init=False)

    def connectionMade(self) -> None:
        """Send it."""
        assert self.transport is not None
        self.transport.write(self.request)

    def dataReceived(self, data: bytes) -> None:
        """Take more, up to the head's end."""
        self.received += data
        if b"\r\n\r\n" in self.received or len(self.received) > _MOST:
            self._end()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Nothing more comes."""
        self._end()

    def _end(self) -> None:
        self.ended = True
        self.answered.answer(None)

    def close(self) -> None:
        """Hang up."""
        if self.transport is not None:
            self.transport.loseConnection()


def _size(count: int) -> str:
    return f"{count / MIB:.0f} MiB"
