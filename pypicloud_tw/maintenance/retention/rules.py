"""The retention rules in force: those of the ini, which SIGHUP reads again."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import define, evolve, field

from pypicloud_tw.access.patterns import ProjectIndex
from pypicloud_tw.config.retention import RetentionRule
from pypicloud_tw.index.names import NormalizedName


def rules_by_project(rules: Iterable[RetentionRule]) -> ProjectIndex[RetentionRule]:
    """Return what finds the rule of a project: the most specific pattern's alone.

    As with rights, the order of rules never decides. What is found has only the pattern
    that did: the others are other people's projects.
    """
    return ProjectIndex(
        {
            project: evolve(rule, projects=(project,))
            for rule in rules
            for project in rule.projects
        }
    )


@define(eq=False)
class RetentionRules:
    """The rules of an index.

    :ivar rules: in force now.
    """

    rules: tuple[RetentionRule, ...]
    _by_project: ProjectIndex[RetentionRule] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.obey(self.rules)

    def obey(self, rules: tuple[RetentionRule, ...]) -> None:
        """Put other rules into force."""
        self.rules = rules
        self._by_project = rules_by_project(rules)

    @property
    def is_daily(self) -> bool:
        """Whether servers have anything to do by themselves."""
        return any(rule.apply == "daily" for rule in self.rules)

    def find(self, name: NormalizedName) -> RetentionRule | None:
        """Return a project's rule; None: everything of it is kept."""
        return self._by_project.find(name)

    def find_daily(self, name: NormalizedName) -> RetentionRule | None:
        """Return it if servers obey it by themselves."""
        rule = self.find(name)
        return rule if rule is not None and rule.apply == "daily" else None
