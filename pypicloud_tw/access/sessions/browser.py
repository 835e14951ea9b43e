"""People who log in and out, in a browser: one place for it, whatever the way."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from types import MappingProxyType

from attrs import define, evolve
from twisted.logger import Logger

from pypicloud_tw.access.access import Access
from pypicloud_tw.access.audit.witness import LogInFailedError
from pypicloud_tw.access.basic import CONTROL
from pypicloud_tw.access.oidc.provider import ProviderLogIn, ProvidersUser
from pypicloud_tw.access.principal import Credentials, Principal
from pypicloud_tw.access.sessions.accounts import PROVIDER, Accounts
from pypicloud_tw.access.sessions.login import KIND
from pypicloud_tw.access.sessions.records import SessionUser
from pypicloud_tw.access.sessions.sessions import NewSession, Sessions
from pypicloud_tw.access.sessions.text import SessionText
from pypicloud_tw.access.tokens.shown import shows_token
from pypicloud_tw.errors import Forbidden, StoreError, Unauthorized, Unavailable
from pypicloud_tw.index.audit import Act, Actor, Audit, Proof

#: Characters of a password, as of those that clients send.
_LONGEST_USER, _LONGEST_PASSWORD = 256, 4096


@define(eq=False)
class BrowserLogIn:
    """Logs people in and out, in a browser.

    :ivar audit: takes a record of each.
    :ivar users_exist: whether anybody can log in by a password.
    :ivar provider: None: nobody logs in by one.
    """

    access: Access
    sessions: Sessions
    accounts: Accounts
    audit: Audit
    users_exist: Callable[[], bool]
    provider: ProviderLogIn | None = None
    _log = Logger()

    @property
    def can_log_in(self) -> bool:
        """Whether anybody can."""
        return self.provider is not None or self.users_exist()

    async def log_in(
        self,
        user: str,
        password: str,
        actor: Actor,
        former: SessionText | None = None,
    ) -> NewSession:
        """Begin a session of somebody who knows a password.

        :param actor: whence it comes.
        :param former: the session that the browser has had, which ends.
        :raises Unauthorized: the user name or the password is wrong.
        :raises TooManyRequests: too many wrong passwords lately.
        :raises Forbidden: there is no user at all.
        :raises Unavailable: it cannot be found out, or nothing may be written now.
        """
        await self.learn()
        credentials = _shown(user, password, actor)
        principal = await self.access.authenticate(credentials)
        if principal.name is None:
            raise Forbidden("Nobody can log in by a password here yet.")
        return await self._begin(self.accounts.by_password(principal), actor, former)

    async def log_in_by_provider(
        self, user: ProvidersUser, actor: Actor, former: SessionText | None = None
    ) -> NewSession:
        """Begin a session of somebody who has logged in at the provider.

        Errors and parameters as of :meth:`log_in`.

        :raises Forbidden: the name is that of a user here.
        """
        await self.access.learn()  # or it is not known whose name it is
        return await self._begin(self._provided(user), actor, former)

    def _provided(self, user: ProvidersUser) -> SessionUser:
        owner_id: str | None = PROVIDER
        if self.accounts.is_taken(user.name):
            assert self.provider is not None, "it has named the user"
            serves = self.provider.settings.service_accounts
            if not serves or self.accounts.has_password(user.name):
                self._log.warn(
                    "The provider names a user {name!r}, who is one here, and is not "
                    "let in: see oidc_login.service_accounts.",
                    name=user.name,
                )
                raise Forbidden(
                    "There is a user of your name here whom the provider does not log "
                    "in: log in by the password, or ask the administrators."
                )
            owner_id = self.accounts.owners(user.name)
        proof = {"by": "oidc", "issuer": user.issuer, "subject": user.subject}
        return SessionUser(
            user.name,
            owner_id or "",
            groups=user.groups,
            proof=MappingProxyType(proof),
        )

    async def log_out(
        self, text: SessionText, principal: Principal, actor: Actor
    ) -> None:
        """End a session.

        :param principal: whose it is.
        :raises Unavailable: nothing may be written now, or the store is away.
        """
        if await self.sessions.end(text):
            who = evolve(actor, name=principal.name, proof=principal.proof)
            self.audit(Act(who, "logged-out"))

    async def _begin(
        self, user: SessionUser, actor: Actor, former: SessionText | None
    ) -> NewSession:
        new = await self.sessions.begin(user)
        if former is not None:
            with suppress(StoreError):
                await self.sessions.end(former)
        proof = Proof(KIND, {**user.proof, "id": new.text.id})
        self.audit(Act(evolve(actor, name=user.name, proof=proof), "logged-in"))
        return new

    async def learn(self) -> None:
        """Find out whom administrators know.

        While it is not known whom administrators know, the others can log in."""
        with suppress(Unavailable):
            await self.access.learn()


def _shown(user: str, password: str, actor: Actor) -> Credentials:
    """Write a user name and a password as clients send them.

    :raises Unauthorized: they are no such things.
    """
    login = f"{user}:{password}"
    header = b"Basic " + b64encode(login.encode("utf-8", "surrogatepass"))
    credentials = Credentials(header, actor.address or "")
    if shows_token(header):
        raise Unauthorized(
            "A token is for programs: log in by your password."
        ) from LogInFailedError(credentials)
    if (
        not 0 < len(user) <= _LONGEST_USER
        or not 0 < len(password) <= _LONGEST_PASSWORD
        or ":" in user
        or CONTROL.search(login)
    ):
        raise Unauthorized("The user name or the password is wrong.")
    return credentials
