"""Asks a server of this machine how it is, where its own settings say that it listens.

Without Twisted, and with as little as can be: a container's runtime asks twice a
minute, each time in a new process.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPException, HTTPResponse

from attrs import frozen

from pypicloud_tw.errors import ConfigError, Unavailable

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
class Question:
    """What is asked, and how.

    :ivar path: ``/health`` or ``/ready``.
    :ivar timeout: seconds for the connection, and for each piece of the answer.
    :ivar certificate: a file with a client's certificate and its key.
    """

    place: Place
    path: str
    timeout: float
    certificate: str | None = None
    connect: Connect = Place.connect

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
            why = e.strerror if isinstance(e, OSError) and e.strerror else str(e)
            raise self._failed(why or type(e).__name__) from None
        if status != 200:
            raise self._failed(f"{status}: {text}")
        return text

    def _failed(self, why: str) -> Unavailable:
        return Unavailable(f"{self.path} of {self.place}: {why.rstrip('.')}.")

    def _answer(self) -> tuple[int, str]:
        # Of the machine's own proxies nothing is asked: they are another's.
        connection = HTTPConnection("localhost", timeout=self.timeout)
        try:
            connection.sock = self._connected()
            connection.request("GET", self.path, headers={"Connection": "close"})
            return _read(connection.getresponse())
        finally:
            connection.close()

    def _connected(self) -> socket.socket:
        plain = self.connect(self.place, self.timeout)
        if not self.place.tls:
            return plain
        try:
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
            context.load_cert_chain(self.certificate)
        return context


def _read(response: HTTPResponse) -> tuple[int, str]:
    text = response.read(_MAX_ANSWER).decode(errors="replace")
    return response.status, text.strip()


def _tls_failure(error: ssl.SSLError) -> str:
    if _WANTS_CERTIFICATE in (error.reason or ""):
        return (
            "it wants a client certificate (server.client_certificate); give one that "
            "it trusts by --certificate"
        )
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
