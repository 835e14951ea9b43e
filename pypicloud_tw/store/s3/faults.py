"""What can go wrong between the store and S3, in S3's own terms."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from attrs import frozen

#: S3's messages are cut to this many characters: a proxy may answer with a page.
MAX_MESSAGE = 300


@frozen
class ErrorDocument:
    """The fields of an ``<Error>``, each empty if missing."""

    code: str = ""
    message: str = ""
    request_id: str = ""
    region: str = ""


class S3Fault(Exception):
    """A request that did not succeed.

    :ivar unknown: an earlier try of the same request may have been carried out, its
        answer was lost; so the fault says nothing about the state before the request.
    :ivar operation: of :class:`~pypicloud_tw.store.s3.client.S3Client`.
    """

    unknown: bool = False
    operation: str = ""


class S3Unreachable(S3Fault):
    """There was no answer, or none that makes sense."""


class S3TooLong(S3Unreachable):
    """The response is longer than we read; another try would bring no less."""


class S3Error(S3Fault):
    """S3 answered with an error ("Error Responses", Amazon S3 API reference).

    :ivar code: S3's word for it; empty if the answer bore none.
    :ivar status: the HTTP status.
    :ivar request_id: what S3's support asks for; may be empty.
    :ivar region: where S3 says the bucket is, or None.
    :ivar retry_after: seconds that S3 asks us to wait, or None.
    :ivar date: S3's clock, or None.
    """

    #: Codes for "whose credentials are these?"; fresh ones may help.
    STALE_CREDENTIALS: ClassVar[frozenset[str]] = frozenset(
        {"ExpiredToken", "InvalidAccessKeyId", "InvalidToken", "TokenRefreshRequired"}
    )

    def __init__(
        self,
        code: str,
        status: int,
        message: str = "",
        request_id: str = "",
        region: str | None = None,
        retry_after: float | None = None,
        date: datetime | None = None,
    ) -> None:
        self.code = _printable(code)[:64]
        self.status = status
        self.message = _printable(message)
        self.request_id = _printable(request_id)
        self.region = region
        self.retry_after = retry_after
        self.date = date
        super().__init__(self.code, status, self.message, self.request_id)

    @classmethod
    def of(
        cls,
        document: ErrorDocument,
        status: int,
        *,
        request_id: str = "",
        region: str | None = None,
        retry_after: float | None = None,
        date: datetime | None = None,
    ) -> S3Error:
        """Make one of an answer: its body first, its header fields where that lacks."""
        return cls(
            document.code,
            status,
            document.message,
            document.request_id or request_id,
            document.region or region,
            retry_after,
            date,
        )

    @property
    def is_nameless(self) -> bool:
        """A refusal that does not tell why: the answer to HEAD has no body."""
        return not self.code and self.status in (400, 403)

    def __str__(self) -> str:
        text = f"{self.code or 'HTTP'} ({self.status})"
        if self.message:
            text += f": {self.message}"
        if self.request_id:
            text += f" [request {self.request_id}]"
        return text


def _printable(text: str) -> str:
    """Cut *text* and replace what could play tricks in a log."""
    return "".join(c if c.isprintable() else "?" for c in text[:MAX_MESSAGE])
