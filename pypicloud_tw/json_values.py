"""attrs classes as JSON objects and back: one declaration for who asks and who answers.

A class names its fields and their types; that is the form of the object. What is
written is read again as it was. Understood are ``str``, ``bool``, ``int``, ``float``,
datetimes, enumerations, literals, other such classes, optional values, tuples and sets
of any of these, and mappings of text to text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Generator, Mapping
from datetime import UTC, datetime
from enum import Enum
from functools import cache
from types import MappingProxyType, NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import attrs

from pypicloud_tw.plain_texts import shortened

T = TypeVar("T")

#: Characters that a text may have unless its field says otherwise (:func:`longest`).
LONGEST = 1024

_TEXTS = "texts"

#: Objects of a list that are written in a piece: a millisecond or two.
_PIECE = 50

#: What a text has that is one line: neither controls nor separators of lines.
ONE_LINE = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$"
_ONE_LINE = re.compile(ONE_LINE.replace("$", r"\Z"))

#: What JSON has, too.
_PLAIN = frozenset({str, bool, int, float, NoneType})


class NotAsDeclared(ValueError):
    """A document is not of its form; the text is a sentence that names the field."""


@attrs.frozen
class Texts:
    """What a field's texts may be.

    :ivar longest: characters.
    :ivar one_line: they have no controls and do not end a line: :data:`ONE_LINE`.
    """

    longest: int = LONGEST
    one_line: bool = False


def longest(characters: int, *, one_line: bool = False) -> dict[str, object]:
    """Make the metadata of a field whose texts may have so many characters."""
    return {_TEXTS: Texts(characters, one_line)}


def encode(value: object) -> Any:
    """Return a value in what :mod:`json` takes; sets in order, so that it is stable."""
    kind = type(value)
    if kind in _PLAIN:
        return value  # most values, and quickly
    if attrs.has(kind):
        return {name: encode(getattr(value, name)) for name in declared(kind)}
    match value:
        case Enum():
            return value.value
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case Mapping():
            return {str(k): encode(v) for k, v in sorted(value.items())}
        case set() | frozenset():
            return sorted(map(encode, value))
        case tuple() | list():
            return [encode(one) for one in value]
    raise TypeError(f"{kind.__name__} has no form in JSON here.")


def to_bytes(value: object) -> bytes:
    """Return a value as a JSON document."""
    return json.dumps(encode(value), ensure_ascii=False).encode()


def to_bytes_in_steps(value: object) -> Generator[None, None, bytes]:
    """Return an object as :func:`to_bytes` does, with pauses within its long lists.

    :param value: of an attrs class.
    """
    members = []
    kind: Any = type(value)
    for name in declared(kind):
        member = getattr(value, name)
        if not isinstance(member, tuple):
            written = to_bytes(member)
        else:
            items: list[bytes] = []
            for at in range(0, len(member), _PIECE):
                items += map(to_bytes, member[at : at + _PIECE])
                yield
            written = b"[%b]" % b", ".join(items)
        members.append(b'"%b": %b' % (name.encode(), written))
    return b"{%b}" % b", ".join(members)


def from_bytes(kind: type[T], data: bytes, *, strict: bool = True) -> T:
    """Read a document; parameters and errors as of :func:`decode`."""
    try:
        # UTF-8 alone (RFC 8259, section 8.1); some clients begin with its mark.
        text = data.decode("utf-8-sig")
        document = json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
    except NotAsDeclared:
        raise
    except (ValueError, RecursionError):
        raise NotAsDeclared("This is not a JSON document.") from None
    return decode(kind, document, strict=strict)


def decode(
    kind: type[T], document: object, *, strict: bool = True, bounded: bool = True
) -> T:
    """Read a class's object.

    :param strict: refuse fields that are not declared; a client that reads what a
        newer server says ignores them.
    :param bounded: refuse texts that are too long; our own server may have taken them
        from elsewhere, and its answer as a whole is bounded.
    :raises NotAsDeclared: it is of another form.
    """
    return _Reader(strict, bounded).members(kind, document, "")


@attrs.frozen
class Declared:
    """One field: its type, what its texts may be, and whether it must be there.

    :ivar default: what holds where it is left out.
    """

    kind: Any
    texts: Texts
    needed: bool
    default: object


_USUAL = Texts()


@cache
def declared(kind: type[Any]) -> Mapping[str, Declared]:
    """Return what a class declares, by the field's name; made once for each class."""
    hints = get_type_hints(kind)
    return {
        field.name: Declared(
            hints[field.name],
            field.metadata.get(_TEXTS, _USUAL),
            field.default is attrs.NOTHING,
            field.default,
        )
        for field in attrs.fields(kind)
    }


@attrs.frozen
class _Reader:
    strict: bool
    bounded: bool

    def members(self, kind: type[T], document: object, path: str) -> T:
        if not isinstance(document, dict):
            raise _wrong(path, "an object")
        fields = declared(kind)  # type: ignore[arg-type]  # classes are hashable
        unknown = sorted(document.keys() - fields.keys()) if self.strict else []
        if unknown:
            raise NotAsDeclared(
                f"There is no field {_shown(_join(path, unknown[0]))}; there are "
                f"{', '.join(fields)}."
            )
        given = {}
        for name, field in fields.items():
            if name in document:
                inner = _join(path, name)
                given[name] = self.value(field.kind, document[name], inner, field.texts)
            elif field.needed:
                raise NotAsDeclared(
                    f"The field {_shown(_join(path, name))} is missing."
                )
        return kind(**given)

    def value(self, kind: Any, value: object, path: str, texts: Texts) -> Any:
        """Read one value; *texts* says what its texts may be."""
        if kind is str:
            return self._text(value, path, texts)
        origin, arguments = get_origin(kind), get_args(kind)
        if origin in (Union, UnionType):
            if value is None and NoneType in arguments:
                return None
            (kind,) = (one for one in arguments if one is not NoneType)
            return self.value(kind, value, path, texts)
        if origin is Literal:
            return _one_of(arguments, value, path)
        if origin in (tuple, frozenset):
            return origin(self._items(arguments[0], value, path, texts))
        if origin is not None and issubclass(origin, Mapping):
            return self._mapping(value, path, texts)
        if issubclass(kind, Enum):
            return kind(_one_of([one.value for one in kind], value, path))
        if attrs.has(kind):
            return self.members(kind, value, path)
        if kind is datetime:
            return _moment(self._text(value, path, texts), path)
        return _plain(kind, value, path)

    def _items(self, kind: Any, value: object, path: str, texts: Texts) -> list[Any]:
        if not isinstance(value, list):
            raise _wrong(path, "a list")
        return [
            self.value(kind, one, f"{path}[{number}]", texts)
            for number, one in enumerate(value)
        ]

    def _mapping(self, value: object, path: str, texts: Texts) -> Mapping[str, str]:
        if not isinstance(value, dict):
            raise _wrong(path, "an object")
        return MappingProxyType(
            {
                self._text(k, path, texts): self._text(v, _join(path, k), texts)
                for k, v in value.items()
            }
        )

    def _text(self, value: object, path: str, texts: Texts) -> str:
        if not isinstance(value, str):
            raise _wrong(path, "text")
        if self.bounded and len(value) > texts.longest:
            raise NotAsDeclared(
                f"The field {_shown(path)} is too long; it may have {texts.longest} "
                "characters."
            )
        if texts.one_line and _ONE_LINE.search(value) is None:
            raise NotAsDeclared(f"The field {_shown(path)} must be one line of text.")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise NotAsDeclared(
                f"The field {_shown(path)} is not Unicode text."
            ) from None
        return value


def _plain(kind: type[Any], value: object, path: str) -> object:
    if kind is float and type(value) is int:
        value = _number(value)
    # true and false are numbers to Python, and are none in JSON.
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        names = {bool: "true or false", int: "a whole number", float: "a number"}
        raise _wrong(path, names[kind])
    return value


def _number(value: int) -> float | int:
    """Take a whole number for any; one that is too large for that stays."""
    try:
        return float(value)
    except OverflowError:
        return value


def _moment(text: str, path: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise _wrong(path, "a date and time such as 2026-03-01T09:30:00Z")
    return moment


def _one_of(known: Collection[Any], value: object, path: str) -> Any:
    if not isinstance(value, str) or value not in known:
        raise _wrong(path, f"one of {', '.join(map(str, known))}")
    return value


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in pairs:
        if name in found:
            raise NotAsDeclared(f"The field {_shown(name)} is there twice.")
        found[name] = value
    return found


def _no_number(constant: str) -> None:
    raise NotAsDeclared("NaN and Infinity are not numbers of JSON.")


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _shown(path: str) -> str:
    """Quote what a client sent so that it fits in a line."""
    return repr(shortened(path, 80))


def _wrong(path: str, expected: str) -> NotAsDeclared:
    what = f"The field {_shown(path)}" if path else "The document"
    return NotAsDeclared(f"{what} must be {expected}.")
