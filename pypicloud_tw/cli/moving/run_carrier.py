"""Fetches and packs on a reactor; see :class:`~.carrier.Carrier`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attrs import frozen

from pypicloud_tw.assembly.mirror import check_mode, make_mirror
from pypicloud_tw.cli.moving.carrier import BundleOrder, MirrorOrder
from pypicloud_tw.cli.offline import check_folder, check_only_writer, with_index
from pypicloud_tw.cli.running import run
from pypicloud_tw.index.index import Index
from pypicloud_tw.moving.bundle.packing import Packed, Packer
from pypicloud_tw.moving.mirror.values import Report
from pypicloud_tw.moving.report import Progress
from pypicloud_tw.process import Process
from pypicloud_tw.upstream.keeper import StoredPages


@frozen
class ReactorCarrier:
    """See :class:`~.carrier.Carrier`."""

    def mirror(
        self,
        order: MirrorOrder,
        environ: Mapping[str, str],
        tell: Callable[[Progress], None],
    ) -> Report:
        """See :class:`~.carrier.Carrier`."""
        config, folder = order.config, order.folder

        async def work(process: Process, index: Index) -> Report:
            if folder is None and not order.dry_run:
                check_only_writer(index)
            index.unserved.find({})  # what servers found out is in the store
            async with make_mirror(
                config,
                index,
                process,
                environ,
                order.wanted,
                folder,
                tell,
                dry_run=order.dry_run,
            ) as mirror:
                return await mirror.run(order.lock, dry_run=order.dry_run)

        check_mode(config, folder)
        check_folder(config)
        return run(lambda reactor: with_index(config, reactor, work))

    def bundle(self, order: BundleOrder, tell: Callable[[Progress], None]) -> Packed:
        """See :class:`~.carrier.Carrier`."""
        config = order.config

        async def work(process: Process, index: Index) -> Packed:
            index.unserved.find({})  # what servers found out is in the store
            limit = config.upstream.max_page
            packer = Packer(
                index,
                process.offload,
                StoredPages.over(index.store, process.offload, limit),
                order.wanted,
                order.contents,
                tell,
            )
            return await packer.pack(order.output, order.since, dry_run=order.dry_run)

        check_folder(config)
        return run(lambda reactor: with_index(config, reactor, work))
