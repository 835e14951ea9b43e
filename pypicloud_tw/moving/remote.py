"""Takes packages into an index through its server, as twine would upload them."""

from __future__ import annotations

from collections.abc import Mapping
from secrets import token_hex

from attrs import define, field, frozen

from pypicloud_tw.client.api import ApiClient
from pypicloud_tw.errors import NotFound
from pypicloud_tw.index.imported import Imported
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.moving.destination import Parcel, Taken, copy
from pypicloud_tw.moving.source import Body
from pypicloud_tw.offload.service import IOffload
from pypicloud_tw.outbound.sending import BodyProducer
from pypicloud_tw.projects.interface import ProjectAdministration
from pypicloud_tw.store.spool import Spool

#: Seconds that a server has for what comes behind the last byte of an upload: it looks
#: into the archive, and stores it. And bytes a second of the slowest way there.
_PATIENCE, _SLOWEST = 600.0, 64 * 1024


@frozen
class ServerDestination:
    """See :class:`~.destination.Destination`: whoever logs in administers it.

    A file goes through a temporary one: it is sent when it is known to be whole.
    """

    client: ApiClient
    projects: ProjectAdministration
    offload: IOffload

    @property
    def description(self) -> str:
        """See :class:`~.destination.Destination`."""
        return f"the index at {self.client.address.base}"

    @property
    def legacy_formats(self) -> bool:
        """See :class:`~.destination.Destination`: the server decides."""
        return True

    async def prepare(self) -> None:
        """See :class:`~.destination.Destination`: before anything is fetched."""
        await self.projects.server()

    def screen(self, name: NormalizedName, version: str, sha256: str) -> None:
        """See :class:`~.destination.Destination`: the server decides."""

    async def warnings_of_new(self, name: NormalizedName) -> tuple[str, ...]:
        """See :class:`~.destination.Destination`: the server tells with an upload."""
        return ()

    def why_no_attestations(self, name: NormalizedName) -> str | None:
        """See :class:`~.destination.Destination`: the server decides."""
        return None

    async def take(self, parcel: Parcel, body: Body) -> Taken:
        """See :class:`~.destination.Destination`."""
        size = parcel.size if parcel.size is not None else body.length
        spool = await Spool.temporary(self.offload, size_hint=size)
        try:
            await copy(body, parcel.check, spool.write)
            digests = await spool.finish()
            if parcel.sha256 is None and await self._is_there(parcel, digests.sha256):
                return Taken(was_there=True)
            form = _Form.of(parcel, digests.sha256, spool)
            warnings = await self.client.upload(
                form.content_type,
                lambda: BodyProducer(form, lambda: None),
                _PATIENCE + form.length / _SLOWEST,
            )
        finally:
            await spool.close()
        return Taken(warnings=warnings)

    async def _is_there(self, parcel: Parcel, sha256: str) -> bool:
        """Return whether the server has it, where only its bytes could tell."""
        name, filename = parcel.filename.project, parcel.filename.text
        try:
            return (await self.projects.file(name, filename)).sha256 == sha256
        except NotFound:
            return False


@define(eq=False)
class _Form:
    """A form (RFC 7578) around a file on disk; see :class:`.RepeatableBody`."""

    content_type: str
    _head: bytes = field(repr=False)
    _spool: Spool
    _tail: bytes = field(repr=False)
    sha256: None = field(default=None, init=False)
    crc32: None = field(default=None, init=False)

    @classmethod
    def of(cls, parcel: Parcel, sha256: str, spool: Spool) -> _Form:
        """Write what stands around the file."""
        boundary = f"pypicloud-{token_hex(16)}"
        parts = [
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
            f"{value}\r\n"
            for name, value in _fields(parcel, sha256).items()
        ]
        parts.append(
            f'--{boundary}\r\nContent-Disposition: form-data; name="content"; '
            f'filename="{parcel.filename.text}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        tail = f"\r\n--{boundary}--\r\n".encode()
        kind = f"multipart/form-data; boundary={boundary}"
        return cls(kind, "".join(parts).encode(), spool, tail)

    @property
    def length(self) -> int:
        """How many bytes."""
        return len(self._head) + self._spool.size + len(self._tail)

    async def read(self, offset: int, size: int) -> bytes:
        """Return some bytes; none only at the end."""
        if offset < len(self._head):
            return self._head[offset : offset + size]
        offset -= len(self._head)
        if offset < self._spool.size:
            return await self._spool.read_at(
                offset, min(size, self._spool.size - offset)
            )
        offset -= self._spool.size
        return self._tail[offset : offset + size]


def _fields(parcel: Parcel, sha256: str) -> Mapping[str, str]:
    filename = parcel.filename
    fields = {
        ":action": "file_upload",
        "protocol_version": "1",
        "name": str(filename.project),
        "version": str(filename.version),
        "sha256_digest": sha256,
        **_imported(parcel.imported),
    }
    if parcel.attestations is not None:
        fields["attestations"] = parcel.attestations
    return fields


def _imported(imported: Imported) -> Mapping[str, str]:
    fields = {"imported_from": imported.source}
    if imported.uploaded is not None:
        fields["imported_uploaded"] = imported.uploaded.isoformat()
    if imported.uploader is not None:
        fields["imported_uploader"] = imported.uploader
    if imported.yanked is not None:
        fields["imported_yanked"] = imported.yanked
    return fields
