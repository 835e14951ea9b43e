"""Minting, once for each identity token; using, burning and sweeping what was."""

from __future__ import annotations

from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, gatherResults

from pypicloud_tw.access.tokens.documents import STALE_FOR
from pypicloud_tw.access.tokens.minted import (
    FOLDER,
    LONGEST,
    AlreadyUsed,
    MintedToken,
    sweep_minted,
)
from pypicloud_tw.access.tokens.objects import KEPT
from pypicloud_tw.access.tokens.text import HOUR, MintedText, read_token
from pypicloud_tw.errors import (
    AmbiguousWrite,
    BadRequest,
    StoreError,
    TooManyRequests,
    Unauthorized,
    Unavailable,
)
from tests.access.tokens.doubles import (
    CLIENT,
    ISSUER,
    NOW,
    TokenServer,
    TokenTestCase,
)

CLAIMS = {"repository": "acme/tool", "ref": "refs/tags/v1"}


class MintedTestCase(TokenTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.other = self.another("two")

    def mint(self, jti: str = "1", server: TokenServer | None = None) -> MintedToken:
        return self.get(self.minting(jti, server))

    def minting(
        self, jti: str = "1", server: TokenServer | None = None, life: float = 900
    ) -> Coroutine[Any, Any, MintedToken]:
        minted = (server or self.server).minted
        return minted.mint(ISSUER, jti, NOW + 600, ("acme-ci",), CLAIMS, life)

    def keys(self) -> list[str]:
        return [key for key in self.store.objects if key.startswith(FOLDER)]


class MintTests(MintedTestCase):
    def test_it_makes_its_publisher(self) -> None:
        minted = self.mint()
        self.assertEqual(NOW + 900, minted.ends)
        for server in self.server, self.other:
            principal = self.show(minted.text, server)
            self.assertIsNone(principal.name)
            self.assertEqual(("acme-ci",), principal.publishers)
            self.assertIsNone(principal.scope)
            self.assertEqual("publisher", principal.proof.kind)
            self.assertEqual(CLAIMS, principal.proof.details)

    def test_one_request_makes_it_and_none_shows_it_where_it_was_made(self) -> None:
        calls = self.calls_during(self.minting())
        self.assertEqual([("put", self.keys()[0])], calls)
        text = self.mint("2").text
        self.assertEqual([], self.calls_during(self.showing(text)))
        self.assertEqual(1, len(self.calls_during(self.showing(text, self.other))))
        self.assertEqual([], self.calls_during(self.showing(text, self.other)))

    def test_an_identity_token_is_used_once_on_any_server(self) -> None:
        first = self.mint()
        for server in self.server, self.other:
            why = self.fails(self.minting(server=server), AlreadyUsed)
            self.assertIn("exchanged before", why)
        self.show(first.text)

    def test_of_many_servers_at_once_one_wins(self) -> None:
        held: Deferred[None] = Deferred()
        self.store.before = lambda operation, key: held
        servers = [self.another(str(number)) for number in range(8)]
        minting = gatherResults(
            [
                Deferred.fromCoroutine(self.minting(server=server)).addErrback(
                    lambda failure: failure.trap(AlreadyUsed) and None
                )
                for server in servers
            ]
        )
        held.callback(None)
        won = [token for token in self.successResultOf(minting) if token is not None]
        self.assertEqual(1, len(won))
        self.show(won[0].text)

    def test_others_identity_tokens_are_others(self) -> None:
        self.mint("1")
        self.mint("2")
        self.get(
            self.server.minted.mint(
                "https://other", "1", NOW, ("acme-ci",), CLAIMS, 900
            )
        )

    def test_no_longer_than_is_allowed(self) -> None:
        self.assertEqual(NOW + LONGEST, self.get(self.minting(life=10**9)).ends)

    def test_an_end_that_is_none_is_refused(self) -> None:
        for end in (-1.0, 1e30, float("nan")):
            minting = self.server.minted.mint(ISSUER, "1", end, ("acme-ci",), {}, 900)
            self.assertIn("no time", self.fails(minting, BadRequest))

    def test_it_ends(self) -> None:
        text = self.mint().text
        self.show(text)
        self.clock.advance(900)
        self.assertIsNone(self.recall(text))
        self.assertIn("ended", self.fails(self.showing(text), Unauthorized))

    def test_nothing_is_minted_where_another_alone_may_write(self) -> None:
        self.server.standing.wait("Another process writes here.")
        failing = self.failureResultOf(Deferred.fromCoroutine(self.minting()))
        self.assertIsInstance(failing.value, Unavailable)
        self.assertIn("Retry-After", failing.value.headers)
        self.assertEqual([], self.keys())


class LostAnswerTests(MintedTestCase):
    def lose(self, error: type[StoreError], *, written: bool) -> None:
        """Have the answer to the next write be lost."""

        def hook(operation: str, key: str) -> None:
            if operation == "put":
                self.store.before = self.store.after = lambda operation, key: None
                raise error("The answer was lost.")

        if written:
            self.store.after = hook
        else:
            self.store.before = hook

    def test_ours_that_was_written_is_ours(self) -> None:
        for jti, error in ("1", StoreError), ("2", AmbiguousWrite):
            self.lose(error, written=True)
            self.show(self.mint(jti).text, self.other)

    def test_others_that_was_written_is_a_replay(self) -> None:
        for jti, error in ("1", StoreError), ("2", AmbiguousWrite):
            self.mint(jti)
            self.lose(error, written=False)
            self.fails(self.minting(jti, self.other), AlreadyUsed)

    def test_what_was_not_written_can_be_tried_again(self) -> None:
        self.lose(StoreError, written=False)
        self.assertIn("lost", self.fails(self.minting(), StoreError))
        self.mint()

    @given(st.lists(st.sampled_from(["ok", "before", "after"]), max_size=6))
    def test_whatever_is_lost_at_most_one_is_good(self, fates: list[str]) -> None:
        self.setUp()
        good: list[MintedToken] = []
        for fate in fates:
            if fate != "ok":
                self.lose(StoreError, written=fate == "after")
            minting = Deferred.fromCoroutine(self.minting())
            if isinstance(minting.result, MintedToken):
                good.append(minting.result)
            else:
                self.failureResultOf(minting, StoreError, AlreadyUsed)
        self.assertLessEqual(len(good), 1)


class FreshTests(MintedTestCase):
    def test_a_warm_check_asks_nobody_and_then_only_for_itself(self) -> None:
        text = self.mint().text
        principal = self.show(text, self.other)
        self.clock.advance(0.9)
        self.assertIs(principal, self.recall(text, self.other))
        self.clock.advance(0.1)
        self.assertIsNone(self.recall(text, self.other))
        calls = self.calls_during(self.showing(text, self.other))
        self.assertEqual([("get", self.keys()[0])], calls)

    def test_burnt_on_one_the_other_refuses_it_within_fresh_for(self) -> None:
        text = self.mint().text
        self.show(text, self.other)
        self.assertTrue(self.get(self.server.minted.burn(text, CLIENT)))
        self.assertIn("given back", self.fails(self.showing(text), Unauthorized))
        self.clock.advance(1)
        self.fails(self.showing(text, self.other), Unauthorized)

    def test_also_where_others_have_waited_for_the_store_for_long(self) -> None:
        known, new = self.mint("1").text, self.mint("2").text
        self.show(known, self.other)
        self.clock.advance(1)
        for text in (known, new):
            slow: Deferred[None] = Deferred()
            self.store.after = lambda operation, key, slow=slow: slow  # type: ignore[misc]  # the loop's
            early = Deferred.fromCoroutine(self.showing(text, self.other))
            self.store.after = lambda operation, key: None
            self.assertTrue(self.get(self.server.minted.burn(text, CLIENT)))
            self.clock.advance(1.1)
            late = Deferred.fromCoroutine(self.showing(text, self.other))
            slow.callback(None)
            self.successResultOf(early)
            self.failureResultOf(late, Unauthorized)

    def test_what_is_burnt_stays_used(self) -> None:
        self.get(self.server.minted.burn(self.mint().text, CLIENT))
        self.fails(self.minting(server=self.other), AlreadyUsed)

    def test_burning_takes_the_secret(self) -> None:
        text = self.mint().text
        token = read_token(text)
        assert isinstance(token, MintedText)
        guess = MintedText(token.hour, token.id, b"x" * 20).text
        for other in (guess, text[:-1], self.make().text, "", "secret"):
            self.assertFalse(self.get(self.other.minted.burn(other, CLIENT)), other)
        self.show(text)

    def test_burning_twice_is_once(self) -> None:
        text = self.mint().text
        self.assertTrue(self.get(self.server.minted.burn(text, CLIENT)))
        self.assertFalse(self.get(self.other.minted.burn(text, CLIENT)))

    def test_with_the_store_away_it_may_be_read_with_for_a_time(self) -> None:
        text = self.mint().text
        self.clock.advance(2)
        self.store.fail_next("get", StoreError("The store is away."))
        self.assertTrue(self.show(text).last_known)
        # Who comes next waits for nothing; one in a while tries again.
        before = len(self.store.calls)
        self.assertTrue(self.show(text).last_known)
        self.assertEqual(before, len(self.store.calls))
        self.clock.advance(1)
        self.assertFalse(self.show(text).last_known)
        self.assertLess(LONGEST, STALE_FOR)

    def test_what_is_damaged_is_an_error(self) -> None:
        text = self.mint().text
        self.store.add(self.keys()[0], b"{}")
        self.assertIn("damaged", self.fails(self.showing(text, self.other), StoreError))

    def test_made_up_ones_are_asked_for_once_and_charged(self) -> None:
        made_up = MintedText.draw(ISSUER, "7", NOW).text
        self.fails(self.showing(made_up), Unauthorized)
        self.assertEqual([], self.calls_of_failing(made_up))
        for number in range(99):
            text = MintedText.draw(ISSUER, f"x{number}", NOW).text
            self.fails(self.showing(text), Unauthorized)
        text = MintedText.draw(ISSUER, "y", 2**32 * HOUR - 1).text
        self.fails(self.showing(text), TooManyRequests)
        self.fails(self.showing(text, client="203.0.113.1"), Unauthorized)

    def calls_of_failing(self, text: str) -> list[tuple[str, str]]:
        before = len(self.store.calls)
        self.fails(self.showing(text, client=CLIENT), Unauthorized)
        return self.store.calls[before:]


class SweepTests(MintedTestCase):
    def test_only_hours_that_are_long_over_are_swept(self) -> None:
        minted = self.mint()
        end_of_hour = NOW + 600 - (NOW + 600) % HOUR + HOUR
        now = datetime.fromtimestamp(end_of_hour + KEPT, UTC)
        self.assertEqual([], self.get(sweep_minted(self.store, now)))
        self.store.add(f"{FOLDER}notes.txt", b"somebody's")
        later = now + timedelta(seconds=1)
        due = self.get(sweep_minted(self.store, later, dry_run=True))
        self.assertEqual(self.keys()[:1], due)
        self.show(minted.text, self.other)
        self.assertEqual(due, self.get(sweep_minted(self.store, later)))
        self.assertEqual([f"{FOLDER}notes.txt"], self.keys())
