"""The sockets that systemd listens at, and hands to whoever it starts.

https://www.freedesktop.org/software/systemd/man/latest/sd_listen_fds.html
"""

from __future__ import annotations

import os
import socket
from typing import Any

from attrs import define
from twisted.internet.interfaces import IProtocolFactory

from pypicloud_tw.listening.shared_port import SharedPort


@define(eq=False)
class AdoptingReactor:
    """Has Twisted's ``systemd:`` endpoint leave the socket as systemd has made it.

    Its path, mode and backlog stay, and it goes on listening while this process is
    replaced by the next. Whether it is of IPv4, IPv6 or Unix, the socket tells itself.
    """

    reactor: Any

    def adoptStreamPort(
        self, fileDescriptor: int, addressFamily: int, factory: IProtocolFactory
    ) -> SharedPort:
        """Accept from a socket; the caller closes its descriptor.

        :raises ValueError: it does not listen.
        """
        adopted = socket.socket(fileno=os.dup(fileDescriptor))
        if not _listens(adopted):
            adopted.close()
            raise ValueError("it is no listening socket: its unit needs Accept=no")
        os.set_inheritable(adopted.fileno(), False)
        port = SharedPort(self.reactor, adopted, factory)
        port.startListening()
        return port

    def __getattr__(self, name: str) -> Any:
        # Everything else is the reactor's.
        return getattr(self.reactor, name)


def _listens(adopted: socket.socket) -> bool:
    return bool(adopted.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
