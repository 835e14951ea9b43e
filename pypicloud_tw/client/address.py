"""The address of an index, as people have it for their installers and for uploads."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit, urlunsplit

from attrs import field, frozen

from pypicloud_tw.errors import ConfigError

#: What stands behind an index's address in settings of pip, uv and twine.
_SUFFIXES = ("/simple", "/legacy", "/pypi")

_PORTS = {"http": 80, "https": 443}


@frozen
class IndexAddress:
    """Where an index is, and who its address says that we are.

    :ivar base: without a final slash, without user and password.
    """

    base: str
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str, where: str) -> IndexAddress:
        """Read an address, with or without ``/simple/`` or ``/legacy/`` behind it.

        :param where: names the setting, for the error.
        :raises ConfigError: it is none. The message does not repeat it, for it may
            hold a password.
        """
        try:
            parts = urlsplit(url.strip())
            usable = parts.scheme in _PORTS and parts.hostname and parts.port != 0
        except ValueError:
            usable = False
        if not usable:
            raise ConfigError(
                [
                    f"{where} is not the address of an index; write it as "
                    "https://host/ or https://host/simple/."
                ]
            )
        path = parts.path.rstrip("/")
        for suffix in _SUFFIXES:
            path = path.removesuffix(suffix)
        host = parts.netloc.rpartition("@")[2].lower()
        base = urlunsplit((parts.scheme, host, path.rstrip("/"), "", ""))
        user, password = parts.username or None, parts.password
        return cls(
            base,
            None if user is None else unquote(user),
            None if password is None else unquote(password),
        )

    @property
    def scheme(self) -> str:
        """``https`` or ``http``."""
        return urlsplit(self.base).scheme

    @property
    def host(self) -> str:
        """The host's name, without its port."""
        return urlsplit(self.base).hostname or ""
