"""Who logs in at an index, found where twine and pip find it.

In this order: the address itself, the environment, ``.pypirc``, netrc, the keyring, and
a question. A user without a password goes on looking for the password alone. Where
nothing names a user, nobody is asked for one until the index wants a log-in.
"""

from __future__ import annotations

import netrc
import os.path
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Protocol

from attrs import define, field, frozen

from pypicloud_tw.access.basic import Login
from pypicloud_tw.client.address import IndexAddress
from pypicloud_tw.client.pypirc import Pypirc
from pypicloud_tw.errors import ConfigError

USER_VARIABLE = "PYPICLOUD_USERNAME"
PASSWORD_VARIABLE = "PYPICLOUD_PASSWORD"  # noqa: S105  the name, not the word


class Keyring(Protocol):
    """What is asked of a keyring."""

    def find(self, service: str, user: str | None) -> Login | None:
        """Return a log-in, whoever's it is or of one user."""


@define
class Credentials:
    """Who asks an index.

    :ivar login: who is known; None: nobody, until the index wants a log-in.
    """

    login: Login | None
    _demand: Callable[[], Login] | None = None

    def wanted(self) -> bool:
        """Ask for a log-in, for the index wants one; return whether there is a new one.

        :raises ConfigError: nobody tells it.
        """
        if self.login is not None or self._demand is None:
            return False
        self.login = self._demand()
        return True


@frozen
class LoginSources:
    """Where log-ins are looked for.

    :ivar pypirc: reads the file ``.pypirc``, if the log-in is not known before.
    :ivar netrc: the path of a netrc file, which need not be there.
    :ivar keyring: None: there is none.
    :ivar ask: asks a person, for a user name or for the password of one; None: nobody
        is there to be asked.
    :ivar user_variable: what the environment calls the user, and *password_variable*
        the password.
    """

    environ: Mapping[str, str] = field(repr=False)
    pypirc: Callable[[], Pypirc]
    netrc: Path | None = None
    keyring: Keyring | None = None
    ask: Callable[[str | None], str] | None = None
    user_variable: str = USER_VARIABLE
    password_variable: str = PASSWORD_VARIABLE

    def credentials(self, address: IndexAddress) -> Credentials:
        """Return what is known of who asks an index.

        :raises ConfigError: as :meth:`known` does.
        """
        return Credentials(self.known(address), partial(self.demand, address))

    def known(self, address: IndexAddress) -> Login | None:
        """Return who logs in; None: nothing names a user.

        Of a user that is named without a password, that is asked for.

        :raises ConfigError: nobody tells it; or a file that may cannot be read.
        """
        user: str | None = None
        for found_user, password in self._places(address):
            user = user or found_user
            if user is not None and password is not None and found_user == user:
                return Login(user, password)
        return None if user is None else self.demand(address, user)

    def _places(self, address: IndexAddress) -> Iterator[tuple[str | None, str | None]]:
        """Go through what is written somewhere; what costs most comes last."""
        yield address.user, address.password
        user, password = (
            self._variable(self.user_variable),
            self._variable(self.password_variable),
        )
        # A password alone belongs to the user that the address has.
        yield user or (address.user if password else None), password
        entry = self.pypirc().find(address)
        if entry is not None:
            yield entry.user, entry.password
        yield self._in_netrc(address)
        wanted = address.user or user or (entry.user if entry is not None else None)
        yield from self._in_keyring(address, wanted)

    def _variable(self, name: str) -> str | None:
        # The end of a line is there by mistake: no log-in may have one (RFC 7617).
        return self.environ.get(name, "").rstrip("\r\n") or None

    def _in_netrc(self, address: IndexAddress) -> tuple[str | None, str | None]:
        if self.netrc is None or not os.path.isfile(self.netrc):
            return None, None
        try:
            found = netrc.netrc(self.netrc).authenticators(address.host)
        except (netrc.NetrcParseError, OSError, UnicodeDecodeError):
            raise ConfigError([f"{self.netrc} cannot be read."]) from None
        return (None, None) if found is None else (found[0] or None, found[2] or None)

    def _in_keyring(
        self, address: IndexAddress, user: str | None
    ) -> Iterator[tuple[str, str]]:
        if self.keyring is None:
            return
        # As twine names it, which has the whole address, and as pip does.
        for service in (address.base, f"{address.base}/", address.host):
            login = self.keyring.find(service, user)
            if login is not None:
                yield login.user, login.password

    def demand(self, address: IndexAddress, user: str | None = None) -> Login:
        """Ask a person.

        :param user: whose password is asked for; None: the user's name is, too.
        :raises ConfigError: nobody is there to be asked.
        """
        if self.ask is None:
            raise ConfigError(
                [
                    f"Nothing says who logs in at {address.base}: set "
                    f"{self.user_variable} and {self.password_variable} (a token's "
                    "user is __token__), or write them into .pypirc or a netrc file."
                ]
            )
        user = user or self.ask(None)
        return Login(user, self.ask(user))
