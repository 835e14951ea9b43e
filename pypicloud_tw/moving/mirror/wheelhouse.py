"""A folder that installers take files from: flat, and as an index.

========================  ===========================================================
``FILE``                  each distribution file, for ``--find-links FOLDER``
``FILE.metadata``         its core metadata (PEP 658)
``simple/``               an index of these for any web server, or for a ``file:``
                          address: HTML, and JSON beside it (PEP 503, PEP 691)
========================  ===========================================================
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from email.parser import BytesHeaderParser
from hashlib import file_digest
from pathlib import Path

from attrs import define, field

from pypicloud_tw.errors import Conflict, ObjectNotFound, StoreError, UpstreamError
from pypicloud_tw.index.archive.inspection import Inspection
from pypicloud_tw.index.model import Document, File
from pypicloud_tw.index.names import Filename, NormalizedName
from pypicloud_tw.json_documents import DAMAGED
from pypicloud_tw.offload.service import IOffload
from pypicloud_tw.store.folder.locks import open_lock, stripe, wait_for_lock
from pypicloud_tw.store.folder.store import DirectoryStore
from pypicloud_tw.store.interfaces import IObjectStore
from pypicloud_tw.store.spool import Spool
from pypicloud_tw.store.spool_consumer import copy
from pypicloud_tw.upstream.cache_fill import CacheFill, Judge
from pypicloud_tw.upstream.client import Client
from pypicloud_tw.upstream.links import METADATA, Link, checked_sha256
from pypicloud_tw.upstream.relay import Relay
from pypicloud_tw.upstream.source import UpstreamIndex
from pypicloud_tw.web.simple import (
    html_entries,
    index_html,
    index_json,
    json_entries,
    project_html,
)

#: The index in the folder.
INDEX = "simple"
_API = {"api-version": "1.4"}


@define
class IntoFolder:
    """See :class:`.mirror.Destination`.

    :ivar folder: was prepared, except for a dry run; its files are the folder's.
    :ivar own: the store of this index.
    :ivar judge: looks into each file, as into an upload.
    """

    folder: DirectoryStore
    own: IObjectStore
    client: Client
    relay: Relay
    judge: Judge
    offload: IOffload
    takes_own: bool = field(default=True, init=False)
    _rows: dict[NormalizedName, dict[str, Document]] = field(factory=dict, init=False)

    async def has(self, link: Link) -> bool:
        """See :class:`.mirror.Destination`.

        :raises Conflict: another file of that name is there.
        """
        there = await self._is_there(link.filename, link.sha256)
        if there and link.metadata:
            there = await self._exists(link.filename + METADATA)
        if there:
            self._note(NormalizedName(link.project), _row_of(link))
        return there

    async def keep(self, link: Link, source: UpstreamIndex) -> None:
        """See :class:`.mirror.Destination`."""
        row, found = _row_of(link), _Looked(self.judge)
        if not await self._is_there(link.filename, link.sha256):
            fill = CacheFill(
                link,
                source,
                link.filename,
                self.client,
                self.folder,
                judge=found.inspect,
                records=False,
            )
            await fill.run()
            if fill.error is not None:
                raise fill.error
        metadata = found.metadata
        if link.metadata:
            metadata = await self.relay.metadata(link, source)
        if metadata is not None:
            await self.folder.put(link.filename + METADATA, metadata)
        if found.requires_python:
            row["requires-python"] = found.requires_python
        self._note(NormalizedName(link.project), row)

    async def has_own(self, file: File) -> bool:
        """See :class:`.mirror.Destination`.

        :raises Conflict: another file of that name is there.
        """
        return await self._is_there(file.filename, file.sha256)

    async def keep_own(self, name: NormalizedName, file: File) -> bool:
        """See :class:`.mirror.Destination`."""
        new = not await self._is_there(file.filename, file.sha256)
        if new:
            await self._copy(file)
        if file.metadata_key is not None:
            stored = await self.own.get(file.metadata_key)
            assert stored is not None, "an unconditional read gives bytes"
            await self.folder.put(file.filename + METADATA, stored.data)
        self._note(name, _row_of_own(file))
        return new

    async def finish(self) -> None:
        """See :class:`.mirror.Destination`: write the index of the folder."""
        try:
            await self.offload.in_thread(write_index, self.folder.path, self._rows)
        except OSError as e:
            raise StoreError(f"{self.folder.path}: {e.strerror or e}.") from None

    def _note(self, name: NormalizedName, row: Document) -> None:
        self._rows.setdefault(name, {})[row["filename"]] = row

    async def _exists(self, filename: str) -> bool:
        if not await self.offload.in_thread(self.folder.path.exists):
            return False  # a dry run makes no folder
        try:
            await self.folder.head(filename)
        except ObjectNotFound:
            return False
        return True

    async def _is_there(self, filename: str, sha256: str | None) -> bool:
        if not await self._exists(filename):
            return False
        found = await self.offload.in_thread(_digest, self.folder.path / filename)
        if found != sha256:
            raise Conflict(
                f"Another file of that name is in {self.folder.path}; remove it first."
            )
        return True

    async def _copy(self, file: File) -> None:
        """Copy a file of this index, and check what came of it."""
        download = await self.own.open(file.key)
        upload = await self.folder.begin(file.filename, size_hint=file.size)
        try:
            await copy(download, upload.spool)
            digests = await upload.spool.finish()
            if digests.sha256 != file.sha256:
                raise UpstreamError(
                    f"{file.filename} is not what this index says of it; see pypicloud "
                    "verify --deep."
                )
            await upload.commit()
        finally:
            await upload.abort()


@define
class _Looked:
    """Looks into a file as others do, and remembers what it says of itself."""

    judge: Judge
    metadata: bytes | None = None
    requires_python: str | None = None

    async def inspect(self, spool: Spool, filename: Filename) -> Inspection:
        inspection = await self.judge(spool, filename)
        self.metadata = inspection.metadata
        self.requires_python = inspection.requires_python
        return inspection


def write_index(
    folder: Path, rows: Mapping[NormalizedName, Mapping[str, Document]]
) -> None:
    """Write the index of a folder, with what was in it before; blocks.

    :param rows: files that are new, or known anew, by their projects.
    :raises OSError: it cannot be written.
    :raises StoreError: another process that writes it does not come to an end.
    """
    root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        lock = open_lock(root, stripe(INDEX))
    finally:
        os.close(root)
    try:
        # Another command may add to the same folder.
        wait_for_lock(lock, folder)
        _write_index(folder, rows)
    finally:
        os.close(lock)


def _write_index(
    folder: Path, rows: Mapping[NormalizedName, Mapping[str, Document]]
) -> None:
    index = folder / INDEX
    for name, new in rows.items():
        place = index / name
        files = _read_rows(place / "index.json")
        for filename, row in new.items():
            files[filename] = {**_still_holds(files.get(filename), row), **row}
        there = [_completed(folder, row) for _, row in sorted(files.items())]
        document = {
            "meta": _API,
            "name": name,
            "files": [row for row in there if row is not None],
        }
        data = json.dumps(document, indent=1).encode()
        _write(place, data, project_html(data))
    projects = sorted(path.parent.name for path in index.glob("*/index.json"))
    names = [NormalizedName(name) for name in projects]
    listed = b"".join(index_json([json_entries(names, frozenset(names))]))
    _write(index, listed, b"".join(index_html([html_entries(names)])))


def _read_rows(path: Path) -> dict[str, Document]:
    """Read what was written before, without trust: the folder has gone about."""
    with suppress(FileNotFoundError, *DAMAGED):
        rows = map(_read_row, json.loads(path.read_bytes())["files"])
        return {row["filename"]: row for row in rows if row is not None}
    return {}


def _read_row(told: Document) -> Document | None:
    filename, digest = told["filename"], told["hashes"]["sha256"]
    if not filename or "/" in filename or checked_sha256(digest) is None:
        return None
    row: Document = {"filename": filename, "hashes": {"sha256": digest}}
    for key in ("upload-time", "requires-python", "yanked"):
        value = told.get(key)
        if isinstance(value, str) or (key == "yanked" and value is True):
            row[key] = value
    return row


def _still_holds(before: Document | None, row: Document) -> Document:
    """Return what only the file itself tells, which is not fetched again."""
    if before is None or before["hashes"] != row["hashes"]:
        return {}
    told = before.get("requires-python")
    return {} if told is None else {"requires-python": told}


def _completed(folder: Path, row: Document) -> Document | None:
    """Complete what is known of a file by what lies beside it; None: it is gone."""
    path = folder / row["filename"]
    if not path.is_file():
        return None
    row = {**row, "url": f"../../{path.name}", "size": path.stat().st_size}
    with suppress(FileNotFoundError):
        metadata = (folder / (path.name + METADATA)).read_bytes()
        digest = _digest(folder / (path.name + METADATA))
        row["core-metadata"] = {"sha256": digest}
        told = BytesHeaderParser().parsebytes(metadata).get("Requires-Python")
        if told is not None:
            row["requires-python"] = str(told)
    return row


def _write(place: Path, data: bytes, html: bytes) -> None:
    place.mkdir(parents=True, exist_ok=True)
    for name, content in (("index.json", data), ("index.html", html)):
        draft = place / f".{name}"
        draft.write_bytes(content)
        os.replace(draft, place / name)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _row_of(link: Link) -> Document:
    row: Document = {"filename": link.filename, "hashes": {"sha256": link.sha256}}
    if link.uploaded:
        row["upload-time"] = link.uploaded
    if link.yanked is not None:
        row["yanked"] = link.yanked or True
    return row


def _row_of_own(file: File) -> Document:
    row: Document = {"filename": file.filename, "hashes": {"sha256": file.sha256}}
    row["upload-time"] = file.upload_time.isoformat()
    if file.requires_python:
        row["requires-python"] = file.requires_python
    if file.yanked is not None:
        row["yanked"] = file.yanked or True
    return row
