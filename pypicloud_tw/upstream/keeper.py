"""Upstream pages in the store: what ``cache`` serves when the upstream is cut off."""

from __future__ import annotations

import json
import zlib
from collections.abc import AsyncIterator
from math import ceil
from typing import Any

from attrs import define, evolve, frozen
from packaging.utils import is_normalized_name
from twisted.internet.defer import DeferredSemaphore

from pypicloud_tw.errors import ObjectNotFound
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.offload.service import IOffload
from pypicloud_tw.store.interfaces import IObjectStore
from pypicloud_tw.upstream.kept import KeptResponse
from pypicloud_tw.upstream.links import METADATA
from pypicloud_tw.upstream.prepare import PageResponse, squeezed

#: What comes from upstream lies apart from what is ours (decision D5).
CACHE = ".cache/"
#: No project's name begins with a dot: pages never meet files.
PAGES = f"{CACHE}.pages/"

#: Stands in the name of a record where the upstream did not tell the time.
UNTOLD = "untold"

#: In the key of a file.
_SLASHES = 3

_FORMAT = 1
#: Pages that are written at once; they are written behind the client's back.
_AT_ONCE = 4


def page_key(name: str) -> str:
    """Where a project's page is kept."""
    return f"{PAGES}{name}"


def file_key(name: NormalizedName, sha256: str, filename: str) -> str:
    """Where a file of an upstream project is kept."""
    return f"{CACHE}{name}/{sha256}/{filename}"


def record_key(name: NormalizedName, sha256: str, uploaded: float | None) -> str:
    """Where it is kept what the upstream said of a file when that was kept.

    The time of its upload stands in the name, so that the listing which finds the file
    tells it; to the second, and not before it was. It is beside the file's folder: no
    name of a file can be taken for it.
    """
    moment = UNTOLD if uploaded is None else str(ceil(uploaded))
    return f"{CACHE}{name}/{sha256}.{moment}"


def recorded_upload(key: str) -> tuple[str, float | None] | None:
    """Read the digest and the time of upload in a :func:`record_key`.

    :return: None if it is none.
    """
    parts = key.split("/")
    digest, _, moment = parts[-1].partition(".")
    if len(parts) != 3 or not moment:
        return None
    return digest, float(moment) if moment.isdecimal() else None


@frozen
class StoredFile:
    """A file of an upstream project as it lies in the store, or its core metadata.

    :ivar key: see :func:`file_key`.
    :ivar since: when it was put there, in seconds since the epoch.
    :ivar uploaded: when that was, as the upstream said first; None where it is not
        known.
    :ivar untold: the upstream did not tell it.
    """

    key: str
    size: int
    since: float
    uploaded: float | None = None
    untold: bool = False

    @property
    def filename(self) -> str:
        """Its name; of core metadata with the suffix."""
        return self.key.rpartition("/")[2]

    @property
    def of(self) -> str:
        """The sha256 of the distribution file: itself, or what it lies beside."""
        return self.key.split("/")[-2]

    @property
    def is_metadata(self) -> bool:
        """Whether it is core metadata, whose own digest is in no key."""
        return self.key.endswith(METADATA)

    @property
    def known_upload(self) -> float:
        """When it was uploaded, as far as is known: before it was kept at the latest.

        In seconds since the epoch.
        """
        return self.since if self.uploaded is None else self.uploaded


async def stored_names(store: IObjectStore) -> frozenset[NormalizedName]:
    """List the projects of which files are kept.

    :raises StoreError: the store is away.
    """
    found = set()
    # Every page sorts before every file, and "0" after "/".
    async for info in store.list(CACHE, after=f"{PAGES[:-1]}0"):
        name = info.key.removeprefix(CACHE).partition("/")[0]
        # Of a record the file beside it may have been removed.
        if is_normalized_name(name) and recorded_upload(info.key) is None:
            found.add(NormalizedName(name))
    return frozenset(found)


async def stored_files(
    store: IObjectStore, name: NormalizedName, sha256: str = ""
) -> AsyncIterator[StoredFile]:
    """List the files of a project that are kept, and their core metadata.

    :param sha256: how the files' digests begin.
    :raises StoreError: the store is away.
    """
    told: list[float | None] = []
    told_of = ""
    async for info in store.list(f"{CACHE}{name}/{sha256}"):
        record = recorded_upload(info.key)
        if record is not None:
            # Records of a file sort before it.
            told = [*(told if record[0] == told_of else ()), record[1]]
            told_of = record[0]
        elif info.key.count("/") == _SLASHES:
            file = StoredFile(info.key, info.size, info.modified.timestamp())
            yield _told(file, told) if file.of == told_of else file


def _told(file: StoredFile, told: list[float | None]) -> StoredFile:
    """Put down what records tell of a file's upload.

    Of several that servers have written at once, the latest hides it for longest.
    """
    times = [one for one in told if one is not None]
    return evolve(file, uploaded=max(times, default=None), untold=not times)


@define
class StoredPages:
    """Keeps answers as they came, so that a newer version reads more out of them.

    An object is a line of JSON about the answer, then the answer's bytes.
    """

    store: IObjectStore
    offload: IOffload
    limit: int
    _turns: DeferredSemaphore

    @classmethod
    def over(cls, store: IObjectStore, offload: IOffload, limit: int) -> StoredPages:
        """Keep pages in *store*.

        :param limit: bytes that one may have.
        """
        return cls(store, offload, limit, DeferredSemaphore(_AT_ONCE))

    async def save(self, name: str, kept: KeptResponse) -> None:
        """See :class:`~pypicloud_tw.upstream.kept.IKeeper`.

        :raises StoreError: it may or may not have been kept.
        """
        await self._turns.acquire()
        try:
            if not kept.answer.coding:
                answer = await self.offload.in_thread(squeezed, kept.answer)
                kept = evolve(kept, answer=answer)
            await self.store.put(page_key(name), _encode(kept))
        finally:
            self._turns.release()

    async def confirm(self, name: str, confirmed: float) -> None:
        """See :class:`~pypicloud_tw.upstream.kept.IKeeper`.

        :raises StoreError: the store is away.
        :raises ValueError: what is kept is damaged.
        """
        kept = await self.load(name)
        if kept is not None:
            await self.save(name, evolve(kept, confirmed=confirmed))

    async def settled(self) -> None:
        """Return when what was to be saved until now is saved, or has failed."""
        for _ in range(_AT_ONCE):
            await self._turns.acquire()
        for _ in range(_AT_ONCE):
            self._turns.release()

    async def load(self, name: str) -> KeptResponse | None:
        """See :class:`~pypicloud_tw.upstream.kept.IKeeper`.

        :raises StoreError: the store is away.
        :raises ValueError: what is kept is damaged.
        """
        try:
            stored = await self.store.get(page_key(name), limit=self.limit)
        except ObjectNotFound:
            return None
        assert stored is not None, "an unconditional read gives bytes"
        return _decode(stored.data)

    async def drop(self, name: str) -> None:
        """See :class:`~pypicloud_tw.upstream.kept.IKeeper`.

        :raises StoreError: the store is away.
        """
        try:
            # A bucket with versions would remember every name that was ever asked for.
            await self.store.head(page_key(name))
        except ObjectNotFound:
            return
        await self.store.delete(page_key(name))


def _encode(kept: KeptResponse) -> bytes:
    answer, body = kept.answer, kept.answer.body
    about = {
        "_format": _FORMAT,
        "base": kept.base,
        "confirmed": kept.confirmed,
        "url": answer.url,
        "content_type": answer.content_type,
        "coding": answer.coding,
        "etag": answer.etag,
        "modified": answer.modified,
        "whole": answer.whole,
        "checksum": zlib.crc32(body),
    }
    return json.dumps(about).encode() + b"\n" + body


def _decode(data: bytes) -> KeptResponse | None:
    head, _, body = data.partition(b"\n")
    about: dict[str, Any] = json.loads(head)
    if about["_format"] > _FORMAT:
        return None
    if about["checksum"] != zlib.crc32(body):
        raise ValueError("its checksum is wrong")
    answer = PageResponse(
        url=str(about["url"]),
        pieces=body,
        content_type=about["content_type"],
        coding=about["coding"],
        etag=about["etag"],
        modified=about["modified"],
        whole=bool(about["whole"]),
    )
    return KeptResponse(answer, str(about["base"]), float(about["confirmed"]))
