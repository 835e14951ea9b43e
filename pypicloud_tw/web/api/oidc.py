"""Trusted publishing over HTTP: the addresses that upload clients ask.

They are at the host's root whatever the index's own address is, as on the public index
("Trusted Publishers") and in PEP 807 (draft). Errors are JSON in both of their forms:
clients read ``errors``, people ``detail`` (RFC 9457).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from attrs import define
from twisted.web.http_headers import Headers

from pypicloud_tw.access.oidc.exchange import Exchange
from pypicloud_tw.access.oidc.refusals import InvalidPayload
from pypicloud_tw.access.oidc.strict_json import JsonError, read_object
from pypicloud_tw.access.principal import ANONYMOUS
from pypicloud_tw.errors import NotFound, PypicloudError
from pypicloud_tw.web.answers import measured
from pypicloud_tw.web.authorization import actor_of
from pypicloud_tw.web.http.site import Request

#: Bytes of a request: a token, and room for how JSON may write it.
_LONGEST_REQUEST = 64 * 1024

#: PEP 807, "Feature Negotiation".
_FEATURES = ["multi-use-token"]

#: Where uploads go.
UPLOAD_PATHS = frozenset({"/", "/legacy/", "/pypi/", "/simple/"})

_DISCOVERY = b"application/vnd.pypi.pytp.v1+json"
_JSON, _PROBLEM = b"application/json", b"application/problem+json"


@define(eq=False)
class TrustedPublishing:
    """What is answered to CI jobs."""

    exchange: Exchange

    async def audience(self, request: Request) -> bytes:
        """Tell the audience that an identity token is to have."""
        try:
            return _answer(request, {"audience": await self.exchange.audience()})
        except PypicloudError as e:
            return _problem(request, e)

    async def discover(self, request: Request) -> bytes:
        """Tell where tokens are exchanged, if the path is one of uploads."""
        try:
            _check_upload_path(request)
            await self.exchange.audience()
        except PypicloudError as e:
            return _problem(request, e)
        origin = request.origin
        # Not below our prefix: all of it is at the root.
        root = f"{origin.scheme}://{origin.host}/_/oidc"
        document = {
            "audience-endpoint": f"{root}/audience",
            "token-mint-endpoint": f"{root}/mint-token",
            "features": _FEATURES,
            "default-features": _FEATURES,
        }
        return _answer(request, document, _DISCOVERY)

    async def mint(self, request: Request) -> bytes:
        """Exchange an identity token."""
        try:
            return await self._mint(request)
        except PypicloudError as e:
            return _problem(request, e)

    async def _mint(self, request: Request) -> bytes:
        payload = await _read(request)
        _check_features(payload)
        actor = actor_of(request, ANONYMOUS)
        minted = await self.exchange.exchange(_token(payload), actor)
        document = {"success": True, "token": minted.text, "expires": minted.ends}
        return _answer(request, document)

    async def burn(self, request: Request) -> bytes:
        """Make a token useless, as its job is done; 204 whatever it is."""
        try:
            token = _token(await _read(request))
            await self.exchange.burn(token, actor_of(request, ANONYMOUS))
        except InvalidPayload:
            pass  # as useless as can be
        except PypicloudError as e:
            return _problem(request, e)
        request.setResponseCode(204)
        request.setHeader(b"Cache-Control", b"no-store")
        return b""


async def _read(request: Request) -> Mapping[str, Any]:
    """Read a request's JSON.

    :raises InvalidPayload: it is none.
    :raises PayloadTooLarge: it is too long.
    """
    data = await request.body.whole(_LONGEST_REQUEST)
    try:
        return read_object(data)
    except JsonError as e:
        raise InvalidPayload(f"The request {e}: send {{'token': 'JWT'}}.") from None


def _token(payload: Mapping[str, Any]) -> str:
    token = payload.get("token")
    if not isinstance(token, str) or not token.isascii():
        raise InvalidPayload("The request has no token: send {'token': 'JWT'}.")
    return token


def _check_features(payload: Mapping[str, Any]) -> None:
    features = payload.get("features", _FEATURES)
    if not isinstance(features, list) or _FEATURES[0] not in features:
        raise InvalidPayload(f"Of features this index has {_FEATURES[0]} alone.")


def _check_upload_path(request: Request) -> None:
    asked = request.args.get(b"discover", [])
    path = asked[0].decode("latin-1") if len(asked) == 1 else ""
    prefix = request.origin.prefix
    below = path.removeprefix(prefix) if path.startswith(f"{prefix}/") else None
    # With and without the final slash, as uploads are taken.
    if below not in UPLOAD_PATHS and f"{below}/" not in UPLOAD_PATHS:
        raise NotFound(f"Uploads go to {prefix}/legacy/; discover that.")


def _answer(
    request: Request, document: Mapping[str, Any], kind: bytes = _JSON
) -> bytes:
    request.setHeader(b"Content-Type", kind)
    request.setHeader(b"Cache-Control", b"no-store")
    return measured(request, json.dumps(document).encode())


def _problem(request: Request, error: PypicloudError) -> bytes:
    """Answer with an error in both forms."""
    request.responseHeaders = Headers()
    request.set_status(error.status, error.message)
    for name, value in error.headers.items():
        request.setHeader(name.encode(), value.encode())
    title = HTTPStatus(error.status).phrase
    document = {
        "message": error.message,
        "errors": [{"code": error.code, "description": error.message}],
        "type": "about:blank",
        "title": title,
        "status": error.status,
        "detail": error.message,
    }
    return _answer(request, document, _PROBLEM)
