"""Who may do what, shown and changed on the store: for commands and over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from attrs import frozen

from pypicloud_tw.access import changes
from pypicloud_tw.access.administration.administered import Administered
from pypicloud_tw.access.administration.authority import Authority
from pypicloud_tw.access.administration.exemptions import ExemptionAdministration
from pypicloud_tw.access.administration.publishers import PublisherAdministration
from pypicloud_tw.access.administration.recorded import Change, RecordedChange
from pypicloud_tw.access.administration.shown import (
    hide_decision,
    show_decision,
    show_group,
    show_right,
    show_user,
)
from pypicloud_tw.access.administration.slices import BATCH, Slice, Window
from pypicloud_tw.access.administration.states import Part, document_state, state_of
from pypicloud_tw.access.administration.tokens import TokenAdministration
from pypicloud_tw.access.administration.values import (
    WHATEVER,
    Changed,
    Exempted,
    Grant,
    Group,
    Identity,
    MadeToken,
    Members,
    NewExemption,
    NewToken,
    NewUser,
    Overview,
    Publisher,
    PublisherTerms,
    Required,
    Right,
    RightsOf,
    Token,
    TokensPage,
    User,
    UserChange,
)
from pypicloud_tw.access.document import AccessDocument
from pypicloud_tw.access.explain import Explanation, explain, explain_all
from pypicloud_tw.access.patterns import project_or_pattern
from pypicloud_tw.access.policy import Policy
from pypicloud_tw.access.principal import Principal
from pypicloud_tw.access.rules import says_nothing
from pypicloud_tw.access.settings import AccessSettings
from pypicloud_tw.access.tokens.tokens import is_token_id
from pypicloud_tw.concurrency.pieces import Pieces
from pypicloud_tw.concurrency.shielded import shielded
from pypicloud_tw.config.rights import GRANTABLE, Kind, RightLine
from pypicloud_tw.errors import Forbidden, NotFound
from pypicloud_tw.index.audit import Act, Actor
from pypicloud_tw.index.names import NormalizedName


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
        policy = await self.parts.policy()
        return Overview(
            policy.rules.open,
            policy.settings.read_only,
            document_state(policy.document),
        )

    # -- users ----------------------------------------------------------------------

    async def users(self) -> Sequence[User]:
        """See the interface."""
        policy = await self.parts.policy()
        names = policy.settings.users | policy.document.users.keys()
        return [show_user(policy, name) for name in sorted(names)]

    async def find_users(self, window: Window, pieces: Pieces) -> Slice[User]:
        """Return a part of the list of users.

        :param pieces: looks through it with pauses.
        """
        policy = await self.parts.policy()
        names = sorted(policy.settings.users | policy.document.users.keys())
        return await pieces.finish(
            window.cut(
                names,
                window.has,
                lambda name: show_user(policy, name),
            )
        )

    async def user(self, name: str) -> User:
        """See the interface."""
        policy = await self.parts.policy()
        if name not in policy.settings.users and name not in policy.document.users:
            raise _no_user(name)
        return show_user(policy, name)

    async def put_user(
        self, name: str, user: NewUser, required: Required = WHATEVER
    ) -> Changed:
        """See the interface."""
        hashed = await self.parts.hash(user.password)
        return await self._change(
            "users",
            name,
            "set a user",
            lambda document: changes.put_user(
                document, self._ini, name, hashed, administrator=user.administrator
            ),
            required,
        )

    async def change_user(
        self, name: str, change: UserChange, required: Required = WHATEVER
    ) -> Changed:
        """See the interface."""
        hashed = await self.parts.hash(change.password)

        def apply(document: AccessDocument) -> AccessDocument:
            ini, admin = self._ini, change.administrator
            if hashed is not None:
                document = changes.set_password(document, ini, name, hashed)
            if admin is not None:
                document = changes.set_administrator(document, ini, name, admin)
            return document

        act = "set a password" if hashed is not None else "set an administrator"
        return await self._change("users", name, act, apply, required)

    async def remove_user(self, name: str, required: Required = WHATEVER) -> Changed:
        """See the interface."""
        return await shielded(self._remove_user(name, required))

    async def _remove_user(self, name: str, required: Required) -> Changed:
        changed = await self._change(
            "users",
            name,
            "removed a user",
            lambda document: changes.remove_user(document, self._ini, name),
            required,
        )
        # They hold no more in any case: tokens know their owner's id.
        await self.parts.tokens.revoke_all(name, self.actor, "the user was removed")
        return changed

    # -- groups ---------------------------------------------------------------------

    async def groups(self) -> Sequence[Group]:
        """See the interface."""
        policy = await self.parts.policy()
        names = policy.settings.groups.keys() | policy.document.groups.keys()
        return [show_group(policy, name) for name in sorted(names)]

    async def find_groups(self, window: Window, pieces: Pieces) -> Slice[Group]:
        """Return a part of the list of groups; parameters as of :meth:`find_users`."""
        policy = await self.parts.policy()
        names = sorted(policy.settings.groups.keys() | policy.document.groups.keys())
        return await pieces.finish(
            window.cut(
                names,
                window.has,
                lambda name: show_group(policy, name),
            )
        )

    async def group(self, name: str) -> Group:
        """See the interface."""
        policy = await self.parts.policy()
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
            lambda document: changes.remove_member(document, self._ini, group, user),
            required,
        )

    async def _change_group(
        self, name: str, act: str, change: Change, required: Required
    ) -> Changed:
        return await self._change("groups", name, act, change, required)

    # -- rights ---------------------------------------------------------------------

    async def rights(self) -> Sequence[Right]:
        """Return the lines of what whoever asks administers, the ini's first."""
        policy = await self.parts.policy()
        lines = (*policy.settings.rights, *policy.document.rights)
        fixed = frozenset(policy.settings.rights)
        return [
            show_right(policy, line, fixed=line in fixed)
            for line in lines
            if self.authority.administers(line.project)
        ]

    async def find_rights(self, window: Window, pieces: Pieces) -> Slice[Right]:
        """Return a part of :meth:`rights`; parameters as of :meth:`find_users`.

        What is looked for may stand in the project's name or in the holder's.
        """
        policy = await self.parts.policy()
        fixed = frozenset(policy.settings.rights)
        everything = self.authority.administers()

        def fits(line: RightLine) -> bool:
            if not window.has(line.project, line.name):
                return False
            return everything or self.authority.administers(line.project)

        return await pieces.finish(
            window.cut(
                chain(policy.settings.rights, policy.document.rights),
                fits,
                lambda line: show_right(policy, line, fixed=line in fixed),
                # Of a pattern it takes a look at all lines to know who administers it.
                at_a_time=BATCH if everything else 1,
            )
        )

    async def right(self, project: str, kind: Kind, name: str) -> Right:
        """Return one line, the ini's first.

        :raises NotFound: there is none that whoever asks administers.
        """
        policy = await self.parts.policy()
        for lines in (policy.settings.rights, policy.document.rights):
            for line in lines:
                if (line.project, line.kind, line.name) == (project, kind, name):
                    if not self.authority.administers(project):
                        break
                    fixed = lines is policy.settings.rights
                    return show_right(policy, line, fixed=fixed)
        raise NotFound("There is no such line of rights that you administer.")

    async def put_right(
        self,
        project: str,
        kind: Kind,
        name: str,
        grant: Grant,
        required: Required = WHATEVER,
    ) -> Changed:
        """See the interface."""
        project, name = project_or_pattern(project), changes.holder(kind, name)
        return await self._change(
            "rights",
            f"{project}/{kind}/{name}",
            "set a right",
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
        project, name = project_or_pattern(project), changes.holder(kind, name)
        return await self._change(
            "rights",
            f"{project}/{kind}/{name}",
            "removed a right",
            lambda document: self._still_closed(
                changes.remove_right(document, self._ini, project, kind, name)
            ),
            required,
            project=project,
        )

    def _still_closed(self, document: AccessDocument) -> AccessDocument:
        """Return what a document is to be, unless it would open all of the index.

        :raises Forbidden: it would, and whoever asks does not administer all of it.
        """
        if says_nothing(self._ini, document) and not self.authority.administers():
            raise Forbidden(
                "This is the last line of rights: without any, every user may write to "
                "every project. Only an administrator of this index removes it."
            )
        return document

    # -- publishers -----------------------------------------------------------------

    async def publishers(self) -> Sequence[Publisher]:
        """Return those for what whoever asks administers."""
        return await self._publishers.list()

    async def publisher(self, name: str) -> Publisher:
        """See the interface."""
        return await self._publishers.find(name)

    async def put_publisher(
        self, name: str, terms: PublisherTerms, required: Required = WHATEVER
    ) -> Changed:
        """See the interface.

        :raises Forbidden: it is, or would be, for projects that whoever asks does not
            administer.
        """
        return await self._publishers.put(name, terms, required)

    async def remove_publisher(
        self, name: str, required: Required = WHATEVER
    ) -> Changed:
        """See the interface; errors as of :meth:`put_publisher`."""
        return await self._publishers.remove(name, required)

    @property
    def _publishers(self) -> PublisherAdministration:
        return PublisherAdministration(self.parts, self.actor, self.authority)

    # -- exemptions -----------------------------------------------------------------

    async def exemptions(self) -> Sequence[Exempted]:
        """Return those of what whoever asks administers, the ini's first."""
        return await self._exemptions.list()

    async def exemption(self, id: str) -> Exempted:
        """See the interface."""
        return await self._exemptions.find(id)

    async def add_exemption(
        self, new: NewExemption, required: Required = WHATEVER
    ) -> Exempted:
        """See the interface.

        :raises Forbidden: whoever asks does not administer the project.
        """
        return await self._exemptions.add(new, required)

    async def remove_exemption(self, id: str, required: Required = WHATEVER) -> Changed:
        """See the interface; errors as of :meth:`add_exemption`."""
        return await self._exemptions.remove(id, required)

    @property
    def _exemptions(self) -> ExemptionAdministration:
        return ExemptionAdministration(self.parts, self.actor, self.authority)

    # -- tokens ---------------------------------------------------------------------

    async def tokens(
        self, owner: str | None = None, *, everybody: bool = False
    ) -> Sequence[Token]:
        """See the interface."""
        await self.parts.documents.learn()
        return await self._tokens.list(owner, everybody)

    async def find_tokens(self, after: str | None) -> TokensPage:
        """Return a part of everybody's tokens, owner by owner.

        :param after: the cursor of the page before.
        :raises Forbidden: they are an administrator's to see.
        """
        await self.parts.documents.learn()
        return await self._tokens.page(after)

    async def token(self, id: str) -> Token:
        """Return one of those that whoever asks may revoke.

        :raises NotFound: there is none.
        """
        return await self._tokens.one(id)

    async def make_token(self, token: NewToken) -> MadeToken:
        """See the interface."""
        await self.parts.documents.learn(changing=True)
        return await shielded(self._tokens.make(token))

    async def revoke_token(self, id: str) -> Changed:
        """See the interface."""
        return await shielded(self._tokens.revoke(id))

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
        policy = await self.parts.policy()
        if project is None:
            found = tuple(
                show_decision(one)
                for one in explain_all(policy, principal)
                if self._may_hear(policy, one)
            )
        else:
            name = NormalizedName(project_or_pattern(project))
            one = explain(policy, principal, name)
            shown = show_decision if self._may_hear(policy, one) else hide_decision
            found = (shown(one),)
        return RightsOf(principal.name, found)

    def _may_hear(self, policy: Policy, explanation: Explanation) -> bool:
        """Whether whoever asks may hear which lines there are for a project.

        Those may who may do something with it, with this token or another.
        """
        own = self.authority.principal
        if own is None or explanation.allowed or explanation.project == "*":
            return True
        name = NormalizedName(explanation.project)
        return self.authority.administers(name) or any(
            policy.may(own, action, name) for action in GRANTABLE
        )

    async def whoami(self) -> Identity:
        """See the interface."""
        principal = self.authority.principal
        if principal is None:
            raise NotFound("Nobody is logged in where the store itself is worked on.")
        policy = await self.parts.policy()
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

    @property
    def _ini(self) -> AccessSettings:
        return self.parts.settings

    async def _change(
        self,
        part: Part,
        name: str,
        act: str,
        change: Change,
        required: Required,
        *,
        project: str | None = None,
    ) -> Changed:
        record = Act(self.actor, act, project=project)
        return await self.parts.change(
            RecordedChange(part, name, record, change, required)
        )


def _no_user(name: str) -> NotFound:
    return NotFound(f"There is no user {name} here.")
