"""Fetches what an issuer publishes, over treq: short documents, by https."""

from __future__ import annotations

from collections.abc import Callable
from http.cookiejar import DefaultCookiePolicy
from typing import NoReturn
from urllib.parse import urlsplit

from attrs import define, field
from treq.client import HTTPClient
from treq.cookies import IndexableCookieJar
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IResponse

from pypicloud_tw.outbound.as_sent import CODING, AsSent
from pypicloud_tw.outbound.response_body import ResponseBody
from pypicloud_tw.outbound.trouble import trouble

#: Seconds for one document, from the connection to its end.
PATIENCE = 10.0


class FetchError(Exception):
    """A document cannot be had; the text is a sentence without secrets."""


@define
class Documents:
    """Fetches documents of issuers.

    A redirect is not followed: discovery has none (OpenID Connect Discovery 1.0,
    section 4), and it could lead anywhere.

    :param agent: connects to what may be connected to; see :mod:`.outbound.guarded`.
    :param user_agent: whom we say we are.
    """

    agent: IAgent = field(repr=False)
    clock: IReactorTime
    user_agent: str
    _http: HTTPClient = field(init=False, repr=False)

    @_http.default
    def _make_http(self) -> HTTPClient:
        no_cookies = IndexableCookieJar(DefaultCookiePolicy(allowed_domains=[]))
        return HTTPClient(AsSent(self.agent), no_cookies)

    async def fetch(self, url: str, limit: int) -> bytes:
        """Return the document at an address.

        :param limit: bytes that it may have.
        :raises FetchError: it cannot be had.
        """
        host = urlsplit(url).hostname or "the issuer"
        fetching = Deferred.fromCoroutine(self._fetch(url, host, limit))
        fetching.addTimeout(PATIENCE, self.clock, _timed_out(host))
        try:
            return await fetching
        except FetchError:
            raise
        except Exception as e:
            found = trouble(e, "oidc.private_hosts")
            raise FetchError(f"{host} {found.sentence}") from None

    async def _fetch(self, url: str, host: str, limit: int) -> bytes:
        response = await self._ask(url, host)
        body = ResponseBody(
            self.clock,
            PATIENCE,
            lambda how: FetchError(f"The answer of {host} {how}."),
            lambda: _too_slow(host),
        )
        response.deliverBody(body)
        if response.code != 200 or response.headers.getRawHeaders(CODING, []):
            body.drain()
            raise FetchError(f"{host} answers with {response.code}, or in a coding.")
        return b"".join(await body.read_all(limit, lambda: _too_long(host, limit)))

    async def _ask(self, url: str, host: str) -> IResponse:
        fields = {
            "Accept": ["application/json"],
            "Accept-Encoding": ["identity"],
            "User-Agent": [self.user_agent],
        }
        try:
            asking = self._http.request(
                "GET",
                url,
                headers=Headers(fields),
                allow_redirects=False,
                unbuffered=True,
                # treq's own timeout is not used; it would import the global reactor.
                reactor=self.clock,  # type: ignore[arg-type]
            )
        except ValueError:
            raise FetchError(f"An address at {host} cannot be asked for.") from None
        return await asking


def _timed_out(host: str) -> Callable[[object, float], NoReturn]:
    def timed_out(_result: object, _seconds: float) -> NoReturn:
        raise _too_slow(host)

    return timed_out


def _too_slow(host: str) -> FetchError:
    return FetchError(f"{host} did not answer within {PATIENCE:g} s.")


def _too_long(host: str, limit: int) -> FetchError:
    return FetchError(f"{host} answers with more than {limit} bytes.")
