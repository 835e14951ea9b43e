"""A whole run, from the first server's start to the last look."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from attrs import define, field, frozen

from tests.simulation.crowd import Crowd
from tests.simulation.fate import Fate
from tests.simulation.files import LAST, NAMES
from tests.simulation.world import LAST_NAME, Happening, Plan, World
from tests.unsteady import PROFILES, Profile

#: Seconds after which everything that was begun has ended, once all is calm, and what
#: nothing names is old enough for a sweep.
_IN_THE_END = 350.0

#: Runs between two collections of garbage, of which each leaves some megabytes.
_TOGETHER = 10


@define(eq=False)
class Run:
    """One world's course."""

    world: World
    crowd: Crowd = field(init=False)
    fate: Fate = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.crowd, self.fate = Crowd(self.world), Fate(self.world)

    def whole(self) -> list[str]:
        """Live through it all; return what must not have been."""
        world = self.world
        world.begin_all()
        world.live(self._happenings())
        if not world.trouble:
            self._calm_down()
        return world.trouble

    def _happenings(self) -> dict[Happening, float]:
        """Tell everything that may happen, and how often."""
        crowd, fate = self.crowd, self.fate
        return {
            crowd.publish: 26,
            crowd.act: 22,
            crowd.read: 15,
            crowd.download: 9,
            crowd.turn: 4,
            crowd.make_token: 3,
            crowd.revoke_token: 3,
            crowd.show_token: 4,
            crowd.sweep: 3,
            crowd.refresh: 2,
            crowd.rebuild: 2,
            fate.kill: 3,
            fate.step_clock: 2,
            fate.wait_long: 3,
            fate.storm: 1,
            fate.copy_former: 1,
            fate.lose_marker: 0.5,
            fate.lose_manifest: 1,
        }

    def _calm_down(self) -> None:
        """Have every line be steady, and see what is left of it all."""
        world = self.world
        world.say("all is calm from here")
        world.weather.faults = 0
        world.pass_time(_IN_THE_END)
        world.must(not world.running, f"{world.running} have no answer")
        self._rebuild_lost()
        self._publish_last()
        self._agree()
        # Where one server may write, the others' sweeps end nothing.
        sweeping = world.servers[: 1 if world.profile.conditions else None]
        for _ in range(2):  # what a first sweep ends is left over for a second one
            for server in sweeping:
                self.crowd.sweep(server)
                world.pass_time(1)
            world.pass_time(_IN_THE_END)
        self._look_back()

    def _rebuild_lost(self) -> None:
        world = self.world
        for server in world.servers:
            for _ in [one for one in world.witness.lineages.values() if one.lost]:
                self.crowd.rebuild(server)
                world.pass_time(1)

    def _publish_last(self) -> None:
        """See that every server works; of a store without conditions, that one does."""
        world, tasks = self.world, []
        for server, wheel in zip(world.servers, LAST, strict=False):
            tasks.append(self.crowd.publish_wheel(server, wheel))
            world.pass_time(2)
        works = all if world.profile.conditions else any
        able = works(task.outcome == "done" for task in tasks)
        world.must(able, "nobody can publish at last")

    def _agree(self) -> None:
        """See that all servers show what the store has."""
        world = self.world
        for server in world.servers:
            for name in (*NAMES, LAST_NAME):
                world.begin(server, world.people.read(server, name))
            world.pass_time(2)
        world.must(not world.running, f"{world.running} have no answer at last")

    def _look_back(self) -> None:
        """See that all is there that was acknowledged, once, and nothing else."""
        world = self.world
        for lineage in world.witness.lineages.values():
            if lineage.project is not None:
                world.witness.check_objects(lineage.project)
                world.witness.check_quarantine(lineage)
        for task in world.tasks:
            if task.entries is not None and task.name is not None:
                lineage = world.witness.lineage(task.name)
                found = lineage.entries_of(task.who)
                told = f"{task} is {found} times in the history, not {task.entries}"
                world.must(found == task.entries or lineage.was_rebuilt, told)
        left = world.witness.unnamed()
        world.must(not left, f"nothing names {left[:3]}")


@frozen
class Found:
    """A seed with which something is wrong."""

    seed: int
    profile: Profile
    trouble: list[str]

    @property
    def how_to_replay(self) -> str:
        """Return what is set to run this very one again."""
        return f"PYPICLOUD_SIMULATION={self.profile.name}:{self.seed}"


def run(
    seed: int, plan: Plan | None = None, tell: Callable[[str], None] | None = None
) -> Found | None:
    """Live through one world; None: all was well."""
    world = World(seed, plan or Plan())
    if tell is not None:
        world.tell = tell
    trouble = Run(world).whole()
    for server in world.servers:
        server.kill()  # nothing that is left of it does anything any more
    return Found(seed, world.profile, trouble) if trouble else None


def search(seeds: Iterable[int], plan: Plan | None = None) -> Iterator[Found]:
    """Live through many worlds; give those in which something is wrong."""
    with _collecting_seldom():
        for number, seed in enumerate(seeds, 1):
            if (found := run(seed, plan)) is not None:
                yield found
            if number % _TOGETHER == 0:
                gc.collect()


@contextmanager
def _collecting_seldom() -> Iterator[None]:
    """Have garbage be collected between runs: it takes a third of the time within."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def seeds_of(text: str) -> range:
    """Read ``123`` or ``1-5000``."""
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def asked_for(default: str) -> tuple[range, Plan]:
    """Read which seeds are wanted: ``PYPICLOUD_SIMULATION=[PROFILE:]FIRST[-LAST]``."""
    text = os.environ.get("PYPICLOUD_SIMULATION", default)
    name, _, seeds = text.rpartition(":")
    return seeds_of(seeds), Plan(PROFILES[name] if name else None)
