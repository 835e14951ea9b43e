"""The pages by which people log in and out."""

from __future__ import annotations

import re
from collections.abc import Awaitable
from urllib.parse import quote

from attrs import evolve, frozen

from pypicloud_tw.access.audit.witness import Witness
from pypicloud_tw.access.oidc.provider import (
    PATIENCE,
    BegunLogIn,
    ProviderAnswer,
    ProviderLogIn,
)
from pypicloud_tw.access.principal import ANONYMOUS
from pypicloud_tw.access.sessions.browser import BrowserLogIn
from pypicloud_tw.access.sessions.login import KIND
from pypicloud_tw.access.sessions.sessions import NewSession
from pypicloud_tw.errors import BadRequest, NotFound, PypicloudError, Unauthorized
from pypicloud_tw.web.answers import measured
from pypicloud_tw.web.authorization import actor_of, authenticate, refuse_other_sites
from pypicloud_tw.web.cookies import (
    PROVIDER,
    drop_cookie,
    read_cookie,
    set_cookie,
)
from pypicloud_tw.web.http.site import Request
from pypicloud_tw.web.pages.door import PageDoor
from pypicloud_tw.web.pages.forms import (
    TOKEN,
    FormDoor,
    check_form,
    form_token,
    read_form,
)
from pypicloud_tw.web.pages.sessions import give_session, shown_session, take_session

#: Bytes of the form of the log-in: a name, a password and an address.
_LONGEST = 32 * 1024

#: Where somebody may be sent after the log-in: a path and a query of ours. What begins
#: with two slashes, or has a backslash, is another server's to browsers.
_PATH = re.compile(r"/(?![/\\])[!-\[\]-~]*")
_LONGEST_PATH = 2048

#: Segments by which browsers leave a folder, and so our part of a host's addresses.
_DOTS = re.compile(r"/(?:\.|%2e){1,2}(?=[/?#]|\Z)", re.IGNORECASE)

#: Characters of a cookie that browsers certainly keep, but for its name.
_LONGEST_COOKIE = 3500

_CALLBACK = "/login/oidc/callback"


@frozen(eq=False)
class LogInPages:
    """Shows the form of the log-in, and takes what comes of it.

    :ivar browser: logs people in and out.
    :ivar witness: makes records of log-ins that are refused.
    """

    door: PageDoor
    browser: BrowserLogIn
    witness: Witness

    async def show(self, request: Request) -> bytes:
        """Answer a GET of the log-in."""
        await self.browser.learn()
        return self._page(request, _next(request))

    async def log_in(self, request: Request) -> bytes:
        """Take a user name and a password."""
        refuse_other_sites(request)
        form = await read_form(request, _LONGEST)
        next = safe_path(request, form.one("next"))
        user = form.one("user")
        try:
            check_form(request, ANONYMOUS, form.one(TOKEN))
            logging_in = self.browser.log_in(
                user,
                form.one("password"),
                actor_of(request, ANONYMOUS),
                shown_session(request),
            )
            return await self._logged_in(request, logging_in, next)
        except PypicloudError as e:
            return self._refuse(request, e, next, user)

    async def show_log_out(self, request: Request) -> bytes:
        """Answer a GET of the log-out."""
        principal = await authenticate(request, self.door.access)
        is_session = principal.proof.kind == KIND
        return self.door.send_once(
            request,
            "logout",
            self.door.visitor(request, principal),
            token=form_token(request, principal) if is_session else None,
        )

    async def log_out(self, request: Request) -> bytes:
        """End the session of whoever asks for it by a form of our pages."""
        form_door = FormDoor(self.door.access)
        principal, _ = await form_door.open(request)
        text = shown_session(request)
        if text is not None:
            actor = actor_of(request, principal)
            await self.browser.log_out(text, principal, actor)
            take_session(request)
        return see_other(request, f"{request.origin.prefix}/")

    async def oidc_begin(self, request: Request) -> bytes:
        """Send somebody to the provider."""
        provider = self._provider()
        next = _next(request)
        try:
            url, begun = await provider.begin(_callback(request), next)
        except PypicloudError as e:
            return self._refuse(request, e, next)
        if len(begun.text) > _LONGEST_COOKIE:
            begun = evolve(begun, next=f"{request.origin.prefix}/")
        # Lax: the provider sends the browser back from another site.
        set_cookie(request, PROVIDER, begun.text, "Lax", PATIENCE)
        return see_other(request, url)

    async def oidc_callback(self, request: Request) -> bytes:
        """Take whom the provider sends back."""
        provider = self._provider()
        kept = read_cookie(request, PROVIDER)
        begun = None if kept is None else BegunLogIn.read(kept)
        drop_cookie(request, PROVIDER, "Lax")
        # The cookie is the browser's, which may be lied to.
        next = safe_path(request, "" if begun is None else begun.next)
        actor = actor_of(request, ANONYMOUS)
        try:
            user = await provider.finish(
                begun, _answer(request), _callback(request), request.client_address
            )
            logging_in = self.browser.log_in_by_provider(
                user, actor, shown_session(request)
            )
            return await self._logged_in(request, logging_in, next)
        except PypicloudError as e:
            return self._refuse(request, e, next)

    async def _logged_in(
        self, request: Request, logging_in: Awaitable[NewSession], next: str
    ) -> bytes:
        new = await logging_in
        request.principal_name = new.record.user.name.encode()
        give_session(request, new)
        return see_other(request, next)

    def _refuse(
        self, request: Request, error: PypicloudError, next: str, user: str = ""
    ) -> bytes:
        """Show the form again, with what is wrong.

        Never by a 401: browsers would ask for a password in a box of their own.
        """
        actor = actor_of(request, ANONYMOUS)
        self.witness.note(error, actor, changes=False)
        status = 403 if isinstance(error, Unauthorized) else error.status
        request.set_status(status, error.message)
        for name, value in error.headers.items():
            if name != "WWW-Authenticate":
                request.setHeader(name.encode(), value.encode())
        return self._page(request, next, error.message, user)

    def _page(
        self, request: Request, next: str, problem: str | None = None, user: str = ""
    ) -> bytes:
        provider = self.browser.provider
        prefix = request.origin.prefix
        return self.door.send_once(
            request,
            "login",
            self.door.visitor(request, ANONYMOUS),
            token=form_token(request, ANONYMOUS),
            next=next,
            problem=problem,
            user=user,
            by_password=self.browser.users_exist(),
            provider=None if provider is None else provider.title,
            provider_address=f"{prefix}/login/oidc?next={quote(next, safe='/')}",
        )

    def _provider(self) -> ProviderLogIn:
        if self.browser.provider is None:
            raise NotFound("Nobody logs in by a provider here (oidc_login.issuer).")
        return self.browser.provider


def log_in_address(request: Request) -> str:
    """Return the log-in's address for whoever must log in to see what was asked for."""
    asked = _asked(request)
    next = safe_path(request, f"{request.origin.prefix}{asked}")
    return f"{request.origin.prefix}/login?next={quote(next, safe='/')}"


def _asked(request: Request) -> str:
    """Return the path of the page that somebody wants to see; with a form, that of it.

    What a form asked for is not done by going to its address again.
    """
    if request.method in (b"GET", b"HEAD"):
        return request.uri.decode("latin-1")
    page = (request.getHeader(b"Referer") or b"").decode("latin-1")
    base = request.origin.base_url.rstrip("/")
    return page.removeprefix(base) if page.startswith(f"{base}/") else "/"


def safe_path(request: Request, text: str) -> str:
    """Return a path of ours that somebody may be sent to; the root if it is none.

    :param text: as it came; anybody may have written it.
    """
    prefix = request.origin.prefix
    path = re.split("[?#]", text, maxsplit=1)[0]
    is_ours = text.startswith(f"{prefix}/") and _DOTS.search(path) is None
    if is_ours and len(text) <= _LONGEST_PATH and _PATH.fullmatch(text):
        return text
    return f"{prefix}/"


def see_other(request: Request, address: str) -> bytes:
    """Have a browser ask for another page (RFC 9110, section 15.4.4)."""
    request.setResponseCode(303)
    request.setHeader(b"Location", address.encode("ascii"))
    request.setHeader(b"Cache-Control", b"no-store")
    return measured(request, b"")


def _next(request: Request) -> str:
    return safe_path(request, _parameter(request, b"next") or "")


def _parameter(request: Request, name: bytes) -> str | None:
    values = request.args.get(name, [])
    if len(values) > 1:
        raise BadRequest(f"The address has {name.decode()} more than once.")
    return values[0].decode("utf-8", "replace") if values else None


def _answer(request: Request) -> ProviderAnswer:
    return ProviderAnswer(
        _parameter(request, b"state") or "",
        _parameter(request, b"code") or "",
        _parameter(request, b"iss"),
        _parameter(request, b"error"),
    )


def _callback(request: Request) -> str:
    return f"{request.origin.base_url}{_CALLBACK}"
