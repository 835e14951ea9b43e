"""All the ways to log in that are open, in the order in which they are asked."""

from __future__ import annotations

from typing import Protocol

from attrs import frozen

from pypicloud_tw.access.access import Authenticator
from pypicloud_tw.access.certificate_login import CertificateLogin
from pypicloud_tw.access.directories.htpasswd import Htpasswd
from pypicloud_tw.access.proxy_login import ProxyLogin
from pypicloud_tw.access.tokens.owners import Lookup, People
from pypicloud_tw.access.users import PasswordLogin, Users


class OtherDirectory(Lookup, Protocol):
    """A directory elsewhere, by connections."""

    def close(self) -> None:
        """Close them."""


@frozen(eq=False)
class Logins:
    """The ways to log in.

    :ivar htpasswd: None: there is no such file.
    :ivar directory: None: none is asked.
    :ivar proxy: None: no proxy signs anybody in.
    :ivar certificates: None: nobody logs in by one.
    :ivar people: owners of tokens whom the directory knows; None: there are none.
    :ivar provider: people log in by a provider, in a browser.
    """

    users: Users
    htpasswd: Htpasswd | None = None
    directory: OtherDirectory | None = None
    proxy: ProxyLogin | None = None
    certificates: CertificateLogin | None = None
    people: People | None = None
    provider: bool = False

    @property
    def authenticators(self) -> tuple[Authenticator, ...]:
        """All of them; what a request says itself goes before what is said of it."""
        passwords = PasswordLogin(self.users, self.htpasswd)
        others = (self.proxy, self.certificates)
        return (passwords, *(one for one in others if one is not None))

    @property
    def possible(self) -> bool:
        """Whether anybody can log in at all, or soon may."""
        others = (self.htpasswd, self.proxy, self.certificates)
        return (
            self.users.exist or self.provider or any(one is not None for one in others)
        )

    def reload(self) -> None:
        """Read again what others keep."""
        if self.htpasswd is not None:
            self.htpasswd.reload()

    def close(self) -> None:
        """Close the connections to a directory."""
        if self.directory is not None:
            self.directory.close()
