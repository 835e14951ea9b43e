"""Fetches what an issuer publishes, over treq: short documents, by https."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http.cookiejar import DefaultCookiePolicy
from typing import NoReturn
from urllib.parse import urlencode, urlsplit

from attrs import define, field, frozen
from treq.client import HTTPClient
from treq.cookies import IndexableCookieJar
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IResponse

from pypicloud_tw.outbound.as_sent import CODING, AsSent
from pypicloud_tw.outbound.request_body import SmallBody
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
        _, data = await self._in_time(_Question("GET", url), limit)
        return data

    async def post(
        self,
        url: str,
        form: Mapping[str, str],
        authorization: str | None,
        limit: int,
    ) -> tuple[int, bytes]:
        """Send a form, and return status and body of the answer.

        :param authorization: the value of that field, if there is to be one.
        :param limit: bytes that the answer may have.
        :raises FetchError: there is none.
        """
        body = urlencode(form).encode()
        return await self._in_time(_Question("POST", url, body, authorization), limit)

    async def _in_time(self, question: _Question, limit: int) -> tuple[int, bytes]:
        host = _host(question.url)
        fetching = Deferred.fromCoroutine(self._fetch(question, host, limit))
        fetching.addTimeout(PATIENCE, self.clock, _timed_out(host))
        try:
            return await fetching
        except FetchError:
            raise
        except Exception as e:
            found = trouble(e, "oidc.private_hosts")
            raise FetchError(f"{host} {found.sentence}") from None

    async def _fetch(
        self, question: _Question, host: str, limit: int
    ) -> tuple[int, bytes]:
        response = await self._ask(question, host)
        body = ResponseBody(
            self.clock,
            PATIENCE,
            lambda how: FetchError(f"The answer of {host} {how}."),
            lambda: _too_slow(host),
        )
        response.deliverBody(body)
        is_wrong = question.body is None and response.code != 200
        if is_wrong or response.headers.getRawHeaders(CODING, []):
            body.drain()
            raise FetchError(f"{host} answers with {response.code}, or in a coding.")
        data = await body.read_all(limit, lambda: _too_long(host, limit))
        return response.code, b"".join(data)

    async def _ask(self, question: _Question, host: str) -> IResponse:
        try:
            asking = self._http.request(
                question.method,
                question.url,
                headers=Headers(question.fields(self.user_agent)),
                data=None if question.body is None else SmallBody(question.body),
                allow_redirects=False,
                unbuffered=True,
                # treq's own timeout is not used; it would import the global reactor.
                reactor=self.clock,  # type: ignore[arg-type]
            )
        except ValueError:
            raise FetchError(f"An address at {host} cannot be asked for.") from None
        return await asking


@frozen
class _Question:
    """What is asked for."""

    method: str
    url: str
    body: bytes | None = field(default=None, repr=False)
    authorization: str | None = field(default=None, repr=False)

    def fields(self, user_agent: str) -> Mapping[str, list[str]]:
        fields = {
            "Accept": ["application/json"],
            "Accept-Encoding": ["identity"],
            "User-Agent": [user_agent],
        }
        if self.body is not None:
            fields["Content-Type"] = ["application/x-www-form-urlencoded"]
        if self.authorization is not None:
            fields["Authorization"] = [self.authorization]
        return fields


def _host(url: str) -> str:
    return urlsplit(url).hostname or "the issuer"


def _timed_out(host: str) -> Callable[[object, float], NoReturn]:
    def timed_out(_result: object, _seconds: float) -> NoReturn:
        raise _too_slow(host)

    return timed_out


def _too_slow(host: str) -> FetchError:
    return FetchError(f"{host} did not answer within {PATIENCE:g} s.")


def _too_long(host: str, limit: int) -> FetchError:
    return FetchError(f"{host} answers with more than {limit} bytes.")
