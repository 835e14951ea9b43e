"""The routes below /api/v1/access/: who may do what, shown and changed over HTTP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from attrs import define
from klein import Klein
from twisted.python.failure import Failure
from twisted.web.resource import Resource

from pypicloud_tw.access.access import Access
from pypicloud_tw.access.administration.administered import Administered
from pypicloud_tw.access.administration.stored import StoredAdministration
from pypicloud_tw.access.administration.values import (
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
    Right,
    RightsOf,
    Token,
    User,
    UserChange,
)
from pypicloud_tw.concurrency.pieces import Pieces
from pypicloud_tw.config.rights import Action, Kind
from pypicloud_tw.web.api.declared import Listed, Routes, text_parameter
from pypicloud_tw.web.api.json_api import (
    parameter,
    read_json,
    required,
    send_changed,
    send_list,
    send_made,
    send_value,
)
from pypicloud_tw.web.api.revealed import RECEIPT, REPORT, RevealedTokens
from pypicloud_tw.web.authorization import authenticate, refuse_other_sites
from pypicloud_tw.web.http.site import Request
from pypicloud_tw.web.requester import Requester

T = TypeVar("T")

_READ = ["GET", "HEAD"]

#: Of what is set, and may have been made.
_MADE = (200, 201)

_BY_ID = "/tokens/<string(length=32):id>"
_EXEMPTION = "/exemptions/<string(length=16):id>"
_RIGHT = "/rights/<project>/<any(user, group):kind>/<name>"

_OWNER = text_parameter("owner", "Whose tokens; of others administrators may ask.")
_EVERYBODY = text_parameter("everybody", "Of all users.", enum=["true", "false"])
_USER = text_parameter("user", "About whom; of others administrators may ask.")
_PROJECT = text_parameter("project", "With which project, or what fits a pattern.")


@define(eq=False)
class AccessApi:
    """Authenticates, judges, reads the request, and calls what does the work.

    What changes something is judged before its body is read.

    :ivar administered: what it is all about.
    :ivar revealed: takes reports of tokens that leaked.
    :ivar pieces: writes what may be long with pauses.
    :ivar answer_failure: answers what a route raised, or what no route takes.
    """

    access: Access
    administered: Administered
    revealed: RevealedTokens
    pieces: Pieces
    answer_failure: Callable[[Request, Failure], bytes]

    router = Klein()
    router.url_map.merge_slashes = False
    routes = Routes("/api/v1/access", router)

    def resource(self) -> Resource:
        """Make the resource of ``/api/v1/access/``."""
        resource: Resource = self.router.resource()
        return resource

    @routes.get("/", Overview, asks=Action.ADMINISTER)
    async def overview(self, request: Request) -> bytes:
        """Tell what holds for all of access."""
        doer = await self._administrator(request)
        found = await doer.overview()
        return send_value(request, found, found.state)

    # -- users ----------------------------------------------------------------------

    @routes.get("/users", Listed(User), asks=Action.ADMINISTER)
    async def users(self, request: Request) -> bytes:
        """List the users."""
        doer = await self._administrator(request)
        return await send_list(request, await doer.users(), self.pieces)

    @routes.get("/users/<name>", User, asks=Action.ADMINISTER)
    async def user(self, request: Request, name: str) -> bytes:
        """Show a user."""
        doer = await self._administrator(request)
        return send_value(request, await doer.user(name), doer.state("users", name))

    @routes.put(
        "/users/<name>",
        Changed,
        asks=Action.ADMINISTER,
        body=NewUser,
        statuses=_MADE,
    )
    async def put_user(self, request: Request, name: str) -> bytes:
        """Make or replace a user."""
        doer, user = await self._with_body(request, NewUser, self._administrator)
        return send_changed(request, await doer.put_user(name, user, required(request)))

    @routes.patch("/users/<name>", Changed, asks=Action.ADMINISTER, body=UserChange)
    async def change_user(self, request: Request, name: str) -> bytes:
        """Change a part of what a user is."""
        doer, change = await self._with_body(request, UserChange, self._administrator)
        changed = await doer.change_user(name, change, required(request))
        return send_changed(request, changed)

    @routes.delete("/users/<name>", Changed, asks=Action.ADMINISTER)
    async def remove_user(self, request: Request, name: str) -> bytes:
        """Remove a user."""
        doer = await self._administrator(request)
        return send_changed(request, await doer.remove_user(name, required(request)))

    # -- groups ---------------------------------------------------------------------

    @routes.get("/groups", Listed(Group), asks=Action.ADMINISTER)
    async def groups(self, request: Request) -> bytes:
        """List the groups."""
        doer = await self._administrator(request)
        return await send_list(request, await doer.groups(), self.pieces)

    @routes.get("/groups/<name>", Group, asks=Action.ADMINISTER)
    async def group(self, request: Request, name: str) -> bytes:
        """Show a group."""
        doer = await self._administrator(request)
        return send_value(request, await doer.group(name), doer.state("groups", name))

    @routes.put(
        "/groups/<name>",
        Changed,
        asks=Action.ADMINISTER,
        body=Members,
        statuses=_MADE,
    )
    async def put_group(self, request: Request, name: str) -> bytes:
        """Make a group, or replace who is in it."""
        doer, members = await self._with_body(request, Members, self._administrator)
        changed = await doer.put_group(name, members, required(request))
        return send_changed(request, changed)

    @routes.delete("/groups/<name>", Changed, asks=Action.ADMINISTER)
    async def remove_group(self, request: Request, name: str) -> bytes:
        """Remove a group."""
        doer = await self._administrator(request)
        return send_changed(request, await doer.remove_group(name, required(request)))

    @routes.put(
        "/groups/<name>/members/<user>",
        Changed,
        asks=Action.ADMINISTER,
        statuses=_MADE,
    )
    async def add_member(self, request: Request, name: str, user: str) -> bytes:
        """Have somebody in a group."""
        doer = await self._administrator(request)
        changed = await doer.add_member(name, user, required(request))
        return send_changed(request, changed)

    @routes.delete("/groups/<name>/members/<user>", Changed, asks=Action.ADMINISTER)
    async def remove_member(self, request: Request, name: str, user: str) -> bytes:
        """Have somebody in a group no more."""
        doer = await self._administrator(request)
        changed = await doer.remove_member(name, user, required(request))
        return send_changed(request, changed)

    # -- rights ---------------------------------------------------------------------

    @routes.get("/rights", Listed(Right), asks=Action.ADMINISTER)
    async def rights(self, request: Request) -> bytes:
        """List the lines of rights that one may change."""
        doer = await self._administrator_of_some(request)
        return await send_list(request, await doer.rights(), self.pieces)

    @routes.put(
        _RIGHT,
        Changed,
        asks=Action.ADMINISTER,
        body=Grant,
        statuses=_MADE,
    )
    async def put_right(
        self, request: Request, project: str, kind: Kind, name: str
    ) -> bytes:
        """Set what somebody may do with a project."""
        doer, grant = await self._with_body(
            request, Grant, lambda request: self._administrator(request, project)
        )
        changed = await doer.put_right(project, kind, name, grant, required(request))
        return send_changed(request, changed)

    @routes.delete(
        _RIGHT,
        Changed,
        asks=Action.ADMINISTER,
    )
    async def remove_right(
        self, request: Request, project: str, kind: Kind, name: str
    ) -> bytes:
        """Remove a line."""
        doer = await self._administrator(request, project)
        changed = await doer.remove_right(project, kind, name, required(request))
        return send_changed(request, changed)

    # -- publishers -----------------------------------------------------------------

    @routes.get("/publishers", Listed(Publisher), asks=Action.ADMINISTER)
    async def publishers(self, request: Request) -> bytes:
        """List the trusted publishers that one may change."""
        doer = await self._administrator_of_some(request)
        return await send_list(request, await doer.publishers(), self.pieces)

    @routes.get("/publishers/<name>", Publisher, asks=Action.ADMINISTER)
    async def publisher(self, request: Request, name: str) -> bytes:
        """Show a trusted publisher."""
        doer = await self._administrator_of_some(request)
        found = await doer.publisher(name)
        return send_value(request, found, doer.state("publishers", name))

    @routes.put(
        "/publishers/<name>",
        Changed,
        asks=Action.ADMINISTER,
        body=PublisherTerms,
        statuses=_MADE,
    )
    async def put_publisher(self, request: Request, name: str) -> bytes:
        """Trust a publisher, or under other terms."""
        doer, terms = await self._with_body(
            request, PublisherTerms, self._administrator_of_some
        )
        changed = await doer.put_publisher(name, terms, required(request))
        return send_changed(request, changed)

    @routes.delete("/publishers/<name>", Changed, asks=Action.ADMINISTER)
    async def remove_publisher(self, request: Request, name: str) -> bytes:
        """Trust a publisher no more."""
        doer = await self._administrator_of_some(request)
        changed = await doer.remove_publisher(name, required(request))
        return send_changed(request, changed)

    # -- exemptions -----------------------------------------------------------------

    @routes.get("/exemptions", Listed(Exempted), asks=Action.ADMINISTER)
    async def exemptions(self, request: Request) -> bytes:
        """List what is exempted from rules for other indexes, as far as one may."""
        doer = await self._administrator_of_some(request)
        return await send_list(request, await doer.exemptions(), self.pieces)

    @routes.post(
        "/exemptions",
        Exempted,
        asks=Action.ADMINISTER,
        body=NewExemption,
        statuses=(201,),
    )
    async def add_exemption(self, request: Request) -> bytes:
        """Exempt a project or versions of it from a rule, until a day."""
        doer, new = await self._with_body(
            request, NewExemption, self._administrator_of_some
        )
        return send_made(request, await doer.add_exemption(new, required(request)))

    @routes.get(_EXEMPTION, Exempted, asks=Action.ADMINISTER)
    async def exemption(self, request: Request, id: str) -> bytes:
        """Show an exemption."""
        doer = await self._administrator_of_some(request)
        found = await doer.exemption(id)
        return send_value(request, found, doer.state("exemptions", id))

    @routes.delete(_EXEMPTION, Changed, asks=Action.ADMINISTER)
    async def remove_exemption(self, request: Request, id: str) -> bytes:
        """Exempt something no more."""
        doer = await self._administrator_of_some(request)
        changed = await doer.remove_exemption(id, required(request))
        return send_changed(request, changed)

    # -- tokens ---------------------------------------------------------------------

    @routes.get("/tokens", Listed(Token), asks="password", query=(_OWNER, _EVERYBODY))
    async def tokens(self, request: Request) -> bytes:
        """List one's own tokens; administrators may ask for others'."""
        doer = await self._signed_in(request)
        owner = parameter(request, "owner")
        everybody = parameter(request, "everybody") == "true"
        tokens = await doer.tokens(owner, everybody=everybody)
        return await send_list(request, tokens, self.pieces)

    @routes.post(
        "/tokens",
        MadeToken,
        asks="password",
        body=NewToken,
        statuses=(201,),
        conditional=False,
    )
    async def make_token(self, request: Request) -> bytes:
        """Make a token."""
        doer, token = await self._with_body(request, NewToken, self._owner)
        return send_made(request, await doer.make_token(token))

    @routes.delete(
        "/tokens/<string(length=32):id>", Changed, asks="password", conditional=False
    )
    async def revoke_token(self, request: Request, id: str) -> bytes:
        """Have a token be worth nothing any more."""
        doer = await self._owner(request)
        return send_changed(request, await doer.revoke_token(id))

    @routes.post("/tokens/revealed", RECEIPT, asks=None, body=REPORT, conditional=False)
    async def tokens_revealed(self, request: Request) -> bytes:
        """Revoke tokens that secret scanners have found."""
        return await self.revealed.take(request)

    # -- what one may do ------------------------------------------------------------

    @routes.get("/rights-of", RightsOf, asks="log-in", query=(_USER, _PROJECT))
    async def rights_of(self, request: Request) -> bytes:
        """Explain what somebody may do; others than oneself to administrators."""
        doer = await self._signed_in(request)
        user, project = parameter(request, "user"), parameter(request, "project")
        return send_value(request, await doer.rights_of(user, project))

    @routes.get("/whoami", Identity, asks="log-in")
    async def whoami(self, request: Request) -> bytes:
        """Tell who asks."""
        doer = await self._signed_in(request)
        return send_value(request, await doer.whoami())

    # -- errors ---------------------------------------------------------------------

    @router.handle_errors(Exception)  # type: ignore[arg-type]  # Site makes our Request
    def failed(self, request: Request, failure: Failure) -> bytes:
        """Answer with an error."""
        return self.answer_failure(request, failure)

    # -- who asks -------------------------------------------------------------------

    async def _with_body(
        self,
        request: Request,
        kind: type[T],
        judge: Callable[[Request], Awaitable[StoredAdministration]],
    ) -> tuple[StoredAdministration, T]:
        """Return what does the work, and what the request's body says.

        Whoever asks is judged before the body is read, and again behind it: it may have
        taken hours to come, and who was no administrator any more could still be one.
        """
        await judge(request)
        value = await read_json(request, kind)
        return await judge(request), value

    async def _signed_in(self, request: Request) -> StoredAdministration:
        """Return what does the work for whoever asks.

        :raises Unauthorized: that is nobody in particular.
        :raises Forbidden: another site's page asks.
        """
        refuse_other_sites(request)
        principal = await authenticate(request, self.access)
        who = Requester.of(request, self.access, principal)
        changes = request.method.decode() not in _READ
        return who.administration(self.administered, changes=changes)

    async def _owner(self, request: Request) -> StoredAdministration:
        """Return the same for whoever may have tokens of their own.

        :raises Forbidden: not the one who asks.
        """
        doer = await self._signed_in(request)
        doer.authority.check_own_tokens()
        return doer

    async def _administrator(
        self, request: Request, *projects: str
    ) -> StoredAdministration:
        """Return the same for whoever administers everything, or these projects.

        :raises Forbidden: not the one who asks.
        """
        doer = await self._signed_in(request)
        doer.authority.check_administers(*projects)
        return doer

    async def _administrator_of_some(self, request: Request) -> StoredAdministration:
        """Return the same for whoever administers anything at all.

        :raises Forbidden: not the one who asks.
        """
        doer = await self._signed_in(request)
        doer.authority.check_administers_some()
        return doer
