"""What the tests of moving share: a source with switches, and an index in memory."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from hashlib import sha256
from typing import Any, TypeVar

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from pypicloud_tw.access.administration.authority import Operator
from pypicloud_tw.access.basic import Login
from pypicloud_tw.client.logins import Credentials
from pypicloud_tw.index.admission import Screen, take_all
from pypicloud_tw.index.audit import Act, Actor, Proof
from pypicloud_tw.index.model import Project
from pypicloud_tw.index.names import project_name
from pypicloud_tw.moving.destination import Destination, StoreDestination
from pypicloud_tw.moving.http import SourceHttp
from pypicloud_tw.moving.importer import Importer
from pypicloud_tw.moving.kinds import Tools
from pypicloud_tw.moving.report import Progress, Report
from pypicloud_tw.moving.source import Source
from pypicloud_tw.moving.sources.simple import SimpleSource
from pypicloud_tw.moving.wanted import Wanted
from pypicloud_tw.projects.administered import AdministeredProjects
from pypicloud_tw.projects.stored import StoredProjects
from tests import builders
from tests.doubles import InlineOffload
from tests.upstream.doubles import (
    BASE,
    FILES,
    JSON,
    Behaviour,
    FakeUpstream,
    page,
    project,
)
from tests.upstream.doubles import clock as new_clock
from tests.web.doubles import Domain

T = TypeVar("T")

ACTOR = Actor("root (command)", Proof("command"))


def whl(version: str, name: str = "acme") -> str:
    return f"{name}-{version}-py3-none-any.whl"


def listed(*names: str) -> Behaviour:
    """A list of projects."""
    projects = [{"name": name} for name in names]
    return page({"meta": {"api-version": "1.1"}, "projects": projects})


@define(eq=False)
class Site:
    """An index that packages are taken from.

    :ivar ask: asks somebody who logs in.
    """

    clock: Clock = field(factory=new_clock)
    upstream: FakeUpstream = field(factory=FakeUpstream)
    login: Login | None = None
    ask: Callable[[], Login] | None = None
    offload: InlineOffload = field(factory=InlineOffload)
    files: dict[str, list[dict[str, Any]]] = field(factory=dict)

    def http(self, base: str = BASE) -> SourceHttp:
        return SourceHttp.at(
            base,
            Credentials(self.login, self.ask),
            self.upstream,
            self.clock,
            self.offload,
            lambda: 0.5,
        )

    def tools(self, **options: Any) -> Tools:
        return Tools(self.http, self.offload, self.clock, {}, **options)

    def source(self) -> SimpleSource:
        return SimpleSource(self.http(), BASE)

    def has(
        self,
        version: str = "1.0",
        *,
        name: str = "acme",
        data: bytes | None = None,
        filename: str | None = None,
        uploaded: str | None = None,
        **more: Any,
    ) -> bytes:
        """Have the index have a file; return its bytes."""
        data = builders.wheel(name, version) if data is None else data
        filename = filename or whl(version, name)
        told = {
            "filename": filename,
            "url": f"{FILES}/{filename}",
            "hashes": {"sha256": sha256(data).hexdigest()},
            "size": len(data),
            **({} if uploaded is None else {"upload-time": uploaded}),
            **more,
        }
        self.files.setdefault(name, []).append(told)
        self.upstream.on(f"{FILES}/{filename}", page(data, "application/octet-stream"))
        self.publish(name)
        return data

    def publish(self, name: str, **more: Any) -> None:
        """Write a project's page anew, and the list."""
        files = self.files.setdefault(name, [])
        self.upstream.on(f"{BASE}{name}/", page(project(name, *files, **more), JSON))
        self.upstream.on(BASE, listed(*self.files))

    def wait(self, seconds: float) -> None:
        """Let time go by, in steps."""
        for _ in range(100):
            self.clock.advance(seconds / 100)
            self.upstream.flush()


@define(eq=False)
class Bench:
    """A site, an index in memory, and what is said meanwhile."""

    site: Site = field(factory=Site)
    domain: Domain = field()
    told: list[Progress] = field(factory=list)
    acts: list[Act] = field(factory=list)
    screen: Screen = take_all

    @domain.default
    def _same_clock(self) -> Domain:
        return Domain(clock=self.site.clock)

    def __attrs_post_init__(self) -> None:
        self.domain.publisher.audit = self.acts.append

    def destination(self, limit: int = 10**6) -> StoreDestination:
        index = self.domain.index
        return StoreDestination(
            "a store in memory",
            StoredProjects(AdministeredProjects(index), ACTOR, Operator()),
            index.publisher,
            ACTOR,
            self.screen,
            limit,
        )

    def importer(
        self,
        *patterns: str,
        source: Source | None = None,
        into: Destination | None = None,
        **more: Any,
    ) -> Importer:
        return Importer(
            source or self.site.source(),
            into or self.destination(),
            self.site.clock,
            Wanted.parse(patterns),
            tell=self.told.append,
            **more,
        )

    def take(self, *patterns: str, **more: Any) -> Report:
        """Run an import, for as long as it takes."""
        return self.finish(self.importer(*patterns, **more).run())

    def finish(self, work: Coroutine[Deferred[Any], Any, T]) -> T:
        done: list[T] = []
        failed: list[Failure] = []
        Deferred.fromCoroutine(work).addCallbacks(done.append, failed.append)
        for _ in range(50):
            if done or failed:
                break
            self.site.wait(30)
        if failed:
            failed[0].raiseException()
        assert done, "it does not end"
        return done[0]

    def project(self, name: str = "acme") -> Project:
        found = self.finish(self.domain.publisher.find(project_name(name)))
        assert found is not None, f"there is no {name}"
        return found.project

    def has(self, name: str = "acme") -> bool:
        return self.finish(self.domain.publisher.find(project_name(name))) is not None


def whys(report: Report) -> Mapping[str | None, str]:
    """Why files were not taken, or what is to be known of them."""
    return {one.filename: f"{one.trouble}: {one.why}" for one in report.remarks}
