"""Whatever happens to tokens and their owners, on whichever of two servers."""

from __future__ import annotations

from typing import Any

from attrs import define
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from pypicloud_tw.errors import TooManyRequests, Unauthorized
from tests.access.tokens.doubles import (
    ANN,
    CLIENT,
    ISSUER,
    TokenServer,
    TokenTestCase,
)

FRESH_FOR = 1.0

#: How much of it passes.
TIMES = ("0.4", "1", "900", "7776000")

#: What is done, to which of the tokens, on which server.
Step = tuple[str, int, int]
steps = st.lists(
    st.tuples(
        st.sampled_from(
            [*("make", "mint", "revoke", "leave", "come"), *["show"] * 3, *TIMES]
        ),
        st.integers(0, 3),
        st.integers(0, 1),
    ),
    max_size=25,
)


@define
class Known:
    """What is known of one token.

    :ivar owner_id: of its owner when it was made; None: it was minted for a job.
    :ivar revoked: when, and on which server.
    """

    text: str
    ends: int
    owner_id: str | None
    revoked: tuple[float, int] | None = None


class LifeTests(TokenTestCase):
    @given(steps)
    def test_a_token_is_good_while_it_lives_and_no_longer(
        self, steps: list[Step]
    ) -> None:
        self.setUp()
        self.users: dict[str, str] = {"ann": "0"}
        self.servers = [self.another(n, users=self.users) for n in ("one", "two")]
        self.known: list[Known] = []
        for number, (what, which, at) in enumerate(steps):
            if what in TIMES:
                self.clock.advance(float(what))
            elif what in ("make", "mint"):
                self.begin(what, self.servers[at], number)
            elif what == "leave":
                self.users.pop("ann", None)
            elif what == "come":
                self.users.setdefault("ann", str(number))
            elif which < len(self.known):
                getattr(self, f"do_{what}")(self.known[which], at)

    def begin(self, what: str, server: TokenServer, number: int) -> None:
        now = self.clock.seconds()
        if what == "mint":
            job: dict[str, str] = {}
            minting = server.minted.mint(
                ISSUER, str(number), now + 60, ("tool",), job, 900
            )
            minted = self.get(minting)
            self.known.append(Known(minted.text, minted.ends, None))
        elif "ann" in self.users:
            made = self.get(server.tokens.make("ann", ANN, ""))
            known = Known(made.text, made.record.ends, self.users["ann"])
            self.known.append(known)

    def do_revoke(self, known: Known, at: int) -> None:
        """Tell that it is known to others, as whoever has it may."""
        lived = self.is_good(known, at, self.clock.seconds())
        revoking = self.servers[at].tokens.revoke_shown(known.text, ANN, "")
        revoked = self.get(revoking)
        if known.revoked is None:
            self.assertTrue(revoked or not lived)
            known.revoked = (self.clock.seconds(), at)

    def is_good(self, known: Known, at: int, now: float) -> bool:
        """Whether it must be taken, but for revocations of a moment ago."""
        return (
            now < known.ends
            and (known.owner_id is None or self.users.get("ann") == known.owner_id)
            and known.revoked is None
        )

    def do_show(self, known: Known, at: int) -> None:
        now = self.clock.seconds()
        good = self.is_good(known, at, now)
        taken = self.is_taken(known.text, self.servers[at])
        if known.revoked is not None and taken:
            # Another server may not have heard of it yet.
            then, where = known.revoked
            self.assertNotEqual(where, at)
            self.assertLess(now - then, FRESH_FOR)
        elif known.revoked is None:
            self.assertIs(taken, good)

    def is_taken(self, text: str, server: TokenServer) -> bool:
        if self.recall(text, server, CLIENT) is not None:
            return True
        results: list[Any] = []
        Deferred.fromCoroutine(self.showing(text, server)).addBoth(results.append)
        (result,) = results
        if isinstance(result, Failure):
            result.trap(Unauthorized, TooManyRequests)
            return False
        return True
