"""Asks a server of this machine how it is, where its own settings say that it listens.

Without Twisted, and with as little as can be: a container's runtime asks twice a
minute, each time in a new process.
"""

from __future__ import annotations

import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from http.client import (
    BadStatusLine,
    HTTPConnection,
    HTTPException,
    HTTPResponse,
    RemoteDisconnected,
)
from io import BufferedReader, RawIOBase
from typing import Any, cast

from attrs import define, frozen

from pypicloud_tw.errors import ConfigError, Unavailable
from pypicloud_tw.plain_texts import printable_lines

#: The positional parts of Twisted's endpoints, in their order; of others nobody knows
#: here where they listen.
_PARTS = {
    "tcp": ("port", "interface"),
    "tcp6": ("port", "interface"),
    "ssl": ("port",),
    "unix": ("address",),
}

#: Where a server is asked that listens at every address.
_LOOPBACK = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104

#: An answer has a line or a few.
_MAX_ANSWER = 64 * 1024

#: What the server says first that is well.
_WELL = {"/health": "ok", "/ready": "ready"}

#: OpenSSL's word for one that speaks something else.
_NO_TLS = "WRONG_VERSION_NUMBER"

#: OpenSSL's word for a server that will not go on without a client's certificate.
_WANTS_CERTIFICATE = "CERTIFICATE_REQUIRED"


@frozen
class Place:
    """Where a server listens.

    :ivar port: None: at a Unix socket.
    :ivar host: or the socket's path.
    """

    host: str
    port: int | None = None
    tls: bool = False

    @classmethod
    def of(cls, listen: str) -> Place:
        """Read it from a Twisted endpoint.

        :raises ConfigError: that does not say where.
        """
        kind, *parts = _split(listen)
        if kind not in _PARTS:
            raise _nowhere(listen)
        options = dict(_options(parts, _PARTS[kind]))
        if kind == "unix":
            return cls(options.get("address", ""))
        port = options.get("port", "")
        # 0 is any that is free.
        if not port.isdecimal() or not 0 < int(port) < 65536:
            raise _nowhere(listen)
        interface = options.get("interface", "::" if kind == "tcp6" else "")
        return cls(_LOOPBACK.get(interface, interface), int(port), kind == "ssl")

    def __str__(self) -> str:
        if self.port is None:
            return f"the socket {self.host}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"

    def connect(self, timeout: float) -> socket.socket:
        """Connect, without TLS yet.

        :raises OSError: nobody listens there.
        """
        if self.port is not None:
            return socket.create_connection((self.host, self.port), timeout)
        made = socket.socket(socket.AF_UNIX)
        made.settimeout(timeout)
        try:
            made.connect(self.host)
        except OSError:
            made.close()
            raise
        return made


#: Connects to a place within some seconds.
Connect = Callable[[Place, float], socket.socket]


@frozen
class Left:
    """How much time there still is.

    :ivar end: of it, by the clock *now*.
    """

    end: float
    now: Callable[[], float]

    def seconds(self) -> float:
        """Return what is left.

        :raises TimeoutError: nothing is.
        """
        left = self.end - self.now()
        if left <= 0:
            raise TimeoutError
        return left


@define(eq=False)
class Hurried:
    """A connection with an end of time: the most of a socket that http.client uses.

    A socket's own timeout is for each piece: one byte now and then is never late.
    """

    socket: socket.socket
    left: Left

    def sendall(self, data: bytes) -> None:
        """Send all of it."""
        self.socket.settimeout(self.left.seconds())
        self.socket.sendall(data)

    def makefile(self, mode: str) -> BufferedReader:
        """Read from it."""
        return BufferedReader(_Pieces(self))

    def receive_into(self, buffer: Any) -> int:
        """Wait for a piece."""
        self.socket.settimeout(self.left.seconds())
        return self.socket.recv_into(buffer)

    def close(self) -> None:
        """Leave it open: http.client calls this before the answer has been read."""


class _Pieces(RawIOBase):
    def __init__(self, connection: Hurried) -> None:
        self._connection = connection

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._connection.receive_into(buffer)


@frozen
class Question:
    """What is asked, and how.

    :ivar path: ``/health`` or ``/ready``.
    :ivar timeout: seconds until the answer must have come whole.
    :ivar certificate: a file with a client's certificate and its key.
    :ivar now: a clock, in seconds.
    """

    place: Place
    path: str
    timeout: float
    certificate: str | None = None
    connect: Connect = Place.connect
    now: Callable[[], float] = time.monotonic

    def ask(self) -> str:
        """Return what the server says, if it says that it is well.

        :raises Unavailable: it does not, or says nothing; with a sentence.
        """
        try:
            status, text = self._answer()
        except TimeoutError:
            raise self._failed(f"no answer within {self.timeout:g} s") from None
        except ssl.SSLError as e:
            raise self._failed(_tls_failure(e)) from None
        except (OSError, HTTPException, ValueError) as e:
            raise self._failed(_why(e)) from None
        if status != 200:
            raise self._failed(f"{status}: {text}" if text else f"it answers {status}")
        if text.partition("\n")[0] != _WELL[self.path]:
            raise self._failed("it does not answer as this program's server does")
        return text

    def _failed(self, why: str) -> Unavailable:
        return Unavailable(f"{self.path} of {self.place}: {why.rstrip('.')}.")

    def _answer(self) -> tuple[int, str]:
        left = Left(self.now() + self.timeout, self.now)
        # Of the machine's own proxies nothing is asked: they are another's.
        connection = HTTPConnection("localhost")
        with self._connected(left) as connected:
            connection.sock = cast("socket.socket", Hurried(connected, left))
            connection.request("GET", self.path, headers={"Connection": "close"})
            return _read(connection.getresponse())

    def _connected(self, left: Left) -> socket.socket:
        plain = self.connect(self.place, left.seconds())
        if not self.place.tls:
            return plain
        try:
            plain.settimeout(left.seconds())
            return self._context().wrap_socket(plain)
        except BaseException:
            plain.close()
            raise

    def _context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        # It is asked by the address that it listens at, for which no certificate is.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if self.certificate is not None:
            try:
                context.load_cert_chain(self.certificate)
            except ssl.SSLError:
                why = "it has no certificate with its key, both in PEM"
                raise self._failed(f"{self.certificate}: {why}") from None
            except OSError as e:
                raise self._failed(f"{self.certificate}: {e.strerror}") from None
        return context


def _read(response: HTTPResponse) -> tuple[int, str]:
    text = response.read(_MAX_ANSWER).decode(errors="replace")
    return response.status, printable_lines(text.strip())


def _why(error: Exception) -> str:
    if isinstance(error, BadStatusLine) and not isinstance(error, RemoteDisconnected):
        return "it answers with something that is not HTTP"
    said = error.strerror if isinstance(error, OSError) else None
    return said or str(error) or type(error).__name__


def _tls_failure(error: ssl.SSLError) -> str:
    if _WANTS_CERTIFICATE in (error.reason or ""):
        return (
            "it wants a client certificate (server.client_certificate); give one that "
            "it trusts by --certificate"
        )
    if _NO_TLS in (error.reason or ""):
        return "it does not speak TLS"
    return f"TLS failed: {error.reason or error}"


def _nowhere(listen: str) -> ConfigError:
    return ConfigError(
        [
            f"server.listen = {listen!r} does not say where the server can be asked; "
            "give that by --listen, as tcp:6543, or as unix:/run/pypicloud/socket."
        ]
    )


def _options(
    parts: list[str], positional: tuple[str, ...]
) -> Iterator[tuple[str, str]]:
    for place, part in enumerate(parts):
        name, equals, value = part.partition("=")
        if equals:
            yield name, value
        elif place < len(positional):
            yield positional[place], part


def _split(listen: str) -> Iterator[str]:
    """Split at colons; one behind a backslash is meant as it is."""
    for part in re.split(r"(?<!\\):", listen):
        yield re.sub(r"\\(.)", r"\1", part)
