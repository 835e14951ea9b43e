"""Servers on one store and one clock, and what happens to them, drawn from a seed."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from functools import reduce
from random import Random
from typing import Any

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from pypicloud_tw.access.principal import Credentials
from pypicloud_tw.errors import Unavailable
from pypicloud_tw.index.names import project_name
from pypicloud_tw.upstream.kept import UpstreamPage
from pypicloud_tw.web.representation import Page
from tests.access.facts import NOW, Fact, Setting, Token, right, user
from tests.access.tokens.doubles import CLIENT, bearer
from tests.simulation.clock import ServerClock
from tests.simulation.files import NAMES, RememberingOffload
from tests.simulation.lineage import Task
from tests.simulation.people import People
from tests.simulation.servers import Parts, Server
from tests.simulation.witness import Witness
from tests.unsteady import PROFILES, LateStore, Line, Profile, Weather

STEPS = 60

#: Of 100 requests, how many fail; and of those, how many are not answered at all.
FAULTS, SILENT = 5, 15

#: Seconds between two things that people do.
_PAUSES = (0.0, 0.0, 0.0, 0.0, 0.01, 0.2, 0.6, 1.1, 4.0)

#: Calls of the clock in one run, of which there are a few thousand.
_MOST_EVENTS = 100_000

USERS = ("ann", "bob")

_OFFLOAD = RememberingOffload()
_PAGES: dict[str, UpstreamPage[Page]] = {}

#: Something that can happen at a server.
Happening = Callable[[Server], None]


def _untold(event: str) -> None:
    """Keep no trace."""


@frozen
class Plan:
    """What a run is like.

    :ivar profile: None: the seed says which.
    :ivar parts: what servers are made of.
    :ivar more: how many times as often a thing happens, by its name.
    """

    profile: Profile | None = None
    parts: Parts = field(factory=Parts)
    more: Mapping[str, float] = field(factory=dict)


@define(eq=False)
class World:
    """Everything there is in one run.

    :ivar tell: told of everything that happens, a line each.
    :ivar links: a project, a filename and a digest: what anybody was ever given.
    :ivar trouble: what must not have been.
    """

    seed: int
    plan: Plan = field(factory=Plan)
    tell: Callable[[str], None] = _untold
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
    links: list[tuple[str, str, str]] = field(factory=list, init=False)
    tasks: list[Task] = field(factory=list, init=False)
    trouble: list[str] = field(factory=list, init=False)
    _begun: int = field(default=0, init=False)
    _events: int = field(default=0, init=False)
    _running: dict[int, tuple[Server, tuple[Fact, ...]]] = field(
        factory=dict, init=False
    )
    # Those who were killed stay whole: nothing of them may end by being forgotten.
    _graves: list[Server] = field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        self.dice = Random(self.seed)
        profiles = tuple(PROFILES.values())
        self.profile = self.plan.profile or profiles[self.seed % len(profiles)]
        self.clock.advance(NOW)
        self.witness = Witness(lambda what: self.must(False, what))
        self.store = LateStore(
            _OFFLOAD, clock=self.clock.seconds, after=self.witness.after
        )
        self.witness.watch(self.store)
        self.people = People(self)
        ids = Random(self.dice.random())
        self.users = {name: user(name, ids) for name in USERS}
        self.rights = {(u, name): right(u, name) for u in USERS for name in NAMES}

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
            self._events += 1
            if self._events > _MOST_EVENTS:
                self.must(False, "it does not come to rest")
            self.clock.advance(max(0, due - self.clock.seconds()))
        self.clock.advance(max(0, until - self.clock.seconds()))
        self.look()

    # -- servers ---------------------------------------------------------------------

    def begin_all(self) -> None:
        """Start servers in good weather, and give users their rights."""
        for number in range(self.dice.randint(2, 4)):
            self.servers.append(self.start(f"s{number}", self.dice.uniform(-3, 3)))
            self.pass_time(0)
        self.begin(self.servers[0], self._give_rights(self.servers[0]))
        self.pass_time(2)
        self.weather.faults, self.weather.silent = FAULTS, SILENT

    async def _give_rights(self, server: Server) -> None:
        settings = *self.users.values(), *self.rights.values()
        await server.side.documents.change(
            lambda document: reduce(lambda d, one: one.add(d), settings, document)
        )
        for setting in settings:
            setting.acknowledge(True, self.now())
        for owner in self.users.values():
            await self.people.make(server, owner)

    def start(self, name: str, off: float) -> Server:
        """Have a server be started.

        :param off: seconds that its clock is ahead.
        """
        line = Line(
            self.store,
            self.clock,
            Random(self.dice.random()),
            self.weather,
            self.profile,
            lambda what: self.say(f"{name}   {what}"),
        )
        clock = ServerClock(self.clock, off)
        server = Server.start(name, line, clock, _OFFLOAD, self.plan.parts, _PAGES)
        task = self.task("adopt", server)
        self.witness.expect(task)
        server.run().addCallbacks(lambda _: task.end("done", self.now()), self.failed)
        return server

    def end(self, server: Server) -> None:
        """Have a server be killed: nothing that it has begun goes on."""
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

    # -- what is done ----------------------------------------------------------------

    @property
    def running(self) -> int:
        """How many things have been begun and not ended."""
        return len(self._running)

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

    def failed(self, failure: Failure) -> None:
        """Take down what nobody expected."""
        self.must(False, failure.getTraceback())

    def task(self, kind: str, server: Server, **what: Any) -> Task:
        """Make a task that is nobody else's."""
        task = Task(kind, f"p{len(self.tasks)}", server, self.now(), **what)
        self.tasks.append(task)
        self.say(f"{server.name} is asked by {task}")
        return task

    def live(self, happenings: Mapping[Happening, float]) -> None:
        """Have things happen, until something is wrong.

        :param happenings: and how often each, compared with the others.
        """
        more = self.plan.more
        weights = [n * more.get(what.__name__, 1) for what, n in happenings.items()]
        for _ in range(STEPS):
            [happening] = self.dice.choices(list(happenings), weights)
            happening(self.dice.choice(self.servers))
            self.pass_time(self.dice.choice(_PAUSES))
            if self.trouble:
                return

    # -- what must be ----------------------------------------------------------------

    def look(self) -> None:
        """Look at what each server would answer at this moment, asking nobody."""
        for server in self.servers:
            fresh = server.index.catalog.fresh
            for lineage in self.witness.lineages.values():
                if (entry := fresh(lineage.name)) is not None:
                    number = lineage.by_etag.get(entry.state.etag, -1)
                    is_old = number < self.people.floor(server, lineage)
                    self.must(not is_old, f"{server.name}: {lineage.name} is old")
            self._look_at_access(server)

    def _look_at_access(self, server: Server) -> None:
        side, moment = server.side, self.now() - server.clock.set_back
        if not side.access.fresh or side.documents.problem:
            return
        for (name, what), setting in self._settings().items():
            if setting.settled(moment):
                holds = setting.holds(side.access.policy)
                told = f"{name}'s {what} is {holds} at {server.name}"
                self.must(holds is setting.on, told)
        for token in self.tokens:
            if token.must_be_refused(moment):
                shown = side.login.recall(Credentials(bearer(token.name), CLIENT))
                self.must(shown is None, f"{server.name} remembers a dead token")

    def _settings(self) -> dict[tuple[str, str], Setting]:
        return {**{(name, "being"): u for name, u in self.users.items()}, **self.rights}


LAST_NAME = project_name("last")
