"""The express lane: what is known in memory, answered out of a connection's bytes.

Exactly one well-formed request on a connection that is idle, for a page that is known
to be fresh or a file that lies in a bucket, by somebody who may read it, is answered
from bytes that are there already: no request, no resource and no header field is made
for it. Whatever is out of the ordinary goes the ordinary way with not a byte changed.

Two look-ups find an answer: what is asked for by the request line, and what the client
is and wants by the rest of the head. Of that rest the fields whose values differ from
one request to the next are cut out first, and judged apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Protocol

from attrs import define, field

from pypicloud_tw.access.access import Access
from pypicloud_tw.access.principal import ANONYMOUS, Credentials, Principal
from pypicloud_tw.config.rights import Action
from pypicloud_tw.errors import PypicloudError
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.metrics import Metrics
from pypicloud_tw.redaction import without_secrets
from pypicloud_tw.web.authorization import decide, is_private
from pypicloud_tw.web.downloads import FileSender
from pypicloud_tw.web.http.access_log import AccessLog, logged_word
from pypicloud_tw.web.http.conditions import is_not_modified
from pypicloud_tw.web.http.proxies import FORWARDED_FOR, Peer, Proxies
from pypicloud_tw.web.last_login import Connection, recall_login
from pypicloud_tw.web.projects import Projects
from pypicloud_tw.web.request_heads import HeadRest, RequestHeads

# To look it up in the enumeration costs as much as the answer.
_READ = Action.READ

_GET_PAGE, _HEAD_PAGE = b"GET /simple/", b"HEAD /simple/"
_GET_FILE = b"GET /packages/"
_VERSION = b" HTTP/1.1"

# What stands between the beginning of each line and its version.
_PAGE_PATH = slice(len(_GET_PAGE), -len(_VERSION))
_HEAD_PATH = slice(len(_HEAD_PAGE), -len(_VERSION))
_FILE_PATH = slice(len(_GET_FILE), -len(_VERSION))

#: Values of X-Forwarded-For whose client is remembered.
_MOST_CLIENTS = 4096


class Lane(Connection, Protocol):
    """What is asked of the connection that a request comes by.

    :ivar kept_head: the head that came last, if it was understood.
    """

    peer: Peer
    kept_head: object

    @property
    def certificate(self) -> bytes | None:
        """The other end's certificate in DER, if it was asked for one."""

    def answer_at_once(self, status: int, fields: bytes, body: bytes) -> None:
        """Write a whole answer to a request that nothing else has seen."""


@define(eq=False)
class _KeptHead:
    """What a client sends behind the request line, again and again.

    :ivar data: the bytes, in which there may be a password.
    :ivar reader: who was last found to ask.
    :ivar user: how the access log names it.
    """

    data: bytes = field(repr=False)
    rest: HeadRest
    reader: Principal = ANONYMOUS
    user: bytes | None = None

    def name(self, reader: Principal) -> bytes | None:
        """Return how the access log names who asks."""
        if reader is not self.reader:
            label = reader.label
            self.user = None if label is None else logged_word(label.encode())
            self.reader = reader
        return self.user


# Not frozen, which would double what it costs to make one for each request.
@define
class _Asked:
    """One request, as far as it is understood.

    :ivar line: method, target and version.
    :ivar client: its address.
    :ivar reader: who was found to ask.
    """

    connection: Lane
    line: bytes
    head: _KeptHead
    client: str
    began: float
    reader: Principal = ANONYMOUS


#: Answers a request; returns the status and how many bytes of a body were sent, or None
#: where it is to go the ordinary way.
_Answer = Callable[[_Asked], "tuple[int, int] | None"]


@define(eq=False)
class ExpressLane:
    """Answers what needs neither waiting nor a request object.

    :ivar seconds: the clock.
    :ivar observe: counts an answered request, as for those of the ordinary way.
    :ivar access_log: None: there is none.
    :ivar answered: how many requests were, by what was asked for and by who may read
        it.
    """

    access: Access
    projects: Projects
    files: FileSender
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
            "Requests answered by the express lane, by what was asked for",
            "kind",
            lambda: self.answered,
        )

    def answers(self, connection: Lane, data: bytes) -> bool:
        """Answer what came on an idle connection, or leave it to the ordinary way.

        :returns: whether it was answered; if not, nothing has happened.
        """
        end = data.find(b"\r\n")
        line = data[:end]
        if end < 0 or not line.endswith(_VERSION):
            return False
        answer: _Answer
        if line.startswith(_GET_PAGE):
            answer = self._get_page
        elif line.startswith(_GET_FILE):
            answer = self._get_file
        elif line.startswith(_HEAD_PAGE):
            answer = self._head_of_page
        else:
            return False
        head = self._head(connection, data[end:])
        if head is None:
            return False
        client = self._client(connection.peer, head.rest)
        if client is None or not self.access.fresh:
            return False
        asked = _Asked(connection, line, head, client, self.seconds())
        answered = answer(asked)
        if answered is None:
            return False
        self._note(asked, *answered)
        return True

    def _head(self, connection: Lane, data: bytes) -> _KeptHead | None:
        """Understand what follows the request line; None: it is not ordinary.

        Mostly it is what came last: that saves 3 µs of what is cut out.
        """
        kept = connection.kept_head
        if isinstance(kept, _KeptHead) and kept.data == data:
            return kept
        rest = self.heads.find(data)
        if rest is None:
            return None
        kept = connection.kept_head = _KeptHead(data, rest)
        return kept

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

    def _get_page(self, asked: _Asked) -> tuple[int, int] | None:
        return self._page(asked, asked.line[_PAGE_PATH], True)

    def _head_of_page(self, asked: _Asked) -> tuple[int, int] | None:
        return self._page(asked, asked.line[_HEAD_PATH], False)

    def _page(
        self, asked: _Asked, path: bytes, with_body: bool
    ) -> tuple[int, int] | None:
        if not path.endswith(b"/"):
            return None
        # Only to be looked up: the names that will be found are normalized ones.
        name = NormalizedName(path[:-1].decode("latin-1"))
        # First: who may not read a project must not find out here whether it exists.
        if not self._may_read(asked, name):
            return None
        page = self.projects.known_page(name)
        if page is None or page.relative:
            return None
        rest = asked.head.rest
        made = page.find(page.variant(rest.known.choice))
        if made is None:
            return None
        self.projects.count_known()
        private = is_private(asked.reader)
        self.answered["restricted page" if private else "page"] += 1
        tags = rest.if_none_match
        known = tags is not None and is_not_modified(tags, made.etag)
        status, block, body = made.answer(private, known=known)
        if not with_body:
            body = b""
        asked.connection.answer_at_once(status, block, body)
        return status, len(body)

    def _get_file(self, asked: _Asked) -> tuple[int, int] | None:
        path = asked.line[_FILE_PATH].decode("latin-1")
        parts = path.split("/")
        if len(parts) != 3:
            return None
        name, digest, filename = NormalizedName(parts[0]), parts[1], parts[2]
        if not self._may_read(asked, name):
            return None
        file = self.projects.known_file(name, digest, filename)
        if file is None:
            return None
        agent = asked.head.rest.known.agent
        fields = self.files.known_redirect(name, file, agent, asked.began)
        if fields is None:
            return None
        self.projects.count_known()
        private = is_private(asked.reader)
        self.answered["restricted file" if private else "file"] += 1
        asked.connection.answer_at_once(302, fields, b"")
        return 302, 0

    def _may_read(self, asked: _Asked, name: NormalizedName) -> bool:
        """Return whether a project may be read, as far as that takes only a look."""
        try:
            reader = decide(self.access, _READ, name, partial(self._recall, asked))
        except PypicloudError:
            return False
        if reader is None:
            return False
        asked.reader = reader
        return True

    def _recall(self, asked: _Asked) -> Principal | None:
        rest, connection = asked.head.rest, asked.connection
        authorization = rest.authorization
        if authorization is None:
            return None

        def shown() -> Credentials:
            proxied = connection.peer.is_proxy and (
                rest.known.forwarded or rest.forwarded_for is not None
            )
            certificate = None if proxied else connection.certificate
            return Credentials(authorization, asked.client, certificate=certificate)

        return recall_login(connection, authorization, asked.client, self.access, shown)

    def _note(self, asked: _Asked, status: int, length: int) -> None:
        """Count it, and write it into the access log."""
        line = asked.line
        seconds = max(0.0, self.seconds() - asked.began)
        if self.access_log is not None:
            self.access_log.add(
                client=asked.client.encode(),
                user=asked.head.name(asked.reader),
                request_line=without_secrets(line),
                status=status,
                length=length,
                last=asked.head.rest.known.logged,
                seconds=seconds,
            )
        self.observe(line[: line.index(b" ")], status, seconds)
