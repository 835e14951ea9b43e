"""Asking an index's API: one request, its answer, and in whose words it failed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeVar
from urllib.parse import quote, urlencode

from attrs import field, frozen
from OpenSSL.SSL import Error as SSLError
from service_identity import VerificationError
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IReactorTime
from twisted.web._newclient import ParseError
from twisted.web.client import ResponseFailed
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IResponse

from pypicloud_tw import __version__
from pypicloud_tw.access.administration.values import WHATEVER, Required
from pypicloud_tw.access.basic import Login
from pypicloud_tw.client.address import IndexAddress
from pypicloud_tw.client.logins import Credentials
from pypicloud_tw.errors import (
    BadRequest,
    ConditionFailed,
    ConfigError,
    Conflict,
    Forbidden,
    InsufficientStorage,
    NotFound,
    PayloadTooLarge,
    PypicloudError,
    Unauthorized,
)
from pypicloud_tw.json_values import NotAsDeclared, decode, to_bytes
from pypicloud_tw.outbound.request_body import SmallBody
from pypicloud_tw.outbound.response_body import ResponseBody
from pypicloud_tw.plain_texts import printable_lines

T = TypeVar("T")

#: Seconds that an index has for an answer; see :attr:`ApiClient.patience`.
PATIENCE = 60.0

#: Bytes that an answer may have: 100,000 tokens have a third of it.
MAX_ANSWER = 64 * 2**20

#: How TLS failed where the other side does not speak it: OpenSSL's words.
_NO_TLS = frozenset(
    {
        "wrong version number",
        "http request",
        "packet length too long",
        "unknown protocol",
        "record layer failure",
    }
)

#: A record of TLS that is an alert begins so (RFC 8446, section 5.1).
_ALERT = b"\x15\x03"

#: What is refused or failed here and there alike.
_REFUSALS: tuple[type[PypicloudError], ...] = (
    BadRequest,
    Unauthorized,
    Forbidden,
    NotFound,
    Conflict,
    ConditionFailed,
    PayloadTooLarge,
    InsufficientStorage,
)


class Unanswered(PypicloudError):
    """The index could not be asked, or does not answer as one does."""

    status = 502
    code = "unanswered"


class Refused(PypicloudError):
    """The index does not do it, for another reason than the common ones."""

    status = 400
    code = "refused"


@frozen
class Answer:
    """What came back."""

    status: int
    body: bytes = field(repr=False)
    headers: Headers = field(factory=Headers, repr=False)

    def header(self, name: str) -> str:
        """Return a header field's last value; empty if there is none."""
        values = self.headers.getRawHeaders(name.encode()) or [b""]
        return values[-1].decode("latin-1")

    def warnings(self) -> tuple[str, ...]:
        """Return what is said of an upload that was taken, a sentence each."""
        lines = self.headers.getRawHeaders(b"x-pypicloud-warning", [])
        return tuple(line.decode("ascii", "replace") for line in lines)

    def read(self, kind: type[T]) -> T:
        """Understand it.

        :raises Unanswered: it is not of that form.
        """
        return _understood(kind, self._document())

    def items(self, kind: type[T]) -> list[T]:
        """Understand a list.

        :raises Unanswered: it is none of that form.
        """
        items = self.document("items", list)["items"]
        return [_understood(kind, item) for item in items]

    def document(self, name: str, kind: type) -> dict[str, Any]:
        """Understand an object that has a member of a kind; what else it has is open.

        :raises Unanswered: it is none.
        """
        document = self._document()
        if not isinstance(document, dict) or not isinstance(document.get(name), kind):
            raise _not_ours()
        return document

    def _document(self) -> object:
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise _not_ours() from None


@frozen
class Requester:
    """Sends requests, and reads answers whole.

    :ivar unanswered: makes the error for why there was none.
    :ivar patience: see :class:`ApiClient`, and of *whole*.
    """

    agent: IAgent
    clock: IReactorTime
    unanswered: Callable[[str], PypicloudError]
    patience: float = PATIENCE
    whole: float | None = None

    async def send(
        self,
        method: str,
        url: str,
        headers: Headers,
        body: IBodyProducer | None = None,
        limit: int = MAX_ANSWER,
        patience: float | None = None,
    ) -> Answer:
        """Send one; redirects are not followed.

        :param limit: bytes that the answer may have.
        :param patience: seconds until it must begin, in place of the usual.
        :raises PypicloudError: what :attr:`unanswered` made.
        """
        # Not by treq, which cannot ask an address such as http://[::1]/.
        try:
            asking = self.agent.request(method.encode(), url.encode(), headers, body)
        except ValueError:
            raise self.unanswered("that is no address") from None
        if patience is None:
            patience = self.patience
        answering = Deferred.fromCoroutine(self._answer(asking, patience, limit))
        if self.whole is not None:
            answering.addTimeout(
                self.whole, self.clock, self._late("it takes longer than")
            )
        return await answering

    async def _answer(
        self, asking: Deferred[IResponse], patience: float, limit: int
    ) -> Answer:
        asking.addTimeout(patience, self.clock, self._late("nothing came for"))
        try:
            response = await asking
        except (PypicloudError, CancelledError):
            raise  # too late; or nobody wants to know any more
        except Exception as error:
            raise self.unanswered(_why(error)) from None
        reader = ResponseBody(
            self.clock,
            self.patience,
            lambda how: self.unanswered(f"the answer {how}"),
            lambda: self.unanswered("it fell silent amid the answer"),
        )
        response.deliverBody(reader)
        pieces = await reader.read_all(
            limit, lambda: self.unanswered("the answer is too long")
        )
        return Answer(response.code, b"".join(pieces), response.headers)

    def _late(self, words: str) -> Callable[[object, float], NoReturn]:
        """Make what ``addTimeout`` calls.

        A request whose head was not answered fails of its own kind when it is given up.
        """

        def late(_result: object, seconds: float) -> NoReturn:
            raise self.unanswered(f"{words} {seconds:g} seconds")

        return late


@frozen
class ApiClient:
    """Asks the API of one index.

    :ivar credentials: who asks; a log-in is asked for when the index wants one.
    :ivar patience: seconds until an answer must begin, and for which one may be silent.
    :ivar whole: seconds until one must be at its end; None: as long as it comes.
    """

    address: IndexAddress
    credentials: Credentials
    agent: IAgent
    clock: IReactorTime
    patience: float = PATIENCE
    whole: float | None = None

    async def ask(
        self,
        method: str,
        *path: str,
        value: object = None,
        query: Mapping[str, str | None] | None = None,
        required: Required = WHATEVER,
    ) -> Answer:
        """Ask once; once more where nobody logged in and the index wants somebody to.

        :param path: its segments below ``/api/v1/``, as they are.
        :param value: sent as JSON.
        :param query: None is left out.
        :param required: what must be true for a change to be made.
        :raises PypicloudError: the index refuses; of the class that says the same here.
        :raises Unanswered: it could not be asked.
        :raises ConfigError: it wants a log-in, and nothing says of whom.
        """
        url = "/".join(
            (self.address.base, "api/v1", *(quote(part, safe="") for part in path))
        )
        given = {k: v for k, v in (query or {}).items() if v is not None}
        if given:
            url += f"?{urlencode(given)}"
        body = None if value is None else to_bytes(value)
        fields = _conditions(required)
        answer = await self._send_small(method, url, fields, body)
        if answer.status == Unauthorized.status and self.credentials.wanted():
            answer = await self._send_small(method, url, fields, body)
        if answer.status >= 300:
            raise self._refusal(answer)
        return answer

    async def _send_small(
        self, method: str, url: str, fields: Mapping[str, str], body: bytes | None
    ) -> Answer:
        headers = self._headers(body, fields)
        sent = None if body is None else SmallBody(body)
        return await self._send(method, url, headers, sent, self.patience)

    async def upload(
        self, content_type: str, form: Callable[[], IBodyProducer], patience: float
    ) -> tuple[str, ...]:
        """Send an upload's form, and return what the index warns of.

        :param form: makes what sends it, for each try.
        :param patience: seconds until the index must have answered.
        :raises PypicloudError: as :meth:`ask` does.
        """
        url = f"{self.address.base}/legacy/"
        answer = await self._send_form(url, content_type, form(), patience)
        if answer.status == Unauthorized.status and self.credentials.wanted():
            answer = await self._send_form(url, content_type, form(), patience)
        if answer.status >= 300:
            raise self._refusal(answer)
        return answer.warnings()

    async def _send_form(
        self, url: str, content_type: str, form: IBodyProducer, patience: float
    ) -> Answer:
        headers = self._headers(None, {"Content-Type": content_type})
        return await self._send("POST", url, headers, form, patience)

    def _headers(self, body: bytes | None, fields: Mapping[str, str]) -> Headers:
        headers = {
            "Accept": "application/json",
            "User-Agent": f"pypicloud/{__version__}",
            **fields,
        }
        login = self.credentials.login
        if login is not None:
            headers["Authorization"] = authorization(login)
        if body is not None:
            headers["Content-Type"] = "application/json"
        return Headers({name: [text] for name, text in headers.items()})

    async def _send(
        self,
        method: str,
        url: str,
        headers: Headers,
        body: IBodyProducer | None,
        patience: float,
    ) -> Answer:
        requester = Requester(
            self.agent, self.clock, self._unanswered, self.patience, self.whole
        )
        return await requester.send(method, url, headers, body, patience=patience)

    def _refusal(self, answer: Answer) -> PypicloudError:
        message = _detail(answer.body)
        if answer.status in (301, 302, 307, 308):
            return self._unanswered("it redirects; give the address where it is")
        if message is None and answer.status == PayloadTooLarge.status:
            return PayloadTooLarge(
                f"The index at {self.address.base}, or a proxy before it, takes no "
                "request as long (status 413)."
            )
        if message is None:
            return self._unanswered(
                f"it answers {answer.status}, and not as this program's server does"
            )
        classes = (kind for kind in _REFUSALS if kind.status == answer.status)
        passing = answer.status >= 500 or answer.status == 429
        return next(classes, Unanswered if passing else Refused)(message)

    def _unanswered(self, why: str) -> Unanswered:
        return Unanswered(
            f"The index at {self.address.base} could not be asked: {why}."
        )


def _conditions(required: Required) -> Mapping[str, str]:
    """Write what is required as header fields (RFC 9110, section 13)."""
    fields = {}
    if required.absent:
        fields["If-None-Match"] = "*"
    if required.present:
        fields["If-Match"] = "*"
    if required.states is not None:
        fields["If-Match"] = ", ".join(f'"{one}"' for one in sorted(required.states))
    return fields


def check_path(path: tuple[str, ...]) -> None:
    """Return if a server can be asked for what these name.

    :raises BadRequest: one is nothing that stands in an address.
    """
    for part in path:
        if part in ("", ".", "..") or "/" in part or _has_surrogates(part):
            raise BadRequest(
                f"A server cannot be asked for {part[:80]!r}: no name in an address is "
                "empty, a dot or two, or has a slash, or is no Unicode text."
            )


def _has_surrogates(text: str) -> bool:
    """Tell whether it has what Python makes of an argument that is no text."""
    return any("\ud800" <= c <= "\udfff" for c in text)


def authorization(login: Login) -> str:
    """Write a log-in as servers read it (RFC 7617, section 2.1).

    :raises ConfigError: the environment has bytes in it that are no text.
    """
    try:
        return login.authorization
    except UnicodeEncodeError:
        raise ConfigError(
            ["The user name or the password is not UTF-8 text."]
        ) from None


def _detail(body: bytes) -> str | None:
    """Return the sentence of a problem (RFC 9457), if it is one.

    Other addresses than those of the API answer with a ``message``.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    detail = document.get("detail", document.get("message"))
    if not isinstance(detail, str) or not detail:
        return None
    return printable_lines(detail)


def _understood(kind: type[T], document: object) -> T:
    try:
        return decode(kind, document, strict=False, bounded=False)
    except NotAsDeclared as e:
        raise _not_ours(str(e)) from None


def _not_ours(why: str = "") -> Unanswered:
    return Unanswered(
        f"The index does not answer as this program's server does. {why}".rstrip()
    )


def _why(error: Exception) -> str:
    """Say why no answer came; certificates are what people get wrong most."""
    if isinstance(error, ResponseFailed) and error.reasons:
        error = error.reasons[0].value
    if isinstance(error, ParseError):
        if error.data.startswith(_ALERT):
            return "it speaks TLS: let its address begin with https://"
        return "it answers with something that is not HTTP"
    if isinstance(error, CancelledError):
        return "it was given up"
    if isinstance(error, ConnectionDone | ConnectionLost):
        return "it hung up without an answer"
    if isinstance(error, VerificationError):
        return "its certificate is another host's"
    if isinstance(error, SSLError):
        return _why_no_tls(error)
    return str(error).rstrip(".") or type(error).__name__


def _why_no_tls(error: SSLError) -> str:
    # Its argument is a list of (library, function, reason), or it is a system's error.
    listed = error.args[0] if error.args else None
    reasons = [str(one[-1]) for one in listed] if isinstance(listed, list) else []
    if "certificate verify failed" in reasons:
        return (
            "its certificate is not trusted (SSL_CERT_FILE or REQUESTS_CA_BUNDLE names "
            "authorities of your own; the second goes first)"
        )
    if not _NO_TLS.isdisjoint(reasons):
        return (
            "it does not speak TLS: if it is the right port, let its address begin "
            "with http://"
        )
    return f"no TLS came about ({', '.join(reasons) or 'it broke off'})"
