"""Runs work on the store or through a server; each call runs a reactor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import frozen

from pypicloud_tw.cli.running import run
from pypicloud_tw.client.address import IndexAddress
from pypicloud_tw.client.logins import Credentials
from pypicloud_tw.config.configuration import Config

if TYPE_CHECKING:
    from pypicloud_tw.cli.administration import Work
    from pypicloud_tw.index.index import Index
    from pypicloud_tw.process import Process

T = TypeVar("T")


@frozen
class ReactorRunner:
    """See :class:`~.base.Runner`."""

    def over_store(self, config: Config, work: Work[T], *, changes: bool) -> T:
        """Do the work on a store; see :class:`~.base.Runner`."""
        # Only here: a command that asks a server needs not load what makes one.
        from pypicloud_tw.cli import offline
        from pypicloud_tw.cli.stored_index import StoredIndex

        offline.check_folder(config)

        async def administer(process: Process, index: Index) -> T:
            if changes:
                offline.check_only_writer(index)
            index.unserved.find({})  # what servers found out is in the store
            return await work(StoredIndex(config, process, index))

        return run(lambda reactor: offline.with_index(config, reactor, administer))

    def over_server(
        self,
        address: IndexAddress,
        credentials: Credentials,
        environ: Mapping[str, str],
        work: Work[T],
        *,
        patience: float | None = None,
    ) -> T:
        """Do the work through a server; see :class:`~.base.Runner`."""
        # Only here: a command that works on a store needs no client of servers.
        from pypicloud_tw.client.administration import RemoteIndex
        from pypicloud_tw.client.agent import make_agent
        from pypicloud_tw.client.api import PATIENCE, ApiClient

        async def main(reactor: Any) -> T:
            agent = make_agent(reactor, address.scheme, environ)
            client = ApiClient(
                address, credentials, agent, reactor, patience or PATIENCE, patience
            )
            return await work(RemoteIndex(client))

        return run(main)
