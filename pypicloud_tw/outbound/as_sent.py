"""What lies between treq's client and Twisted's agent."""

from __future__ import annotations

from attrs import define
from twisted.internet.defer import Deferred
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IResponse
from zope.interface import implementer

#: Where a response says in what coding its body was sent.
CODING = b"x-sent-coding"


@implementer(IAgent)
@define
class AsSent:
    """Leaves bodies in the coding that they were sent in.

    treq's client asks for gzip whatever it is told, and unpacks it in the reactor's
    thread with no bound on what comes out.
    """

    agent: IAgent

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        """See :class:`~twisted.web.iweb.IAgent`."""
        headers = Headers() if headers is None else headers.copy()
        # The first value is ours, the second treq's.
        wanted = headers.getRawHeaders(b"accept-encoding", [b"identity"])[:1]
        headers.setRawHeaders(b"accept-encoding", wanted)
        asked = self.agent.request(method, uri, headers, bodyProducer)
        return asked.addCallback(_hide_coding)


def _hide_coding(response: IResponse) -> IResponse:
    values = response.headers.getRawHeaders(b"content-encoding", [])
    response.headers.removeHeader(b"content-encoding")
    response.headers.setRawHeaders(CODING, values)
    return response
