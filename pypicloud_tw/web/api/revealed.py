"""Tokens that were found where everybody can read them, as secret scanners report it.

The form is that of GitHub's secret scanning partner program: a list of objects with
``token``, ``type``, ``url`` and ``source``. Who reports is not asked: to revoke a token
takes the whole of it, and whoever has that can do worse.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from attrs import define, field
from twisted.logger import Logger

from pypicloud_tw.access.principal import ANONYMOUS
from pypicloud_tw.access.throttle import Buckets, network
from pypicloud_tw.access.tokens.tokens import Tokens
from pypicloud_tw.errors import BadRequest
from pypicloud_tw.web.answers import measured
from pypicloud_tw.web.api.declared import Form
from pypicloud_tw.web.authorization import actor_of
from pypicloud_tw.web.http.site import Request

#: Bytes of a report, and tokens that one may have.
_LONGEST, _MOST = 128 * 1024, 100

#: Characters that are kept of the address where a token was found.
_MAX_URL = 500

#: Reports in which no token lives, from one client: so many at once, and one more in so
#: many seconds.
_BURST, _EVERY = 30, 10.0

#: A report, and what is answered to one.
REPORT = Form(
    "RevealedTokens",
    {
        "type": "array",
        "maxItems": _MOST,
        "items": {
            "type": "object",
            # Scanners say more of each; of that an address that is text is kept.
            "properties": {"token": {"type": "string"}, "url": {}},
            "required": ["token"],
        },
    },
)
RECEIPT = Form(
    "Receipt",
    {
        "type": "object",
        "properties": {"received": {"type": "integer", "minimum": 0}},
        "required": ["received"],
        "additionalProperties": False,
    },
)


@define(eq=False)
class RevealedTokens:
    """Takes reports of tokens that leaked, and revokes them.

    :ivar seconds: the clock.
    """

    tokens: Tokens
    seconds: Callable[[], float]
    _reports: Buckets = field(factory=lambda: Buckets(_BURST, _EVERY), init=False)
    _log = Logger()

    async def take(self, request: Request) -> bytes:
        """Revoke what is reported, and answer the same whatever that was.

        :raises BadRequest: it is no report.
        :raises PayloadTooLarge: it is too long.
        :raises TooManyRequests: the client has reported too much that is no token, or
            that only looks like one.
        :raises StoreError: the store is away; report it again.
        """
        client = network(request.client_address)
        self._reports.admit(client, self.seconds(), "reports without a token")
        found = list(_tokens(await _read(request)))
        revoked = 0
        for text, url in dict(found).items():
            reason = f"told to be known to others: {url}" if url else "told to be known"
            actor = actor_of(request, ANONYMOUS)
            revoked += await self.tokens.revoke_shown(text, actor, reason)
        if revoked:
            self._reports.refund(client, self.seconds())
        request.setHeader(b"Content-Type", b"application/json")
        request.setHeader(b"Cache-Control", b"no-store")
        return measured(request, json.dumps({"received": len(found)}).encode())


async def _read(request: Request) -> object:
    data = await request.body.whole(_LONGEST)
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise BadRequest("A report is a list in JSON: [{'token': ...}].") from None


def _tokens(report: object) -> Iterator[tuple[str, str]]:
    """Give each token and where it was found.

    :raises BadRequest: the report is of another form.
    """
    if not isinstance(report, list) or len(report) > _MOST:
        raise BadRequest(
            f"A report is a list of at most {_MOST} objects that each have a token."
        )
    for item in report:
        token = item.get("token") if isinstance(item, dict) else None
        if not isinstance(token, str):
            raise BadRequest("Each object of the list must have a token, as text.")
        url = item.get("url")
        yield token, _printable(url) if isinstance(url, str) else ""


def _printable(url: str) -> str:
    """Return what may stand in a record: no query, which may have secrets in it."""
    bare = url.partition("?")[0].partition("#")[0][:_MAX_URL]
    return "".join(c if c.isprintable() else "?" for c in bare)
