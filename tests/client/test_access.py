"""Administering access through a server."""

from __future__ import annotations

from pypicloud_tw.access.administration.interface import AccessAdministration
from pypicloud_tw.access.basic import Login
from pypicloud_tw.client.access import RemoteAdministration
from pypicloud_tw.client.address import IndexAddress
from pypicloud_tw.client.api import ApiClient
from pypicloud_tw.client.logins import Credentials
from tests.access.administration.suite import AdministrationSuite, WorkCase
from tests.web.api.doubles import AccessWeb, WebAgent


class RemoteTests(AdministrationSuite, WorkCase):
    def make(self) -> AccessAdministration:
        self.web = AccessWeb()
        self.agent = WebAgent(self.web)
        address = IndexAddress.parse("http://pypi.example:6543/simple/", "--index")
        login = Login("ann", "secret")
        clock = self.web.domain.clock
        return RemoteAdministration(
            ApiClient(address, Credentials(login), self.agent, clock)
        )

    def test_who_asks(self) -> None:
        identity = self.wait(self.access.whoami())
        self.assertEqual((identity.name, identity.administrator), ("ann", True))
        self.assertEqual(identity.groups, ("admin", "fixed"))
        own = self.wait(self.access.rights_of())
        self.assertEqual(own.user, "ann")
