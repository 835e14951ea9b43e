"""The keyring of the person who runs a command, where the package keyring is."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from attrs import frozen

from pypicloud_tw.access.basic import Login


@frozen
class SystemKeyring:
    """Asks the package keyring; whatever fails there is as nothing found."""

    _module: Any

    @classmethod
    def load(cls) -> SystemKeyring | None:
        """Load the package; None: it is not installed."""
        try:
            return cls(import_module("keyring"))
        except ImportError:
            return None

    def find(self, service: str, user: str | None) -> Login | None:
        """Return a log-in, whoever's it is or of one user."""
        try:
            if user is None:
                found = self._module.get_credential(service, None)
                return found and Login(found.username, found.password)
            password = self._module.get_password(service, user)
        except Exception:
            # A backend that is locked, or that a desktop is missing for: each has
            # errors of its own, and there are other places to look in.
            return None
        return None if password is None else Login(user, password)
