"""Every setting, by its key.

The checks, the commented file that ``pypicloud-make-config`` writes and
docs/reference/keys.rst come from here; :mod:`pypicloud_tw.config.sections` declares
them.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import attrs

from pypicloud_tw.config.key import Key
from pypicloud_tw.config.sections.access import (
    AuthSection,
    LoginsSection,
    OidcLoginSection,
    OidcSection,
)
from pypicloud_tw.config.sections.index import (
    AttestationsSection,
    IndexSection,
    PypiSection,
)
from pypicloud_tw.config.sections.ldap import LdapSection
from pypicloud_tw.config.sections.server import (
    AuditSection,
    DownloadsSection,
    MetricsSection,
    ServerSection,
    StatisticsSection,
)
from pypicloud_tw.config.sections.storage import AwsSection, StorageSection
from pypicloud_tw.config.sections.upstream import AdvisoriesSection, UpstreamSection

SECTIONS: Mapping[str, type[Any]] = MappingProxyType(
    {
        "server": ServerSection,
        "storage": StorageSection,
        "aws": AwsSection,
        "pypi": PypiSection,
        "auth": AuthSection,
        "oidc": OidcSection,
        "oidc_login": OidcLoginSection,
        "logins": LoginsSection,
        "ldap": LdapSection,
        "index": IndexSection,
        "attestations": AttestationsSection,
        "upstream": UpstreamSection,
        "advisories": AdvisoriesSection,
        "metrics": MetricsSection,
        "audit": AuditSection,
        "downloads": DownloadsSection,
        "statistics": StatisticsSection,
    }
)


#: What the keys of a section begin with, where that is not the section's own name.
_BEGINNINGS = MappingProxyType({"logins": "auth", "ldap": "auth.ldap"})


def _keys() -> Mapping[str, Key]:
    found: dict[str, Key] = {}
    for section, made_of in SECTIONS.items():
        beginning = _BEGINNINGS.get(section, section)
        for attribute in attrs.fields(made_of):
            about = dict(attribute.metadata)
            name = about.pop("name") or f"{beginning}.{attribute.name}"
            found[name] = Key(name, section, attribute.name, **about)
    return MappingProxyType(found)


#: Every key but ``user.NAME``, by name, in the order of the sections.
KEYS: Mapping[str, Key] = _keys()

#: ``aws.secret_key_file`` and the like, to the key whose value such a file holds.
FILE_KEYS: Mapping[str, Key] = MappingProxyType(
    {f"{name}_file": key for name, key in KEYS.items() if key.secret}
)


def document_keys() -> tuple[Key, ...]:
    """List every key but ``user.NAME``, for whoever writes of them."""
    return tuple(KEYS.values())
