"""Tries the servers of a directory one by one, for whoever looks for what is wrong."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen
from twisted.internet.interfaces import IReactorTime

from pypicloud_tw.access.directories.ldap import connect_as_service, connector_of
from pypicloud_tw.access.directories.ldap_client import (
    LdapConnector,
    LdapError,
    LdapServer,
    MakeEndpoint,
)
from pypicloud_tw.access.directories.ldap_pool import LdapServers
from pypicloud_tw.config.sections.ldap import LdapSection


@frozen(eq=False)
class TriedDirectory:
    """The servers of a directory."""

    settings: LdapSection
    connector: LdapConnector

    @classmethod
    def make(
        cls, settings: LdapSection, clock: IReactorTime, make_endpoint: MakeEndpoint
    ) -> TriedDirectory:
        """Make it of its settings.

        :raises ConfigError: the file of authorities is none.
        """
        return cls(settings, connector_of(settings, clock, make_endpoint))

    @property
    def servers(self) -> list[LdapServer]:
        """All of them."""
        return [LdapServer.parse(url) for url in self.settings.url]

    async def try_each(self) -> Sequence[tuple[str, str | None]]:
        """Connect to each, and ask it something: its address, and why that failed."""
        return [(str(server), await self._try(server)) for server in self.servers]

    async def _try(self, server: LdapServer) -> str | None:
        try:
            connection = await self.connector.connect(server)
        except LdapError as e:
            return str(e)
        try:
            return None if await connection.answers() else "it does not answer."
        finally:
            connection.close()

    async def log_in(self) -> str | None:
        """Log in as our own entry, where there is one; return why that failed."""
        servers = LdapServers(self.connector, self.servers)
        try:
            connection = await connect_as_service(servers, self.settings)
        except LdapError as e:
            return str(e)
        connection.close()
        return None
