"""The two doors: each call runs a reactor, does some work, and stops it."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.task import react

from pypicloud_tw.access.administration.authority import Operator
from pypicloud_tw.access.administration.interface import Work
from pypicloud_tw.access.basic import Login
from pypicloud_tw.client.access import RemoteAdministration
from pypicloud_tw.client.address import IndexAddress
from pypicloud_tw.client.agent import make_agent
from pypicloud_tw.client.api import ApiClient
from pypicloud_tw.config.load import Config
from pypicloud_tw.errors import PypicloudError, Unavailable

T = TypeVar("T")


@frozen
class ReactorDoors:
    """See :class:`~.base.Doors`."""

    def over_store(self, config: Config, work: Work[T], *, changes: bool) -> T:
        """Do the work on the store of a configuration; see :class:`~.base.Doors`."""
        # Only here: a command that asks a server needs not load what makes one.
        from pypicloud_tw.assembly import (
            make_administered,
            make_index,
            make_process,
            make_trail,
        )
        from pypicloud_tw.cli import offline

        offline.check_folder(config)

        async def main(reactor: Any) -> T:
            process = make_process(reactor)
            trail = make_trail(config, process)
            index = make_index(config, process, os.environ, audit=trail)
            process.start()
            try:
                await index.store.prepare()
                await index.secure()
                trail.start(index.store)
                if changes:
                    offline.check_only_writer(index)
                administered = make_administered(config, index, process)
                return await work(administered.by(offline.command_actor(), Operator()))
            finally:
                await trail.close()
                await index.close()
                await process.stop()

        return _run(main)

    def over_server(
        self,
        address: IndexAddress,
        login: Login,
        environ: Mapping[str, str],
        work: Work[T],
    ) -> T:
        """Do the work through a server; see :class:`~.base.Doors`."""

        async def main(reactor: Any) -> T:
            agent = make_agent(reactor, address.scheme, environ)
            client = ApiClient(address, login, agent, reactor)
            return await work(RemoteAdministration(client))

        return _run(main)


def _run(main: Callable[[Any], Awaitable[T]]) -> T:
    """Run a reactor for as long as *main* takes, and return what it returned."""
    results: list[T] = []
    errors: list[PypicloudError] = []

    async def noted(reactor: Any) -> None:
        try:
            results.append(await main(reactor))
        except PypicloudError as e:
            errors.append(e)

    try:
        react(lambda reactor: Deferred.fromCoroutine(noted(reactor)))
    except SystemExit:
        # react ends the process when it is done.
        if errors:
            raise errors[0] from None
        if results:
            return results[0]
        raise
    raise Unavailable("The command was interrupted.")
