"""What the ini says of who may do what."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from attrs import field, frozen

from pypicloud_tw.config.configuration import Config
from pypicloud_tw.config.exemptions import Exemption
from pypicloud_tw.config.namespaces import Namespaces
from pypicloud_tw.config.rights import (
    AUTHENTICATED,
    EVERYONE,
    RightLine,
    TrustedPublisher,
)


def _nothing() -> Mapping[str, Any]:
    return MappingProxyType({})


@frozen
class AccessSettings:
    """The rules of the ini.

    :ivar default_read: groups that may read what has no rights of its own.
    :ivar default_write: groups that may change it; None: the ini does not say.
    :ivar admins: users who may do everything; None: the ini does not say.
    :ivar groups: members by the group's name.
    :ivar rights: of names and patterns.
    :ivar publishers: by name.
    :ivar allow_overwrite: whoever may upload may replace files, too.
    :ivar allow_overwrite_groups: or these groups may.
    :ivar allow_delete_groups: groups that may delete what they may manage.
    :ivar private: patterns of the names that are never asked upstream.
    :ivar exemptions: from rules for what comes from upstream.
    :ivar users: the names of ``user.NAME``.
    :ivar has_users: somebody could log in: here, or by another directory.
    :ivar read_only: why nothing may be changed now; None: it may.
    """

    default_read: tuple[str, ...] = (EVERYONE,)
    default_write: tuple[str, ...] | None = None
    admins: tuple[str, ...] | None = None
    groups: Mapping[str, frozenset[str]] = field(factory=_nothing)
    rights: tuple[RightLine, ...] = ()
    publishers: Mapping[str, TrustedPublisher] = field(factory=_nothing)
    allow_overwrite: bool = False
    allow_overwrite_groups: tuple[str, ...] = ()
    allow_delete_groups: tuple[str, ...] = (AUTHENTICATED,)
    private: tuple[str, ...] = ()
    exemptions: tuple[Exemption, ...] = ()
    users: frozenset[str] = frozenset()
    has_users: bool = False
    read_only: str | None = None

    @classmethod
    def of(cls, config: Config, *, log_in_elsewhere: bool = False) -> AccessSettings:
        """Take them out of a configuration.

        :param log_in_elsewhere: users come from another directory, too.
        """
        pypi = config.pypi
        return cls(
            default_read=pypi.default_read,
            default_write=pypi.default_write,
            admins=config.auth.admins,
            groups=config.groups,
            rights=config.rights,
            publishers=config.publishers,
            allow_overwrite=pypi.allow_overwrite,
            allow_overwrite_groups=pypi.allow_overwrite_groups,
            allow_delete_groups=pypi.allow_delete_groups,
            private=pypi.private,
            exemptions=config.upstream.exempt,
            users=frozenset(config.users),
            has_users=bool(config.users) or log_in_elsewhere,
            read_only=pypi.read_only,
        )

    @property
    def namespaces(self) -> Namespaces:
        """The namespaces that are private here (PEP 752)."""
        return Namespaces.of(self.private)

    @property
    def speak_of_rights(self) -> bool:
        """Whether they say who may do what, beyond who may read everything."""
        return (
            self.default_write is not None
            or self.admins is not None
            or bool(self.groups)
            or bool(self.rights)
            or self.default_read not in ((EVERYONE,), (AUTHENTICATED,))
        )
