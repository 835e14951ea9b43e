"""The exchange: a job's identity token in, a token of this index out, once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from attrs import define, field, frozen
from twisted.logger import Logger

from pypicloud_tw.access.oidc.compact import UnverifiedToken, read_token
from pypicloud_tw.access.oidc.identity import Identity, identify
from pypicloud_tw.access.oidc.issuers import Issuers
from pypicloud_tw.access.oidc.matching import explain, matching
from pypicloud_tw.access.oidc.refusals import (
    ExchangeRefused,
    InvalidPublisher,
    InvalidToken,
    NotEnabled,
)
from pypicloud_tw.config.publishers import told_audience
from pypicloud_tw.config.rights import TrustedPublisher

#: Seconds that a minted token may live (PEP 807, draft).
SHORTEST_LIFE, LONGEST_LIFE = 900, 21_600

Publishers = Mapping[str, TrustedPublisher]


@frozen
class Minted:
    """A token of this index.

    :ivar expires: its end, in seconds since 1970.
    :ivar publishers: whose it is.
    """

    token: str = field(repr=False)
    expires: int
    publishers: tuple[str, ...]


class Mint(Protocol):
    """Where tokens are made."""

    async def mint(
        self,
        identity: Identity,
        publishers: tuple[str, ...],
        lifetime: int,
    ) -> Minted:
        """Make a token, if the identity's has not been exchanged before.

        :raises ReusedToken: it has, by this server or another.
        :raises Unavailable: that cannot be found out now.
        """


@define(eq=False)
class Exchange:
    """Exchanges identity tokens.

    :param publishers: returns those that there are now.
    :param issuers: the keys of their issuers.
    :param seconds: the clock.
    :param lifetime: returns the seconds that a minted token lives.
    """

    publishers: Callable[[], Publishers]
    issuers: Issuers
    mint: Mint
    seconds: Callable[[], float]
    lifetime: Callable[[], int]
    _log = Logger()

    @property
    def audience(self) -> str:
        """The audience that a job is to ask its issuer for.

        :raises NotEnabled: there is no publisher.
        """
        audience = told_audience(self.publishers())
        if audience is None:
            raise NotEnabled("This index has no trusted publishers.")
        return audience

    async def exchange(self, text: str, client: str) -> Minted:
        """Exchange a token.

        The issuer is known before anything is fetched, and the token is taken for used
        last: one that is refused can be shown again when the publisher was put right.

        :param client: the address that it comes from, for the log.
        :raises ExchangeRefused: it is not exchanged.
        :raises IssuerUnavailable: the issuer's keys cannot be had.
        :raises Unavailable: the store is away.
        """
        try:
            return await self._exchange(text, client)
        except ExchangeRefused as e:
            self._log.warn(
                "An identity token from {client} is refused ({code}): {message}"
                "{findings}",
                client=client,
                code=e.code,
                message=e.message,
                findings="".join(f" {finding}." for finding in e.findings),
            )
            raise

    async def _exchange(self, text: str, client: str) -> Minted:
        if not self.publishers():
            raise NotEnabled("This index has no trusted publishers.")
        token = read_token(text)
        self._check_issuer(token)
        keys = await self.issuers.keys(token.issuer, token.key_id)
        keys.verify(token)
        identity = identify(token, self.seconds())
        minted = await self.mint.mint(identity, self._match(identity), self.lifetime())
        self._log.info(
            "A token was minted for {publishers} ({subject}), asked for from {client}.",
            publishers=", ".join(minted.publishers),
            subject=identity.claims.get("sub", "without a subject"),
            client=client,
        )
        return minted

    def _check_issuer(self, token: UnverifiedToken) -> None:
        if all(one.issuer != token.issuer for one in self.publishers().values()):
            raise InvalidPublisher(
                "No trusted publisher of this index has the issuer of this token.",
                [f"Its issuer is said to be {token.issuer[:200]!a}"],
            )

    def _match(self, identity: Identity) -> tuple[str, ...]:
        of_issuer = {
            name: one
            for name, one in self.publishers().items()
            if one.issuer == identity.issuer
        }
        audience = identity.claims["aud"]
        if all(one.audience != audience for one in of_issuer.values()):
            raise InvalidToken(
                "The token is for another audience than this index's, which "
                "/_/oidc/audience tells.",
                explain(of_issuer, identity.claims),
            )
        found = matching(of_issuer, identity.claims)
        if not found:
            raise InvalidPublisher(
                "The token is good, and no trusted publisher of this index is for this "
                f"job ({describe(identity.claims)}). Compare that with what its "
                "administrators have set; the server's log says what differs.",
                explain(of_issuer, identity.claims),
            )
        return found


#: What tells a job from others of its issuer, as far as it has them.
_TELLING = (
    "repository",
    "project_path",
    "organization_slug",
    "pipeline_slug",
    "email",
    "workflow_ref",
    "ci_config_ref_uri",
    "ref",
    "build_branch",
    "environment",
)


def describe(claims: Mapping[str, str]) -> str:
    """Say what a job says of itself; it need not be told what would be right."""
    found = [f"{name} {claims[name][:200]}" for name in _TELLING if name in claims]
    return ", ".join(found) or f"sub {claims.get('sub', 'none')[:200]}"
