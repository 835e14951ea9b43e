"""Forms of our pages: how they are read, and the door that they come in by."""

from __future__ import annotations

import os
import re
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from urllib.parse import unquote_to_bytes

from attrs import field, frozen

from pypicloud_tw.access.access import Access
from pypicloud_tw.access.principal import Principal
from pypicloud_tw.access.sessions.form_tokens import fits_form, make_form_token
from pypicloud_tw.access.sessions.login import KIND
from pypicloud_tw.access.sessions.text import read_session
from pypicloud_tw.access.tokens.text import Draw
from pypicloud_tw.errors import BadRequest, Forbidden, UnsupportedMediaType
from pypicloud_tw.web.authorization import authenticate_form, refuse_other_sites
from pypicloud_tw.web.cookies import FORM, SESSION, being_set, read_cookie, set_cookie
from pypicloud_tw.web.http.fields import refuse_content_coding
from pypicloud_tw.web.http.site import Request

#: Bytes of a form, and fields in one: a group of 1,000 members has 30 kB.
LONGEST, MOST_FIELDS = 64 * 1024, 2000

#: The field of a form that has its token in it.
TOKEN = "token"  # noqa: S105  a field's name, and no secret

#: Bytes of what forms are bound to where there is no session.
_SECRET = 32

_TYPE = re.compile(
    rb"application/x-www-form-urlencoded\s*(?:;\s*charset=\"?utf-8\"?\s*)?",
    re.IGNORECASE,
)


@frozen
class Form:
    """A form that was sent.

    :ivar fields: the values of each name, in the order in which they came.
    """

    fields: Mapping[str, tuple[str, ...]] = field(repr=False)

    def all(self, name: str) -> tuple[str, ...]:
        """Return the values of a field, which may be none."""
        return self.fields.get(name, ())

    def one(self, name: str) -> str:
        """Return the value of a field; empty if it did not come.

        :raises BadRequest: it came more than once.
        """
        values = self.all(name)
        if len(values) > 1:
            raise BadRequest(f"The form has its field {name!r} more than once.")
        return values[0] if values else ""


async def read_form(
    request: Request, longest: int = LONGEST, most_fields: int = MOST_FIELDS
) -> Form:
    """Read a form that is sent as ``application/x-www-form-urlencoded``.

    :param longest: bytes that it may have.
    :raises UnsupportedMediaType: it is said to be something else.
    :raises PayloadTooLarge: it is longer.
    :raises BadRequest: it has too many fields, or is not UTF-8.
    """
    if _TYPE.fullmatch(request.getHeader(b"Content-Type") or b"") is None:
        raise UnsupportedMediaType(
            "Send this form as a browser does: application/x-www-form-urlencoded."
        )
    refuse_content_coding(request)
    return Form(_read(await request.body.whole(longest), most_fields))


def _read(data: bytes, most: int) -> Mapping[str, tuple[str, ...]]:
    """Take a form apart (WHATWG URL, section 5.1), strictly."""
    pairs = [pair for pair in data.split(b"&", most) if pair]
    if len(pairs) > most:
        raise BadRequest(f"The form has more than {most} fields.")
    found: dict[str, list[str]] = {}
    for pair in pairs:
        name, _, value = pair.partition(b"=")
        found.setdefault(_text(name), []).append(_text(value))
    return {name: tuple(values) for name, values in found.items()}


def _text(encoded: bytes) -> str:
    try:
        return unquote_to_bytes(encoded.replace(b"+", b" ")).decode()
    except UnicodeDecodeError:
        raise BadRequest("The form is not UTF-8 text.") from None


def form_token(request: Request, principal: Principal, draw: Draw = os.urandom) -> str:
    """Make the token of a form that is shown to somebody.

    It goes into the form's field :data:`TOKEN`, and the page must not be stored. Where
    there is no session, the browser is given a cookie that it is bound to.

    :param principal: who may send it.
    """
    secret = _secret(request, principal)
    if secret is None:
        secret = urlsafe_b64encode(draw(_SECRET)).rstrip(b"=")
        set_cookie(request, FORM, secret.decode(), "Strict", None)
    return make_form_token(secret, principal, draw)


def check_form(request: Request, principal: Principal, token: str) -> None:
    """Return if a form was made for whoever sends it, and for this browser.

    :param token: as it stands in the form.
    :raises Forbidden: it was not.
    """
    secret = _secret(request, principal)
    if secret is None or not fits_form(token, secret, principal):
        raise Forbidden(
            "This form was not made for you in this browser, or is too old, so that "
            "nothing was changed. Reload the page and send the form again."
        )


def _secret(request: Request, principal: Principal) -> bytes | None:
    """Return what the browser alone knows."""
    if principal.proof.kind != KIND:
        secret = being_set(request, FORM) or read_cookie(request, FORM)
        return None if secret is None or len(secret) < _SECRET else secret
    shown = read_cookie(request, SESSION)
    session = None if shown is None else read_session(shown)
    return None if session is None else session.seed


def _let_all_pass(principal: Principal) -> None:
    """Judge later."""


@frozen(eq=False)
class FormDoor:
    """The way in for whatever a page asks to be changed."""

    access: Access

    async def open(
        self, request: Request, judge: Callable[[Principal], None] = _let_all_pass
    ) -> tuple[Principal, Form]:
        """Read a form, and find out who sends it.

        :param judge: raises the error for whoever may not send it; asked before the
            form is read, and again behind it.
        :raises Forbidden: another site's page had the browser send it, or it was not
            made for whoever sends it.
        :raises PypicloudError: as of :func:`read_form` and
            :func:`.authorization.authorize`.
        """
        judge(await self.admit(request))
        form = await read_form(request)
        # Once more: it may have taken hours to come, and its session may be over.
        principal = await self.admit(request)
        judge(principal)
        check_form(request, principal, form.one(TOKEN))
        return principal, form

    async def admit(self, request: Request) -> Principal:
        """Find out who sends a form whose body is read otherwise, as an upload's.

        Whoever calls this passes its token to :func:`check_form` before anything else
        is done.

        :raises PypicloudError: as of :meth:`open`.
        """
        refuse_other_sites(request)
        return await authenticate_form(request, self.access)
