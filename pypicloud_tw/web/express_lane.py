"""The express lane: warm pages answered out of the bytes of a connection.

Exactly one well-formed GET or HEAD, on a connection that is idle, for a page that is
known to be fresh and that the reader may read, is answered from bytes that are there
already: no request, no resource and no header field is made for it. Whatever is out of
the ordinary goes the ordinary way with not a byte changed.

Two look-ups find an answer: the page by the request line, and what the client is and
wants by the rest of the head. Of that rest the fields whose values differ from one
request to the next are cut out first, and judged apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Protocol

from attrs import define, field

from pypicloud_tw.access.access import Access
from pypicloud_tw.access.principal import Credentials, Principal
from pypicloud_tw.config.rights import Action
from pypicloud_tw.errors import PypicloudError
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.metrics import Metrics
from pypicloud_tw.redaction import without_secrets
from pypicloud_tw.web.authorization import is_private
from pypicloud_tw.web.http.access_log import AccessLog
from pypicloud_tw.web.http.conditions import is_not_modified
from pypicloud_tw.web.http.proxies import FORWARDED_FOR, Peer, Proxies
from pypicloud_tw.web.last_login import Connection, recall_login
from pypicloud_tw.web.projects import Projects
from pypicloud_tw.web.representation import Representation
from pypicloud_tw.web.request_heads import HeadRest, RequestHeads

# To look it up in the enumeration costs as much as the answer.
_READ = Action.READ

_GET, _HEAD, _LINE_END = b"GET /simple/", b"HEAD /simple/", b"/ HTTP/1.1"
_GET_LENGTH, _HEAD_LENGTH, _END_LENGTH = len(_GET), len(_HEAD), len(_LINE_END)

#: Values of X-Forwarded-For whose client is remembered.
_MOST_CLIENTS = 4096


class Lane(Connection, Protocol):
    """What is asked of the connection that a request comes by."""

    peer: Peer

    @property
    def certificate(self) -> bytes | None:
        """The other end's certificate in DER, if it was asked for one."""

    def answer_at_once(self, status: int, fields: bytes, body: bytes) -> None:
        """Write a whole answer to a request that nothing else has seen."""


@define(eq=False)
class ExpressLane:
    """Answers what needs neither waiting nor a request object.

    :ivar seconds: the clock.
    :ivar observe: counts an answered request, as for those of the ordinary way.
    :ivar access_log: None: there is none.
    :ivar answered: how many requests were, by who may read the page.
    """

    access: Access
    projects: Projects
    heads: RequestHeads
    proxies: Proxies
    seconds: Callable[[], float]
    observe: Callable[[bytes, int, float], None]
    access_log: AccessLog | None = None
    answered: Counter[str] = field(factory=Counter, init=False)
    _clients: dict[tuple[bytes, str], str] = field(factory=dict, init=False)

    def register(self, metrics: Metrics) -> None:
        """Have its counter shown."""
        metrics.read_by(
            "pypicloud_express_answers",
            "Requests answered by the express lane, by who may read the page",
            "page",
            lambda: self.answered,
        )

    def answers(self, connection: Lane, data: bytes) -> bool:
        """Answer what came on an idle connection, or leave it to the ordinary way.

        :returns: whether it was answered; if not, nothing has happened.
        """
        end = data.find(b"\r\n")
        if data.startswith(_GET):
            begin = _GET_LENGTH
        elif data.startswith(_HEAD):
            begin = _HEAD_LENGTH
        else:
            return False
        line = data[:end]
        if end < 0 or not line.endswith(_LINE_END):
            return False
        rest = self.heads.find(data[end:])
        if rest is None:
            return False
        client = self._client(connection.peer, rest)
        if client is None or not self.access.fresh:
            return False
        began = self.seconds()
        # Not looked at but for a look-up: names of ours are normalized ones.
        name = NormalizedName(line[begin:-_END_LENGTH].decode("latin-1"))
        # First: who may not read a project must not find out here whether it exists.
        private, user = False, None
        if not self.access.policy.anyone_reads(name):
            principal = self._reader(connection, name, rest, client)
            if principal is None:
                return False
            private, user = is_private(principal), principal.label
        page = self.projects.known_page(name)
        if page is None or page.relative:
            return False
        made = page.find(page.variant(rest.known.choice))
        if made is None:
            return False
        self.projects.count_known()
        status, length = self._send(connection, begin, rest, made, private)
        self._note(line, rest, client, user, status, length, began)
        self.answered["restricted" if private else "public"] += 1
        return True

    def _client(self, peer: Peer, rest: HeadRest) -> str | None:
        """Return the client's address; None: there is something to be told of it."""
        forwarded = rest.forwarded_for
        if not peer.is_proxy:
            forwards = forwarded is not None or rest.known.forwarded
            return None if forwards else peer.text
        if forwarded is None:
            return peer.text or None
        key = forwarded, peer.text
        client = self._clients.get(key)
        if client is None:
            if len(self._clients) >= _MOST_CLIENTS:
                self._clients.clear()
            fields = {FORWARDED_FOR: [forwarded]}
            client = self._clients[key] = self.proxies.client(fields.get, peer)
        return client

    def _reader(
        self, connection: Lane, name: NormalizedName, rest: HeadRest, client: str
    ) -> Principal | None:
        """Return who reads what not everyone may; None: that takes more than a look."""
        authorization = rest.authorization
        if authorization is None:
            return None

        def shown() -> Credentials:
            proxied = connection.peer.is_proxy and (
                rest.known.forwarded or rest.forwarded_for is not None
            )
            certificate = None if proxied else connection.certificate
            return Credentials(authorization, client, certificate=certificate)

        try:
            principal = recall_login(
                connection, authorization, client, self.access, shown
            )
        except PypicloudError:
            return None
        if principal is None or not self.access.policy.may(principal, _READ, name):
            return None
        return principal

    @staticmethod
    def _send(
        connection: Lane,
        begin: int,
        rest: HeadRest,
        made: Representation,
        private: bool,
    ) -> tuple[int, int]:
        """Send a page; return the status, and how many bytes of a body."""
        tags = rest.if_none_match
        if tags is not None and is_not_modified(tags, made.etag):
            connection.answer_at_once(304, made.not_modified_block(private), b"")
            return 304, 0
        body = made.body if begin == _GET_LENGTH else b""
        connection.answer_at_once(200, made.header_block(private), body)
        return 200, len(body)

    def _note(
        self,
        line: bytes,
        rest: HeadRest,
        client: str,
        user: str | None,
        status: int,
        length: int,
        began: float,
    ) -> None:
        """Count it, and write it into the access log."""
        seconds = max(0.0, self.seconds() - began)
        if self.access_log is not None:
            self.access_log.add(
                client=client.encode(),
                user=None if user is None else user.encode(),
                request_line=without_secrets(line),
                status=status,
                length=length,
                last=rest.known.logged,
                seconds=seconds,
            )
        self.observe(line[: line.index(b" ")], status, seconds)
