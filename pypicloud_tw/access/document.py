"""What administrators set at run time: users, groups, rights, publishers, exemptions.

A value; where it lies and how it is changed is elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from attrs import field, frozen

from pypicloud_tw.config.exemptions import Exemption
from pypicloud_tw.config.rights import RightLine, TrustedPublisher


@frozen
class StoredUser:
    """A user whom an administrator made.

    :ivar hash: of the password; None: it has none, and only ever shows tokens.
    :ivar administrator: may do everything.
    :ivar id: tells this user from an earlier or a later one of the same name.
    """

    hash: str | None = field(default=None, repr=False)
    administrator: bool = False
    id: str = ""


@frozen
class AccessDocument:
    """Everything that was set at run time.

    :ivar users: by name.
    :ivar groups: members by the group's name.
    :ivar rights: lines; their order means nothing.
    :ivar publishers: by name.
    :ivar exemptions: from rules for what comes from upstream, by id.
    """

    users: Mapping[str, StoredUser] = field(factory=lambda: MappingProxyType({}))
    groups: Mapping[str, frozenset[str]] = field(factory=lambda: MappingProxyType({}))
    rights: tuple[RightLine, ...] = ()
    publishers: Mapping[str, TrustedPublisher] = field(
        factory=lambda: MappingProxyType({})
    )
    exemptions: Mapping[str, Exemption] = field(factory=lambda: MappingProxyType({}))
