"""What must agree among the keys of the ways to log in."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from pypicloud_tw.config.sections.access import LoginsSection, OidcLoginSection
from pypicloud_tw.config.sections.index import PypiSection
from pypicloud_tw.config.sections.ldap import LdapSection
from pypicloud_tw.config.sections.server import ServerSection

#: The keys that a problem speaks of, and its sentence.
Finding = tuple[tuple[str, ...], str]

_LDAP = "auth.ldap."

#: Where ``{username}`` stands in a DN's or a filter's form: as whose value.
_COMPARED = re.compile(r"([A-Za-z][A-Za-z0-9-]*)\s*=\s*\{username\}")


def user_attribute(ldap: LdapSection) -> str | None:
    """Return the attribute that names a user; None if nothing says which it is."""
    if ldap.user_attribute is not None:
        return ldap.user_attribute
    found = _COMPARED.search(ldap.user_dn_format or ldap.user_search_filter or "")
    return None if found is None else found[1]


def of_logins(
    server: ServerSection, pypi: PypiSection, logins: LoginsSection
) -> Iterator[Finding]:
    """Find what contradicts itself among proxies and certificates."""
    if logins.remote_groups_header and not logins.remote_user_header:
        yield (
            ("auth.remote_groups_header", "auth.remote_user_header"),
            "auth.remote_groups_header is of use only with auth.remote_user_header.",
        )
    behind_socket = server.listen.startswith(("unix:", "systemd:"))
    if logins.remote_user_header and not pypi.trusted_proxies and not behind_socket:
        yield (
            ("auth.remote_user_header", "pypi.trusted_proxies", "server.listen"),
            f"auth.remote_user_header = {logins.remote_user_header} is believed of "
            "nobody: name the proxy in pypi.trusted_proxies.",
        )
    if server.client_ca_file is not None and not server.listen.startswith("ssl:"):
        yield (
            ("server.client_ca_file", "server.listen"),
            "server.client_ca_file needs a server.listen that is an ssl: endpoint: "
            "ssl:443:privateKey=key.pem:certKey=chain.pem",
        )
    if logins.certificate_user and server.client_ca_file is None:
        yield (
            ("auth.certificate_user", "server.client_ca_file"),
            "auth.certificate_user needs server.client_ca_file, or no certificate is "
            "ever asked for.",
        )


def of_oidc_login(login: OidcLoginSection) -> Iterator[Finding]:
    """Find what is missing for a provider of log-ins."""
    if login.issuer is None:
        return
    if login.client_id is None:
        yield (
            ("oidc_login.issuer", "oidc_login.client_id"),
            "oidc_login.issuer needs oidc_login.client_id, by which the provider knows "
            "this server.",
        )
    if "openid" not in login.scopes:
        yield (
            ("oidc_login.scopes",),
            "oidc_login.scopes must have openid in it, or the provider does not say "
            "who somebody is.",
        )


def unused_of_oidc_login(
    login: OidcLoginSection, given: Collection[str]
) -> Iterator[str]:
    """List what is set and changes nothing."""
    of_login = sorted(key for key in given if key.startswith("oidc_login."))
    if of_login and login.issuer is None:
        yield f"Not used, as oidc_login.issuer is not set: {', '.join(of_login)}."


def of_ldap(ldap: LdapSection, given: Collection[str]) -> Iterator[Finding]:
    """Find what is missing for a directory, and what excludes itself."""
    if not ldap.url:
        return
    searches = (f"{_LDAP}base_dn", f"{_LDAP}user_search_filter")
    by_search = [key for key in searches if key in given]
    if ldap.user_dn_format is not None and by_search:
        yield (
            (f"{_LDAP}user_dn_format", *searches),
            f"auth.ldap.user_dn_format and {by_search[0]} exclude each other: bind as "
            "the user at once, or search first.",
        )
    elif ldap.user_dn_format is None and len(by_search) < len(searches):
        yield (
            (f"{_LDAP}user_dn_format", *searches),
            "auth.ldap.url needs auth.ldap.user_dn_format, or both auth.ldap.base_dn "
            "and auth.ldap.user_search_filter.",
        )
    elif user_attribute(ldap) is None:
        yield (
            (f"{_LDAP}user_attribute", f"{_LDAP}user_dn_format", *searches),
            "auth.ldap.user_attribute must say which attribute names a user: nothing "
            "is compared with {username} alone.",
        )
    if ldap.service_dn is not None and ldap.service_password is None:
        # A bind with an empty password succeeds on many servers, as nobody.
        yield (
            (f"{_LDAP}service_dn", f"{_LDAP}service_password"),
            "auth.ldap.service_dn needs auth.ldap.service_password.",
        )
    if ldap.service_username is not None and ldap.service_dn is None:
        yield (
            (f"{_LDAP}service_username", f"{_LDAP}service_dn"),
            "auth.ldap.service_username needs auth.ldap.service_dn.",
        )
    if ldap.tokens and ldap.user_dn_format is not None and ldap.service_dn is None:
        yield (
            (f"{_LDAP}tokens", f"{_LDAP}service_dn"),
            "auth.ldap.tokens needs auth.ldap.service_dn, by which users are looked "
            "up without their password.",
        )
    if (ldap.admin_field is None) != (not ldap.admin_value):
        yield (
            (f"{_LDAP}admin_field", f"{_LDAP}admin_value"),
            "auth.ldap.admin_field and auth.ldap.admin_value belong together, and only "
            "one is given.",
        )
    if ldap.ignore_cert:
        yield (
            (f"{_LDAP}ignore_cert",),
            "auth.ldap.ignore_cert = true is not taken: whoever stands between would "
            "read every password. Give the authority's file as auth.ldap.ca_file.",
        )


def unused_of_ldap(ldap: LdapSection, given: Collection[str]) -> Iterator[str]:
    """List what is set and changes nothing, or less than it should."""
    of_ldap = sorted(key for key in given if key.startswith(_LDAP))
    if of_ldap and not ldap.url:
        yield f"Not used, as auth.ldap.url is not set: {', '.join(of_ldap)}."
    if ldap.url and not ldap.start_tls and any("ldap:" in url for url in ldap.url):
        yield (
            "auth.ldap.start_tls = false: passwords travel to the directory as they "
            "are, for everybody between to read."
        )
    if ldap.ignore_multiple_results:
        yield (
            "auth.ldap.ignore_multiple_results has no effect: where several entries of "
            "the directory fit a user name, nobody is let in."
        )
