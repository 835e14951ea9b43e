"""Several sources of users behind one log-in."""

from __future__ import annotations

from attrs import define, field
from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.passwords import DOCUMENT, HTPASSWD, Passwords
from pypicloud_tw.access.principal import ANONYMOUS, Principal
from pypicloud_tw.concurrency.fair_queue import Asker
from pypicloud_tw.errors import TooManyRequests, Unauthorized, Unavailable
from pypicloud_tw.index.audit import Proof
from tests.access.test_hashes import SECRET
from tests.access.test_users import HERE, HeldOffload, UsersCase, basic, by_password

#: Two hashes of "secret", and one of nothing.
ONE, OTHER = SECRET["pbkdf2_sha256"], SECRET["pbkdf2_sha512"]
NONE_OF_IT = "$pbkdf2-sha256$1$c2FsdA$" + "A" * 43


@define
class Elsewhere:
    """A directory; names are alike to it in any case."""

    users: dict[str, str] = field(factory=lambda: {"bob": "secret", "ann": "secret"})
    lifetime: float | None = None
    away: bool = False
    asked: list[str] = field(factory=list)
    held: list[Deferred[None]] | None = None

    async def log_in(self, user: str, password: str, asker: Asker) -> Principal | None:
        self.asked.append(user)
        waiting: Deferred[None] = succeed(None) if self.held is None else Deferred()
        if self.held is not None:
            self.held.append(waiting)
        await waiting
        if self.away:
            raise Unavailable("The directory is away.")
        if self.users.get(user.lower()) != password:
            return None
        return Principal(user.lower(), frozenset({"dev"}), proof=Proof("password"))


class SourcesCase(UsersCase):
    def setUp(self) -> None:
        super().setUp()
        self.elsewhere = Elsewhere()
        self.users = self.make({"ann": ONE})

    def remembered(self, user: str, password: str = "secret") -> Principal | None:
        return self.users.remembered(basic(user, password), HERE)


class OrderTests(SourcesCase):
    def test_a_user_of_each_source(self) -> None:
        self.users.update(HTPASSWD, {"bob": OTHER})
        self.users.update(DOCUMENT, {"cid": ONE})
        for user in ("ann", "bob", "cid"):
            self.assertEqual(self.log_in(user), by_password(user))

    def test_the_first_source_has_a_name_alone(self) -> None:
        self.users = self.make({"ann": NONE_OF_IT})
        self.users.update(HTPASSWD, {"ann": ONE, "bob": NONE_OF_IT})
        self.users.update(DOCUMENT, {"ann": OTHER, "bob": OTHER})
        for user in ("ann", "bob"):
            self.assertIsInstance(self.refused(user), Unauthorized)

    def test_who_has_no_password_has_the_name(self) -> None:
        self.users = self.make({"eve": "malformed", "ann": ONE})
        self.flushLoggedErrors()
        self.users.update(HTPASSWD, {"eve": ONE, "robot": None})
        self.users.update(DOCUMENT, {"robot": ONE})
        for user in ("eve", "robot"):
            self.assertIsInstance(self.refused(user), Unauthorized)

    def test_a_later_source_has_the_name_when_it_is_free(self) -> None:
        self.users.update(DOCUMENT, {"ann": OTHER})
        self.users.reload({})
        self.assertEqual(self.log_in("ann"), by_password("ann"))

    def test_nobody_exists_but_those_without_a_password(self) -> None:
        self.users = self.make({})
        self.users.update(DOCUMENT, {"robot": None})
        self.assertFalse(self.users.exist)
        self.users.update(DOCUMENT, {"robot": None, "ann": ONE})
        self.assertTrue(self.users.exist)


class MarkTests(SourcesCase):
    """What tells a user's password from others, for sessions."""

    def test_it_changes_with_the_password_alone(self) -> None:
        mark = self.users.password_mark("ann")
        assert mark is not None
        self.assertNotIn(ONE, mark)
        self.users.update(DOCUMENT, {"bob": ONE, "cid": None})
        self.assertEqual(self.users.password_mark("ann"), mark)
        self.assertIsNone(self.users.password_mark("cid"))
        self.assertIsNone(self.users.password_mark("nobody"))
        self.users.reload({"ann": OTHER})
        self.assertNotEqual(self.users.password_mark("ann"), mark)


class UpdateTests(SourcesCase):
    def setUp(self) -> None:
        super().setUp()
        self.users.update(DOCUMENT, {"bob": ONE, "cid": ONE})
        for user in ("ann", "bob", "cid"):
            self.log_in(user)

    def test_who_has_not_changed_stays_remembered(self) -> None:
        self.users.update(DOCUMENT, {"bob": OTHER, "cid": ONE, "dan": ONE})
        self.assertEqual(self.remembered("ann"), by_password("ann"))
        self.assertEqual(self.remembered("cid"), by_password("cid"))
        self.assertIsNone(self.remembered("bob"))

    def test_who_is_gone_is_forgotten_at_once(self) -> None:
        self.users.update(DOCUMENT, {"cid": ONE})
        self.assertIsNone(self.remembered("bob"))
        self.assertIsInstance(self.refused("bob"), Unauthorized)

    def test_who_lost_the_password_is_forgotten(self) -> None:
        self.users.update(DOCUMENT, {"cid": ONE, "bob": None})
        self.assertIsNone(self.remembered("bob"))

    def test_whose_name_an_earlier_source_takes_is_forgotten(self) -> None:
        self.users.update(HTPASSWD, {"bob": None})
        self.assertIsNone(self.remembered("bob"))
        self.assertIsInstance(self.refused("bob"), Unauthorized)

    def test_a_name_that_stays_another_source_s_is_not(self) -> None:
        self.users.update(DOCUMENT, {"ann": OTHER, "bob": ONE, "cid": ONE})
        self.assertEqual(self.remembered("ann"), by_password("ann"))

    def test_amid_a_check(self) -> None:
        """The answer is right for the old hash; it is made again for the new one."""
        self.offload = HeldOffload()
        self.users = self.make({"ann": ONE})
        changed, same = self.begin("ann"), self.begin("ann", "other")
        self.users.update(HTPASSWD, {"ann": OTHER})
        self.users.reload({})
        late = self.begin("ann", "third")
        self.offload.answer(True)
        self.assertNoResult(changed)
        self.assertIsNone(self.remembered("ann"))
        for _ in range(5):
            if self.offload.calls:
                self.assertIn(self.offload.calls[0][1][1], (ONE, OTHER))
                self.offload.answer(False)
        for result in (changed, same, late):
            self.failureResultOf(result, Unauthorized)

    def test_others_do_not_make_a_check_again(self) -> None:
        self.offload = HeldOffload()
        self.users = self.make({"ann": ONE})
        result = self.begin("ann")
        self.users.update(DOCUMENT, {"bob": OTHER})
        self.offload.answer(True)
        self.assertEqual(self.successResultOf(result), by_password("ann"))
        self.assertEqual(self.remembered("ann"), by_password("ann"))


class DirectoryTests(SourcesCase):
    def setUp(self) -> None:
        super().setUp()
        self.users = self.make({"ann": ONE}, directory=self.elsewhere)

    def test_asked_for_who_is_not_here(self) -> None:
        principal = self.log_in("bob")
        self.assertEqual((principal.name, principal.groups), ("bob", {"dev"}))
        self.log_in("ann")
        self.assertEqual(self.elsewhere.asked, ["bob"])

    def test_wrong_and_unknown_are_told_alike(self) -> None:
        wrong, unknown = self.refused("bob", "no"), self.refused("nobody")
        self.assertIsInstance(wrong, Unauthorized)
        self.assertEqual(wrong.message, unknown.message)

    def test_a_name_has_the_directory_s_spelling(self) -> None:
        self.assertEqual(self.log_in("BOB").name, "bob")
        self.assertEqual(self.log_in("Bob").name, "bob")

    def test_our_name_is_none_of_the_directory_s(self) -> None:
        """Else whoever is ann there would have the rights of ann here."""
        self.assertIsInstance(self.refused("ANN"), Unauthorized)
        self.users.update(DOCUMENT, {"bob": None})
        self.assertIsInstance(self.refused("Bob"), Unauthorized)

    def test_remembered(self) -> None:
        self.log_in("Bob")
        self.log_in("Bob")
        self.elsewhere.away = True
        self.assertEqual(self.log_in("Bob").name, "bob")
        self.assertEqual(self.elsewhere.asked, ["Bob"])

    def test_remembered_for_its_own_time(self) -> None:
        self.elsewhere.lifetime = 10
        self.log_in("bob")
        self.log_in("ann")
        self.clock.advance(10)
        self.assertIsNone(self.remembered("bob"))
        self.assertEqual(self.remembered("ann"), by_password("ann"))

    def test_forgotten_when_the_name_is_taken_here(self) -> None:
        for header in ("bob", "Bob"):
            self.log_in(header)
        self.users.update(DOCUMENT, {"Bob": None})
        self.assertIsNone(self.remembered("Bob"))
        self.assertIsNotNone(self.remembered("bob"))
        self.users.update(DOCUMENT, {"bob": None})
        self.assertIsNone(self.remembered("bob"))

    def test_away_is_no_wrong_password(self) -> None:
        self.elsewhere.away = True
        for _ in range(20):
            error = self.refused("bob")
            self.assertIsInstance(error, Unavailable)
            self.assertEqual(error.message, "The directory is away.")
        self.elsewhere.away = False
        self.log_in("bob")

    def test_wrong_passwords_are_slowed(self) -> None:
        for n in range(10):
            self.assertIsInstance(self.refused("bob", f"no{n}"), Unauthorized)
        self.assertIsInstance(self.refused("bob", "no"), TooManyRequests)
        self.assertEqual(len(self.elsewhere.asked), 10)

    def test_asked_once_for_all_who_send_the_same(self) -> None:
        self.elsewhere.held = []
        results = [self.begin("bob") for _ in range(5)]
        self.elsewhere.held.pop().callback(None)
        for result in results:
            self.assertEqual(self.successResultOf(result).name, "bob")
        self.assertEqual(self.elsewhere.asked, ["bob"])

    def test_a_hash_is_computed_as_for_those_who_have_one(self) -> None:
        for user in ("bob", "nobody"):
            self.offload.threaded.clear()
            self.begin(user, "guess").addErrback(lambda _: None)
            self.assertEqual(self.offload.threaded, ["verify"])

    def test_name_taken_amid_a_check(self) -> None:
        self.elsewhere.held = []
        result = self.begin("bob")
        self.users.update(DOCUMENT, {"bob": NONE_OF_IT})
        self.elsewhere.held.pop().callback(None)
        self.failureResultOf(result, Unauthorized)
        self.assertIsNone(self.remembered("bob"))

    def test_without_any_hash(self) -> None:
        self.users = self.make({}, directory=self.elsewhere)
        self.assertTrue(self.users.exist)
        self.assertEqual(self.log_in("bob").name, "bob")
        self.assertEqual(self.offload.threaded, [])


class PasswordsTests(SynchronousTestCase):
    def test_what_has_changed(self) -> None:
        passwords = Passwords()
        steps: list[tuple[dict[str, str | None], set[str]]] = [
            ({"ann": ONE, "bob": None}, {"ann", "bob"}),
            ({"ann": ONE, "bob": None}, set()),
            ({"ann": OTHER, "bob": None}, {"ann"}),
            ({"ann": None}, {"ann", "bob"}),
            ({}, {"ann"}),
        ]
        for hashes, changed in steps:
            self.assertEqual(passwords.replace(DOCUMENT, hashes), changed)

    def test_many_users_are_not_all_looked_at(self) -> None:
        passwords = Passwords()
        many = {f"u{n}": f"$pbkdf2-sha256$1$c2FsdA${n:043d}" for n in range(300)}
        passwords.replace(DOCUMENT, many)
        names = [f"nobody{n}" for n in range(300)]
        before = [passwords.stand_in(name) for name in names]
        self.assertLessEqual(len({one.hash for one in before}), 64)
        passwords.replace(DOCUMENT, many | {"new": ONE})
        after = [passwords.stand_in(name) for name in names]
        same = sum(a is b for a, b in zip(before, after, strict=True))
        self.assertGreater(same, 270)


class AnonymousTests(SourcesCase):
    def test_all_users_removed_amid_a_check(self) -> None:
        self.offload = HeldOffload()
        self.users = self.make({})
        self.users.update(DOCUMENT, {"ann": ONE})
        result = self.begin("ann")
        self.users.update(DOCUMENT, {})
        self.offload.answer(True)
        self.assertIs(self.successResultOf(result), ANONYMOUS)
        self.assertIsNone(self.remembered("ann"))
