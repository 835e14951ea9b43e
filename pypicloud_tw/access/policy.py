"""Who may do what, by the name of a project and the rules alone.

The lines of the most specific PROJECT decide, and add up. A project that has any is
closed to whom they do not name, but for administrators; any other is for the groups of
``pypi.default_read`` and ``pypi.default_write``.
"""

from __future__ import annotations

from attrs import evolve, field, frozen

from pypicloud_tw.access.document import AccessDocument
from pypicloud_tw.access.oidc.matching import trusts
from pypicloud_tw.access.patterns import is_pattern, match_any
from pypicloud_tw.access.principal import Principal, Scope
from pypicloud_tw.access.readable import Readable
from pypicloud_tw.access.rules import ProjectRights, Rules, compiling
from pypicloud_tw.access.settings import AccessSettings
from pypicloud_tw.concurrency.steps import Steps, at_once
from pypicloud_tw.config.rights import (
    ADMIN,
    AUTHENTICATED,
    EVERYONE,
    Action,
)
from pypicloud_tw.errors import (
    Conflict,
    Forbidden,
    PypicloudError,
    Unauthorized,
    Unavailable,
)
from pypicloud_tw.index.names import NormalizedName, unknown_project

# To look it up in the enumeration costs as much as the rest of a quick answer.
_READ = Action.READ


@frozen(eq=False)
class Policy:
    """The rules in force. Another ini or document makes another policy.

    :ivar settings: of the ini.
    :ivar document: what administrators set at run time.
    :ivar rules: what both come to.
    """

    settings: AccessSettings
    document: AccessDocument = field(factory=AccessDocument)
    rules: Rules = field()

    @rules.default
    def _compiled(self) -> Rules:
        return at_once(compiling(self.settings, self.document))

    def with_settings(self, settings: AccessSettings) -> Policy:
        """Return the policy of another ini and the same document."""
        return Policy(settings, self.document)

    def with_document(self, document: AccessDocument) -> Policy:
        """Return the policy of the same ini and another document."""
        return at_once(self.taking(document))

    def taking(self, document: AccessDocument) -> Steps[Policy]:
        """Do :meth:`with_document` in pieces."""
        rules = yield from compiling(self.settings, document)
        return Policy(self.settings, document, rules)

    @property
    def public(self) -> bool:
        """Everyone may read everything, so that pages may lie in shared caches."""
        return self.rules.public

    @property
    def has_users(self) -> bool:
        """Somebody could log in, a CI's job by its token among them."""
        return (
            self.settings.has_users
            or bool(self.document.users)
            or bool(self.rules.publishers)
        )

    def is_administrator(self, principal: Principal) -> bool:
        """Whether it may do everything, but for what its token keeps from it."""
        return principal.name is not None and (
            principal.administrator or principal.name in self.rules.administrators
        )

    def groups_of(self, principal: Principal) -> frozenset[str]:
        """Return the groups that a user is in, :data:`ADMIN` among them."""
        if principal.name is None:
            return frozenset()
        groups = self.rules.groups_of(principal.name) | principal.groups
        return groups | {ADMIN} if self.is_administrator(principal) else groups

    def is_in_any(self, principal: Principal, groups: tuple[str, ...] | None) -> bool:
        """Whether it is in one of some groups; None: that is not asked for."""
        if groups is None or EVERYONE in groups:
            return True
        if principal.anonymous:
            return False
        own = self.groups_of(principal)
        return AUTHENTICATED in groups or not own.isdisjoint(groups)

    def may(
        self, principal: Principal, action: Action, project: NormalizedName | None
    ) -> bool:
        """Return whether it is allowed.

        :param project: None for what belongs to no project. That is for administrators
            where the action is :attr:`Action.ADMINISTER`, else as :meth:`may_any`.
        """
        if project is None:
            return self._may_without_project(principal, action)
        rights = self.rules.find(project)
        if action is _READ and rights.anyone_reads:
            return True
        if action is not _READ or principal.publishers:
            return self._has(principal, action, project, rights)
        # Every page is asked for so.
        scope = principal.scope
        if scope is not None and not _within(scope, action, project):
            return False
        return self._is_given(principal, action, rights)

    def anyone_reads(self, project: NormalizedName | None) -> bool:
        """Return whether whoever asks may read a project; None: any that there is."""
        rules = self.rules
        rights = rules.anywhere if project is None else rules.find(project)
        return rights.anyone_reads

    def may_any(self, principal: Principal, action: Action) -> bool:
        """Return whether there could be a project with which it is allowed.

        By the rules alone: of patterns that overlap it may say yes where there is no
        such name, never no where there is one.
        """
        anywhere, right = self.rules.anywhere, needed(action)
        if action is Action.READ and anywhere.anyone_reads:
            return True
        if not (
            _acts_within(principal.scope, right) and self._is_in(principal, action)
        ):
            return False
        if principal.publishers:
            return any(self._published(principal, right))
        names = () if principal.scope is None else principal.scope.projects or ()
        if names and not any(map(is_pattern, names)):
            return any(self.may(principal, action, NormalizedName(n)) for n in names)
        return self._is_given(principal, right, anywhere)

    def check(
        self, principal: Principal, action: Action, project: NormalizedName | None
    ) -> None:
        """Return if it is allowed; parameters as of :meth:`may`.

        The answer follows from the name and the rules, never from what exists.

        :raises Unauthorized: a log-in would help.
        :raises Forbidden: it would not.
        :raises NotFound: who is logged in may not know whether there is such a project.
        :raises Unavailable: it changes something, and while the store is away nobody
            can tell whether the token that was shown is good still.
        """
        if not self.may(principal, action, project):
            raise self.refusal(principal, action, project)
        if action is not Action.READ:
            self.check_known(principal)

    def check_known(self, principal: Principal) -> None:
        """Return if what was shown is known to be good still; asked before changes.

        :raises Unavailable: it was good when the store last answered.
        """
        if principal.last_known:
            raise Unavailable(_LAST_KNOWN)

    def refusal(
        self, principal: Principal, action: Action, project: NormalizedName | None
    ) -> PypicloudError:
        """Return why it is not allowed; parameters as of :meth:`may`."""
        if principal.anonymous:
            what = Action.READ if action is Action.READ else Action.UPLOAD
            if self.has_users:
                return Unauthorized(_LOG_IN[what])
            return Forbidden(_NOBODY[what])
        if action is Action.READ and project is not None and not self._known(project):
            return unknown_project(project)
        sentence = self._sentence(principal, action, project)
        if action is Action.UPLOAD and project is not None:
            reserved = self.settings.namespaces.over(project)
            if reserved:
                # By the name and the ini alone, as every refusal.
                return Conflict(f"{sentence} The namespace {reserved[-1]} is reserved.")
        return Forbidden(sentence)

    def readable(self, principal: Principal) -> Readable:
        """Return which projects may be read: equal for readers with equal rights."""
        rules, scope = self.rules, principal.scope
        public = rules.readers.everyone
        if principal.anonymous or not _acts_within(scope, Action.READ):
            return Readable(rules, public)
        numbers = self._reads(principal)
        if principal.publishers:
            fixed, stored = self._published(principal, Action.READ)
            return Readable(rules, public, numbers, fixed, stored)
        if scope is None or scope.projects is None:
            return Readable(rules, numbers)
        return Readable(rules, public, numbers, scope.projects)

    def _reads(self, principal: Principal) -> frozenset[int]:
        """Return the rights by which it may read, whatever narrows it."""
        readers = self.rules.readers
        if principal.name is None or self.is_administrator(principal):
            return readers.every
        return readers.numbers(principal.name, self.groups_of(principal))

    def _may_without_project(self, principal: Principal, action: Action) -> bool:
        if action is not Action.ADMINISTER:
            return self.may_any(principal, action)
        scope = principal.scope
        return (scope is None or scope.leaves(action)) and (
            self.is_administrator(principal)
        )

    def _has(
        self,
        principal: Principal,
        action: Action,
        project: NormalizedName,
        rights: ProjectRights,
    ) -> bool:
        right = needed(action)
        if principal.publishers:
            given = self._is_published(principal, right, project)
        else:
            given = self._is_given(principal, right, rights)
        return (
            given
            and _within(principal.scope, right, project)
            and self._is_in(principal, action)
        )

    def _is_given(
        self, principal: Principal, action: Action, rights: ProjectRights
    ) -> bool:
        if principal.name is None:
            return action in rights.everyone
        if action in rights.authenticated or self.is_administrator(principal):
            return True
        groups = self.rules.groups_of(principal.name)
        if principal.groups:
            groups |= principal.groups
        return rights.allow(principal.name, groups, action)

    def _published(
        self, principal: Principal, action: Action
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return with which projects a job's publishers may do it.

        Those of the ini, and those of the document, which count where the ini does not
        decide. Each publisher is asked again whether it trusts the job: it may have
        been narrowed since the token was minted.
        """
        fixed: tuple[str, ...] = ()
        stored: tuple[str, ...] = ()
        for name in principal.publishers:
            publisher = self.rules.publishers.get(name)
            if (
                publisher is None
                or action not in publisher.actions
                or not trusts(publisher, principal.proof.details)
            ):
                continue
            if name in self.settings.publishers:
                fixed += publisher.projects
            else:
                stored += publisher.projects
        return fixed, stored

    def _is_published(self, principal: Principal, action: Action, project: str) -> bool:
        fixed, stored = self._published(principal, action)
        if match_any(fixed, project):
            return True
        return not self.rules.is_fixed(project) and match_any(stored, project)

    def _is_in(self, principal: Principal, action: Action) -> bool:
        """Whether it is in the groups that an action wants beside the right."""
        return self.is_in_any(principal, groups_wanted(self.settings, action))

    def _known(self, project: NormalizedName) -> bool:
        """Whether the ini says that a name is in use, so that it need not be hidden."""
        return match_any(self.settings.private, project)

    def _sentence(
        self, principal: Principal, action: Action, project: NormalizedName | None
    ) -> str:
        """Say what to ask for."""
        what = f"You may not {_DOING[action]}{_with(action, project)}"
        if principal.publishers:
            return (
                f"{what} as {principal.label}: its projects and acts do not have it, "
                "or it does not trust this job any more. Ask an administrator of this "
                "index."
            )
        owner = evolve(principal, scope=None)
        if principal.scope is not None and self.may(owner, action, project):
            return f"{what} with this token, which was made for less. Make another."
        if not self._is_in(principal, action) and self.may(
            owner, needed(action), project
        ):
            return f"{what}: {_GROUPS[action]} names the groups that may."
        right = needed(action).value
        return f"{what}. Ask an administrator of this index for the right to {right}."


def needed(action: Action) -> Action:
    """Return the right that an action needs."""
    if action is Action.OVERWRITE:
        return Action.UPLOAD
    return Action.MANAGE if action is Action.DELETE else action


def groups_wanted(settings: AccessSettings, action: Action) -> tuple[str, ...] | None:
    """Return the groups that may do it, where the right alone is not enough."""
    if action is Action.DELETE:
        return settings.allow_delete_groups
    if action is Action.OVERWRITE and not settings.allow_overwrite:
        return settings.allow_overwrite_groups
    return None


def _acts_within(scope: Scope | None, action: Action) -> bool:
    return scope is None or scope.has(action)


def _within(scope: Scope | None, action: Action, project: str) -> bool:
    if scope is None:
        return True
    return _acts_within(scope, action) and (
        scope.projects is None or match_any(scope.projects, project)
    )


def _with(action: Action, project: NormalizedName | None) -> str:
    if project is not None:
        return f" {project}"
    return " this index" if action is Action.ADMINISTER else " anything here"


_LAST_KNOWN = (
    "The store is away, so that nobody can tell whether this token is good still: it "
    "may be read with meanwhile, and nothing is changed; try again."
)

_DOING = {
    Action.READ: "read",
    Action.UPLOAD: "upload to",
    Action.MANAGE: "change",
    Action.ADMINISTER: "administer",
    Action.OVERWRITE: "replace files of",
    Action.DELETE: "delete from",
}

_GROUPS = {
    Action.OVERWRITE: "pypi.allow_overwrite_groups",
    Action.DELETE: "pypi.allow_delete_groups",
}

_LOG_IN = {
    Action.READ: "Log in with a user name and password to read this index.",
    Action.UPLOAD: "Log in with a user name and password to change this index.",
}

_ADD_A_USER = (
    "there is no user. Whoever runs this server adds one, by pypicloud user add NAME "
    "--admin --config INI, or by a line 'user.NAME = HASH' in the ini, with a hash of "
    "pypicloud-gen-password."
)

# 403 and not 401: a challenge would have clients ask for a password that no one has.
_NOBODY = {
    Action.READ: f"Nobody may read yet: {_ADD_A_USER}",
    Action.UPLOAD: f"Nobody may upload yet: {_ADD_A_USER}",
}
