"""Protection from SSRF: private addresses are connected to only if the ini says so.

An upstream's page can name any host, and its name can resolve to anything, differently
each time. So the address is judged that is about to be connected to, by the resolver
that the connection itself uses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from socket import inet_aton, inet_ntoa
from typing import Any

from attrs import define, frozen
from twisted.internet import address, interfaces
from twisted.internet.defer import Deferred, fail
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.error import DNSLookupError
from twisted.internet.interfaces import (
    IHostnameResolver,
    IHostResolution,
    IReactorPluggableNameResolver,
    IResolutionReceiver,
    IStreamClientEndpoint,
)
from twisted.web.client import URI
from twisted.web.error import SchemeNotSupported
from twisted.web.http_headers import Headers
from twisted.web.iweb import (
    IAgent,
    IAgentEndpointFactory,
    IBodyProducer,
    IPolicyForHTTPS,
    IResponse,
)
from zope.interface import directlyProvides, implementer

from pypicloud_tw.outbound.agent import find_proxy
from pypicloud_tw.outbound.heads import BoundedHeads
from pypicloud_tw.outbound.origins import origin_of
from pypicloud_tw.outbound.proxies import ProxySettings

#: NAT64 (RFC 6052): an IPv4 address in disguise.
_NAT64 = ip_network("64:ff9b::/96")

#: All that is routed in the world's IPv6 (IANA, IPv6 Global Unicast Address
#: Assignments). ``is_global`` takes much of the rest for public: site-local addresses,
#: and IPv4 ones in the disguises of RFC 2765, RFC 4291 and RFC 8215.
_UNICAST = ip_network("2000::/3")


#: The ports of a host or network that is named without one.
_WEB_PORTS = (80, 443)


@frozen
class Rule:
    """Which private addresses may be connected to, each at which ports.

    What else listens at such a host is not for an upstream's page to name: a database,
    an administrator's page, a server of metadata.

    :ivar hosts: names (lower case) that may resolve to a private address, with a port.
    :ivar networks: private networks that may be connected to under any name, and a
        port.
    """

    hosts: frozenset[tuple[str, int]] = frozenset()
    networks: tuple[tuple[IPv4Network | IPv6Network, int], ...] = ()

    @classmethod
    def of(cls, named: Iterable[str]) -> Rule:
        """Read the ini's hosts, addresses and networks, with a port or without."""
        hosts, networks = set(), []
        for text in named:
            host, port = split_port(text)
            ports = _WEB_PORTS if port is None else (port,)
            try:
                network = ip_network(host.strip("[]"), strict=False)
            except ValueError:
                hosts |= {(_plain(host), port) for port in ports}
            else:
                networks += [(network, port) for port in ports]
        return cls(frozenset(hosts), tuple(networks))

    @classmethod
    def for_upstreams(cls, bases: Iterable[str], named: Iterable[str]) -> Rule:
        """Allow what the ini names, and the upstreams of the operator's own.

        :param bases: the upstreams' addresses; each allows the port that it has.
        """
        own = []
        for base in bases:
            scheme, host, port = origin_of(base)
            # An upstream may send us to its https side.
            ports = _WEB_PORTS if scheme == "http" and port == 80 else (port,)
            own += [f"[{host}]:{port}" for port in ports]
        return cls.of([*named, *own])

    def allows(self, host: str, literal: str, port: int = 443) -> bool:
        """Judge the address *literal* that *host* resolves to."""
        try:
            found = _unwrapped(ip_address(literal.partition("%")[0]))
        except ValueError:
            return False
        if _is_public(found):
            return True
        if (_plain(host), port) in self.hosts:
            return True
        return any(found in network and port == at for network, at in self.networks)

    def allows_unresolved(self, host: str, port: int) -> bool:
        """Judge a host that somebody else resolves, a proxy, by what can be told here.

        Addresses are judged in every form that a resolver takes for one.
        """
        name = _plain(host)
        literal = _literal(name)
        if literal is not None:
            return self.allows(host, literal, port)
        is_local = name == "localhost" or name.endswith(".localhost")
        return not is_local or (name, port) in self.hosts


def split_port(text: str) -> tuple[str, int | None]:
    """Split ``host:port``, ``[::1]:port``, ``10.0.0.0/8:port`` or none with a port."""
    host, _, port = text.rpartition(":")
    is_ported = host.endswith("]") or (host and ":" not in host)
    if not is_ported or not port.isdecimal():
        return text, None
    return host, int(port)


def _plain(host: str) -> str:
    return host.strip("[]").lower().rstrip(".")


def _literal(name: str) -> str | None:
    """Return the address that a name is; None: it is a name.

    ``127.1``, ``0x7f000001`` and ``2130706433`` are addresses (inet_aton(3)), too.
    """
    if ":" in name:
        return name
    if not re.fullmatch(r"[0-9]+|0x[0-9a-f]*", name.rpartition(".")[2]):
        return None
    try:
        return inet_ntoa(inet_aton(name))
    except OSError:
        return name


def _is_public(found: IPv4Address | IPv6Address) -> bool:
    routed = found.version == 4 or found in _UNICAST
    return routed and found.is_global and not found.is_multicast


def _unwrapped(found: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address that an IPv6 one stands for, where it does."""
    if isinstance(found, IPv4Address):
        return found
    inner = found.ipv4_mapped or found.sixtofour
    if inner is None and found in _NAT64:
        inner = IPv4Address(int(found) & 0xFFFFFFFF)
    return inner or found


@implementer(IHostnameResolver)
@define
class GuardedResolver:
    """Leaves out the addresses that must not be connected to."""

    resolver: IHostnameResolver
    rule: Rule

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Sequence[type[interfaces.IAddress]] | None = None,
        transportSemantics: str = "TCP",
    ) -> IHostResolution:
        """See :class:`~twisted.internet.interfaces.IHostnameResolver`."""
        return self.resolver.resolveHostName(
            _Filter(resolutionReceiver, self.rule, hostName, portNumber),
            hostName,
            portNumber,
            addressTypes,
            transportSemantics,
        )


@implementer(IResolutionReceiver)
@define
class _Filter:
    receiver: IResolutionReceiver
    rule: Rule
    host: str
    port: int

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        self.receiver.resolutionBegan(resolutionInProgress)

    def addressResolved(self, found: interfaces.IAddress) -> None:
        if isinstance(
            found, address.IPv4Address | address.IPv6Address
        ) and self.rule.allows(self.host, found.host, self.port):
            self.receiver.addressResolved(found)

    def resolutionComplete(self) -> None:
        self.receiver.resolutionComplete()


class _Reactor:
    """A reactor whose names are resolved by somebody else."""

    def __init__(self, reactor: Any, resolver: IHostnameResolver) -> None:
        self._reactor = reactor
        self.nameResolver = resolver
        directlyProvides(self, IReactorPluggableNameResolver)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)


@implementer(IAgentEndpointFactory)
class GuardedEndpoints:
    """Endpoints for ``Agent.usingEndpointFactory`` that keep the rule.

    :param reactor: connects, resolves, tells the time.
    :param timeout: seconds for one connection.
    :param tls: which certificates are trusted; ``BrowserLikePolicyForHTTPS()``.
    """

    def __init__(
        self,
        reactor: Any,
        rule: Rule,
        timeout: float,
        tls: IPolicyForHTTPS,
    ) -> None:
        self._reactor = _Reactor(reactor, GuardedResolver(reactor.nameResolver, rule))
        self._timeout = timeout
        self._tls = tls

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        """See :class:`~twisted.web.iweb.IAgentEndpointFactory`."""
        endpoint = HostnameEndpoint(
            self._reactor, uri.host, uri.port, timeout=self._timeout
        )
        if uri.scheme == b"http":
            return BoundedHeads(endpoint)
        if uri.scheme != b"https":
            raise SchemeNotSupported("Only http and https are spoken here.")
        tls = self._tls.creatorForNetloc(uri.host, uri.port)
        return BoundedHeads(wrapClientTLS(tls, endpoint))


@implementer(IAgent)
@frozen
class GuardedAgent:
    """Keeps the rule, as far as it can be, where a proxy connects instead of us.

    The proxy resolves names, so what they resolve to is its to judge. What is judged
    here are addresses, in any form, and the names of this host.
    """

    agent: IAgent
    proxies: ProxySettings
    rule: Rule

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        """See :class:`~twisted.web.iweb.IAgent`."""
        parsed = URI.fromBytes(uri)
        host = parsed.host.decode("latin-1")
        is_proxied = find_proxy(self.proxies, parsed) is not None
        if is_proxied and not self.rule.allows_unresolved(host, parsed.port):
            return fail(DNSLookupError("The rule allows no such address."))
        return self.agent.request(method, uri, headers, bodyProducer)
