"""XML-RPC as bytes: calls are read without trust, answers written in pieces.

The parser takes no document type, and so no entity that could grow; no call is longer
than :data:`MAX_CALL`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar
from xml.parsers import expat
from xmlrpc.client import Error, Fault, Unmarshaller, dumps

from attrs import frozen

from pypicloud_tw.index.changelog import EPOCH
from pypicloud_tw.web.http.site import Request
from pypicloud_tw.web.xml_text import fit_text

CONTENT_TYPE = b"text/xml; charset=utf-8"

#: Bytes of a call: ``pip search`` with a page of words.
MAX_CALL = 64 * 1024

#: Of the specification for fault code interoperability.
NOT_WELL_FORMED, NO_SUCH_METHOD, INVALID_PARAMETERS = -32700, -32601, -32602

_MEDIA_TYPES = frozenset({b"text/xml", b"application/xml"})

_LARGEST_INT = 2**31 - 1

#: What reading a call raises that is none.
_BAD = (
    expat.ExpatError,
    Error,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,  # of decimal numbers too, which Python reads as an extension
)


@frozen
class Call:
    """A method and what it is called with."""

    method: str
    parameters: tuple[Any, ...]

    NONE: ClassVar[str] = "This is no call of XML-RPC."

    @classmethod
    def read(cls, data: bytes) -> Call:
        """Read one.

        :raises Fault: it is none.
        """
        reader = Unmarshaller()
        # As xmlrpc.client has it; typeshed wants a coding, but texts come decoded.
        reader.xml(None, None)  # type: ignore[arg-type]
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = _refuse
        parser.StartElementHandler = reader.start
        parser.EndElementHandler = reader.end
        parser.CharacterDataHandler = reader.data
        try:
            parser.Parse(data, True)
            parameters = reader.close()
        except Fault:
            raise Fault(NOT_WELL_FORMED, cls.NONE) from None
        except _BAD:
            raise Fault(NOT_WELL_FORMED, cls.NONE) from None
        method = reader.getmethodname()
        if not isinstance(method, str):
            raise Fault(NOT_WELL_FORMED, cls.NONE)
        return cls(method, tuple(parameters))


def _refuse(*declared: object) -> None:
    raise ValueError("a call has no document type")


def is_call(request: Request) -> bool:
    """Return whether a request is a call, by its Content-Type; an upload is a form."""
    media_type = (request.getHeader(b"Content-Type") or b"").partition(b";")[0]
    return media_type.strip().lower() in _MEDIA_TYPES


def fault(error: Fault) -> bytes:
    """Write a fault, which pip shows to its user."""
    return dumps(error, encoding="utf-8").encode()


def result(value: object) -> bytes:
    """Write an answer: of texts, numbers, lists, objects and None."""
    return dumps(
        (_fit(value),), methodresponse=True, encoding="utf-8", allow_none=True
    ).encode()


def names_result(batches: Iterable[Sequence[str]]) -> Iterator[bytes]:
    """Write a list of projects' names, in which nothing needs escaping."""
    yield _BEGIN + b"<array><data>"
    for names in batches:
        yield "".join([_STRING.format(name) for name in names]).encode()
    yield b"</data></array>" + _END


def serials_result(batches: Iterable[Sequence[tuple[str, int]]]) -> Iterator[bytes]:
    """Write projects' names with their serials, as an object."""
    yield _BEGIN + b"<struct>"
    for batch in batches:
        yield "".join([_MEMBER.format(name, serial) for name, serial in batch]).encode()
    yield b"</struct>" + _END


def changes_result(batches: Iterable[Sequence[tuple[str, int]]]) -> Iterator[bytes]:
    """Write changes as lists: a name, no version, a time, what was done, the serial."""
    yield _BEGIN + b"<array><data>"
    for batch in batches:
        yield "".join(
            [_CHANGE.format(name, EPOCH + serial, serial) for name, serial in batch]
        ).encode()
    yield b"</data></array>" + _END


_BEGIN = b"<?xml version='1.0'?>\n<methodResponse>\n<params>\n<param>\n<value>"
_END = b"</value>\n</param>\n</params>\n</methodResponse>\n"
_STRING = "<value><string>{}</string></value>\n"
_MEMBER = "<member><name>{}</name><value><int>{}</int></value></member>\n"
_CHANGE = (
    "<value><array><data><value><string>{}</string></value>"
    "<value><string></string></value><value><int>{}</int></value>"
    "<value><string>change</string></value><value><int>{}</int></value>"
    "</data></array></value>\n"
)


def _fit(value: Any) -> Any:
    """Make a value fit: XML has not every character, XML-RPC no large integers."""
    match value:
        case str():
            return fit_text(value)
        case bool() | float() | None:
            return value
        case int():
            return value if abs(value) <= _LARGEST_INT else float(value)
        case dict():
            return {_fit(key): _fit(one) for key, one in value.items()}
        case _:
            return [_fit(one) for one in value]
