"""Indexes and log-ins out of ``.pypirc``, where twine keeps them.

https://packaging.python.org/en/latest/specifications/pypirc/
"""

from __future__ import annotations

import os.path
from configparser import Error, RawConfigParser
from pathlib import Path

from attrs import field, frozen

from pypicloud_tw.client.address import IndexAddress
from pypicloud_tw.config.ini import IniError, read_text
from pypicloud_tw.errors import ConfigError

#: The section that is meant where no index is named.
OWN_SECTION = "pypicloud"


@frozen
class Entry:
    """One section: an index and who logs in there."""

    name: str
    address: IndexAddress
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)


@frozen
class Pypirc:
    """What a file has."""

    entries: tuple[Entry, ...] = ()

    @classmethod
    def read(cls, path: Path) -> Pypirc:
        """Read a file; there need not be one.

        :raises ConfigError: it cannot be read, or is no ini file.
        """
        # Nor need its folder be one that may be looked into, as root's home.
        if not os.path.isfile(path):
            return cls()
        parser = RawConfigParser()
        try:
            parser.read_string(read_text(path))
        except IniError as e:
            raise ConfigError([f"{path} cannot be read: {e}"]) from None
        except Error:
            # Neither text nor cause: a line of it may hold a password.
            raise ConfigError([f"{path} cannot be read as an ini file."]) from None
        return cls(tuple(_entries(parser, path)))

    @property
    def own(self) -> Entry | None:
        """The index that is meant where none is named."""
        found = (entry for entry in self.entries if entry.name == OWN_SECTION)
        return next(found, None)

    def find(self, address: IndexAddress) -> Entry | None:
        """Return what is said of an index; our own section is asked first."""
        entries = sorted(self.entries, key=lambda entry: entry.name != OWN_SECTION)
        found = (entry for entry in entries if entry.address.base == address.base)
        return next(found, None)


def _entries(parser: RawConfigParser, path: Path) -> list[Entry]:
    entries = []
    for name in parser.sections():
        url = parser.get(name, "repository", fallback="")
        if not url:
            continue
        where = f"The repository of [{name}] in {path}"
        try:
            address = IndexAddress.parse(url, where)
        except ConfigError:
            if name == OWN_SECTION:
                raise
            continue  # another program's, which may mean something by it
        user = parser.get(name, "username", fallback=None) or address.user
        password = parser.get(name, "password", fallback=None) or address.password
        entries.append(Entry(name, address, user, password))
    return entries
