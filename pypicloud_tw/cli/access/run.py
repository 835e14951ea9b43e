"""Runs work on the store or through a server; each call runs a reactor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import frozen

from pypicloud_tw.access.administration.authority import Operator
from pypicloud_tw.access.administration.interface import Work
from pypicloud_tw.access.basic import Login
from pypicloud_tw.cli.running import run
from pypicloud_tw.client.access import RemoteAdministration
from pypicloud_tw.client.address import IndexAddress
from pypicloud_tw.client.agent import make_agent
from pypicloud_tw.client.api import ApiClient
from pypicloud_tw.config.configuration import Config

if TYPE_CHECKING:
    from pypicloud_tw.index.index import Index
    from pypicloud_tw.process import Process

T = TypeVar("T")


@frozen
class ReactorRunner:
    """See :class:`~.base.AccessRunner`."""

    def over_store(self, config: Config, work: Work[T], *, changes: bool) -> T:
        """Do the work on a store; see :class:`~.base.AccessRunner`."""
        # Only here: a command that asks a server needs not load what makes one.
        from pypicloud_tw.access.administration.stored import StoredAdministration
        from pypicloud_tw.assembly.access import make_administered
        from pypicloud_tw.cli import offline

        offline.check_folder(config)

        async def administer(process: Process, index: Index) -> T:
            if changes:
                offline.check_only_writer(index)
            administered = make_administered(config, index, process)
            actor = offline.command_actor()
            return await work(StoredAdministration(administered, actor, Operator()))

        return run(lambda reactor: offline.with_index(config, reactor, administer))

    def over_server(
        self,
        address: IndexAddress,
        login: Login,
        environ: Mapping[str, str],
        work: Work[T],
    ) -> T:
        """Do the work through a server; see :class:`~.base.AccessRunner`."""

        async def main(reactor: Any) -> T:
            agent = make_agent(reactor, address.scheme, environ)
            client = ApiClient(address, login, agent, reactor)
            return await work(RemoteAdministration(client))

        return run(main)
