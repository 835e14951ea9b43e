"""One tree of errors; each knows its HTTP status and says what to do about it.

The message is shown to the person at the client, so it is a sentence, names no secret
and repeats nothing the client sent that could carry control characters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from math import ceil
from typing import ClassVar


class PypicloudError(Exception):
    """Something a client or an operator can act on.

    :ivar status: the HTTP status it becomes (RFC 9110, section 15).
    :ivar code: a stable word for programs that read the JSON form.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal-error"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    @property
    def headers(self) -> Mapping[str, str]:
        """Header fields that belong to the answer, by name."""
        return {}


class ConfigError(PypicloudError):
    """The configuration cannot be used; ``problems`` has every reason at once."""

    code = "bad-configuration"

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class BadRequest(PypicloudError):
    """The request is not understood; the message says what would be."""

    status = 400
    code = "bad-request"


class Unauthorized(PypicloudError):
    """Nobody is logged in, or the password is wrong (RFC 9110, section 15.5.2)."""

    status = 401
    code = "unauthorized"

    @property
    def headers(self) -> Mapping[str, str]:
        """The challenge that a 401 must carry."""
        return {"WWW-Authenticate": 'Basic realm="pypicloud", charset="UTF-8"'}


class Forbidden(PypicloudError):
    """Known, and not allowed."""

    status = 403
    code = "forbidden"


class RefusedByRule(Forbidden):
    """Something from upstream that may not be had here now (decision D10).

    :param rule: the name of the rule, as in :class:`.config.exemptions.Rule`.
    :param until: when time lifts it, in seconds since the epoch; None: time does not.
    :param now: likewise.
    :param project: whose it is, and *file* its name, for records.
    """

    code = "refused-by-rule"

    def __init__(
        self,
        message: str,
        rule: str,
        until: float | None = None,
        now: float = 0.0,
        *,
        project: str | None = None,
        file: str | None = None,
    ) -> None:
        super().__init__(message)
        self.rule = rule
        self.until = until
        self.now = now
        self.project = project
        self.file = file

    @property
    def headers(self) -> Mapping[str, str]:
        """The rule, for logs, and when to come again (RFC 9110, section 10.2.3)."""
        if self.until is None:
            return {"X-Pypicloud-Refused": self.rule}
        # Not a moment too early: who comes at the second that is told is let through.
        moment = datetime.fromtimestamp(ceil(self.until), UTC)
        return {
            "X-Pypicloud-Refused": f"{self.rule}; until={moment:%Y-%m-%dT%H:%M:%SZ}",
            "Retry-After": str(max(1, ceil(self.until - self.now))),
        }


class ReadOnly(PypicloudError):
    """Nothing may be changed now (``pypi.read_only``).

    403 rather than 503: after a 503 twine sends the whole file five times within a
    second before it shows why (twine 7.0.0). uv and twine show the sentence of either.

    :param reason: the operator's, a sentence.
    """

    status = 403
    code = "read-only"

    def __init__(self, reason: str) -> None:
        super().__init__(f"Nothing can be changed here now: {reason}")


class NotFound(PypicloudError):
    """It is proved that there is no such thing (decision D5)."""

    status = 404
    code = "not-found"


class NotAcceptable(PypicloudError):
    """No form that the client accepts (PEP 691, version and format selection)."""

    status = 406
    code = "not-acceptable"


class RequestTimeout(PypicloudError):
    """The client stopped sending."""

    status = 408
    code = "request-timeout"


class Conflict(PypicloudError):
    """The name is taken by other bytes."""

    status = 409
    code = "conflict"


class ConditionFailed(PypicloudError):
    """It is not what the client requires it to be (RFC 9110, section 15.5.13)."""

    status = 412
    code = "precondition-failed"


class PayloadTooLarge(PypicloudError):
    """More bytes than ``pypi.max_upload`` allows."""

    status = 413
    code = "payload-too-large"


class UnsupportedMediaType(PypicloudError):
    """The body is of a type that is not read here (RFC 9110, section 15.5.16)."""

    status = 415
    code = "unsupported-media-type"


class RangeNotSatisfiable(PypicloudError):
    """No byte of the range exists (RFC 9110, section 15.5.17).

    :param size: the length of the whole, in bytes.
    """

    status = 416
    code = "range-not-satisfiable"

    def __init__(self, message: str, size: int) -> None:
        super().__init__(message)
        self.size = size

    @property
    def headers(self) -> Mapping[str, str]:
        """The length of the whole, so that the client can ask again."""
        return {"Content-Range": f"bytes */{self.size}"}


class _RetryLater(PypicloudError):
    """An error that ends by itself.

    :param retry_after: seconds after which another try makes sense.
    """

    def __init__(self, message: str, retry_after: int = 5) -> None:
        super().__init__(message)
        self.retry_after = retry_after

    @property
    def headers(self) -> Mapping[str, str]:
        """When to try again (RFC 9110, section 10.2.3)."""
        return {"Retry-After": str(self.retry_after)}


class TooManyRequests(_RetryLater):
    """Too many wrong passwords in a short time."""

    status = 429
    code = "too-many-requests"


class UpstreamError(PypicloudError):
    """The upstream index failed; never a 404, which would send clients elsewhere."""

    status = 502
    code = "upstream-error"


class Unavailable(_RetryLater):
    """The server cannot do it now: the store is away, a queue is full, it stops."""

    status = 503
    code = "unavailable"


class InsufficientStorage(PypicloudError):
    """No room for the file."""

    status = 507
    code = "insufficient-storage"


class StoreError(Unavailable):
    """The store failed or refused; what was asked may or may not have happened."""

    code = "store-unavailable"


class ObjectUnreadable(StoreError):
    """An object that is there and must not be read; this says nothing of the others."""


class ObjectUnfit(StoreError):
    """None of ours can be so long, or have that key; asked again it is the same."""


class ManifestDamaged(StoreError):
    """A project's manifest has to be restored; this says nothing of the others."""


class ManifestLost(StoreError):
    """A project's manifest has been there and is gone; the others are as they were."""


class HistoryDamaged(StoreError):
    """A project's older acts cannot be read from here on; its files can."""


class AccessUnusable(StoreError):
    """The access document is damaged, too new or gone; the projects are as they were.

    It says who may do what, so that only what was known of it before may be used.

    :param where: what is wrong with it, for its operator alone: it may name projects.
    """

    def __init__(self, message: str, where: str = "") -> None:
        super().__init__(message)
        self.where = where

    @property
    def whole(self) -> str:
        """The message, and what is wrong."""
        return f"{self.message} ({self.where})" if self.where else self.message


class AmbiguousWrite(StoreError):
    """A conditional write whose first answer was lost, and whose retry was refused.

    It may have been carried out, or another writer's was: only looking tells.
    """


class ObjectNotFound(PypicloudError):
    """The store is reachable, may be listed, and has no object of that key."""

    status = 404
    code = "not-found"


class PreconditionFailed(PypicloudError):
    """A conditional write lost: the object is not in the state it was read in."""

    status = 409
    code = "conflict"
