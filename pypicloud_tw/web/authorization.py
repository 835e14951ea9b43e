"""Who asks, and whether they may: one rule for every request, warm pages included."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from pypicloud_tw.access.access import Access
from pypicloud_tw.access.audit.witness import LogInFailedError
from pypicloud_tw.access.cross_site import refuse_cross_site
from pypicloud_tw.access.principal import ANONYMOUS, Credentials, Principal
from pypicloud_tw.config.rights import Action
from pypicloud_tw.errors import PypicloudError, Unauthorized, Unavailable
from pypicloud_tw.index.audit import Actor
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.web.cookies import SESSION, read_cookie
from pypicloud_tw.web.http.site import Request
from pypicloud_tw.web.last_login import recall_login
from pypicloud_tw.web.pages.visitor import Reading, Uploads

# To look it up in the enumeration costs as much as the answer.
_READ = Action.READ

#: Methods by which nothing is changed, and pages are asked for.
_READING = (b"GET", b"HEAD")

#: Characters of a record's fields that clients choose; pip's user agent has some 600.
_MAX_ADDRESS, _MAX_AGENT = 64, 1024


def authorize_at_once(
    request: Request,
    access: Access,
    action: Action,
    project: NormalizedName | None,
) -> Principal | None:
    """Decide, unless a password or the rules must be looked at first: return None.

    :param project: None for what belongs to no project.
    :raises Unauthorized: a log-in would help.
    :raises Forbidden: it would not.
    """
    return _decide(request, access, action, project) if access.fresh else None


def _decide(
    request: Request,
    access: Access,
    action: Action,
    project: NormalizedName | None,
) -> Principal | None:
    def recall() -> Principal | None:
        principal = _recall(request, access)
        if principal is not None:
            _name_in_log(request, principal)
        return principal

    return decide(access, action, project, recall)


def decide(
    access: Access,
    action: Action,
    project: NormalizedName | None,
    recall: Callable[[], Principal | None],
) -> Principal | None:
    """Decide by what is known; parameters and errors as of :func:`authorize_at_once`.

    :param recall: returns at once who asks; None: that takes a check.
    :returns: None: it does.
    """
    # What everyone may read is not refused to a client with a stale password.
    if action is _READ and access.policy.anyone_reads(project):
        return ANONYMOUS
    principal = recall()
    if principal is not None:
        access.check(principal, action, project)
    return principal


def _recall(request: Request, access: Access) -> Principal | None:
    """Return at once who asks; None if that takes a check."""
    authorization = request.getHeader(b"Authorization")
    connection = request.connection
    if authorization is None or connection is None:
        return access.recall(credentials(request))
    return recall_login(
        connection,
        authorization,
        request.client_address,
        access,
        lambda: credentials(request),
    )


async def authorize(
    request: Request,
    access: Access,
    action: Action,
    project: NormalizedName | None,
) -> Principal:
    """Decide, and find out what the rules are and check the password if need be.

    :raises Unauthorized: a log-in, or another password, would help.
    :raises Forbidden: it would not.
    :raises TooManyRequests: too many wrong passwords lately.
    :raises Unavailable: too many log-ins at this moment, or the rules are not known.
    """
    await access.learn(changing=action is not Action.READ)
    try:
        principal = _decide(request, access, action, project)
    except Unauthorized as e:
        if isinstance(e.__cause__, LogInFailedError):
            access.count_login(e.__cause__.kind, e.code)
        raise
    if principal is None:
        principal = await _authenticate(request, access)
        access.check(principal, action, project)
    return principal


async def authorize_reader(
    request: Request, access: Access, project: NormalizedName
) -> Principal:
    """Decide whether a project may be read, and find out by whom.

    What is shown depends on who that is, even where anybody may read.

    :raises PypicloudError: as of :func:`authorize`.
    """
    await access.learn()
    try:
        principal = await _authenticate(request, access)
    except PypicloudError:
        if access.policy.anyone_reads(project):
            return ANONYMOUS  # a stale password does not close what is open
        raise
    access.check(principal, _READ, project)
    return principal


async def authorize_list(request: Request, access: Access) -> Principal:
    """Find out whose list of projects it is, who must be able to read some.

    :raises PypicloudError: as of :func:`authorize`.
    """
    await access.learn()
    if access.policy.public:
        return ANONYMOUS  # all may read all, also with a stale password
    principal = await _authenticate(request, access)
    access.check(principal, Action.READ, None)
    return principal


async def authorize_home(request: Request, access: Access) -> Principal:
    """Find out who looks at the front page, which tells them what they can do.

    :raises PypicloudError: as of :func:`authorize`.
    """
    await access.learn()
    try:
        principal = await _authenticate(request, access)
    except PypicloudError:
        if access.policy.public:
            return ANONYMOUS  # a stale password does not close what is open
        raise
    access.check(principal, Action.READ, None)
    return principal


async def authorize_form(request: Request, access: Access) -> Principal:
    """Find out who sends a form, who must be able to do something by one.

    What it asks for stands in its body, and is judged then.

    :raises PypicloudError: as of :func:`authorize`.
    """
    await access.learn(changing=True)
    principal = await _authenticate(request, access)
    if not access.policy.may_any(principal, Action.DELETE):
        access.check(principal, Action.UPLOAD, None)
    return principal


def is_private(reader: Principal) -> bool:
    """Return whether what somebody was let read is not for everyone.

    :param reader: as :func:`authorize` returned it: who needed to be nobody in
        particular is :data:`ANONYMOUS`, whoever it was.
    """
    return reader is not ANONYMOUS


def reading(access: Access, principal: Principal) -> Reading:
    """Say what reading takes: nothing, nothing for a part of it, or a log-in."""
    if access.policy.public:
        return "open"
    return "part" if principal.anonymous else "log-in"


def uploads(access: Access, principal: Principal) -> Uploads:
    """Say what uploading takes of somebody: nothing, a log-in, or what they have not.

    :returns: None where they cannot upload, logged in or not, or not now.
    """
    if access.read_only is not None:
        return None
    try:
        access.policy.check(principal, Action.UPLOAD, None)
    except Unauthorized:
        return "log-in"
    except PypicloudError:
        return None
    return "open" if principal.anonymous else "log-in"


async def authenticate(request: Request, access: Access) -> Principal:
    """Find out who asks; parameters and errors as of :func:`authorize`.

    While it is not known whom administrators know, only the others can log in.
    """
    if access.recall(credentials(request)) is not ANONYMOUS:
        with suppress(Unavailable):
            await access.learn()
    return await _authenticate(request, access)


async def authenticate_form(request: Request, access: Access) -> Principal:
    """Find out who sends a form of our pages, where a session counts, too.

    Whoever calls this asks for the form's token; see :class:`.forms.FormDoor`.

    :raises PypicloudError: as of :func:`authorize`.
    """
    await access.learn(changing=True)
    principal = await access.authenticate(form_credentials(request))
    _name_in_log(request, principal)
    return principal


async def _authenticate(request: Request, access: Access) -> Principal:
    principal = await access.authenticate(credentials(request))
    _name_in_log(request, principal)
    return principal


def credentials(request: Request) -> Credentials:
    """Collect what a request brings along to say who makes it.

    The cookie of a session counts where nothing is changed: browsers send it with
    whatever a page of another site asks for. See :func:`form_credentials`.
    """
    shown = _credentials(request)
    if shown.authorization is None and request.method in _READING:
        shown.session = read_cookie(request, SESSION)
    return shown


def form_credentials(request: Request) -> Credentials:
    """Collect them for a form of our pages, which has its own token in it."""
    shown = _credentials(request)
    if shown.authorization is None:
        shown.session = read_cookie(request, SESSION)
    return shown


def _credentials(request: Request) -> Credentials:
    identity = request.identity
    return Credentials(
        request.getHeader(b"Authorization"),
        request.client_address,
        None if identity is None else identity.user,
        None if identity is None else identity.groups,
        request.certificate,
    )


def actor_of(request: Request, principal: Principal) -> Actor:
    """Name who acts by a request, as records tell it; within bounds."""
    agent = request.getHeader(b"User-Agent")
    return Actor(
        principal.label,
        principal.proof,
        request.client_address[:_MAX_ADDRESS],
        None if agent is None else agent[:_MAX_AGENT].decode("latin-1"),
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
    if principal.label is not None:
        request.principal_name = principal.label.encode()
