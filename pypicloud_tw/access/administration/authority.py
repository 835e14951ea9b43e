"""Who may see and change what of access: administrators, and those of a project."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from attrs import frozen

from pypicloud_tw.access.access import Access
from pypicloud_tw.access.audit.witness import RightMissingError
from pypicloud_tw.access.patterns import (
    covers,
    is_pattern,
    overlap,
    project_or_pattern,
)
from pypicloud_tw.access.policy import Policy
from pypicloud_tw.access.principal import Principal, Scope
from pypicloud_tw.access.rules import ProjectRights, Rules
from pypicloud_tw.access.tokens.tokens import check_maker
from pypicloud_tw.config.rights import Action, RightLine
from pypicloud_tw.errors import Forbidden
from pypicloud_tw.index.names import NormalizedName


class Authority(Protocol):
    """What whoever asks may see and change."""

    @property
    def principal(self) -> Principal | None:
        """Who asks; None: who runs the command, and has the store anyway."""

    def check(self, action: Action, project: NormalizedName | None) -> None:
        """Return if they may do that.

        :param project: None for what belongs to no project.
        :raises Unauthorized: a log-in would help.
        :raises Forbidden: it would not; nor can a project be known to them.
        :raises NotFound: likewise, where others' projects are looked for elsewhere.
        """

    def check_some(self, action: Action) -> None:
        """Return if there can be any project with which they may do that.

        :raises Unauthorized: a log-in would help.
        :raises Forbidden: it would not.
        """

    def reads(self) -> Callable[[str], bool]:
        """Return what tells of a project, by its normalized name, if they may read it.

        It holds for now: a change of the rules makes another. Those of readers with
        equal rights are equal, and can be keys.
        """

    def may(self, action: Action) -> Callable[[str], bool]:
        """Return what tells the same of something else than reading."""

    def administers(self, *projects: str) -> bool:
        """Whether all of these names and patterns are theirs to administer.

        :param projects: none at all: everything is meant.
        """

    def check_administers(self, *projects: str) -> None:
        """Return if it is so; parameters as of :meth:`administers`.

        :raises Forbidden: it is not.
        :raises BadRequest: one of them is neither a name nor a pattern.
        """

    def check_administers_some(self) -> None:
        """Return if there can be anything that they administer.

        :raises Forbidden: there cannot.
        """

    def check_tokens(self, owner: str, scope: Scope) -> None:
        """Return if they may make, or revoke, such a token of an owner.

        :raises Forbidden: they may not.
        """

    def check_own_tokens(self) -> None:
        """Return if there can be any that they may make or revoke.

        :raises Forbidden: there cannot.
        """


@frozen
class Operator:
    """Whoever runs a command on the store itself: may do everything."""

    principal: None = None

    def check(self, action: Action, project: NormalizedName | None) -> None:
        """See :class:`Authority`."""

    def check_some(self, action: Action) -> None:
        """See :class:`Authority`."""

    def reads(self) -> Callable[[str], bool]:
        """See :class:`Authority`."""
        return _everything

    def may(self, action: Action) -> Callable[[str], bool]:
        """See :class:`Authority`."""
        return _everything

    def administers(self, *projects: str) -> bool:
        """See :class:`Authority`."""
        return True

    def check_administers(self, *projects: str) -> None:
        """See :class:`Authority`."""

    def check_administers_some(self) -> None:
        """See :class:`Authority`."""

    def check_tokens(self, owner: str, scope: Scope) -> None:
        """See :class:`Authority`."""

    def check_own_tokens(self) -> None:
        """See :class:`Authority`."""


@frozen
class PrincipalAuthority:
    """Whoever makes a request, by the policy in force."""

    access: Access
    principal: Principal

    def check(self, action: Action, project: NormalizedName | None) -> None:
        """See :class:`Authority`."""
        self.access.check(self.principal, action, project)

    def check_some(self, action: Action) -> None:
        """See :class:`Authority`."""
        if not self.access.policy.may_any(self.principal, action):
            self.access.check(self.principal, action, None)

    def reads(self) -> Callable[[str], bool]:
        """See :class:`Authority`."""
        return self.access.policy.readable(self.principal)

    def may(self, action: Action) -> Callable[[str], bool]:
        """See :class:`Authority`."""
        policy, principal = self.access.policy, self.principal
        return lambda name: policy.may(principal, action, NormalizedName(name))

    def administers(self, *projects: str) -> bool:
        """See :class:`Authority`."""
        policy, principal = self.access.policy, self.principal
        if policy.may(principal, Action.ADMINISTER, None):
            return True
        return bool(projects) and all(
            may_whole(policy, principal, Action.ADMINISTER, project)
            for project in projects
        )

    def check_administers(self, *projects: str) -> None:
        """See :class:`Authority`."""
        names = tuple(map(project_or_pattern, projects))
        if self.administers(*names):
            return
        if not names:
            self.access.check(self.principal, Action.ADMINISTER, None)
            return
        missing = RightMissingError(self.principal, Action.ADMINISTER, names[0])
        raise Forbidden(
            f"You may not administer {', '.join(names)}. That takes the right to "
            "administer every project that this stands for; ask an administrator of "
            "this index."
        ) from missing

    def check_administers_some(self) -> None:
        """See :class:`Authority`."""
        self.check_some(Action.ADMINISTER)

    def check_tokens(self, owner: str, scope: Scope) -> None:
        """See :class:`Authority`."""
        try:
            check_maker(self.principal, owner, scope, administers=self.administers())
        except Forbidden as e:
            raise e from RightMissingError(self.principal, Action.ADMINISTER, None)

    def check_own_tokens(self) -> None:
        """See :class:`Authority`."""
        # Whoever may not even make what they show themselves.
        scope = self.principal.scope or Scope()
        self.check_tokens(self.principal.name or "", scope)


def _everything(name: str) -> bool:
    return True


def may_whole(
    policy: Policy, principal: Principal, action: Action, project: str
) -> bool:
    """Return whether it is allowed with every name that a pattern stands for.

    :param project: a name or pattern, normalized.
    """
    if not is_pattern(project):
        return policy.may(principal, action, NormalizedName(project))
    if principal.name is None or not _within(principal.scope, action, project):
        return False
    if policy.is_administrator(principal):
        return True
    groups = policy.groups_of(principal)
    return all(
        ProjectRights.of(
            -1, ((one.kind, one.name, one.actions) for one in lines)
        ).allow(principal.name, groups, action)
        for lines in _deciding(policy.rules, project)
    )


def _deciding(rules: Rules, pattern: str) -> Iterator[tuple[RightLine, ...]]:
    """Find whatever could decide of a name that a pattern stands for.

    Lines come with the most specific first, those of the ini before the others: what
    stands behind one that has all of these names never decides of any.
    """
    for by_project in (rules.fixed_lines, rules.stored_lines):
        for project, lines in by_project.items():
            if overlap(project, pattern):
                yield lines
            if covers(project, pattern):
                return
    yield rules.default_lines


def _within(scope: Scope | None, action: Action, pattern: str) -> bool:
    if scope is None:
        return True
    if not scope.has(action):
        return False
    return scope.projects is None or any(covers(own, pattern) for own in scope.projects)
