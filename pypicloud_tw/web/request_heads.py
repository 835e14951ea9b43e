"""What clients send behind the request line, understood once for many requests.

A client sends the same fields with each request, but for a few whose values differ:
those are cut out of the bytes, and what is left is looked up.
"""

from __future__ import annotations

from attrs import define, field, frozen

from pypicloud_tw.errors import NotAcceptable
from pypicloud_tw.web.http.access_log import logged_fields
from pypicloud_tw.web.http.fields import one_value
from pypicloud_tw.web.http.head import MAX_FIELDS, BadHeadError, Head, HeadParser
from pypicloud_tw.web.http.proxies import FORWARDED, FORWARDED_FOR, Proxies
from pypicloud_tw.web.negotiation import Choice, Negotiator

#: Heads that are remembered, of those that were understood and of those that were seen
#: once; and bytes of each: pip's have some 900, browsers' up to 2,000.
REMEMBERED, LONGEST = 1024, 4096

_AUTHORIZATION, _IF_NONE_MATCH = b"Authorization", b"If-None-Match"
_CUT = tuple(
    (b"\r\n%b: " % name.lower(), b"\r\n%b: " % name)
    for name in (_AUTHORIZATION, _IF_NONE_MATCH, FORWARDED_FOR)
)

#: What makes a request another one than these.
_UNUSUAL = frozenset(
    {
        b"Content-Length",
        b"Transfer-Encoding",
        b"Expect",
        b"If-Match",
        b"If-Modified-Since",
        b"If-Unmodified-Since",
    }
)
# For the parser, which wants a whole head.
_ANY_LINE = b"GET / HTTP/1.1"


@frozen
class KnownHead:
    """What fields mean that many requests have in common.

    :ivar choice: which format and coding of a page.
    :ivar logged: how the line of the access log ends, the duration apart.
    :ivar agent: the User-Agent.
    :ivar forwarded: a proxy says something of its client.
    """

    choice: Choice
    logged: bytes
    agent: bytes | None
    forwarded: bool


# Not frozen, which would double what it costs to make one for each request.
@define
class HeadRest:
    """The rest of one request's head.

    :ivar known: what it has in common with others.
    """

    known: KnownHead
    authorization: bytes | None = field(default=None, repr=False)
    if_none_match: bytes | None = None
    forwarded_for: bytes | None = None


@define(eq=False)
class RequestHeads:
    """Recognizes the rest of ordinary heads, from the second time on.

    :ivar identity: fields in which a proxy names users; heads with them are not
        ordinary ones.
    """

    identity: frozenset[bytes] = frozenset()
    _parser: HeadParser = field(factory=HeadParser, init=False)
    _negotiator: Negotiator = field(factory=Negotiator, init=False)
    _known: dict[bytes, HeadRest] = field(factory=dict, init=False, repr=False)
    # Whether what has been seen is to be understood: not what turned out unusual.
    _seen: dict[bytes, bool] = field(factory=dict, init=False, repr=False)

    @classmethod
    def of(cls, proxies: Proxies) -> RequestHeads:
        """Make it for a server that is behind these."""
        identity = proxies.identity
        return cls(frozenset() if identity is None else identity.names)

    @property
    def remembered(self) -> int:
        """How many heads are remembered, and how many were seen."""
        return len(self._known) + len(self._seen)

    def find(self, rest: bytes) -> HeadRest | None:
        """Find what follows the request line.

        :param rest: from the end of that line on, all that has come.
        :returns: None unless it is the rest of one ordinary head.
        """
        whole = self._known.get(rest)
        if whole is not None:
            return whole
        if len(rest) > LONGEST or rest.find(b"\r\n\r\n") != len(rest) - 4:
            return None
        return self._find_without_cut(rest)

    def _find_without_cut(self, rest: bytes) -> HeadRest | None:
        values: list[bytes | None] = []
        for lower, usual in _CUT:
            start = rest.find(usual)
            if start < 0:
                start = rest.find(lower)
            if start < 0:
                values.append(None)
                continue
            end = rest.find(b"\r\n", start + len(usual))
            value = rest[start + len(usual) : end].strip(b" \t")
            if b"\r" in value or b"\n" in value or b"\0" in value:
                return None
            values.append(value)
            rest = rest[:start] + rest[end:]
        common = self._known.get(rest)
        if common is None:
            self._look(rest)
            return None
        return HeadRest(common.known, *values)

    def _look(self, rest: bytes) -> None:
        """Take down what has been seen, and understand it at the second time."""
        again = self._seen.get(rest)
        if again is None:
            if len(self._seen) >= REMEMBERED:
                self._seen.clear()
            self._seen[rest] = True
        elif again:
            known = self._understood(rest)
            if known is None:
                self._seen[rest] = False
                return
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[rest] = HeadRest(known)

    def _understood(self, rest: bytes) -> KnownHead | None:
        """Understand fields; None: they are not those of an ordinary request."""
        try:
            head = self._parser.parse(_ANY_LINE + rest[:-4])
        except BadHeadError:
            return None
        fields = head.fields
        names = fields.keys()
        if not (head.persistent and _UNUSUAL.isdisjoint(names)):
            return None
        # One of these that is left was spelled otherwise, or came twice.
        if not names.isdisjoint((_AUTHORIZATION, _IF_NONE_MATCH, FORWARDED_FOR)):
            return None
        if len(rest.split(b"\r\n")) > MAX_FIELDS - len(_CUT):
            return None
        if not self.identity.isdisjoint(names):
            return None
        return self._known_head(head)

    def _known_head(self, head: Head) -> KnownHead | None:
        fields = head.fields
        try:
            choice = self._negotiator.choose(
                one_value(fields.get(b"Accept")),
                one_value(fields.get(b"Accept-Encoding")),
            )
        except NotAcceptable:
            return None
        referrer, agent = _last(fields, b"Referer"), _last(fields, b"User-Agent")
        return KnownHead(
            choice,
            logged_fields(referrer, agent),
            agent,
            not FORWARDED.isdisjoint(fields.keys()),
        )


def _last(fields: dict[bytes, list[bytes]], name: bytes) -> bytes | None:
    values = fields.get(name)
    return values[-1] if values else None
