"""Tokens of users whom only a directory knows: alive for as long as it knows them."""

from __future__ import annotations

from attrs import define, evolve, field
from twisted.internet.defer import Deferred

from pypicloud_tw.access.principal import Principal, Scope
from pypicloud_tw.access.tokens.owners import ELSEWHERE, People
from pypicloud_tw.access.tokens.text import UserToken, read_token
from pypicloud_tw.access.tokens.tokens import NewToken
from pypicloud_tw.config.rights import Action
from pypicloud_tw.errors import NotFound, Unauthorized, Unavailable
from tests.access.tokens.doubles import ANN, TokenServer, TokenTestCase

CID = Principal("cid", frozenset({"dev"}))


@define(eq=False)
class Corp:
    """A directory that can be asked who somebody is.

    :ivar away: it does not answer.
    :ivar asked: for whom, in order.
    :ivar slow: what the next answer waits for.
    """

    people: dict[str, Principal] = field(factory=lambda: {"cid": CID})
    away: bool = False
    asked: list[str] = field(factory=list)
    slow: Deferred[None] | None = None

    async def look_up(self, user: str) -> Principal | None:
        self.asked.append(user)
        if self.slow is not None:
            await self.slow
        if self.away:
            raise Unavailable("away", 5)
        return self.people.get(user)


class ElsewhereTests(TokenTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.corp = Corp()
        self.server = self.server_with(self.corp)

    def server_with(self, corp: Corp | None, **users: str) -> TokenServer:
        people = None
        if corp is not None:
            people = People(corp, self.clock.seconds, 300.0)
            users = {"cid": ELSEWHERE, "nobody": ELSEWHERE, **users}
        return self.another("one", people=people, users={"ann": "", **users})

    def make_token(self, owner: str = "cid") -> NewToken:
        return self.get(self.server.tokens.make(owner, ANN, "for CI"))

    def test_it_has_the_groups_that_its_owner_has(self) -> None:
        text = self.make("cid", actions=[Action.READ]).text
        principal = self.show(text)
        self.assertEqual(("cid", {"dev"}), (principal.name, principal.groups))
        self.assertEqual(Scope(frozenset({Action.READ})), principal.scope)
        self.assertEqual("token", principal.proof.kind)
        self.assertFalse(principal.administrator)
        self.assertIs(principal, self.recall(text))

    def test_and_has_no_more_within_a_while(self) -> None:
        text = self.make_token().text
        self.show(text)
        self.corp.people["cid"] = evolve(CID, groups=frozenset())
        self.clock.advance(299)
        self.assertEqual({"dev"}, self.show(text).groups)
        self.clock.advance(1)
        self.assertIsNone(self.recall(text))
        self.assertEqual(frozenset(), self.show(text).groups)

    def test_it_ends_with_its_owner(self) -> None:
        text = self.make_token().text
        self.show(text)
        del self.corp.people["cid"]
        self.clock.advance(300)
        self.assertIsNone(self.recall(text))
        why = self.fails(self.showing(text), Unauthorized)
        self.assertIn("does not exist any more", why)

    def test_while_the_directory_is_away_who_is_remembered_goes_on(self) -> None:
        text = self.make_token().text
        self.corp.away = True
        self.show(text)
        self.clock.advance(300)
        self.assertIsNone(self.recall(text))
        self.fails(self.showing(text), Unavailable)
        self.corp.away = False
        self.show(text)

    def test_it_is_asked_once_for_all(self) -> None:
        texts = [self.make_token().text for _ in range(3)]
        self.assertEqual(["cid"], self.corp.asked)
        self.clock.advance(300)
        self.corp.slow = slow = Deferred[None]()
        showing = [Deferred.fromCoroutine(self.showing(text)) for text in texts]
        slow.callback(None)
        for one in showing:
            self.assertEqual("cid", self.successResultOf(one).name)
        self.assertEqual(["cid", "cid"], self.corp.asked)

    def test_only_for_whoever_has_the_secret(self) -> None:
        token = read_token(self.make_token().text)
        assert isinstance(token, UserToken)
        self.clock.advance(300)
        wrong = UserToken(token.id, b"x" * 20).text
        self.fails(self.showing(wrong), Unauthorized)
        self.show(self.make("ann").text)
        self.assertEqual(["cid"], self.corp.asked)

    def test_none_is_made_for_nobody(self) -> None:
        making = self.server.tokens.make("nobody", ANN, "for CI")
        self.assertIn("auth.ldap.tokens", self.fails(making, NotFound))
        self.corp.away = True
        self.fails(self.server.tokens.make("nobody", ANN, "for CI"), Unavailable)

    def test_it_is_no_other_users(self) -> None:
        """Who is of the ini later, or was before, is another."""
        text = self.make_token().text
        for server in (
            self.server_with(self.corp, cid=""),
            self.server_with(self.corp, cid="one"),
            self.server_with(None),
        ):
            self.fails(self.showing(text, server), Unauthorized)
        of_the_ini = self.make("ann").text
        later = self.server_with(self.corp, ann=ELSEWHERE)
        self.corp.people["ann"] = Principal("ann")
        self.fails(self.showing(of_the_ini, later), Unauthorized)
