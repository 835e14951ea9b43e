"""What is set of logging in."""

from __future__ import annotations

from pathlib import Path

from attrs import frozen

from pypicloud_tw.config import addresses, names, values
from pypicloud_tw.config.certificate_patterns import (
    CertificatePattern,
    certificate_pattern,
)
from pypicloud_tw.config.key import DAY, key


@frozen
class AuthSection:
    """Logging in. Times are in seconds."""

    admins: tuple[str, ...] | None = key(
        values.words(names.member),
        None,
        "The administrators: users who may do everything, but for what "
        "pypi.allow_overwrite_groups and pypi.allow_delete_groups keep from them. "
        "Not set: nobody.",
        empty=(),
        example="alice",
    )
    cache_time: float = key(
        values.seconds(),
        "5m",
        "How long a right password is remembered, in memory and only as a keyed hash.",
    )
    max_failures: int = key(
        values.whole(1, 1_000_000),
        "10",
        "The wrong passwords of one user from one client before it is slowed down.",
    )
    retry_every: float = key(
        values.seconds(0.1), "30s", "How often it may then try once more."
    )
    token_life: float = key(
        values.seconds(60, 3650 * DAY),
        "90d",
        "How long a token of a user lives that was made without saying how long.",
    )
    token_max_life: float = key(
        values.seconds(60, 3650 * DAY),
        "365d",
        "The longest that one may live; those that were made before keep their end.",
    )
    session_life: float = key(
        values.seconds(300, 30 * DAY),
        "12h",
        "How long somebody stays logged in, in a browser.",
    )


@frozen
class OidcSection:
    """Trusted publishing: jobs that sign in by their issuer. Times are in seconds."""

    token_lifetime: int = key(
        values.whole_seconds(900, 21_600),
        "15m",
        "How long a token lives that a job has got for its identity: from 15m to 6h.",
    )
    ca_file: Path | None = key(  # noqa: RUF009  a field, and a Path is immutable
        values.path,
        None,
        "A file of certificate authorities to trust for issuers, beside those of the "
        "system.",
    )
    private_hosts: tuple[str, ...] = key(
        values.words(addresses.private_host),
        "",
        "Hosts and networks with private addresses where issuers of the access "
        "document, and any issuer's keys, may be: keys.corp, keys.corp:8443. An issuer "
        "that this file names need not be named again.",
    )


@frozen
class OidcLoginSection:
    """Logging in people in a browser by a provider (OpenID Connect)."""

    issuer: str | None = key(
        addresses.issuer_url,
        None,
        "The provider of log-ins for people in a browser, as its tokens name it: "
        "https://login.corp.example/realms/staff",
    )
    client_id: str | None = key(values.token, None, "What this server is called there.")
    client_secret: str | None = key(
        values.token,
        None,
        "The secret that it has given this server. Not set: none, as for a public "
        "client.",
        secret=True,
    )
    name_claim: str = key(
        values.token,
        "preferred_username",
        "The claim that names the user here. It must be one that users there cannot "
        "choose freely, or they choose whose rights they have. Of email, addresses "
        "count that are verified.",
    )
    groups_claim: str = key(
        values.token, "groups", "The claim that lists the user's groups."
    )
    scopes: tuple[str, ...] = key(
        values.words(values.token),
        "openid profile email",
        "What is asked of the provider; openid must be among them.",
    )
    title: str = key(
        values.line, "your organisation", "What the button of the log-in calls it."
    )
    service_accounts: bool = key(
        values.flag,
        "false",
        "Whether it may sign in users here who have no password (pypicloud user add "
        "NAME --service), who then have tokens. Every other user here is never its.",
    )


@frozen
class LoginsSection:
    """Other ways to log in: htpasswd, a proxy in front, client certificates."""

    htpasswd: Path | None = key(  # noqa: RUF009  a field, and a Path is immutable
        values.path,
        None,
        "A file of users as htpasswd -B writes it; read again whenever it changes.",
    )
    remote_user_header: str | None = key(
        values.field_name,
        None,
        "The header field in which a proxy names the user whom it has signed in: "
        "X-Remote-User. Believed only of pypi.trusted_proxies and of unix: sockets.",
    )
    remote_groups_header: str | None = key(
        values.field_name,
        None,
        "The header field in which it names that user's groups, apart by commas or "
        "vertical bars: X-Remote-Groups",
    )
    certificate_user: tuple[CertificatePattern, ...] = key(
        values.words(certificate_pattern),
        "",
        "How a client's certificate names a user: cn:{user}, email:{user}@corp.org, "
        "dns:{user}.ci.corp.org or uri:spiffe://corp.org/ci/{user}; the first of "
        "several that fits.",
    )
