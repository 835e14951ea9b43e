"""Who may read the metrics (``metrics.read``)."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address

from pypicloud_tw.access.principal import Principal
from pypicloud_tw.config.addresses import Network
from pypicloud_tw.config.rights import Action
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
            return allowed == "everyone" or _may_read(principal)
        try:
            address = ip_address(client)
        except ValueError:
            return False  # a Unix socket's peer has no address
        return any(address in network for network in allowed)

    return judge


def _may_read(principal: Principal) -> bool:
    """Return whether somebody may, who is not anonymous.

    Whoever may do what its projects need, as a job or by a token, may not: this is of
    none.
    """
    scope = principal.scope
    if scope is not None and not scope.leaves(Action.READ):
        return False
    return principal.name is not None
