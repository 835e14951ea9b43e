"""What is put into DNs and filters, and what is read out of entries."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from attrs import frozen
from ldaptor.ldapfilter import InvalidLDAPFilter, parseFilter
from ldaptor.protocols.pureldap import escape as escape_for_filter

from pypicloud_tw.config.login_checks import user_attribute
from pypicloud_tw.config.sections.ldap import LdapSection
from pypicloud_tw.errors import ConfigError

#: RFC 4514, section 2.4. What is not printable is escaped, too.
_SPECIAL = frozenset('"+,;<>\\=#')

#: An attribute and its value (RFC 4514, section 3), and what stands behind them.
_PART = re.compile(
    r"\s*([A-Za-z0-9.-]+)\s*="
    r"((?:\\[0-9A-Fa-f]{2}|\\(?![0-9A-Fa-f]{2}).|[^\\,;+])*)([,;+]|$)"
)


def escape_for_dn(value: str) -> str:
    """Write a value so that it ends nothing in a DN (RFC 4514, section 2.4)."""
    last = len(value) - 1

    def escaped(place: int, character: str) -> str:
        at_end = character == " " and place in (0, last)
        if at_end or character in _SPECIAL or not character.isprintable():
            return "".join(f"\\{byte:02x}" for byte in character.encode())
        return character

    return "".join(escaped(*one) for one in enumerate(value))


def fill(form: str, values: dict[str, str]) -> str:
    """Put values, already escaped, where ``{name}`` stands; once, and nothing else.

    Not by :meth:`str.format`, to which other braces would mean something.
    """
    return re.sub(r"\{(\w+)\}", lambda match: values.get(match[1], match[0]), form)


@frozen
class FilterForm:
    """A filter (RFC 4515) with places for values."""

    text: str

    @classmethod
    def of(cls, key: str, text: str) -> FilterForm:
        """Make it, and try it.

        :param key: the setting that it stands under, for the error.
        :raises ConfigError: it is no filter.
        """
        # Without brackets, as OpenLDAP's tools take it, it is plain as well.
        form = cls(text if text.startswith("(") else f"({text})")
        try:
            form.filled(username="x", dn="x")
        except InvalidLDAPFilter as e:
            raise ConfigError(
                [
                    f"{key} is not a filter as in RFC 4515: {e.msg} at character "
                    f"{e.loc + 1}."
                ]
            ) from None
        return form

    def filled(self, **values: str) -> Any:
        """Return ldaptor's filter with these values in it, whatever is in them."""
        escaped = {name: escape_for_filter(value) for name, value in values.items()}
        return parseFilter(fill(self.text, escaped))


#: Either of the two classes of groups that pypicloud 1.x knew.
_MEMBERS = "(|(member={dn})(uniqueMember={dn}))"


@frozen
class LdapForms:
    """What is asked of a directory.

    :ivar dn_format: of a user's DN; empty where it is searched for.
    :ivar user: finds a user.
    :ivar groups: finds a user's groups.
    :ivar members: tells whether a user is a member of one group.
    :ivar attribute: names a user.
    :ivar attributes: what is asked of a user's entry.
    """

    dn_format: str
    user: FilterForm
    groups: FilterForm
    members: FilterForm
    attribute: str
    attributes: Sequence[str]

    @classmethod
    def of(cls, settings: LdapSection) -> LdapForms:
        """Take them from the settings.

        :raises ConfigError: a filter is none.
        """
        attribute = user_attribute(settings) or ""
        wanted = (attribute, settings.member_of, settings.admin_field)
        by_name = settings.user_search_filter or f"({attribute}={{username}})"
        return cls(
            settings.user_dn_format or "",
            FilterForm.of("auth.ldap.user_search_filter", by_name),
            FilterForm.of("auth.ldap.group_filter", settings.group_filter),
            FilterForm.of("auth.ldap.admin_group_dn", _MEMBERS),
            attribute,
            [name for name in wanted if name],
        )

    def dn(self, user: str) -> str:
        """Return the DN of a user, whatever is in its name."""
        return fill(self.dn_format, {"username": escape_for_dn(user)})


@frozen
class Entry:
    """An entry of the directory.

    :ivar attributes: values by the attribute's name in small letters; only those that
        are text.
    """

    dn: str
    attributes: dict[str, tuple[str, ...]]

    @classmethod
    def of(cls, message: Any) -> Entry:
        """Take it out of an answer."""
        attributes = {
            name.decode("ascii", "replace").lower(): tuple(_texts(values))
            for name, values in message.attributes
        }
        return cls(message.objectName.decode("utf-8", "replace"), attributes)

    def values(self, attribute: str) -> tuple[str, ...]:
        """Return an attribute's values; none if it is not there, or not to be seen."""
        return self.attributes.get(attribute.lower(), ())

    def name(self, attribute: str) -> str | None:
        """Return the one value that names the entry, always the same of several.

        It is the one that stands in the DN, else the first by the alphabet.
        """
        values = self.values(attribute)
        own = {own.lower() for own in _first_names(self.dn, attribute)}
        return min(values, key=lambda v: (v.lower() not in own, v), default=None)


def _texts(values: Iterable[bytes]) -> Iterable[str]:
    for value in values:
        try:
            yield value.decode()
        except UnicodeDecodeError:
            continue


def _first_names(dn: str, attribute: str | None) -> Sequence[str]:
    """Return the values of a DN's first part, of one attribute or of any.

    Not by ldaptor, which takes each byte of an escape for a character of its own.
    """
    found, place = [], 0
    while (part := _PART.match(dn, place)) is not None:
        name, value, end = part.groups()
        if attribute is None or name.lower() == attribute.lower():
            found.append(_unescaped(value))
        if end != "+":
            break
        place = part.end()
    return [value for value in found if value]


def _unescaped(value: str) -> str:
    """Undo the escapes of a DN's value; empty if that is no text."""
    bare = re.sub(rb"(?<!\\) +$", b"", value.encode().lstrip())

    def character(match: re.Match[bytes]) -> bytes:
        code = match[1]
        return bytes.fromhex(code.decode()) if len(code) == 2 else code

    try:
        return re.sub(rb"\\([0-9A-Fa-f]{2}|.)", character, bare).decode()
    except UnicodeDecodeError:
        return ""


def group_names(dns: Iterable[str]) -> list[str]:
    """Return what groups are called, by their DNs (``memberOf``)."""
    named = map(partial(_first_names, attribute=None), dns)
    return [names[0] for names in named if names]
