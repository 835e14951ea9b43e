"""The head of a request: its bytes -> a value, by the rules of RFC 9112.

Where the standard lets a server be lenient about framing we are not: a proxy in front
may have understood the same bytes otherwise, and a request may hide in between.
"""

from __future__ import annotations

import re

from attrs import define, field
from twisted.web.http_headers import Headers

#: Bytes of a head, and fields in it; more is answered with 431.
MAX_HEAD = 16 * 1024
MAX_FIELDS = 200

# How many spellings of field names are remembered, and of which length: clients use few
# and short ones, attackers others.
_MAX_NAMES, _MAX_NAME = 1000, 64

_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# The target is of visible characters, but without a fragment (RFC 9112, section 3.2).
_REQUEST_LINE = re.compile(
    rb"(" + _TOKEN.pattern + rb") ([\x21\x22\x24-\x7e]+) HTTP/([0-9])\.([0-9])"
)

#: Fields of one value, on which it depends who gets which answer. Of two, a proxy in
#: front may have judged the other (RFC 9110, section 5.3).
_SINGLE = frozenset(
    b"Authorization Content-Type Content-Range Origin Sec-Fetch-Site".split()
)
_ABSOLUTE = re.compile(rb"(?i:https?)://(?:[^/?#@]*@)?([^/?#@]+)([/?].*)?")
_HOST = re.compile(
    rb"(?:[0-9A-Za-z._~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?"
)
# The longest body that can be declared: more digits would only be an attempt.
_LENGTH = re.compile(rb"[0-9]{1,18}")


class BadHeadError(Exception):
    """The bytes are no request that we answer.

    :ivar status: what it is answered with; the connection ends after it.
    :ivar sentence: what is wrong; repeats nothing of what was sent.
    """

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


def check_beginning(data: bytes) -> None:
    """Refuse at its first byte what cannot become a head, however long one waits.

    It is mostly TLS: whoever wrote ``https`` for ``http`` hears of it at once.

    :param data: what has come, which is not a whole head yet.
    :raises BadHeadError: no request begins so.
    """
    if data not in (b"", b"\r") and _TOKEN.match(data) is None:
        raise _no_request()


def _no_request() -> BadHeadError:
    return BadHeadError(400, "This is not the first line of an HTTP/1.1 request.")


class ReceivedHeaders(Headers):
    """Header fields as they were parsed, with names in canonical case.

    Twisted's own would be filled field by field, which costs 1 µs each; its one
    attribute is therefore set whole.
    """

    __slots__ = ()

    def __init__(self, fields: dict[bytes, list[bytes]]) -> None:
        self._rawHeaders = fields


@define
class Head:
    """What a request is before its body.

    :ivar target: path and query, beginning with ``/``; or ``*``.
    :ivar version: ``HTTP/1.1`` or ``HTTP/1.0``; the former for all that came later
        (RFC 9110, section 6.2).
    :ivar length: of the body in bytes; None if it comes in chunks.
    :ivar persistent: the connection may carry another request after this one.
    :ivar expects_continue: the sender waits for ``100 Continue`` before the body.
    """

    method: bytes
    target: bytes
    version: bytes
    fields: dict[bytes, list[bytes]]
    length: int | None
    persistent: bool
    expects_continue: bool


@define(eq=False)
class HeadParser:
    """Parses heads, and remembers field names in canonical case."""

    _names: dict[bytes, bytes] = field(factory=dict)

    def parse(self, block: bytes) -> Head:
        """Understand a head.

        :param block: its bytes without the empty line that ends it.
        :raises BadHeadError: it is not to be answered, or not to be trusted.
        """
        lines = _lines(block)
        method, target, version = _request_line(lines[0])
        fields = self._fields(lines[1:])
        host = _host(fields, version)
        if target[0] != 0x2F:
            target, host = _unusual(method, target, host)
            fields[b"Host"] = [host]
        expect = fields.get(b"Expect")
        modern = version == b"HTTP/1.1"
        return Head(
            method,
            target,
            version,
            fields,
            _length(fields, version),
            modern and not _closes(fields),
            modern and expect is not None and expect[0].lower() == b"100-continue",
        )

    def parse_fields(self, block: bytes) -> dict[bytes, list[bytes]]:
        """Understand header fields alone, or those of a trailer section.

        :param block: their lines, of which the last has no CR LF.
        :returns: the values by name in canonical case.
        :raises BadHeadError: they are not well-formed, or too many.
        """
        return self._fields(_lines(block))

    def _fields(self, lines: list[bytes]) -> dict[bytes, list[bytes]]:
        if len(lines) > MAX_FIELDS:
            raise BadHeadError(431, "The request has too many header fields.")
        names = self._names
        fields: dict[bytes, list[bytes]] = {}
        for line in lines:
            raw, colon, value = line.partition(b":")
            name = names.get(raw) or self._canonical(raw)
            if not colon:
                raise BadHeadError(400, "A header field has no colon.")
            if name in fields:
                if name in _SINGLE:
                    raise BadHeadError(400, f"The request has two {name.decode()}.")
                fields[name].append(value.strip(b" \t"))
            else:
                fields[name] = [value.strip(b" \t")]
        return fields

    def _canonical(self, raw: bytes) -> bytes:
        """Return a name in its usual case; one with a space or a fold is refused."""
        if _TOKEN.fullmatch(raw) is None:
            raise BadHeadError(400, "A header field's name is no token.")
        if len(raw) > _MAX_NAME:
            # Nothing here asks for it, and Twisted would remember it as well.
            return raw
        ((name, _),) = Headers({raw: [b""]}).getAllRawHeaders()
        if len(self._names) < _MAX_NAMES:
            self._names[raw] = name
        return name


def _lines(block: bytes) -> list[bytes]:
    """Take apart what a bare CR or LF and NUL would divide in other places."""
    lines = block.split(b"\r\n")
    breaks = len(lines) - 1
    if block.count(b"\n") != breaks or block.count(b"\r") != breaks:
        raise BadHeadError(400, "Lines of a request end in CR LF.")
    if b"\0" in block:
        raise BadHeadError(400, "A request's head holds no NUL.")
    return lines


def _request_line(line: bytes) -> tuple[bytes, bytes, bytes]:
    """Find method, target and the version that it is answered by."""
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        raise _no_request()
    method, target, major, minor = match.groups()
    if major != b"1":
        raise BadHeadError(505, "Only HTTP/1.1 and HTTP/1.0 are spoken here.")
    if method != method.upper():
        # Their case differs (RFC 9110, section 9.1): what a router behind took for HEAD
        # would be answered with a body.
        raise BadHeadError(501, "Methods are written in capitals; their case differs.")
    return method, target, b"HTTP/1.0" if minor == b"0" else b"HTTP/1.1"


def _host(fields: dict[bytes, list[bytes]], version: bytes) -> bytes:
    """Find the one Host (RFC 9112, section 3.2)."""
    hosts = fields.get(b"Host")
    if hosts is None:
        if version == b"HTTP/1.1":
            raise BadHeadError(400, "The request has no Host.")
        return b""
    if len(hosts) > 1 or _HOST.fullmatch(hosts[0]) is None:
        raise BadHeadError(400, "The request's Host is not one valid name.")
    return hosts[0]


def _unusual(method: bytes, target: bytes, host: bytes) -> tuple[bytes, bytes]:
    """Understand a target that is no path (RFC 9112, section 3.2)."""
    if target == b"*" and method == b"OPTIONS":
        return target, host
    match = _ABSOLUTE.fullmatch(target)
    if match is None or _HOST.fullmatch(match[1]) is None:
        raise BadHeadError(
            400, "The request's target is neither a path nor an address."
        )
    path = match[2] or b"/"
    return (path if path[0] == 0x2F else b"/" + path), match[1]


def _length(fields: dict[bytes, list[bytes]], version: bytes) -> int | None:
    """Find where the body ends (RFC 9112, sections 6.1 to 6.3)."""
    lengths = fields.get(b"Content-Length")
    codings = fields.get(b"Transfer-Encoding")
    if codings is not None:
        if lengths is not None or version != b"HTTP/1.1":
            raise BadHeadError(400, "The request's length is told in two ways.")
        if len(codings) != 1 or codings[0].lower() != b"chunked":
            raise BadHeadError(501, "The only transfer coding known here is chunked.")
        return None
    if lengths is None:
        return 0
    if len(lengths) != 1 or _LENGTH.fullmatch(lengths[0]) is None:
        raise BadHeadError(400, "The request's Content-Length is not one number.")
    return int(lengths[0])


def _closes(fields: dict[bytes, list[bytes]]) -> bool:
    values = fields.get(b"Connection")
    if values is None or values == [b"keep-alive"]:
        return False
    options = b",".join(values).lower().split(b",")
    return any(option.strip() == b"close" for option in options)
