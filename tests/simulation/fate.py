"""What nobody asks for: servers end, clocks are stepped, objects are lost."""

from __future__ import annotations

from attrs import define, field

from pypicloud_tw.index import marker
from pypicloud_tw.index.first_uploads import PUBLISHING
from pypicloud_tw.index.manifest import manifest_key
from pypicloud_tw.index.model import Project
from tests.simulation.files import FORMER, NAMES
from tests.simulation.servers import Server
from tests.simulation.world import FAULTS, World

#: Of 100 requests, how many fail while the store is nearly away.
_STORM = 60


@define(eq=False)
class Fate:
    """What befalls a world."""

    world: World
    _copied: set[str] = field(factory=set, init=False)

    def kill(self, server: Server) -> None:
        """End a server at once, and start another in its place."""
        world = self.world
        world.end(server)
        place = world.servers.index(server)
        world.servers[place] = world.start(f"{server.name}'", server.clock.off)

    def step_clock(self, server: Server) -> None:
        """Have a machine's clock be set."""
        by = self.world.dice.choice((-4.0, -1.5, -0.4, 0.4, 1.5, 4.0))
        self.world.say(f"{server.name}: its clock is set by {by}")
        server.clock.step(by)

    def wait_long(self, server: Server) -> None:
        """Have nothing happen for a while."""
        seconds = self.world.dice.choice((70.0, 170.0, 350.0))
        self.world.say(f"{seconds} seconds pass")
        self.world.pass_time(seconds)

    def storm(self, server: Server) -> None:
        """Have the store be nearly away for a while."""
        self.world.say("the store is nearly away")
        self.world.weather.faults = _STORM
        self.world.pass_time(self.world.dice.choice((1.0, 7.0, 40.0)))
        self.world.weather.faults = FAULTS

    def copy_former(self, server: Server) -> None:
        """Copy a file into the store by hand, where the first program kept it."""
        wheel = self.world.dice.choice(FORMER)
        key = f"{wheel.name}/{wheel.version}/{wheel.filename}"
        if flat := self.world.dice.random() < 0.5:
            key = wheel.filename
        if key not in self._copied:
            self._copied.add(key)
            self.world.store.add(key, wheel.data)
            self.world.witness.lies_there(wheel.name, in_its_folder=not flat)
            self.world.links.append((wheel.name, wheel.filename, wheel.sha256))
            self.world.say(f"{key} is copied into the store")

    def lose_marker(self, server: Server) -> None:
        """Lose it when all have seen it: what comes and goes unseen was never there."""
        world = self.world
        for one in world.servers:
            world.begin(one, world.people.read(one, world.dice.choice(NAMES)))
        world.pass_time(0.5)
        stored = world.store.objects.get(marker.KEY)
        old = stored and stored.info.modified.timestamp() < world.now() - 2
        if old and all(one.index.watch.fresh for one in world.servers):
            world.store.lose(marker.KEY)
            world.say("the marker is lost")

    def lose_manifest(self, server: Server) -> None:
        """Lose one, unless a first upload is under way or left something: in doubt."""
        world, name = self.world, self.world.dice.choice(NAMES)
        lineage = world.witness.lineage(name)
        if any(key.startswith(f"{PUBLISHING}{name}/") for key in world.store.objects):
            return
        if lineage.lost or any(task.brings_files for task in lineage.under_way):
            return
        if lineage.project and self._is_listed_late(lineage.project):
            return
        if lineage.states and world.store.lose(manifest_key(name)) is not None:
            lineage.lost = world.now()
            world.say(f"the manifest of {name} is lost")

    def _is_listed_late(self, project: Project) -> bool:
        """Tell whether a listing may not have a file yet: then none knows the loss."""
        store, lag = self.world.store, self.world.profile.lag
        written = (store.objects[file.key].info.modified for file in project.files)
        oldest = min(written, default=None)
        return oldest is None or oldest.timestamp() + lag > self.world.now()
