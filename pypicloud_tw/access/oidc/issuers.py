"""The issuers' keys: found by discovery, kept, and asked for again in time.

OpenID Connect Discovery 1.0: ``ISSUER/.well-known/openid-configuration`` names the
address of its keys.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeGuard
from urllib.parse import urlsplit

from attrs import define, field

from pypicloud_tw.access.oidc.documents import FetchError
from pypicloud_tw.access.oidc.keys import LONGEST_SET, KeySet, KeysUnusable, read_keys
from pypicloud_tw.access.oidc.refusals import IssuerUnavailable
from pypicloud_tw.access.oidc.strict_json import JsonError, read_object
from pypicloud_tw.concurrency.cache import Cache
from pypicloud_tw.concurrency.coalesced import Coalesced
from pypicloud_tw.concurrency.outages import Outages
from pypicloud_tw.outbound.origins import origin_of

#: Seconds after which keys are asked for again: so long one that was withdrawn is
#: believed.
FRESH = 3600.0
#: Seconds for which keys are believed while their issuer is away.
KEPT = 86_400.0
#: Seconds from one question to the next where keys are known: a token that names one
#: that is not can be made by anybody.
EVERY = 60.0
#: Seconds from one question to the next where none are known.
RETRY = 5.0

#: Bytes of a discovery document: those of the large ones have 1 to 3 kB.
LONGEST_DISCOVERY = 64 * 1024
#: Issuers whose keys are kept.
_KEPT_ISSUERS = 1000


class Fetcher(Protocol):
    """Fetches documents."""

    async def fetch(self, url: str, limit: int) -> bytes:
        """Return a document; see :class:`.documents.Documents`."""

    async def post(
        self,
        url: str,
        form: Mapping[str, str],
        authorization: str | None,
        limit: int,
    ) -> tuple[int, bytes]:
        """Send a form; see :class:`.documents.Documents`."""


@define
class _Known:
    """What is known of one issuer.

    :ivar keys: the last that were had.
    :ivar had: when.
    :ivar asked: when it last answered, or failed to.
    :ivar trouble: why that failed, if it did.
    """

    keys: KeySet | None = None
    had: float = 0.0
    asked: float = float("-inf")
    trouble: str = ""

    def is_asked_again(self, key_id: str | None, now: float) -> bool:
        """Return whether to ask, now that a token names this key."""
        # A clock that was set back must not have us wait.
        waited = not 0 <= now - self.asked < (RETRY if self.keys is None else EVERY)
        if self.keys is None or not self.keys.has(key_id):
            return waited
        return waited and not 0 <= now - self.had < FRESH

    def usable(self, now: float) -> KeySet | None:
        """Return its keys, if they are not too old to be believed."""
        return self.keys if 0 <= now - self.had < KEPT else None


@define(eq=False)
class Issuers:
    """The keys of issuers.

    :ivar fetcher: returns what an issuer's documents are fetched by.
    :param seconds: the clock.
    """

    fetcher: Callable[[str], Fetcher]
    seconds: Callable[[], float]
    _known: Cache[str, _Known] = field(
        factory=lambda: Cache(_KEPT_ISSUERS), init=False, repr=False
    )
    _asking: Coalesced[None] = field(factory=Coalesced, init=False, repr=False)
    _outages: Outages = field(init=False, repr=False)

    @_outages.default
    def _make_outages(self) -> Outages:
        return Outages("The issuer", self.seconds)

    def reload(self, fetcher: Callable[[str], Fetcher]) -> None:
        """Have documents fetched in another way from now on; known keys stay."""
        self.fetcher = fetcher

    async def keys(self, issuer: str, key_id: str | None) -> KeySet:
        """Return an issuer's keys.

        :param issuer: one that a publisher names; others are never asked.
        :param key_id: the key that is looked for. They may be without it.
        :raises IssuerUnavailable: they cannot be had, or are too old.
        """
        known = self._known.get_or_put(issuer, _Known)
        if known.is_asked_again(key_id, self.seconds()):
            await self._asking.ask(issuer, lambda: self._ask(issuer, known))
        keys = known.usable(self.seconds())
        if keys is None:
            raise IssuerUnavailable(
                f"The keys of {issuer} cannot be had now: {known.trouble} Try again."
            )
        return keys

    async def _ask(self, issuer: str, known: _Known) -> None:
        try:
            keys = await self._fetch(issuer)
        except (FetchError, KeysUnusable) as e:
            known.asked, known.trouble = self.seconds(), str(e)
            self._outages.failed(issuer, str(e))
            return
        self._outages.succeeded(issuer)
        known.keys, known.trouble = keys, ""
        known.asked = known.had = self.seconds()

    async def _fetch(self, issuer: str) -> KeySet:
        fetcher = self.fetcher(issuer)
        data = await fetcher.fetch(discovery_url(issuer), LONGEST_DISCOVERY)
        return read_keys(await fetcher.fetch(_keys_url(issuer, data), LONGEST_SET))


def discovery_url(issuer: str) -> str:
    """Return where an issuer's discovery document is."""
    return f"{issuer.rstrip('/')}/.well-known/openid-configuration"


def read_discovery(issuer: str, discovery: bytes) -> dict[str, Any]:
    """Read an issuer's discovery document.

    :raises KeysUnusable: it is none, or another's.
    """
    try:
        document = read_object(discovery)
    except JsonError as e:
        raise KeysUnusable(f"Its discovery document {e}.") from None
    if document.get("issuer") != issuer:
        # Section 4.3: they must be the same, or another's keys would be taken.
        raise KeysUnusable("Its discovery document is of another issuer.")
    return document


def _keys_url(issuer: str, discovery: bytes) -> str:
    """Find where an issuer's keys are."""
    url = read_discovery(issuer, discovery).get("jwks_uri")
    if not is_address(url, issuer):
        raise KeysUnusable("Its discovery document has no https address for its keys.")
    return url


def is_address(url: object, issuer: str) -> TypeGuard[str]:
    """Return whether an issuer's document names an address that may be asked."""
    if not isinstance(url, str) or not url.isascii() or not url.isprintable():
        return False
    try:
        parts, origin = urlsplit(url), origin_of(url)
    except ValueError:
        return False
    if "@" in parts.netloc or "\\" in url or " " in url:
        return False
    # One that is asked by http is on this machine, and so are its keys.
    return parts.scheme == "https" or origin == origin_of(issuer)
