"""The way in to every page for people, and the way out: who looks, and what is sent."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256

from attrs import frozen

from pypicloud_tw.access.access import Access
from pypicloud_tw.access.administration.authority import PrincipalAuthority
from pypicloud_tw.access.principal import Principal
from pypicloud_tw.access.sessions.browser import BrowserLogIn
from pypicloud_tw.access.sessions.login import KIND
from pypicloud_tw.config.rights import Action
from pypicloud_tw.errors import Unavailable
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.web.answers import measured, set_html
from pypicloud_tw.web.authorization import (
    authenticate,
    authorize_home,
    authorize_reader,
    reading,
    uploads,
)
from pypicloud_tw.web.http.conditions import is_known
from pypicloud_tw.web.http.site import Request
from pypicloud_tw.web.pages.sessions import renew_session
from pypicloud_tw.web.pages.templating import Templates
from pypicloud_tw.web.pages.visitor import Visitor


@frozen(eq=False)
class PageDoor:
    """Lets visitors in, and sends pages to them.

    :ivar browser: logs people in; None: nobody can.
    """

    access: Access
    templates: Templates
    browser: BrowserLogIn | None = None

    async def admit(self, request: Request) -> Visitor:
        """Let somebody in who may read some of the index.

        :raises PypicloudError: as of :func:`.authorize_home`.
        """
        principal = await authorize_home(request, self.access)
        await self._renew(request, principal)
        return self.visitor(request, principal)

    async def admit_to(
        self, request: Request, project: NormalizedName, action: Action = Action.READ
    ) -> Visitor:
        """Let somebody in who may do something with a project.

        :raises PypicloudError: as of :func:`.authorize_reader`.
        """
        if action is Action.READ:
            principal = await authorize_reader(request, self.access, project)
        else:
            await self.access.learn()
            principal = await authenticate(request, self.access)
            self.access.check(principal, action, project)
        await self._renew(request, principal)
        return self.visitor(request, principal)

    async def admit_by(
        self, request: Request, judge: Callable[[Principal], None]
    ) -> Visitor:
        """Let somebody in by a rule that is the page's own.

        :param judge: raises the error for whoever must not come in.
        """
        with suppress(Unavailable):  # what needs the rules learns them again
            await self.access.learn()
        principal = await authenticate(request, self.access)
        judge(principal)
        await self._renew(request, principal)
        return self.visitor(request, principal)

    async def find(self, request: Request) -> Principal:
        """Find out who asks for a page that judges by itself who may see it.

        :raises PypicloudError: as of :func:`.authenticate`.
        """
        principal = await authenticate(request, self.access)
        await self._renew(request, principal)
        return principal

    async def _renew(self, request: Request, principal: Principal) -> None:
        if self.browser is not None and principal.proof.kind == KIND:
            await renew_session(request, self.browser.sessions)

    def visitor(self, request: Request, principal: Principal) -> Visitor:
        """Describe who looks at a page."""
        policy, origin = self.access.policy, request.origin
        return Visitor(
            origin.base_url.rstrip("/"),
            f"{origin.prefix}/",
            principal,
            reading=reading(self.access, principal),
            uploads=uploads(self.access, principal),
            read_only=self.access.read_only,
            manages=policy.may_any(principal, Action.MANAGE),
            administers=policy.may_any(principal, Action.ADMINISTER),
            can_log_in=self.browser is not None and self.browser.can_log_in,
        )

    def authority(self, visitor: Visitor) -> PrincipalAuthority:
        """Return what says what a visitor may see and do."""
        return PrincipalAuthority(self.access, visitor.principal)

    def send(
        self, request: Request, name: str, visitor: Visitor, /, **values: object
    ) -> bytes:
        """Answer with a page that has no form that changes anything.

        :param name: of its template; *values* are what that shows.
        """
        page = self.templates.render(name, visitor, **values)
        set_html(request)
        etag = b'"%b"' % sha256(page).hexdigest()[:32].encode()
        request.setHeader(b"ETag", etag)
        request.setHeader(b"Vary", b"Authorization, Cookie")
        if is_known(request, etag, None):
            request.setResponseCode(304)
            return b""
        return measured(request, page)

    def send_once(
        self, request: Request, name: str, visitor: Visitor, /, **values: object
    ) -> bytes:
        """Answer with a page that nobody keeps: it has forms, or tells of secrets.

        Parameters as of :meth:`send`.
        """
        page = self.templates.render(name, visitor, **values)
        set_html(request)
        request.setHeader(b"Cache-Control", b"no-store, private")
        return measured(request, page)
