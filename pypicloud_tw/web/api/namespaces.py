"""The namespaces of this index, as JSON (PEP 752)."""

from __future__ import annotations

from pypicloud_tw.config.namespaces import Namespaces
from pypicloud_tw.errors import NotFound
from pypicloud_tw.index.model import Document
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.json_documents import compact
from pypicloud_tw.web.answers import measured
from pypicloud_tw.web.http.site import Request


def send_namespaces(request: Request, spaces: Namespaces) -> bytes:
    """List them all."""
    return _send(request, [{"name": name} for name in spaces.names])


def send_namespace(request: Request, spaces: Namespaces, name: NormalizedName) -> bytes:
    """Describe one; its owner is not told, as an ini knows none.

    :raises NotFound: there is no such namespace.
    """
    if name not in spaces.names:
        raise NotFound("There is no such namespace here.")
    document: Document = {
        "name": name,
        "parent": spaces.parent(name),
        "children": spaces.children(name),
    }
    return _send(request, document)


def _send(request: Request, value: object) -> bytes:
    request.setHeader(b"Content-Type", b"application/json")
    request.setHeader(b"Cache-Control", b"no-cache, private")
    return measured(request, compact(value))
