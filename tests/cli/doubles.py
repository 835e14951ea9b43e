"""Work on an index in memory, in this process, in either of two ways."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from pypicloud_tw.access.administration.authority import Operator
from pypicloud_tw.access.administration.interface import AccessAdministration
from pypicloud_tw.cli.administration import Administration, Work
from pypicloud_tw.cli.stored_index import RecordsInStore
from pypicloud_tw.client.address import IndexAddress
from pypicloud_tw.client.administration import RemoteIndex
from pypicloud_tw.client.api import ApiClient
from pypicloud_tw.client.logins import Credentials
from pypicloud_tw.config.configuration import Config
from pypicloud_tw.index.audit import Actor, Proof
from pypicloud_tw.projects.administered import AdministeredProjects
from pypicloud_tw.projects.affected.interface import AdvisoryAdministration
from pypicloud_tw.projects.affected.stored import StoredAdvisories
from pypicloud_tw.projects.explained.explainer import Explainer
from pypicloud_tw.projects.explained.interface import AskedUpstream, Explanations
from pypicloud_tw.projects.explained.stored import StoredExplanations
from pypicloud_tw.projects.interface import ProjectAdministration
from pypicloud_tw.projects.pinning import PinAdministration, StoredPins
from pypicloud_tw.projects.pruning import PruningAdministration
from pypicloud_tw.projects.statistics.interface import Statistics
from pypicloud_tw.projects.statistics.stored import StoredStatistics
from pypicloud_tw.projects.stored import StoredProjects
from pypicloud_tw.projects.stored_pruning import StoredPruning
from tests.access.administration.doubles import AccessServer
from tests.web.api.doubles import AccessWeb, Canned, WebAgent

T = TypeVar("T")


@frozen
class LocalIndex:
    """What a store has, for whoever runs a command."""

    access: AccessAdministration
    projects: ProjectAdministration
    pruning: PruningAdministration
    explanations: Explanations
    records: RecordsInStore
    advisories: AdvisoryAdministration
    pins: PinAdministration
    statistics: Statistics


@define
class FakeRunner:
    """Does work in this process.

    :ivar server: what an ini's store has of access.
    :ivar web: what an index's server is, and whose projects an ini's store has.
    :ivar canned: answers in place of that server.
    :ivar error: raised instead.
    :ivar asked_upstream: the other index of an ini.
    """

    server: AccessServer = field(factory=AccessServer.new)
    web: AccessWeb = field(factory=AccessWeb)
    canned: Canned | None = None
    error: Exception | None = None
    asked_upstream: AskedUpstream | None = None
    asked: list[object] = field(factory=list)

    def over_store(self, config: Config, work: Work[T], *, changes: bool) -> T:
        self.asked.append(changes)
        index = self.web.domain.index
        actor = Actor("root (command)", Proof("command"))
        return self._done(
            LocalIndex(
                self.server.administration(),
                StoredProjects(AdministeredProjects(index), actor, Operator()),
                StoredPruning(self.web.application.pruning, actor, Operator()),
                StoredExplanations(Explainer(index, self.asked_upstream), Operator()),
                RecordsInStore(index),
                StoredAdvisories(self.web.application.advisories, Operator()),
                StoredPins(
                    self.web.application.pins,
                    index.publisher.audit,
                    actor,
                    Operator(),
                ),
                StoredStatistics(self.web.application.statistics, Operator()),
            ),
            work,
        )

    def over_server(
        self,
        address: IndexAddress,
        credentials: Credentials,
        environ: Mapping[str, str],
        work: Work[T],
        *,
        patience: float | None = None,
    ) -> T:
        login = credentials.login
        who = (None, None) if login is None else (login.user, login.password)
        self.asked.append((address.base, *who))
        agent = WebAgent(self.canned or self.web)
        client = ApiClient(address, credentials, agent, self.web.domain.clock)
        return self._done(RemoteIndex(client), work)

    def _done(self, index: Administration, work: Work[T]) -> T:
        if self.error is not None:
            raise self.error

        async def done() -> T:
            return await work(index)

        results: list[T] = []
        failures: list[Failure] = []
        doing = Deferred.fromCoroutine(done())
        doing.addCallbacks(results.append, failures.append)
        self.web.domain.settle(doing)
        for failure in failures:
            failure.raiseException()
        return results[0]
