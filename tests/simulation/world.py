"""Servers, whoever uses them, and fate: all of it follows from a seed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from pypicloud_tw.access.principal import Credentials
from pypicloud_tw.errors import Conflict, NotFound, Unavailable
from pypicloud_tw.index import marker
from pypicloud_tw.index.audit import Actor
from pypicloud_tw.index.first_uploads import PUBLISHING
from pypicloud_tw.index.manifest import manifest_key
from pypicloud_tw.index.names import NormalizedName, project_name
from pypicloud_tw.upstream.kept import UpstreamPage
from pypicloud_tw.web.representation import Page
from tests.access.facts import NOW, Fact, Setting, Token, right, user
from tests.access.tokens.doubles import CLIENT, bearer
from tests.simulation.clock import ServerClock
from tests.simulation.files import (
    FORMER,
    LAST,
    WHEELS,
    RememberingOffload,
    Wheel,
)
from tests.simulation.lineage import Task
from tests.simulation.people import SENDING, STATUSES, People
from tests.simulation.servers import Parts, Server
from tests.simulation.witness import Witness
from tests.unsteady import PROFILES, LateStore, Line, Profile, Weather

STEPS = 70

#: Of 100 requests, how many fail; and of those, how many are not answered at all.
FAULTS, STORM, SILENT = 5, 60, 15

#: Seconds between two things that people do.
_PAUSES = (0.0, 0.0, 0.0, 0.0, 0.01, 0.2, 0.6, 1.1, 4.0)

#: Seconds after which everything that was begun has ended, once all is calm: a start
#: tries again to adopt what it could not after ten minutes at the latest.
_IN_THE_END = 700.0

NAMES = tuple(project_name(name) for name in ("acme", "bolt", "cog", "dusk"))
USERS = ("ann", "bob")
BOSS = Actor("boss")

_OFFLOAD = RememberingOffload()
_PAGES: dict[str, UpstreamPage[Page]] = {}

Trace = Callable[[str], None]


def _untold(event: str) -> None:
    """Keep no trace."""


@frozen
class Plan:
    """What a run is like.

    :ivar profile: None: the seed says which.
    :ivar parts: what servers are made of.
    :ivar more: things to happen more often, by their names: how many times.
    """

    profile: Profile | None = None
    parts: Parts = field(factory=Parts)
    more: dict[str, int] = field(factory=dict)


@define(eq=False)
class World:
    """One run.

    :ivar tell: told of everything that happens, a line each.
    :ivar trouble: what must not have been.
    """

    seed: int
    plan: Plan = field(factory=Plan)
    tell: Trace = _untold
    dice: Random = field(init=False)
    profile: Profile = field(init=False)
    clock: Clock = field(factory=Clock, init=False)
    weather: Weather = field(factory=lambda: Weather(0), init=False)
    store: LateStore = field(init=False)
    witness: Witness = field(init=False)
    people: People = field(init=False)
    servers: list[Server] = field(factory=list, init=False)
    users: dict[str, Setting] = field(init=False)
    rights: dict[tuple[str, str], Setting] = field(init=False)
    tokens: list[Token] = field(factory=list, init=False)
    links: list[tuple[NormalizedName, str, str]] = field(factory=list, init=False)
    tasks: list[Task] = field(factory=list, init=False)
    trouble: list[str] = field(factory=list, init=False)
    events: int = field(default=0, init=False)
    _begun: int = field(default=0, init=False)
    _running: dict[int, tuple[Server, tuple[Fact, ...]]] = field(
        factory=dict, init=False
    )
    _graves: list[Server] = field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        self.dice = Random(self.seed)
        profiles = tuple(PROFILES.values())
        self.profile = self.plan.profile or profiles[self.seed % len(profiles)]
        self.clock.advance(NOW)
        self.store = LateStore(
            _OFFLOAD,
            clock=self.clock.seconds,
            after=lambda operation, key: self.witness.after(operation, key),
        )
        self.witness = Witness(self.store, lambda what: self.must(False, what))
        self.people = People(self)
        draw = Random(self.dice.random())
        self.users = {name: user(name, draw) for name in USERS}
        self.rights = {(u, n): right(u, n) for u in USERS for n in NAMES}

    # -- time ------------------------------------------------------------------------

    def now(self) -> float:
        """Return the true time."""
        return float(self.clock.seconds())

    def must(self, it_is_so: bool, what: str) -> None:
        """Take down what must not be."""
        if not it_is_so:
            self.trouble.append(f"{self.now() - NOW:.3f} {what}")
            self.say(f"WRONG: {what}")

    def say(self, what: str) -> None:
        """Tell what happens."""
        self.tell(f"{self.now() - NOW:10.3f}  {what}")

    def pass_time(self, seconds: float) -> None:
        """Have everything happen that is due by then."""
        until = self.clock.seconds() + seconds
        while calls := self.clock.getDelayedCalls():
            due = calls[0].getTime()
            if due > until or self.trouble:
                break
            self.events += 1
            self.clock.advance(max(0, due - self.clock.seconds()))
        self.clock.advance(max(0, until - self.clock.seconds()))
        self.look()

    # -- what happens ----------------------------------------------------------------

    def run(self) -> list[str]:
        """Live through it all; return what must not have been."""
        self.begin_all()
        self.weather.faults, self.weather.silent = FAULTS, SILENT
        for _ in range(STEPS):
            self.happen()
            self.pass_time(self.dice.choice(_PAUSES))
            if self.trouble:
                return self.trouble
        self.calm_down()
        return self.trouble

    def begin_all(self) -> None:
        """Start servers in good weather, and give users their rights."""
        for _ in range(self.dice.randint(2, 4)):
            self.servers.append(self.start(f"s{len(self.servers)}"))
            self.pass_time(0)
        server = self.servers[0]
        for setting in (*self.users.values(), *self.rights.values()):
            self.begin(server, self.turn(server, setting, True), setting)
            self.pass_time(0)
        for name in USERS:
            self.begin(server, self.make(server, self.users[name]))
        self.pass_time(2)

    def start(self, name: str, off: float | None = None) -> Server:
        """Have a server be started."""
        off = self.dice.uniform(-3, 3) if off is None else off
        clock = ServerClock(self.clock, off)
        line = Line(
            self.store,
            self.clock,
            Random(self.dice.random()),
            self.weather,
            self.profile,
            lambda what: self.say(f"{name}   {what}"),
        )
        server = Server.start(name, line, clock, _OFFLOAD, self.plan.parts, _PAGES)
        task = self.task("adopt", server)
        self.witness.expect(task)
        server.run().addCallbacks(
            lambda _: task.end("done", self.now()), self.failed
        )
        return server

    def failed(self, failure: Failure) -> None:
        """Take down what nobody expected."""
        self.must(False, failure.getTraceback())

    def happen(self) -> None:
        """Begin one thing that people, operators or fate do."""
        more = self.plan.more
        acts = [(what, n * more.get(what.__name__, 1)) for n, what in self.all]
        [act] = self.dice.choices([a for a, _ in acts], [n for _, n in acts])
        act(self.dice.choice(self.servers))

    @property
    def all(self) -> tuple[tuple[int, Callable[[Server], None]], ...]:
        """Everything that may happen, and how often."""
        return (
            (26, self.publish),
            (20, self.act),
            (16, self.read),
            (10, self.download),
            (5, self.turn_one),
            (4, self.make_one),
            (4, self.revoke_one),
            (4, self.show_one),
            (3, self.sweep),
            (2, self.refresh),
            (3, self.kill),
            (2, self.step_clock),
            (3, self.wait_long),
            (1, self.storm),
            (1, self.put_former),
            (1, self.lose_marker),
            (1, self.lose_manifest),
            (2, self.rebuild),
        )

    def begin(
        self, server: Server, work: Coroutine[Any, Any, None], *facts: Fact
    ) -> None:
        """Have something be done, and *facts* be in doubt meanwhile."""
        self._begun += 1
        number = self._begun
        self._running[number] = server, facts
        for fact in facts:
            fact.busy, fact.on, fact.turns = True, None, fact.turns + 1

        def end(result: object) -> None:
            if self._running.pop(number, None) is None:
                return  # its server was killed
            for fact in facts:
                fact.busy = False
            if isinstance(result, Failure) and not result.check(Unavailable):
                self.failed(result)

        Deferred.fromCoroutine(work).addBoth(end)

    def task(self, kind: str, server: Server, **what: str | None) -> Task:
        """Make a task that is nobody else's."""
        task = Task(kind, f"p{len(self.tasks)}", server, self.now(), **what)
        self.tasks.append(task)
        self.say(f"{server.name} is asked by {task}")
        return task

    # -- people ----------------------------------------------------------------------

    def publish(self, server: Server) -> None:
        """Have a file be uploaded: by a token, or by whoever may replace files."""
        token = self.dice.choice(self.tokens[-4:]) if self.tokens else None
        if self.dice.random() < 0.6:
            token = None
        sending = self.dice.choice(SENDING)
        self.publish_wheel(server, self.dice.choice(WHEELS), token, sending)

    def publish_wheel(
        self,
        server: Server,
        wheel: Wheel,
        token: Token | None = None,
        sending: float = 0.0,
    ) -> None:
        kind = "overwrite" if token is None and self.dice.random() < 0.3 else "publish"
        task = self.task(
            kind,
            server,
            name=wheel.name,
            filename=wheel.filename,
            version=wheel.version,
            sha256=wheel.sha256,
        )
        self.links.append((wheel.name, wheel.filename, wheel.sha256))
        self.begin(server, self.people.publish(server, task, wheel, token, sending))

    def act(self, server: Server) -> None:
        """Have something be done with a project."""
        kinds = "yank", "unyank", "delete", "delete", "restore", "restore"
        kind = self.dice.choice((*kinds, "status", "undo"))
        wheel = self.dice.choice(WHEELS)
        filename = wheel.filename if self.dice.random() < 0.7 else None
        version = None if filename else wheel.version
        if kind in ("status", "undo"):
            filename = version = None
        task = self.task(
            kind, server, name=wheel.name, filename=filename, version=version
        )
        do = self.people.doing(server, task, self.dice.choice(STATUSES))
        self.begin(server, self.people.act(server, task, do))

    def read(self, server: Server) -> None:
        self.begin(server, self.people.read(server, self.dice.choice(NAMES)))

    def download(self, server: Server) -> None:
        if self.links:
            link = self.dice.choice(self.links)
            self.begin(server, self.people.download(server, *link))

    # -- access ----------------------------------------------------------------------

    def turn_one(self, server: Server) -> None:
        """Have a user or a right be there, or not any more."""
        setting = self.dice.choice((*self.users.values(), *self.rights.values()))
        # Whoever is removed loses every right.
        with_it = [r for r in self.rights.values() if setting.name in self.users]
        facts = [setting]
        if setting in self.users.values():
            facts += [r for r in with_it if r.name == setting.name]
        on = not setting.on if setting.on is not None else self.dice.random() < 0.5
        if not any(fact.busy for fact in facts):
            self.say(f"{server.name} is to have {setting} be {on}")
            facts = [setting] if on else facts
            self.begin(server, self.turn(server, setting, on, *facts[1:]), *facts)

    async def turn(
        self, server: Server, setting: Setting, on: bool, *ended: Setting
    ) -> None:
        with contextlib.suppress(Conflict, NotFound):
            change = setting.add if on else setting.remove
            await server.side.documents.change(change)
            for fact in (setting, *ended):
                fact.acknowledge(on, self.now())

    def make_one(self, server: Server) -> None:
        owner = self.users[self.dice.choice(USERS)]
        if owner.on:
            self.begin(server, self.make(server, owner))

    async def make(self, server: Server, owner: Setting) -> None:
        turns, settled = owner.turns, owner.settled(self.now())
        await server.side.access.learn(changing=True)
        with contextlib.suppress(NotFound):
            made = await server.side.tokens.make(owner.name, BOSS, "")
            if settled and owner.turns == turns:
                token = Token(made.text, True, owner=(owner, turns))
                token.acknowledge(True, self.now())
                self.tokens.append(token)

    def revoke_one(self, server: Server) -> None:
        known = [token for token in self.tokens[-4:] if token.on is not False]
        if known and not (token := self.dice.choice(known)).busy:
            self.begin(server, self.revoke(server, token), token)

    async def revoke(self, server: Server, token: Token) -> None:
        if await server.side.tokens.revoke_shown(token.name, BOSS, ""):
            token.acknowledge(False, self.now())

    def show_one(self, server: Server) -> None:
        if self.tokens:
            token = self.dice.choice(self.tokens[-4:])
            name = self.dice.choice(NAMES)
            self.begin(server, self.show(server, token, name))

    async def show(self, server: Server, token: Token, name: str) -> None:
        with contextlib.suppress(Exception):
            await self.people.authorize(server, token, name)

    # -- operators -------------------------------------------------------------------

    def sweep(self, server: Server) -> None:
        task = self.task("sweep", server)
        self.begin(server, self.people.sweep(server, task))

    def refresh(self, server: Server) -> None:
        task = self.task("adopt", server)
        self.begin(server, self.people.refresh(server, task))

    def rebuild(self, server: Server) -> None:
        lost = [line.name for line in self.witness.lineages.values() if line.lost]
        if lost:
            task = self.task("rebuild", server, name=self.dice.choice(lost))
            self.begin(server, self.people.rebuild(server, task))

    # -- fate ------------------------------------------------------------------------

    def kill(self, server: Server) -> None:
        """End a server at once, and start another in its place."""
        self.say(f"{server.name} is killed")
        server.kill()
        self._graves.append(server)
        for number, (where, facts) in [*self._running.items()]:
            if where is server:
                del self._running[number]
                for fact in facts:
                    fact.busy = False
        for task in self.tasks:
            if task.server is server and task.ended is None:
                task.end("unknown", self.now())
        place = self.servers.index(server)
        self.servers[place] = self.start(f"{server.name}'", server.clock.off)

    def step_clock(self, server: Server) -> None:
        by = self.dice.choice((-4.0, -1.5, -0.4, 0.4, 1.5, 4.0))
        self.say(f"{server.name}: its clock is set by {by}")
        server.clock.step(by)

    def wait_long(self, server: Server) -> None:
        seconds = self.dice.choice((70.0, 330.0, 700.0))
        self.say(f"{seconds} seconds pass")
        self.pass_time(seconds)

    def storm(self, server: Server) -> None:
        """Have the store be nearly away for a while."""
        self.say("a storm")
        self.weather.faults = STORM
        self.pass_time(self.dice.choice((1.0, 7.0, 40.0)))
        self.weather.faults = FAULTS

    def put_former(self, server: Server) -> None:
        """Copy a file into the store by hand, where the first program kept it."""
        wheel = self.dice.choice(FORMER)
        self.store.add(f"{wheel.name}/{wheel.version}/{wheel.filename}", wheel.data)
        self.links.append((wheel.name, wheel.filename, wheel.sha256))
        self.say(f"{wheel.filename} is copied into the store")

    def lose_marker(self, server: Server) -> None:
        """Lose it where all have seen it: what comes and goes unseen was never there."""
        for one in self.servers:
            self.read(one)
        self.pass_time(0.5)
        stored = self.store.objects.get(marker.KEY)
        old = stored and stored.info.modified.timestamp() < self.now() - 2
        if old and all(one.index.watch.fresh for one in self.servers):
            self.store.lose(marker.KEY)
            self.say("the marker is lost")

    def lose_manifest(self, server: Server) -> None:
        """Lose one, unless a first upload has left something, too: then it is in doubt."""
        name = self.dice.choice(NAMES)
        lineage = self.witness.lineage(name)
        if any(key.startswith(f"{PUBLISHING}{name}/") for key in self.store.objects):
            return
        if lineage.states and self.store.lose(manifest_key(name)) is not None:
            lineage.lost = self.now()
            self.say(f"the manifest of {name} is lost")

    # -- what must be ----------------------------------------------------------------

    def look(self) -> None:
        """Look at what each server would answer at this moment, asking nobody."""
        for server in self.servers:
            for lineage in self.witness.lineages.values():
                entry = server.index.catalog.fresh(lineage.name)
                if entry is not None:
                    number = lineage.by_etag.get(entry.state.etag, -1)
                    is_old = number < self.people.floor(server, lineage)
                    self.must(not is_old, f"{server.name}: {lineage.name} is old")
            self.look_at_access(server)

    def look_at_access(self, server: Server) -> None:
        side, moment = server.side, self.now() - server.clock.set_back
        if not side.access.fresh or side.documents.problem:
            return
        for setting in (*self.users.values(), *self.rights.values()):
            if setting.settled(moment):
                holds = setting.holds(side.access.policy)
                told = f"{setting} is {holds} at {server.name}"
                self.must(holds is setting.on, told)
        for token in self.tokens:
            if token.must_be_refused(moment):
                shown = side.login.recall(Credentials(bearer(token.name), CLIENT))
                self.must(shown is None, f"{server.name} remembers a dead token")

    def calm_down(self) -> None:
        """Have every line be steady, and see what is left of it all."""
        self.say("all is calm from here")
        self.weather.faults = 0
        self.pass_time(_IN_THE_END)
        self.must(not self._running, f"{len(self._running)} have no answer")
        for lineage in self.witness.lineages.values():
            if lineage.lost:
                for server in self.servers:
                    task = self.task("rebuild", server, name=lineage.name)
                    self.begin(server, self.people.rebuild(server, task))
                    self.pass_time(1)
        self.publish_last()
        self.agree()
        for _ in range(2):  # what ends at the first sweep is left over for the second
            for server in self.servers:
                self.sweep(server)
            self.pass_time(_IN_THE_END + 1000)
        left = self.witness.unnamed()
        self.must(not left, f"nothing names {left[:3]}")
        self.look_back()

    def publish_last(self) -> None:
        """See that every server works; of a store without conditions, that one does."""
        for server, wheel in zip(self.servers, LAST, strict=False):
            self.publish_wheel(server, wheel)
            self.pass_time(2)
        done = [task.outcome for task in self.tasks[-len(self.servers) :]]
        works = any if not self.profile.conditions else all
        able = works(o == "done" for o in done)
        self.must(able or bool(self.trouble), f"nobody can publish at last: {done}")

    def agree(self) -> None:
        """See that all servers show what the store has."""
        for server in self.servers:
            for name in (*NAMES, project_name("last")):
                self.begin(server, self.people.read(server, name))
                self.pass_time(2)
        self.must(not self._running, f"{len(self._running)} have no answer at last")

    def look_back(self) -> None:
        """See that all is there that was acknowledged, once, and nothing else."""
        for lineage in self.witness.lineages.values():
            if lineage.project is not None:
                self.witness.check_objects(lineage.project)
        for task in self.tasks:
            if task.entries is not None and task.name is not None:
                lineage = self.witness.lineage(task.name)
                rebuilt = any(other.kind == "rebuild" for other in lineage.tasks)
                found = lineage.entries_of(task.who)
                told = f"{task} is {found} times in the history, not {task.entries}"
                self.must(found == task.entries or rebuilt, told)
