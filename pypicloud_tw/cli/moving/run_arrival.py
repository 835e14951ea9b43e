"""Takes a bundle into a store, for :mod:`.run`."""

from __future__ import annotations

from pypicloud_tw.cli.moving.mover import IntoStore, Order
from pypicloud_tw.cli.offline import command_actor
from pypicloud_tw.index.index import Index
from pypicloud_tw.moving.bundle.arrival import Arrival
from pypicloud_tw.moving.importer import Importer
from pypicloud_tw.moving.report import Report
from pypicloud_tw.moving.sources.bundle import BundleSource
from pypicloud_tw.process import Process
from pypicloud_tw.upstream.keeper import StoredPages
from pypicloud_tw.upstream.standings import Standings

_NOT_BY_SERVERS = (
    "It is kept of another index, and servers take files of their own: take the bundle "
    "with --into."
)


async def take_bundle(
    source: BundleSource,
    importer: Importer,
    order: Order,
    process: Process,
    index: Index | None,
) -> Report:
    """Take a bundle into a store; through a server, what of it an import can take.

    :param index: of the store; None: it is a server's.
    :raises PypicloudError: nothing of it was taken.
    """
    if index is None or not isinstance(order.into, IntoStore):
        for kept in source.bundle.index.kept:
            importer.report.remark(kept.name, None, "refused", _NOT_BY_SERVERS)
        return await importer.run()
    config = order.into.config
    arrival = Arrival(
        index,
        source,
        StoredPages.over(index.store, process.offload, config.upstream.max_page),
        Standings(index.store, process.reactor, index.standing),
        process.offload,
        command_actor(),
        order.wanted,
        importer.run,
        importer.report,
        importer.tell,
        order.dry_run,
    )
    return await arrival.take()
