"""Where a request really came from, and under which address we are known.

``X-Forwarded-*``, and who is signed in, is believed of a peer that
``pypi.trusted_proxies`` names or that connects through a UNIX socket, and of nobody
else: anyone can send it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
)
from urllib.parse import urlsplit

from attrs import define, field, frozen
from twisted.internet.address import UNIXAddress
from twisted.internet.interfaces import IAddress
from twisted.logger import Logger
from twisted.web.http_headers import Headers

#: Finds the values of a header field by name; ``Headers.getRawHeaders`` is one.
Lookup = Callable[[bytes], Sequence[bytes] | None]

_HOST = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]+)*")
_PORT = re.compile(r"[0-9]{1,5}")
# What some proxies add to an address: 192.0.2.1:1234 and [2001:db8::1]:1234.
_WITH_PORT = re.compile(r"\[([^\]]+)\](?::[0-9]+)?|([0-9.]+):[0-9]+")
_DEFAULT_PORTS = {"http": "80", "https": "443"}

#: Where a client's address stands, with those of the proxies in between.
FORWARDED_FOR = b"X-Forwarded-For"

#: What proxies say of their clients.
FORWARDED = frozenset(
    {
        FORWARDED_FOR,
        b"X-Forwarded-Proto",
        b"X-Forwarded-Host",
        b"X-Forwarded-Port",
        b"X-Forwarded-Prefix",
        b"X-Script-Name",
    }
)

#: Peers that are told apart: scanners send such fields as well.
_MOST_TOLD = 10

_STRANGER = (
    "X-Forwarded-* fields from {peer} are ignored: pypi.trusted_proxies does not name "
    "this address. If it is your proxy, add it there; until then all who come through "
    "it count as one client."
)
_NAMELESS = (
    "A request came through the unix: socket without X-Forwarded-For. All such count "
    "as one client; let the proxy send that field."
)

_STRANGE_USER = (
    "{field} from {peer} is ignored: pypi.trusted_proxies does not name this address. "
    "If it is your proxy, add it there; if not, somebody tries to be somebody else."
)
_TWICE = (
    "The proxy at {peer} sent {field} twice, so nobody is signed in: let it replace "
    "what its clients send."
)


@frozen
class Origin:
    """How the client sees us, and where it is.

    :ivar scheme: ``http`` or ``https``.
    :ivar host: with the port, where that is not the scheme's own.
    :ivar prefix: the path under which we are mounted: empty, or ``/`` and segments.
    :ivar client: its address as text; empty if it has none (a UNIX socket).
    """

    scheme: str
    host: str
    prefix: str
    client: str

    @property
    def base_url(self) -> str:
        """The address of our root, without a final slash."""
        return f"{self.scheme}://{self.host}{self.prefix}"


@frozen
class IdentityFields:
    """The header fields in which our proxies say whom they have signed in.

    :ivar user: in canonical case, as those that come are.
    :ivar groups: likewise; None: they say nothing of groups.
    """

    user: bytes
    groups: bytes | None = None

    @classmethod
    def of(cls, user: str | None, groups: str | None) -> IdentityFields | None:
        """Make it of names in any case; None if there is none for the user."""
        if user is None:
            return None
        return cls(_canonical(user), _canonical(groups) if groups else None)

    @property
    def names(self) -> frozenset[bytes]:
        """The fields."""
        return frozenset(filter(None, (self.user, self.groups)))


def _canonical(name: str) -> bytes:
    ((canonical, _),) = Headers({name: [""]}).getAllRawHeaders()
    return canonical


@frozen
class Identity:
    """Whom a proxy has signed in, in its own words."""

    user: bytes
    groups: bytes | None


@frozen
class Proxies:
    """Which peers are proxies of ours, and what address overrides what they say.

    :ivar trusted: ``pypi.trusted_proxies``. Whoever connects through a UNIX socket was
        let in by its permissions, and is trusted as well.
    :ivar public_url: ``pypi.public_url``: scheme, host and prefix, whoever asks.
    :ivar identity: the fields that name users; None: they sign nobody in.
    """

    trusted: Sequence[IPv4Network | IPv6Network] = ()
    public_url: str | None = None
    identity: IdentityFields | None = None
    _public: tuple[str, str, str] | None = field(init=False)

    @_public.default
    def _split_public_url(self) -> tuple[str, str, str] | None:
        if self.public_url is None:
            return None
        parts = urlsplit(self.public_url)
        return parts.scheme, parts.netloc, parts.path.rstrip("/")

    def trusts(self, peer: IAddress) -> bool:
        """Return whether *peer* is one of our proxies."""
        if isinstance(peer, UNIXAddress):
            return True
        address = _address(getattr(peer, "host", ""))
        return address is not None and self._is_ours(address)

    def client(self, lookup: Lookup, peer: Peer) -> str:
        """Find the client's address; empty if it has none."""
        return self._client(lookup, peer.text)[0] if peer.is_proxy else peer.text

    def origin(
        self, lookup: Lookup, *, peer: Peer, secure: bool, fallback_host: str
    ) -> Origin:
        """Find where a request came from.

        :param secure: the connection is TLS.
        :param fallback_host: our own address, for a request that names no valid host.
        """
        client = peer.text
        scheme = "https" if secure else "http"
        host = _first_valid(_HOST, _values(lookup, b"Host")) or fallback_host
        prefix = ""
        if peer.is_proxy:
            client, hops = self._client(lookup, client)
            told = _Forwarded(lookup, hops)
            scheme = told.scheme() or scheme
            host = told.host(scheme) or host
            prefix = told.prefix()
        if self._public is not None:
            scheme, host, prefix = self._public
        return Origin(scheme, host, prefix, client)

    def identify(self, lookup: Lookup, peer: Peer) -> Identity | None:
        """Find whom a proxy has signed in.

        None if it says nothing, or more than one thing: then it has passed on what its
        client sent, beside its own.
        """
        if self.identity is None or not peer.is_proxy:
            return None
        user, groups = self.identity.user, self.identity.groups
        users = lookup(user) or ()
        listed = (lookup(groups) or ()) if groups else ()
        if len(users) != 1 or not users[0] or len(listed) > 1:
            return None
        return Identity(users[0], next(iter(listed), None))

    def _client(self, lookup: Lookup, peer: str) -> tuple[str, int]:
        """Go back from proxy to proxy; tell the first stranger and how many were ours.

        What stands further left was written by a stranger, or on one's word.
        """
        client, hops = peer, 1
        for hop in reversed(_values(lookup, FORWARDED_FOR)):
            address = _address(hop)
            if address is None:
                break
            client = _text(address)
            if not self._is_ours(address):
                break
            hops += 1
        return client, hops

    def _is_ours(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address in network for network in self.trusted)


@frozen
class Peer:
    """Who opened a connection; found out once for all of its requests.

    :ivar text: the address as text; empty if there is none (a UNIX socket).
    :ivar is_proxy: it is one of our proxies, so what it says of others is believed.
    """

    text: str
    is_proxy: bool

    @classmethod
    def of(cls, address: IAddress, proxies: Proxies) -> Peer:
        """Judge the other end of a connection."""
        text = _text(_address(getattr(address, "host", "")))
        return cls(text, proxies.trusts(address))


@define(eq=False)
class Notices:
    """Warns the operator, once for each peer, of fields of proxies that go wrong.

    :ivar identity: the fields that name users.
    """

    identity: IdentityFields | None = None
    _told: set[tuple[str, str]] = field(factory=set, init=False)
    _log = Logger()

    def look(self, peer: Peer, fields: Mapping[bytes, Sequence[bytes]]) -> None:
        """Look at a request's header fields, by names in canonical case."""
        identity = self.identity
        if peer.is_proxy:
            if not peer.text and FORWARDED_FOR not in fields:
                self._tell(peer, _NAMELESS)
            for name in () if identity is None else identity.names:
                if len(fields.get(name, ())) > 1:
                    self._tell(peer, _TWICE, name)
            return
        if not FORWARDED.isdisjoint(fields):
            self._tell(peer, _STRANGER)
        if identity is not None and not identity.names.isdisjoint(fields):
            self._tell(peer, _STRANGE_USER, identity.user)

    def _tell(self, peer: Peer, sentence: str, name: bytes = b"") -> None:
        told = (peer.text, sentence)
        if told not in self._told and len(self._told) < _MOST_TOLD:
            self._told.add(told)
            self._log.warn(sentence, peer=peer.text, field=name.decode())


@frozen
class _Forwarded:
    """What the outermost of our proxies says in ``X-Forwarded-*``.

    A proxy that appends to a list stands as far from its right end as it stands from
    us; one that overwrites leaves one value.
    """

    lookup: Lookup
    hops: int

    def scheme(self) -> str | None:
        value = self._value(b"X-Forwarded-Proto").lower()
        return value if value in _DEFAULT_PORTS else None

    def host(self, scheme: str) -> str | None:
        host = self._value(b"X-Forwarded-Host")
        if not _HOST.fullmatch(host):
            return None
        port = self._value(b"X-Forwarded-Port")
        has_port = re.search(r":[0-9]+$", host) is not None
        if has_port or not _PORT.fullmatch(port) or port == _DEFAULT_PORTS[scheme]:
            return host
        return f"{host}:{port}"

    def prefix(self) -> str:
        prefix = self._value(b"X-Forwarded-Prefix") or self._value(b"X-Script-Name")
        prefix = prefix.rstrip("/")
        segments = prefix.split("/")
        if not _PREFIX.fullmatch(prefix) or "." in segments or ".." in segments:
            return ""
        return prefix

    def _value(self, name: bytes) -> str:
        values = _values(self.lookup, name)
        return values[-min(self.hops, len(values))] if values else ""


def _values(lookup: Lookup, name: bytes) -> list[str]:
    """Take a field's list apart, over all its lines."""
    lines = lookup(name)
    if not lines:
        return []
    return [part.strip() for part in b",".join(lines).decode("latin-1").split(",")]


def _first_valid(pattern: re.Pattern[str], values: list[str]) -> str | None:
    return values[0] if len(values) == 1 and pattern.fullmatch(values[0]) else None


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """Read an address, with or without a port, zone or IPv6 wrapping around IPv4."""
    with_port = _WITH_PORT.fullmatch(text)
    if with_port is not None:
        text = with_port[1] or with_port[2]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _text(address: IPv4Address | IPv6Address | None) -> str:
    return "" if address is None else str(address)
