"""The ways to log in that an ini opens, in a whole server."""

from __future__ import annotations

import os

from twisted.trial.unittest import SkipTest

from pypicloud_tw.errors import ConfigError
from tests.certificates import Authority
from tests.doubles import quick_hash
from tests.test_tap import TapCase
from tests.web.doubles import HASH, basic
from tests.web.pages.browser import Browser

CLOSED = "pypi.default_read = authenticated"


class LoginsTests(TapCase):
    def test_htpasswd(self) -> None:
        users = self.folder / "users"
        users.write_text(f"bob:{HASH}\n")
        self.start("auth.htpasswd = users", CLOSED, f"user.ann = {HASH}")
        self.assertNotIn("There is no user", self.made)
        for user, status in (("ann", 200), ("bob", 200), ("cid", 401)):
            self.assertEqual(self.status("/simple/", basic(user)), status)
        state = users.stat()
        users.write_text(f"cid:{HASH}\n")
        os.utime(users, ns=(state.st_atime_ns, state.st_mtime_ns))
        self.assertEqual(self.status("/simple/", basic("bob")), 200)
        self.hang_up()
        self.assertEqual(self.status("/simple/", basic("bob")), 401)
        self.assertEqual(self.status("/simple/", basic("cid")), 200)
        self.stop()

    def test_people_in_a_browser(self) -> None:
        users = self.folder / "users"
        users.write_text(f"bob:{HASH}\n")
        lines = ("auth.htpasswd = users", CLOSED, "auth.session_life = 2h")
        self.start(*lines, f"user.ann = {HASH}")
        ann, bob = Browser(self), Browser(self)
        for browser, user in ((ann, "ann"), (bob, "bob")):
            self.assertEqual(browser.log_in(user).status, 303)
            self.assertIn("Max-Age=7200", browser.set[0])
            self.assertEqual(browser.get("/simple/").status, 200)
        self.write(*lines)
        users.write_text(f"bob:{quick_hash('another')}\n")
        self.hang_up()
        for browser in (ann, bob):
            self.assertEqual(browser.get("/simple/").status, 401)
        self.stop()

    def test_file_of_users_that_changes(self) -> None:
        """Nobody logs in by a password meanwhile."""
        users = self.folder / "users"
        users.write_text(f"bob:{HASH}\n")
        self.start("auth.htpasswd = users", CLOSED)
        bob = Browser(self)
        bob.log_in("bob")
        users.write_text(f"bobby:{HASH}\n")
        self.reactor.advance(1)
        self.assertEqual(bob.get("/simple/").status, 401)
        self.stop()

    def test_people_by_a_provider(self) -> None:
        issuer = "oidc_login.issuer = https://login.corp.example"
        self.start(issuer, "oidc_login.client_id = pypi", CLOSED)
        self.assertNotIn("There is no user", self.made)
        page = self.request("GET", "/login").text
        self.assertIn("Log in by your organisation", page)
        self.assertNotIn("password", page.partition("<main")[2].partition("</main")[0])
        self.stop()

    def test_file_without_users_may_have_some_soon(self) -> None:
        """So a client is asked for a password, and not told that nobody has one."""
        (self.folder / "users").write_text("")
        self.start("auth.htpasswd = users", CLOSED)
        self.assertNotIn("There is no user", self.made)
        self.assertEqual(self.status("/simple/"), 401)
        self.stop()

    def test_file_that_cannot_be_read(self) -> None:
        (self.folder / "users").write_bytes(b"\xff\xff\xff")
        self.write("auth.htpasswd = users")
        with self.assertRaises(ConfigError) as caught:
            self.make()
        self.assertIn("not UTF-8 text", caught.exception.problems[0])

    def test_proxy(self) -> None:
        self.start(
            "auth.remote_user_header = remote-user",
            "pypi.trusted_proxies = 192.0.2.7",
            CLOSED,
        )
        self.assertNotIn("There is no user", self.made)
        self.assertEqual(self.status("/simple/"), 401)
        self.assertEqual(self.status("/simple/", {"Remote-User": "bob"}), 200)
        self.stop()

    def test_certificates(self) -> None:
        authority = Authority.make()
        (self.folder / "ca.pem").write_bytes(authority.pem)
        (self.folder / "key.pem").write_bytes(authority.pair("localhost"))
        self.start(
            f"server.listen = ssl:443:privateKey={self.folder.absolute()}/key.pem",
            "server.client_ca_file = ca.pem",
            "server.client_certificate = required",
            "auth.certificate_user = cn:{user}",
            CLOSED,
        )
        ((port, _, options, _, _),) = self.reactor.sslServers
        self.assertEqual((port, options.requireCertificate), (443, True))
        self.assertEqual(self.status("/simple/"), 401)
        self.stop()

    def test_authorities_that_are_none(self) -> None:
        (self.folder / "ca.pem").write_text("nothing")
        self.write(
            "server.listen = ssl:443:privateKey=key.pem",
            "server.client_ca_file = ca.pem",
        )
        with self.assertRaises(ConfigError) as caught:
            self.make()
        self.assertIn("holds no certificate", caught.exception.problems[0])

    def test_directory(self) -> None:
        try:
            import ldaptor  # noqa: F401  # only whether it is there
        except ImportError:
            raise SkipTest("pip install -e '.[test,ldap]'") from None
        lines = [
            "auth.ldap.url = ldap://192.0.2.1",
            "auth.ldap.user_dn_format = uid={username},dc=corp",
            CLOSED,
        ]
        self.start(*lines)
        self.assertNotIn("There is no user", self.made)
        self.assertEqual(self.status("/simple/"), 401)
        self.write(*lines, "auth.ldap.connections = 2")
        told = self.hang_up()
        self.assertIn("needs a restart: auth.ldap.connections", told)
        self.stop()
