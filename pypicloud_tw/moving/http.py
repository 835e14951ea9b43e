"""Asks the web servers that packages are taken from: politely, and with a log-in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from datetime import datetime
from typing import Any, TypeVar

from attrs import define, evolve, field
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.web.iweb import IAgent

from pypicloud_tw import __version__
from pypicloud_tw.access.basic import Login
from pypicloud_tw.client.api import authorization
from pypicloud_tw.client.logins import Credentials
from pypicloud_tw.errors import (
    ConfigError,
    Forbidden,
    NotFound,
    Unauthorized,
    UpstreamError,
)
from pypicloud_tw.offload.service import IOffload
from pypicloud_tw.outbound.origins import shown
from pypicloud_tw.upstream.breaker import LONGEST_WAIT
from pypicloud_tw.upstream.client import Client, NotModified, UpstreamResponse
from pypicloud_tw.upstream.failures import AskingFailed, Busy, Failing, Refused
from pypicloud_tw.upstream.parse import load_json
from pypicloud_tw.upstream.prepare import PageResponse, unpack
from pypicloud_tw.upstream.source import ClientLimits, UpstreamIndex
from pypicloud_tw.upstream.statuses import told_date

T = TypeVar("T")

#: Times that something is asked for, and seconds before the second; then twice as long
#: each time. Together a minute: as long as a server takes to be started again.
ATTEMPTS, FIRST_WAIT = 6, 2.0

#: Bytes of a page above which a helper reads it: it takes some 5 ms.
_LARGE = 256 * 1024

#: Retries are ours: they wait longer than those for a client of ours who waits, too.
_LIMITS = ClientLimits(retries=0, first_byte=60.0, silence=60.0)


@define(eq=False)
class HttpBody:
    """See :class:`.source.Body`: the body of a response."""

    _response: UpstreamResponse

    @property
    def length(self) -> int | None:
        """How many bytes will come, if that is told."""
        return self._response.length

    @property
    def modified(self) -> datetime | None:
        """When the file was last changed, if that is told."""
        return told_date(self._response.header(b"last-modified"))

    async def read(self) -> bytes:
        """See :class:`.source.Body`."""
        return await self._response.body.read()

    def close(self) -> None:
        """See :class:`.source.Body`."""
        self._response.body.abort()


@define(eq=False)
class SourceHttp:
    """Asks for what is at one address and what its pages link to.

    Whoever logs in is told to the server of that address alone. What fails for a while
    is asked for again, later each time, or when the server says (``Retry-After``).

    :ivar random: for jitter, from 0 to 1.
    """

    _index: UpstreamIndex
    _credentials: Credentials
    agent: IAgent = field(repr=False)
    clock: IReactorTime
    offload: IOffload
    random: Callable[[], float]
    _authorize: Callable[[Login], str] = field(
        default=authorization, kw_only=True, repr=False
    )
    _client: Client = field(init=False)

    @classmethod
    def at(
        cls,
        base: str,
        credentials: Credentials,
        agent: IAgent,
        clock: IReactorTime,
        offload: IOffload,
        random: Callable[[], float],
    ) -> SourceHttp:
        """Ask for what is at an address.

        :param base: only its server counts.
        """
        index = UpstreamIndex(f"{shown(base)}/")
        return cls(index, credentials, agent, clock, offload, random)

    def __attrs_post_init__(self) -> None:
        self._log_in(self._credentials.login)

    @_client.default
    def _new_client(self) -> Client:
        return Client(
            self.agent,
            self.clock,
            _LIMITS,
            f"pypicloud-import/{__version__}",
            self.random,
            tells=False,
            explain=_explain,
        )

    @property
    def login(self) -> Login | None:
        """Who logs in, as far as that is known."""
        return self._credentials.login

    def by_bearer(self) -> SourceHttp:
        """Make one that sends the password alone, as a token (RFC 6750)."""
        return evolve(self, authorize=_bearer)

    @property
    def base(self) -> str:
        """The server's address, without a path."""
        return self._index.base

    async def page(
        self, url: str, accept: str, *, patient: bool = True
    ) -> PageResponse:
        """Fetch a page whole, as it came.

        :param patient: ask again where the server fails, or is not there.
        :raises NotFound: it is not there.
        :raises Unauthorized: nobody is logged in, or the password is wrong.
        :raises Forbidden: known, and not allowed.
        :raises UpstreamError: it cannot be had.
        """
        answer = await self._persist(
            lambda: self._client.page(self._index, url, accept), patient
        )
        assert not isinstance(answer, NotModified), "it is asked for unconditionally"
        return answer

    async def body(self, url: str, accept: str = "*/*") -> bytes:
        """Fetch a page's bytes, unpacked; errors as of :meth:`page`."""
        return await self.read(_unpacked, await self.page(url, accept))

    async def json(self, url: str, accept: str = "application/json") -> Any:
        """Fetch a JSON document; errors as of :meth:`page`."""
        return await self.read(_json, await self.page(url, accept))

    async def read(
        self, function: Callable[..., T], answer: PageResponse, *more: Any
    ) -> T:
        """Make something of a page; in a helper, if it is large.

        :param function: of a module; it is given the answer and *more*.
        """
        if answer.size > _LARGE or answer.coding:
            return await self.offload.in_process(function, answer, *more)
        return function(answer, *more)

    async def look(self, url: str, accept: str = "*/*") -> bytes | None:
        """Return a page if the server has one for us, to find out what it is.

        :raises AskingFailed: it cannot be reached.
        """
        try:
            # Some fail at whatever they do not know; and an address may be misspelt.
            answer = await self.page(url, accept, patient=False)
            return await self.read(_unpacked, answer)
        except (NotFound, Forbidden, Unauthorized, ConfigError, Refused, Failing):
            # Who has no log-in for all of a server may need none for what is wanted.
            return None
        except AskingFailed:
            raise
        except UpstreamError:
            return None  # it is too long, or damaged

    async def open(self, url: str) -> HttpBody:
        """Ask for a file; errors as of :meth:`page`."""
        response = await self._persist(lambda: self._client.open(self._index, url))
        return HttpBody(response)

    async def _persist(
        self, ask: Callable[[], Awaitable[T]], patient: bool = True
    ) -> T:
        """Ask, and again where that may help."""
        attempt = 1
        while True:
            sent = self._index.authorization
            try:
                return await ask()
            except Unauthorized:
                if not self._logs_in_anew(sent):
                    raise
            except AskingFailed as e:
                hopeless = isinstance(e, Refused) or attempt == ATTEMPTS
                if hopeless or not (patient or isinstance(e, Busy)):
                    raise
                await deferLater(self.clock, self._wait(e, attempt))
                attempt += 1

    def _wait(self, error: AskingFailed, attempt: int) -> float:
        if isinstance(error, Busy):
            return min(error.wait, LONGEST_WAIT)
        wait: float = FIRST_WAIT * 2 ** (attempt - 1) * (0.5 + self.random())
        return wait

    def _logs_in_anew(self, sent: str | None) -> bool:
        """Find a log-in, where none was sent; somebody else may have asked for it."""
        if sent is not None:
            return False
        if self._index.authorization is None and self._credentials.wanted():
            self._log_in(self._credentials.login)
        return self._index.authorization is not None

    def _log_in(self, login: Login | None) -> None:
        if login is not None:
            self._index = evolve(self._index, authorization=self._authorize(login))


def _bearer(login: Login) -> str:
    return f"Bearer {login.password}"


def _explain(
    code: int,
    host: str,
    wait: float | None,
    /,
    *,
    absent: Collection[int],
    page: bool,
    logged_in: bool,
) -> Exception:
    """Return the error to raise; see :class:`.statuses.Explain`."""
    if code in absent:
        return NotFound(f"{host} has no such thing.")
    if code == 401 and logged_in:
        return Unauthorized(f"{host} does not take this log-in (status 401).")
    if code == 401:
        return Unauthorized(
            f"{host} wants a log-in: give --username, or set "
            "PYPICLOUD_SOURCE_USERNAME and PYPICLOUD_SOURCE_PASSWORD."
        )
    if code == 403:
        return Forbidden(f"{host} does not let us have it (status 403).")
    if code == 429 or (code == 503 and wait is not None):
        return Busy(f"{host} asks for patience ({code}).", wait or FIRST_WAIT)
    if code >= 500:
        return Failing(f"{host} answered with status {code}.")
    return Refused(f"{host} answered with status {code}.")


def _unpacked(answer: PageResponse) -> bytes:
    return unpack(answer, _LIMITS.page)


def _json(answer: PageResponse) -> Any:
    try:
        return load_json(_unpacked(answer))
    except ValueError:
        raise UpstreamError(f"{shown(answer.url)} answered with no JSON.") from None
