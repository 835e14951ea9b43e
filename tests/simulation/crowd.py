"""What people ask for, drawn from the world's dice."""

from __future__ import annotations

from attrs import define, field

from pypicloud_tw.index.names import NormalizedName
from tests.access.facts import Setting, Token
from tests.simulation.files import NAMES, WHEELS, Wheel
from tests.simulation.lineage import Task
from tests.simulation.people import STATUSES
from tests.simulation.servers import Server
from tests.simulation.world import USERS, World

#: Seconds that a form takes to come: some are slower than is allowed.
_SENDING = (*[0.0] * 9, 3.0, 3.0, 40.0, 40.0, 100.0, 160.0)

_ACTS = ("yank", "unyank", "delete", "prune", "restore", "restore", "status", "undo")

#: Tokens that are shown and revoked, the last ones: the same ones, again and again.
_RECENT = 4


@define(eq=False)
class Crowd:
    """All people of a world.

    :ivar sent: every file that was uploaded.
    """

    world: World
    sent: list[Wheel] = field(factory=list, init=False)

    # -- files -----------------------------------------------------------------------

    def publish(self, server: Server) -> None:
        """Have a file be uploaded: by a token, or by whoever may replace files."""
        dice, tokens = self.world.dice, self.world.tokens[-_RECENT:]
        token = dice.choice(tokens) if tokens and dice.random() < 0.4 else None
        kind = "overwrite" if token is None and dice.random() < 0.3 else "publish"
        wheel, sending = self._draw_wheel(), dice.choice(_SENDING)
        self.publish_wheel(server, wheel, kind, token, sending)

    def _draw_wheel(self) -> Wheel:
        """Choose any, or one that was sent lately: as who has heard no answer does."""
        latest = self.sent[-_RECENT:]
        again = latest and self.world.dice.random() < 0.3
        return self.world.dice.choice(latest if again else WHEELS)

    def publish_wheel(
        self,
        server: Server,
        wheel: Wheel,
        kind: str = "publish",
        token: Token | None = None,
        sending: float = 0.0,
    ) -> Task:
        """Have a certain file be uploaded."""
        world = self.world
        task = world.task(
            kind,
            server,
            name=wheel.name,
            filename=wheel.filename,
            version=wheel.version,
            sha256=wheel.sha256,
        )
        self.sent.append(wheel)
        world.links.append((wheel.name, wheel.filename, wheel.sha256))
        people = world.people
        world.begin(server, people.publish(server, task, wheel, token, sending))
        return task

    def act(self, server: Server) -> None:
        """Have something be done with a project."""
        world, dice = self.world, self.world.dice
        kind, wheel = dice.choice(_ACTS), dice.choice(WHEELS)
        filename, version = self._draw_file(wheel)
        if kind in ("status", "undo"):
            filename = version = None
        elif kind == "prune" or dice.random() < 0.3:
            filename = None
        else:
            version = None
        task = world.task(
            kind, server, name=wheel.name, filename=filename, version=version
        )
        do = world.people.doing(server, task, dice.choice(STATUSES))
        world.begin(server, world.people.act(server, task, do))

    def _draw_file(self, wheel: Wheel) -> tuple[str | None, str | None]:
        """Choose a file that is or was there, if any is."""
        project = self.world.witness.lineage(wheel.name).project
        there = project and [
            *((file.filename, file.version) for file in project.files),
            *((t.filename, t.file.version) for t in project.tombstones if t.file),
        ]
        return self.world.dice.choice(there or [(wheel.filename, wheel.version)])

    def read(self, server: Server) -> None:
        """Have a page be looked at."""
        name = self.world.dice.choice(NAMES)
        self.world.begin(server, self.world.people.read(server, name))

    def download(self, server: Server) -> None:
        """Have a file be asked for, by an address that was given out."""
        if self.world.links:
            name, filename, digest = self.world.dice.choice(self.world.links)
            work = self.world.people.download(
                server, NormalizedName(name), filename, digest
            )
            self.world.begin(server, work)

    # -- access ----------------------------------------------------------------------

    def turn(self, server: Server) -> None:
        """Have a user or a right be there, or not any more."""
        world, dice = self.world, self.world.dice
        if dice.random() < 0.3:
            setting = world.users[dice.choice(USERS)]
            # Whoever is removed loses every right.
            ending = [r for (u, _), r in world.rights.items() if u == setting.name]
        else:
            setting, ending = world.rights[dice.choice(list(world.rights))], []
        on = not setting.on if setting.on is not None else dice.random() < 0.5
        ending = [] if on else ending
        if not any(fact.busy for fact in (setting, *ending)):
            world.say(f"{server.name} is to turn {setting.name} {on}")
            work = world.people.turn(server, setting, on, ending)
            world.begin(server, work, setting, *ending)

    def make_token(self, server: Server) -> None:
        """Have a token be made."""
        owner = self.world.users[self.world.dice.choice(USERS)]
        if owner.on:
            self.world.begin(server, self.world.people.make(server, owner))

    def revoke_token(self, server: Server) -> None:
        """Have a token be revoked."""
        latest = self.world.tokens[-_RECENT:]
        known = [token for token in latest if token.on is not False]
        if known and not (token := self.world.dice.choice(known)).busy:
            self.world.begin(server, self.world.people.revoke(server, token), token)

    def show_token(self, server: Server) -> None:
        """Have a token be shown."""
        if self.world.tokens:
            token = self.world.dice.choice(self.world.tokens[-_RECENT:])
            work = self.world.people.show(server, token, self._any_right(token))
            self.world.begin(server, work)

    def _any_right(self, token: Token) -> Setting:
        assert token.owner is not None, "it was made, not minted"
        name = self.world.dice.choice(NAMES)
        return self.world.rights[token.owner[0].name, name]

    # -- operators -------------------------------------------------------------------

    def sweep(self, server: Server) -> None:
        """Have the store be swept."""
        task = self.world.task("sweep", server)
        self.world.begin(server, self.world.people.sweep(server, task))

    def refresh(self, server: Server) -> None:
        """Have what lies in the store be adopted."""
        task = self.world.task("adopt", server)
        self.world.begin(server, self.world.people.refresh(server, task))

    def rebuild(self, server: Server) -> None:
        """Have a lost manifest be written anew, if one is lost."""
        lost = [one.name for one in self.world.witness.lineages.values() if one.lost]
        if lost:
            task = self.world.task("rebuild", server, name=self.world.dice.choice(lost))
            self.world.begin(server, self.world.people.rebuild(server, task))
