"""The errors for an upstream's statuses other than success."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Protocol

from pypicloud_tw.errors import NotFound
from pypicloud_tw.upstream.failures import Busy, Failing, Refused

#: Always mean absence (RFC 9110, sections 15.5.5 and 15.5.11).
ABSENT = frozenset({404, 410})

#: Seconds that an upstream is left alone that asks us to wait and does not say how
#: long.
_UNTOLD_WAIT = 5.0


class Explain(Protocol):
    """What :func:`explain` is, for other servers than upstreams too."""

    def __call__(
        self,
        code: int,
        host: str,
        wait: float | None,
        /,
        *,
        absent: Collection[int],
        page: bool,
        logged_in: bool,
    ) -> Exception:
        """Return the error to raise."""


def explain(
    code: int,
    host: str,
    wait: float | None,
    *,
    absent: Collection[int] = ABSENT,
    page: bool,
    logged_in: bool,
) -> Exception:
    """Return the error to raise.

    :param wait: see :func:`retry_after`.
    :param absent: what means here that there is no such page.
    :param page: a page was asked for, not a file.
    :param logged_in: credentials were sent.
    """
    if code in absent:
        return NotFound(f"The upstream index at {host} has no such thing.")
    if code == 429 or (code == 503 and wait is not None):
        return Busy(f"{host} asks for patience ({code}).", wait or _UNTOLD_WAIT)
    if code >= 500:
        return Failing(f"{host} answered with status {code}.")
    return Refused(f"{host} {_refusal(code, page, logged_in)}.")


def _refusal(code: int, page: bool, logged_in: bool) -> str:
    if code == 407:
        return (
            "is asked through a proxy that wants credentials (status 407); give them "
            "in http_proxy or https_proxy, http://user:password@host:port"
        )
    if code not in (401, 403):
        return f"answered with status {code}"
    said = f"refuses us (status {code})"
    if logged_in:
        return f"{said}; the credentials in pypi.fallback_url may be wrong"
    if code == 401:
        return f"{said}; it wants credentials, which pypi.fallback_url has not"
    if page:
        return (
            f"{said}; if that is its answer for what it does not have, say so: "
            f"upstream.absent_statuses = 404, {code}"
        )
    return said


def retry_after(value: str | None, now: float) -> float | None:
    """Read Retry-After (RFC 9110, section 10.2.3), in seconds from now."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value.strip()[:9])
    moment = told_date(value)
    if moment is None:
        return None
    return max(0.0, (moment - datetime.fromtimestamp(now, UTC)).total_seconds())


def told_date(value: str | None) -> datetime | None:
    """Read a date that another server told (RFC 9110, section 5.6.7), however loosely.

    It is in UTC, as is one without a zone; None: it is none.
    """
    if value is None:
        return None
    try:
        moment = parsedate_to_datetime(value)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
