"""Logging in people by a provider: OpenID Connect Core 1.0, authorization code flow.

With PKCE (RFC 7636): a code that leaks is of no use to anybody else. Nothing is kept
here of a log-in that was begun: its browser brings it along, in a cookie.
"""

from __future__ import annotations

import os
import re
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from hashlib import sha256
from hmac import compare_digest
from typing import Any
from urllib.parse import parse_qsl, quote_plus, urlencode

from attrs import asdict, define, field, frozen
from twisted.logger import Logger

from pypicloud_tw.access.foreign import groups_of, user_of
from pypicloud_tw.access.oidc.compact import UnverifiedToken, read_token
from pypicloud_tw.access.oidc.documents import FetchError
from pypicloud_tw.access.oidc.identity import identify
from pypicloud_tw.access.oidc.issuers import (
    FRESH,
    LONGEST_DISCOVERY,
    RETRY,
    Issuers,
    discovery_url,
    is_address,
    read_discovery,
)
from pypicloud_tw.access.oidc.keys import KeysUnusable
from pypicloud_tw.access.oidc.refusals import ExchangeRefused, IssuerUnavailable
from pypicloud_tw.access.oidc.strict_json import JsonError, read_object
from pypicloud_tw.access.throttle import network
from pypicloud_tw.access.tokens.text import Draw
from pypicloud_tw.concurrency.coalesced import Coalesced
from pypicloud_tw.concurrency.fair_queue import Asker, FairQueue
from pypicloud_tw.config.sections.access import OidcLoginSection
from pypicloud_tw.errors import Forbidden

#: Seconds that somebody may take at the provider.
PATIENCE = 600

#: Bytes of a provider's answer: an identity token has at most 32 KiB, and there are
#: others beside it.
_LONGEST_ANSWER = 256 * 1024

#: Characters of a code: those of the large providers have up to 2,000.
_LONGEST_CODE = 8192

#: Codes that are exchanged at a time, and that wait.
_AT_ONCE, _QUEUE = 8, 64

#: Bytes that are drawn for each of state, nonce and verifier.
_DRAWN = 32

_ERROR = re.compile(r"[a-z_]{1,64}")


@frozen
class BegunLogIn:
    """A log-in that was begun; kept by the browser alone.

    :ivar state: tells that the answer is to this.
    :ivar nonce: tells that the identity token is for this.
    :ivar verifier: proves that who shows the code began this.
    :ivar next: where the browser is to go then.
    :ivar at: when it was begun, in seconds since 1970.
    """

    state: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)
    next: str
    at: int

    @property
    def text(self) -> str:
        """For the browser's cookie."""
        values = urlencode(asdict(self)).encode()
        return urlsafe_b64encode(values).rstrip(b"=").decode()

    @classmethod
    def read(cls, text: bytes) -> BegunLogIn | None:
        """Read it; None: it is none."""
        try:
            data = urlsafe_b64decode(text + b"=" * (-len(text) % 4))
            found = dict(parse_qsl(data.decode(), strict_parsing=True))
            return cls(**{**found, "at": int(found["at"])})  # type: ignore[arg-type]
        except (ValueError, KeyError, TypeError):
            return None


@frozen
class ProviderAnswer:
    """What the browser brings back.

    :ivar issuer: who answers (RFC 9207), if that is told.
    :ivar error: why there is no code.
    """

    state: str = field(repr=False)
    code: str = field(default="", repr=False)
    issuer: str | None = None
    error: str | None = None


@frozen
class ProvidersUser:
    """Who has logged in at the provider.

    :ivar subject: what the provider itself tells users apart by.
    """

    name: str
    groups: frozenset[str]
    issuer: str
    subject: str


@frozen
class _Endpoints:
    """What the discovery document says.

    :ivar posts_secret: the secret goes into the form, and not into a header field.
    :ivar names_itself: answers have ``iss`` in them (RFC 9207).
    """

    authorization: str
    token: str
    posts_secret: bool
    names_itself: bool


@define(eq=False)
class ProviderLogIn:
    """Has people log in at one provider.

    :ivar issuers: fetches its documents, and knows its keys.
    :ivar seconds: the clock.
    """

    settings: OidcLoginSection
    issuers: Issuers
    seconds: Callable[[], float]
    draw: Draw = os.urandom
    _known: _Endpoints | None = field(default=None, init=False)
    _asked: float = field(default=float("-inf"), init=False)
    _asking: Coalesced[None] = field(factory=Coalesced, init=False, repr=False)
    _turns: FairQueue = field(
        factory=lambda: FairQueue(_AT_ONCE, _QUEUE, "log-ins by the provider"),
        init=False,
    )
    _log = Logger()

    @property
    def title(self) -> str:
        """What people call the provider."""
        return self.settings.title

    @property
    def _issuer(self) -> str:
        assert self.settings.issuer is not None, "without one this is not made"
        return self.settings.issuer

    @property
    def _client(self) -> str:
        assert self.settings.client_id is not None, "the configuration has it"
        return self.settings.client_id

    async def begin(self, address: str, next: str) -> tuple[str, BegunLogIn]:
        """Begin a log-in: return where to send the browser, and what it is to keep.

        :param address: where the provider is to send it back.
        :param next: where it is to go then.
        :raises IssuerUnavailable: the provider is away.
        """
        endpoints = await self._endpoints()
        state, nonce, verifier = (self._drawn() for _ in range(3))
        begun = BegunLogIn(state, nonce, verifier, next, int(self.seconds()))
        challenge = _encoded(sha256(verifier.encode()).digest())
        asked = {
            "response_type": "code",
            "client_id": self._client,
            "redirect_uri": address,
            "scope": " ".join(self.settings.scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        separator = "&" if "?" in endpoints.authorization else "?"
        return f"{endpoints.authorization}{separator}{urlencode(asked)}", begun

    def _drawn(self) -> str:
        return _encoded(self.draw(_DRAWN))

    async def finish(
        self,
        begun: BegunLogIn | None,
        answer: ProviderAnswer,
        address: str,
        client: str,
    ) -> ProvidersUser:
        """Find out who has logged in.

        :param begun: what the browser has kept; None: nothing.
        :param address: as it was given to :meth:`begin`.
        :param client: the browser's address.
        :raises Forbidden: the answer cannot be believed, or the provider refuses.
        :raises IssuerUnavailable: the provider is away.
        :raises QueueFullError: too many log in.
        """
        begun = self._check_begun(begun, answer)
        endpoints = await self._endpoints()
        self._check_answer(answer, endpoints)
        asker = Asker(network(client), "")
        await self._turns.enter(asker)
        try:
            text = await self._exchange(endpoints, begun, answer.code, address)
        finally:
            self._turns.leave(asker)
        try:
            return await self._identify(text, begun.nonce)
        except ExchangeRefused as e:
            self._log.warn("The provider of log-ins: {why}", why=e.message)
            raise Forbidden(
                f"What the provider says is not believed: {e.message} Log in again."
            ) from None

    def _check_begun(
        self, begun: BegunLogIn | None, answer: ProviderAnswer
    ) -> BegunLogIn:
        if begun is None or not _equal(begun.state, answer.state):
            raise Forbidden(
                "This log-in was not begun in this browser, or another was since: log "
                "in again."
            )
        if not 0 <= self.seconds() - begun.at <= PATIENCE:
            raise Forbidden("This log-in has taken too long: log in again.")
        return begun

    def _check_answer(self, answer: ProviderAnswer, endpoints: _Endpoints) -> None:
        if answer.issuer is None:
            is_right = not endpoints.names_itself
        else:
            is_right = answer.issuer == self._issuer
        if not is_right:
            raise Forbidden("This answer is of another provider: log in again.")
        if answer.error is not None:
            shown = answer.error if _ERROR.fullmatch(answer.error) else "an error"
            raise Forbidden(f"The provider does not log you in: {shown}.")
        if not 0 < len(answer.code) <= _LONGEST_CODE:
            raise Forbidden("The provider's answer has no code in it: log in again.")

    async def _exchange(
        self, endpoints: _Endpoints, begun: BegunLogIn, code: str, address: str
    ) -> str:
        """Exchange a code for an identity token (RFC 6749, section 4.1.3)."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": address,
            "code_verifier": begun.verifier,
        }
        secret, authorization = self.settings.client_secret, None
        if secret is None or endpoints.posts_secret:
            form["client_id"] = self._client
        if secret is not None:
            if endpoints.posts_secret:
                form["client_secret"] = secret
            else:
                authorization = _basic(self._client, secret)
        fetcher = self.issuers.fetcher(self._issuer)
        try:
            status, data = await fetcher.post(
                endpoints.token, form, authorization, _LONGEST_ANSWER
            )
        except FetchError as e:
            raise IssuerUnavailable(f"The log-in cannot be finished now: {e}") from None
        return self._id_token(status, data)

    def _id_token(self, status: int, data: bytes) -> str:
        try:
            answer = read_object(data)
        except JsonError:
            answer = {}
        text = answer.get("id_token")
        if status == 200 and isinstance(text, str):
            return text
        error = answer.get("error")
        named = error if isinstance(error, str) and _ERROR.fullmatch(error) else ""
        self._log.warn(
            "The provider of log-ins answers a code with {status} {error}.",
            status=status,
            error=named,
        )
        if status >= 500:
            raise IssuerUnavailable("The provider cannot finish the log-in now.")
        raise Forbidden(
            "The provider does not take its own code, as it does not a second time: "
            "log in again. The server's log says more."
        )

    async def _identify(self, text: str, nonce: str) -> ProvidersUser:
        """Say who an identity token is of (OpenID Connect Core, section 3.1.3.7)."""
        token = read_token(text)
        if token.issuer != self._issuer:
            raise ExchangeRefused("The token is of another issuer.")
        keys = await self.issuers.keys(token.issuer, token.key_id)
        keys.verify(token)
        identity = identify(token, self.seconds())
        if identity.claims["aud"] != self._client:
            raise ExchangeRefused("The token is for another audience.")
        if token.claims.get("azp", self._client) != self._client:
            raise ExchangeRefused("The token was issued to somebody else.")
        shown = token.claims.get("nonce")
        if not isinstance(shown, str) or not _equal(shown, nonce):
            raise ExchangeRefused("The token is for another log-in.")
        subject = identity.claims.get("sub")
        if not subject:
            raise ExchangeRefused("The token does not say of whom it is.")
        return ProvidersUser(
            self._name(token), self._groups(token), token.issuer, subject
        )

    def _name(self, token: UnverifiedToken) -> str:
        claim = self.settings.name_claim
        name = token.claims.get(claim)
        if claim == "email" and token.claims.get("email_verified") is not True:
            raise ExchangeRefused("The provider has not verified your address.")
        user = user_of(name, "The provider") if isinstance(name, str) else None
        if user is None:
            raise ExchangeRefused(
                f"The token's {claim} (oidc_login.name_claim) is none that a user here "
                "can have."
            )
        return user

    def _groups(self, token: UnverifiedToken) -> frozenset[str]:
        groups = token.claims.get(self.settings.groups_claim)
        if isinstance(groups, str):
            groups = [groups]
        if not isinstance(groups, list):
            return frozenset()
        return groups_of(name for name in groups if isinstance(name, str))

    async def _endpoints(self) -> _Endpoints:
        since = self.seconds() - self._asked
        is_due = not 0 <= since < (RETRY if self._known is None else FRESH)
        if is_due or "" in self._asking:
            await self._asking.ask("", self._discover)
        if self._known is None:
            raise IssuerUnavailable("The provider of log-ins is away: try again.")
        return self._known

    async def _discover(self) -> None:
        """Ask for the discovery document; what is known stays where that fails."""
        self._asked = self.seconds()
        fetcher = self.issuers.fetcher(self._issuer)
        try:
            data = await fetcher.fetch(discovery_url(self._issuer), LONGEST_DISCOVERY)
            self._known = _read_endpoints(self._issuer, data)
        except (FetchError, KeysUnusable) as e:
            self._log.warn("The provider of log-ins is away: {why}", why=str(e))


def _read_endpoints(issuer: str, data: bytes) -> _Endpoints:
    document = read_discovery(issuer, data)
    authorization = document.get("authorization_endpoint")
    token = document.get("token_endpoint")
    if not is_address(authorization, issuer) or not is_address(token, issuer):
        raise KeysUnusable("Its discovery document has no https addresses to log in.")
    return _Endpoints(
        authorization,
        token,
        _posts_secret(document),
        document.get("authorization_response_iss_parameter_supported") is True,
    )


def _posts_secret(document: Mapping[str, Any]) -> bool:
    ways = document.get("token_endpoint_auth_methods_supported")
    if not isinstance(ways, list) or "client_secret_basic" in ways:
        return False
    return "client_secret_post" in ways


def _basic(client: str, secret: str) -> str:
    """Write them as RFC 6749, section 2.3.1, has it."""
    login = f"{quote_plus(client)}:{quote_plus(secret)}"
    return f"Basic {b64encode(login.encode()).decode()}"


def _encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _equal(one: str, other: str) -> bool:
    return compare_digest(
        one.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass")
    )
