"""What kinds of sources there are, as each of them describes itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from attrs import frozen
from twisted.internet.interfaces import IReactorTime

from pypicloud_tw.moving.http import SourceHttp
from pypicloud_tw.moving.source import Source
from pypicloud_tw.offload.service import IOffload


@frozen
class Tools:
    """What sources work with.

    :ivar http: asks web servers, for one address and with its log-in.
    :ivar offload: for what would block the reactor: files on disk, long parsing.
    :ivar environ: of the command.
    :ivar bases: projects that an index inherits are wanted, too.
    """

    http: Callable[[str], SourceHttp]
    offload: IOffload
    clock: IReactorTime
    environ: Mapping[str, str]
    bases: bool = False


class Kind(Protocol):
    """One kind of source."""

    @property
    def name(self) -> str:
        """What ``--kind`` calls it."""

    @property
    def title(self) -> str:
        """What sentences call it."""

    async def recognise(self, place: str, tools: Tools) -> bool:
        """Return whether a place is one of this kind, by looking at it.

        :param place: an address with its scheme, or a path, as it was given.
        :raises PypicloudError: nobody could be asked, whatever kind it is.
        """

    async def make(self, place: str, tools: Tools) -> Source:
        """Make the source; nothing need have been asked yet.

        :raises PypicloudError: the place is none of this kind.
        """
