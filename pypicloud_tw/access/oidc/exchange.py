"""The exchange: a job's identity token in, a token of this index out, once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Mapping

from attrs import define, evolve, field
from twisted.logger import Logger

from pypicloud_tw.access.access import Access
from pypicloud_tw.access.oidc.compact import UnverifiedToken, read_token
from pypicloud_tw.access.oidc.identity import Identity, identify
from pypicloud_tw.access.oidc.issuers import Fetcher, Issuers
from pypicloud_tw.access.oidc.matching import describe, explain, matching
from pypicloud_tw.access.oidc.refusals import (
    ExchangeRefused,
    InvalidPublisher,
    InvalidToken,
    NotEnabled,
    ReusedToken,
)
from pypicloud_tw.access.principal import Principal
from pypicloud_tw.access.throttle import Buckets, network
from pypicloud_tw.access.tokens.minted import AlreadyUsed, Minted, MintedToken
from pypicloud_tw.config.publishers import told_audience
from pypicloud_tw.config.rights import TrustedPublisher
from pypicloud_tw.errors import PypicloudError
from pypicloud_tw.index.audit import Act, Actor, Audit, Proof
from pypicloud_tw.metrics import Metrics

#: Refusals that one client is told the reason of: so many at once, and one more in so
#: many seconds.
_BURST, _EVERY = 30, 2.0


@define(eq=False)
class Exchange:
    """Exchanges identity tokens.

    :param access: knows the publishers.
    :param issuers: the keys of their issuers.
    :param minted: where tokens are made.
    :param audit: takes a record of every exchange and every refusal.
    :param seconds: the clock.
    :ivar lifetime: seconds that a minted token lives.
    :ivar outcomes: how many exchanges came to what: ``minted``, or an error's code.
    """

    access: Access
    issuers: Issuers
    minted: Minted
    audit: Audit
    seconds: Callable[[], float]
    lifetime: float
    outcomes: Counter[str] = field(factory=Counter, init=False)
    _refused: Buckets = field(factory=lambda: Buckets(_BURST, _EVERY), init=False)
    _log = Logger()

    def register(self, metrics: Metrics) -> None:
        """Have its counters shown."""
        metrics.read_by(
            "pypicloud_oidc_exchanges",
            "Identity tokens that were shown, by what came of it",
            "outcome",
            lambda: self.outcomes,
        )

    def reload(self, lifetime: float, fetcher: Callable[[str], Fetcher]) -> None:
        """Take new settings; keys of issuers that are known stay."""
        self.lifetime = lifetime
        self.issuers.reload(fetcher)

    async def audience(self) -> str:
        """Return the audience that a job is to ask its issuer for.

        :raises NotEnabled: there is no publisher.
        :raises Unavailable: it could never be found out whether there is one.
        """
        publishers = await self._publishers()
        # Whoever administers a project must not have others' jobs ask for another.
        audience = told_audience(self._fixed or publishers)
        if audience is None:
            raise NotEnabled("This index has no trusted publishers.")
        return audience

    @property
    def _fixed(self) -> Mapping[str, TrustedPublisher]:
        """Those of the ini."""
        return self.access.policy.settings.publishers

    async def _publishers(self) -> Mapping[str, TrustedPublisher]:
        await self.access.learn()
        return self.access.policy.rules.publishers

    async def exchange(self, text: str, actor: Actor) -> MintedToken:
        """Exchange a token.

        The issuer is known before anything is fetched, and the token is taken for used
        last: one that is refused can be shown again when the publisher was put right.

        One that is right is exchanged whatever else its client shows: runners share
        addresses, and a neighbour must not keep a job from publishing.

        :param actor: who shows it, as far as is known before.
        :raises ExchangeRefused: it is not exchanged.
        :raises TooManyRequests: nor is it, and its client was told so too often.
        :raises IssuerUnavailable: the issuer's keys cannot be had.
        :raises Unavailable: the store is away.
        """
        try:
            minted = await self._exchange(text, actor)
        except PypicloudError as e:
            self.outcomes[e.code] += 1
            if isinstance(e, ExchangeRefused):
                self._tell(e, actor)
            raise
        self.outcomes["minted"] += 1
        return minted

    async def burn(self, text: str, actor: Actor) -> bool:
        """Make a minted token useless; return whether it was one that lived.

        :param actor: who shows it.
        :raises TooManyRequests: they have shown too many that there are not.
        :raises Unavailable: the store is away, or nothing may be changed.
        """
        burnt = await self.minted.burn(text, actor.address or "")
        if burnt:
            self.audit(Act(actor, "burnt a token", reason="given back"))
        return burnt

    async def _exchange(self, text: str, actor: Actor) -> MintedToken:
        publishers = await self._publishers()
        if not publishers:
            raise NotEnabled("This index has no trusted publishers.")
        token = read_token(text)
        of_issuer = _of_issuer(publishers, token)
        keys = await self.issuers.keys(token.issuer, token.key_id)
        keys.verify(token)
        identity = identify(token, self.seconds())
        found = _match(of_issuer, identity, self._fixed)
        minted = await self._mint(identity, found)
        proof = Proof("publisher", identity.claims)
        label = Principal(None, publishers=found).label
        self.audit(Act(evolve(actor, name=label, proof=proof), "minted"))
        return minted

    async def _mint(self, identity: Identity, found: tuple[str, ...]) -> MintedToken:
        try:
            return await self.minted.mint(
                identity.issuer,
                identity.once,
                identity.end,
                found,
                identity.claims,
                self.lifetime,
            )
        except AlreadyUsed as e:
            raise ReusedToken(e.message, claims=identity.claims) from None

    def _tell(self, error: ExchangeRefused, actor: Actor) -> None:
        """Have log and audit say what the job is not told.

        :raises TooManyRequests: the client was refused too often to tell each time; the
            audit counts them.
        """
        why = " ".join((error.message, *error.findings))
        proof = Proof("publisher", error.claims) if error.claims else actor.proof
        shown_by = evolve(actor, proof=proof)
        self.audit(Act(shown_by, "mint", reason=why, outcome="refused"))
        client = network(actor.address or "")
        self._refused.admit(client, self.seconds(), "refused identity tokens")
        self._log.warn(
            "An identity token from {client} is refused ({code}): {why}",
            client=actor.address,
            code=error.code,
            why=why,
        )


def _of_issuer(
    publishers: Mapping[str, TrustedPublisher], token: UnverifiedToken
) -> Mapping[str, TrustedPublisher]:
    found = {n: one for n, one in publishers.items() if one.issuer == token.issuer}
    if not found:
        raise InvalidPublisher(
            "No trusted publisher of this index has the issuer of this token.",
            [f"Its issuer is said to be {token.issuer[:200]!a}."],
        )
    return found


def _match(
    of_issuer: Mapping[str, TrustedPublisher], identity: Identity, fixed: Container[str]
) -> tuple[str, ...]:
    """Name the publishers that trust a job; parameters as of :func:`matching`."""
    audience = identity.claims["aud"]
    if all(one.audience != audience for one in of_issuer.values()):
        raise InvalidToken(
            "The token is for another audience than this index's, which "
            "/_/oidc/audience tells.",
            explain(of_issuer, identity.claims),
            identity.claims,
        )
    found = matching(of_issuer, identity.claims, fixed)
    if not found:
        raise InvalidPublisher(
            "The token is good, and no trusted publisher of this index is for this "
            f"job ({describe(identity.claims)}). Compare that with what its "
            "administrators have set; the server's log says what differs.",
            explain(of_issuer, identity.claims),
            identity.claims,
        )
    return found
