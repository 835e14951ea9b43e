"""Why somebody may do something or may not: which line of which source says so."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from pypicloud_tw.access.oidc.matching import trusts
from pypicloud_tw.access.patterns import matches
from pypicloud_tw.access.policy import Policy, groups_wanted, needed
from pypicloud_tw.access.principal import Principal, Scope
from pypicloud_tw.config.rights import (
    AUTHENTICATED,
    EVERYONE,
    Action,
    RightLine,
    show_actions,
)
from pypicloud_tw.index.names import NormalizedName


@frozen
class Verdict:
    """Whether one action is allowed, and why.

    :ivar reasons: what gives the right, else what withholds it; a line or a sentence
        each.
    """

    action: Action
    allowed: bool
    reasons: tuple[str, ...]


@frozen
class Explanation:
    """What somebody may do with a project, or with those of a pattern.

    :ivar project: its name, or the pattern.
    :ivar decided_by: the PROJECT whose lines decide; None: the defaults do.
    :ivar fixed: the ini decides, so that the access document cannot.
    :ivar lines: that decide, whoever they are for.
    """

    project: str
    decided_by: str | None
    fixed: bool
    lines: tuple[RightLine, ...]
    verdicts: tuple[Verdict, ...]

    @property
    def allowed(self) -> frozenset[Action]:
        """Return what is allowed."""
        return frozenset(one.action for one in self.verdicts if one.allowed)


def explain(
    policy: Policy, principal: Principal, project: NormalizedName
) -> Explanation:
    """Explain what somebody may do with a project."""
    rules = policy.rules
    for lines, fixed in ((rules.fixed_lines, True), (rules.stored_lines, False)):
        # The most specific is the first.
        for own, mine in lines.items():
            if matches(own, project):
                return _explained(policy, principal, project, own, fixed, mine)
    return _explained(policy, principal, project, None, False, rules.default_lines)


def explain_all(policy: Policy, principal: Principal) -> Iterator[Explanation]:
    """Explain each PROJECT that has lines, and at last what has none.

    For a pattern: what holds for its names that no other PROJECT decides.
    """
    rules = policy.rules
    for lines, fixed in ((rules.fixed_lines, True), (rules.stored_lines, False)):
        for own, mine in lines.items():
            yield _explained(policy, principal, own, own, fixed, mine)
    if "*" not in rules.fixed_lines and "*" not in rules.stored_lines:
        yield _explained(policy, principal, "*", None, False, rules.default_lines)


def _explained(
    policy: Policy,
    principal: Principal,
    project: str,
    decided_by: str | None,
    fixed: bool,
    lines: tuple[RightLine, ...],
) -> Explanation:
    case = _Case(policy, principal, project, decided_by, fixed, lines)
    verdicts = tuple(case.verdict(action) for action in Action)
    return Explanation(project, decided_by, fixed, lines, verdicts)


@frozen
class _Case:
    """What somebody may do under some lines."""

    policy: Policy
    principal: Principal
    project: str
    decided_by: str | None
    fixed: bool
    lines: tuple[RightLine, ...]

    def verdict(self, action: Action) -> Verdict:
        """Judge one action."""
        given = tuple(self._giving(needed(action)))
        missing = tuple(self._withholding(action, bool(given)))
        if missing:
            return Verdict(action, False, missing)
        return Verdict(action, True, given)

    def _giving(self, action: Action) -> Iterator[str]:
        """Name what gives a right, but for what narrows it."""
        principal = self.principal
        # A job may what its publishers say, and read what everyone may.
        if action is Action.READ or not principal.publishers:
            for line in self.lines:
                if action in line.actions and self._is_for(line):
                    yield self._shown(line)
        if principal.publishers:
            for name in principal.publishers:
                yield from self._published(name, action)
        elif self.policy.is_administrator(principal):
            admins = self.policy.rules.administrators
            place = admins.get(principal.name or "", "another directory")
            yield f"{principal.name} is an administrator ({place})"

    def _is_for(self, line: RightLine) -> bool:
        if line.kind == "user":
            return line.name == self.principal.name
        if line.name == EVERYONE:
            return True
        if line.name == AUTHENTICATED:
            return self.principal.name is not None
        return line.name in self.policy.groups_of(self.principal)

    def _published(self, name: str, action: Action) -> Iterator[str]:
        publisher = self.policy.rules.publishers.get(name)
        if publisher is None or action not in publisher.actions:
            return
        if self.fixed and name not in self.policy.settings.publishers:
            return
        if not trusts(publisher, self.principal.proof.details):
            return
        if any(matches(pattern, self.project) for pattern in publisher.projects):
            acts = show_actions(publisher.actions)
            yield f"publisher.{name}.acts = {acts} ({publisher.source})"

    def _withholding(self, action: Action, given: bool) -> Iterator[str]:
        """Name what withholds an action."""
        if not given:
            yield self._why_not(needed(action))
        scope = self.principal.scope
        everyone = any(
            line.name == EVERYONE and Action.READ in line.actions
            for line in self.lines
            if line.kind == "group"
        )
        if scope is not None and not (action is Action.READ and everyone):
            if not scope.has(needed(action)):
                yield f"the token is for {_shown_actions(scope)}"
            names = scope.projects
            if names is not None and not any(matches(p, self.project) for p in names):
                yield f"the token is for the projects {', '.join(names)}"
        wanted = groups_wanted(self.policy.settings, action)
        if not self.policy.is_in_any(self.principal, wanted):
            key = "delete" if action is Action.DELETE else "overwrite"
            yield f"pypi.allow_{key}_groups = {' '.join(wanted or ()) or '(nobody)'}"

    def _shown(self, line: RightLine) -> str:
        if self.decided_by is None:
            return line.source
        return f"{line.text} ({line.source})"

    def _why_not(self, action: Action) -> str:
        if self.principal.publishers:
            names = ", ".join(self.principal.publishers)
            return f"the publisher {names} is not for this"
        own = tuple(map(self._shown, filter(self._is_for, self.lines)))
        if own:
            return f"only {'; '.join(own)}"
        return self._names_nobody()

    def _names_nobody(self) -> str:
        """Say that what decides is for others."""
        name = self.principal.name
        whom = "everyone" if name is None else f"{name}, or a group of {name}'s"
        if self.decided_by is not None:
            return f"no line of {self.decided_by} names {whom}"
        return f"neither pypi.default_read nor pypi.default_write names {whom}"


def _shown_actions(scope: Scope) -> str:
    if scope.actions is None:
        return "everything but to administer"
    return show_actions(scope.actions)
