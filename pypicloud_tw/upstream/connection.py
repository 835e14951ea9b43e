"""How connections to an upstream fail, in our words."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NoReturn, TypeVar

from OpenSSL.SSL import Error as SSLError
from service_identity import VerificationError
from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectingCancelledError, DNSLookupError
from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.python.failure import Failure

from pypicloud_tw.outbound.tunnel import ProxyError
from pypicloud_tw.upstream.failures import AskingFailed, Away, Slow

T = TypeVar("T")


def too_slow(host: str) -> Callable[[object, float], NoReturn]:
    """Make what ``addTimeout`` calls; the error says how long was waited."""

    def timed_out(_result: object, seconds: float) -> NoReturn:
        raise Slow(f"{host} did not answer within {seconds:g} s.")

    return timed_out


async def in_our_words(asking: Awaitable[T], host: str) -> T:
    """Wait for an answer, and say what went wrong with the connection."""
    try:
        return await asking
    except AskingFailed:
        raise
    except ConnectTimeout:
        raise Slow(f"{host} cannot be reached: no connection in time.") from None
    except ProxyError as e:
        raise Away(f"{host} cannot be reached: {e}") from None
    except DNSLookupError:
        raise Away(
            f"{host} cannot be reached: it has no address, or only private ones that "
            "the ini does not name with this port (upstream.allow_private_hosts)."
        ) from None
    except Exception as e:
        if _is_cancelled(e):
            raise CancelledError from None
        if _is_tls(e):
            raise Away(
                f"{host} cannot be reached: the TLS handshake failed; its certificate "
                "may not be trusted here, or be another host's."
            ) from None
        # The many ways of connections, TLS and HTTP to fail have no common base.
        raise Away(f"{host} cannot be reached, or broke off ({_names(e)}).") from None


def _is_cancelled(error: Exception) -> bool:
    """Return whether somebody of ours gave up; Twisted dresses that in many ways."""
    if isinstance(error, CancelledError | ConnectingCancelledError):
        return True
    return any(isinstance(reason.value, CancelledError) for reason in _reasons(error))


def _is_tls(error: Exception) -> bool:
    return any(
        isinstance(reason.value, SSLError | VerificationError)
        for reason in _reasons(error)
    )


def _names(error: Exception) -> str:
    """Name an error's kinds: its text may hold anything that was received."""
    names = [type(reason.value).__name__ for reason in _reasons(error)]
    return ", ".join(dict.fromkeys(names)) or type(error).__name__


def _reasons(error: Exception) -> list[Failure]:
    return list(getattr(error, "reasons", None) or [])
