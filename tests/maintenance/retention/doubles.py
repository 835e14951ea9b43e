"""Indexes with projects of many releases, for tests of retention."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from attrs import define, evolve, field

from pypicloud_tw.concurrency.pieces import Pieces
from pypicloud_tw.index.model import File, Project
from pypicloud_tw.index.names import project_name
from pypicloud_tw.maintenance.retention.pruner import Pruner
from tests.builders import MORNING, file
from tests.web.doubles import Domain, started, stored_project

DAY = 86_400
NOW = MORNING + timedelta(days=100)


def release(version: str, days: float = 50, *, name: str = "acme") -> File:
    """The one file of a release, of so many days ago."""
    filename = f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
    return file(
        filename,
        version=version,
        key=f"{name}/{'0' * 32}/{filename}",
        upload_time=NOW - timedelta(days=days),
    )


@define
class PrunedIndex:
    """An index in memory, at a known time."""

    domain: Domain = field(factory=Domain)
    pruner: Pruner = field(init=False)

    def __attrs_post_init__(self) -> None:
        clock = self.domain.clock
        clock.advance(NOW.timestamp() - clock.seconds())
        # A test's clock stands still: a slice never ends.
        self.pruner = Pruner(self.domain.index, Pieces(clock))

    def add(self, name: str, versions: Iterable[str], days: float = 50) -> None:
        """Have a project with these releases, and more if it is there."""
        files = [release(version, days, name=name) for version in versions]

        def put(project: Project) -> Project:
            return evolve(project, files=(*project.files, *files))

        publisher = self.domain.publisher
        work = started(
            publisher.change(project_name(name), put, step="test", create=True)
        )
        self.domain.settle(work)
        assert work.called

    def versions(self, name: str = "acme") -> list[str]:
        """Read which releases a project has in the store."""
        return [one.version for one in stored_project(self.domain.store, name).files]
