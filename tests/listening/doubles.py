"""A reactor for ports of sockets that others have opened, and a service manager."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Clock

from pypicloud_tw.listening.service_manager import ServiceManager


class Reactor(Clock):
    """Knows who wants to read, and which connections were adopted."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: set[object] = set()
        self.adopted: list[tuple[int, Any]] = []
        self.problem: OSError | None = None

    def addReader(self, reader: object) -> None:
        """Note one."""
        self.readers.add(reader)

    def removeReader(self, reader: object) -> None:
        """Forget one."""
        self.readers.discard(reader)

    def adoptStreamConnection(self, fd: int, family: int, factory: Any) -> None:
        """Note a connection."""
        if self.problem is not None:
            raise self.problem
        self.adopted.append((family, factory))


def told_manager(
    clock: IReactorTime, told: list[str], patience: float | None = None
) -> ServiceManager:
    """Make a service manager that notes what it is told."""

    def send(address: bytes, message: bytes) -> None:
        told.append(message.decode())

    return ServiceManager(clock, b"/run/notify", patience, send, clock.seconds)
