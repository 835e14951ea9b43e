"""A server in memory, and something in front of it that does what a test wants."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionRefusedError
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IResponse
from zope.interface import implementer

from pypicloud_tw.access.basic import Login
from pypicloud_tw.client.address import IndexAddress
from pypicloud_tw.diagnosis.outside.asking import Visitor
from pypicloud_tw.diagnosis.outside.front import Front
from pypicloud_tw.diagnosis.outside.pages import Pages
from pypicloud_tw.diagnosis.values import Finding
from tests.diagnosis.doubles import FakeMachine
from tests.doubles import InlineOffload
from tests.web.api.doubles import AccessWeb, WebAgent
from tests.web.doubles import HOST_HEADER, Response, Web

BASE = f"http://{HOST_HEADER}"


@implementer(IAgent)
@define(eq=False)
class Between:
    """Asks a server in memory through what is in front of it.

    :ivar sends: fields that it sends of its own; an empty one is left out.
    :ivar loses: fields of answers that do not come through.
    :ivar answers: what it answers itself, by the whole address.
    :ivar refuses: methods that it does not let through.
    :ivar away: beginnings of addresses where nobody listens.
    :ivar asked: the address and the fields of every request.
    """

    web: Web
    sends: dict[str, str] = field(factory=dict)
    loses: set[str] = field(factory=set)
    answers: dict[str, Response] = field(factory=dict)
    refuses: set[str] = field(factory=set)
    away: set[str] = field(factory=set)
    asked: list[tuple[str, Mapping[str, str]]] = field(factory=list)
    _url: str = ""

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        """See :class:`~twisted.web.iweb.IAgent`."""
        self._url = uri.decode()
        if any(self._url.startswith(beginning) for beginning in self.away):
            return fail(ConnectionRefusedError("nobody listens"))
        agent = WebAgent(_Behind(self))  # type: ignore[arg-type]  # all it asks of it
        return agent.request(method, uri, headers, bodyProducer)

    def answer(
        self, method: str, path: str, fields: Mapping[str, str], body: bytes
    ) -> Response:
        """Answer, or pass it on."""
        self.asked.append((self._url, fields))
        found = self.answers.get(self._url)
        if method in self.refuses:
            found = Response(405, "", {}, b"")
        elif found is None:
            sent = {k: v for k, v in {**fields, **self.sends}.items() if v}
            found = self.web.request(method, path, sent, body)
        kept = {k: v for k, v in found.fields.items() if k not in self.loses}
        return Response(found.status, found.reason, kept, found.body)


@define
class _Behind:
    between: Between

    def request(
        self, method: str, path: str, fields: Mapping[str, str], body: bytes
    ) -> Response:
        return self.between.answer(method, path, fields, body)


class OutsideCase(SynchronousTestCase):
    """A server in memory, whose administrator is ann."""

    base = BASE

    def setUp(self) -> None:
        self.web = AccessWeb()
        self.between = Between(self.web)
        self.machine = FakeMachine()
        self.login: Login | None = None
        self.deep = False

    def visitor(self) -> Visitor:
        address = IndexAddress.parse(self.base, "x")
        return Visitor(address, self.login, self.between, self.web.domain.clock)

    def front(self) -> Front:
        return Front(self.visitor(), self.machine.machine, InlineOffload())

    def pages(self) -> Pages:
        return Pages(self.visitor(), self.deep)

    def look(self, work: Coroutine[Any, Any, list[Finding]]) -> list[Finding]:
        looking = Deferred.fromCoroutine(work)
        self.web.domain.settle(looking)
        return self.successResultOf(looking)

    def instead(self, path: str, status: int, body: bytes = b"", **fields: str) -> None:
        """Have what is in front answer for a path of the index."""
        named = {name.replace("_", "-"): text for name, text in fields.items()}
        url = path if "://" in path else f"{self.base}{path}"
        self.between.answers[url] = Response(status, "", named, body)
