"""Logging in: malformed, wrong, right, remembered, at the same time, and reloaded."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any, TypeVarTuple

from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from pypicloud_tw.access.basic import Login, parse_basic
from pypicloud_tw.access.checks import Checks, StoredPassword
from pypicloud_tw.access.hashes import HashingError
from pypicloud_tw.access.principal import ANONYMOUS, Principal
from pypicloud_tw.access.remembered import RememberedLogins
from pypicloud_tw.access.throttle import Throttle
from pypicloud_tw.access.users import PASSWORD, Users
from pypicloud_tw.errors import TooManyRequests, Unauthorized, Unavailable
from pypicloud_tw.offload.service import IOffload
from tests.access.test_hashes import SECRET
from tests.doubles import InlineOffload

Ts = TypeVarTuple("Ts")
HERE, THERE = "192.0.2.1", "198.51.100.1"
OTHER_ARGON2 = (
    "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA"  # of nothing
)


def by_password(user: str) -> Principal:
    """Whoever has logged in."""
    return Principal(user, proof=PASSWORD)


def basic(user: str, password: str, encoding: str = "utf-8") -> bytes:
    """Write an Authorization header."""
    return b"Basic " + base64.b64encode(f"{user}:{password}".encode(encoding))


@implementer(IOffload)
@define
class HeldOffload:
    """Keeps what it is given until the test gives the answers."""

    calls: list[tuple[str, tuple[Any, ...], Deferred[Any]]] = field(factory=list)

    def in_thread(
        self, function: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Deferred[Any]:
        return self._hold("thread", args)

    def in_process(self, function: Callable[[*Ts], Any], *args: *Ts) -> Deferred[Any]:
        return self._hold("process", args)

    def _hold(self, where: str, args: tuple[Any, ...]) -> Deferred[Any]:
        result: Deferred[Any] = Deferred()
        self.calls.append((where, args, result))
        return result

    def answer(self, value: Any) -> None:
        """Answer the oldest call: a value, or an exception to raise."""
        _, _, result = self.calls.pop(0)
        if isinstance(value, Exception):
            result.errback(value)
        else:
            result.callback(value)


verifyObject(IOffload, HeldOffload())


class ParseTests(SynchronousTestCase):
    def refused(self, header: bytes) -> str:
        with self.assertRaises(Unauthorized) as caught:
            parse_basic(header)
        message: str = caught.exception.message
        return message

    def test_scheme_is_case_insensitive(self) -> None:
        for scheme in (b"Basic", b"basic", b"BASIC", b"Basic  ", b"  Basic"):
            header = scheme + b" " + base64.b64encode(b"ann:secret")
            self.assertEqual(parse_basic(header), Login("ann", "secret"))

    def test_password_may_have_colons_and_be_empty(self) -> None:
        self.assertEqual(parse_basic(basic("ann", "a:b:")).password, "a:b:")
        self.assertEqual(parse_basic(basic("ann", "")).password, "")

    def test_utf_8_and_latin_1(self) -> None:
        for encoding in ("utf-8", "latin-1"):
            login = parse_basic(basic("änn", "schlüssel", encoding))
            self.assertEqual(login, Login("änn", "schlüssel"))

    def test_malformed(self) -> None:
        for header, sentence in [
            (b"", "no other scheme"),
            (b"Bearer abc", "no other scheme"),
            (b"Digest username=x", "no other scheme"),
            (b"Basic", "no colon"),
            (b"Basic !!!", "not base64"),
            (b"Basic YW5", "not base64"),
            (b"Basic YW5u Omk=", "not base64"),
            (b"Basic \xff\xfe", "not base64"),
            (b"Basic " + base64.b64encode(b"ann"), "no colon"),
            (basic("ann", "a\0b"), "control characters"),
            (basic("ann", "a\nb"), "control characters"),
            (basic("a\x7fn", "ab"), "control characters"),
            (basic("", "ab"), "empty or too long"),
            (basic("x" * 257, "ab"), "empty or too long"),
            (basic("ann", "x" * 9000), "too long"),
        ]:
            self.assertIn(sentence, self.refused(header))

    @given(st.binary(max_size=200))
    def test_any_bytes(self, data: bytes) -> None:
        for header in (data, b"Basic " + data, b"Basic " + base64.b64encode(data)):
            try:
                parse_basic(header)
            except Unauthorized:
                continue

    def test_password_is_not_shown(self) -> None:
        self.assertEqual(repr(Login("ann", "secret")), "Login(user='ann')")


class UsersCase(SynchronousTestCase):
    """Shared by what follows: one user a scheme, all with the password "secret"."""

    offload: Any

    def setUp(self) -> None:
        self.clock = Clock()
        self.offload = InlineOffload()
        self.users = self.make(SECRET)

    def make(self, hashes: dict[str, str], **options: Any) -> Users:
        return Users(hashes, offload=self.offload, clock=self.clock, **options)

    def begin(
        self, user: str, password: str = "secret", client: str = HERE
    ) -> Deferred[Principal]:
        return Deferred.fromCoroutine(
            self.users.authenticate(basic(user, password), client)
        )

    def log_in(
        self, user: str, password: str = "secret", client: str = HERE
    ) -> Principal:
        principal: Principal = self.successResultOf(self.begin(user, password, client))
        return principal

    def refused(self, user: str, password: str = "secret", client: str = HERE) -> Any:
        return self.failureResultOf(self.begin(user, password, client)).value


class LogInTests(UsersCase):
    def test_every_scheme(self) -> None:
        for user in SECRET:
            self.assertEqual(self.log_in(user), by_password(user))

    def test_pure_python_goes_to_a_process_and_the_rest_to_threads(self) -> None:
        for user in SECRET:
            self.log_in(user)
        self.assertEqual(self.offload.processed, ["verify"] * 2)
        self.assertEqual(self.offload.threaded, ["verify"] * 4)

    def test_anonymous(self) -> None:
        self.assertIs(self.users.remembered(None), ANONYMOUS)
        self.assertIs(self.users.remembered(None, HERE), ANONYMOUS)
        result = Deferred.fromCoroutine(self.users.authenticate(None, HERE))
        self.assertIs(self.successResultOf(result), ANONYMOUS)

    def test_wrong_and_unknown_are_told_alike(self) -> None:
        wrong, unknown = self.refused("argon2", "no"), self.refused("nobody")
        self.assertIsInstance(wrong, Unauthorized)
        self.assertIn("is wrong", wrong.message)
        self.assertEqual((type(wrong), wrong.message), (type(unknown), unknown.message))

    def test_malformed_is_unauthorized(self) -> None:
        result = Deferred.fromCoroutine(self.users.authenticate(b"Basic x", HERE))
        error = self.failureResultOf(result, Unauthorized).value
        self.assertIn("not base64", error.message)

    def test_password_that_bcrypt_cannot_take(self) -> None:
        self.assertIsInstance(self.refused("bcrypt", "x" * 73), Unauthorized)

    def test_no_users_at_all(self) -> None:
        self.users = self.make({})
        self.assertFalse(self.users.exist)
        self.assertIs(self.log_in("ann"), ANONYMOUS)
        self.assertEqual(self.offload.threaded, [])

    def test_malformed_hash_makes_nobody(self) -> None:
        with capturedLogs() as logs:
            self.users = self.make({"eve\n": "$5$hash", "ann": SECRET["argon2"]})
        (event,) = logs
        self.assertEqual(
            formatEvent(event),
            "The hash of user 'eve\\n' is malformed.",
        )
        self.assertTrue(self.users.exist)
        self.assertIsInstance(self.refused("eve"), Unauthorized)

    def test_nothing_shows_a_secret(self) -> None:
        stored = StoredPassword("argon2", SECRET["argon2"])
        self.assertNotIn("aMn/", repr(stored))
        with capturedLogs() as logs:
            self.refused("eve\x1b[2J", "pass-word")
        self.assertNotIn("aMn/", repr(self.users) + repr(vars(self.users)))
        text = " ".join(formatEvent(event) for event in logs)
        self.assertIn("is wrong", self.refused("eve").message)
        self.assertNotIn("pass-word", text)

    def test_wrong_password_is_logged_escaped(self) -> None:
        with capturedLogs() as logs:
            self.refused("eve\u202e", "pass-word")
        (event,) = logs
        self.assertEqual(
            formatEvent(event),
            "Wrong password for 'eve\\u202e' from '192.0.2.1'.",
        )


class DecoyTests(UsersCase):
    """Unknown users take the time of known ones: they take the same way."""

    def setUp(self) -> None:
        super().setUp()
        self.offload = HeldOffload()
        self.users = self.make(SECRET, at_once=100)

    def where(self, user: str) -> tuple[str, tuple[Any, ...]]:
        result = self.begin(user, "guess")
        where, args, _ = self.offload.calls[-1]
        self.offload.calls[-1][2].callback(False)
        self.failureResultOf(result, Unauthorized)
        return where, args

    def test_unknown_user_is_checked_against_some_hash_always_the_same(self) -> None:
        where, args = self.where("nobody")
        self.assertIn(args[1], SECRET.values())
        self.assertEqual(args[0], "guess")
        self.users.reload(SECRET)
        self.assertEqual(self.where("nobody"), (where, args))

    def test_the_same_after_a_restart_and_on_every_server(self) -> None:
        """Else a name whose kind of hash changes would be nobody's."""
        names = [f"nobody{n}" for n in range(30)]
        before = [self.where(name) for name in names]
        for hashes in (SECRET, dict(reversed(SECRET.items()))):
            self.users = self.make(hashes, at_once=100)
            self.assertEqual([self.where(name) for name in names], before)

    def test_another_user_changes_few(self) -> None:
        names = [f"nobody{n}" for n in range(60)]
        before = [self.where(name) for name in names]
        more = {"ann": OTHER_ARGON2}
        self.users = self.make(SECRET | more, at_once=100)
        changed = [
            now
            for name, then in zip(names, before, strict=True)
            if (now := self.where(name)) != then
        ]
        self.assertEqual({args[1] for _, args in changed}, {OTHER_ARGON2})
        self.assertLess(len(changed), 30)

    def test_unknown_users_are_spread_over_the_schemes(self) -> None:
        used = set()
        for n in range(90):
            self.clock.advance(60)
            used.add(self.where(f"nobody{n}")[1][1])
        self.assertGreater(len(used), 3)

    def test_right_password_of_the_decoy_lets_nobody_in(self) -> None:
        result = self.begin("nobody")
        self.offload.answer(True)
        self.failureResultOf(result, Unauthorized)
        self.assertIsNone(self.users.remembered(basic("nobody", "secret")))


class RememberedTests(UsersCase):
    header = basic("argon2", "secret")

    def test_not_before_it_was_right(self) -> None:
        self.assertIsNone(self.users.remembered(self.header))
        self.refused("argon2", "wrong")
        self.assertIsNone(self.users.remembered(basic("argon2", "wrong")))
        self.assertIsNone(self.users.remembered(b"nonsense"))

    def test_for_a_while(self) -> None:
        self.log_in("argon2")
        self.clock.advance(299)
        self.assertEqual(self.users.remembered(self.header), by_password("argon2"))
        self.log_in("argon2")
        self.assertEqual(self.offload.threaded, ["verify"])
        # It does not last longer for being used.
        self.clock.advance(1)
        self.assertIsNone(self.users.remembered(self.header))
        self.log_in("argon2")
        self.assertEqual(self.offload.threaded, ["verify"] * 2)

    def test_not_at_all(self) -> None:
        self.users = self.make(SECRET, cache_time=0)
        self.log_in("argon2")
        self.assertIsNone(self.users.remembered(self.header))

    def test_clock_set_back(self) -> None:
        self.clock.advance(1000)
        self.log_in("argon2")
        self.clock.rightNow = 500.0
        self.assertIsNone(self.users.remembered(self.header))

    def test_other_addresses_show_it_once_and_no_hash_is_computed(self) -> None:
        self.log_in("argon2")
        self.assertEqual(
            self.users.remembered(self.header, HERE), by_password("argon2")
        )
        self.assertIsNone(self.users.remembered(self.header, THERE))
        self.log_in("argon2", client=THERE)
        self.assertEqual(
            self.users.remembered(self.header, THERE), by_password("argon2")
        )
        self.assertEqual(self.offload.threaded, ["verify"])

    def test_reload_forgets(self) -> None:
        self.log_in("argon2")
        self.users.reload(SECRET)
        self.assertIsNone(self.users.remembered(self.header))
        self.assertEqual(self.log_in("argon2"), by_password("argon2"))
        self.users.reload({})
        self.assertIsNone(self.users.remembered(self.header))
        self.assertFalse(self.users.exist)

    def test_reload_changes_the_time(self) -> None:
        self.users.reload(SECRET, cache_time=10)
        self.log_in("argon2")
        self.clock.advance(10)
        self.assertIsNone(self.users.remembered(self.header))

    def test_memory_is_bounded(self) -> None:
        memory = RememberedLogins(self.clock.seconds, 300)
        for n in range(5000):
            memory.add(memory.seal(b"%d" % n), "ann", ANONYMOUS, [HERE])
        self.assertIsNone(memory.find(memory.seal(b"0")))
        entry = memory.find(memory.seal(b"4999"))
        assert entry is not None
        for n in range(5000):
            entry.came_from(str(n))
        self.assertLess(len(entry.clients), 5000)

    def test_headers_are_not_kept(self) -> None:
        memory = RememberedLogins(self.clock.seconds, 300)
        seal = memory.seal(self.header)
        self.assertEqual(seal, memory.seal(self.header))
        self.assertNotEqual(
            seal, RememberedLogins(self.clock.seconds, 1).seal(self.header)
        )
        self.assertNotIn(self.header, seal)


class ThrottledTests(UsersCase):
    def setUp(self) -> None:
        super().setUp()
        self.users = self.make(
            SECRET, throttle=Throttle(self.clock.seconds, failures=3)
        )

    def fail_log_ins(self, client: str = HERE) -> None:
        for n in range(3):
            self.assertIsInstance(
                self.refused("argon2", f"wrong{n}", client), Unauthorized
            )

    def test_slowed(self) -> None:
        self.fail_log_ins()
        checked = len(self.offload.threaded)
        error = self.refused("argon2", "wrong")
        self.assertIsInstance(error, TooManyRequests)
        self.assertEqual(error.headers, {"Retry-After": "30"})
        # Nor is the right one checked, or being slowed would be no use.
        self.assertIsInstance(self.refused("argon2"), TooManyRequests)
        self.assertEqual(len(self.offload.threaded), checked)
        self.clock.advance(30)
        self.log_in("argon2")

    def test_unknown_users_are_slowed_alike(self) -> None:
        for n in range(3):
            self.assertIsInstance(self.refused("nobody", f"{n}"), Unauthorized)
        self.assertIsInstance(self.refused("nobody"), TooManyRequests)

    def test_remembered_never(self) -> None:
        self.log_in("argon2")
        self.fail_log_ins()
        self.assertIsInstance(self.refused("argon2", "wrong"), TooManyRequests)
        for _ in range(100):
            self.assertEqual(self.log_in("argon2"), by_password("argon2"))

    def test_other_address_still_gets_in(self) -> None:
        self.fail_log_ins()
        self.log_in("argon2", client=THERE)

    def test_slowed_address_cannot_try_what_another_is_remembered_for(self) -> None:
        self.log_in("argon2", client=THERE)
        self.fail_log_ins()
        self.assertIsInstance(self.refused("argon2"), TooManyRequests)

    def test_reload_does_not_forgive(self) -> None:
        self.fail_log_ins()
        self.users.reload(SECRET)
        self.assertIsInstance(self.refused("argon2"), TooManyRequests)


class TogetherTests(UsersCase):
    def setUp(self) -> None:
        super().setUp()
        self.offload = HeldOffload()
        self.users = self.make(SECRET, at_once=2, queue=3)

    def test_the_same_is_checked_once(self) -> None:
        results = [self.begin("argon2") for _ in range(50)]
        self.assertEqual(len(self.offload.calls), 1)
        self.offload.answer(True)
        for result in results:
            self.assertEqual(self.successResultOf(result), by_password("argon2"))

    def test_the_same_wrong_one_counts_once(self) -> None:
        results = [self.begin("argon2", "wrong") for _ in range(50)]
        self.offload.answer(False)
        for result in results:
            self.failureResultOf(result, Unauthorized)
        self.begin("argon2", "other")
        self.assertEqual(len(self.offload.calls), 1)

    def test_cancelling_one_does_not_cancel_the_others(self) -> None:
        results = [self.begin("argon2") for _ in range(3)]
        results[0].cancel()
        self.failureResultOf(results[0], CancelledError)
        self.offload.answer(True)
        for result in results[1:]:
            self.assertEqual(self.successResultOf(result), by_password("argon2"))

    def test_hanging_up_does_not_save_the_charge(self) -> None:
        self.users = self.make(
            SECRET, throttle=Throttle(self.clock.seconds, failures=3), queue=50
        )
        for n in range(3):
            result = self.begin("argon2", f"wrong{n}")
            result.cancel()
            self.failureResultOf(result, CancelledError)
        self.assertIsInstance(self.refused("argon2"), TooManyRequests)
        for _ in range(3):
            self.offload.answer(False)
        self.assertIsInstance(self.refused("argon2"), TooManyRequests)

    def test_from_two_addresses_each_is_charged(self) -> None:
        here, there = self.begin("argon2"), self.begin("argon2", client=THERE)
        self.assertEqual(len(self.offload.calls), 1)
        self.offload.answer(True)
        self.successResultOf(here)
        self.successResultOf(there)
        header = basic("argon2", "secret")
        for client in (HERE, THERE):
            self.assertIsNotNone(self.users.remembered(header, client))

    def test_two_at_a_time_of_either_kind(self) -> None:
        for n in range(3):
            self.begin("argon2", f"{n}").addErrback(lambda _: None)
        self.assertEqual([where for where, _, _ in self.offload.calls], ["thread"] * 2)
        self.begin("sha256_crypt").addErrback(lambda _: None)
        self.assertEqual(self.offload.calls[-1][0], "process")
        self.offload.answer(False)
        self.assertEqual(self.offload.calls[-1][1][0], "2")

    def test_queue_is_bounded(self) -> None:
        for n in range(5):
            self.begin("argon2", f"{n}").addErrback(lambda _: None)
        error = self.refused("argon2", "5")
        self.assertIsInstance(error, Unavailable)
        self.assertEqual(error.status, 503)
        self.assertEqual(error.headers, {"Retry-After": "5"})
        while self.offload.calls:
            self.offload.answer(False)
        self.begin("bcrypt")
        self.assertEqual(len(self.offload.calls), 1)

    def test_a_flood_keeps_nobody_waiting(self) -> None:
        """Whoever asks for little is next, whatever others have in the queue."""
        self.users = self.make(SECRET, at_once=2, queue=64)
        for n in range(100):
            self.begin(f"nobody{n % 20}", f"{n}").addErrback(lambda _: None)
        for user in ("argon2", "sha256_crypt"):
            result = self.begin(user, client=THERE)
            for _ in range(4):
                self.answer_all_like(user)
            self.assertEqual(self.successResultOf(result), by_password(user))

    def answer_all_like(self, user: str) -> None:
        """Answer the two checks under way where that user's are done."""
        kind = "process" if user == "sha256_crypt" else "thread"
        calls, self.offload.calls = self.offload.calls, []
        for call in calls:
            where, (password, _), result = call
            if where == kind:
                result.callback(password == "secret")
            else:
                self.offload.calls.append(call)

    def test_a_refused_place_is_charged(self) -> None:
        """Else a flood of guesses would cost nothing."""
        self.users = self.make(
            SECRET, queue=3, throttle=Throttle(self.clock.seconds, failures=7)
        )
        for n in range(5):
            self.begin("argon2", f"{n}").addErrback(lambda _: None)
        for n in range(2):
            error = self.refused("argon2", f"more{n}")
            self.assertIsInstance(error, Unavailable)
            self.assertEqual(error.status, 503)
        self.assertIsInstance(self.refused("argon2", "again"), TooManyRequests)

    def test_who_is_refused_for_others_is_not_charged(self) -> None:
        self.users = self.make(
            {"ann": SECRET["argon2"]},
            queue=3,
            throttle=Throttle(self.clock.seconds, failures=2),
        )
        for n in range(5):
            self.begin(f"nobody{n}", client=f"10.0.0.{n}").addErrback(lambda _: None)
        for _ in range(3):
            self.assertIsInstance(self.refused("ann", client=THERE), Unavailable)
        for _ in range(5):
            self.offload.answer(False)
        result = self.begin("ann", client=THERE)
        self.offload.answer(True)
        self.assertEqual(self.successResultOf(result), by_password("ann"))

    def test_unavailable_reaches_all_and_is_not_charged(self) -> None:
        for n in range(20):
            results = [self.begin("argon2", f"{n}") for _ in range(2)]
            self.offload.answer(Unavailable("A helper process died."))
            for result in results:
                error = self.failureResultOf(result, Unavailable).value
                self.assertIn("died", error.message)

    def test_check_that_fails_is_not_a_wrong_password(self) -> None:
        with capturedLogs() as logs:
            result = self.begin("argon2")
            self.offload.answer(HashingError("An argon2 hash could not be computed."))
        error = self.failureResultOf(result, Unavailable).value
        self.assertIn("could not be checked", error.message)
        self.assertIn("could not be computed", logs[0]["why"])
        self.assertIsNone(self.users.remembered(basic("argon2", "secret")))

    def test_unexpected_failure_frees_its_place(self) -> None:
        for _ in range(20):
            result = self.begin("argon2")
            self.offload.answer(KeyError("bug"))
            self.failureResultOf(result, KeyError)
        self.begin("argon2")
        self.assertEqual(len(self.offload.calls), 1)

    def test_reload_amid_a_check(self) -> None:
        result = self.begin("argon2")
        self.users.reload({"argon2": OTHER_ARGON2})
        self.offload.answer(True)
        # Right for the old hash; checked again for the new one.
        self.assertNoResult(result)
        self.assertIsNone(self.users.remembered(basic("argon2", "secret")))
        _, args, _ = self.offload.calls[0]
        self.assertEqual(args[1], OTHER_ARGON2)
        self.offload.answer(False)
        self.failureResultOf(result, Unauthorized)

    def test_user_removed_amid_a_check(self) -> None:
        result = self.begin("argon2")
        self.users.reload({"bcrypt": SECRET["bcrypt"]})
        self.offload.answer(True)
        self.offload.answer(True)
        self.failureResultOf(result, Unauthorized)

    def test_all_users_removed_amid_a_check(self) -> None:
        result = self.begin("argon2")
        self.users.reload({})
        self.offload.answer(True)
        self.assertIs(self.successResultOf(result), ANONYMOUS)


class ChecksTests(SynchronousTestCase):
    def test_cancelled_while_waiting(self) -> None:
        offload = HeldOffload()
        checks = Checks(offload, at_once=1, queue=1)
        stored = StoredPassword("argon2", SECRET["argon2"])
        first, second = (
            Deferred.fromCoroutine(checks.verify("secret", stored)) for _ in "ab"
        )
        second.cancel()
        self.failureResultOf(second, CancelledError)
        third = Deferred.fromCoroutine(checks.verify("secret", stored))
        offload.answer(True)
        self.assertTrue(self.successResultOf(first))
        offload.answer(False)
        self.assertFalse(self.successResultOf(third))
