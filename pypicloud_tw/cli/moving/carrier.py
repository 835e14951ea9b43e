"""What fetches and packs for machines without a way out, as commands ask for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from attrs import frozen

from pypicloud_tw.config.configuration import Config
from pypicloud_tw.moving.bundle.packing import Packed
from pypicloud_tw.moving.bundle.values import BundleIndex, Contents
from pypicloud_tw.moving.locks.platforms import Wanted as WantedFiles
from pypicloud_tw.moving.locks.values import Lock
from pypicloud_tw.moving.mirror.values import Report
from pypicloud_tw.moving.report import Progress
from pypicloud_tw.moving.wanted import Wanted


@frozen
class MirrorOrder:
    """What of a lock is to be fetched, and where to.

    :ivar folder: None: into the cache of the store.
    """

    config: Config
    lock: Lock
    wanted: WantedFiles
    folder: Path | None
    dry_run: bool


@frozen
class BundleOrder:
    """What is to be packed, and where to.

    :ivar since: what the bundle before told; None: there is none.
    """

    config: Config
    output: Path
    wanted: Wanted
    contents: tuple[Contents, ...]
    since: BundleIndex | None
    dry_run: bool


class Carrier(Protocol):
    """Fetches and packs; each call runs a reactor."""

    def mirror(
        self,
        order: MirrorOrder,
        environ: Mapping[str, str],
        tell: Callable[[Progress], None],
    ) -> Report:
        """Fetch what a lock names.

        :raises PypicloudError: nothing of it could be begun.
        """

    def bundle(self, order: BundleOrder, tell: Callable[[Progress], None]) -> Packed:
        """Pack a bundle.

        :raises PypicloudError: there is none.
        """
