"""Mistakes that were made once, or could be: each is a part in the place of a good one.

A test puts one in at a time, to show that the runs find it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, cast

from attrs import define, evolve, frozen

from pypicloud_tw.errors import AmbiguousWrite, NotFound, StoreError
from pypicloud_tw.index.at_hand import AtHand
from pypicloud_tw.index.catalog import CachedProject, Catalog
from pypicloud_tw.index.index import Index
from pypicloud_tw.index.manifest import decode, encode, project_of
from pypicloud_tw.index.manifests import Change, Versioned
from pypicloud_tw.index.model import File, Project
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.index.publication import Publication
from pypicloud_tw.index.publish import Publisher
from pypicloud_tw.index.unserved import Unserved
from pypicloud_tw.index.watch import MarkerWatch
from pypicloud_tw.maintenance.sweep import Sweeper, Swept
from pypicloud_tw.store.interfaces import Condition, ObjectInfo
from pypicloud_tw.web.views import ProjectView, Views
from tests.simulation.servers import Parts
from tests.simulation.world import Plan
from tests.unsteady import AWS, RGW, SWIFT, Line, Profile

_AS_OFTEN: Mapping[str, float] = {}


@define(eq=False)
class _OtherStore:
    """A store by which something is done otherwise; the rest is as it was."""

    line: Line

    def __getattr__(self, name: str) -> Any:
        return getattr(self.line, name)


class _Blind(_OtherStore):
    """Writes whatever is there: two win one name."""

    async def put(
        self, key: str, data: bytes, *, condition: Condition = None, **how: Any
    ) -> ObjectInfo:
        return await self.line.put(key, data, **how)


class _Hopeful(_OtherStore):
    """Takes a write that may be lost for made."""

    async def put(self, key: str, data: bytes, **how: Any) -> ObjectInfo:
        try:
            return await self.line.put(key, data, **how)
        except AmbiguousWrite:
            return await self.line.head(key)


class _Nameless(_OtherStore):
    """Writes manifests that remember no changes."""

    async def put(self, key: str, data: bytes, **how: Any) -> ObjectInfo:
        if (name := project_of(key)) is not None:
            data = encode(evolve(decode(name, data), changes=()))
        return await self.line.put(key, data, **how)


class _Believing(Catalog[ProjectView]):
    """Believes for a while that a project is absent, also when others are asked."""

    async def project(
        self, name: NormalizedName, *, prove_absence: bool = False
    ) -> CachedProject[ProjectView]:
        return await super().project(name)


class _Hasty(Publisher):
    """Tells others of a change before it is made."""

    async def _swap_and_tell(
        self, name: NormalizedName, change: Change, create: bool, step: str
    ) -> Project:
        await self.catalog.changed(name)
        return (await self.manifests.change(name, change, create=create)).project


class _Tidy(Publication):
    """Clears away its objects when its swap failed, which may have been made."""

    async def _commit(self, file: File, *how: Any) -> Project:
        try:
            return await super()._commit(file, *how)
        except StoreError:
            await self.publisher.discard(file, None)
            raise


class _Trusting(Publication):
    """Publishes a file again that it has found there, without storing it."""

    async def _find_there(self, change: Change) -> Project | None:
        return await self.publisher.change(self.filename.project, change)


class _Ageless(Sweeper):
    """Takes what was stored a moment ago for left over."""

    async def run(self) -> Swept:
        self.age = 0.0
        return await super().run()


@frozen
class _Remembered:
    """Manifests as they were."""

    states: Mapping[NormalizedName, Versioned]

    async def read(self, name: NormalizedName) -> Versioned:
        if name not in self.states:
            raise NotFound("It was not there.")
        return self.states[name]


class _Early(Sweeper):
    """Reads the manifests before it lists the objects that they may name."""

    async def run(self) -> Swept:
        states = {
            n: await self.manifests.read(n) async for n, _ in self.manifests.names()
        }
        remembered: Any = _Remembered(states)
        return await Sweeper(self.store, remembered, 0.0, restore_for=1e8).run()


class _Impatient(Sweeper):
    """Removes what was deleted although it can be restored still."""

    async def run(self) -> Swept:
        self.restore_for = 0.0
        return await super().run()


class _Backwards(Sweeper):
    """Removes what was deleted before it says so."""

    async def _purge(self, project: Project, limit: datetime, swept: Swept) -> None:
        for tombstone in project.tombstones:
            if tombstone.deleted < limit - timedelta(seconds=self.restore_for):
                for key in tombstone.keys:
                    await self.store.delete(key)
        await super()._purge(project, limit, swept)


@define
class _Sure(Unserved):
    """Takes names for absent before it has looked what lies in the store."""

    def __attrs_post_init__(self) -> None:
        self.find({})


class _Alone(Index):
    """Writes where only one may, without a claim."""

    async def secure(self) -> None:
        self.standing.open(None)


@define(eq=False)
class _Quiet:
    """Tells no other server of a change."""

    watch: MarkerWatch

    def __getattr__(self, name: str) -> Any:
        return getattr(self.watch, name)

    async def tell(self, entry: str) -> None:
        self.watch._publish({entry})


async def _view_all(state: Versioned, before: object = None) -> Any:
    """Show what is in quarantine."""
    shown = AtHand().keep(evolve(state.project, status="active"))
    return await Views()(evolve(state, kept=shown))


def _quiet(watch: MarkerWatch) -> MarkerWatch:
    return cast("MarkerWatch", _Quiet(watch))


@frozen
class Mistake:
    """One that is put back.

    :ivar told: what is said when it is found: one of these.
    """

    plan: Plan
    told: tuple[str, ...]

    def is_told_of(self, trouble: list[str]) -> bool:
        """Return whether it is this that a run has found."""
        return any(told in one for told in self.told for one in trouble)


def _mistake(
    *told: str,
    profile: Profile = AWS,
    more: Mapping[str, float] = _AS_OFTEN,
    **part: Any,
) -> Mistake:
    return Mistake(Plan(profile, Parts(**part), more), told)


_OLD = "is old", "as it is not since"
_LOST = "is not what it should be", "was deleted, and is named"
_ASKED = "upstream was asked for our"

#: By what each does.
MISTAKES: Mapping[str, Mistake] = {
    "two win one name": _mistake("changes of others are lost", for_manifests=_Blind),
    "a write that may be lost is taken for made": _mistake(
        "was never written", profile=RGW, for_manifests=_Hopeful
    ),
    "no change has an id": _mistake(
        "was refused and is visible",
        "times in the history, not",
        for_manifests=_Nameless,
        more={"act": 6, "storm": 3},
    ),
    "a stale absence": _mistake(
        _ASKED, catalog=_Believing, more={"read": 20, "download": 0.1, "act": 0.1}
    ),
    "the marker is told before the swap": _mistake(
        *_OLD, publisher=_Hasty, more={"read": 5, "publish": 3}
    ),
    "a failed publish takes away what it may have committed": _mistake(
        *_LOST, publication=_Tidy, more={"storm": 3}
    ),
    "a file that was just deleted is published without its bytes": _mistake(
        *_LOST, publication=_Trusting, more={"act": 2, "publish": 3}
    ),
    "a sweep takes what another is about to name": _mistake(
        *_LOST, sweeper=_Ageless, more={"sweep": 5}
    ),
    "a sweep reads the manifests first": _mistake(
        *_LOST, sweeper=_Early, more={"sweep": 5}
    ),
    "a sweep removes what can be restored": _mistake(
        "is purged, and could be restored", sweeper=_Impatient, more={"sweep": 5}
    ),
    "a sweep removes before it says so": _mistake(
        *_LOST, sweeper=_Backwards, more={"sweep": 5, "wait_long": 2}
    ),
    "a server is asked before it has looked": _mistake(
        _ASKED, unserved=_Sure, more={"copy_former": 30, "kill": 10, "read": 20}
    ),
    "two write where one may": _mistake(
        "changes of others are lost", "is True at", profile=SWIFT, index=_Alone
    ),
    "a revocation is not told": _mistake(
        "dead token", token_watch=_quiet, more={"revoke_token": 6, "show_token": 4}
    ),
    "a change of rights is not told": _mistake(
        "is True at", document_watch=_quiet, more={"turn": 5, "read": 2}
    ),
    "quarantine is not obeyed": _mistake(*_OLD, view=_view_all, more={"act": 2}),
}
