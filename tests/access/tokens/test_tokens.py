"""Making, listing and revoking tokens; who may; what of them is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, gatherResults

from pypicloud_tw.access.principal import ANONYMOUS, Principal, Scope
from pypicloud_tw.access.tokens import records
from pypicloud_tw.access.tokens.records import (
    LISTED,
    MOST,
    OwnerTokens,
    TokenRecord,
    decode,
    document_key,
    encode,
)
from pypicloud_tw.access.tokens.text import UserToken, owner_key, read_token
from pypicloud_tw.access.tokens.tokens import check_maker
from pypicloud_tw.config.rights import GRANTABLE, Action
from pypicloud_tw.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    NotFound,
    StoreError,
    Unauthorized,
    Unavailable,
)
from pypicloud_tw.index.audit import Actor
from pypicloud_tw.index.marker import KEY as MARKER
from tests.access.tokens.doubles import ANN, TokenTestCase

DAY = 86400
ROOT = Actor("root")

scopes = st.builds(
    Scope,
    st.none() | st.frozensets(st.sampled_from(GRANTABLE), min_size=1),
    st.none() | st.lists(st.sampled_from(["acme", "corp-*"]), min_size=1).map(tuple),
)
moments = st.integers(0, 2**40)
living = st.builds(
    TokenRecord,
    st.binary(min_size=16, max_size=16).map(bytes.hex),
    st.binary(min_size=32, max_size=32),
    st.text(),
    scopes,
    moments,
    moments,
    st.text(),
    st.text(),
)
revoked = st.builds(
    lambda token, at, by: evolve(token, revoked=at, revoked_by=by),
    living,
    moments,
    st.text(),
)


class MakeTests(TokenTestCase):
    def test_who_made_it_for_whom_until_when(self) -> None:
        made = self.get(self.server.tokens.make("bob", ROOT, "  CI of acme "))
        record = made.record
        self.assertEqual(("bob", "root"), (made.owner, record.created_by))
        self.assertEqual("CI of acme", record.description)
        self.assertEqual(self.clock.seconds() + 90 * DAY, record.ends)
        self.assertEqual(Scope(), record.scope)
        until = datetime.fromtimestamp(record.ends, UTC)
        self.assertEqual(
            [
                f"root made a token: {record.id} for bob: CI of acme (everything of "
                f"all projects, until {until:%Y-%m-%d %H:%M} UTC)"
            ],
            [act.sentence for act in self.server.acts],
        )
        self.assertEqual(1, self.server.tokens.made)

    def test_a_record_although_the_others_could_not_be_told(self) -> None:
        made = self.make()

        def fail(operation: str, key: str) -> None:
            if (operation, key) == ("put", MARKER):
                raise StoreError("The store is away.")

        self.store.before = fail
        revoking = self.server.tokens.revoke("ann", made.record.id, ANN)
        self.fails(revoking, StoreError)
        self.assertEqual("revoked a token", self.server.acts[-1].act)

    def test_its_life_is_bounded(self) -> None:
        for life in (0, -1, 365 * DAY + 1):
            why = self.fails(self.making(life=life), BadRequest)
            self.assertIn("365 days (auth.token_max_life)", why)
        self.make(life=365 * DAY)

    def test_what_cannot_be_is_told(self) -> None:
        for what, word in (
            ({"actions": []}, "read, upload, manage, administer"),
            ({"actions": [Action.DELETE]}, "read, upload, manage, administer"),
            ({"projects": []}, "1 to 100"),
            ({"projects": ["a b"]}, "neither a name"),
            ({"projects": [f"p{n}" for n in range(101)]}, "1 to 100"),
        ):
            self.assertIn(word, self.fails(self.making(**what), BadRequest))
        for description in ("x" * 201, "a\nb"):
            making = self.server.tokens.make("ann", ANN, description)
            self.assertIn("one line", self.fails(making, BadRequest))
        self.assertEqual({}, self.store.objects)

    def test_an_owner_must_be_known_here(self) -> None:
        making = self.server.tokens.make("carol", ROOT, "")
        self.assertIn("no user 'carol'", self.fails(making, NotFound))

    def test_not_while_nothing_may_be_changed(self) -> None:
        self.server.standing.wait("Not now.")
        self.fails(self.making(), Unavailable)

    def test_several_at_once_are_all_made(self) -> None:
        other = self.another("two")
        making = [
            Deferred.fromCoroutine(server.tokens.make("ann", ANN, str(number)))
            for number in range(6)
            for server in (self.server, other)
        ]
        waiting = gatherResults(making)
        self.clock.pump([1] * 30)
        for made in self.successResultOf(waiting):
            self.show(made.text)
            self.show(made.text, other)

    def test_after_a_lost_answer_it_is_made_once(self) -> None:
        def lose(operation: str, key: str) -> None:
            if operation == "put":
                self.store.after = lambda operation, key: None
                raise StoreError("The answer was lost.")

        self.store.after = lose
        making = Deferred.fromCoroutine(self.making())
        self.clock.pump([1] * 5)
        self.show(self.successResultOf(making).text)
        self.assertEqual(1, len(self.get(self.server.tokens.list("ann"))))

    def test_an_owner_has_so_many_and_dead_ones_make_room(self) -> None:
        self.patch(records, "MOST", 3)
        first, second, _ = self.make(), self.make(), self.make()
        self.assertIn("3 tokens", self.fails(self.making(), Conflict))
        self.get(self.server.tokens.revoke("ann", second.record.id, ANN))
        self.make()
        ids = [one.record.id for one in self.get(self.server.tokens.list("ann"))]
        self.assertIn(first.record.id, ids)
        self.assertNotIn(second.record.id, ids)
        self.assertGreater(MOST, 3)

    def test_what_ended_long_ago_is_forgotten(self) -> None:
        old = self.make(life=10)
        self.clock.advance(LISTED + 9)
        self.make()
        self.assertIn(old.record.id, self.ids())
        self.clock.advance(1)
        self.make()
        self.assertNotIn(old.record.id, self.ids())

    def ids(self) -> list[str]:
        return [one.record.id for one in self.get(self.server.tokens.list("ann"))]

    def making(self, **narrowed: Any) -> Any:
        return self.server.tokens.make("ann", ANN, "", **narrowed)


class ListTests(TokenTestCase):
    def test_an_owners_oldest_first_with_their_last_use(self) -> None:
        first, second = self.make(), self.make()
        self.make("bob")
        self.show(second.text, client="2001:db8::1")
        listed = self.get(self.server.tokens.list("ann"))
        self.assertEqual([first.record, second.record], [one.record for one in listed])
        self.assertIsNone(listed[0].last_use)
        assert listed[1].last_use is not None
        self.assertEqual("2001:db8::1", listed[1].last_use.client)
        self.assertEqual("2027-01-15", str(listed[1].last_use.date))
        self.assertEqual((), self.get(self.server.tokens.list("carol")))

    def test_everybodys(self) -> None:
        made = {self.make(name).record.id for name in ("ann", "ann", "bob")}
        listed = self.get(collect(self.server.tokens.list_all()))
        self.assertEqual(made, {one.record.id for one in listed})
        self.assertEqual({"ann", "bob"}, {one.owner for one in listed})

    def test_one_by_its_id(self) -> None:
        made = self.make()
        found = self.get(self.server.tokens.find(made.record.id))
        self.assertEqual(("ann", made.record), (found.owner, found.record))
        for id in ("", "x", "0" * 32, made.record.id[:-1] + "g"):
            self.fails(self.server.tokens.find(id), NotFound)


class RevokeTests(TokenTestCase):
    def test_it_is_recorded_once_and_stays_as_a_tombstone(self) -> None:
        made = self.make()
        tokens = self.server.tokens
        for _ in range(2):
            self.get(tokens.revoke("ann", made.record.id, ROOT, "left"))
        (listed,) = self.get(tokens.list("ann"))
        self.assertEqual("root", listed.record.revoked_by)
        self.assertEqual(self.clock.seconds(), listed.record.revoked)
        self.assertEqual(
            [f"root revoked a token: {made.record.id} of ann: for CI (left)"],
            [act.sentence for act in self.server.acts[1:]],
        )
        self.assertEqual(1, tokens.revoked)

    def test_there_must_be_one(self) -> None:
        bobs = self.make("bob").record.id
        revoking = self.server.tokens.revoke("ann", bobs, ANN)
        self.assertIn("no such token", self.fails(revoking, NotFound))

    def test_all_of_an_owner_who_is_removed(self) -> None:
        mine = [self.make() for _ in range(3)]
        bobs = self.make("bob")
        self.get(self.server.tokens.revoke("ann", mine[0].record.id, ANN))
        self.assertEqual(2, self.get(self.server.tokens.revoke_all("ann", ROOT)))
        self.assertEqual(0, self.get(self.server.tokens.revoke_all("ann", ROOT)))
        self.assertEqual(0, self.get(self.server.tokens.revoke_all("carol", ROOT)))
        for made in mine:
            self.fails(self.showing(made.text), Unauthorized)
        self.show(bobs.text)

    def test_if_the_others_could_not_be_told_trying_again_tells_them(self) -> None:
        other = self.another("two")
        made = self.make()
        self.show(made.text, other)

        def deaf(operation: str, key: str) -> None:
            if key == ".marker":
                raise StoreError("The marker is away.")

        revoke = self.server.tokens.revoke
        self.store.before = deaf
        self.fails(revoke("ann", made.record.id, ANN), StoreError)
        self.store.before = lambda operation, key: None
        self.get(revoke("ann", made.record.id, ANN))
        self.clock.advance(1)
        self.fails(self.showing(made.text, other), Unauthorized)

    def test_whoever_knows_a_token_may_revoke_it(self) -> None:
        somebody = Actor(None, address="203.0.113.9")
        made = self.make()
        revoke = self.server.tokens.revoke_shown
        for text in ("", made.text[:-1], self.changed_secret(made.text)):
            self.assertFalse(self.get(revoke(text, somebody, "told as leaked")))
        self.show(made.text)
        self.assertTrue(self.get(revoke(made.text, somebody, "told as leaked")))
        self.assertFalse(self.get(revoke(made.text, somebody, "told as leaked")))
        self.fails(self.showing(made.text), Unauthorized)

    def changed_secret(self, text: str) -> str:
        token = read_token(text)
        assert isinstance(token, UserToken)
        return UserToken(token.id, b"x" * 20).text


class MakerTests(TokenTestCase):
    def test_owners_and_administrators_may(self) -> None:
        ann, scope = Principal("ann"), Scope()
        check_maker(ann, "ann", scope, administers=False)
        check_maker(ann, "bob", scope, administers=True)
        for principal in ann, ANONYMOUS, Principal(None, publishers=("acme",)):
            self.assertRaises(
                Forbidden, check_maker, principal, "bob", scope, administers=False
            )
        self.assertRaises(
            Forbidden,
            check_maker,
            Principal(None, publishers=("acme",)),
            "bob",
            scope,
            administers=True,
        )

    def test_a_token_makes_none_unless_it_was_made_to_administer(self) -> None:
        for scope in Scope(), Scope(frozenset({Action.UPLOAD})):
            error = self.assertRaises(
                Forbidden,
                check_maker,
                Principal("ann", scope=scope),
                "ann",
                Scope(frozenset({Action.UPLOAD})),
                administers=True,
            )
            self.assertIn("use your password", str(error))

    @given(scopes, scopes)
    def test_no_token_makes_a_wider_one(self, own: Scope, made: Scope) -> None:
        maker = Principal("ann", scope=own)
        try:
            check_maker(maker, "ann", made, administers=True)
        except Forbidden:
            return
        for action in GRANTABLE:
            for project in ("acme", "corp-*", "other"):
                if allows(made, action, project):
                    self.assertTrue(allows(own, action, project))


def allows(scope: Scope, action: Action, project: str) -> bool:
    return (scope.actions is None or action in scope.actions) and (
        scope.projects is None or project in scope.projects
    )


class DocumentTests(TokenTestCase):
    @given(st.text(), st.lists(living | revoked, max_size=3))
    def test_what_is_written_is_read_again(
        self, owner: str, tokens: list[TokenRecord]
    ) -> None:
        by_id = MappingProxyType({token.id: token for token in tokens})
        document = OwnerTokens(owner, by_id, ("a1",))
        self.assertEqual(document, decode(owner_key(owner), encode(document)))

    @given(st.binary())
    def test_anything_else_is_an_error_that_says_where(self, data: bytes) -> None:
        key = owner_key("ann")
        error = self.assertRaises(StoreError, decode, key, data)
        self.assertIn(document_key(key), str(error))


async def collect(items: AsyncIterator[Any]) -> list[Any]:
    return [item async for item in items]
