"""Requests to S3: signed, sent and retried; region and clock skew are corrected."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from attrs import define, field, frozen
from twisted.internet.task import deferLater
from twisted.logger import Logger

from pypicloud_tw.outbound.sending import RepeatableBody
from pypicloud_tw.store.s3.credentials import ICredentialSource
from pypicloud_tw.store.s3.endpoint import Endpoint, is_region
from pypicloud_tw.store.s3.faults import S3Error, S3Fault, S3Unreachable
from pypicloud_tw.store.s3.response import S3Response
from pypicloud_tw.store.s3.retry import RetryBudget, Tries
from pypicloud_tw.store.s3.sender import S3Sender
from pypicloud_tw.store.s3.sigv4 import (
    EMPTY_SHA256,
    UNSIGNED_PAYLOAD,
    AWSCredentials,
    Identity,
    SigningKeys,
    canonical_query,
    sign_headers,
)
from pypicloud_tw.store.s3.xml import parse_error

#: An error's document, or a short answer, is at most this long, in bytes. Those of AWS
#: are below 2 kB, the HTML of proxies before others below 10: a factor of 25.
MAX_DOCUMENT = 256 * 1024

#: A page of a listing: 1,000 keys of 1,024 bytes, each encoded as three, and 500 bytes
#: around each are 3.6 MB, which is the most there can be: a factor of 2.
MAX_LISTING = 8 * 2**20

#: Tries of one request, the first included.
MAX_TRIES = 5

#: No try begins later than this many seconds after the first ...
RETRY_WINDOW = 60.0
#: ... and as many more as the body takes over the slowest connection that is
#: supported, in bytes per second.
SLOWEST = 50_000

#: A clock that is off by more seconds may be why S3 refuses; it tolerates 900.
SKEW = 600.0

#: What is said of a clock, and of a region, that had to be put right.
CLOCK_OFF = "This machine's clock is off by {seconds:.0f} s; S3's is used instead."
MOVED = "The bucket is in region {region}, not {old}: set aws.region = {region}."

#: Seconds between two looks at how far S3's clock is ahead.
COMPARE_EVERY = 60.0

#: Told every operation, its result and its duration in seconds.
Observe = Callable[[str, str, float], None]


def _nobody(operation: str, result: str, seconds: float) -> None:
    """Observe nothing."""


@frozen
class Call:
    """A request before it is signed.

    :ivar operation: what the metrics call it.
    :ivar key: the object's, or None for the bucket.
    :ivar good: the statuses that are no error.
    :ivar limit: read the answer's body within each try, up to so many bytes; None
        leaves it to the caller.
    :ivar judge: looks at the body of a good answer; may raise S3Error.
    """

    operation: str
    method: str
    key: str | None = None
    query: Sequence[tuple[str, str]] = ()
    headers: Mapping[str, str] = field(factory=dict)
    body: RepeatableBody | None = None
    good: frozenset[int] = frozenset({200, 204, 206})
    limit: int | None = MAX_DOCUMENT
    judge: Callable[[bytes], None] | None = None


@frozen
class S3Reply:
    """An answer, and its body if it was read."""

    answer: S3Response
    data: bytes = field(default=b"", repr=False)


@define(eq=False)
class S3Requester:
    """Makes requests of one bucket.

    :ivar endpoint: changes once S3 has told where the bucket really is.
    :ivar now: the instant, in seconds since the epoch.
    :ivar random: uniform in [0, 1).
    :ivar offset: seconds that S3's clock is ahead of *now*, as far as we know.
    :ivar skew: the same as it was seen last, to the second, for who watches.
    """

    wire: S3Sender
    endpoint: Endpoint
    credentials: ICredentialSource
    now: Callable[[], float]
    random: Callable[[], float]
    observe: Observe = _nobody
    user_agent: str = "pypicloud-tw"
    budget: RetryBudget = field(factory=RetryBudget)
    _keys: SigningKeys = field(factory=SigningKeys, init=False)
    offset: float = field(default=0.0, init=False)
    skew: float = field(default=0.0, init=False)
    _compared: float = field(default=-COMPARE_EVERY, init=False)
    _log = Logger()

    def instant(self) -> float:
        """Return the instant by S3's clock, as far as we know it."""
        return self.now() + self.offset

    def identity(self, credentials: AWSCredentials) -> Identity:
        """Return whose signature counts here and now."""
        return Identity(credentials, self.endpoint.region, self._keys)

    async def perform(self, call: Call) -> S3Reply:
        """Make a request until it succeeds, or there is no point in going on.

        :raises S3Error: S3 refused.
        :raises S3Unreachable: S3 did not answer, or nothing that makes sense.
        :raises StoreError: there are no credentials.
        """
        began = self.wire.clock.seconds()
        result = "failed"
        try:
            reply = await self._insist(call)
            result = "ok"
        except S3Error as error:
            # It becomes a label, so not whatever the other side sends.
            result = error.code if error.code.isalpha() else str(error.status)
            raise
        except S3Unreachable:
            result = "unreachable"
            raise
        finally:
            self.observe(call.operation, result, self.wire.clock.seconds() - began)
        return reply

    async def _insist(self, call: Call) -> S3Reply:
        seconds = self.wire.clock.seconds
        length = 0 if call.body is None else call.body.length
        ends = seconds() + RETRY_WINDOW + length / SLOWEST
        tries = Tries(self.budget, self.random, MAX_TRIES, seconds, ends)
        mended: set[str] = set()
        while True:
            credentials = await self.credentials.get()
            region = self.endpoint.region
            try:
                reply = await self._try(call, credentials)
            except S3Fault as error:
                fault = error
            else:
                self.budget.succeeded(retried=tries.count > 1)
                return reply
            tries.note(fault)
            if isinstance(fault, S3Error) and await self._mend(
                fault, credentials, region, mended
            ):
                continue
            pause = tries.pause(fault)
            if pause is None:
                fault.unknown = tries.unknown
                fault.operation = call.operation
                raise fault
            await deferLater(self.wire.clock, pause)

    async def _try(self, call: Call, credentials: AWSCredentials) -> S3Reply:
        url, headers = self._sign(call, credentials)
        answer = await self.wire.send(call.method, url, headers, call.body)
        self._compare_clocks(answer)
        if answer.status not in call.good:
            raise await _error(answer)
        if call.limit is None:
            return S3Reply(answer)
        try:
            data = await answer.read(call.limit)
            if call.judge is not None:
                call.judge(data)
        except S3Fault as fault:
            # S3 had already said that it was done.
            fault.unknown = True
            raise
        return S3Reply(answer, data)

    def _compare_clocks(self, answer: S3Response) -> None:
        # To read a date takes as long as all the rest of a head.
        if self.wire.clock.seconds() - self._compared >= COMPARE_EVERY:
            self._compared = self.wire.clock.seconds()
            self.skew = round(answer.date.timestamp() - self.now(), 1)

    def _sign(
        self, call: Call, credentials: AWSCredentials
    ) -> tuple[str, dict[str, str]]:
        path = self.endpoint.path(call.key)
        query = canonical_query(call.query)
        signed = sign_headers(
            self.identity(credentials),
            self.instant(),
            call.method,
            path,
            query,
            {"host": self.endpoint.host, **call.headers},
            self._payload(call.body),
        )
        signed["user-agent"] = self.user_agent
        # A proxy on the way must not compress what is stored.
        signed["accept-encoding"] = "identity"
        return f"{self.endpoint.origin}{path}{'?' if query else ''}{query}", signed

    def _payload(self, body: RepeatableBody | None) -> str:
        if body is None:
            return EMPTY_SHA256
        if self.endpoint.secure:
            return UNSIGNED_PAYLOAD
        digest = body.sha256
        if digest is None:
            raise ValueError("Without TLS the digest of a body must be known.")
        return digest.hex()

    async def _mend(
        self, error: S3Error, used: AWSCredentials, asked: str, mended: set[str]
    ) -> bool:
        """Put right what made S3 refuse; True if the same request may now succeed.

        :param used: the credentials that signed it, for the region *asked*. Another
            request may have put them right meanwhile.
        """
        return (
            self._mend_region(error, asked, mended)
            or self._mend_clock(error, mended)
            or await self._mend_credentials(error, used, mended)
        )

    async def _mend_credentials(
        self, error: S3Error, used: AWSCredentials, mended: set[str]
    ) -> bool:
        stale = error.is_nameless or error.code in S3Error.STALE_CREDENTIALS
        if not stale or "credentials" in mended:
            return False
        mended.add("credentials")
        return bool(await self.credentials.renew(used) != used)

    def _mend_clock(self, error: S3Error, mended: set[str]) -> bool:
        if error.date is None or "clock" in mended:
            return False
        off = abs(error.date.timestamp() - self.instant())
        if not (
            error.code == "RequestTimeTooSkewed" or (error.is_nameless and off > SKEW)
        ):
            return False
        mended.add("clock")
        self.offset = error.date.timestamp() - self.now()
        self._log.warn(CLOCK_OFF, seconds=self.offset)
        return True

    def _mend_region(self, error: S3Error, asked: str, mended: set[str]) -> bool:
        region = error.region
        if region is None or region == asked or "region" in mended:
            return False
        if error.status not in (301, 307, 400) or not is_region(region):
            return False
        mended.add("region")
        if region != self.endpoint.region:
            self.endpoint = self.endpoint.moved(region)
            self._log.info(MOVED, region=region, old=asked)
        return True


async def _error(answer: S3Response) -> S3Error:
    """Make an error of an answer that is one."""
    try:
        data = await answer.read(MAX_DOCUMENT)
    except S3Unreachable:
        data = b""
    seconds = answer.header("retry-after") or ""
    return S3Error.of(
        parse_error(data),
        answer.status,
        request_id=answer.header("x-amz-request-id") or "",
        region=answer.header("x-amz-bucket-region"),
        # Its other form, a date, is used by nobody here.
        retry_after=float(seconds) if seconds.isascii() and seconds.isdigit() else None,
        date=answer.date,
    )
