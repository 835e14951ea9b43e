"""What lies beside the manifests, and which of it no manifest names (decision D1).

A swap that was lost leaves the parts and segments that it had written; one that was won
leaves those that it replaced.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime

from attrs import define, field

from pypicloud_tw.errors import HistoryDamaged, ManifestDamaged, NotFound
from pypicloud_tw.index.manifest_parts import PARTS, part_key, part_of
from pypicloud_tw.index.manifests import Manifests, Versioned
from pypicloud_tw.index.model import FORMAT, Project
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.index.older_history import (
    HISTORY,
    ambiguous,
    number_of,
    segment_key,
    segment_of,
)
from pypicloud_tw.store.interfaces import IObjectStore


@define
class _Ids:
    parts: set[str] = field(factory=set)
    segments: set[str] = field(factory=set)


@define
class Beside:
    """The objects beside the manifests that a listing told.

    To be listed before the manifests are read, so that what is named in between is seen
    as named.
    """

    found: dict[NormalizedName, _Ids] = field(factory=lambda: defaultdict(_Ids))

    @classmethod
    async def listed(cls, store: IObjectStore, limit: datetime) -> Beside:
        """List those that were written before then.

        :raises StoreError: the store is away.
        """
        beside = cls()
        async for info in store.list(PARTS):
            part = part_of(info.key)
            if part is not None and info.modified < limit:
                beside.found[part[0]].parts.add(part[1])
        async for info in store.list(HISTORY):
            segment = segment_of(info.key)
            if segment is not None and info.modified < limit:
                beside.found[segment[0]].segments.add(segment[1])
        return beside

    async def unnamed(self, manifests: Manifests) -> list[str]:
        """Give the keys of those that no manifest names.

        Those of a project whose manifest is lost, damaged or of a newer format are not
        among them: it may have named any.

        :raises StoreError: the store is away.
        """
        keys: list[str] = []
        for name, ids in self.found.items():
            try:
                state = await manifests.read(name)
            except (NotFound, ManifestDamaged):
                continue
            if state.project.format <= FORMAT:
                keys += [part_key(name, one) for one in ids.parts - _parts(state)]
                named = await _named(ids.segments, state.project, manifests)
                keys += [segment_key(name, one) for one in ids.segments - named]
        return sorted(keys)


def _parts(state: Versioned) -> set[str]:
    return set() if state.placement is None else state.placement.ids


async def _named(
    segments: set[str], project: Project, manifests: Manifests
) -> set[str]:
    """Give those of a project's segments that it names, or that may be named.

    Segments are read down to the lowest number that two of them have: most projects
    have none such.
    """
    newest = project.older_history
    doubtful = set(ambiguous(newest, segments))
    named = {
        one
        for one in segments
        if number_of(one) <= number_of(newest) and number_of(one) not in doubtful
    }
    identity = newest
    while identity is not None and number_of(identity) >= min(
        doubtful, default=1 << 62
    ):
        named.add(identity)
        try:
            identity = (await manifests.segment(project.name, identity)).older
        except HistoryDamaged:
            # It may have named any of those before it.
            below = number_of(identity)
            return named | {one for one in segments if number_of(one) < below}
    return named
