"""Prunes, planned and carried out in the index itself, for whoever may."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen

from pypicloud_tw.access.administration.authority import Authority
from pypicloud_tw.access.patterns import is_pattern, match_any, project_or_pattern
from pypicloud_tw.concurrency.pieces import Pieces
from pypicloud_tw.config.retention import Keeping, RetentionRule, check_keeping
from pypicloud_tw.config.rights import Action
from pypicloud_tw.config.values import BadValueError
from pypicloud_tw.errors import BadRequest, PypicloudError
from pypicloud_tw.index.audit import Actor
from pypicloud_tw.index.index import Index
from pypicloud_tw.index.names import NormalizedName, project_name
from pypicloud_tw.maintenance.retention.plan import PlanPage, check_projects
from pypicloud_tw.maintenance.retention.pruner import (
    FindRule,
    LastFetched,
    Pruner,
    nothing_known,
)
from pypicloud_tw.maintenance.retention.rules import RetentionRules, rules_by_project
from pypicloud_tw.projects.pruning import (
    MOST_PATTERNS,
    MOST_PROJECTS,
    AppliedPart,
    PlanQuestion,
    PruneOrder,
)

#: What rules that are in no ini are called in plans and in histories.
ASKED = "as asked"


@frozen(eq=False)
class AdministeredPruning:
    """What prunes an index, and its rules in force."""

    pruner: Pruner
    rules: RetentionRules

    @classmethod
    def of(
        cls,
        index: Index,
        rules: tuple[RetentionRule, ...] = (),
        fetched: LastFetched = nothing_known,
    ) -> AdministeredPruning:
        """Make it for an index with these rules.

        :param fetched: tells when releases were fetched.
        """
        pruner = Pruner(index, Pieces(index.clock), fetched=fetched)
        return cls(pruner, RetentionRules(rules))


@frozen
class StoredPruning:
    """:class:`PruningAdministration` in the index itself, for whoever may.

    Whether the asker may is decided by names alone, before anything is looked up; of an
    act, once more in the moment that it is done.
    """

    administered: AdministeredPruning
    actor: Actor
    authority: Authority

    async def plan(self, question: PlanQuestion) -> PlanPage:
        """See :class:`PruningAdministration`."""
        if len(question.patterns) > MOST_PATTERNS:
            raise BadRequest(f"Give at most {MOST_PATTERNS} names and patterns.")
        patterns = tuple(map(project_or_pattern, question.patterns))
        self._check_some(patterns)
        find = self._finding(patterns, question.keep)
        return await self.administered.pruner.page(self._allowed(find), question.cursor)

    async def apply(self, order: PruneOrder) -> AppliedPart:
        """See :class:`PruningAdministration`."""
        names = [project_name(one.project) for one in order.projects]
        for name in names:
            self._check(name)
        if not 0 < len(names) <= MOST_PROJECTS:
            raise BadRequest(f"Give 1 to {MOST_PROJECTS} projects of a plan.")
        check_projects(order.projects)
        pruner = self.administered.pruner
        applied = await pruner.apply(order.projects, self.actor, self._check)
        return AppliedPart(applied)

    def _check_some(self, patterns: Iterable[str]) -> None:
        """Return if there can be anything that they may ask for.

        :raises Unauthorized: there cannot; and so on as of :meth:`.Authority.check`.
        """
        names = [one for one in patterns if not is_pattern(one)]
        for name in names:
            self._check(NormalizedName(name))
        if not names:
            self.authority.check_some(Action.DELETE)

    def _check(self, name: NormalizedName) -> None:
        self.authority.check(Action.DELETE, name)

    def _allowed(self, find: FindRule) -> FindRule:
        """Leave out the projects from which the asker may not delete."""

        def find_allowed(name: NormalizedName) -> RetentionRule | None:
            rule = find(name)
            if rule is not None:
                try:
                    self._check(name)
                except PypicloudError:
                    return None
            return rule

        return find_allowed

    def _finding(self, patterns: tuple[str, ...], keep: Keeping | None) -> FindRule:
        if keep is None:
            find = self.administered.rules.find
            return lambda name: (
                find(name) if not patterns or match_any(patterns, name) else None
            )
        try:
            check_keeping(keep)
        except BadValueError as e:
            raise BadRequest(f"keep.{e}") from None
        if not patterns:
            raise BadRequest(
                "Name the projects that these numbers are for; '*' stands for all."
            )
        if keep.keeps_all:
            raise BadRequest("Say what is kept: as it stands, nothing would ever go.")
        return rules_by_project([RetentionRule(ASKED, patterns, keep)]).find
