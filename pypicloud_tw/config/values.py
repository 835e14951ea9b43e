"""From the text of a setting to its value: one function a kind.

Each takes what stands in the ini and returns the value, or raises
:class:`BadValueError`. What that says goes after ``key = 'value'`` and tells what would
be right; it never repeats the value, which may be a secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, time
from decimal import Decimal
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Literal, TypeVar
from urllib.parse import SplitResult, urlsplit, urlunsplit

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import InvalidName, canonicalize_name

from pypicloud_tw.config.rights import AUTHENTICATED, EVERYONE

T = TypeVar("T")
Network = IPv4Network | IPv6Network

_TRUE = frozenset({"true", "yes", "on", "t", "y", "1"})
_FALSE = frozenset({"false", "no", "off", "f", "n", "0"})

#: What somebody writes who means nobody.
_NO_GROUP = frozenset({"nobody", "none", "no", "false"})

_UNITS = {"ms": "0.001", "s": "1", "m": "60", "h": "3600", "d": "86400", "w": "604800"}
_NUMBER = r"[0-9]{1,12}(?:\.[0-9]{1,9})?"
_DURATION = re.compile(rf"(?:{_NUMBER}(?:ms|[smhdw]))+")
_DURATION_PART = re.compile(rf"({_NUMBER})(ms|[smhdw])")

_SIZE = re.compile(rf"({_NUMBER})\s*((?:[kmgt]i?)?b)?", re.IGNORECASE)

_HOST = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?")
_WITH_PORT = re.compile(
    r"(?:\[(?P<v6>[^\]]+)\]|(?P<host>[^:]+)(?=:))(?::(?P<port>[^:]*))?"
)
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
_ENDPOINT = re.compile(r"[a-z][a-z0-9_]*:.+", re.DOTALL)
_PATTERN = re.compile(r"[a-z0-9*?]+(?:-[a-z0-9*?]+)*-?")
_ATTRIBUTE = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_FIELD_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
#: Every client sends these, or they say something else of it.
_FIELDS_TAKEN = frozenset(
    {"authorization", "cookie", "host", "user-agent", "accept", "connection"}
    | {f"x-forwarded-{what}" for what in ("for", "proto", "host", "port", "prefix")}
)
_OPERATOR = re.compile(r"\s*(===|==|~=|!=|<=|>=|<|>)\s*")


class BadValueError(ValueError):
    """This text is not a value of its kind; the message is the rest of a sentence."""


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
        return _unique(kind(item) for item in re.split(r"[\s,]+", text) if item)

    return parse


def _unique(items: Iterable[T]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(items))


def project(text: str) -> str:
    """Parse a project's name; normalized (PEP 503)."""
    try:
        return canonicalize_name(text, validate=True)
    except InvalidName:
        raise BadValueError("has something that is not a project's name.") from None


def pattern(text: str) -> str:
    """Parse ``corp`` or ``acme-*``; normalized, with ``*`` and ``?`` kept."""
    # Normalizing keeps what it does not know, the wildcards among it.
    normal = canonicalize_name(text)
    if _PATTERN.fullmatch(normal) is None:
        raise BadValueError(
            "has something that is neither a name nor one as in acme-*."
        )
    return normal


def rules(text: str) -> tuple[str, ...]:
    """Parse a list of names, patterns and version specifiers (PEP 440).

    ``requests, acme-*, django>=4,<5``: a comma before an operator belongs to the
    specifier that it continues.
    """
    items: list[str] = []
    for item in re.split(r"[\s,]+", _OPERATOR.sub(r"\1", text)):
        if items and item.startswith(("=", "<", ">", "!", "~")):
            items[-1] += f",{item}"
        elif item:
            items.append(item)
    return _unique(_rule(item) for item in items)


def _rule(item: str) -> str:
    name = re.split(r"[=<>!~]", item, maxsplit=1)[0]
    try:
        versions = SpecifierSet(item[len(name) :])
    except InvalidSpecifier:
        raise BadValueError(
            "has something that is not a version specifier as in django>=4,<5."
        ) from None
    return f"{pattern(name)}{versions}"


def member(text: str) -> str:
    """Parse a user's name in a list of some."""
    if text.lower() in (EVERYONE, AUTHENTICATED):
        raise BadValueError(f"has {text}, which is a group; name users here.")
    return _name(text)


def group(text: str) -> str:
    """Parse a group's name, ``everyone`` and ``authenticated`` among them."""
    if text.lower() in (EVERYONE, AUTHENTICATED):
        return text.lower()
    if text.lower() in _NO_GROUP:
        raise BadValueError(
            f"names no group; write {EVERYONE}, {AUTHENTICATED} or groups, or nothing "
            "at all for nobody."
        )
    return _name(text)


def _name(text: str) -> str:
    # RFC 7617, section 2: the colon ends a user's name.
    if not text.isprintable() or ":" in text:
        raise BadValueError(
            "has something that is no name: printable text without ':'."
        )
    return text


def groups(text: str) -> tuple[str, ...]:
    """Parse a list of groups."""
    return words(group)(text)


def network(text: str) -> Network:
    """Parse an address or a network: ``127.0.0.1``, ``fd00::/8``."""
    try:
        return ip_network(text)
    except ValueError as e:
        if "host bits" in str(e):
            raise BadValueError(
                "has an address inside a network; give the network's own, "
                f"{ip_network(text, strict=False)}."
            ) from None
        raise BadValueError(
            "has something that is no address or network; write them as 10.0.0.0/8, or "
            "as 10.0.0.1."
        ) from None


def readers(text: str) -> str | tuple[Network, ...]:
    """Parse who may read: ``everyone``, ``authenticated``, or networks."""
    if text.lower() in {"everyone", "authenticated"}:
        return text.lower()
    try:
        return words(network)(text)
    except BadValueError:
        raise BadValueError(
            "is not known here; write everyone, authenticated, or networks such as "
            "127.0.0.1, 10.0.0.0/8."
        ) from None


def host(text: str) -> str:
    """Parse an address to listen at, or a name; ``*`` is every IPv4 address."""
    if text == "*":
        return "0.0.0.0"  # noqa: S104  that is what the star asks for
    bare = text.removeprefix("[").removesuffix("]")
    try:
        return str(ip_address(bare))
    except ValueError:
        return _host_name(text)


def _host_name(text: str) -> str:
    if not _is_host_name(text):
        raise BadValueError("is not a host's name or address (without a port).")
    return text.lower()


def _is_host_name(text: str) -> bool:
    numeric = re.fullmatch(r"[0-9./]+", text)
    return len(text) <= 253 and _HOST.fullmatch(text) is not None and not numeric


def private_host(text: str) -> str:
    """Parse a host's name, an address or a network, each with a port or without.

    In its normal form; an IPv6 address with a port is in brackets.
    """
    match = _WITH_PORT.fullmatch(text)
    if match is None:
        return _private(text)
    host, port = _private(match["v6"] or match["host"]), match["port"]
    if port is None:
        return host
    try:
        number = whole(1, 65535)(port)
    except BadValueError:
        raise BadValueError("has a port that is not from 1 to 65535.") from None
    return f"[{host}]:{number}" if ":" in host else f"{host}:{number}"


def _private(text: str) -> str:
    try:
        return str(network(text))
    except BadValueError:
        pass
    if not _is_host_name(text):
        raise BadValueError("has something that is no host's name, address or network.")
    return text.lower().removesuffix(".")


def tcp_endpoint(host: str, port: int) -> str:
    """Write the Twisted endpoint for a host and a port."""
    escaped = host.replace(":", r"\:")
    return f"tcp:{port}:interface={escaped}"


def endpoint(text: str) -> str:
    """Parse a Twisted server endpoint as far as can be told without a reactor."""
    if _ENDPOINT.fullmatch(text) is None:
        raise BadValueError(
            "is not a Twisted endpoint; write it as tcp:6543:interface=127.0.0.1, "
            "unix:/run/pypicloud.sock or systemd:domain=INET:index=0."
        )
    return text


def service_url(text: str) -> str:
    """Parse an http or https URL without credentials; no slash at its end."""
    parts = _split_url(text)
    if "@" in parts.netloc:
        raise BadValueError("has a user or password, which do not belong here.")
    return urlunsplit(parts).rstrip("/")


def index_url(text: str) -> str:
    """Parse the URL of a simple index; a slash at its end (PEP 503)."""
    parts = _split_url(text)
    if ":" in (parts.hostname or ""):
        # hyperlink, which treq asks through, takes it for a name and refuses it.
        raise BadValueError(
            "has an IPv6 address for its host, which cannot be asked; give it a name."
        )
    url = urlunsplit(parts)
    return url if url.endswith("/") else f"{url}/"


def _split_url(text: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        usable = _is_url_host(parts.hostname or "") and parts.port != 0
    except ValueError:
        # The text of urllib's own error repeats the value, credentials and all.
        raise BadValueError("has a URL with a bad host or port.") from None
    # "https://http://host" is the host "http", with a colon and no port.
    if parts.scheme not in {"http", "https"} or not usable or parts.netloc[-1:] == ":":
        raise BadValueError("is not a URL; write it as https://host/path/.")
    if parts.query or parts.fragment:
        raise BadValueError(
            "has a URL with a query or fragment, which is of no use here."
        )
    return parts


def _is_url_host(text: str) -> bool:
    # Other letters than those of ASCII are IDNA's to judge.
    if _is_host_name(text) or not text.isascii():
        return True
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


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
    return _unique(item.strip() for item in text.splitlines() if item.strip())


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


def ldap_url(text: str) -> str:
    """Parse the URL of a directory's server: scheme, host and port, and nothing else.

    :return: with the port, and an IPv6 address in brackets.
    """
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise BadValueError("has a URL with a bad host or port.") from None
    default = {"ldap": 389, "ldaps": 636}.get(parts.scheme)
    host = parts.hostname or ""
    if default is None or port == 0 or not _is_url_host(host):
        raise BadValueError("is not a URL; write it as ldaps://host or ldap://host.")
    if "@" in parts.netloc or parts.path.strip("/") or parts.query or parts.fragment:
        raise BadValueError(
            "has more than a host and port, which does not belong here."
        )
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}:{port or default}"


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


def _alternatives(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"
