"""Moves packages on a reactor; see :class:`~.mover.Mover`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from random import SystemRandom
from typing import Any

from attrs import define, field, frozen

from pypicloud_tw.access.administration.authority import Operator
from pypicloud_tw.access.exemptions import Exemptions
from pypicloud_tw.advisories.values import NoAdvisories
from pypicloud_tw.assembly.access import make_administered
from pypicloud_tw.assembly.advisories import make_advisories, make_screen
from pypicloud_tw.assembly.index import make_process
from pypicloud_tw.cli import offline
from pypicloud_tw.cli.moving.mover import IntoServer, IntoStore, Order
from pypicloud_tw.cli.moving.run_arrival import take_bundle
from pypicloud_tw.cli.running import run
from pypicloud_tw.client.agent import make_agent
from pypicloud_tw.client.api import ApiClient
from pypicloud_tw.client.logins import Credentials
from pypicloud_tw.client.projects import RemoteProjects
from pypicloud_tw.config.configuration import Config
from pypicloud_tw.index.index import Index
from pypicloud_tw.moving.destination import Destination, StoreDestination
from pypicloud_tw.moving.http import SourceHttp
from pypicloud_tw.moving.importer import Importer
from pypicloud_tw.moving.kinds import Tools
from pypicloud_tw.moving.remote import ServerDestination
from pypicloud_tw.moving.report import Progress, Report
from pypicloud_tw.moving.sources.bundle import BundleSource
from pypicloud_tw.moving.sources.find import find
from pypicloud_tw.outbound.origins import Origin, origin_of
from pypicloud_tw.process import Process
from pypicloud_tw.projects.administered import AdministeredProjects
from pypicloud_tw.projects.stored import StoredProjects

#: Connections to a server that are kept for the next question: as many as there are
#: jobs, usually.
_KEPT = 8

#: Does its work with a place to take packages into, and the index that it is of where
#: that is at hand.
_Work = Callable[[Process, Destination, Index | None], Awaitable[Report]]


@frozen
class ReactorMover:
    """See :class:`~.mover.Mover`."""

    def take(
        self,
        order: Order,
        environ: Mapping[str, str],
        tell: Callable[[Progress], None],
    ) -> Report:
        """See :class:`~.mover.Mover`."""

        async def work(
            process: Process, destination: Destination, index: Index | None
        ) -> Report:
            source = await find(
                order.origin.place,
                order.origin.kind,
                make_tools(order, process, environ),
            )
            try:
                importer = Importer(
                    source,
                    destination,
                    process.reactor,
                    order.wanted,
                    order.jobs,
                    order.dry_run,
                    tell,
                )
                if isinstance(source, BundleSource):
                    return await take_bundle(source, importer, order, process, index)
                return await importer.run()
            finally:
                await source.close()

        if isinstance(order.into, IntoStore):
            return _over_store(order.into.config, environ, work, order.dry_run)
        return _over_server(order.into, environ, work)


def _over_store(
    config: Config, environ: Mapping[str, str], work: _Work, dry_run: bool
) -> Report:
    offline.check_folder(config)

    async def on_index(process: Process, index: Index) -> Report:
        if not dry_run:
            offline.check_only_writer(index)
        index.unserved.find({})  # what servers found out is in the store
        destination = await _stored(config, process, index, environ)
        return await work(process, destination, index)

    return run(lambda reactor: offline.with_index(config, reactor, on_index))


async def _stored(
    config: Config, process: Process, index: Index, environ: Mapping[str, str]
) -> StoreDestination:
    """Make what takes files into a store, by the rules that uploads are held to."""
    administered = make_administered(config, index, process)
    advisories = make_advisories(config, index.store, process, environ)
    await administered.documents.learn()
    if advisories is not None:
        await advisories.look()
    exemptions = Exemptions(administered.access)
    actor = offline.command_actor()
    bucket = config.aws.bucket
    return StoreDestination(
        f"the folder {config.storage.dir}"
        if bucket is None
        else f"the bucket {bucket}",
        StoredProjects(AdministeredProjects(index), actor, Operator()),
        index.publisher,
        actor,
        make_screen(config, advisories or NoAdvisories(), exemptions, process),
        config.pypi.max_upload,
    )


def _over_server(into: IntoServer, environ: Mapping[str, str], work: _Work) -> Report:
    async def main(reactor: Any) -> Report:
        process = make_process(reactor)
        process.start()
        try:
            agent = make_agent(reactor, into.address.scheme, environ)
            client = ApiClient(into.address, into.credentials, agent, reactor)
            projects = RemoteProjects(client)
            return await work(
                process, ServerDestination(client, projects, process.offload), None
            )
        finally:
            await process.stop()

    return run(main)


def make_tools(order: Order, process: Process, environ: Mapping[str, str]) -> Tools:
    """Make what a source works with."""
    servers = _Servers(order.origin.place, order.origin.credentials, process, environ)
    return Tools(
        servers.at, process.offload, process.reactor, environ, order.origin.bases
    )


@define(eq=False)
class _Servers:
    """The servers that are asked; who logs in is told to that of the place alone."""

    place: str = field(repr=False)  # it may have a password in it
    credentials: Credentials = field(repr=False)
    process: Process
    environ: Mapping[str, str] = field(repr=False)
    _known: dict[Origin, SourceHttp] = field(factory=dict, init=False)

    def at(self, url: str) -> SourceHttp:
        """Return what asks the server of an address."""
        origin = origin_of(url)
        if origin not in self._known:
            is_own = origin == origin_of(self.place)
            reactor = self.process.reactor
            self._known[origin] = SourceHttp.at(
                url,
                self.credentials if is_own else Credentials(None),
                make_agent(
                    reactor, origin[0], self.environ, kept=_KEPT, also=("https",)
                ),
                reactor,
                self.process.offload,
                SystemRandom().random,
            )
        return self._known[origin]
