"""Connections to a directory that are kept for the next question."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from attrs import define, field
from twisted.internet.interfaces import IReactorTime

from pypicloud_tw.access.directories.ldap_client import (
    LdapAway,
    LdapConnection,
    LdapConnector,
    LdapError,
    LdapServer,
    closed_unless_done,
)

T = TypeVar("T")

#: Seconds for which a connection is kept unused: servers and firewalls forget sooner or
#: later, and the first question then waits in vain.
_IDLE = 60.0


@define(eq=False)
class LdapServers:
    """The servers of one directory; who answered last is asked first."""

    connector: LdapConnector
    servers: list[LdapServer]

    async def connect(self) -> LdapConnection:
        """Open a connection to the first server that answers.

        :raises LdapError: none does; with what each did.
        """
        failures = []
        for server in tuple(self.servers):
            try:
                connection = await self.connector.connect(server)
            except LdapError as e:
                failures.append(f"{server}: {e}")
            else:
                self.servers.sort(key=lambda other: other != server)
                return connection
        raise LdapAway("; ".join(failures))


@define(eq=False)
class LdapPool:
    """Connections that are used for one piece of work at a time.

    :ivar connect: opens one more.
    """

    clock: IReactorTime
    connect: Callable[[], Awaitable[LdapConnection]]
    _idle: list[tuple[float, LdapConnection]] = field(factory=list, init=False)

    async def run(self, work: Callable[[LdapConnection], Awaitable[T]]) -> T:
        """Do a piece of work by a connection.

        Once more by a new one if the server has closed or forgotten the old.

        :raises LdapError: it cannot be done.
        """
        kept = self._take()
        if kept is not None:
            try:
                return await self._run(kept, work)
            except LdapAway:
                # So are the others, most likely.
                self.close()
        return await self._run(await self.connect(), work)

    async def run_once(self, work: Callable[[LdapConnection], Awaitable[T]]) -> T:
        """Do a piece of work that must not be done twice, by a connection that answers.

        A bind counts where it arrives, although no answer comes back.

        :raises LdapError: it cannot be done, or nobody knows whether it was.
        """
        kept = self._take()
        if kept is not None and not await kept.answers():
            self.close()
            kept = None
        return await self._run(kept or await self.connect(), work)

    async def _run(
        self, connection: LdapConnection, work: Callable[[LdapConnection], Awaitable[T]]
    ) -> T:
        result = await closed_unless_done(connection, work(connection))
        self._idle.append((self.clock.seconds(), connection))
        return result

    def _take(self) -> LdapConnection | None:
        while self._idle:
            since, connection = self._idle.pop()
            if connection.usable and self.clock.seconds() - since < _IDLE:
                return connection
            connection.close()
        return None

    def close(self) -> None:
        """Close those that are not in use."""
        idle, self._idle = self._idle, []
        for _, connection in idle:
            connection.close()
