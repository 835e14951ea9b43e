"""Who may do what, shown and changed on the store: what both doors lead to."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve, frozen

from pypicloud_tw.access import changes
from pypicloud_tw.access.access import Access
from pypicloud_tw.access.administration.authority import Authority, project_or_pattern
from pypicloud_tw.access.administration.publishers import trusted_publisher
from pypicloud_tw.access.administration.recorded import Change, RecordedChange
from pypicloud_tw.access.administration.shown import (
    show_decision,
    show_group,
    show_publisher,
    show_right,
    show_user,
)
from pypicloud_tw.access.administration.states import Part, document_state, state_of
from pypicloud_tw.access.administration.tokens import TokenAdministration
from pypicloud_tw.access.administration.values import (
    WHATEVER,
    Changed,
    Grant,
    Group,
    Identity,
    Kind,
    MadeToken,
    Members,
    NewToken,
    NewUser,
    Overview,
    Publisher,
    PublisherTerms,
    Required,
    Right,
    RightsOf,
    Token,
    User,
    UserChange,
)
from pypicloud_tw.access.document import AccessDocument
from pypicloud_tw.access.documents import AccessDocuments
from pypicloud_tw.access.explain import explain, explain_all
from pypicloud_tw.access.hashes import hash_password
from pypicloud_tw.access.policy import Policy
from pypicloud_tw.access.principal import Principal
from pypicloud_tw.access.settings import AccessSettings
from pypicloud_tw.access.tokens.tokens import Tokens, is_token_id
from pypicloud_tw.config.issuers import recommendations
from pypicloud_tw.config.rights import show_actions
from pypicloud_tw.errors import BadRequest, NotFound
from pypicloud_tw.index.audit import Act, Actor, Audit
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.offload.service import IOffload


@frozen
class Administered:
    """What is administered, whoever does it.

    :ivar access: the rules in force; it hears of every change of the documents.
    :ivar tokens: of all users.
    :ivar offload: where passwords are hashed.
    :ivar audit: takes a record of every change.
    """

    access: Access
    documents: AccessDocuments
    tokens: Tokens
    offload: IOffload
    audit: Audit

    def by(self, actor: Actor, authority: Authority) -> StoredAdministration:
        """Return what administers it on behalf of somebody.

        :param actor: who acts, for records.
        :param authority: what they may see and change.
        """
        return StoredAdministration(self, actor, authority)


@frozen
class StoredAdministration:
    """See :class:`~.interface.AccessAdministration`.

    Whether somebody administers users, groups and rights is judged before; what
    depends on what is there, as with publishers and tokens, is judged here.
    """

    parts: Administered
    actor: Actor
    authority: Authority

    async def overview(self) -> Overview:
        """Return what holds for all of access."""
        policy = await self._policy()
        return Overview(
            policy.rules.open,
            policy.settings.read_only,
            document_state(policy.document),
        )

    # -- users ----------------------------------------------------------------------

    async def users(self) -> Sequence[User]:
        """See the interface."""
        policy = await self._policy()
        names = policy.settings.users | policy.document.users.keys()
        return [show_user(policy, name) for name in sorted(names)]

    async def user(self, name: str) -> User:
        """See the interface."""
        policy = await self._policy()
        if name not in policy.settings.users and name not in policy.document.users:
            raise _no_user(name)
        return show_user(policy, name)

    async def put_user(
        self, name: str, user: NewUser, required: Required = WHATEVER
    ) -> Changed:
        """See the interface."""
        hashed = await self._hash(user.password)
        return await self._change(
            "users",
            name,
            "set a user",
            name,
            lambda document: changes.put_user(
                document, self._ini, name, hashed, administrator=user.administrator
            ),
            required,
        )

    async def change_user(
        self, name: str, change: UserChange, required: Required = WHATEVER
    ) -> Changed:
        """See the interface."""
        hashed = await self._hash(change.password)

        def apply(document: AccessDocument) -> AccessDocument:
            ini, admin = self._ini, change.administrator
            if hashed is not None:
                document = changes.set_password(document, ini, name, hashed)
            if admin is not None:
                document = changes.set_administrator(document, ini, name, admin)
            return document

        act = "set a password" if hashed is not None else "set an administrator"
        told = f"{name}: {change.administrator}" if hashed is None else name
        return await self._change("users", name, act, told, apply, required)

    async def remove_user(self, name: str, required: Required = WHATEVER) -> Changed:
        """See the interface."""
        changed = await self._change(
            "users",
            name,
            "removed a user",
            name,
            lambda document: changes.remove_user(document, self._ini, name),
            required,
        )
        # They hold no more in any case: tokens know their owner's id.
        await self.parts.tokens.revoke_all(name, self.actor, "the user was removed")
        return changed

    # -- groups ---------------------------------------------------------------------

    async def groups(self) -> Sequence[Group]:
        """See the interface."""
        policy = await self._policy()
        names = policy.settings.groups.keys() | policy.document.groups.keys()
        return [show_group(policy, name) for name in sorted(names)]

    async def group(self, name: str) -> Group:
        """See the interface."""
        policy = await self._policy()
        if name not in policy.settings.groups and name not in policy.document.groups:
            raise NotFound(f"There is no group {name} here.")
        return show_group(policy, name)

    async def put_group(
        self, name: str, members: Members, required: Required = WHATEVER
    ) -> Changed:
        """See the interface."""
        return await self._change_group(
            name,
            "set a group",
            f"{name}: {len(set(members.members))} members",
            lambda document: changes.put_group(
                document, self._ini, name, members.members
            ),
            required,
        )

    async def remove_group(self, name: str, required: Required = WHATEVER) -> Changed:
        """See the interface."""
        return await self._change_group(
            name,
            "removed a group",
            name,
            lambda document: changes.remove_group(document, self._ini, name),
            required,
        )

    async def add_member(
        self, group: str, user: str, required: Required = WHATEVER
    ) -> Changed:
        """See the interface."""
        return await self._change_group(
            group,
            "added to a group",
            f"{group}: {user}",
            lambda document: changes.add_member(document, self._ini, group, user),
            required,
        )

    async def remove_member(
        self, group: str, user: str, required: Required = WHATEVER
    ) -> Changed:
        """See the interface."""
        return await self._change_group(
            group,
            "removed from a group",
            f"{group}: {user}",
            lambda document: changes.remove_member(document, self._ini, group, user),
            required,
        )

    async def _change_group(
        self, name: str, act: str, told: str, change: Change, required: Required
    ) -> Changed:
        return await self._change("groups", name, act, told, change, required)

    # -- rights ---------------------------------------------------------------------

    async def rights(self) -> Sequence[Right]:
        """Return the lines of what whoever asks administers, the ini's first."""
        policy = await self._policy()
        lines = (*policy.settings.rights, *policy.document.rights)
        fixed = frozenset(policy.settings.rights)
        return [
            show_right(policy, line, fixed=line in fixed)
            for line in lines
            if self.authority.administers(line.project)
        ]

    async def put_right(
        self,
        project: str,
        kind: Kind,
        name: str,
        grant: Grant,
        required: Required = WHATEVER,
    ) -> Changed:
        """See the interface."""
        project = project_or_pattern(project)
        return await self._change(
            "rights",
            f"{project}/{kind}/{name}",
            "set a right",
            f"{kind} {name}: {show_actions(grant.actions)}",
            lambda document: changes.set_right(
                document, self._ini, project, kind, name, grant.actions
            ),
            required,
            project=project,
        )

    async def remove_right(
        self, project: str, kind: Kind, name: str, required: Required = WHATEVER
    ) -> Changed:
        """See the interface."""
        project = project_or_pattern(project)
        return await self._change(
            "rights",
            f"{project}/{kind}/{name}",
            "removed a right",
            f"{kind} {name}",
            lambda document: changes.remove_right(
                document, self._ini, project, kind, name
            ),
            required,
            project=project,
        )

    # -- publishers -----------------------------------------------------------------

    async def publishers(self) -> Sequence[Publisher]:
        """Return those for what whoever asks administers."""
        policy = await self._policy()
        known = policy.rules.publishers
        return [
            show_publisher(policy, known[name])
            for name in sorted(known)
            if self.authority.administers(*known[name].projects)
        ]

    async def publisher(self, name: str) -> Publisher:
        """See the interface."""
        policy = await self._policy()
        found = policy.rules.publishers.get(name)
        if found is None or not self.authority.administers(*found.projects):
            raise NotFound(f"There is no trusted publisher {name} that you administer.")
        return show_publisher(policy, found)

    async def put_publisher(
        self, name: str, terms: PublisherTerms, required: Required = WHATEVER
    ) -> Changed:
        """See the interface.

        :raises Forbidden: it is, or would be, for projects that whoever asks does not
            administer.
        """
        trusted = trusted_publisher(name, terms)
        self.authority.check_administers(*trusted.projects)

        def apply(document: AccessDocument) -> AccessDocument:
            self._check_publisher(document, name)
            return changes.put_publisher(document, self._ini, trusted)

        changed = await self._change_publisher(name, "set", apply, required)
        safer = tuple(recommendations(trusted))
        return evolve(changed, notices=(*changed.notices, *safer))

    async def remove_publisher(
        self, name: str, required: Required = WHATEVER
    ) -> Changed:
        """See the interface; errors as of :meth:`put_publisher`."""

        def apply(document: AccessDocument) -> AccessDocument:
            self._check_publisher(document, name)
            return changes.remove_publisher(document, self._ini, name)

        return await self._change_publisher(name, "removed", apply, required)

    async def _change_publisher(
        self, name: str, done: str, change: Change, required: Required
    ) -> Changed:
        act = f"{done} a publisher"
        return await self._change("publishers", name, act, name, change, required)

    def _check_publisher(self, document: AccessDocument, name: str) -> None:
        """Return if one of that name may be changed by whoever asks."""
        there = document.publishers.get(name)
        if there is not None:
            self.authority.check_administers(*there.projects)

    # -- tokens ---------------------------------------------------------------------

    async def tokens(
        self, owner: str | None = None, *, everybody: bool = False
    ) -> Sequence[Token]:
        """See the interface."""
        await self.parts.documents.learn()
        return await self._tokens.list(owner, everybody)

    async def make_token(self, token: NewToken) -> MadeToken:
        """See the interface."""
        await self.parts.documents.learn()
        return await self._tokens.make(token)

    async def revoke_token(self, id: str) -> Changed:
        """See the interface."""
        return await self._tokens.revoke(id)

    @property
    def _tokens(self) -> TokenAdministration:
        return TokenAdministration(self.parts.tokens, self.actor, self.authority)

    # -- what somebody may do -------------------------------------------------------

    async def rights_of(
        self, user: str | None = None, project: str | None = None
    ) -> RightsOf:
        """See the interface.

        :raises Forbidden: it is about somebody else, and an administrator's to ask.
        """
        principal = await self._whom(user)
        policy = await self._policy()
        if project is None:
            found = tuple(explain_all(policy, principal))
        else:
            name = NormalizedName(project_or_pattern(project))
            found = (explain(policy, principal, name),)
        return RightsOf(principal.name, tuple(map(show_decision, found)))

    async def whoami(self) -> Identity:
        """See the interface."""
        principal = self.authority.principal
        if principal is None:
            raise NotFound("Nobody is logged in where the store itself is worked on.")
        policy = await self._policy()
        scope = principal.scope
        return Identity(
            principal.name,
            principal.publishers,
            tuple(sorted(policy.groups_of(principal))),
            policy.is_administrator(principal),
            principal.proof.kind,
            None if scope is None else scope.actions,
            None if scope is None else scope.projects,
        )

    async def _whom(self, user: str | None) -> Principal:
        own = self.authority.principal
        if own is not None and user in (None, own.name):
            return own
        if user is not None and is_token_id(user):
            return await self._tokens.principal(user)
        self.authority.check_administers()
        return Principal(user)

    # -- how it is done -------------------------------------------------------------

    def state(self, part: Part, name: str) -> str | None:
        """Return an opaque word for what the document has of something.

        None: it has nothing of that name. Another state has another word.
        """
        return state_of(self.parts.access.policy.document, part, name)

    async def _policy(self) -> Policy:
        """Return the rules as they are now, or were when they could last be read."""
        await self.parts.documents.learn()
        return self.parts.access.policy

    async def _hash(self, password: str | None) -> str | None:
        if password is None:
            return None
        if not password:
            raise BadRequest("A password is not empty; leave it out for none.")
        try:
            return await self.parts.offload.in_thread(hash_password, password)
        except ValueError as e:
            raise BadRequest(str(e)) from None

    @property
    def _ini(self) -> AccessSettings:
        return self.parts.access.policy.settings

    async def _change(
        self,
        part: Part,
        name: str,
        act: str,
        told: str,
        change: Change,
        required: Required,
        *,
        project: str | None = None,
    ) -> Changed:
        parts = self.parts
        record = Act(self.actor, act, project=project, reason=told)
        recorded = RecordedChange(part, name, record, change, required)
        return await recorded.make(parts.documents, parts.access, parts.audit)


def _no_user(name: str) -> NotFound:
    return NotFound(f"There is no user {name} here.")
