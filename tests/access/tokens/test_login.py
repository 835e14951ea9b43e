"""Showing a token: where it stands, who it makes, how fresh that is, what it costs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs, formatEvent

from pypicloud_tw.access.principal import Credentials, Principal, Scope
from pypicloud_tw.access.tokens.documents import STALE_FOR
from pypicloud_tw.access.tokens.records import document_key
from pypicloud_tw.access.tokens.shown import shown_token
from pypicloud_tw.access.tokens.text import UserToken, owner_key, read_token
from pypicloud_tw.config.rights import Action
from pypicloud_tw.errors import StoreError, TooManyRequests, Unauthorized, Unavailable
from pypicloud_tw.index.names import project_name
from tests.access.tokens.doubles import (
    ANN,
    CLIENT,
    TokenTestCase,
    basic,
    bearer,
)
from tests.builders import simple_policy

KEY = document_key(owner_key("ann"))
TOKEN = UserToken.draw("ann").text


def away(operation: str, key: str) -> None:
    raise StoreError("The store is away.")


def only(key: str) -> object:
    """Have the store answer for all but one key."""

    def fail(operation: str, asked: str) -> None:
        if asked == key:
            raise StoreError("This one is away.")

    return fail


class PlaceTests(TokenTestCase):
    def test_as_a_password_or_behind_bearer(self) -> None:
        for header in (
            basic("__token__", TOKEN),
            basic("ann", TOKEN),
            basic("whoever", TOKEN),
            bearer(TOKEN),
            b"bearer   " + TOKEN.encode(),
        ):
            shown = shown_token(header)
            assert shown is not None, header
            self.assertEqual((TOKEN, False), (shown.text, shown.misplaced))

    def test_passwords_are_not_taken(self) -> None:
        for header in (
            b"",
            b"Basic",
            b"Basic !",
            basic("ann", "secret"),
            basic("ann", ""),
            b"Digest x",
        ):
            self.assertIsNone(shown_token(header))
            self.assertFalse(self.server.login.takes(Credentials(header, CLIENT)))
        self.assertFalse(self.server.login.takes(Credentials(None, CLIENT)))

    def test_what_begins_like_one_and_is_malformed_is_told(self) -> None:
        for header in (b"Basic X190b2tlbl9fO", b"Basic X190b2tlbl9fOg==!", b"Bearer "):
            credentials = Credentials(header, CLIENT)
            self.assertTrue(self.server.login.takes(credentials))
            self.fails(self.server.login.authenticate(credentials), Unauthorized)

    def test_it_is_not_the_name_of_a_user(self) -> None:
        """It is taken all the same, for names of users are logged."""
        credentials = Credentials(basic(TOKEN, ""), CLIENT)
        self.assertTrue(self.server.login.takes(credentials))
        why = self.fails(self.server.login.authenticate(credentials), Unauthorized)
        self.assertIn("the password of the user __token__", why)

    def test_what_is_none_of_ours_is_told(self) -> None:
        why = self.fails(self.showing("secret"), Unauthorized)
        self.assertIn("not a token of this index", why)

    def test_a_typing_error_is_told_without_a_look_up(self) -> None:
        text = self.make().text
        before = len(self.store.calls)
        why = self.fails(self.showing(text[:-1]), Unauthorized)
        self.assertIn("not a whole token", why)
        self.assertEqual(before, len(self.store.calls))

    @given(st.binary(max_size=100))
    def test_any_bearer_is_refused_or_right(self, data: bytes) -> None:
        credentials = Credentials(b"Bearer " + data, CLIENT)
        self.assertTrue(self.server.login.takes(credentials))
        self.fails(self.server.login.authenticate(credentials), Unauthorized)


class UserTests(TokenTestCase):
    def test_it_makes_its_owner_narrowed(self) -> None:
        made = self.make(actions=[Action.UPLOAD], projects=["Acme", "corp_*"])
        principal = self.show(made.text)
        self.assertEqual("ann", principal.name)
        self.assertEqual(
            Scope(frozenset({Action.UPLOAD}), ("acme", "corp-*")), principal.scope
        )
        self.assertEqual("token", principal.proof.kind)
        self.assertEqual(
            {"id": made.record.id, "description": "for CI"}, principal.proof.details
        )

    def test_a_warm_check_asks_nobody(self) -> None:
        text = self.make().text
        principal = self.show(text)
        before = len(self.store.calls)
        self.assertIs(principal, self.recall(text))
        self.clock.advance(0.9)
        self.assertIs(principal, self.recall(text))
        self.assertEqual(before, len(self.store.calls))

    def test_another_of_the_owners_asks_nobody_either(self) -> None:
        first, second = self.make().text, self.make().text
        self.show(first)
        self.assertEqual([], self.calls_during(self.showing(second)))

    def test_once_it_is_not_fresh_the_marker_is_asked_and_no_more(self) -> None:
        text = self.make().text
        self.show(text)
        self.clock.advance(1.1)
        self.assertIsNone(self.recall(text))
        calls = self.calls_during(self.showing(text))
        self.assertEqual([("get", ".marker")], calls)
        self.assertIsNotNone(self.recall(text))

    def test_its_document_is_asked_again_from_time_to_time(self) -> None:
        text = self.make().text
        self.show(text)
        self.clock.advance(61)
        self.assertEqual(
            [("get", ".marker"), ("get", KEY)], self.calls_during(self.showing(text))
        )

    def test_another_secret_is_refused(self) -> None:
        token = read_token(self.make().text)
        assert isinstance(token, UserToken)
        other = UserToken(token.id, b"x" * 20).text
        why = self.fails(self.showing(other), Unauthorized)
        self.assertIn("not known here", why)

    def test_it_ends(self) -> None:
        text = self.make(life=100).text
        self.show(text)
        self.clock.advance(99.5)
        self.show(text)
        self.clock.advance(0.5)
        self.assertIsNone(self.recall(text))
        self.assertIn("has ended", self.fails(self.showing(text), Unauthorized))

    def test_its_owner_must_be_the_one_who_had_it_made(self) -> None:
        text = self.make().text
        self.show(text)
        del self.server.users["ann"]
        self.assertIsNone(self.recall(text))
        why = self.fails(self.showing(text), Unauthorized)
        self.assertIn("does not exist", why)
        self.server.users["ann"] = "another of that name"
        self.fails(self.showing(text), Unauthorized)
        self.server.users["ann"] = ""
        self.show(text)

    def test_a_document_that_is_another_owners_counts_for_nothing(self) -> None:
        """Who can write there can do anything; but a mistake in a restore is none."""
        self.make("bob")
        text = self.make().text
        bobs = self.store.objects[document_key(owner_key("bob"))]
        self.store.add(KEY, bobs.data)
        self.assertIn("damaged", self.fails(self.showing(text), StoreError))

    def test_a_newer_format_is_not_guessed_at(self) -> None:
        text = self.make().text
        data = self.store.objects[KEY].data
        self.store.add(KEY, data.replace(b'"_format":1', b'"_format":2'))
        self.assertIn("newer server", self.fails(self.showing(text), StoreError))

    def test_outcomes_are_counted(self) -> None:
        text = self.make().text
        self.show(text)
        self.recall(text)
        self.fails(self.showing(TOKEN), Unauthorized)
        self.assertEqual({"right": 2, "refused": 1}, self.server.login.outcomes)


class TwoServerTests(TokenTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.other = self.another("two")

    def test_made_on_one_it_is_good_on_the_other_at_once(self) -> None:
        self.show(self.make().text, self.other)
        self.show(self.make().text, self.other)

    def test_revoked_on_one_the_other_refuses_it_within_fresh_for(self) -> None:
        made = self.make()
        self.show(made.text, self.other)
        self.get(self.server.tokens.revoke("ann", made.record.id, ANN))
        self.assertIsNone(self.recall(made.text))
        self.assertIn("revoked", self.fails(self.showing(made.text), Unauthorized))
        self.clock.advance(1)
        self.assertIsNone(self.recall(made.text, self.other))
        self.fails(self.showing(made.text, self.other), Unauthorized)

    def test_the_tokens_of_others_are_not_doubted(self) -> None:
        anns, bobs = self.make(), self.make("bob")
        for made in (anns, bobs):
            self.show(made.text, self.other)
        self.get(self.server.tokens.revoke("ann", anns.record.id, ANN))
        self.clock.advance(1)
        self.assertEqual(
            [("get", ".marker")], self.calls_during(self.showing(bobs.text, self.other))
        )

    def test_a_change_that_overtakes_a_read_is_read(self) -> None:
        made = self.make()
        held: Deferred[None] = Deferred()

        def hold(operation: str, key: str) -> Deferred[None] | None:
            self.store.after = lambda operation, key: None
            return held if key == KEY else None

        self.get(self.other.watch.freshen())
        self.store.after = hold
        showing = Deferred.fromCoroutine(self.showing(made.text, self.other))
        self.assertNoResult(showing)
        self.get(self.server.tokens.revoke("ann", made.record.id, ANN))
        self.clock.advance(1)
        self.get(self.other.watch.freshen())
        held.callback(None)
        self.failureResultOf(showing, Unauthorized)

    def test_what_is_made_while_others_are_read_is_good(self) -> None:
        """Whoever joins an older question does not take its no for an answer."""
        made, held = self.make(), Deferred[None]()

        def hold(operation: str, key: str) -> Deferred[None] | None:
            self.store.after = lambda operation, key: None
            return held if key == KEY else None

        self.get(self.other.watch.freshen())
        self.store.after = hold
        first = Deferred.fromCoroutine(self.showing(made.text, self.other))
        new = self.make()
        second = Deferred.fromCoroutine(self.showing(new.text, self.other))
        self.assertNoResult(second)
        held.callback(None)
        for showing in (first, second):
            self.assertEqual(self.successResultOf(showing).name, "ann")

    def test_with_no_time_to_be_fresh_every_request_asks(self) -> None:
        strict = self.another("strict", fresh_for=0.0)
        made = self.make()
        self.show(made.text, strict)
        self.assertIsNone(self.recall(made.text, strict))
        self.get(self.server.tokens.revoke("ann", made.record.id, ANN))
        self.fails(self.showing(made.text, strict), Unauthorized)


class AwayTests(TokenTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.text = self.make().text
        self.show(self.text)
        self.clock.advance(2)

    def test_what_was_right_may_be_read_with(self) -> None:
        self.store.before = away
        self.assertIsNone(self.recall(self.text))
        principal = self.show(self.text)
        self.assertEqual("ann", principal.name)
        self.assertTrue(principal.last_known)
        self.assertIsNone(self.recall(self.text))

    def test_and_is_as_good_as_before_once_the_store_is_back(self) -> None:
        self.store.before = away
        self.show(self.text)
        self.store.before = lambda operation, key: None
        self.clock.advance(1)
        self.show(self.make().text)
        self.assertFalse(self.show(self.text).last_known)

    def test_what_was_last_known_is_not_remembered_as_such(self) -> None:
        other = self.make("bob").text
        self.show(other)
        self.show(self.text)
        self.clock.advance(2)
        self.store.before = away
        self.assertTrue(self.show(self.text).last_known)
        self.store.before = lambda operation, key: None
        self.clock.advance(1)
        self.show(other)  # now the marker is known not to have changed
        known = self.recall(self.text)
        self.assertFalse(known is not None and known.last_known)

    def test_but_not_for_ever(self) -> None:
        self.store.before = away
        self.clock.advance(STALE_FOR)
        self.assertIn("away", self.fails(self.showing(self.text), StoreError))

    def test_nor_past_its_end(self) -> None:
        short = self.make(life=10).text
        self.show(short)
        self.store.before = away
        self.clock.advance(11)
        self.assertIn("ended", self.fails(self.showing(short), Unauthorized))

    def test_nor_where_the_marker_says_that_it_changed(self) -> None:
        other = self.another("two")
        self.get(other.tokens.make("ann", ANN, ""))
        self.store.before = only(KEY)  # type: ignore[assignment]  # a hook
        self.clock.advance(2)
        self.assertIn("away", self.fails(self.showing(self.text), StoreError))

    def test_what_is_not_known_fails(self) -> None:
        cold = self.another("cold")
        self.store.before = away
        another = UserToken.draw("ann").text
        self.assertIn("away", self.fails(self.showing(another), StoreError))
        self.assertIn("away", self.fails(self.showing(self.text, cold), StoreError))
        self.assertEqual({"unknown": 1}, cold.login.outcomes)


class StrangerTests(TokenTestCase):
    def test_a_token_that_is_not_there_is_asked_for_once(self) -> None:
        self.get(self.server.watch.freshen())
        self.fails(self.showing(TOKEN), Unauthorized)
        before = len(self.store.calls)
        self.fails(self.showing(TOKEN), Unauthorized)
        self.assertEqual(before, len(self.store.calls))
        # until something may have changed
        self.clock.advance(1)
        self.fails(self.showing(TOKEN), Unauthorized)
        self.assertIn(("get", KEY), self.store.calls[before:])

    def test_who_asks_for_many_is_slowed_and_others_are_not(self) -> None:
        text = self.make().text

        def guess() -> str:
            stranger = UserToken.draw(f"user{len(self.store.calls)}").text
            return self.fails(
                self.showing(stranger, client="198.51.100.7"),
                Unauthorized,
                TooManyRequests,
            )

        answers = [guess() for _ in range(101)]
        self.assertIn("not known here", answers[99])
        self.assertIn("Too many", answers[100])
        self.show(text)
        # Nor is what is known asked for again.
        self.show(text, client="198.51.100.7")

    def test_the_same_question_is_asked_once_at_a_time(self) -> None:
        made = self.make()
        cold = self.another("cold")
        held: Deferred[None] = Deferred()
        self.get(cold.watch.freshen())
        self.store.before = lambda operation, key: held if key == KEY else None
        before = len(self.store.calls)
        # More than may fail: none of them has.
        asking = [
            Deferred.fromCoroutine(self.showing(made.text, cold)) for _ in range(16)
        ]
        self.assertEqual([("get", KEY)], self.store.calls[before:])
        held.callback(None)
        for one in asking:
            self.assertEqual("ann", self.successResultOf(one).name)


class SecretTests(TokenTestCase):
    def test_no_secret_is_in_a_log_or_a_repr(self) -> None:
        with capturedLogs() as events:
            made = self.make()
            minted = self.get(
                self.server.minted.mint(
                    "https://ci.example", "1", self.clock.seconds(), ("acme",), {}, 900
                )
            )
            principal = self.show(made.text)
            self.show(minted.text)
            credentials = Credentials(basic(made.text, ""), CLIENT)
            self.fails(self.server.login.authenticate(credentials), Unauthorized)
            self.fails(self.showing(made.text[:-1]), Unauthorized)
            self.get(self.server.tokens.revoke("ann", made.record.id, ANN))
            self.fails(self.showing(made.text), Unauthorized)
            self.get(self.server.minted.burn(minted.text, CLIENT))
            self.fails(self.showing(minted.text), Unauthorized)
        token = read_token(made.text)
        lines = [str(formatEvent(event)) for event in events]
        lines += map(repr, (made, minted, principal, token, self.server.acts))
        for known in self.secrets_of(made.text), self.secrets_of(minted.text):
            for line in lines:
                for secret in known:
                    self.assertNotIn(secret, line)

    def secrets_of(self, text: str) -> tuple[str, ...]:
        secret = read_token(text).secret
        return text[-32:], secret.hex(), repr(secret)[2:-1]

    def test_nor_in_the_store(self) -> None:
        made = self.make()
        secret = read_token(made.text).secret
        for stored in self.store.objects.values():
            self.assertNotIn(secret.hex().encode(), stored.data)
            self.assertNotIn(made.text.encode(), stored.data)


class LastKnownTests(TokenTestCase):
    def test_it_may_read_and_change_nothing(self) -> None:
        policy = simple_policy("authenticated", has_users=True)
        acme = project_name("acme")
        known = Principal("ann", last_known=True)
        policy.check(known, Action.READ, acme)
        for action in (Action.UPLOAD, Action.MANAGE):
            policy.check(Principal("ann"), action, acme)
            error = self.assertRaises(Unavailable, policy.check, known, action, acme)
            self.assertIn("The store is away", str(error))
