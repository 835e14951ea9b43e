"""What systemd is told of this process, where it wants to know (``Type=notify``).

A datagram for each message, to the socket that ``NOTIFY_SOCKET`` names:
https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping

from attrs import define, field
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

#: What systemd sets for the process that it starts, and for nobody else.
VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC")

#: Seconds of a stop beyond those that requests have to finish.
_CLOSING = 15.0

_MICROSECONDS = 1_000_000


def send_datagram(address: bytes, message: bytes) -> None:
    """Send a message to a Unix socket.

    :raises OSError: it cannot be, or would have to wait.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        sender.sendto(message, address)


@define(eq=False)
class ServiceManager:
    """Whoever looks after this process.

    :ivar address: where it listens; None: nobody does, and nothing is said.
    :ivar patience: seconds in which it wants a sign of life; None: it does not.
    :ivar send: sends a message.
    :ivar monotonic: the clock that it has in common with this process, in seconds.
    """

    clock: IReactorTime
    address: bytes | None = None
    patience: float | None = None
    send: Callable[[bytes, bytes], None] = send_datagram
    monotonic: Callable[[], float] = time.monotonic
    _sign: IDelayedCall | None = field(default=None, init=False)
    _failed: bool = field(default=False, init=False)
    _log = Logger()

    @classmethod
    def of(cls, environ: Mapping[str, str], clock: IReactorTime) -> ServiceManager:
        """Find it by the variables of this process."""
        address = os.fsencode(environ.get("NOTIFY_SOCKET", ""))
        if address[:1] not in (b"/", b"@"):
            return cls(clock)  # nobody, or one outside of this machine
        if address.startswith(b"@"):
            address = b"\0" + address[1:]  # Linux's abstract sockets
        return cls(clock, address, _patience(environ))

    def ready(self, status: str) -> None:
        """Say that this process serves, and begin to give signs of life."""
        self._say("READY=1", f"STATUS={status}")
        if self._sign is None:
            self._live()

    def status(self, status: str) -> None:
        """Say in a line how it stands."""
        self._say(f"STATUS={status}")

    def reloading(self) -> None:
        """Say that settings are read again; :meth:`ready` follows."""
        now = int(self.monotonic() * _MICROSECONDS)
        self._say("RELOADING=1", f"MONOTONIC_USEC={now}")

    def stopping(self, grace: float) -> None:
        """Say that it ends.

        :param grace: seconds that requests have to finish; it is not killed before.
        """
        more = int((grace + _CLOSING) * _MICROSECONDS)
        self._say(
            "STOPPING=1",
            f"EXTEND_TIMEOUT_USEC={more}",
            "STATUS=Finishing what has begun.",
        )

    def stopped(self) -> None:
        """Give no more signs of life."""
        sign, self._sign = self._sign, None
        if sign is not None:
            sign.cancel()

    def _live(self) -> None:
        if self.patience is not None and self.address is not None:
            self._say("WATCHDOG=1")
            self._sign = self.clock.callLater(self.patience / 2, self._live)

    def _say(self, *lines: str) -> None:
        if self.address is None:
            return
        try:
            self.send(self.address, "\n".join(lines).encode())
        except OSError as e:
            if not self._failed:
                self._log.warn(
                    "systemd cannot be told how this server stands: {why}.",
                    why=e.strerror,
                )
            self._failed = True
        else:
            self._failed = False


def _patience(environ: Mapping[str, str]) -> float | None:
    usec = environ.get("WATCHDOG_USEC", "")
    if not usec.isdecimal() or not int(usec):
        return None
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(usec) / _MICROSECONDS
