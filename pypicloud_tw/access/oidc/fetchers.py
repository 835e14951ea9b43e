"""What each issuer's documents are fetched by: guarded by who named the issuer.

Whoever may change a project's publishers can name any issuer in the access document,
and its documents can name any address for its keys. So only addresses that the ini
names may be private ones: an issuer's own, if the ini names that issuer, and those of
``oidc.private_hosts``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen
from twisted.web.client import HostnameCachingHTTPSPolicy, HTTPConnectionPool

from pypicloud_tw.access.oidc.documents import Documents, FetchError
from pypicloud_tw.config.sections.access import OidcSection
from pypicloud_tw.errors import ConfigError
from pypicloud_tw.outbound.guard import Rule
from pypicloud_tw.outbound.guarded import guarded_agent
from pypicloud_tw.outbound.origins import origin_of
from pypicloud_tw.outbound.trust import load_policy

#: Seconds for a connection.
_CONNECT = 5.0


@frozen
class IssuerFetchers:
    """Makes what an issuer's documents are fetched by, anew for each time.

    That is once an hour. Nothing is kept, connections included: one that was made for
    an issuer of the ini would lead another past the guard.

    :param own: the issuers that the ini names.
    :param environ: of the process: it may name proxies.
    :param user_agent: whom we say we are.
    """

    settings: OidcSection
    own: frozenset[str]
    reactor: Any
    environ: Mapping[str, str] = field(repr=False)
    user_agent: str

    def __call__(self, issuer: str) -> Documents:
        """Make it.

        :raises FetchError: the CA file or a proxy is not usable.
        """
        named = [issuer] if issuer in self.own else []
        try:
            agent = guarded_agent(
                self.reactor,
                HTTPConnectionPool(self.reactor, persistent=False),
                Rule.for_upstreams(named, self.settings.private_hosts),
                {"https", origin_of(issuer)[0]},
                tls=HostnameCachingHTTPSPolicy(
                    load_policy(
                        self.settings.ca_file, "oidc.ca_file", beside_system=True
                    )
                ),
                connect_timeout=_CONNECT,
                environ=self.environ,
            )
        except ConfigError as e:
            raise FetchError(e.message) from None
        return Documents(agent, self.reactor, self.user_agent)
