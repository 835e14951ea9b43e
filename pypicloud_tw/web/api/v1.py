"""The parts of /api/v1/: made of the same things, and described in one document."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import ClassVar

from attrs import frozen
from twisted.python.failure import Failure

from pypicloud_tw.access.access import Access
from pypicloud_tw.access.administration.administered import Administered
from pypicloud_tw.projects.administered import AdministeredProjects
from pypicloud_tw.projects.affected.stored import AdministeredAdvisories
from pypicloud_tw.projects.explained.explainer import Explainer
from pypicloud_tw.projects.statistics.stored import AdministeredStatistics
from pypicloud_tw.projects.stored_pruning import AdministeredPruning
from pypicloud_tw.upstream.provenance.pins import Pins
from pypicloud_tw.web.api.access import AccessApi
from pypicloud_tw.web.api.declared import Routes
from pypicloud_tw.web.api.openapi import Described
from pypicloud_tw.web.api.pinning import PinsApi
from pypicloud_tw.web.api.projects import ProjectsApi
from pypicloud_tw.web.api.pruning import PruningApi
from pypicloud_tw.web.api.revealed import RevealedTokens
from pypicloud_tw.web.api.statistics import StatisticsApi
from pypicloud_tw.web.api.upstream import UpstreamApi
from pypicloud_tw.web.http.site import Request


@frozen(eq=False)
class ApiParts:
    """Each part with its routes; the application mounts them."""

    access: AccessApi
    projects: ProjectsApi
    pruning: PruningApi
    pins: PinsApi
    upstream: UpstreamApi
    statistics: StatisticsApi

    #: Every declared route, by the part that has it.
    declared: ClassVar[tuple[Routes, ...]] = (
        AccessApi.routes,
        ProjectsApi.routes,
        PruningApi.routes,
        PinsApi.routes,
        UpstreamApi.routes,
        StatisticsApi.routes,
    )

    @classmethod
    def of(
        cls,
        access: Access,
        administered: Administered,
        projects: AdministeredProjects,
        pruning: AdministeredPruning,
        advisories: AdministeredAdvisories,
        pins: Pins,
        explainer: Callable[[], Explainer],
        statistics: AdministeredStatistics,
        revealed: RevealedTokens,
        answer_failure: Callable[[Request, Failure], bytes],
    ) -> ApiParts:
        """Make the parts.

        :param administered: what administrators change.
        :param projects: what projects are shown and changed in.
        :param pruning: what prunes the index, and the rules of the ini.
        :param advisories: what is asked of advisories, and the daily reports.
        :param pins: who publishes the projects of upstreams.
        :param explainer: makes what explains what clients see.
        :param statistics: how often projects are fetched.
        :param revealed: takes reports of tokens that leaked.
        :param answer_failure: answers what a route raised, or what no route takes.
        """
        operations = tuple(chain(*(part.operations for part in cls.declared)))
        pieces = projects.pieces
        return cls(
            AccessApi(access, administered, revealed, pieces, answer_failure),
            ProjectsApi(
                access, projects, advisories, Described(operations), answer_failure
            ),
            PruningApi(access, pruning, answer_failure),
            PinsApi(access, pins, administered.audit, pieces, answer_failure),
            UpstreamApi(access, explainer, answer_failure),
            StatisticsApi(access, statistics, answer_failure),
        )
