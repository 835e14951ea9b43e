"""What people and operators ask servers for, and what they must be told."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from hashlib import sha256
from random import Random
from typing import Any, Protocol

from attrs import define
from twisted.internet.task import deferLater

from pypicloud_tw.access.principal import Credentials
from pypicloud_tw.config.rights import Action
from pypicloud_tw.errors import (
    Conflict,
    Forbidden,
    NotFound,
    PypicloudError,
    TooManyRequests,
    Unauthorized,
    Unavailable,
)
from pypicloud_tw.index.acts import Acted
from pypicloud_tw.index.admission import Claims
from pypicloud_tw.index.audit import Actor
from pypicloud_tw.index.edits import why_gone
from pypicloud_tw.index.model import File, Project, ProjectStatus, Selection, Tombstone
from pypicloud_tw.index.names import Filename, NormalizedName, file_identity
from pypicloud_tw.maintenance.adopt import Adopter
from pypicloud_tw.maintenance.rebuild import Rebuilder
from pypicloud_tw.projects.addresses import DIGEST_DIGITS
from pypicloud_tw.web.projects import Elsewhere
from pypicloud_tw.web.representation import Page
from tests.access.facts import Setting, Token
from tests.access.tokens.doubles import CLIENT, bearer
from tests.access.unsteady import FRESH_FOR
from tests.simulation.files import Wheel
from tests.simulation.lineage import APART, Lineage, Shown, State, Task
from tests.simulation.servers import RESTORE_FOR, SWEEP_AGE, VERIFY_EVERY, Server
from tests.simulation.witness import Witness
from tests.store_suite import Consumer

BOSS = Actor("boss")

#: Above what floating point makes of sums.
BIT = 1e-3

STATUSES: tuple[ProjectStatus, ...] = (
    "active",
    "active",
    "archived",
    "deprecated",
    "quarantined",
)

_REFUSALS = (Conflict, Forbidden, NotFound, Unauthorized)


class Surroundings(Protocol):
    """Where people are."""

    witness: Witness
    dice: Random
    rights: dict[tuple[str, str], Setting]
    tokens: list[Token]

    def now(self) -> float:
        """Return the true time."""

    def must(self, it_is_so: bool, what: str) -> None:
        """Complain of what must not be."""


@define(eq=False)
class People:
    """All of them; each task is in the name of nobody else."""

    world: Surroundings

    # -- tasks -----------------------------------------------------------------------

    async def _carry_out(
        self, task: Task, work: Callable[[], Coroutine[Any, Any, Project | None]]
    ) -> PypicloudError | None:
        """Do what somebody asked for, and take down what they are told."""
        world = self.world
        world.witness.expect(task)
        try:
            project = await work()
        except TooManyRequests:
            task.end("unknown", world.now())
            return None
        except _REFUSALS as e:
            task.end("refused", world.now())
            told = f"{task} was refused and is visible: {e}"
            world.must(not self._has_traces(task, e), told)
            return e
        except Unavailable:
            task.end("unknown", world.now())
            return None
        task.end("done", world.now())
        if project is not None:
            world.witness.lineage(project.name).acknowledge(project, world.now())
        return None

    def _has_traces(self, task: Task, error: PypicloudError) -> bool:
        """Tell whether anything is visible of what was refused.

        Of what was made just before the manifest was lost nobody can tell.
        """
        if task.name is None:
            return False
        lineage = self.world.witness.lineage(task.name)
        was_lost = lineage.lost is not None or lineage.was_rebuilt
        if was_lost and isinstance(error, NotFound):
            return False
        return lineage.has_traces(task.who)

    def _meanwhile(self, task: Task) -> list[State]:
        """Return the states that there were while somebody waited."""
        assert task.name is not None, "it is about a project"
        states = self.world.witness.lineage(task.name).states
        since = [state for state in states if state.at >= task.began]
        return [*states[: len(states) - len(since)][-1:], *since]

    # -- publishing ------------------------------------------------------------------

    async def publish(
        self,
        server: Server,
        task: Task,
        wheel: Wheel,
        token: Token | None,
        sending: float,
    ) -> None:
        """Upload a file, by a token's right or as whoever may.

        :param sending: seconds that the form takes to come.
        """

        async def work() -> Project:
            if token is not None:
                assert token.owner is not None, "it was made, not minted"
                right = self.world.rights[token.owner[0].name, wheel.name]
                await self.authorize(server, token, right)
            publication = server.parts.publication(
                server.index.publisher, Actor(task.who), len(wheel.data)
            )
            await publication.begin(Filename.parse(wheel.filename))
            try:
                await publication.write(wheel.data)
                await deferLater(server.clock, sending)
                return await publication.finish(
                    Claims(wheel.name, wheel.version),
                    overwrite=task.kind == "overwrite",
                )
            finally:
                await publication.abort()

        refusal = await self._carry_out(task, work)
        if isinstance(refusal, Conflict):
            rivals = any(_has_rival(s.project, wheel) for s in self._meanwhile(task))
            self.world.must(rivals, f"{task} was refused for nothing: {refusal}")
        if isinstance(refusal, Forbidden) and token is None:
            closed = [s.project.status for s in self._meanwhile(task)]
            shut = {"archived", "quarantined"}.intersection(closed)
            self.world.must(bool(shut), f"{task} was refused for nothing: {refusal}")
        if task.outcome == "done":
            there = any(_has(state.project, wheel) for state in self._meanwhile(task))
            told = f"{task} was acknowledged and is not there"
            self.world.must(there or self._may_be_gone(task), told)

    def _may_be_gone(self, task: Task, *, restores: bool = False) -> bool:
        """Tell whether another may have removed it in the very swap that made it.

        One swap has the changes of several: what is between them nobody sees.

        :param restores: what is gone is a file that was deleted.
        """
        others = self.world.witness.lineage(task.name or "").tasks
        return any(
            other is not task
            and other.overlaps(task)
            and (other.kind == "restore" if restores else other.ends_files)
            for other in others
        )

    # -- acts ------------------------------------------------------------------------

    async def act(
        self,
        server: Server,
        task: Task,
        do: Callable[[], Coroutine[Any, Any, Acted]],
    ) -> None:
        """Do something with a project."""

        async def work() -> Project:
            acted = await do()
            task.entries = int(acted.entry is not None)
            return acted.project

        refusal = await self._carry_out(task, work)
        if isinstance(refusal, NotFound):
            steady = self._is_there if task.kind != "restore" else self._can_be_restored
            told = f"{task} was told that there is nothing: {refusal}"
            invisible = self._may_be_gone(task, restores=task.kind == "restore")
            self.world.must(not steady(task) or invisible, told)

    def doing(
        self, server: Server, task: Task, status: ProjectStatus
    ) -> Callable[[], Coroutine[Any, Any, Acted]]:
        """Return what does what a task is about."""
        acts, name = server.index.acts, NormalizedName(task.name or "")
        what, actor = Selection(task.version, task.filename), Actor(task.who)
        match task.kind:
            case "yank":
                return partial(acts.yank, name, what, task.who, actor=actor)
            case "unyank":
                return partial(acts.unyank, name, what, actor=actor)
            case "delete":
                return partial(acts.delete, name, what, actor=actor)
            case "restore":
                return partial(acts.restore, name, what, actor=actor)
            case "prune":
                return partial(acts.prune, name, [task.version or ""], actor=actor)
            case "status":
                return partial(acts.set_status, name, status, actor=actor)
            case _:
                return partial(acts.undo, name, actor=actor)

    def _is_there(self, task: Task) -> bool:
        """Tell whether all the while there was what it is about."""
        lineage = self.world.witness.lineage(task.name or "")
        if task.kind == "undo" or lineage.was_rebuilt or lineage.lost is not None:
            return False
        states = self._meanwhile(task)
        return self._was_there(states, task) and all(
            any(map(task.covers, state.project.files)) for state in states
        )

    def _was_there(self, states: list[State], task: Task) -> bool:
        """Tell whether there was a project when it was asked."""
        return bool(states) and states[0].at < task.began

    def _can_be_restored(self, task: Task) -> bool:
        """Tell whether all the while it could be."""
        states = self._meanwhile(task)
        return self._was_there(states, task) and all(
            any(
                tombstone.file is not None
                and task.covers(tombstone.file)
                and why_gone(tombstone, tombstone.deleted, 1) is None
                and state.at < tombstone.deleted.timestamp() + RESTORE_FOR
                and self.world.now() + APART
                < tombstone.deleted.timestamp() + RESTORE_FOR
                for tombstone in state.project.tombstones
            )
            for state in states
        )

    # -- readers ---------------------------------------------------------------------

    async def read(self, server: Server, name: NormalizedName) -> None:
        """Look at a project's page, as an installer does, and take one of its files."""
        world, lineage = self.world, self.world.witness.lineage(name)
        began, floor = world.now(), self.floor(server, lineage)
        private = bool(lineage.states)
        knew = server.upstream.knows(name)
        stale = server.index.catalog.served_stale
        try:
            found = await server.projects.page(name)
        except NotFound as e:
            world.must(False, f"{name} is nowhere: {e}")
            return
        except Unavailable:
            return
        assert not isinstance(found, Elsewhere), "nobody is sent elsewhere"
        if server.upstream.is_from_there(found.page):
            ours = private or self._has_lain(server, lineage, began)
            world.must(not ours or knew, f"upstream was asked for our {name}")
            world.must(floor < 0, f"upstream's {name} hides ours")
            return
        if server.index.catalog.served_stale != stale:
            floor = -1
        shown = _parsed(found.page)
        known = any(state.shown == shown for state in lineage.from_floor(floor))
        what = f"{server.name} shows {name} as it is not since {began:.3f}"
        world.must(known, f"{what}: {shown}")

    def _has_lain(self, server: Server, lineage: Lineage, began: float) -> bool:
        """Tell whether a file was copied there so long ago that a server must know it.

        It looks at everything when it starts, and now and then into a project's folder.
        """
        lag, never = server.line.profile.lag + BIT, float("inf")
        late = VERIFY_EVERY + lag + server.clock.set_back
        found = (lineage.in_folder_since or never) + late < began
        return found or (lineage.lies_since or never) + lag < server.began

    async def download(
        self, server: Server, name: NormalizedName, filename: str, sha256: str
    ) -> None:
        """Ask for a file by an address that somebody was given once."""
        world, lineage = self.world, self.world.witness.lineage(name)
        floor, stale = self.floor(server, lineage), server.index.catalog.served_stale
        what = f"{filename} ({sha256[:8]}) at {server.name}"
        consumer = Consumer()
        try:
            blob = await server.projects.blob(name, sha256[:DIGEST_DIGITS], filename)
            download = await blob.open(None)
            await download.deliver(consumer)
        except (NotFound, Forbidden):
            # The upstream knows of none; in quarantine nothing is handed out.
            seen = lineage.from_floor(floor) if floor >= 0 else []
            there = seen and all(_offers(state, filename, sha256) for state in seen)
            was_stale = server.index.catalog.served_stale != stale
            excused = was_stale or lineage.lost is not None
            world.must(excused or not there, f"{what} is said not to be there")
            return
        except Unavailable as e:
            was_stale = server.index.catalog.served_stale != stale
            if "has lost this file" in e.message and not was_stale:
                keys = {_key_of(s, filename, sha256) for s in lineage.from_floor(floor)}
                # It may be on its way from one key to another.
                world.must(None in keys or len(keys) > 1, f"{what} is lost")
            return
        if server.index.catalog.served_stale != stale:
            floor = -1
        offered = any(_offers(s, filename, sha256) for s in lineage.from_floor(floor))
        world.must(offered, f"{what} is served, and is not there any more")
        world.must(_digest(consumer.data) == sha256, f"{what} has other bytes")

    def floor(self, server: Server, lineage: Lineage) -> int:
        """Return the oldest state that a server may show that is asked now."""
        old = FRESH_FOR + BIT + server.clock.set_back
        return lineage.floor(self.world.now() - old)

    # -- access ----------------------------------------------------------------------

    async def authorize(self, server: Server, token: Token, right: Setting) -> None:
        """Judge whether a token may upload, as the edge does.

        :param right: of its owner.
        """
        world = self.world
        [(_, name)] = [key for key, one in world.rights.items() if one is right]
        moment, turns = world.now() - server.clock.set_back, right.turns
        dead = token.must_be_refused(moment)
        denied = right.on is False and right.settled(moment)
        allowed = token.good and right.on is True and right.settled(moment)
        access = server.side.access
        try:
            await access.learn(changing=True)
            credentials = Credentials(bearer(token.name), CLIENT)
            principal = await access.authenticate(credentials)
            access.check(principal, Action.UPLOAD, NormalizedName(name))
        except (Unauthorized, Forbidden) as e:
            still = allowed and token.good and turns == right.turns
            world.must(not still, f"a good token is refused: {e}")
            raise
        world.must(not dead, "a dead token is taken")
        still = denied and turns == right.turns
        world.must(not still, f"a right that was taken away holds for {name}")

    async def turn(
        self, server: Server, setting: Setting, on: bool, ending: list[Setting]
    ) -> None:
        """Have a user or a right be there or not.

        :param ending: what ends with it.
        """
        with suppress(Conflict, NotFound):  # it was as nobody could know
            await server.side.documents.change(setting.add if on else setting.remove)
            for fact in (setting, *ending):
                fact.acknowledge(on, self.world.now())

    async def make(self, server: Server, owner: Setting) -> None:
        """Make a token."""
        turns, settled = owner.turns, owner.settled(self.world.now(), 0)
        await server.side.access.learn(changing=True)
        with suppress(NotFound):
            made = await server.side.tokens.make(owner.name, BOSS, "")
            if settled and owner.turns == turns:
                token = Token(made.text, True, owner=(owner, turns))
                token.acknowledge(True, self.world.now())
                self.world.tokens.append(token)

    async def revoke(self, server: Server, token: Token) -> None:
        """Revoke a token."""
        if await server.side.tokens.revoke_shown(token.name, BOSS, ""):
            token.acknowledge(False, self.world.now())

    async def show(self, server: Server, token: Token, right: Setting) -> None:
        """Show a token, to find out what it may do."""
        with suppress(*_REFUSALS, TooManyRequests):
            await self.authorize(server, token, right)

    # -- operators -------------------------------------------------------------------

    async def sweep(self, server: Server, task: Task) -> None:
        """Remove what nothing names, as the command does."""

        async def work() -> None:
            index = server.index
            sweeper = server.parts.sweeper(
                index.store,
                index.manifests,
                SWEEP_AGE,
                restore_for=index.acts.restore_for,
            )
            moves = index.acts.moves
            await moves.finish_begun()
            await moves.finish_each((await sweeper.run()).moving)

        await self._carry_out(task, work)

    async def refresh(self, server: Server, task: Task) -> None:
        """Adopt what lies there, as the command does."""

        async def work() -> None:
            server.index.standing.check()
            await Adopter.over(server.index).run()

        await self._carry_out(task, work)

    async def rebuild(self, server: Server, task: Task) -> None:
        """Write a lost manifest anew, as the command does."""

        async def work() -> None:
            rebuilder = Rebuilder(Adopter.over(server.index))
            if NormalizedName(task.name or "") in await rebuilder.lost():
                await rebuilder.rebuild(NormalizedName(task.name or ""))

        await self._carry_out(task, work)


def _has(project: Project, wheel: Wheel) -> bool:
    file = project.file(wheel.filename)
    return file is not None and file.sha256 == wheel.sha256


def _has_rival(project: Project, wheel: Wheel) -> bool:
    identity = file_identity(wheel.filename)
    others: tuple[File | Tombstone, ...] = (*project.files, *project.tombstones)
    return any(
        file_identity(one.filename) == identity and one.sha256 != wheel.sha256
        for one in others
    )


def _key_of(state: State, filename: str, digest: str) -> str | None:
    file = state.project.file(filename)
    offered = file is not None and _offers(state, filename, digest)
    return file.key if file is not None and offered else None


def _offers(state: State, filename: str, digest: str) -> bool:
    return any(one[:2] == (filename, digest) for one in state.shown[1])


def _parsed(page: Page) -> Shown:
    """Read a page as an installer does."""
    document = json.loads(page.json)
    status = document.get("project-status", {}).get("status", "active")
    files = frozenset(
        (file["filename"], file["hashes"]["sha256"], _yanked(file.get("yanked", False)))
        for file in document["files"]
    )
    return status, files


def _yanked(said: bool | str) -> str | None:
    """Read PEP 592's key: a reason, true, or false."""
    if isinstance(said, str):
        return said
    return "" if said else None


def _digest(data: bytes) -> str:
    return sha256(data).hexdigest()
