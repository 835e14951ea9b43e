"""Sending one request and receiving the head of its response, with timeouts.

The Agent is used as it is rather than through ``treq.client.HTTPClient``, which would
decode ``Content-Encoding: gzip`` (what is stored must arrive as it is), follow
redirects (S3's need a new signature), keep cookies, and take every URL apart and
together again (what is sent must be what was signed, ``//`` and ``%2F`` included).
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen
from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet.defer import CancelledError
from twisted.internet.error import (
    ConnectError,
    ConnectingCancelledError,
    DNSLookupError,
)
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent

from pypicloud_tw.concurrency.deadline import Deadline
from pypicloud_tw.outbound.sending import BodyProducer, RepeatableBody
from pypicloud_tw.store.s3.faults import S3Unreachable
from pypicloud_tw.store.s3.response import S3Response
from pypicloud_tw.store.s3.timeouts import Timeouts

#: TLS broke, or the certificate is somebody else's.
_TLS_ERRORS = (SSL.Error, VerificationError)


@frozen
class S3Sender:
    """Sends requests, one try each."""

    agent: IAgent
    clock: IReactorTime
    timeouts: Timeouts = field(factory=Timeouts)

    async def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: RepeatableBody | None,
    ) -> S3Response:
        """Send one request and wait for the head of its answer.

        :raises S3Unreachable: there was none; ``unknown`` is set if the request may
            have arrived.
        """
        times = self.timeouts
        deadline = Deadline(self.clock, lambda: asking.cancel())
        producer = None
        if body is not None:
            producer = BodyProducer(
                body, lambda: deadline.set(max(times.silence, times.first_byte))
            )
        raw = Headers({name.encode(): [v.encode()] for name, v in headers.items()})
        asking = self.agent.request(method.encode(), url.encode(), raw, producer)
        deadline.set(times.connect + times.first_byte)
        try:
            answer = S3Response(await asking, self.clock, times)
        except Exception as error:
            if _was_cancelled(error) and not deadline.passed:
                raise CancelledError from None
            raise _unreachable(error, deadline.passed) from None
        finally:
            deadline.cancel()
        if producer is not None:
            producer.cease()
        return answer


def _causes(error: Exception) -> list[BaseException]:
    # The Agent wraps what ended a connection, cancellation included.
    reasons: list[Failure] = getattr(error, "reasons", [])
    inner = [reason.value for reason in reasons if reason.value is not None]
    return [error, *inner]


def _was_cancelled(error: Exception) -> bool:
    cancelled = CancelledError, ConnectingCancelledError
    return any(isinstance(cause, cancelled) for cause in _causes(error))


def _unreachable(error: Exception, silent: bool) -> S3Unreachable:
    """Say what happened, without the address: it may bear a signature."""
    tls = [repr(cause) for cause in _causes(error) if isinstance(cause, _TLS_ERRORS)]
    if silent:
        text = "S3 did not answer in time."
    elif isinstance(error, DNSLookupError):
        text = "The name of the S3 endpoint is not known."
    elif isinstance(error, ConnectError):
        text = f"S3 cannot be connected to ({error})"
    elif tls:
        text = f"TLS with S3 failed: {tls[0]}."
        if "certificate" in tls[0]:
            text += " A certificate by an authority of your own needs aws.ca_file."
    else:
        names = ", ".join(type(cause).__name__ for cause in _causes(error))
        text = f"S3 did not answer ({names})."
    fault = S3Unreachable(text)
    # TLS may fail after the request was read, too.
    fault.unknown = not isinstance(error, (ConnectError, DNSLookupError))
    return fault
