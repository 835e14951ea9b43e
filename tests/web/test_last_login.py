"""Who logs in again on a connection is known at once, for as long as that holds."""

from __future__ import annotations

from attrs import field, frozen
from twisted.internet.address import IPv4Address
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.access import Recall
from pypicloud_tw.access.passwords import HTPASSWD
from pypicloud_tw.access.principal import Credentials
from pypicloud_tw.access.users import PasswordLogin
from pypicloud_tw.config.addresses import network
from pypicloud_tw.web.http.proxies import Proxies
from tests.builders import wheel
from tests.doubles import quick_hash
from tests.web.doubles import (
    Connection,
    Headers,
    Response,
    Web,
    basic,
    request_bytes,
)

PROXY = IPv4Address("TCP", "10.0.0.1", 1)
PAGE = "/simple/acme/"


@frozen
class Counted(PasswordLogin):
    """Counts what is found for those who come again."""

    found: list[Recall | None] = field(factory=list)

    def find_recall(self, credentials: Credentials) -> Recall | None:
        self.found.append(super().find_recall(credentials))
        return self.found[-1]


class LastLoginTests(SynchronousTestCase):
    def setUp(self) -> None:
        proxies = Proxies((network("10.0.0.0/8"),))
        users = {name: quick_hash("secret") for name in ("ann", "bob")}
        self.web = Web(users=users, default_read="authenticated", proxies=proxies)
        self.web.publish("acme-1.0-py3-none-any.whl", wheel())
        access = self.web.application.access
        tokens, _, passwords = access.authenticators
        assert isinstance(passwords, PasswordLogin)
        self.users = passwords.users
        counted = Counted(self.users)
        access.authenticators = tokens, counted
        self.found = counted.found
        self.connection = self.web.connect()

    def ask(self, headers: Headers, connection: Connection | None = None) -> Response:
        connection = connection or self.connection
        connection.send(request_bytes("GET", PAGE, headers))
        for _ in range(100):
            response = connection.response()
            if response is not None:
                return response
            self.web.domain.clock.advance(0.01)
        raise AssertionError(connection.unread)

    def statuses(self, *asked: Headers) -> list[int]:
        return [self.ask(headers).status for headers in asked]

    def test_it_is_looked_for_once(self) -> None:
        self.assertEqual(self.statuses(*[basic("ann")] * 5), [200] * 5)
        self.assertEqual(len(self.found), 1)

    def test_another_on_the_same_connection_is_another(self) -> None:
        self.statuses(basic("ann"), basic("ann"), basic("ann"))
        asked: tuple[Headers, ...] = (
            basic("ann", "wrong"),
            {},
            basic("bob"),
            basic("ann"),
            basic("nobody"),
        )
        self.assertEqual(self.statuses(*asked), [401, 401, 200, 200, 401])

    def test_who_changes_in_turn_is_not_looked_for_twice(self) -> None:
        self.statuses(*[basic("ann"), basic("bob")] * 5)
        self.assertEqual(self.found, [])

    def test_a_password_that_changed_holds_no_more(self) -> None:
        self.statuses(*[basic("ann")] * 3)
        self.users.reload({"ann": quick_hash("another"), "bob": quick_hash("secret")})
        self.assertEqual(self.statuses(basic("ann")), [401])
        self.statuses(*[basic("bob")] * 3)
        self.users.update(HTPASSWD, {"bob": quick_hash("another")})
        self.assertEqual(self.statuses(basic("bob")), [200])  # the ini's is the one
        self.users.reload({})
        self.assertEqual(self.statuses(basic("bob")), [401])

    def test_a_proxys_connection_has_requests_of_many(self) -> None:
        """An address that has not shown the password itself pays for a check."""
        connection = Connection(self.web.site, PROXY)

        def by(client: str, password: str = "secret") -> int:
            headers = {**basic("ann"), "X-Forwarded-For": client}
            return self.ask(headers, connection).status

        self.assertEqual([by("192.0.2.1") for _ in range(3)], [200] * 3)
        checks = len(self.found)
        self.assertEqual(by("192.0.2.2"), 200)
        self.assertEqual(len(self.found), checks)

    def test_a_long_field_is_not_kept(self) -> None:
        long = basic("ann", "x" * 2000)
        self.assertEqual(self.statuses(long, long, long), [401] * 3)
        self.assertEqual(self.found, [])
