"""Which parts of the administration there are for somebody."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pypicloud_tw.access.administration.authority import PrincipalAuthority
from pypicloud_tw.config.rights import Action

Tab = Literal[
    "users",
    "groups",
    "rights",
    "explain",
    "publishers",
    "tokens",
    "exemptions",
    "pins",
    "advisories",
    "audit",
    "prune",
    "server",
]

_FOR_ALL: tuple[Tab, ...] = ("users", "groups", "tokens", "pins", "server")
_FOR_SOME: tuple[Tab, ...] = ("rights", "publishers", "exemptions")


def tabs_of(authority: PrincipalAuthority) -> frozenset[Tab]:
    """Return the parts that somebody can use, be it for single projects."""
    return frozenset(_tabs(authority))


def _tabs(authority: PrincipalAuthority) -> Iterator[Tab]:
    policy, principal = authority.access.policy, authority.principal
    if authority.administers():
        yield from _FOR_ALL
    if not principal.anonymous:
        yield "explain"
        if policy.may_any(principal, Action.ADMINISTER):
            yield from _FOR_SOME
    if policy.may_any(principal, Action.MANAGE):
        yield "advisories"
        yield "audit"
    if policy.may_any(principal, Action.DELETE):
        yield "prune"
