"""Two stores, and bundles that go from one to the other."""

from __future__ import annotations

import json
from collections.abc import Coroutine
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from pypicloud_tw.access.administration.authority import Operator
from pypicloud_tw.index.admission import take_all
from pypicloud_tw.index.audit import Actor, Proof
from pypicloud_tw.index.model import Project
from pypicloud_tw.index.names import project_name
from pypicloud_tw.moving.bundle.arrival import Arrival
from pypicloud_tw.moving.bundle.packing import Packed, Packer
from pypicloud_tw.moving.bundle.tar import open_bundle, read_list
from pypicloud_tw.moving.bundle.values import Contents
from pypicloud_tw.moving.destination import StoreDestination
from pypicloud_tw.moving.importer import Importer
from pypicloud_tw.moving.report import Progress, Report
from pypicloud_tw.moving.sources.bundle import BundleSource
from pypicloud_tw.moving.wanted import Wanted
from pypicloud_tw.projects.administered import AdministeredProjects
from pypicloud_tw.projects.stored import StoredProjects
from pypicloud_tw.upstream.cache_fill import record_of
from pypicloud_tw.upstream.keeper import StoredPages, file_key
from pypicloud_tw.upstream.kept import KeptResponse
from pypicloud_tw.upstream.links import METADATA, Link
from pypicloud_tw.upstream.prepare import PageResponse
from pypicloud_tw.upstream.standings import Standings
from tests.builders import metadata, wheel
from tests.upstream.doubles import BASE, FILES, JSON, file, project
from tests.web.doubles import Domain, new_clock

T = TypeVar("T")

BOTH: tuple[Contents, ...] = ("own", "kept")
ACTOR = Actor("root (command)", Proof("command"))


def whl(version: str, name: str = "acme") -> str:
    return f"{name}-{version}-py3-none-any.whl"


@define(eq=False)
class Side:
    """A store with all that works on it."""

    clock: Clock = field(factory=new_clock)
    domain: Domain = field()
    pages: StoredPages = field()
    standings: Standings = field()
    told: list[Progress] = field(factory=list)

    @domain.default
    def _make_domain(self) -> Domain:
        return Domain(clock=self.clock)

    @pages.default
    def _make_pages(self) -> StoredPages:
        return StoredPages.over(self.domain.store, self.domain.offload, 2**20)

    @standings.default
    def _make_standings(self) -> Standings:
        return Standings(self.domain.store, self.clock)

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        done: list[T] = []
        failed: list[Failure] = []
        Deferred.fromCoroutine(work).addCallbacks(done.append, failed.append)
        for _ in range(200):
            if done or failed:
                break
            self.clock.advance(1)
        if failed:
            failed[0].raiseException()
        return done[0]

    def publish(self, version: str = "1.0", name: str = "acme") -> bytes:
        data = wheel(name, version)
        self.wait(self.domain.publish(whl(version, name), data))
        return data

    def project(self, name: str = "acme") -> Project:
        found = self.wait(self.domain.publisher.find(project_name(name)))
        assert found is not None, f"there is no {name}"
        return found.project

    def names(self, name: str = "acme") -> list[str]:
        return [file.filename for file in self.project(name).files]

    def keep(self, version: str = "1.0", name: str = "beta", **more: Any) -> bytes:
        """Have the cache keep a file of the other index, and the project's page."""
        data, filename = wheel(name, version), whl(version, name)
        digest = sha256(data).hexdigest()
        told = file(filename, data, uploaded="2022-01-01T00:00:00Z")
        other = file(whl("9.9", name), b"never kept")
        document = project(name, told, other, **more)
        answer = PageResponse(f"{BASE}{name}/", json.dumps(document).encode(), JSON)
        at = self.clock.seconds()
        self.wait(self.pages.save(name, KeptResponse(answer, BASE, at)))
        link = Link(name, filename, f"{FILES}/{filename}", digest)
        key = file_key(project_name(name), digest, filename)
        store = self.domain.store
        self.wait(store.put(*record_of(link)))
        self.wait(store.put(key, data))
        self.wait(store.put(key + METADATA, metadata(name, version)))
        return data

    def kept(self, name: str = "beta") -> list[str]:
        begin = f".cache/{name}/"
        return sorted(k.rpartition("/")[2] for k in self.keys if k.startswith(begin))

    @property
    def keys(self) -> list[str]:
        return list(self.domain.store.objects)

    def pack(
        self,
        path: Path,
        since: Path | None = None,
        *patterns: str,
        contents: tuple[Contents, ...] = BOTH,
        dry_run: bool = False,
    ) -> Packed:
        self.clock.advance(60)
        packer = Packer(
            self.domain.index,
            self.domain.offload,
            self.pages,
            Wanted.parse(patterns),
            contents,
            self.told.append,
        )
        known = None if since is None else read_list(since)
        return self.wait(packer.pack(path, known, dry_run=dry_run))

    def take(self, path: Path, *patterns: str, dry_run: bool = False) -> Report:
        index, offload = self.domain.index, self.domain.offload
        source = BundleSource(open_bundle(path), offload)
        projects = StoredProjects(AdministeredProjects(index), ACTOR, Operator())
        destination = StoreDestination(
            "a store", projects, index.publisher, ACTOR, take_all, 10**6
        )
        importer = Importer(
            source, destination, self.clock, Wanted.parse(patterns), 2, dry_run
        )
        arrival = Arrival(
            index,
            source,
            self.pages,
            self.standings,
            offload,
            ACTOR,
            importer.wanted,
            importer.run,
            importer.report,
            self.told.append,
            dry_run,
        )
        return self.wait(arrival.take())
