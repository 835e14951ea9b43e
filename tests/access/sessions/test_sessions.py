"""Sessions: whose they are, on every server, and when they end."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from attrs import define, evolve
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from pypicloud_tw.access.principal import ANONYMOUS, Principal
from pypicloud_tw.access.sessions.accounts import PROVIDER
from pypicloud_tw.access.sessions.records import FOLDER, SessionUser
from pypicloud_tw.access.sessions.sessions import (
    GRACE,
    RENEWED_AFTER,
    NewSession,
    sweep_sessions,
)
from pypicloud_tw.access.sessions.text import SessionText, read_session
from pypicloud_tw.access.tokens.objects import KEPT
from pypicloud_tw.access.tokens.owners import People
from pypicloud_tw.access.tokens.text import HOUR
from pypicloud_tw.errors import (
    AmbiguousWrite,
    StoreError,
    TooManyRequests,
    Unavailable,
)
from pypicloud_tw.index.audit import Proof
from tests.access.sessions.doubles import ANN, SessionServer, SessionTestCase
from tests.access.tokens.doubles import CLIENT, NOW
from tests.access.tokens.test_elsewhere import CID, Corp


@define(eq=False)
class File:
    """A file of users, from which ann was removed when it is looked at again."""

    server: SessionServer
    fresh: bool = True

    async def freshen(self) -> None:
        if not self.fresh:
            del self.server.users["ann"]


class TextTests(SessionTestCase):
    def test_what_is_written_is_read(self) -> None:
        text = SessionText.draw(NOW)
        self.assertEqual(read_session(text.text.encode()), text)

    def test_what_is_damaged_is_none(self) -> None:
        value = SessionText.draw(NOW).text.encode()
        for position in range(len(value)):
            letter = b"a" if value[position : position + 1] != b"a" else b"b"
            damaged = value[:position] + letter + value[position + 1 :]
            self.assertIsNone(read_session(damaged), damaged)
            self.assertIsNone(read_session(value[:position]))
        for other in (b"", value + b"a", value.upper(), b"\xff" * 105, value + b"\n"):
            self.assertIsNone(read_session(other))

    def test_no_secret_is_shown(self) -> None:
        new = self.begin()
        shown = repr(new) + repr(self.server.login) + repr(self.shown(new.text))
        for secret in (new.text.text, new.text.secret.hex(), repr(new.text.secret)):
            self.assertNotIn(secret, shown)


class BeginTests(SessionTestCase):
    def test_good_on_every_server(self) -> None:
        new = self.begin()
        self.assertEqual(new.record.ends, NOW + 12 * HOUR)
        for server in (self.server, self.other):
            principal = self.get(self.showing(new.text, server))
            proof = Proof("session", {"by": "password", "id": new.text.id})
            self.assertEqual(principal, Principal("ann", proof=proof))

    def test_the_store_has_no_secret(self) -> None:
        new = self.begin()
        ((key, stored),) = self.store.objects.items()
        self.assertEqual(key, f"{FOLDER}20270115T20/{new.text.id}")
        document = json.loads(stored.data)
        self.assertEqual(document["sha256"], sha256(new.text.proof).hexdigest())
        for secret in (new.text.secret, new.text.seed):
            self.assertNotIn(secret.hex(), stored.data.decode())

    def test_what_a_reader_of_the_store_can_make_is_nobodys(self) -> None:
        new = self.begin()
        digest = bytes.fromhex(
            json.loads(next(iter(self.store.objects.values())).data)["sha256"]
        )
        forged = evolve(new.text, secret=digest[:20], seed=digest[:16])
        for server in (self.server, self.other):
            self.assertIsNone(self.name(forged, server))
        self.assertEqual(self.name(new.text), "ann")

    def test_warm_it_asks_nobody_and_then_once_for_itself(self) -> None:
        new = self.begin()
        self.assertEqual(self.calls_during(self.showing(new.text, self.other)), ["get"])
        principal = self.recalled(new.text, self.other)
        self.assertEqual(principal and principal.name, "ann")
        self.clock.advance(1)
        self.assertIsNone(self.recalled(new.text, self.other))
        self.assertEqual(self.calls_during(self.showing(new.text, self.other)), ["get"])

    def test_it_ends_by_itself(self) -> None:
        new = self.begin()
        self.assertEqual(self.name(new.text), "ann")
        self.clock.advance(12 * HOUR)
        self.assertIsNone(self.recalled(new.text))
        self.assertIsNone(self.name(new.text))

    def test_one_that_is_over_is_not_asked_for(self) -> None:
        new = self.begin()
        self.clock.advance(14 * HOUR)
        self.assertEqual(self.calls_during(self.showing(new.text, self.other)), [])

    def test_nothing_begins_where_another_alone_may_write(self) -> None:
        self.server.standing.wait("Another process writes here.")
        user = self.server.accounts.by_password(ANN)
        self.fails(self.server.sessions.begin(user), Unavailable)
        self.assertEqual(self.store.objects, {})

    def test_other_proofs_go_before_it(self) -> None:
        shown = self.shown(self.begin().text)
        for other in (
            evolve(shown, authorization=b"Basic x"),
            evolve(shown, forwarded_user=b"bob"),
            evolve(shown, certificate=b"x"),
            evolve(shown, session=None),
        ):
            self.assertFalse(self.server.login.takes(other))

    def test_who_makes_up_many_is_answers_down(self) -> None:
        answers: list[object] = []
        for _ in range(200):
            showing = self.showing(SessionText.draw(NOW + HOUR))
            Deferred.fromCoroutine(showing).addBoth(answers.append)
        last = answers[-1]
        assert isinstance(last, Failure), last
        last.trap(TooManyRequests)

    def test_what_is_damaged_in_the_store_is_an_error(self) -> None:
        new = self.begin()
        key = next(iter(self.store.objects))
        for data in (b"{}", b"[]", b'{"_format": 2}', b"\xff"):
            self.store.add(key, data)
            self.fails(self.showing(new.text, self.another()), StoreError)


class EndTests(SessionTestCase):
    def end(self, text: SessionText) -> bool:
        return self.get(self.server.sessions.end(text))

    def test_a_log_out_holds_on_every_server_within_fresh_for(self) -> None:
        new = self.begin()
        self.assertEqual(self.name(new.text, self.other), "ann")
        self.assertTrue(self.end(new.text))
        self.assertIsNone(self.name(new.text))
        self.clock.advance(1)
        self.assertIsNone(self.recalled(new.text, self.other))
        self.assertIsNone(self.name(new.text, self.other))
        self.assertEqual(len(self.store.objects), 1, "It is never deleted.")

    def test_twice_is_once(self) -> None:
        new = self.begin()
        self.assertTrue(self.end(new.text))
        self.clock.advance(1)
        self.assertFalse(self.end(new.text))

    def test_it_takes_the_secret(self) -> None:
        new = self.begin()
        for other in (evolve(new.text, secret=b"x" * 20), SessionText.draw(NOW)):
            self.assertFalse(self.end(other))
        self.assertEqual(self.name(new.text, self.another()), "ann")

    def test_others_sessions_of_a_user_go_on(self) -> None:
        one, two = self.begin(), self.begin()
        self.end(one.text)
        self.assertEqual(self.name(two.text), "ann")

    def test_a_renewal_at_that_moment_is_ended_too(self) -> None:
        """Whichever comes first."""
        for renewed_first in (True, False):
            new = self.begin()
            self.clock.advance(RENEWED_AFTER)
            renewing = self.other.sessions.renew(new.text, CLIENT)
            self.get(self.other.login.authenticate(self.shown(new.text)))
            if renewed_first:
                renewed = self.get(renewing)
                assert renewed is not None
                self.assertTrue(self.end(new.text))
                self.clock.advance(1)
                for server in (self.server, self.other):
                    self.assertIsNone(self.name(renewed.text, server))
            else:
                self.assertTrue(self.end(new.text))
                self.assertIsNone(self.get(renewing))
            self.clock.advance(1)
            for server in (self.server, self.other):
                self.assertIsNone(self.name(new.text, server))

    def test_the_former_secret_has_no_grace_after_a_log_out(self) -> None:
        new = self.begin()
        self.clock.advance(RENEWED_AFTER)
        renewed = self.get(self.server.sessions.renew(new.text, CLIENT))
        assert renewed is not None
        self.assertEqual(self.name(new.text, self.other), "ann")
        self.assertTrue(self.end(renewed.text))
        self.clock.advance(1)
        for server in (self.server, self.other):
            for text in (new.text, renewed.text):
                self.assertIsNone(self.name(text, server))

    def test_an_end_that_is_overtaken_by_a_renewal(self) -> None:
        new = self.begin()
        self.clock.advance(RENEWED_AFTER)
        self.name(new.text, self.other)
        renewed: list[NewSession | None] = []

        def overtake(operation: str, key: str) -> None:
            if operation == "put" and not renewed:
                renewed.append(None)
                renewed[0] = self.get(self.other.sessions.renew(new.text, CLIENT))

        self.store.before = overtake
        self.assertTrue(self.end(new.text))
        self.assertIsNotNone(renewed[0])
        self.clock.advance(1)
        assert renewed[0] is not None
        for text in (new.text, renewed[0].text):
            self.assertIsNone(self.name(text, self.another()))

    def test_the_store_is_away(self) -> None:
        new = self.begin()
        self.store.fail_next("put", StoreError("The store is away."))
        self.fails(self.server.sessions.end(new.text), StoreError)
        self.assertEqual(self.name(new.text), "ann")

    def test_hours_that_are_long_over_are_swept(self) -> None:
        new = self.begin()
        end = (new.text.hour + 1) * HOUR + KEPT
        now = datetime.fromtimestamp(end, UTC)
        self.assertEqual(self.get(sweep_sessions(self.store, now)), [])
        later = now + timedelta(seconds=1)
        due = self.get(sweep_sessions(self.store, later, dry_run=True))
        self.assertEqual(due, list(self.store.objects))
        self.get(sweep_sessions(self.store, later))
        self.assertEqual(self.store.objects, {})


class RenewTests(SessionTestCase):
    def renew(self, text: SessionText) -> NewSession | None:
        return self.get(self.server.sessions.renew(text, CLIENT))

    def test_young_ones_stay_as_they_are(self) -> None:
        new = self.begin()
        self.clock.advance(RENEWED_AFTER - 1)
        self.assertIsNone(self.renew(new.text))
        self.assertEqual(len(self.store.objects), 1)

    def test_a_new_secret_with_a_grace_for_the_former(self) -> None:
        new = self.begin()
        self.clock.advance(RENEWED_AFTER)
        renewed = self.renew(new.text)
        assert renewed is not None
        self.assertNotEqual(renewed.text.secret, new.text.secret)
        self.assertEqual(renewed.text.seed, new.text.seed, "Forms stay good.")
        self.assertEqual(renewed.record.ends, new.record.ends, "From the log-in.")
        self.assertEqual(renewed.record.logged_in, new.record.logged_in)
        for server in (self.server, self.other):
            self.assertEqual(self.name(renewed.text, server), "ann")
            self.assertEqual(self.name(new.text, server), "ann")
        self.clock.advance(GRACE)
        for server in (self.server, self.other):
            self.assertEqual(self.name(renewed.text, server), "ann")
            self.assertIsNone(self.name(new.text, server))

    def test_a_session_is_not_prolonged(self) -> None:
        text = self.begin().text
        for _ in range(11):
            self.clock.advance(RENEWED_AFTER)
            renewed = self.renew(text)
            assert renewed is not None
            text = renewed.text
        self.assertEqual(self.name(text), "ann")
        self.clock.advance(RENEWED_AFTER)
        self.assertIsNone(self.name(text))

    def test_of_two_at_once_one_wins(self) -> None:
        new = self.begin()
        self.clock.advance(RENEWED_AFTER)
        self.name(new.text), self.name(new.text, self.other)
        held: Deferred[None] = Deferred()
        self.store.before = lambda operation, key: held
        renewing = [
            Deferred.fromCoroutine(server.sessions.renew(new.text, CLIENT))
            for server in (self.server, self.other)
        ]
        held.callback(None)
        won = [self.successResultOf(one) for one in renewing]
        self.assertEqual(sum(one is not None for one in won), 1)

    def test_the_former_is_not_renewed_again(self) -> None:
        new = self.begin()
        self.clock.advance(RENEWED_AFTER)
        self.renew(new.text)
        self.assertIsNone(self.renew(new.text))

    def test_the_store_is_away(self) -> None:
        """It stays as it is, and nobody is logged out by that."""
        new = self.begin()
        self.clock.advance(RENEWED_AFTER)
        self.name(new.text)
        self.store.fail_next("put", StoreError("The store is away."))
        self.assertIsNone(self.renew(new.text))
        self.assertEqual(self.name(new.text), "ann")
        self.assertIsNotNone(self.renew(new.text))

    def test_an_answer_that_is_lost(self) -> None:
        """The former may have been ended: the new one is given out."""
        new = self.begin()
        self.clock.advance(RENEWED_AFTER)
        self.name(new.text)
        puts: list[str] = []

        def lose(operation: str, key: str) -> None:
            puts.extend([key] if operation == "put" else [])
            if operation == "put" and len(puts) == 2:
                raise AmbiguousWrite("The answer was lost.")

        self.store.after = lose
        renewed = self.renew(new.text)
        assert renewed is not None
        self.clock.advance(GRACE)
        self.assertEqual(self.name(renewed.text, self.other), "ann")
        self.assertIsNone(self.name(new.text, self.other))


class OwnerTests(SessionTestCase):
    def test_a_user_who_was_removed_has_none(self) -> None:
        new = self.begin()
        self.assertEqual(self.name(new.text), "ann")
        del self.server.users["ann"]
        self.assertIsNone(self.recalled(new.text))
        self.assertIsNone(self.name(new.text))

    def test_nor_has_who_was_made_anew(self) -> None:
        for server in (self.server, self.other):
            server.users["cid"] = "id-1"
            server.passwords["cid"] = "3"
        new = self.begin(Principal("cid", proof=Proof("password")))
        self.assertEqual(self.name(new.text), "cid")
        self.server.users["cid"] = "id-2"
        self.assertIsNone(self.recalled(new.text))
        self.assertIsNone(self.name(new.text))
        self.assertEqual(self.name(new.text, self.other), "cid")

    def test_nor_has_whose_password_was_changed(self) -> None:
        new = self.begin()
        self.name(new.text)
        self.server.passwords["ann"] = "4"
        self.assertIsNone(self.recalled(new.text))
        self.assertIsNone(self.name(new.text))

    def test_a_file_of_users_is_looked_at_first(self) -> None:
        file = File(self.server)
        self.server.login.watched = file
        new = self.begin()
        self.assertEqual(self.name(new.text), "ann")
        self.assertIsNotNone(self.recalled(new.text))
        file.fresh = False
        self.assertIsNone(self.recalled(new.text))
        self.assertIsNone(self.name(new.text))

    def test_the_store_away_serves_what_was_last_known(self) -> None:
        new = self.begin()
        self.name(new.text)
        self.clock.advance(2)
        self.store.fail_next("get", StoreError("The store is away."))
        principal = self.get(self.showing(new.text))
        self.assertEqual((principal.name, principal.last_known), ("ann", True))
        self.assertIsNone(self.recalled(new.text), "It is not remembered so.")
        self.clock.advance(1)
        self.assertFalse(self.get(self.showing(new.text)).last_known)

    def test_where_nothing_is_known_it_is_not_said_to_be_nobodys(self) -> None:
        new = self.begin()
        self.store.fail_next("get", StoreError("The store is away."))
        self.fails(self.showing(new.text, self.other), StoreError)

    def test_of_a_directory_that_can_be_asked(self) -> None:
        corp = Corp()
        people = People(corp, self.clock.seconds, 300.0)
        self.server = self.another(people=people)
        found = evolve(CID, proof=Proof("password", {"directory": "ldap"}))
        new = self.begin(found)
        principal = self.get(self.showing(new.text))
        self.assertEqual(principal.groups, CID.groups)
        self.assertEqual(principal.proof.details["directory"], "ldap")
        corp.people["cid"] = evolve(CID, groups=frozenset({"ops"}))
        self.clock.advance(301)
        self.assertEqual(self.get(self.showing(new.text)).groups, {"ops"})
        del corp.people["cid"]
        self.clock.advance(301)
        self.assertIsNone(self.recalled(new.text))
        self.assertIsNone(self.name(new.text))

    def test_of_one_that_cannot(self) -> None:
        found = evolve(CID, administrator=True)
        principal = self.get(self.showing(self.begin(found).text, self.other))
        self.assertEqual(principal.groups, CID.groups)
        self.assertTrue(principal.administrator)

    def test_what_is_of_elsewhere_ends_where_a_user_here_has_the_name(self) -> None:
        user = SessionUser("dan", PROVIDER, groups=frozenset({"dev"}))
        for new in (self.begin(CID), self.get(self.server.sessions.begin(user))):
            name = new.record.user.name
            self.assertEqual(self.name(new.text), name)
            self.server.users[name] = "id-1"
            self.assertIsNone(self.recalled(new.text))
            self.assertIsNone(self.name(new.text))

    def test_no_group_of_elsewhere_means_one_of_ours(self) -> None:
        user = SessionUser("dan", PROVIDER, groups=frozenset({"admin", "dev"}))
        new = self.get(self.server.sessions.begin(user))
        self.assertEqual(self.get(self.showing(new.text)).groups, {"dev"})

    def test_anything_else_is_nobodys_and_no_error(self) -> None:
        for value in (b"", b"x", SessionText.draw(NOW).text.encode()[:-1]):
            self.assertIs(self.get(self.showing(value)), ANONYMOUS)
