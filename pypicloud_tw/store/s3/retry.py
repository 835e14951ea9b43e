"""When to retry a request to S3, and when to give up."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field

from pypicloud_tw.store.s3.faults import S3Error, S3Fault, S3TooLong, S3Unreachable

#: Answers that the same request may not get again.
RETRYABLE_STATUS = frozenset({429, 500, 502, 503, 504})
RETRYABLE_CODES = frozenset(
    {
        "SlowDown",
        "InternalError",
        "ServiceUnavailable",
        "RequestTimeout",
        "ConditionalRequestConflict",
        "OperationAborted",
        "TemporaryRedirect",
        "BandwidthLimitExceeded",
        "ThrottlingException",
        "TooManyRequests",
    }
)

#: Answers that say for certain that nothing was done.
REFUSALS = frozenset({"SlowDown", "RequestTimeout", "ConditionalRequestConflict"})

#: The first pause is up to this long, in seconds; each next one up to twice that ...
FIRST_PAUSE = 0.1
#: ... but never longer than this; what the server asks for is honoured up to it, too.
LONGEST_PAUSE = 20.0


def is_retryable(fault: S3Fault) -> bool:
    """Return whether another try of the same request makes sense."""
    if isinstance(fault, S3Error):
        return fault.status in RETRYABLE_STATUS or fault.code in RETRYABLE_CODES
    return isinstance(fault, S3Unreachable) and not isinstance(fault, S3TooLong)


@define
class RetryBudget:
    """One budget for all retries of a client (the SDKs' "standard" mode).

    While S3 works, it fills; when S3 is down, it is soon empty, and requests fail at
    once instead of multiplying.
    """

    capacity: float = 100.0
    cost: float = 5.0
    refund: float = 1.0
    _tokens: float = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._tokens = self.capacity

    def spend(self) -> bool:
        """Pay for a retry; False if there is nothing left."""
        if self._tokens < self.cost:
            return False
        self._tokens -= self.cost
        return True

    def succeeded(self, *, retried: bool = False) -> None:
        """Note a request that went well; a retry that did has cost nothing."""
        earned = self.cost if retried else self.refund
        self._tokens = min(self.capacity, self._tokens + earned)


@define
class Tries:
    """The tries of one request.

    :ivar ends: the instant after which no other try begins.
    :ivar unknown: one of them may have been carried out without our hearing of it.
    """

    _budget: RetryBudget
    _random: Callable[[], float]
    _limit: int
    _now: Callable[[], float]
    _ends: float
    count: int = 1
    unknown: bool = False

    def pause(self, fault: S3Fault) -> float | None:
        """Return how long to wait before the next try, in seconds; None to give up.

        Full jitter ("Exponential Backoff And Jitter", AWS Architecture Blog).
        """
        if self.count >= self._limit or not is_retryable(fault):
            return None
        ceiling = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** (self.count - 1))
        pause = self._random() * ceiling
        if isinstance(fault, S3Error) and fault.retry_after is not None:
            pause += min(fault.retry_after, LONGEST_PAUSE)
        if self._now() + pause > self._ends or not self._budget.spend():
            return None
        self.count += 1
        return pause

    def note(self, fault: S3Fault) -> None:
        """Remember whether the request may have been carried out all the same."""
        self.unknown |= fault.unknown
        if isinstance(fault, S3Error):
            self.unknown |= fault.status >= 500 and fault.code not in REFUSALS
