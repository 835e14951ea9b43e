"""Who may do what, and which writes a browser was tricked into.

Everyone who is known may write for now; rights by project come later.
"""

from __future__ import annotations

from typing import Literal
from urllib.parse import SplitResult, urlsplit

from attrs import frozen

from pypicloud_tw.access.principal import Principal
from pypicloud_tw.config.rights import Action
from pypicloud_tw.errors import Forbidden, Unauthorized
from pypicloud_tw.index.names import NormalizedName


@frozen
class Policy:
    """The rules of the ini.

    :ivar default_read: ``pypi.default_read``: who may read.
    :ivar has_users: the ini has a ``user.NAME`` at all.
    """

    default_read: Literal["everyone", "authenticated"]
    has_users: bool

    @property
    def public(self) -> bool:
        """Everyone may read, so that pages may lie in shared caches."""
        return self.default_read == "everyone"

    def may(
        self, principal: Principal, action: Action, project: NormalizedName | None
    ) -> bool:
        """Return whether it is allowed; parameters as of :meth:`check`."""
        reads = action is Action.READ and self.public
        return reads or principal.name is not None

    def check(
        self, principal: Principal, action: Action, project: NormalizedName | None
    ) -> None:
        """Return if it is allowed.

        :param project: None for what belongs to no project, as the list of them.
        :raises Unauthorized: a log-in would help.
        :raises Forbidden: it would not.
        """
        if self.may(principal, action, project):
            return
        what = Action.READ if action is Action.READ else Action.UPLOAD
        if not self.has_users:
            raise Forbidden(_NOBODY[what])
        raise Unauthorized(_LOG_IN[what])


_LOG_IN = {
    Action.READ: "Log in with a user name and password to read this index.",
    Action.UPLOAD: "Log in with a user name and password to change this index.",
}

# 403 and not 401: a challenge would have clients ask for a password that no one has.
_NOBODY = {
    Action.READ: "Nobody may read yet: make a hash with pypicloud-gen-password and add "
    "a line 'user.NAME = HASH' to the ini.",
    Action.UPLOAD: "Nobody may upload yet: make a hash with pypicloud-gen-password and "
    "add a line 'user.NAME = HASH' to the ini.",
}

#: RFC 9110, section 9.2.1: these ask for no change.
_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


def refuse_cross_site(
    method: str, *, origin: str | None, sec_fetch_site: str | None, own_origin: str
) -> None:
    """Refuse a change that another site's page made a browser ask for.

    Browsers send passwords that they know with any request to us. They also tell where
    it comes from: in ``Sec-Fetch-Site`` (W3C Fetch Metadata), else in ``Origin``
    (RFC 6454, section 7). Other clients send neither, and are not in question.

    :param origin: the header, None if absent.
    :param sec_fetch_site: the header, None if absent.
    :param own_origin: scheme, host and port by which clients reach this server.
    :raises Forbidden: it came from another origin.
    """
    if method.upper() in _SAFE:
        return
    if sec_fetch_site is not None:
        # "same-site" is another host of the same domain: not ours, so not trusted.
        # "none" is a person's own doing, as from the address bar.
        allowed = sec_fetch_site.strip().lower() in {"same-origin", "none"}
    elif origin is not None:
        allowed = _same_origin(origin, own_origin)
    else:
        allowed = True
    if not allowed:
        raise Forbidden(
            "A page of another site asked your browser for this change; it was not "
            "made. Use this server's own pages, or a client such as twine or uv."
        )


def _same_origin(one: str, other: str) -> bool:
    first, second = _origin(one), _origin(other)
    return first is not None and first == second


def _origin(text: str) -> tuple[str, str, int | None] | None:
    """Take an origin apart; None for "null" and for what is none."""
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError:
        return None
    if not parts.scheme or not parts.hostname:
        return None
    return parts.scheme, parts.hostname, port or _default_port(parts)


def _default_port(parts: SplitResult) -> int | None:
    return {"http": 80, "https": 443}.get(parts.scheme)
