"""What moves packages, as commands ask for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from attrs import field, frozen

from pypicloud_tw.client.address import IndexAddress
from pypicloud_tw.client.logins import Credentials
from pypicloud_tw.config.configuration import Config
from pypicloud_tw.moving.report import Progress, Report
from pypicloud_tw.moving.wanted import Wanted


@frozen
class Origin:
    """Where packages are taken from.

    :ivar place: an address, or a path.
    :ivar kind: what it is; None: that is found out.
    :ivar credentials: who logs in there.
    :ivar bases: see :class:`.kinds.Tools`.
    """

    place: str = field(repr=False)  # it may have a password in it
    kind: str | None
    credentials: Credentials = field(repr=False)
    bases: bool = False


@frozen
class IntoStore:
    """Packages are taken into the store of a configuration."""

    config: Config


@frozen
class IntoServer:
    """Packages are taken into the index of a server."""

    address: IndexAddress
    credentials: Credentials = field(repr=False)


@frozen
class Order:
    """What is to be taken, and how; see :class:`.importer.Importer`."""

    origin: Origin
    into: IntoStore | IntoServer
    wanted: Wanted
    jobs: int
    dry_run: bool


class Mover(Protocol):
    """Moves packages; each call runs a reactor."""

    def take(
        self,
        order: Order,
        environ: Mapping[str, str],
        tell: Callable[[Progress], None],
    ) -> Report:
        """Take packages into an index.

        :raises PypicloudError: nothing of it could be begun.
        """
