"""One server's whole domain, put together as the assembly does, on its own line."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, cast

from attrs import define, field, frozen
from twisted.internet.defer import Deferred

from pypicloud_tw import startup
from pypicloud_tw.access.settings import AccessSettings
from pypicloud_tw.index.acts import Acts
from pypicloud_tw.index.admission import UploadRules
from pypicloud_tw.index.catalog import Catalog
from pypicloud_tw.index.index import Index
from pypicloud_tw.index.manifests import Manifests
from pypicloud_tw.index.marker import Marker
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.index.publication import Publication
from pypicloud_tw.index.publish import Publisher
from pypicloud_tw.index.standing import Standing
from pypicloud_tw.index.unserved import Unserved
from pypicloud_tw.index.watch import NEVER, MarkerWatch
from pypicloud_tw.maintenance.sweep import Sweeper
from pypicloud_tw.offload.service import IOffload
from pypicloud_tw.store.interfaces import IObjectStore
from pypicloud_tw.upstream.kept import UpstreamPage
from pypicloud_tw.web.fallback import Fallback
from pypicloud_tw.web.projects import Projects
from pypicloud_tw.web.representation import Page
from pypicloud_tw.web.simple import render_project
from pypicloud_tw.web.views import ProjectView, Views
from tests.access.unsteady import FRESH_FOR, AccessSide
from tests.simulation.clock import ServerClock
from tests.unsteady import Line

#: Seconds: shorter than in earnest, so that a run sees what follows.
SWEEP_AGE, RESTORE_FOR = 300.0, 450.0

VERIFY_EVERY = 60.0

#: The ini gives nobody a right to write.
SETTINGS = AccessSettings(has_users=True, default_write=())


def _plain(line: Line) -> IObjectStore:
    return line


@frozen
class Parts:
    """What servers are made of; a mistake is another part in the place of one.

    :ivar for_manifests: what manifests are written by.
    :ivar document_watch: makes what is told of the access document.
    :ivar token_watch: makes what is told of tokens.
    """

    manifests: type[Manifests] = Manifests
    for_manifests: Callable[[Line], Any] = _plain
    catalog: type[Catalog[ProjectView]] = Catalog
    publisher: type[Publisher] = Publisher
    publication: type[Publication] = Publication
    sweeper: type[Sweeper] = Sweeper
    unserved: type[Unserved] = Unserved
    index: type[Index] = Index
    watch: type[MarkerWatch] = MarkerWatch
    document_watch: Callable[[MarkerWatch], MarkerWatch] = lambda watch: watch
    token_watch: Callable[[MarkerWatch], MarkerWatch] = lambda watch: watch
    view: Callable[..., Awaitable[Any]] = field(factory=Views)


def _upstream_page(name: str) -> Page:
    document = {"meta": {"api-version": "1.4"}, "name": name, "files": []}
    return render_project({**document, "versions": []})


@define(eq=False)
class AskedUpstream:
    """An upstream that has every project, and what one server knows of it.

    It stands for :class:`~pypicloud_tw.upstream.service.Upstreams`.

    :ivar remembers: seconds for which what it has told need not be asked again.
    """

    seconds: Callable[[], float]
    pages: dict[str, UpstreamPage[Page]]
    remembers: float
    _known: dict[str, float] = field(factory=dict, init=False)

    def knows(self, name: NormalizedName) -> bool:
        """Tell whether a page can be had without asking."""
        return 0 <= self.seconds() - self._known.get(name, NEVER) < self.remembers

    def fresh(self, name: NormalizedName) -> UpstreamPage[Page] | None:
        """Return a page that can be had without asking."""
        return self.pages[name] if self.knows(name) else None

    async def page(self, name: NormalizedName) -> UpstreamPage[Page]:
        """Return a page; the upstream hears the name unless it is known."""
        if not self.knows(name):
            self._known[name] = self.seconds()
        if name not in self.pages:
            self.pages[name] = UpstreamPage(_upstream_page(name), 0, b"")
        return self.pages[name]

    def is_from_there(self, page: Page) -> bool:
        """Tell whether a page is the upstream's."""
        return any(known.page is page for known in self.pages.values())


async def _nothing() -> None:
    """Prepare nothing."""


@frozen(eq=False)
class Server:
    """What one process has of an index.

    :ivar began: when it was started, by the true time.
    """

    name: str
    began: float
    line: Line
    clock: ServerClock
    parts: Parts
    index: Index
    side: AccessSide
    projects: Projects
    upstream: AskedUpstream

    @classmethod
    def start(
        cls,
        name: str,
        line: Line,
        clock: ServerClock,
        offload: IOffload,
        parts: Parts,
        pages: dict[str, UpstreamPage[Page]],
    ) -> Server:
        """Make one that knows nothing yet, in the order of the assembly."""
        dice = Random(line.dice.random())
        manifests = parts.manifests(
            parts.for_manifests(line), clock, dice, Standing.starting(), SWEEP_AGE
        )
        watch = parts.watch(Marker(line, dice), clock, FRESH_FOR)
        catalog = parts.catalog(
            manifests, watch, clock, parts.view, verify_every=VERIFY_EVERY
        )
        unserved = parts.unserved(
            line, clock, manifests.check_open, FRESH_FOR, VERIFY_EVERY
        )
        publisher = parts.publisher(
            line,
            manifests,
            catalog,
            offload,
            clock,
            UploadRules(sweep_age=SWEEP_AGE),
            unserved=unserved,
            random=dice,
        )
        acts = Acts(publisher, RESTORE_FOR)
        index = parts.index(line, manifests, catalog, publisher, clock, acts)
        side = AccessSide.over(
            line,
            parts.document_watch(watch),
            index.standing,
            clock,
            dice,
            name,
            SETTINGS,
            parts.token_watch(watch),
        )
        upstream = AskedUpstream(clock.seconds, pages, dice.choice((0.0, 30.0)))
        fallback = Fallback(cast("Any", upstream))
        projects = Projects(catalog, line, unserved, fallback)
        began = line.clock.seconds()
        return cls(name, began, line, clock, parts, index, side, projects, upstream)

    def run(self) -> Deferred[None]:
        """Do what a server does at its start."""
        work = startup.start(self.index, self.side.access, _nothing)
        return Deferred.fromCoroutine(work)

    def kill(self) -> None:
        """End it at once, whatever it does."""
        self.line.dead = self.clock.stopped = True

    @property
    def alive(self) -> bool:
        """Whether it was not killed."""
        return not self.line.dead
