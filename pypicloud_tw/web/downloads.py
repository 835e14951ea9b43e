"""Hands out files, and notes who was handed which."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

from attrs import frozen

from pypicloud_tw.access.audit.record import Download
from pypicloud_tw.access.principal import Principal
from pypicloud_tw.errors import BadRequest
from pypicloud_tw.index.layout import METADATA_SUFFIX
from pypicloud_tw.index.model import File
from pypicloud_tw.index.names import Filename, NormalizedName
from pypicloud_tw.store.interfaces import IObjectStore
from pypicloud_tw.web.authorization import actor_of, is_private
from pypicloud_tw.web.files import (
    Blob,
    redirect_block,
    redirect_to_store,
    send_blob,
)
from pypicloud_tw.web.http.fields import joined
from pypicloud_tw.web.http.site import Request

#: Takes each download; must neither fail nor block.
Downloads = Callable[[Download], None]


class Count(Protocol):
    """Counts files that are handed out; must neither fail nor block."""

    def __call__(self, project: str, filename: str, agent: bytes | None) -> None:
        """Count a file of a project.

        :param agent: the client's User-Agent.
        """


_HANDED_OUT = frozenset({200, 206, 302})

#: Characters of a Range field that are kept.
_MAX_RANGE = 100

#: Of bytes (RFC 9110, section 14.1.2). What else stands there may hold secrets, which
#: nobody would find once it is cut.
_RANGE = re.compile(rb"bytes=[0-9, \t-]*")


@frozen
class FileSender:
    """Sends files, or the way to them in the store.

    :ivar downloads: takes each file that was handed out; None: nothing does.
    :ivar count: counts each file that was handed out; None: nothing does.
    """

    store: IObjectStore
    downloads: Downloads | None
    count: Count | None = None

    def known_redirect(
        self, project: NormalizedName, file: File, agent: bytes | None, now: float
    ) -> bytes | None:
        """Hand a file out by a redirect to the store, where nothing else is noted.

        :returns: the header fields of the 302; None: it takes :meth:`send`.
        """
        if self.downloads is not None:
            return None
        block = redirect_block(self.store, file.key, file.filename, now)
        if block is not None and self.count is not None:
            self.count(project, file.filename, agent)
        return block

    async def send(
        self,
        request: Request,
        blob: Blob,
        project: NormalizedName,
        principal: Principal,
    ) -> None:
        """Send a file to whoever may read it."""
        sent = False
        try:
            if not redirect_to_store(request, blob, self.store):
                await send_blob(request, blob, private=is_private(principal))
            sent = True
        finally:
            if self.downloads is not None and (sent or request.startedWriting):
                download = download_of(request, blob, project, principal)
                if download is not None:
                    self.downloads(download)
            if self.count is not None and sent and _is_counted(request, blob):
                agent = request.getHeader(b"User-Agent")
                self.count(project, blob.filename, agent)


def _is_counted(request: Request, blob: Blob) -> bool:
    """Return whether a file was handed out; of its parts, the first counts."""
    if request.method != b"GET" or request.code not in _HANDED_OUT:
        return False
    if blob.filename.endswith(METADATA_SUFFIX):
        return False
    if request.code != 206:
        return True
    return (joined(request, b"Range") or b"").replace(b" ", b"").startswith(b"bytes=0-")


def download_of(
    request: Request, blob: Blob, project: NormalizedName, principal: Principal
) -> Download | None:
    """Tell what a request was handed; None if that is no file, or nothing.

    To be called when the answer is complete, or as much of it as there will be.
    """
    if request.method != b"GET" or request.code not in _HANDED_OUT:
        return None
    if blob.filename.endswith(METADATA_SUFFIX):
        return None
    asked = joined(request, b"Range")
    return Download(
        actor_of(request, principal),
        project,
        _version(blob.filename, project),
        blob.filename,
        blob.sha256,
        "redirect" if request.code == 302 else blob.how,
        request.code,
        request.sentLength,
        _kept_range(asked) if asked is not None else None,
    )


def _kept_range(asked: bytes) -> str | None:
    if _RANGE.fullmatch(asked) is None:
        return None
    return asked[:_MAX_RANGE].decode("ascii")


def _version(filename: str, project: NormalizedName) -> str | None:
    try:
        parsed = Filename.parse(filename, legacy=True, project=project)
    except BadRequest:
        return None  # of an upstream that takes such
    return str(parsed.version)
