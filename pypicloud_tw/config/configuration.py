"""Everything that is set, as values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from attrs import field, frozen

from pypicloud_tw.config.retention import RetentionRule
from pypicloud_tw.config.rights import RightLine, TrustedPublisher
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
from pypicloud_tw.config.signers import Signer, TrustedSigner


def _nothing() -> Mapping[str, Any]:
    return MappingProxyType({})


@frozen
class Config:
    """Everything that is set.

    :ivar users: password hashes by user name.
    :ivar groups: members by the group's name.
    :ivar rights: of single projects and patterns; their order means nothing.
    :ivar publishers: the trusted publishers, by name.
    :ivar signers: whose attestations are trusted, beside publishers' own.
    :ivar upstream_publishers: who publishes projects of upstreams, by their names.
    :ivar retention: which releases are kept; their order means nothing.
    :ivar notices: what the operator should know, a sentence each.
    :ivar ini: the file that it was read from.
    """

    server: ServerSection = field(factory=ServerSection)
    storage: StorageSection = field(factory=StorageSection)
    aws: AwsSection = field(factory=AwsSection)
    pypi: PypiSection = field(factory=PypiSection)
    auth: AuthSection = field(factory=AuthSection)
    oidc: OidcSection = field(factory=OidcSection)
    oidc_login: OidcLoginSection = field(factory=OidcLoginSection)
    logins: LoginsSection = field(factory=LoginsSection)
    ldap: LdapSection = field(factory=LdapSection)
    index: IndexSection = field(factory=IndexSection)
    attestations: AttestationsSection = field(factory=AttestationsSection)
    upstream: UpstreamSection = field(factory=UpstreamSection)
    advisories: AdvisoriesSection = field(factory=AdvisoriesSection)
    metrics: MetricsSection = field(factory=MetricsSection)
    audit: AuditSection = field(factory=AuditSection)
    downloads: DownloadsSection = field(factory=DownloadsSection)
    statistics: StatisticsSection = field(factory=StatisticsSection)
    users: Mapping[str, str] = field(factory=_nothing, repr=False)
    groups: Mapping[str, frozenset[str]] = field(factory=_nothing)
    rights: tuple[RightLine, ...] = ()
    publishers: Mapping[str, TrustedPublisher] = field(factory=_nothing)
    signers: tuple[TrustedSigner, ...] = ()
    upstream_publishers: Mapping[str, Signer] = field(factory=_nothing)
    retention: tuple[RetentionRule, ...] = ()
    notices: tuple[str, ...] = ()
    ini: Path | None = None
