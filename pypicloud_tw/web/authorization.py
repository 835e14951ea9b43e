"""Who asks, and whether they may: one rule for every request, warm pages included."""

from __future__ import annotations

from pypicloud_tw.access.access import Access
from pypicloud_tw.access.policy import refuse_cross_site
from pypicloud_tw.access.principal import ANONYMOUS, Credentials, Principal
from pypicloud_tw.config.rights import Action
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.web.http.site import Request


def authorize_at_once(
    request: Request,
    access: Access,
    action: Action,
    project: NormalizedName | None,
) -> Principal | None:
    """Decide, unless a password must be checked first: then return None.

    :param project: None for what belongs to no project.
    :raises Unauthorized: a log-in would help.
    :raises Forbidden: it would not.
    """
    # What everyone may read is not refused to a client with a stale password.
    if action is Action.READ and access.policy.may(ANONYMOUS, action, project):
        return ANONYMOUS
    principal = access.recall(credentials(request))
    if principal is not None:
        _name_in_log(request, principal)
        access.policy.check(principal, action, project)
    return principal


async def authorize(
    request: Request,
    access: Access,
    action: Action,
    project: NormalizedName | None,
) -> Principal:
    """Decide, and check the password if need be.

    :raises Unauthorized: a log-in, or another password, would help.
    :raises Forbidden: it would not.
    :raises TooManyRequests: too many wrong passwords lately.
    :raises Unavailable: too many log-ins at this moment.
    """
    principal = authorize_at_once(request, access, action, project)
    if principal is None:
        principal = await authenticate(request, access)
        access.policy.check(principal, action, project)
    return principal


async def authenticate(request: Request, access: Access) -> Principal:
    """Find out who asks; parameters and errors as of :func:`authorize`."""
    principal = await access.authenticate(credentials(request))
    _name_in_log(request, principal)
    return principal


def credentials(request: Request) -> Credentials:
    """Collect what a request brings along to say who makes it."""
    identity = request.identity
    return Credentials(
        request.getHeader(b"Authorization"),
        request.client_address,
        None if identity is None else identity.user,
        None if identity is None else identity.groups,
        request.certificate,
    )


def refuse_other_sites(request: Request) -> None:
    """Refuse a change that another site's page made a browser ask for.

    :raises Forbidden: it is one.
    """
    refuse_cross_site(
        request.method.decode(),
        origin=_text(request.getHeader(b"Origin")),
        sec_fetch_site=_text(request.getHeader(b"Sec-Fetch-Site")),
        own_origin=request.origin.base_url,
    )


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")


def _name_in_log(request: Request, principal: Principal) -> None:
    name = principal.name or principal.publisher
    if name is not None:
        request.principal_name = name.encode()
