"""What is looked at of a server that runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint

from pypicloud_tw.client.address import IndexAddress
from pypicloud_tw.client.agent import trust
from pypicloud_tw.diagnosis.outside.asking import PATIENCE
from pypicloud_tw.diagnosis.outside.front import Front
from pypicloud_tw.diagnosis.outside.pages import Pages
from pypicloud_tw.diagnosis.outside.uploads import SILENCE, Connect, Uploads
from pypicloud_tw.diagnosis.values import Check
from pypicloud_tw.outbound.proxies import ProxySettings

#: Seconds for pages, of which there may be long ones, and for files.
_SLOW = 120.0

#: Seconds for the first answer, and then to find out whether TLS is spoken.
_FIRST = PATIENCE + 20.0


@frozen
class Visited:
    """What a diagnosis of a server is made of."""

    front: Front
    pages: Pages
    uploads: Uploads

    def checks(self) -> list[Check]:
        """List what is looked at, in order."""
        front, first = self.front, "answers"
        return [
            Check(first, front.answers, None, _FIRST),
            Check("ready", front.ready, first),
            Check("version", front.version, first),
            Check("tls", front.tls),
            Check("plain-http", front.plain_http, first),
            Check("clock", front.clock, first),
            Check("addresses", front.addresses, first),
            Check("pages", self.pages.pages, first, _SLOW),
            Check("files", self.pages.files, "pages", _SLOW),
            Check("uploads", self.uploads.look, first),
        ]


def connector(
    address: IndexAddress, reactor: Any, environ: Mapping[str, str]
) -> Connect | None:
    """Make what connects to a server; None: it is reached through a proxy of ours.

    :raises ConfigError: a proxy, or the file of authorities, is not usable.
    """
    proxies = ProxySettings.of(environ, address.scheme)
    port = address.port
    if proxies.find(address.scheme, address.host, port) is not None:
        return None
    policy = trust(environ)

    def connect() -> IStreamClientEndpoint:
        host = address.host.encode("ascii")
        plain = HostnameEndpoint(reactor, host, port, timeout=SILENCE)
        if address.scheme == "http":
            return plain
        wrapped: IStreamClientEndpoint = wrapClientTLS(
            policy.creatorForNetloc(host, port), plain
        )
        return wrapped

    return connect
