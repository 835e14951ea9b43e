"""What is set of a directory of users."""

from __future__ import annotations

from pathlib import Path

from attrs import frozen

from pypicloud_tw.config import addresses, values
from pypicloud_tw.config.key import key


@frozen
class LdapSection:
    """Users of a directory (LDAP). Needs pypicloud-tw[ldap]. Times are in seconds."""

    url: tuple[str, ...] = key(
        values.words(addresses.ldap_url),
        "",
        "The directory's servers, the next where one is away: ldaps://host or "
        "ldap://host:port, which begins with StartTLS.",
    )
    start_tls: bool = key(
        values.flag,
        "true",
        "Encrypt ldap:// by StartTLS; without it passwords travel as they are.",
        empty_is_laxer=True,
    )
    ca_file: Path | None = key(  # noqa: RUF009  a field, and a Path is immutable
        values.path,
        None,
        "A file of certificate authorities to trust for the directory; the system's by "
        "default. Its host's name is always checked.",
        empty_is_laxer=True,
    )
    user_dn_format: str | None = key(
        values.with_username,
        None,
        "Bind as this entry, without a search before: uid={username},ou=people,dc=corp",
    )
    base_dn: str | None = key(values.line, None, "Where users are searched for.")
    user_search_filter: str | None = key(
        values.with_username,
        None,
        "Finds a user below auth.ldap.base_dn: (uid={username})",
    )
    user_attribute: str | None = key(
        values.attribute,
        None,
        "The attribute whose value is the user's name here, whatever was typed; if not "
        "given, the one that {username} is compared with.",
    )
    service_dn: str | None = key(
        values.line, None, "Searches are made as this entry; anonymously without it."
    )
    service_password: str | None = key(
        values.line, None, "The password of auth.ldap.service_dn.", secret=True
    )
    service_username: str | None = key(
        values.line,
        None,
        "A user name by which auth.ldap.service_dn itself can log in, as an "
        "administrator.",
    )
    group_base_dn: str | None = key(
        values.line, None, "Where the groups of a user are searched for, if anywhere."
    )
    group_filter: str = key(
        values.line,
        "(|(member={dn})(uniqueMember={dn})(memberUid={username}))",
        "Finds the groups of a user below auth.ldap.group_base_dn.",
    )
    group_attribute: str = key(
        values.attribute, "cn", "The attribute that names a group."
    )
    member_of: str | None = key(
        values.attribute,
        None,
        "The attribute of a user that lists its groups' entries, of each of which the "
        "first name counts: memberOf",
    )
    admin_field: str | None = key(
        values.attribute,
        None,
        "The attribute that makes a user an administrator, by auth.ldap.admin_value.",
    )
    admin_value: tuple[str, ...] = key(
        values.several_lines,
        "",
        "Whoever has one of these values, a line each, is an administrator.",
    )
    admin_group_dn: str | None = key(
        values.line, None, "Who is a member of this entry is an administrator."
    )
    tokens: bool = key(
        values.flag,
        "false",
        "Let users of the directory have tokens. Whose one is shown is looked up then, "
        "without a password: auth.ldap.user_search_filter must not find who is "
        "disabled.",
    )
    cache_time: float | None = key(
        values.seconds(),
        None,
        "How long a right password is remembered, and who was looked up; "
        "auth.cache_time if not given.",
        empty_is_laxer=True,
    )
    connections: int = key(
        values.whole(1, 100),
        "4",
        "Log-ins at a time. Each has two connections, which are kept for the next.",
    )
    connect_timeout: float = key(
        values.seconds(0.1), "5s", "How long a connection to a server may take."
    )
    answer_timeout: float = key(
        values.seconds(0.1), "10s", "How long the directory may take to answer."
    )
    ignore_cert: bool = key(
        values.flag,
        "false",
        "Of pypicloud 1.x; only false is taken: give auth.ldap.ca_file instead.",
    )
    ignore_referrals: bool = key(
        values.flag, "true", "Of pypicloud 1.x; referrals are never followed."
    )
    ignore_multiple_results: bool = key(
        values.flag,
        "false",
        "Of pypicloud 1.x, and without effect: where several entries fit, nobody is "
        "let in.",
    )
    fallback: str | None = key(
        values.one_of("config"),
        None,
        "Of pypicloud 1.x, and without effect: the ini's groups and rights always "
        "count.",
    )
