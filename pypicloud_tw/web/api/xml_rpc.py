"""XML-RPC, by which ``pip search`` asks: the answer says that it is not here.

A fault, because that is what pip shows to its user; any HTTP error it shows by its
number alone.
"""

from __future__ import annotations

from xmlrpc.client import Fault, dumps  # nothing is parsed by it

from pypicloud_tw.web.http.site import Request

CONTENT_TYPE = b"text/xml; charset=utf-8"

#: "requested method not found", of the specification for fault code interoperability.
_NO_SUCH_METHOD = -32601

_MEDIA_TYPES = frozenset({b"text/xml", b"application/xml"})


def is_call(request: Request) -> bool:
    """Return whether a request is a call, by its Content-Type; an upload is a form."""
    media_type = (request.getHeader(b"Content-Type") or b"").partition(b";")[0]
    return media_type.strip().lower() in _MEDIA_TYPES


def refusal(prefix: str) -> bytes:
    """Write the answer to any call.

    :param prefix: the path under which this server is mounted.
    """
    sentence = (
        "This index has no XML-RPC, and so no pip search. Its projects are listed at "
        f"{prefix}/simple/."
    )
    return dumps(Fault(_NO_SUCH_METHOD, sentence), encoding="utf-8").encode()
