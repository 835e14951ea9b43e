"""Asks an upstream index over treq: with retries and timeouts, and no other host.

Only addresses of the configured scheme or https are asked; a redirect never leads from
https to http; credentials go to the configured host alone, cookies to nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Coroutine as AnyCoroutine
from http.cookiejar import DefaultCookiePolicy
from typing import Any, TypeVar
from urllib.parse import urlsplit

from attrs import define, field, frozen
from treq.client import HTTPClient
from treq.cookies import IndexableCookieJar
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent

from pypicloud_tw.concurrency.outages import Outages
from pypicloud_tw.errors import NotFound, PypicloudError
from pypicloud_tw.outbound.as_sent import CODING, AsSent
from pypicloud_tw.outbound.origins import origin_of, shown, without_userinfo
from pypicloud_tw.outbound.response_body import ResponseBody
from pypicloud_tw.upstream.addresses import resolve
from pypicloud_tw.upstream.breaker import SHORT_WAIT, Breakers, Visit
from pypicloud_tw.upstream.connection import in_our_words, too_slow
from pypicloud_tw.upstream.failures import AskingFailed, Busy, Refused, Slow, Truncated
from pypicloud_tw.upstream.prepare import PageResponse, too_large
from pypicloud_tw.upstream.source import (
    ClientLimits,
    UpstreamIndex,
)
from pypicloud_tw.upstream.statuses import ABSENT, Explain, explain, retry_after

T = TypeVar("T")

Coroutine = AnyCoroutine[Deferred[Any], Any, T]

_PERMANENT = frozenset({301, 308})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_CONDITIONS = frozenset({"If-None-Match", "If-Modified-Since"})


@frozen
class Validators:
    """What a conditional request asks with."""

    etag: str | None = None
    modified: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """The header fields."""
        named = {"If-None-Match": self.etag, "If-Modified-Since": self.modified}
        return {name: value for name, value in named.items() if value is not None}


@frozen
class NotModified:
    """A page is as it was; its freshness begins anew."""

    cache_control: str
    age: str | None


@define
class UpstreamResponse:
    """A response whose head has come.

    :ivar url: where it was finally found.
    :ivar forever: every redirect on the way there was a permanent one.
    """

    code: int
    headers: Headers
    body: ResponseBody
    url: str
    length: int | None
    forever: bool = False

    def header(self, name: bytes) -> str | None:
        """Return a header field's first value."""
        values = self.headers.getRawHeaders(name)
        return values[0].decode("latin-1") if values else None

    @property
    def coding(self) -> str:
        """The body's Content-Encoding, in lower case; empty if it has none."""
        codings = self.headers.getRawHeaders(CODING) or []
        return b",".join(codings).decode("latin-1").strip().lower()


@define
class Client:
    """An HTTP client for upstream indexes.

    :param agent: connects, with a pool of its own; see
        :class:`~pypicloud_tw.outbound.guard.GuardedEndpoints`.
    :param user_agent: whom we say we are.
    :param random: for jitter, from 0 to 1.
    :param tells: the log tells of outages; else whoever asks does.
    :param explain: makes the error for a status that there is no use for.
    """

    agent: IAgent = field(repr=False)
    clock: IReactorTime
    limits: ClientLimits
    user_agent: str
    random: Callable[[], float]
    tells: bool = True
    explain: Explain = explain
    breakers: Breakers = field(factory=Breakers, init=False)
    _http: HTTPClient = field(init=False, repr=False)
    _moved: dict[str, str] = field(factory=dict, init=False)
    _doubted: set[str] = field(factory=set, init=False)
    _outages: Outages = field(init=False)
    _log = Logger()

    def __attrs_post_init__(self) -> None:
        no_cookies = IndexableCookieJar(DefaultCookiePolicy(allowed_domains=[]))
        self._outages = Outages("The upstream index at", self.clock.seconds, self._log)
        self._http = HTTPClient(AsSent(self.agent), no_cookies)

    async def page(
        self,
        source: UpstreamIndex,
        url: str,
        accept: str,
        unless: Validators | None = None,
    ) -> PageResponse | NotModified:
        """Fetch a page of an upstream, whole.

        :param url: below ``source.base``, or beside it.
        :param unless: what is known of it already.
        :raises NotFound: the upstream says that it has none.
        :raises AskingFailed: the upstream failed; never told as absence.
        """
        headers = {"Accept": accept, "Accept-Encoding": "gzip"}
        headers |= unless.headers if unless else {}
        moved = self._moved.get(source.base)
        if moved is None or not url.startswith(source.base):
            return await self._page_at(source, url, headers)
        there = moved + url.removeprefix(source.base)
        try:
            return await self._page_at(source, there, headers)
        except AskingFailed:
            # Permanent for as long as it works.
            self._moved.pop(source.base, None)
            self._doubted.discard(source.base)
            raise
        except NotFound:
            # Absence is proved where the ini says, in case it has moved again.
            return await self._page_at(source, url, headers)

    async def open(
        self, source: UpstreamIndex, url: str, headers: dict[str, str] | None = None
    ) -> UpstreamResponse:
        """Ask for a file: a response of status 200 or 206, its body not yet read.

        :param url: one that a page of *source* links to.
        :param headers: further fields, such as Range.
        :raises NotFound: the upstream says that it has none.
        :raises AskingFailed: the upstream failed.
        """
        # Coded bytes are not the file's: its digest is that of the bytes as they are.
        sent = {"Accept": "*/*", "Accept-Encoding": "identity", **(headers or {})}

        there = without_userinfo(url)

        async def once(visit: Visit) -> UpstreamResponse:
            response = await self._follow(source, there, sent, visit)
            if response.code in (200, 206):
                return response
            raise self._unusable(source, response, page=False)

        return await self._persist(once, url)

    async def open_unless(
        self,
        source: UpstreamIndex,
        url: str,
        unless: Validators,
        headers: dict[str, str] | None = None,
    ) -> UpstreamResponse | NotModified:
        """Ask for a file, if it is not the one that is known.

        :param headers: further fields, in place of these that files are asked with.
        :raises NotFound: it is not there.
        :raises AskingFailed: the server failed.
        """
        usual = {"Accept": "*/*", "Accept-Encoding": "identity"}
        sent = {**usual, **(headers or {}), **unless.headers}
        there = without_userinfo(url)

        async def once(visit: Visit) -> UpstreamResponse | NotModified:
            response = await self._follow(source, there, sent, visit)
            if response.code == 200:
                return response
            if response.code == 304 and unless.headers:
                response.body.drain()
                return NotModified("", None)
            raise self._unusable(source, response, page=False)

        return await self._persist(once, url)

    async def _page_at(
        self, source: UpstreamIndex, url: str, headers: dict[str, str]
    ) -> PageResponse | NotModified:
        async def once(visit: Visit) -> PageResponse | NotModified:
            response = await self._follow(source, url, headers, visit)
            if response.code == 304 and not _CONDITIONS.isdisjoint(headers):
                response.body.drain()
                cache_control = response.header(b"cache-control") or ""
                return NotModified(cache_control, response.header(b"age"))
            if response.code != 200:
                raise self._unusable(source, response, page=True)
            pieces = await self._pieces(response, self.limits.page)
            self._remember_move(source, url, response)
            return _answer(response, pieces)

        return await self._persist(once, url)

    async def whole(self, response: UpstreamResponse, limit: int) -> bytes:
        """Read a body that may have *limit* bytes.

        :raises UpstreamError: it has more.
        :raises AskingFailed: it ended early or fell silent.
        """
        return b"".join(await self._pieces(response, limit))

    async def _pieces(self, response: UpstreamResponse, limit: int) -> list[bytes]:
        if response.length is not None and response.length > limit:
            response.body.abort()
            raise too_large(response.url, limit)
        return await response.body.read_all(
            limit, lambda: too_large(response.url, limit)
        )

    async def _persist(self, once: Callable[[Visit], Coroutine[T]], url: str) -> T:
        """Ask with retries, and have the log say when the upstream fails."""
        asked = urlsplit(without_userinfo(url)).netloc
        try:
            result = await self._with_retries(once, _host(url))
        except AskingFailed as e:
            if self.tells:
                self._outages.failed(asked, e.message)
            raise
        except PypicloudError:
            # It answered, with nothing that is of use.
            self._outages.succeeded(asked)
            raise
        self._outages.succeeded(asked)
        return result

    async def _with_retries(
        self, once: Callable[[Visit], Coroutine[T]], host: str
    ) -> T:
        """Try, and try again where that is safe and quick."""
        attempt = 0
        while True:
            try:
                return await self._try(once, host)
            except AskingFailed as e:
                wait = self._wait(e, attempt)
                if wait is None:
                    raise
                attempt += 1
                await deferLater(self.clock, wait)

    async def _try(self, once: Callable[[Visit], Coroutine[T]], host: str) -> T:
        """Make one attempt, and have the breakers learn from it."""
        visit = Visit(self.breakers, self.clock)
        asking = Deferred.fromCoroutine(once(visit))
        asking.addTimeout(self.limits.total, self.clock, too_slow(host))
        try:
            result = await asking
        except AskingFailed as e:
            visit.failed(e)
            raise
        except PypicloudError:
            visit.succeeded()
            raise
        except BaseException:
            visit.left()
            raise
        visit.succeeded()
        return result

    def _wait(self, error: AskingFailed, attempt: int) -> float | None:
        """Return how long to wait before the next attempt; None: give up."""
        if attempt >= self.limits.retries:
            return None
        if isinstance(error, Busy) and error.wait <= SHORT_WAIT:
            return error.wait
        if not error.again:
            return None
        wait: float = 0.2 * 2**attempt * (0.5 + self.random())
        return wait

    async def _follow(
        self,
        source: UpstreamIndex,
        url: str,
        headers: dict[str, str],
        visit: Visit,
        method: str = "GET",
    ) -> UpstreamResponse:
        """Ask, and go where the answer sends us."""
        forever = True
        for _ in range(self.limits.redirects + 1):
            self._check(source, url)
            probing = visit.enter(origin_of(url))
            response = await self._ask(source, url, headers, probing, method)
            location = response.header(b"location")
            if response.code not in _REDIRECTS or location is None:
                response.forever = forever
                return response
            response.body.drain()
            forever = forever and response.code in _PERMANENT
            url = self._redirected(url, location)
        raise Refused(f"{_host(url)} redirects in circles.")

    def _redirected(self, url: str, location: str) -> str:
        # Servers write UTF-8 where RFC 9110, section 5.5, has opaque bytes.
        found = resolve(url, location.encode("latin-1").decode("utf-8", "replace"))
        if found is None:
            raise Refused(f"{_host(url)} redirects to no address.")
        there = without_userinfo(found)
        if url.startswith("https:") and not there.startswith("https:"):
            raise Refused(
                f"{_host(url)} redirects from https to http, which is not followed."
            )
        return there

    def _check(self, source: UpstreamIndex, url: str) -> None:
        scheme = urlsplit(url).scheme
        if scheme != "https" and scheme != urlsplit(source.base).scheme:
            raise Refused(
                f"A page names an address at {_host(url)} that is not https, which is "
                "not fetched."
            )

    async def _ask(
        self,
        source: UpstreamIndex,
        url: str,
        headers: dict[str, str],
        probing: bool,
        method: str,
    ) -> UpstreamResponse:
        limits, host = self.limits, _host(url)
        fields = Headers({name: [value] for name, value in headers.items()})
        fields.setRawHeaders("User-Agent", [self.user_agent])
        if source.authorization is not None and _is_at(source, url):
            fields.setRawHeaders("Authorization", [source.authorization])
        timeout = limits.connect + limits.first_byte
        timeout = min(timeout, limits.probe) if probing else timeout
        try:
            asking = self._http.request(
                method,
                url,
                headers=fields,
                allow_redirects=False,
                unbuffered=True,
                # treq's own timeout is not used; it would import the global reactor.
                reactor=self.clock,  # type: ignore[arg-type]
            )
        except ValueError:
            raise Refused(f"An address at {host} cannot be asked for.") from None
        asking.addTimeout(timeout, self.clock, too_slow(host))
        answered = await in_our_words(asking, host)
        body = receive(self.clock, limits.silence, host)
        answered.deliverBody(body)
        length = answered.length if isinstance(answered.length, int) else None
        return UpstreamResponse(answered.code, answered.headers, body, url, length)

    def _unusable(
        self, source: UpstreamIndex, response: UpstreamResponse, *, page: bool
    ) -> Exception:
        """Say what a status that we have no use for means."""
        response.body.drain()
        return self.explain(
            response.code,
            _host(response.url),
            retry_after(response.header(b"retry-after"), self.clock.seconds()),
            absent=self.limits.absent if page else ABSENT,
            page=page,
            logged_in=source.authorization is not None and _is_at(source, response.url),
        )

    def _remember_move(
        self, source: UpstreamIndex, url: str, response: UpstreamResponse
    ) -> None:
        """Ask there at once, if the whole index has moved for good."""
        if (
            not response.forever
            or response.url == url
            or not url.startswith(source.base)
        ):
            return
        page = url.removeprefix(source.base)
        base = response.url.removesuffix(page)
        if not page or base == response.url or not base.endswith("/"):
            return
        if source.base not in self._doubted:
            self._doubted.add(source.base)
            Deferred.fromCoroutine(self._prove_move(source, base)).addErrback(
                lambda f: self._log.failure(
                    "Asking {at} failed", f, at=shown(source.base)
                )
            )

    async def _prove_move(self, source: UpstreamIndex, base: str) -> None:
        """Ask whether not one project alone has moved: others' names stay here."""
        # A root that is slow to list all there is says nothing of how its pages are.
        visit = Visit(Breakers(), self.clock)
        try:
            response = await self._follow(source, source.base, {}, visit, "HEAD")
        except PypicloudError:
            # Nothing was learned: the next page that has moved may ask again.
            self._doubted.discard(source.base)
            return
        response.body.drain()
        if response.forever and response.url == base:
            self._moved[source.base] = base


def receive(clock: IReactorTime, silence: float, host: str) -> ResponseBody:
    """Make what reads an upstream's body."""
    return ResponseBody(
        clock,
        silence,
        lambda how: Truncated(f"The answer of {host} {how}."),
        lambda: Slow(f"{host} sent nothing for {silence:g} s amid an answer."),
    )


def _answer(response: UpstreamResponse, pieces: list[bytes]) -> PageResponse:
    return PageResponse(
        url=response.url,
        pieces=pieces,
        content_type=response.header(b"content-type"),
        coding=response.coding,
        etag=response.header(b"etag"),
        modified=response.header(b"last-modified"),
        cache_control=", ".join(
            value.decode("latin-1")
            for value in response.headers.getRawHeaders(b"cache-control") or []
        ),
        age=response.header(b"age"),
        whole=response.body.whole,
    )


def _is_at(source: UpstreamIndex, url: str) -> bool:
    """Return whether an address is the source's own, or its https side."""
    scheme, host, port = origin_of(url)
    if (scheme, host, port) == source.origin:
        return True
    return source.origin == ("http", host, 80) and (scheme, port) == ("https", 443)


def _host(url: str) -> str:
    """Name a host in a message: no path, no query, no credentials."""
    return urlsplit(url).hostname or "the upstream"
