"""Who may do what, asked and changed through a server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import frozen

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
    Publisher,
    PublisherTerms,
    Required,
    Right,
    RightsOf,
    Token,
    User,
    UserChange,
)
from pypicloud_tw.client.api import Answer, ApiClient, check_path
from pypicloud_tw.config.rights import Kind

_ACCESS = "access"


@frozen
class RemoteAdministration:
    """See :class:`~.interface.AccessAdministration`; each method is one request."""

    client: ApiClient

    async def users(self) -> Sequence[User]:
        """See the interface."""
        return (await self._get("users")).items(User)

    async def user(self, name: str) -> User:
        """See the interface."""
        return (await self._get("users", name)).read(User)

    async def put_user(
        self, name: str, user: NewUser, required: Required = WHATEVER
    ) -> Changed:
        """See the interface."""
        return await self._change("PUT", "users", name, required=required, value=user)

    async def change_user(
        self, name: str, change: UserChange, required: Required = WHATEVER
    ) -> Changed:
        """See the interface."""
        return await self._change(
            "PATCH", "users", name, required=required, value=change
        )

    async def remove_user(self, name: str, required: Required = WHATEVER) -> Changed:
        """See the interface."""
        return await self._change("DELETE", "users", name, required=required)

    async def groups(self) -> Sequence[Group]:
        """See the interface."""
        return (await self._get("groups")).items(Group)

    async def group(self, name: str) -> Group:
        """See the interface."""
        return (await self._get("groups", name)).read(Group)

    async def put_group(
        self, name: str, members: Members, required: Required = WHATEVER
    ) -> Changed:
        """See the interface."""
        return await self._change(
            "PUT", "groups", name, required=required, value=members
        )

    async def remove_group(self, name: str, required: Required = WHATEVER) -> Changed:
        """See the interface."""
        return await self._change("DELETE", "groups", name, required=required)

    async def add_member(
        self, group: str, user: str, required: Required = WHATEVER
    ) -> Changed:
        """See the interface."""
        return await self._change(
            "PUT", "groups", group, "members", user, required=required
        )

    async def remove_member(
        self, group: str, user: str, required: Required = WHATEVER
    ) -> Changed:
        """See the interface."""
        return await self._change(
            "DELETE", "groups", group, "members", user, required=required
        )

    async def rights(self) -> Sequence[Right]:
        """See the interface."""
        return (await self._get("rights")).items(Right)

    async def put_right(
        self,
        project: str,
        kind: Kind,
        name: str,
        grant: Grant,
        required: Required = WHATEVER,
    ) -> Changed:
        """See the interface."""
        return await self._change(
            "PUT", "rights", project, kind, name, required=required, value=grant
        )

    async def remove_right(
        self, project: str, kind: Kind, name: str, required: Required = WHATEVER
    ) -> Changed:
        """See the interface."""
        return await self._change(
            "DELETE", "rights", project, kind, name, required=required
        )

    async def publishers(self) -> Sequence[Publisher]:
        """See the interface."""
        return (await self._get("publishers")).items(Publisher)

    async def publisher(self, name: str) -> Publisher:
        """See the interface."""
        return (await self._get("publishers", name)).read(Publisher)

    async def put_publisher(
        self, name: str, terms: PublisherTerms, required: Required = WHATEVER
    ) -> Changed:
        """See the interface."""
        return await self._change(
            "PUT", "publishers", name, required=required, value=terms
        )

    async def remove_publisher(
        self, name: str, required: Required = WHATEVER
    ) -> Changed:
        """See the interface."""
        return await self._change("DELETE", "publishers", name, required=required)

    async def exemptions(self) -> Sequence[Exempted]:
        """See the interface."""
        return (await self._get("exemptions")).items(Exempted)

    async def exemption(self, id: str) -> Exempted:
        """See the interface."""
        return (await self._get("exemptions", id)).read(Exempted)

    async def add_exemption(
        self, new: NewExemption, required: Required = WHATEVER
    ) -> Exempted:
        """See the interface."""
        answer = await self.client.ask(
            "POST", _ACCESS, "exemptions", value=new, required=required
        )
        return answer.read(Exempted)

    async def remove_exemption(self, id: str, required: Required = WHATEVER) -> Changed:
        """See the interface."""
        return await self._change("DELETE", "exemptions", id, required=required)

    async def tokens(
        self, owner: str | None = None, *, everybody: bool = False
    ) -> Sequence[Token]:
        """See the interface."""
        return (
            await self._get(
                "tokens",
                query={"owner": owner, "everybody": "true" if everybody else None},
            )
        ).items(Token)

    async def make_token(self, token: NewToken) -> MadeToken:
        """See the interface."""
        answer = await self.client.ask("POST", _ACCESS, "tokens", value=token)
        return answer.read(MadeToken)

    async def revoke_token(self, id: str) -> Changed:
        """See the interface."""
        return await self._change("DELETE", "tokens", id)

    async def rights_of(
        self, user: str | None = None, project: str | None = None
    ) -> RightsOf:
        """See the interface."""
        return (
            await self._get("rights-of", query={"user": user, "project": project})
        ).read(RightsOf)

    async def whoami(self) -> Identity:
        """See the interface."""
        return (await self._get("whoami")).read(Identity)

    async def _get(
        self, *path: str, query: Mapping[str, str | None] | None = None
    ) -> Answer:
        check_path(path)
        return await self.client.ask("GET", _ACCESS, *path, query=query)

    async def _change(
        self,
        method: str,
        *path: str,
        required: Required = WHATEVER,
        value: object = None,
    ) -> Changed:
        check_path(path)
        answer = await self.client.ask(
            method, _ACCESS, *path, value=value, required=required
        )
        return answer.read(Changed)
