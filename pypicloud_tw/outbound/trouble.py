"""How a connection or an answer failed, in words for a log."""

from __future__ import annotations

from attrs import frozen
from OpenSSL.SSL import Error as SSLError
from service_identity import VerificationError
from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectingCancelledError, DNSLookupError
from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.python.failure import Failure

from pypicloud_tw.outbound.tunnel import ProxyError


@frozen
class Trouble:
    """What went wrong.

    :ivar slow: it was waited for in vain.
    :ivar sentence: what to say of it, without the host that it begins with.
    """

    slow: bool
    sentence: str


def trouble(error: Exception, private_hosts_key: str) -> Trouble:
    """Explain what asking raised.

    :param private_hosts_key: the ini's key for private addresses that may be asked.
    :raises CancelledError: nothing failed: somebody of ours gave up.
    """
    if _is_cancelled(error):
        raise CancelledError from None
    if isinstance(error, ConnectTimeout):
        return Trouble(True, "cannot be reached: no connection in time.")
    return Trouble(False, _sentence(error, private_hosts_key))


def _sentence(error: Exception, private_hosts_key: str) -> str:
    if isinstance(error, ProxyError):
        return f"cannot be reached: {error}"
    if isinstance(error, DNSLookupError):
        return (
            "cannot be reached: it has no address, or only private ones that the ini "
            f"does not name with this port ({private_hosts_key})."
        )
    if _is_tls(error):
        return (
            "cannot be reached: the TLS handshake failed; its certificate may not be "
            "trusted here, or be another host's."
        )
    # The many ways of connections, TLS and HTTP to fail have no common base.
    return f"cannot be reached, or broke off ({_names(error)})."


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
