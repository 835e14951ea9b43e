"""Which kind of source a place is."""

from __future__ import annotations

from collections.abc import Sequence

from pypicloud_tw.errors import BadRequest
from pypicloud_tw.moving.kinds import Kind, Tools
from pypicloud_tw.moving.source import Source
from pypicloud_tw.moving.sources.artifactory import ArtifactoryKind
from pypicloud_tw.moving.sources.bandersnatch import BandersnatchKind
from pypicloud_tw.moving.sources.devpi import DevpiKind
from pypicloud_tw.moving.sources.folder import FolderKind
from pypicloud_tw.moving.sources.gitlab import GitlabKind
from pypicloud_tw.moving.sources.nexus import NexusKind
from pypicloud_tw.moving.sources.pulp import PulpKind
from pypicloud_tw.moving.sources.pypicloud1 import FormerKind
from pypicloud_tw.moving.sources.pypiserver import PypiserverKind
from pypicloud_tw.moving.sources.same import SameKind
from pypicloud_tw.moving.sources.simple import SimpleKind
from pypicloud_tw.outbound.origins import is_web, without_userinfo

#: Every kind, in the order in which they look at a place: those that know their own
#: addresses, those that ask, those that take any folder and any web server.
KINDS: tuple[Kind, ...] = (
    GitlabKind(),
    ArtifactoryKind(),
    NexusKind(),
    PulpKind(),
    SameKind(),
    DevpiKind(),
    PypiserverKind(),
    FormerKind(),
    BandersnatchKind(),
    FolderKind(),
    SimpleKind(),
)


async def find(
    place: str, kind: str | None, tools: Tools, kinds: Sequence[Kind] = KINDS
) -> Source:
    """Make the source of a place.

    :param place: an address with its scheme, or a path.
    :param kind: the name of one; None: it is found out.
    :raises BadRequest: there is no such kind, or it is of none.
    :raises PypicloudError: nobody could be asked.
    """
    if kind is not None:
        return await named(kind, kinds).make(place, tools)
    for one in kinds:
        if await one.recognise(place, tools):
            return await one.make(place, tools)
    said = without_userinfo(place) if is_web(place) else place
    raise BadRequest(
        f"{said} is no address of an index, no folder and no archive that packages "
        f"could be taken from. If it is one, say of which kind: --kind {_names(kinds)}."
    )


def named(name: str, kinds: Sequence[Kind] = KINDS) -> Kind:
    """Return a kind by its name.

    :raises BadRequest: there is none.
    """
    found = next((one for one in kinds if one.name == name), None)
    if found is None:
        raise BadRequest(f"There is no such kind of source; there are {_names(kinds)}.")
    return found


def _names(kinds: Sequence[Kind]) -> str:
    return ", ".join(one.name for one in kinds)
