"""Logging in by a real directory, over TLS and without, and while it is away."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from time import monotonic, sleep
from typing import Any

from cryptography import x509
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import TestCase

from pypicloud_tw.access.directories.ldap import LDAP, LdapDirectory
from pypicloud_tw.access.directories.ldap_client import endpoints_of
from pypicloud_tw.access.principal import Principal
from pypicloud_tw.concurrency.fair_queue import ANYBODY
from pypicloud_tw.config.sections.ldap import LdapSection
from pypicloud_tw.errors import Unavailable
from tests.integration import apart
from tests.integration.rig import IntegrationTestCase, basic, free_port, wait_until
from tests.integration.slapd import (
    GROUPS,
    PEOPLE,
    SERVICE,
    SERVICE_PASSWORD,
    Slapd,
    slapd,
    started,
)

BY_SEARCH = {"base_dn": "dc=corp", "user_search_filter": "(uid={username})"}
BY_DN = {"user_dn_format": f"uid={{username}},{PEOPLE}"}
AS_SERVICE = {"service_dn": SERVICE, "service_password": SERVICE_PASSWORD}
BOB = Principal("Bob", proof=LDAP)


@contextmanager
def silence() -> Iterator[int]:
    """Listen, and say nothing to anybody; give the port."""
    with socket.socket() as listening:
        port = free_port()
        listening.bind(("127.0.0.1", port))
        listening.listen(16)
        yield port


class DirectoryCase(TestCase):
    timeout = 60

    def setUp(self) -> None:
        slapd()

    def directory(self, **options: Any) -> Slapd:
        folder = Path(mkdtemp(prefix="pypicloud-test-"))
        self.addCleanup(rmtree, folder, ignore_errors=True)
        return started(folder, self.addCleanup, **options)

    def ldap(self, *urls: str, **settings: Any) -> LdapDirectory:
        clock: Any = reactor
        settings = {"start_tls": False, **settings}
        made = LdapDirectory.make(
            LdapSection(url=urls, **settings), clock, endpoints_of(reactor)
        )
        self.addCleanup(made.close)
        return made

    async def log_in(
        self, ldap: LdapDirectory, user: str, password: str = "secret"
    ) -> Principal | None:
        return await ldap.log_in(user, password, ANYBODY)

    async def refused(self, ldap: LdapDirectory, user: str = "bob") -> str:
        """Log in while that cannot be; return what is logged."""
        with capturedLogs() as logs:
            try:
                await self.log_in(ldap, user)
            except Unavailable as e:
                self.assertNotIn("secret", e.message)
            else:
                self.fail("It could be.")
        return " ".join(formatEvent(event) or "" for event in logs)


class WaysTests(DirectoryCase):
    async def test_every_way(self) -> None:
        directory = self.directory()
        ca_file = directory.ca_file
        for url, tls in (
            (directory.url, {}),
            (directory.url, {"start_tls": True, "ca_file": ca_file}),
            (directory.tls_url, {"ca_file": ca_file}),
        ):
            for way in (BY_SEARCH, BY_DN, BY_SEARCH | AS_SERVICE, BY_DN | AS_SERVICE):
                ldap = self.ldap(url, **way, **tls)
                for user in ("Bob", "bob", "BOB"):
                    self.assertEqual(await self.log_in(ldap, user), BOB)
                for user in ("bob", "nobody"):
                    self.assertIsNone(await self.log_in(ldap, user, "wrong"))

    async def test_empty_password(self) -> None:
        """This server lets anybody in by none, as nobody."""
        directory = self.directory()
        ldap = self.ldap(directory.url, **BY_DN)
        self.assertIsNone(await self.log_in(ldap, "bob", ""))

    async def test_odd_names_and_passwords(self) -> None:
        directory = self.directory()
        for way in (BY_SEARCH, BY_DN):
            ldap = self.ldap(directory.url, **way)
            found = await self.log_in(ldap, "änn, lee", "schlüssel")
            self.assertEqual(found, Principal("änn, lee", proof=LDAP))
            for user in ("*", "b*", "bob)(cn=*", "x,uid=bob", "bob+cn=Bob", "bob\\"):
                self.assertIsNone(await self.log_in(ldap, user))

    async def test_two_entries_of_one_name(self) -> None:
        directory = self.directory()
        ldap = self.ldap(directory.url, **BY_SEARCH)
        self.assertIsNone(await self.log_in(ldap, "twin"))

    async def test_limits_of_the_server_s_own(self) -> None:
        """Nobody is let in as one of two, and groups that are missing are told."""
        ldap = self.ldap(
            self.directory(more="sizelimit 1").url, **BY_SEARCH, group_base_dn=GROUPS
        )
        why = await self.refused(ldap, "twin")
        self.assertIn("its limit of sizes", why)
        with capturedLogs() as logs:
            bob = await self.log_in(ldap, "bob")
        assert bob is not None
        self.assertEqual(len(bob.groups), 1)
        self.assertIn("shows only 1 entries", formatEvent(logs[0]) or "")

    async def test_referrals_are_not_followed(self) -> None:
        directory = self.directory()
        ldap = self.ldap(directory.url, **BY_SEARCH)
        self.assertIsNone(await self.log_in(ldap, "elsewhere"))
        ldap = self.ldap(directory.url, **BY_DN)
        self.assertIsNone(await self.log_in(ldap, "elsewhere"))

    async def test_groups_and_administrators(self) -> None:
        directory = self.directory()
        for way in (BY_SEARCH, BY_DN, BY_SEARCH | AS_SERVICE):
            ldap = self.ldap(
                directory.url,
                **way,
                group_base_dn=GROUPS,
                member_of="memberOf",
                admin_group_dn=f"cn=ops,{GROUPS}",
            )
            found = await self.log_in(ldap, "bob")
            assert found is not None
            self.assertEqual(found.groups, {"dev", "ops", "posix", "staff"})
            self.assertTrue(found.administrator)
        ldap = self.ldap(
            directory.url, **BY_DN, admin_field="employeeType", admin_value=("boss",)
        )
        found = await self.log_in(ldap, "bob")
        assert found is not None
        self.assertTrue(found.administrator)


class TlsTests(DirectoryCase):
    async def test_certificate_of_somebody_else(self) -> None:
        directory, other = self.directory(), self.directory()
        for url in (directory.url, directory.tls_url):
            ldap = self.ldap(url, **BY_DN, start_tls=True, ca_file=other.ca_file)
            self.assertIn("certificate verify failed", await self.refused(ldap))

    async def test_certificate_of_another_host(self) -> None:
        names = (x509.DNSName("ldap.elsewhere.example"),)
        directory = self.directory(names=names)
        for url in (directory.url, directory.tls_url):
            ldap = self.ldap(url, **BY_DN, start_tls=True, ca_file=directory.ca_file)
            self.assertIn("VerificationError", await self.refused(ldap))

    async def test_server_that_wants_encryption(self) -> None:
        directory = self.directory(more="security simple_bind=64")
        ldap = self.ldap(directory.url, **BY_DN)
        self.assertIn("ConfidentialityRequired", await self.refused(ldap))
        ldap = self.ldap(
            directory.url, **BY_DN, start_tls=True, ca_file=directory.ca_file
        )
        self.assertEqual(await self.log_in(ldap, "bob"), BOB)


class AwayTests(DirectoryCase):
    async def test_server_that_starts_again(self) -> None:
        directory = self.directory()
        ldap = self.ldap(directory.url, **BY_SEARCH, **AS_SERVICE)
        self.assertEqual(await self.log_in(ldap, "bob"), BOB)
        directory.stop()
        directory.start()
        self.assertEqual(await self.log_in(ldap, "bob"), BOB)

    async def test_silent_server(self) -> None:
        with silence() as port:
            for url, tls in (("ldap", False), ("ldap", True), ("ldaps", False)):
                ldap = self.ldap(
                    f"{url}://127.0.0.1:{port}",
                    **BY_DN,
                    start_tls=tls,
                    answer_timeout=0.3,
                )
                before = monotonic()
                self.assertIn("no answer within 0.3 s", await self.refused(ldap))
                self.assertLess(monotonic() - before, 5)

    async def test_second_server(self) -> None:
        directory = self.directory()
        dead = f"ldap://127.0.0.1:{free_port()}"
        ldap = self.ldap(dead, directory.url, **BY_DN)
        self.assertEqual(await self.log_in(ldap, "bob"), BOB)

    async def test_many_at_once(self) -> None:
        directory = self.directory()
        ldap = self.ldap(directory.url, **BY_SEARCH, **AS_SERVICE)
        asked = [
            Deferred.fromCoroutine(self.log_in(ldap, "bob", "secret" if n % 2 else "x"))
            for n in range(40)
        ]
        found = [await one for one in asked]
        self.assertEqual(found, [None, BOB] * 20)


class ServerTests(IntegrationTestCase):
    """The whole server, beside a directory."""

    def setUp(self) -> None:
        super().setUp()
        self.directory = started(self.make_folder(), self.addCleanup)
        self.settings = {
            "auth.ldap.url": self.directory.url,
            "auth.ldap.ca_file": str(self.directory.ca_file),
            "auth.ldap.base_dn": "dc=corp",
            "auth.ldap.user_search_filter": "(uid={username})",
            "auth.ldap.answer_timeout": "2s",
            "pypi.default_read": "authenticated",
        }

    def test_log_in(self) -> None:
        server = self.server(settings=self.settings)

        def status(user: str, password: str) -> int:
            return server.get("/simple/", Authorization=basic(user, password)).status

        self.assertEqual(server.get("/simple/").status, 401)
        self.assertEqual(status("bob", "secret"), 200)
        self.assertEqual(status("bob", "wrong"), 401)
        self.assertEqual(status("bob", ""), 401)
        self.assertEqual(status("nobody", "secret"), 401)
        # Users of the ini are asked of the ini alone.
        self.assertEqual(server.get("/simple/", Authorization=basic()).status, 200)
        self.assertIn(" Bob [", server.log)  # as the directory writes it

        self.directory.stop()
        away = server.get("/simple/", Authorization=basic("bob", "gunface"))
        self.assertEqual(away.status, 503)
        self.assertEqual(away.headers["retry-after"], "5")
        self.assertEqual(status("bob", "secret"), 200)  # it is remembered
        self.assertEqual(server.get("/simple/", Authorization=basic()).status, 200)
        self.assertIn("The directory at ldap://127.0.0.1", server.log)
        self.assertNotIn("Traceback", server.log)
        for secret in ("secret", "gunface"):
            self.assertNotIn(secret, server.log)

    def test_tokens(self) -> None:
        """They live as long as their owner is found, and have the groups of then."""
        more = {
            "auth.ldap.service_dn": SERVICE,
            "auth.ldap.service_password": SERVICE_PASSWORD,
            "auth.ldap.group_base_dn": GROUPS,
            "auth.ldap.tokens": "true",
            "auth.ldap.cache_time": "1s",
            "pypi.default_read": "dev",
        }
        server = self.server(settings={**self.settings, **more})
        made = server.request(
            "POST",
            "/api/v1/access/tokens",
            b'{"description": "laptop", "actions": ["read"]}',
            {
                "Authorization": basic("bob", "secret"),
                "Content-Type": "application/json",
            },
        )
        self.assertEqual(made.status, 201, made.text)
        shown = basic("__token__", made.json()["token"])
        self.assertEqual(server.get("/simple/", Authorization=shown).status, 200)
        wait_until(lambda: " Bob [" in server.log, lambda: server.log)

        self.directory.stop()
        self.directory.remove(f"uid=Bob,{PEOPLE}")
        sleep(1)
        self.assertEqual(server.get("/simple/", Authorization=shown).status, 503)
        self.directory.start()

        def refused() -> bool:
            # It is left alone for five seconds after it was away.
            return server.get("/simple/", Authorization=shown).status == 401

        wait_until(refused, lambda: server.log)
        self.assertNotIn("Traceback", server.log)

    def test_without_ldaptor(self) -> None:
        module = self.folder / "without" / "ldaptor" / "__init__.py"
        module.parent.mkdir(parents=True)
        module.write_text("raise ModuleNotFoundError('No', name='ldaptor')\n")
        path = str(module.parents[1])
        server = self.server(
            settings=self.settings, environment={"PYTHONPATH": path}, start=False
        )
        server.start(ready=False)
        assert server.process is not None
        self.assertEqual(server.process.wait(30), 1)
        self.assertIn("pip install 'pypicloud-tw[ldap]'", server.log)
        self.assertNotIn("Traceback", server.log)


test_suite = apart(__name__)
