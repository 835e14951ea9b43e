"""Logging in by a directory: by a search or without one, groups, and its failures."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from ldaptor.protocols import pureldap
from ldaptor.protocols.ldap.distinguishedname import DistinguishedName
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.directories.ldap import LDAP, LdapDirectory
from pypicloud_tw.access.directories.ldap_client import LdapServer, endpoints_of
from pypicloud_tw.access.directories.ldap_forms import (
    Entry,
    FilterForm,
    LdapForms,
    group_names,
)
from pypicloud_tw.access.principal import Principal
from pypicloud_tw.concurrency.fair_queue import ANYBODY
from pypicloud_tw.config.sections.ldap import LdapSection
from pypicloud_tw.errors import ConfigError, Unavailable
from tests.access.directories.doubles import (
    GROUPS,
    PEOPLE,
    SERVICE,
    SERVICE_PASSWORD,
    Directory,
)

FIRST, SECOND = "ldap://one.example:1001", "ldap://two.example:1002"
BY_SEARCH = {"base_dn": "dc=corp", "user_search_filter": "(uid={username})"}
BY_DN = {"user_dn_format": f"uid={{username}},{PEOPLE}"}
AS_SERVICE = {"service_dn": SERVICE, "service_password": SERVICE_PASSWORD}
BOB = f"uid=bob,{PEOPLE}"


class LdapCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.directory = Directory(self.clock)
        self.use(**BY_SEARCH)

    def use(self, *urls: str, **settings: Any) -> None:
        settings = {"start_tls": False, "answer_timeout": 10.0, **settings}
        section = LdapSection(url=urls or (FIRST,), **settings)
        self.ldap = LdapDirectory.make(
            section, self.clock, self.directory.make_endpoint
        )

    def begin(self, user: str, password: str = "secret") -> Deferred[Principal | None]:
        return Deferred.fromCoroutine(self.ldap.log_in(user, password, ANYBODY))

    def settle(self, seconds: float = 0) -> None:
        for _ in range(60):
            self.clock.advance(0)
        self.clock.advance(seconds)

    def log_in(self, user: str, password: str = "secret") -> Principal | None:
        result = self.begin(user, password)
        self.settle()
        principal: Principal | None = self.successResultOf(result)
        return principal

    def known(self, user: str) -> Principal:
        principal = self.log_in(user)
        assert principal is not None, user
        return principal

    def away(self, user: str = "bob") -> tuple[Unavailable, str]:
        """Log in while that cannot be; return the error and the log."""
        with capturedLogs() as logs:
            result = self.begin(user)
            self.settle(30)
        error: Unavailable = self.failureResultOf(result, Unavailable).value
        return error, "\n".join(formatEvent(event) or "" for event in logs)


class WaysTests(LdapCase):
    """By a search or by the DN, with a service account or without."""

    def test_every_way(self) -> None:
        for way in (
            BY_SEARCH,
            BY_DN,
            BY_SEARCH | AS_SERVICE,
            BY_DN | AS_SERVICE,
        ):
            self.use(**way)
            for _ in "ab":
                self.assertEqual(self.log_in("bob"), Principal("bob", proof=LDAP))
                self.assertIsNone(self.log_in("bob", "wrong"))
                self.assertIsNone(self.log_in("nobody"))

    def test_search_is_made_as_the_service_account(self) -> None:
        self.use(**BY_SEARCH, **AS_SERVICE)
        self.known("bob")
        self.known("ann")
        # Its connection is kept.
        self.assertEqual(self.directory.binds, [SERVICE, BOB, f"uid=ann,{PEOPLE}"])
        self.assertEqual(len(self.directory.connected), 2)

    def test_empty_passwords_are_never_tried(self) -> None:
        """A bind without a password succeeds on many servers, as nobody."""
        for way in (BY_SEARCH, BY_DN, BY_SEARCH | AS_SERVICE):
            self.use(**way)
            self.assertIsNone(self.log_in("bob", ""))
        self.assertEqual(self.directory.requests, [])

    def test_nobody_takes_the_questions_of_somebody(self) -> None:
        asked = []
        for user in ("bob", "nobody"):
            self.use(**BY_SEARCH)
            self.directory.requests.clear()
            self.assertIsNone(self.log_in(user, "wrong"))
            asked.append([type(r) for r in self.directory.requests])
        self.assertEqual(asked[0], asked[1])

    def test_several_entries_let_nobody_in(self) -> None:
        with capturedLogs() as logs:
            self.assertIsNone(self.log_in("twin"))
        self.assertIn("Several entries", formatEvent(logs[0]) or "")

    def test_service_account_itself(self) -> None:
        self.use(**BY_SEARCH, **AS_SERVICE, service_username="robot")
        principal = self.log_in("robot", SERVICE_PASSWORD)
        self.assertEqual(principal, Principal("robot", administrator=True, proof=LDAP))
        self.assertIsNone(self.log_in("robot", "wrong"))
        self.assertIsNone(self.log_in("robot", ""))

    def look_up(self, user: str) -> Principal | None:
        result = Deferred.fromCoroutine(self.ldap.look_up(user))
        self.settle()
        principal: Principal | None = self.successResultOf(result)
        return principal

    def test_looking_up(self) -> None:
        """Who has a token is found without a password, by the very name."""
        for way in (BY_SEARCH, BY_SEARCH | AS_SERVICE, BY_DN | AS_SERVICE):
            self.use(**way, group_base_dn=GROUPS)
            found = self.look_up("bob")
            assert found is not None
            self.assertEqual(found.groups, {"dev", "ops", "posix"})
            self.assertEqual(found, self.known("bob"))
            for user in ("BOB", "nobody", "twin", "everyone", "*", "bob)(uid=*"):
                with capturedLogs():
                    self.assertIsNone(self.look_up(user), user)
            self.assertEqual(self.directory.binds.count(BOB), 1)
            self.directory.requests.clear()

    def test_looking_up_while_it_is_away(self) -> None:
        self.directory.away = {1001}
        result = Deferred.fromCoroutine(self.ldap.look_up("bob"))
        with capturedLogs():
            self.settle(30)
        self.failureResultOf(result, Unavailable)

    def test_lifetime(self) -> None:
        self.use(**BY_SEARCH, cache_time=7.0)
        self.assertEqual(self.ldap.lifetime, 7.0)


class NameTests(LdapCase):
    """A user is called here what the directory calls it."""

    def test_any_spelling_is_one_user(self) -> None:
        # The directory in memory compares exactly, a real one does not: by a filter
        # that finds bob under another name.
        self.use(
            base_dn="dc=corp",
            user_search_filter="(|(mail={username})(uid={username}))",
            user_attribute="uid",
        )
        self.assertEqual(self.known("bob@corp.example").name, "bob")
        self.assertEqual(self.known("bob").name, "bob")

    def test_attribute_of_the_filter(self) -> None:
        self.use(base_dn="dc=corp", user_search_filter="(mail={username})")
        self.assertEqual(self.known("bob@corp.example").name, "bob@corp.example")

    def test_no_name_is_no_log_in(self) -> None:
        self.use(**BY_SEARCH, user_attribute="mail")
        _, log = self.away("ann")
        self.assertIn("shows no mail", log)
        # It is about one entry: others are let in.
        self.assertEqual(self.known("bob").name, "bob@corp.example")

    def test_names_that_mean_groups(self) -> None:
        with capturedLogs() as logs:
            self.assertIsNone(self.log_in("everyone"))
        self.assertIn("means a group", formatEvent(logs[0]) or "")

    def test_one_of_several_values(self) -> None:
        entry = Entry(f"uid=zoe,{PEOPLE}", {"uid": ("amy", "Zoe")})
        self.assertEqual(entry.name("UID"), "Zoe")
        entry = Entry(f"cn=x,{PEOPLE}", {"uid": ("zoe", "amy")})
        self.assertEqual(entry.name("uid"), "amy")
        self.assertIsNone(entry.name("mail"))


class GroupTests(LdapCase):
    def test_by_search(self) -> None:
        for way in (BY_SEARCH, BY_DN, BY_DN | AS_SERVICE):
            self.use(**way, group_base_dn=GROUPS)
            self.assertEqual(self.known("bob").groups, {"dev", "ops", "posix"})
            self.assertEqual(self.known("ann").groups, {"others"})

    def test_by_member_of(self) -> None:
        self.use(**BY_SEARCH, member_of="memberOf")
        self.assertEqual(self.known("bob").groups, {"staff", "Any, thing"})
        self.assertEqual(self.known("ann").groups, frozenset())

    def test_filter_and_attribute(self) -> None:
        self.use(
            **BY_SEARCH,
            group_base_dn=GROUPS,
            group_filter="(&(objectClass=posixGroup)(memberUid={username}))",
            group_attribute="objectClass",
        )
        self.assertEqual(self.known("bob").groups, {"posixGroup"})

    def test_no_group_of_theirs_means_administrators(self) -> None:
        """Lines for ``group.admin`` speak of ours alone."""
        members = [f"uid=bob,{PEOPLE}"]
        (groups,) = (
            entry
            for entry in self.successResultOf(self.directory.root.children())
            if entry.dn.getText() == GROUPS
        )
        for name in ("admin", "Admin"):
            groups.addChild(
                f"cn={name}",
                {"objectClass": ["groupOfNames"], "cn": [name], "member": members},
            )
        self.use(**BY_SEARCH, group_base_dn=GROUPS)
        self.assertEqual(self.known("bob").groups, {"dev", "ops", "posix"})
        self.assertFalse(self.known("bob").administrator)

    def test_base_that_is_not_there(self) -> None:
        self.use(**BY_SEARCH, group_base_dn="ou=none,dc=corp")
        self.assertEqual(self.known("bob").groups, frozenset())

    def test_administrators(self) -> None:
        ways: list[dict[str, Any]] = [
            {"admin_field": "employeeType", "admin_value": ("any thing", "x")},
            {"admin_group_dn": f"cn=dev,{GROUPS}"},
            {"admin_group_dn": f"cn=ops,{GROUPS}"},
        ]
        for way in ways:
            self.use(**BY_SEARCH, **way)
            self.assertTrue(self.known("bob").administrator)
            self.assertFalse(self.known("ann").administrator)
        self.use(**BY_SEARCH, admin_field="employeeType", admin_value=("Boss",))
        self.assertFalse(self.known("bob").administrator)

    def test_names_of_dns(self) -> None:
        for dn, names in {
            "CN=Dev,DC=x": ["Dev"],
            "cn=a\\2cb,dc=x": ["a,b"],
            "cn = a\\, b ,dc=x": ["a, b"],
            "cn=d\\C3\\A4v,dc=x": ["däv"],
            "cn=däv\\ ,dc=x": ["däv "],
            "cn=a\\+b+sn=c,dc=x": ["a+b"],
            "cn=\\\\": ["\\"],
            "": [],
            "nonsense": [],
            "cn=,dc=x": [],
            "cn=\\ff,dc=x": [],
            "cn=a\\": [],
        }.items():
            self.assertEqual(group_names([dn]), names, dn)
        entry = Entry("cn=x+UID=Zoe,dc=corp", {"uid": ("amy", "zoe")})
        self.assertEqual(entry.name("uid"), "zoe")

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.text('cn=,+\\"#;x1a ', max_size=12), max_size=3))
    def test_names_of_any_dns(self, dns: list[str]) -> None:
        self.assertLessEqual(len(group_names(dns)), len(dns))


class InjectionTests(LdapCase):
    def test_filters(self) -> None:
        for user in ("*", "b*", "bob)(uid=*", "*)(|(uid=*", "bob\\", "b\\6fb", "(", ""):
            self.assertIsNone(self.log_in(user), user)

    def test_dns(self) -> None:
        self.use(**BY_DN)
        for user in (f"bob,{PEOPLE}", "bob+cn=x", "x,uid=bob", "bob\\", "b\\6fb", ""):
            self.assertIsNone(self.log_in(user), user)

    @settings(max_examples=60, deadline=None)
    @given(
        # Control characters are refused before, and it expands tabs.
        st.text(
            st.characters(codec="utf-8", exclude_categories=["Cc"]),
            min_size=1,
            max_size=20,
        )
    )
    def test_any_name_in_a_filter_is_one_value(self, user: str) -> None:
        form = FilterForm.of("key", "(&(a=b)(uid={username})(!(dn={dn})))")
        filled = form.filled(username=user, dn="x")
        items = list(filled)
        self.assertEqual(len(items), 3)
        self.assertIsInstance(items[1], pureldap.LDAPFilter_equalityMatch)
        # ldaptor leaves out blanks that begin a value.
        self.assertEqual(items[1].assertionValue.value.strip(), user.strip())

    @settings(max_examples=60, deadline=None)
    @given(
        st.text(
            st.characters(codec="utf-8", exclude_categories=["Cc"]),
            min_size=1,
            max_size=20,
        )
    )
    def test_any_name_in_a_dn_is_one_value(self, user: str) -> None:
        forms = LdapForms.of(LdapSection(user_dn_format="uid={username},dc=corp"))
        parts = DistinguishedName(stringValue=forms.dn(user)).split()
        self.assertEqual(len(parts), 2)
        self.assertEqual(len(parts[0].split()), 1)

    def test_braces_of_a_name_are_a_name_s(self) -> None:
        form = FilterForm.of("key", "(|(uid={username})(dn={dn}))")
        filled = form.filled(username="{dn}", dn="secret")
        self.assertEqual(next(iter(filled)).assertionValue.value, "{dn}")

    def test_bad_filters_are_told_at_the_start(self) -> None:
        with self.assertRaises(ConfigError) as caught:
            self.use(base_dn="dc=corp", user_search_filter="(uid={username}")
        self.assertIn("auth.ldap.user_search_filter", caught.exception.problems[0])
        with self.assertRaises(ConfigError) as caught:
            self.use(**BY_SEARCH, group_filter="(&)")
        self.assertIn("auth.ldap.group_filter", caught.exception.problems[0])

    def test_filter_without_brackets(self) -> None:
        self.use(base_dn="dc=corp", user_search_filter="uid={username}")
        self.known("bob")


class AwayTests(LdapCase):
    def test_cannot_be_reached(self) -> None:
        self.directory.away.add(1001)
        error, log = self.away()
        self.assertEqual(error.headers, {"Retry-After": "5"})
        self.assertIn("LDAP", error.message)
        self.assertIn("one.example:1001: cannot connect", log)
        self.directory.away.clear()
        self.known("bob")

    def test_not_asked_again_for_a_while(self) -> None:
        self.directory.silent = True
        self.away()
        self.clock.advance(-29)
        asked = len(self.directory.requests)
        self.failureResultOf(self.begin("ann"), Unavailable)
        self.assertEqual(len(self.directory.requests), asked)

    def test_says_nothing(self) -> None:
        self.directory.silent = True
        result = self.begin("bob")
        self.settle(9.9)
        self.assertNoResult(result)
        self.clock.advance(0.2)
        self.failureResultOf(result, Unavailable)

    def test_second_server(self) -> None:
        self.use(FIRST, SECOND, **BY_SEARCH)
        self.directory.away.add(1001)
        self.known("bob")
        self.directory.cut()
        self.settle()
        self.known("bob")
        # Who answered last is asked first.
        self.assertEqual(set(self.directory.connected), {1002})

    def test_server_that_closed_idle_connections(self) -> None:
        self.known("bob")
        self.directory.cut()
        self.settle()
        self.known("bob")

    def test_server_that_forgot_a_connection(self) -> None:
        self.known("bob")
        self.directory.silent = True
        result = self.begin("bob")
        self.settle()
        self.directory.silent = False
        self.clock.advance(10)
        self.settle()
        self.assertEqual(self.successResultOf(result), Principal("bob", proof=LDAP))

    def test_a_bind_is_tried_once(self) -> None:
        """It may count, and lock the user, although no answer has come."""
        for way in (BY_SEARCH, BY_DN, BY_SEARCH | AS_SERVICE):
            self.use(**way)
            self.known("bob")
            self.directory.requests.clear()
            self.directory.hangs_up = True
            self.away()
            users = [dn for dn in self.directory.binds if dn != SERVICE]
            self.assertEqual(users, [BOB], way)
            self.directory.hangs_up = False

    def test_a_wrong_password_is_not_tried_again_at_once(self) -> None:
        """A client that goes on sending an old one does not lock its user."""
        for way in (BY_SEARCH, BY_DN):
            self.use(**way)
            for _ in range(5):
                self.assertIsNone(self.log_in("bob", "old"))
            self.assertEqual(self.directory.binds.count(BOB), 1)
            self.assertIsNone(self.log_in("bob", "older"))
            self.assertEqual(self.directory.binds.count(BOB), 2)
            self.known("bob")
            self.clock.advance(60)
            self.assertIsNone(self.log_in("bob", "old"))
            self.assertEqual(self.directory.binds.count(BOB), 4)
            self.directory.requests.clear()

    def test_what_could_not_be_tried_is_tried_again(self) -> None:
        self.directory.away = {1001}
        self.away()
        self.directory.away = set()
        self.clock.advance(5)
        self.known("bob")

    def test_old_connections_are_not_used(self) -> None:
        self.known("bob")
        self.clock.advance(61)
        self.known("bob")
        self.assertEqual(len(self.directory.connected), 4)

    def test_results_that_are_no_wrong_password(self) -> None:
        for code in (1, 8, 10, 13, 51, 52, 80):
            self.use(**BY_DN)
            self.directory.refusal = code
            _, log = self.away()
            self.assertIn(f"({code})", log)
            self.assertNotIn("secret", log)

    def test_results_that_are_one(self) -> None:
        for code in (19, 32, 34, 48, 49, 50, 53):
            self.use(**BY_DN)
            self.directory.refusal = code
            self.assertIsNone(self.log_in("bob"))

    def test_wrong_service_password(self) -> None:
        self.use(**BY_SEARCH, service_dn=SERVICE, service_password="wrong word")
        error, log = self.away()
        self.assertIn("service_password is wrong", log)
        self.assertNotIn("wrong word", log + error.message)

    def test_nonsense(self) -> None:
        self.directory.silent = True
        result = self.begin("bob")
        self.settle()
        for wire in self.directory.wires:
            wire.write(b"\x30\x05\x02\x01\x63\x04\x00")
        self.settle()
        self.failureResultOf(result, Unavailable)

    def test_answer_to_something_else(self) -> None:
        self.directory.silent = True
        self.use(**BY_DN)
        result = self.begin("bob")
        self.settle()
        entry = pureldap.LDAPSearchResultEntry("", [])
        message = pureldap.LDAPMessage(entry, id=pureldap.next_ldap_message_id - 1)
        self.directory.wires[0].write(message.toWire())
        self.settle()
        self.failureResultOf(result, Unavailable)

    def test_host_that_is_none(self) -> None:
        self.use(f"ldap://{'x' * 70}.example:1", **BY_DN)
        self.ldap = LdapDirectory.make(
            self.ldap.settings, self.clock, endpoints_of(self.clock)
        )
        _, log = self.away()
        self.assertIn("cannot connect", log)

    def test_endless_answer(self) -> None:
        self.directory.silent = True
        result = self.begin("bob")
        self.settle()
        for _ in range(5):
            self.directory.wires[0].write(b"\x30\x84\x7f\xff\xff\xff" + b"x" * 2**20)
        self.settle()
        self.failureResultOf(result, Unavailable)

    def test_notice_of_disconnection(self) -> None:
        self.directory.silent = True
        result = self.begin("bob")
        self.settle()
        notice = pureldap.LDAPExtendedResponse(resultCode=52)
        wire = self.directory.wires[0]
        wire.write(pureldap.LDAPMessage(notice, id=0).toWire())
        self.settle()
        self.failureResultOf(result, Unavailable)

    def test_a_few_at_a_time(self) -> None:
        self.use(**BY_DN, connections=2)
        self.directory.silent = True
        results = [self.begin(f"u{n}") for n in range(5)]
        self.settle()
        self.assertEqual(len(self.directory.connected), 2)
        self.settle(10)
        for result in results:
            # Those behind them are not made to wait as long.
            self.failureResultOf(result, Unavailable)
        self.assertEqual(len(self.directory.connected), 2)

    def test_closing(self) -> None:
        self.known("bob")
        self.ldap.close()
        self.settle()
        self.assertEqual([w.other for w in self.directory.wires], [None, None])


class EncryptionTests(LdapCase):
    def test_start_tls_comes_first(self) -> None:
        self.use(**BY_DN, start_tls=True)
        _, log = self.away()
        # This server has none, so nothing else is said to it.
        self.assertIn("StartTLS failed", log)
        self.assertEqual(self.directory.binds, [])

    def test_bytes_behind_the_answer_to_start_tls(self) -> None:
        self.use(**BY_DN, start_tls=True)
        self.directory.silent = True
        result = self.begin("bob")
        self.settle()
        answer = pureldap.LDAPStartTLSResponse(resultCode=0)
        message = pureldap.LDAPMessage(answer, id=pureldap.next_ldap_message_id - 1)
        self.directory.wires[0].write(message.toWire() + b"\x30")
        with capturedLogs() as logs:
            self.settle()
        self.failureResultOf(result, Unavailable)
        self.assertIn("without encryption", formatEvent(logs[0]) or "")
        self.assertEqual(self.directory.binds, [])

    def test_servers(self) -> None:
        self.assertEqual(
            LdapServer.parse("ldaps://[fd00::1]:636"), LdapServer("fd00::1", 636, True)
        )
        self.assertEqual(str(LdapServer.parse(FIRST)), FIRST)
