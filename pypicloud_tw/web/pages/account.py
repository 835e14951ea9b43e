"""The account: who somebody is here, their tokens, and their password."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from attrs import define, frozen
from klein import Klein
from twisted.python.failure import Failure
from twisted.web.resource import Resource

from pypicloud_tw.access.administration.administered import Administered
from pypicloud_tw.access.administration.stored import StoredAdministration
from pypicloud_tw.access.administration.values import (
    Decision,
    NewToken,
    Required,
    UserChange,
)
from pypicloud_tw.access.principal import Principal
from pypicloud_tw.access.sessions.login import KIND
from pypicloud_tw.access.tokens.tokens import LONGEST_DESCRIPTION
from pypicloud_tw.config.rights import GRANTABLE, Action
from pypicloud_tw.errors import BadRequest, Forbidden, NotFound, Unauthorized
from pypicloud_tw.web.api.json_api import parameter
from pypicloud_tw.web.http.site import Request
from pypicloud_tw.web.pages.acting import ActDoor, Visit
from pypicloud_tw.web.pages.paging import Listing
from pypicloud_tw.web.pages.setups import setup_for
from pypicloud_tw.web.requester import Requester

_READ = ["GET", "HEAD"]

_DAY = 86400

#: Names and patterns that are shown of what somebody may do.
MOST_NAMES = 100

#: What is ticked in the form of a new token, by what its link says it is for.
PRESETS: Mapping[str, frozenset[Action]] = {
    "ci": frozenset({Action.UPLOAD}),
    "reading": frozenset({Action.READ}),
}


@frozen
class Allowed:
    """What somebody may do.

    :ivar action: as rights have it.
    :ivar projects: names and patterns, the more specific ones first.
    :ivar more: how many others there are.
    """

    action: Action
    projects: Sequence[str]
    more: int = 0


@define(eq=False)
class AccountPages:
    """Shows people who they are, and takes their forms.

    :ivar answer_failure: answers what a route raised, or what no route takes.
    """

    door: ActDoor
    administered: Administered
    answer_failure: Callable[[Request, Failure], bytes]

    router = Klein()
    router.url_map.merge_slashes = False

    def resource(self) -> Resource:
        """Make the resource of ``/account/``."""
        resource: Resource = self.router.resource()
        return resource

    @router.route("/", methods=_READ)
    async def account(self, request: Request) -> bytes:
        """Show who somebody is, and their tokens."""
        visitor = await self.door.door.admit_by(request, _check_known)
        return await self._show(self.door.visit(request, visitor))

    @router.route("/tokens", methods=["POST"])
    async def make_token(self, request: Request) -> bytes:
        """Make a token, which is shown once."""
        return await self.door.act(request, _judge_owner, self._make, self._show)

    @router.route("/tokens/revoke", methods=["POST"])
    async def revoke_token(self, request: Request) -> bytes:
        """Have a token be worth nothing any more."""
        return await self.door.act(request, _judge_owner, self._revoke, self._show)

    @router.route("/password", methods=["POST"])
    async def set_password(self, request: Request) -> bytes:
        """Set one's own password."""
        return await self.door.act(
            request, _judge_administrator, self._set_password, self._show
        )

    @router.handle_errors(Exception)  # type: ignore[arg-type]  # Site makes our Request
    def failed(self, request: Request, failure: Failure) -> bytes:
        """Answer with an error."""
        return self.answer_failure(request, failure)

    # -- acts -------------------------------------------------------------------------

    async def _make(self, visit: Visit) -> bytes:
        doer = self._doer(visit, changes=True)
        new = self._new_token(visit)
        made = await doer.make_token(new)
        return self.door.send(
            visit,
            "account/token",
            made=made,
            new=new,
            setup=setup_for(visit.visitor),
        )

    def _new_token(self, visit: Visit) -> NewToken:
        return NewToken(
            visit.typed("description"),
            None if visit.typed("all") else _actions(visit),
            visit.words("projects") or None,
            _days(visit.typed("days")) * _DAY,
        )

    async def _revoke(self, visit: Visit) -> str:
        await self._doer(visit, changes=True).revoke_token(visit.typed("id"))
        return "account/?done=revoked"

    async def _set_password(self, visit: Visit) -> str:
        doer = self._doer(visit, changes=True)
        name = visit.who.authority.principal.name
        password = visit.form.one("password")
        if password != visit.form.one("again"):
            raise BadRequest("The two passwords are not the same: type them again.")
        await doer.change_user(name or "", UserChange(password), Required(present=True))
        # Sessions end with the password that they began with.
        return "login?next=" + f"{visit.visitor.root}account/"

    # -- the page ---------------------------------------------------------------------

    async def _show(self, visit: Visit) -> bytes:
        doer = self._doer(visit, changes=False)
        identity = await doer.whoami()
        rights = await doer.rights_of()
        has_tokens = _may(visit.who, _judge_owner)
        tokens = list(await doer.tokens()) if has_tokens else []
        tokens.sort(key=lambda one: (one.revoked, -one.created.timestamp()))
        book = self.administered.tokens
        is_session = visit.who.authority.principal.proof.kind == KIND
        return self.door.send(
            visit,
            "account/account",
            identity=identity,
            allowed=_allowed(rights.decisions),
            has_tokens=has_tokens,
            tokens=Listing.of(visit, tokens),
            now=datetime.fromtimestamp(book.clock.seconds(), UTC),
            preset=_preset(visit),
            grantable=GRANTABLE,
            days=round(min(book.life, book.max_life) / _DAY) or 1,
            most_days=max(1, int(book.max_life // _DAY)),
            longest=LONGEST_DESCRIPTION,
            is_session=is_session,
            has_password=await self._has_password(visit, doer),
        )

    async def _has_password(self, visit: Visit, doer: StoredAdministration) -> bool:
        """Tell whether somebody's password can be set here, by themselves."""
        name = visit.who.authority.principal.name
        if name is None or not _may(visit.who, _judge_administrator):
            return False
        try:
            return not (await doer.user(name)).fixed
        except NotFound:
            return False  # another directory knows them

    def _doer(self, visit: Visit, *, changes: bool) -> StoredAdministration:
        return visit.who.administration(self.administered, changes=changes)


@frozen
class Preset:
    """What stands in the form of a new token.

    :ivar everything: it is for all that its owner may.
    """

    description: str
    actions: frozenset[str]
    projects: str
    everything: bool


def _preset(visit: Visit) -> Preset:
    """Return what was typed, or what a link to the form says."""
    if visit.problem:
        return Preset(
            visit.typed("description"),
            frozenset(visit.form.all("actions")),
            visit.form.one("projects"),
            bool(visit.typed("all")),
        )
    wanted = parameter(visit.request, "for") or "ci"
    projects = (parameter(visit.request, "project") or "")[:100]
    actions = PRESETS.get(wanted, PRESETS["ci"])
    description = "CI" if actions == PRESETS["ci"] else "Installs"
    ticked = frozenset(one.value for one in actions)
    return Preset(description, ticked, projects, everything=False)


def _allowed(decisions: Sequence[Decision]) -> Sequence[Allowed]:
    """Tell for each action with which projects it is allowed."""
    found: dict[Action, list[str]] = {}
    for decision in decisions:
        for verdict in decision.verdicts:
            if verdict.allowed:
                found.setdefault(verdict.action, []).append(decision.project)
    return [
        Allowed(action, names[:MOST_NAMES], max(0, len(names) - MOST_NAMES))
        for action, names in ((one, found.get(one, [])) for one in Action)
        if names
    ]


def _actions(visit: Visit) -> frozenset[Action]:
    """Return the actions that were ticked.

    :raises BadRequest: there is none, or one that cannot be given.
    """
    ticked = visit.ticked()
    if not ticked:
        raise BadRequest("Tick what the token is for.")
    return ticked


def _days(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 6 and int(text)):
        raise BadRequest("Say for how many days the token is to live.")
    return int(text)


def _judge_owner(who: Requester) -> None:
    """Let those pass who may have tokens, by this log-in."""
    _check_known(who.authority.principal)
    who.authority.check_own_tokens()


def _judge_administrator(who: Requester) -> None:
    """Let those pass who may change users."""
    _check_known(who.authority.principal)
    who.authority.check_administers()


def _check_known(principal: Principal) -> None:
    if principal.anonymous:
        raise Unauthorized("Log in with a user name and password.")


def _may(who: Requester, judge: Callable[[Requester], None]) -> bool:
    try:
        judge(who)
    except Forbidden:
        return False
    return True
