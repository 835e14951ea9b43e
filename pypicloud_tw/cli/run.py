"""Runs work on the store or through a server; each call runs a reactor."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define, field, frozen

from pypicloud_tw.access.administration.authority import Operator
from pypicloud_tw.access.audit.question import Question
from pypicloud_tw.cli.administration import Work
from pypicloud_tw.cli.running import run
from pypicloud_tw.client.address import IndexAddress
from pypicloud_tw.client.administration import RemoteIndex
from pypicloud_tw.client.agent import make_agent
from pypicloud_tw.client.api import PATIENCE, ApiClient
from pypicloud_tw.client.logins import Credentials
from pypicloud_tw.config.configuration import Config
from pypicloud_tw.projects.statistics.values import USUAL, USUAL_DAYS

if TYPE_CHECKING:
    from pypicloud_tw.access.administration.stored import StoredAdministration
    from pypicloud_tw.index.index import Index
    from pypicloud_tw.maintenance.reports.values import DailyReport
    from pypicloud_tw.process import Process
    from pypicloud_tw.projects.affected.stored import StoredAdvisories
    from pypicloud_tw.projects.affected.values import AffectedPage, AffectedQuestion
    from pypicloud_tw.projects.explained.values import Explanation
    from pypicloud_tw.projects.pinning import StoredPins
    from pypicloud_tw.projects.statistics.stored import StoredStatistics
    from pypicloud_tw.projects.statistics.values import (
        ProjectFetches,
        TopPage,
        TotalFetches,
    )
    from pypicloud_tw.projects.stored import StoredProjects
    from pypicloud_tw.projects.stored_pruning import StoredPruning

T = TypeVar("T")


@frozen
class ReactorRunner:
    """See :class:`~.base.Runner`."""

    def over_store(self, config: Config, work: Work[T], *, changes: bool) -> T:
        """Do the work on a store; see :class:`~.base.Runner`."""
        # Only here: a command that asks a server needs not load what makes one.
        from pypicloud_tw.cli import offline

        offline.check_folder(config)

        async def administer(process: Process, index: Index) -> T:
            if changes:
                offline.check_only_writer(index)
            index.unserved.find({})  # what servers found out is in the store
            return await work(StoredIndex(config, process, index))

        return run(lambda reactor: offline.with_index(config, reactor, administer))

    def over_server(
        self,
        address: IndexAddress,
        credentials: Credentials,
        environ: Mapping[str, str],
        work: Work[T],
        *,
        patience: float | None = None,
    ) -> T:
        """Do the work through a server; see :class:`~.base.Runner`."""

        async def main(reactor: Any) -> T:
            agent = make_agent(reactor, address.scheme, environ)
            client = ApiClient(
                address, credentials, agent, reactor, patience or PATIENCE, patience
            )
            return await work(RemoteIndex(client))

        return run(main)


@frozen
class StoredIndex:
    """The index of a store; whoever runs the command may do everything."""

    config: Config
    process: Process
    index: Index

    @property
    def access(self) -> StoredAdministration:
        """Who may do what."""
        from pypicloud_tw.access.administration.stored import StoredAdministration
        from pypicloud_tw.assembly.access import make_administered
        from pypicloud_tw.cli.offline import command_actor

        administered = make_administered(self.config, self.index, self.process)
        return StoredAdministration(administered, command_actor(), Operator())

    @property
    def projects(self) -> StoredProjects:
        """The projects."""
        from pypicloud_tw.cli.offline import command_actor
        from pypicloud_tw.projects.administered import AdministeredProjects
        from pypicloud_tw.projects.stored import StoredProjects

        administered = AdministeredProjects(self.index)
        return StoredProjects(administered, command_actor(), Operator())

    @property
    def pruning(self) -> StoredPruning:
        """Prunes of the projects."""
        from pypicloud_tw.cli.offline import command_actor
        from pypicloud_tw.projects.stored_pruning import (
            AdministeredPruning,
            StoredPruning,
        )

        administered = AdministeredPruning.of(self.index, self.config.retention)
        return StoredPruning(administered, command_actor(), Operator())

    @property
    def advisories(self) -> AdvisoriesInStore:
        """What advisories affect, and the daily report."""
        return AdvisoriesInStore(self.config, self.process, self.index)

    @property
    def pins(self) -> StoredPins:
        """Who publishes the projects of upstreams."""
        from pypicloud_tw.assembly.fallback import make_pins
        from pypicloud_tw.cli.offline import command_actor
        from pypicloud_tw.projects.pinning import StoredPins

        index = self.index
        pins, audit = make_pins(self.config, index), index.publisher.audit
        return StoredPins(pins, audit, command_actor(), Operator())

    @property
    def explanations(self) -> OfflineExplanations:
        """What a client sees, and why."""
        return OfflineExplanations(self.config, self.process, self.index)

    @property
    def statistics(self) -> StatisticsInStore:
        """How often projects are fetched."""
        return StatisticsInStore(self.config, self.process, self.index)

    @property
    def records(self) -> RecordsInStore:
        """Who did what."""
        return RecordsInStore(self.index)


@define
class AdvisoriesInStore:
    """See :class:`~.projects.affected.interface.AdvisoryAdministration`.

    No other index is asked: it is not known which of its releases clients get.
    """

    config: Config
    process: Process
    index: Index
    _stored: StoredAdvisories | None = field(default=None, init=False)

    async def affected(self, question: AffectedQuestion) -> AffectedPage:
        """See the interface; what is known of advisories is read before, once."""
        if self._stored is None:
            self._stored = await self._read()
        return await self._stored.affected(question)

    async def report(self, date: str | None = None) -> DailyReport:
        """See the interface."""
        from pypicloud_tw.maintenance.reports.stored import StoredReports

        return (await StoredReports(self.index.store).read(date)).report

    async def _read(self) -> StoredAdvisories:
        from pypicloud_tw.assembly.advised import make_advised
        from pypicloud_tw.assembly.advisories import make_advisories
        from pypicloud_tw.assembly.statistics import make_downloads
        from pypicloud_tw.projects.affected.stored import StoredAdvisories

        config, index = self.config, self.index
        advisories = make_advisories(config, index.store, self.process, os.environ)
        if advisories is not None:
            await advisories.look()
        counted = make_downloads(config, index, self.process)
        if counted is not None:
            await counted.read()
        advised = make_advised(
            index, lambda: config.pypi.private, advisories, None, counted
        )
        return StoredAdvisories(advised, Operator())


@define
class StatisticsInStore:
    """See :class:`~.projects.statistics.interface.Statistics`.

    What servers have not written yet is not known.
    """

    config: Config
    process: Process
    index: Index
    _stored: StoredStatistics | None = field(default=None, init=False)

    async def project(self, name: str, days: int = USUAL_DAYS) -> ProjectFetches:
        """See the interface; what servers have written is read before, once."""
        return await (await self._read()).project(name, days)

    async def top(
        self, days: int = USUAL_DAYS, cursor: str | None = None, limit: int = USUAL
    ) -> TopPage:
        """See the interface."""
        return await (await self._read()).top(days, cursor, limit)

    async def totals(self, days: int = USUAL_DAYS) -> TotalFetches:
        """See the interface."""
        return await (await self._read()).totals(days)

    async def _read(self) -> StoredStatistics:
        from pypicloud_tw.assembly.statistics import make_downloads
        from pypicloud_tw.projects.statistics.stored import (
            AdministeredStatistics,
            StoredStatistics,
        )

        if self._stored is None:
            counted = make_downloads(self.config, self.index, self.process)
            if counted is not None:
                await counted.read()
            administered = AdministeredStatistics(self.index, counted)
            self._stored = StoredStatistics(administered, Operator())
        return self._stored


@frozen
class OfflineExplanations:
    """See :class:`~.explained.interface.Explanations`; asks the other index itself."""

    config: Config
    process: Process
    index: Index

    async def explain(self, name: str, version: str | None = None) -> Explanation:
        """See the interface."""
        from pypicloud_tw.access.exemptions import Exemptions
        from pypicloud_tw.advisories.values import NoAdvisories
        from pypicloud_tw.assembly.access import make_administered
        from pypicloud_tw.assembly.advisories import make_advisories
        from pypicloud_tw.assembly.fallback import make_fallback, make_pins
        from pypicloud_tw.projects.explained.explainer import Explainer
        from pypicloud_tw.projects.explained.stored import StoredExplanations
        from pypicloud_tw.projects.own_names import OwnNames

        config, process, index = self.config, self.process, self.index
        administered = make_administered(config, index, process)
        advisories = make_advisories(config, index.store, process, os.environ)
        known = advisories or NoAdvisories()
        fallback = make_fallback(
            config,
            index,
            process,
            os.environ,
            Exemptions(administered.access),
            known,
            pins=make_pins(config, index),
        )
        asked = None if fallback is None else fallback.asked
        names = OwnNames(index.catalog, lambda: config.pypi.private)
        explainer = Explainer(index, asked, known, names)
        try:
            await administered.documents.learn()
            if advisories is not None:
                await advisories.look()
            doer = StoredExplanations(explainer, Operator())
            return await doer.explain(name, version)
        finally:
            if fallback is not None:
                await fallback.close()


@frozen
class RecordsInStore:
    """See :class:`~.administration.Records`."""

    index: Index

    async def read(
        self, question: Question, broken: Callable[[str], None]
    ) -> AsyncGenerator[Mapping[str, object], None]:
        """See the interface."""
        from pypicloud_tw.access.audit.reading import Reader

        wanted = question.wanted(self.index.clock.seconds())

        def skipped(place: str) -> None:
            broken(f"{place} is not understood, and left out.")

        async for record in Reader(self.index.store, skipped).read(wanted):
            if wanted.matches(record):
                yield record.fields
