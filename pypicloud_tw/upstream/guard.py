"""Whom we connect to: no address inside the house that the ini does not name (SSRF).

An upstream's page can name any host, and its name can resolve to anything, differently
each time. So the address is judged that is about to be connected to, by the resolver
that the connection itself uses.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Any

from attrs import define, frozen
from twisted.internet import address, interfaces
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import (
    IHostnameResolver,
    IHostResolution,
    IReactorPluggableNameResolver,
    IResolutionReceiver,
    IStreamClientEndpoint,
)
from twisted.web.client import URI
from twisted.web.error import SchemeNotSupported
from twisted.web.iweb import IAgentEndpointFactory, IPolicyForHTTPS
from zope.interface import directlyProvides, implementer

from pypicloud_tw.upstream.heads import BoundedHeads

#: NAT64 (RFC 6052): an IPv4 address in disguise.
_NAT64 = ip_network("64:ff9b::/96")

#: All that is routed in the world's IPv6 (IANA, IPv6 Global Unicast Address
#: Assignments). ``is_global`` takes much of the rest for public: site-local addresses,
#: and IPv4 ones in the disguises of RFC 2765, RFC 4291 and RFC 8215.
_UNICAST = ip_network("2000::/3")


@frozen
class Rule:
    """Which private addresses may be connected to.

    :ivar hosts: names (lower case) that may resolve to a private address.
    :ivar networks: private networks that may be connected to under any name.
    """

    hosts: frozenset[str] = frozenset()
    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    @classmethod
    def of(cls, named: Iterable[str]) -> Rule:
        """Read the ini's hosts, addresses and networks, the upstreams' own included."""
        hosts, networks = set(), []
        for text in named:
            try:
                networks.append(ip_network(text.strip("[]"), strict=False))
            except ValueError:
                hosts.add(text.lower().rstrip("."))
        return cls(frozenset(hosts), tuple(networks))

    def allows(self, host: str, literal: str) -> bool:
        """Judge the address *literal* that *host* resolves to."""
        try:
            found = _unwrapped(ip_address(literal.partition("%")[0]))
        except ValueError:
            return False
        if _is_public(found):
            return True
        if host.lower().rstrip(".") in self.hosts:
            return True
        return any(found in network for network in self.networks)


def _is_public(found: IPv4Address | IPv6Address) -> bool:
    routed = found.version == 4 or found in _UNICAST
    return routed and found.is_global and not found.is_multicast


def _unwrapped(found: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Give the IPv4 address that an IPv6 one stands for, where it does."""
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
            _Filter(resolutionReceiver, self.rule, hostName),
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

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        self.receiver.resolutionBegan(resolutionInProgress)

    def addressResolved(self, found: interfaces.IAddress) -> None:
        if isinstance(
            found, address.IPv4Address | address.IPv6Address
        ) and self.rule.allows(self.host, found.host):
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
