"""Every setting, declared once: its key, its kind, its default and what it is for.

A section of the configuration is a frozen class; ``aws.expire_after`` is the field
``expire_after`` of :class:`AwsSection`. The checks, the commented file that
``pypicloud-make-config`` writes and docs/reference/keys.rst come from here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import attrs
from attrs import field, frozen

from pypicloud_tw.config import values as kinds
from pypicloud_tw.config.certificate_patterns import (
    CertificatePattern,
    certificate_pattern,
)
from pypicloud_tw.config.values import Network

DAY = 86400

#: The values of keys that are unset.
EMPTY = (None, (), "")

#: What SigV4 allows (AWS, "Authenticating requests: using query parameters"); seconds.
LONGEST_SIGNATURE = 7 * DAY


@frozen
class Key:
    """One setting.

    :ivar name: as it stands in the ini.
    :ivar section: the part of the configuration that it belongs to.
    :ivar attribute: its name there.
    :ivar parse: its kind; see :mod:`pypicloud_tw.config.values`.
    :ivar default: as it would stand in the ini; None if it is unset.
    :ivar doc: what it is for, in a sentence or two.
    :ivar show: tells what of its text may be seen.
    :ivar secret: it is, or may have in it, a secret; the key ``{name}_file`` names a
        file that holds it.
    :ivar optional: to leave it empty is to leave it unset.
    :ivar empty: what an empty value means where that is a value of its own; None where
        it is not.
    :ivar example: a value for whoever writes of a key that is unset, where an empty one
        would be another thing.
    :ivar empty_is_laxer: unset, it protects less: an empty environment variable, as a
        template makes whose value was not set, must not lift what the ini says.
    """

    name: str
    section: str
    attribute: str
    parse: Callable[[str], object]
    default: str | None
    doc: str
    show: Callable[[str], str]
    secret: bool
    optional: bool
    empty: object
    example: str | None
    empty_is_laxer: bool

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return variable(self.name)


def variable(name: str) -> str:
    """Name the environment variable of a key."""
    return "PYPICLOUD_" + name.upper().replace(".", "_")


def show_value(text: str) -> str:
    """Show a text, up to a length; a URL that strayed there, without credentials."""
    return show_url(text) if ":/" in text else _clipped(text)


def show_url(text: str) -> str:
    """Show URLs without credentials: what stands before an @, slashes and all."""
    return _clipped(re.sub(r".*@", "***@", text, flags=re.DOTALL))


def _clipped(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:77]}...")


def show_nothing(text: str) -> str:
    """Show that there is something."""
    return "(not shown)"


def key(
    parse: Callable[[str], object],
    default: str | None,
    doc: str,
    *,
    secret: bool = False,
    show: Callable[[str], str] | None = None,
    name: str | None = None,
    empty: object = None,
    example: str | None = None,
    empty_is_laxer: bool = False,
) -> Any:
    """Declare a field that an ini key sets; the default is written as in an ini.

    Its type is Any, as attrs' own ``field`` has it, so that it suits any annotation.
    """
    value = None if default is None else parse(default)
    metadata = {
        "parse": parse,
        "default": default,
        "doc": doc,
        "show": show or (show_nothing if secret else show_value),
        "secret": secret,
        "name": name,
        "optional": value in EMPTY and empty is None,
        "empty": empty,
        "example": example,
        "empty_is_laxer": empty_is_laxer,
    }
    return field(default=value, repr=not secret, metadata=metadata)


@frozen
class ServerSection:
    """How the server listens and ends. Times are in seconds."""

    host: str = key(
        kinds.host, "127.0.0.1", "The address to listen at; * is every IPv4 address."
    )
    port: int = key(kinds.whole(0, 65535), "6543", "The TCP port to listen at.")
    listen: str = key(
        kinds.endpoint,
        "tcp:6543:interface=127.0.0.1",
        "A Twisted endpoint to listen at instead of host and port: ssl:, unix: and "
        "systemd: work.",
    )
    client_ca_file: Path | None = key(  # noqa: RUF009  a field, and a Path is immutable
        kinds.path,
        None,
        "A file of the authorities whose client certificates are asked for, where "
        "server.listen is an ssl: endpoint. Revocation lists are not read.",
        empty_is_laxer=True,
    )
    client_certificate: str = key(
        kinds.one_of("optional", "required"),
        "optional",
        "Whether a client without a certificate is served: optional (it may log in "
        "otherwise) or required.",
    )
    grace: float = key(
        kinds.seconds(), "30s", "How long a stop waits for uploads and downloads."
    )
    body_timeout: float = key(
        kinds.seconds(0.1), "60s", "A sender that sends nothing for so long is dropped."
    )
    access_log: bool = key(kinds.flag, "true", "Log a line for each request.")


@frozen
class StorageSection:
    """The folder that keeps the packages when no bucket does."""

    dir: Path = key(  # noqa: RUF009  a field, and a Path is immutable
        kinds.path,
        "packages",
        "The folder that keeps the packages, if aws.bucket is not set. A path that is "
        "not absolute begins at this file's folder, or at the working folder where "
        "there is no file.",
    )
    temp_dir: Path | None = key(  # noqa: RUF009  a field, and a Path is immutable
        kinds.path,
        None,
        "The folder for uploads on their way; the system's by default.",
    )


@frozen
class AwsSection:
    """The bucket. Times are in seconds, sizes in bytes."""

    # What is ours in one bucket is nobody's in another: upstream is asked for it.
    bucket: str | None = key(
        kinds.bucket,
        None,
        "The S3 bucket that keeps the packages.",
        empty_is_laxer=True,
    )
    prefix: str = key(
        kinds.key_prefix,
        "",
        "What every key in the bucket begins with; end it with a slash.",
        empty_is_laxer=True,
    )
    region: str | None = key(
        kinds.token,
        None,
        "The bucket's region; asked of the bucket if not given, which works outside "
        "China, GovCloud and the other partitions of their own.",
    )
    endpoint_url: str | None = key(
        kinds.service_url,
        None,
        "Where S3 is, if it is not Amazon's: https://host:port",
        show=show_url,
        empty_is_laxer=True,
    )
    # Without them the machine's own role is used, which may be allowed more.
    access_key: str | None = key(
        kinds.token,
        None,
        "The access key id. Without it, credentials come from the AWS_* variables, "
        "profiles, or the role of the machine or container.",
        secret=True,
        empty_is_laxer=True,
    )
    secret_key: str | None = key(
        kinds.token, None, "The secret access key.", secret=True, empty_is_laxer=True
    )
    session_token: str | None = key(
        kinds.token, None, "The session token of temporary credentials.", secret=True
    )
    addressing: str = key(
        kinds.one_of("auto", "path", "virtual"),
        "auto",
        "Whether the bucket's name goes into the path or the host; auto: path for "
        "endpoints given by address and for names with dots.",
    )
    create_bucket: bool = key(
        kinds.flag, "false", "Create the bucket at start if there is none."
    )
    link: str = key(
        kinds.one_of("redirect", "signed", "stream"),
        "redirect",
        "How a file is handed out. redirect: by this server's own lasting address, "
        "which answers with a signed URL; signed: the signed URL stands in the page; "
        "stream: the bytes go through this server.",
    )
    expire_after: int = key(
        kinds.whole_seconds(1, LONGEST_SIGNATURE),
        "1d",
        "How long a signed URL is valid; at most 7d, which is what S3 allows.",
    )
    buffer_time: int = key(
        kinds.whole_seconds(0, LONGEST_SIGNATURE),
        "5m",
        "How long before its end a signed URL is no longer handed out.",
    )
    buffer_memory: int = key(
        kinds.size(5 * 2**20),
        "64MiB",
        "The memory for all parts of uploads on their way to S3.",
    )
    ca_file: Path | None = key(  # noqa: RUF009  a field, and a Path is immutable
        kinds.path,
        None,
        "A file of certificate authorities to trust for the endpoint.",
        empty_is_laxer=True,
    )
    server_side_encryption: str | None = key(
        kinds.one_of("AES256", "aws:kms", "aws:kms:dsse"),
        None,
        "How S3 encrypts what is stored.",
        empty_is_laxer=True,
    )
    sse_kms_key_id: str | None = key(
        kinds.token,
        None,
        "The KMS key for aws:kms; the account's own if not given.",
        empty_is_laxer=True,
    )
    storage_class: str | None = key(
        kinds.token, None, "The storage class of files, such as STANDARD_IA."
    )
    object_acl: str | None = key(
        kinds.token, None, "The canned ACL of files, such as bucket-owner-full-control."
    )
    checksums: bool = key(
        kinds.flag,
        "true",
        "Send SHA-256 checksums with what is stored; off for servers that refuse them.",
    )
    write_metadata: bool = key(
        kinds.flag,
        "true",
        "Write name, version and hashes into the files' user metadata, so that "
        "pypicloud 1.x can read the bucket again.",
    )
    connect_timeout: float = key(
        kinds.seconds(0.1), "10s", "How long a connection to S3 may take."
    )
    first_byte_timeout: float = key(
        kinds.seconds(0.1), "30s", "How long S3 may take to begin its answer."
    )
    silence_timeout: float = key(
        kinds.seconds(0.1), "30s", "How long S3 may be silent in the middle of one."
    )


@frozen
class PypiSection:
    """The index: what it takes, who may read, and what it asks elsewhere."""

    default_read: tuple[str, ...] = key(
        kinds.groups,
        "everyone",
        "Who may read projects that have no rights of their own: everyone, users who "
        "log in (authenticated), or groups. Empty: administrators alone.",
        empty=(),
    )
    default_write: tuple[str, ...] | None = key(
        kinds.groups,
        None,
        "Who may upload to projects that have no rights of their own, and yank and "
        "delete there: everyone (without logging in, too), authenticated, or groups. "
        "Empty: administrators alone. Not set: every user, until there is a group, an "
        "administrator or a right.",
        empty=(),
        example="authenticated",
    )
    max_upload: int = key(kinds.size(), "6GiB", "The largest file that is taken.")
    allow_overwrite: bool = key(
        kinds.flag,
        "false",
        "Let an upload replace a file of the same name, however that is spelled: "
        "whoever may upload may do so.",
    )
    allow_overwrite_groups: tuple[str, ...] = key(
        kinds.groups,
        "",
        "Or let only these groups do so, where they may upload: everyone, "
        "authenticated, or groups; admin means the administrators, who may not "
        "unless they are named.",
    )
    allow_delete_groups: tuple[str, ...] = key(
        kinds.groups,
        "authenticated",
        "Who may delete what they may write: everyone, authenticated, or groups; admin "
        "means the administrators. Empty: nobody.",
        empty=(),
    )
    allow_reupload_deleted: bool = key(
        kinds.flag, "false", "Let a deleted file's name be taken again by other bytes."
    )
    legacy_formats: bool = key(
        kinds.flag,
        "false",
        "Take .egg, .exe, .zip, .tar, .tgz, .tar.bz2, .tar.xz and .tar.Z files, too, "
        "and with a warning what falls short of the rules for core metadata and for a "
        "wheel's RECORD, WHEEL, entry points and .data.",
    )
    public_url: str | None = key(
        kinds.service_url,
        None,
        "The address that clients use, if it is not the one that they ask for: "
        "https://pypi.example.com/root",
        show=show_url,
        # Without it a client's Host field says which site's forms are our own.
        empty_is_laxer=True,
    )
    trusted_proxies: tuple[Network, ...] = key(
        kinds.words(kinds.network),
        "",
        "The networks of the proxies whose X-Forwarded-* fields are believed; those of "
        "whoever connects to a unix: endpoint always are.",
        # Without it every client has the proxy's address, which metrics.read may allow.
        empty_is_laxer=True,
    )
    use_fallback: bool = key(
        kinds.flag, "true", "Ask another index for projects that are not here."
    )
    fallback: str = key(
        kinds.one_of("proxy", "redirect", "cache", "none"),
        "proxy",
        "How: proxy serves the other index's pages as our own; redirect sends the "
        "client there; cache keeps each file that is downloaded; none asks nobody.",
    )
    fallback_url: tuple[str, ...] = key(
        kinds.words(kinds.index_url),
        "https://pypi.python.org/simple/",
        "The other index; several are asked in order.",
        secret=True,
        show=show_url,
    )
    fallback_files: str = key(
        kinds.one_of("upstream", "relay"),
        "upstream",
        "Where its files come from in proxy mode: upstream, by its own links, or "
        "relay, through this server.",
    )
    private: tuple[str, ...] = key(
        kinds.words(kinds.pattern),
        "",
        "Names that are never asked for elsewhere, whether or not they exist here; "
        "acme-* reserves every name that begins so.",
        empty_is_laxer=True,
    )
    read_only: str | None = key(
        kinds.reason,
        None,
        "Refuse every change for now, and tell clients this reason: We move to a new "
        "bucket until noon.",
        empty_is_laxer=True,
    )


@frozen
class AuthSection:
    """Logging in. Times are in seconds."""

    admins: tuple[str, ...] | None = key(
        kinds.words(kinds.member),
        None,
        "The administrators: users who may do everything, but for what "
        "pypi.allow_overwrite_groups and pypi.allow_delete_groups keep from them. "
        "Not set: nobody.",
        empty=(),
        example="alice",
    )
    cache_time: float = key(
        kinds.seconds(),
        "5m",
        "How long a right password is remembered, in memory and only as a keyed hash.",
    )
    max_failures: int = key(
        kinds.whole(1, 1_000_000),
        "10",
        "The wrong passwords of one user from one client before it is slowed down.",
    )
    retry_every: float = key(
        kinds.seconds(0.1), "30s", "How often it may then try once more."
    )
    token_life: float = key(
        kinds.seconds(60, 3650 * DAY),
        "90d",
        "How long a token of a user lives that was made without saying how long.",
    )
    token_max_life: float = key(
        kinds.seconds(60, 3650 * DAY),
        "365d",
        "The longest that one may live; those that were made before keep their end.",
    )


@frozen
class OidcSection:
    """Trusted publishing: jobs that sign in by their issuer. Times are in seconds."""

    token_lifetime: int = key(
        kinds.whole_seconds(900, 21_600),
        "15m",
        "How long a token lives that a job has got for its identity: from 15m to 6h.",
    )
    ca_file: Path | None = key(  # noqa: RUF009  a field, and a Path is immutable
        kinds.path,
        None,
        "A file of certificate authorities to trust for issuers, beside those of the "
        "system.",
    )
    private_hosts: tuple[str, ...] = key(
        kinds.words(kinds.private_host),
        "",
        "Hosts and networks with private addresses where issuers of the access "
        "document, and any issuer's keys, may be: keys.corp, keys.corp:8443. An issuer "
        "that this file names need not be named again.",
    )


@frozen
class DoorsSection:
    """Other ways to log in: htpasswd, a proxy in front, client certificates."""

    htpasswd: Path | None = key(  # noqa: RUF009  a field, and a Path is immutable
        kinds.path,
        None,
        "A file of users as htpasswd -B writes it; read again whenever it changes.",
    )
    remote_user_header: str | None = key(
        kinds.field_name,
        None,
        "The header field in which a proxy names the user whom it has signed in: "
        "X-Remote-User. Believed only of pypi.trusted_proxies and of unix: sockets.",
    )
    remote_groups_header: str | None = key(
        kinds.field_name,
        None,
        "The header field in which it names that user's groups, apart by commas or "
        "vertical bars: X-Remote-Groups",
    )
    certificate_user: tuple[CertificatePattern, ...] = key(
        kinds.words(certificate_pattern),
        "",
        "How a client's certificate names a user: cn:{user}, email:{user}@corp.org, "
        "dns:{user}.ci.corp.org or uri:spiffe://corp.org/ci/{user}; the first of "
        "several that fits.",
    )


@frozen
class LdapSection:
    """Users of a directory (LDAP). Needs pypicloud-tw[ldap]. Times are in seconds."""

    url: tuple[str, ...] = key(
        kinds.words(kinds.ldap_url),
        "",
        "The directory's servers, the next where one is away: ldaps://host or "
        "ldap://host:port, which begins with StartTLS.",
    )
    start_tls: bool = key(
        kinds.flag,
        "true",
        "Encrypt ldap:// by StartTLS; without it passwords travel as they are.",
        empty_is_laxer=True,
    )
    ca_file: Path | None = key(  # noqa: RUF009  a field, and a Path is immutable
        kinds.path,
        None,
        "A file of certificate authorities to trust for the directory; the system's by "
        "default. Its host's name is always checked.",
        empty_is_laxer=True,
    )
    user_dn_format: str | None = key(
        kinds.with_username,
        None,
        "Bind as this entry, without a search before: uid={username},ou=people,dc=corp",
    )
    base_dn: str | None = key(kinds.line, None, "Where users are searched for.")
    user_search_filter: str | None = key(
        kinds.with_username,
        None,
        "Finds a user below auth.ldap.base_dn: (uid={username})",
    )
    user_attribute: str | None = key(
        kinds.attribute,
        None,
        "The attribute whose value is the user's name here, whatever was typed; if not "
        "given, the one that {username} is compared with.",
    )
    service_dn: str | None = key(
        kinds.line, None, "Searches are made as this entry; anonymously without it."
    )
    service_password: str | None = key(
        kinds.line, None, "The password of auth.ldap.service_dn.", secret=True
    )
    service_username: str | None = key(
        kinds.line,
        None,
        "A user name by which auth.ldap.service_dn itself can log in, as an "
        "administrator.",
    )
    group_base_dn: str | None = key(
        kinds.line, None, "Where the groups of a user are searched for, if anywhere."
    )
    group_filter: str = key(
        kinds.line,
        "(|(member={dn})(uniqueMember={dn})(memberUid={username}))",
        "Finds the groups of a user below auth.ldap.group_base_dn.",
    )
    group_attribute: str = key(
        kinds.attribute, "cn", "The attribute that names a group."
    )
    member_of: str | None = key(
        kinds.attribute,
        None,
        "The attribute of a user that lists its groups' entries, of each of which the "
        "first name counts: memberOf",
    )
    admin_field: str | None = key(
        kinds.attribute,
        None,
        "The attribute that makes a user an administrator, by auth.ldap.admin_value.",
    )
    admin_value: tuple[str, ...] = key(
        kinds.several_lines,
        "",
        "Whoever has one of these values, a line each, is an administrator.",
    )
    admin_group_dn: str | None = key(
        kinds.line, None, "Who is a member of this entry is an administrator."
    )
    cache_time: float | None = key(
        kinds.seconds(),
        None,
        "How long a right password is remembered; auth.cache_time if not given.",
        empty_is_laxer=True,
    )
    connections: int = key(
        kinds.whole(1, 100),
        "4",
        "Log-ins at a time. Each has two connections, which are kept for the next.",
    )
    connect_timeout: float = key(
        kinds.seconds(0.1), "5s", "How long a connection to a server may take."
    )
    answer_timeout: float = key(
        kinds.seconds(0.1), "10s", "How long the directory may take to answer."
    )
    ignore_cert: bool = key(
        kinds.flag,
        "false",
        "Of pypicloud 1.x; only false is taken: give auth.ldap.ca_file instead.",
    )
    ignore_referrals: bool = key(
        kinds.flag, "true", "Of pypicloud 1.x; referrals are never followed."
    )
    ignore_multiple_results: bool = key(
        kinds.flag,
        "false",
        "Of pypicloud 1.x, and without effect: where several entries fit, nobody is "
        "let in.",
    )
    fallback: str | None = key(
        kinds.one_of("config"),
        None,
        "Of pypicloud 1.x, and without effect: the ini's groups and rights always "
        "count.",
    )


@frozen
class IndexSection:
    """How fresh pages are. Times are in seconds."""

    fresh_for: float = key(
        kinds.seconds(0, 60),
        "1s",
        "How long what other servers changed may stay unseen; 0 asks the store at "
        "every request.",
    )
    verify_every: float = key(
        kinds.seconds(1, 3600),
        "60s",
        "Every page in use is asked of the store again after so long, come what may.",
    )
    sweep_age: float = key(
        kinds.seconds(2),
        "1d",
        "A sweep removes what nothing names after so long; the same on every server, "
        "for an upload that takes half of it is refused.",
    )
    memory: int = key(
        kinds.size(), "512MiB", "Pages take at most so much memory, roughly."
    )


@frozen
class UpstreamSection:
    """What is let through from the other index. Times in seconds, sizes in bytes."""

    merge: tuple[str, ...] = key(
        kinds.words(kinds.project),
        "",
        "Projects whose files from here and from upstream are shown together.",
    )
    allow: tuple[str, ...] = key(
        kinds.rules,
        "",
        "If given, only these are let through: names, patterns (acme-*) and versions "
        "(django>=4,<5).",
        empty_is_laxer=True,
    )
    deny: tuple[str, ...] = key(
        kinds.rules, "", "These are not let through.", empty_is_laxer=True
    )
    denied_message: str = key(
        kinds.line,
        "This project or version is not allowed by the rules of this index.",
        "What a client is told of what is not let through.",
    )
    min_age: float | None = key(
        kinds.seconds(),
        None,
        "Files younger than that do not exist yet: 7d",
        empty_is_laxer=True,
    )
    min_age_exempt: tuple[str, ...] = key(
        kinds.words(kinds.pattern),
        "",
        "Projects to which upstream.min_age does not apply.",
        name="upstream.min_age.exempt",
    )
    not_after: datetime | None = key(  # noqa: RUF009  a field, and immutable
        kinds.moment,
        None,
        "Files that are newer than that do not exist: 2026-01-31",
        empty_is_laxer=True,
    )
    stale_for: float = key(
        kinds.seconds(),
        "7d",
        "How long the last known page is served while the other index fails.",
    )
    absent_for: float = key(
        kinds.seconds(), "30s", "How long it is remembered that a project is not there."
    )
    absent_statuses: tuple[int, ...] = key(
        kinds.words(kinds.absent_status),
        "404, 410",
        "The statuses by which the other index says that it has no such project; 404 "
        "and 410 always do. With 403 (a bucket behind a CDN) it also seems to have "
        "none where it refuses us.",
    )
    cache_memory: int = key(
        kinds.size(0), "128MiB", "The memory for pages of the other index."
    )
    max_page: int = key(
        kinds.size(), "128MiB", "The largest page that is taken from the other index."
    )
    allow_private_hosts: tuple[str, ...] = key(
        kinds.words(kinds.private_host),
        "",
        "Hosts and networks with private addresses that its links may lead to: "
        "files.corp, files.corp:8080, 10.1.0.0/16, [fd00::1]:8443. Without a port, "
        "ports 80 and 443. pypi.fallback_url's own host and port need not be named.",
    )
    connect_timeout: float = key(
        kinds.seconds(0.1), "10s", "How long a connection to it may take."
    )
    first_byte_timeout: float = key(
        kinds.seconds(0.1), "30s", "How long it may take to begin its answer."
    )
    silence_timeout: float = key(
        kinds.seconds(0.1), "30s", "How long it may be silent in the middle of one."
    )


@frozen
class MetricsSection:
    """Metrics for Prometheus."""

    read: str | tuple[Network, ...] = key(
        kinds.readers,
        "127.0.0.0/8, ::1",
        "Who may read /metrics: everyone, authenticated, or networks.",
    )


@frozen
class AuditSection:
    """Records of who did what. Times are in seconds."""

    log: Path | Literal["-"] | None = key(  # noqa: RUF009  a field, and immutable
        kinds.log_file,
        None,
        "The file that takes a line of JSON for each change and each refusal that "
        "matters; - is standard output. It is opened again at SIGHUP.",
        empty_is_laxer=True,
    )
    store: bool = key(
        kinds.flag, "true", "Keep the records of changes in the store, too."
    )
    keep: float = key(
        kinds.seconds(DAY),
        "400d",
        "How long they are kept there; pypicloud sweep removes those that are older.",
    )


@frozen
class DownloadsSection:
    """Records of who downloaded what."""

    log: Path | Literal["-"] | None = key(  # noqa: RUF009  a field, and immutable
        kinds.log_file,
        None,
        "The file that takes a line of JSON for each file that is handed out; - is "
        "standard output. It is opened again at SIGHUP.",
        empty_is_laxer=True,
    )


SECTIONS: Mapping[str, type[Any]] = MappingProxyType(
    {
        "server": ServerSection,
        "storage": StorageSection,
        "aws": AwsSection,
        "pypi": PypiSection,
        "auth": AuthSection,
        "oidc": OidcSection,
        "doors": DoorsSection,
        "ldap": LdapSection,
        "index": IndexSection,
        "upstream": UpstreamSection,
        "metrics": MetricsSection,
        "audit": AuditSection,
        "downloads": DownloadsSection,
    }
)


#: What the keys of a section begin with, where that is not the section's own name.
_BEGINNINGS = MappingProxyType({"doors": "auth", "ldap": "auth.ldap"})


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
