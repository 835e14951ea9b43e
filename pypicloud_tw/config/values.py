"""From the text of a setting to its value: one function a kind.

Each takes what stands in the ini and returns the value, or raises
:class:`BadValueError`. What that says goes after ``key = 'value'`` and tells what would
be right; it never repeats the value, which may be a secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Literal, TypeVar

T = TypeVar("T")

_TRUE = frozenset({"true", "yes", "on", "t", "y", "1"})
_FALSE = frozenset({"false", "no", "off", "f", "n", "0"})


_UNITS = {"ms": "0.001", "s": "1", "m": "60", "h": "3600", "d": "86400", "w": "604800"}
_SHOWN_UNITS = ((86400, "d"), (3600, "h"), (60, "m"))
_NUMBER = r"[0-9]{1,12}(?:\.[0-9]{1,9})?"
_DURATION = re.compile(rf"(?:{_NUMBER}(?:ms|[smhdw]))+")
_DURATION_PART = re.compile(rf"({_NUMBER})(ms|[smhdw])")

_SIZE = re.compile(rf"({_NUMBER})\s*((?:[kmgt]i?)?b)?", re.IGNORECASE)

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
_ATTRIBUTE = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_FIELD_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
#: Every client sends these, or they say something else of it.
_FIELDS_TAKEN = frozenset(
    {"authorization", "cookie", "host", "user-agent", "accept", "connection"}
    | {f"x-forwarded-{what}" for what in ("for", "proto", "host", "port", "prefix")}
)


class BadValueError(ValueError):
    """This text is not a value of its kind; the message is the rest of a sentence."""


class BadLinesError(BadValueError):
    """Some lines of a text are no values of their kind.

    :ivar lines: each with what is wrong with it: the rest of a sentence.
    """

    def __init__(self, lines: Sequence[tuple[str, str]]) -> None:
        super().__init__("; ".join(why for _, why in lines))
        self.lines = lines


def flag(text: str) -> bool:
    """Parse a yes or no, in all the words that the programs before took."""
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise BadValueError("is neither true nor false.")


def one_of(*words: str) -> Callable[[str], str]:
    """Make the kind that has these words for values."""

    def parse(text: str) -> str:
        found = {word.lower(): word for word in words}.get(text.lower())
        if found is None:
            raise BadValueError(f"is not known here; write {_alternatives(words)}.")
        return found

    return parse


def whole(low: int, high: int) -> Callable[[str], int]:
    """Make the kind of the whole numbers from *low* to *high*."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,12}", text) or not low <= int(text) <= high:
            raise BadValueError(f"is not a whole number from {low} to {high}.")
        return int(text)

    return parse


def absent_status(text: str) -> int:
    """Parse a status that may mean absence: of 4xx, none that means "later"."""
    code = whole(400, 499)(text)
    if code in (407, 408, 425, 429):
        raise BadValueError(f"has {code}, which says nothing of what is there.")
    return code


def size(low: int = 1) -> Callable[[str], int]:
    """Make the kind of the sizes from *low* bytes: ``6GiB``, ``100MB``, ``1048576``."""

    def parse(text: str) -> int:
        match = _SIZE.fullmatch(text)
        if match is None:
            raise BadValueError("is not a size; write 6GiB, 100MB or 1048576 (bytes).")
        size = int(Decimal(match[1]) * _unit_of_size(match[2] or "b"))
        if size < low:
            raise BadValueError(f"is too small; it must be {low} bytes or more.")
        return size

    return parse


def _unit_of_size(unit: str) -> int:
    base = 1024 if "i" in unit.lower() else 1000
    return int(base ** "bkmgt".index(unit[0].lower()))


def seconds(low: float = 0, high: float | None = None) -> Callable[[str], float]:
    """Make the kind of the durations: ``300`` (seconds), ``0.5``, ``5m``, ``1h30m``."""

    def parse(text: str) -> float:
        duration = _duration(text)
        if duration < low:
            raise BadValueError(f"is too short; it must be {low:g} seconds or more.")
        if high is not None and duration > high:
            days = f", which is {high / 86400:g} days" if high >= 86400 else ""
            raise BadValueError(
                f"is too long; it must be {high:g} seconds or less{days}."
            )
        return float(duration)

    return parse


def whole_seconds(low: int, high: int) -> Callable[[str], int]:
    """Make the kind of the durations without a fraction of a second."""
    parse_any = seconds(low, high)

    def parse(text: str) -> int:
        duration = parse_any(text)
        if not duration.is_integer():
            raise BadValueError("has a fraction of a second; write whole seconds.")
        return int(duration)

    return parse


def _duration(text: str) -> Decimal:
    if re.fullmatch(_NUMBER, text):
        return Decimal(text)
    if _DURATION.fullmatch(text) is None:
        raise BadValueError("is not a duration; write 300 (seconds), 5m, 1h30m or 7d.")
    parts = _DURATION_PART.findall(text)
    return sum((Decimal(n) * Decimal(_UNITS[unit]) for n, unit in parts), Decimal())


def words(kind: Callable[[str], T]) -> Callable[[str], tuple[T, ...]]:
    """Make the kind of the lists: items apart by commas, blanks or new lines."""

    def parse(text: str) -> tuple[T, ...]:
        return unique(kind(item) for item in re.split(r"[\s,]+", text) if item)

    return parse


def unique(items: Iterable[T]) -> tuple[T, ...]:
    """Leave out what stands there twice."""
    return tuple(dict.fromkeys(items))


def path(text: str) -> Path:
    """Parse a path; it is made absolute where the ini's own place is known."""
    if not text.isprintable():
        raise BadValueError("has characters that cannot be seen.")
    if text.startswith("~"):
        raise BadValueError("begins with '~'; write the whole path, or %(here)s/...")
    return Path(text)


def log_file(text: str) -> Path | Literal["-"]:
    """Parse where a log goes: a path, or ``-`` for standard output."""
    return "-" if text == "-" else path(text)


def bucket(text: str) -> str:
    """Parse a bucket's name; old ones may have capitals and underscores."""
    if _BUCKET.fullmatch(text) is None:
        raise BadValueError(
            "is not a bucket's name: 3 to 255 letters, digits, '.', '-' and '_'; no "
            "s3:// and no path (that is aws.prefix)."
        )
    return text


def key_prefix(text: str) -> str:
    """Parse what every key in the bucket begins with; kept as it is.

    Half of what S3 allows for a key: the rest is a project's and a file's name.
    """
    if not text.isprintable() or len(text.encode()) > 512:
        raise BadValueError("is not printable text of at most 512 bytes.")
    return text


def token(text: str) -> str:
    """Parse a word that travels in a header: visible ASCII, no blanks."""
    if not text.isascii() or not text.isprintable() or " " in text:
        raise BadValueError("is not one word of visible ASCII characters.")
    return text


def line(text: str) -> str:
    """Parse a sentence for people; several lines become one."""
    return " ".join(text.split())


def reason(text: str) -> str:
    """Parse a sentence that gives a reason; a yes or no is none."""
    if text.lower() in _TRUE | _FALSE:
        raise BadValueError(
            "is no reason; write a sentence that clients are told, or leave it out."
        )
    return line(text)


def several_lines(text: str) -> tuple[str, ...]:
    """Parse a list whose items are a line each, for those that have blanks in them."""
    return unique(item.strip() for item in text.splitlines() if item.strip())


def lines_of(kind: Callable[[str], T]) -> Callable[[str], tuple[T, ...]]:
    """Make the kind of the lists whose items are a line each; empty ones say nothing.

    What it makes raises :class:`BadLinesError` with every line that is none.
    """

    def parse(text: str) -> tuple[T, ...]:
        items: list[T] = []
        wrong: list[tuple[str, str]] = []
        for line in several_lines(text):
            try:
                items.append(kind(line))
            except BadValueError as e:
                wrong.append((line, str(e)))
        if wrong:
            raise BadLinesError(wrong)
        return unique(items)

    return parse


def field_name(text: str) -> str:
    """Parse the name of a header field (RFC 9110, section 5.1)."""
    if _FIELD_NAME.fullmatch(text) is None:
        raise BadValueError("is not the name of a header field, as X-Remote-User is.")
    if text.lower() in _FIELDS_TAKEN:
        raise BadValueError("is a field that says something else; take another.")
    return text


def attribute(text: str) -> str:
    """Parse the name of an LDAP attribute (RFC 4512, section 2.5), without options."""
    if _ATTRIBUTE.fullmatch(text) is None:
        raise BadValueError("is not the name of an attribute, as uid is.")
    return text


def with_username(text: str) -> str:
    """Parse a form with ``{username}`` in it, once or more."""
    text = line(text)
    if "{username}" not in text:
        raise BadValueError("has no {username} in it.")
    return text


def moment(text: str) -> datetime:
    """Parse an ISO 8601 date (to its end, in UTC) or date and time; aware."""
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        raise BadValueError(
            "is not a date; write it as 2026-01-31 or 2026-01-31T12:00:00Z."
        ) from None
    if re.fullmatch(r"[0-9]{4}-?[0-9]{2}-?[0-9]{2}", text):
        value = datetime.combine(value, time.max)
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def show_age(seconds: int) -> str:
    """Write a duration as it may stand in an ini: ``30d``."""
    for length, unit in _SHOWN_UNITS:
        if seconds % length == 0:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


def _alternatives(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"
