"""Copying an object through this process, where a store cannot do so by itself."""

from __future__ import annotations

from pypicloud_tw.errors import ObjectNotFound
from pypicloud_tw.store.interfaces import IObjectStore, ObjectInfo
from pypicloud_tw.store.spool_consumer import copy


async def streamed_copy(store: IObjectStore, source: str, target: str) -> ObjectInfo:
    """Read an object into a temporary file, and store it from there.

    :raises ObjectNotFound: there is no such object.
    :raises InsufficientStorage: there is no room for it.
    :raises StoreError: the copy may or may not be there.
    """
    download = await store.open(source)
    try:
        there = await _found(store, target)
        if there is not None and there.size == download.info.size:
            # By an earlier try: nobody else writes there, and objects are whole.
            return there
        upload = await store.begin(
            target, size_hint=download.info.size, metadata=download.info.metadata
        )
        try:
            await copy(download, upload.spool)
            await upload.write(b"")  # sends it in parts, where it is large
            return await upload.commit()
        finally:
            await upload.abort()
    finally:
        download.abandon()


async def _found(store: IObjectStore, key: str) -> ObjectInfo | None:
    try:
        return await store.head(key)
    except ObjectNotFound:
        return None
