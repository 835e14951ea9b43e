"""An Agent that uses the HTTP proxies that the environment names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import field, frozen
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.internet.interfaces import (
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from twisted.python.failure import Failure
from twisted.web.client import URI, Agent, HTTPConnectionPool, ProxyAgent
from twisted.web.http_headers import Headers
from twisted.web.iweb import (
    IAgent,
    IAgentEndpointFactory,
    IBodyProducer,
    IPolicyForHTTPS,
    IResponse,
)
from zope.interface import implementer

from pypicloud_tw.outbound.proxies import Proxy, ProxySettings
from pypicloud_tw.outbound.tunnel import ProxyError, TunnelEndpoint

#: Puts something around an endpoint's connections.
Wrap = Callable[[IStreamClientEndpoint], IStreamClientEndpoint]


def _as_it_is(endpoint: IStreamClientEndpoint) -> IStreamClientEndpoint:
    return endpoint


@implementer(IAgent)
@frozen
class ProxiedAgent:
    """Asks directly, through a tunnel (https) or as a proxy is asked (http).

    :ivar direct: asks what no proxy is named for.
    :ivar through: asks through the proxy of each scheme.
    """

    proxies: ProxySettings
    direct: IAgent
    through: Mapping[str, IAgent]

    @classmethod
    def over(
        cls,
        direct: IAgent,
        proxies: ProxySettings,
        reactor: Any,
        pool: HTTPConnectionPool,
        tls: IPolicyForHTTPS,
        timeout: float,
        wrap: Wrap = _as_it_is,
    ) -> ProxiedAgent:
        """Put proxies before an agent.

        :param timeout: seconds for a connection to a proxy.
        :param wrap: put around every connection through one.
        """
        through: dict[str, IAgent] = {}
        for scheme, proxy in proxies.by_scheme.items():
            to_proxy = _ToProxy(reactor, proxy, timeout)
            if scheme == "https":
                tunnels = _Tunnels(to_proxy, proxy.authorization, tls, wrap)
                through[scheme] = Agent.usingEndpointFactory(reactor, tunnels, pool)
            else:
                plain = ProxyAgent(wrap(to_proxy), reactor, pool)
                through[scheme] = _Authorized(plain, proxy.authorization)
        return cls(proxies, direct, through)

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        """See :class:`~twisted.web.iweb.IAgent`."""
        parsed = URI.fromBytes(uri)
        agent = self.direct
        if find_proxy(self.proxies, parsed) is not None:
            agent = self.through[parsed.scheme.decode("ascii")]
        return agent.request(method, uri, headers, bodyProducer)


def find_proxy(proxies: ProxySettings, uri: URI) -> Proxy | None:
    """Return the proxy for *uri*, if there is one."""
    scheme, host = uri.scheme.decode("latin-1"), uri.host.decode("latin-1")
    return proxies.find(scheme, host, uri.port)


@implementer(IAgent)
@frozen
class _Authorized:
    """Logs in at a proxy that is sent whole requests."""

    agent: IAgent
    authorization: bytes | None = field(repr=False)

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        """See :class:`~twisted.web.iweb.IAgent`."""
        headers = Headers() if headers is None else headers.copy()
        if self.authorization is not None:
            headers.setRawHeaders(b"proxy-authorization", [self.authorization])
        return self.agent.request(method, uri, headers, bodyProducer)


@implementer(IStreamClientEndpoint)
@frozen(eq=False)
class _ToProxy:
    """Connects to a proxy, and names it where that fails."""

    reactor: Any
    proxy: Proxy
    timeout: float

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """See :class:`~twisted.internet.interfaces.IStreamClientEndpoint`."""
        host, port = self.proxy.host.encode(), self.proxy.port
        endpoint = HostnameEndpoint(self.reactor, host, port, timeout=self.timeout)
        connecting: Deferred[IProtocol] = endpoint.connect(protocolFactory)
        return connecting.addErrback(self._failed)

    def _failed(self, failure: Failure) -> Failure:
        # Whoever gave up, or waited too long, knows what that means.
        if failure.check(CancelledError, ConnectingCancelledError, ConnectTimeout):
            return failure
        where, why = (
            f"{self.proxy.host}:{self.proxy.port}",
            type(failure.value).__name__,
        )
        return Failure(ProxyError(f"The proxy at {where} cannot be reached ({why})."))


@implementer(IAgentEndpointFactory)
@frozen
class _Tunnels:
    """Reaches TLS servers through an HTTP proxy."""

    proxy: IStreamClientEndpoint
    authorization: bytes | None = field(repr=False)
    tls: IPolicyForHTTPS
    wrap: Wrap

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        """Return how to connect to *uri*."""
        tunnel = TunnelEndpoint(self.proxy, uri.host, uri.port, self.authorization)
        creator = self.tls.creatorForNetloc(uri.host, uri.port)
        endpoint: IStreamClientEndpoint = wrapClientTLS(creator, tunnel)
        return self.wrap(endpoint)
