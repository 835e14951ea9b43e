"""AWS credentials: where they come from, and how they are refreshed.

In order: the ini, the ``AWS_*`` environment, botocore's chain (shared files and
profiles, SSO, web identity, ECS and EKS containers, EC2 instance metadata, assumed
roles). What ends is replaced in the background, well before its end, so that a request
waits for credentials only when there are none at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from zope.interface import Interface, implementer

from pypicloud_tw.concurrency.waiters import Waiters
from pypicloud_tw.config.sections.storage import AwsSection
from pypicloud_tw.errors import StoreError
from pypicloud_tw.offload.service import IOffload
from pypicloud_tw.store.s3.sigv4 import AWSCredentials

__all__ = [
    "AWSCredentials",
    "BotocoreChain",
    "CredentialKeeper",
    "FixedCredentials",
    "ICredentialSource",
    "choose_credentials",
]

#: Replace credentials this many seconds before their end (half of what is left, where
#: that is less): botocore's own advisory time.
ADVISORY = 900.0

#: Never ask the chain more often than this, in seconds.
SHORTEST_PAUSE = 10.0

#: After a failure, ask again at most this much later, in seconds.
LONGEST_PAUSE = 60.0


#: A request waits so many seconds for credentials, and no longer: a command that the
#: chain runs (``credential_process``) may hang.
CREDENTIALS_TIMEOUT = 30.0


class ICredentialSource(Interface):
    """Credentials that are good now."""

    def start() -> None:
        """Begin to keep them fresh; harmless if begun."""

    def stop() -> None:
        """Keep them fresh no longer."""

    def current() -> AWSCredentials | None:
        """Return the credentials that are at hand and have not ended."""

    async def get() -> AWSCredentials:
        """Return the credentials, waiting for the first ones if need be.

        :raises StoreError: there are none.
        """

    async def renew(refused: AWSCredentials) -> AWSCredentials:
        """Look for better ones, because the server will not have *refused*.

        They may be the same ones still.

        :raises StoreError: there are none.
        """


@implementer(ICredentialSource)
@define
class FixedCredentials:
    """Credentials that somebody wrote down."""

    _credentials: AWSCredentials

    def start(self) -> None:
        """Nothing to do."""

    def stop(self) -> None:
        """Nothing to do."""

    def current(self) -> AWSCredentials:
        """Return them."""
        return self._credentials

    async def get(self) -> AWSCredentials:
        """Return them."""
        return self._credentials

    async def renew(self, refused: AWSCredentials) -> AWSCredentials:
        """Return them: there are no others."""
        return self._credentials


@implementer(ICredentialSource)
@define(eq=False)
class CredentialKeeper:
    """Credentials that end, and are replaced before they do.

    :ivar _load: asks for new ones; may take seconds.
    :ivar _now: the instant, in seconds since the epoch.
    :ivar _random: uniform in [0, 1); spreads many servers' questions.
    """

    _load: Callable[[], Deferred[AWSCredentials]]
    _clock: IReactorTime
    _now: Callable[[], float]
    _random: Callable[[], float]
    _credentials: AWSCredentials | None = field(init=False, default=None)
    _running: bool = field(init=False, default=False)
    _loading: Deferred[None] | None = field(init=False, default=None)
    _failures: int = field(init=False, default=0)
    _error: str | None = field(init=False, default=None)
    _asked: float = field(init=False, default=float("-inf"))
    _next: IDelayedCall | None = field(init=False, default=None)
    _waiters: Waiters[None] = field(init=False, factory=Waiters)
    _log = Logger()

    def start(self) -> None:
        """Ask for the first credentials now."""
        if not self._running:
            self._running = True
            self._ask()

    def stop(self) -> None:
        """Ask no more; an answer under way is dropped."""
        self._running = False
        if self._next is not None and self._next.active():
            self._next.cancel()
        if self._loading is not None:
            self._loading.cancel()

    def current(self) -> AWSCredentials | None:
        """Return the credentials that are at hand and have not ended."""
        if self._credentials is not None and self._left(self._credentials) > 0:
            return self._credentials
        return None

    async def get(self) -> AWSCredentials:
        """Return the credentials, waiting for the first ones if need be."""
        credentials = self.current()
        if credentials is None:
            await self._answer()
            credentials = self.current()
        if credentials is None:
            raise StoreError(self._nothing_to_sign_with())
        return credentials

    async def renew(self, refused: AWSCredentials) -> AWSCredentials:
        """Look for better ones than *refused*, but not in every moment."""
        asking = self._loading is not None or self._since_asked() >= LONGEST_PAUSE
        if self._credentials == refused and asking:
            await self._answer()
        return await self.get()

    async def _answer(self) -> None:
        """Wait for the answer under way; ask if enough time has passed."""
        if self._loading is None and self._since_asked() >= self._pause():
            self._ask()
        if self._loading is not None:
            await self._waiters.wait_at_most(CREDENTIALS_TIMEOUT, self._clock)

    def _ask(self) -> None:
        self._asked = self._clock.seconds()
        if self._next is not None and self._next.active():
            self._next.cancel()
        self._loading = loading = Deferred.fromCoroutine(self._load_once())
        loading.addBoth(self._done)
        if loading.called:
            self._loading = None

    async def _load_once(self) -> None:
        try:
            fresh = await self._load()
        except Exception as error:
            self._failures += 1
            # The class only: messages of chains name files, accounts and tokens.
            self._error = type(error).__name__
            self._log.warn(
                "AWS credentials could not be refreshed ({error}); {what}.",
                error=self._error,
                what=self._what_is_left(),
            )
        else:
            self._failures = 0
            self._credentials = fresh

    def _done(self, result: object) -> None:
        """Let everybody go on, whatever came of it, and plan the next question."""
        self._loading = None
        if self._running:
            self._plan()
        self._waiters.answer(None)

    def _plan(self) -> None:
        if self._failures:
            pause = self._pause()
        elif self._credentials is None or self._credentials.expires is None:
            return
        else:
            left = self._left(self._credentials)
            # Not earlier than botocore itself: it would refresh nothing yet.
            pause = left - min(ADVISORY, left / 2) * (1 - self._random() / 10)
        self._next = self._clock.callLater(max(pause, SHORTEST_PAUSE), self._ask)

    def _pause(self) -> float:
        if not self._failures:
            return SHORTEST_PAUSE
        return float(min(LONGEST_PAUSE, 2.0**self._failures))

    def _since_asked(self) -> float:
        return self._clock.seconds() - self._asked

    def _left(self, credentials: AWSCredentials) -> float:
        if credentials.expires is None:
            return float("inf")
        return credentials.expires - self._now()

    def _nothing_to_sign_with(self) -> str:
        if self._loading is not None:
            return "No AWS credentials: botocore's chain does not answer."
        if self._error and self._error != LookupError.__name__:
            return (
                f"No AWS credentials: botocore's chain ends in {self._error}. Renew "
                "what they come from (an SSO session, a role, the machine's metadata)."
            )
        return (
            "No AWS credentials: set aws.access_key and aws.secret_key, or "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile or role that "
            "botocore finds."
        )

    def _what_is_left(self) -> str:
        credentials = self.current()
        if credentials is None:
            return "there are no others"
        return f"the present ones last {self._left(credentials):.0f} s"


@define(eq=False)
class BotocoreChain:
    """botocore's chain of sources; :meth:`load` blocks for seconds: use a thread.

    :ivar profile: of the shared files; None is botocore's default.
    :ivar region: whose STS gives out roles, where botocore finds no region itself.
    """

    profile: str | None = None
    region: str | None = None
    # botocore's own object, where it is one that can refresh itself.
    _refreshable: Any = field(init=False, default=None, repr=False)

    def load(self) -> AWSCredentials:
        """Refresh what was found before, or look for credentials.

        Where nothing is due to be refreshed they were refused, so the sources are asked
        anew: botocore would not read a file again that it has read.

        :raises LookupError: nothing in the chain knows any.
        """
        return self._refreshed() or self._looked_up()

    def _refreshed(self) -> AWSCredentials | None:
        kept = self._refreshable
        if kept is None or not kept.refresh_needed():
            return None
        before = _end(kept)
        fresh = _frozen(kept)
        # A refresh that failed before it was urgent raises nothing.
        return None if fresh.expires == before else fresh

    def _looked_up(self) -> AWSCredentials:
        # Imported here: it takes a third of a second, and most indexes have keys in
        # the ini.
        from botocore.credentials import RefreshableCredentials
        from botocore.session import Session

        session = Session(profile=self.profile)
        if session.get_config_variable("region") is None:
            session.set_config_variable("region", self.region)
        found = session.get_credentials()
        if found is None:
            raise LookupError("botocore's chain found no credentials")
        self._refreshable = found if isinstance(found, RefreshableCredentials) else None
        return _frozen(found)


def _frozen(found: Any) -> AWSCredentials:
    frozen = found.get_frozen_credentials()
    return AWSCredentials(
        frozen.access_key,
        frozen.secret_key,
        frozen.token,
        _end(found),
        # "iam-role", "assume-role", "shared-credentials-file", "sso", ...
        f"botocore's chain ({getattr(found, 'method', None) or 'unknown'})",
    )


def _end(found: Any) -> float | None:
    # Public nowhere, and set by every class of botocore whose credentials end.
    ends: datetime | None = getattr(found, "_expiry_time", None)
    return None if ends is None else ends.timestamp()


def written_credentials(
    aws: AwsSection, environ: Mapping[str, str]
) -> AWSCredentials | None:
    """Find the credentials that the ini, or else the environment, spells out."""
    if aws.access_key and aws.secret_key:
        return AWSCredentials(
            aws.access_key, aws.secret_key, aws.session_token, origin="the ini"
        )
    access_key = environ.get("AWS_ACCESS_KEY_ID")
    secret_key = environ.get("AWS_SECRET_ACCESS_KEY")
    if access_key and secret_key:
        token = environ.get("AWS_SESSION_TOKEN") or environ.get("AWS_SECURITY_TOKEN")
        return AWSCredentials(
            access_key, secret_key, token or None, origin="the environment (AWS_*)"
        )
    return None


def choose_credentials(
    aws: AwsSection,
    environ: Mapping[str, str],
    offload: IOffload,
    clock: IReactorTime,
    now: Callable[[], float],
    random: Callable[[], float],
    region: str,
) -> ICredentialSource:
    """Take the first source that has something to say.

    :param region: the bucket's, as far as it is known.
    """
    written = written_credentials(aws, environ)
    if written is not None:
        return FixedCredentials(written)
    chain = BotocoreChain(environ.get("AWS_PROFILE") or None, region)
    return CredentialKeeper(
        lambda: offload.in_thread(chain.load),
        clock,
        now,
        random,
    )
