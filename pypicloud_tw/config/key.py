"""How one setting is declared, and how its value is shown."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from attrs import field, frozen

from pypicloud_tw.plain_texts import shortened

DAY = 86400

#: The values of keys that are unset.
EMPTY = (None, (), "")


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
    return repr(shortened(text, 80))


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
