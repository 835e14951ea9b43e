"""Who may read the metrics (``metrics.read``)."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address

from pypicloud_tw.access.principal import Principal
from pypicloud_tw.config.addresses import Network
from pypicloud_tw.errors import Unauthorized


def metrics_reader(
    allowed: str | tuple[Network, ...],
) -> Callable[[Principal, str], bool]:
    """Make what judges by a principal and a client's address.

    :param allowed: ``everyone``, ``authenticated``, or networks.
    """

    def judge(principal: Principal, client: str) -> bool:
        if isinstance(allowed, str):
            if allowed == "authenticated" and principal.anonymous:
                raise Unauthorized("Log in to read the metrics (metrics.read).")
            # A publisher may do what its projects need, and this is of none.
            return allowed == "everyone" or principal.name is not None
        try:
            address = ip_address(client)
        except ValueError:
            return False  # a Unix socket's peer has no address
        return any(address in network for network in allowed)

    return judge
