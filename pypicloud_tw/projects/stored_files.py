"""The bytes of files that a manifest names."""

from __future__ import annotations

from twisted.logger import Logger

from pypicloud_tw.errors import ObjectNotFound, RangeNotSatisfiable, StoreError
from pypicloud_tw.store.interfaces import ByteRange, IDownload, IObjectStore

_log = Logger()


async def open_named(
    store: IObjectStore, key: str, size: int | None, part: ByteRange | None = None
) -> IDownload:
    """Open an object that a manifest names, or a range of it.

    :param size: bytes that it has by the manifest; None: that does not tell.
    :raises StoreError: the store is away, or has lost it.
    :raises RangeNotSatisfiable: the range is not one of such an object.
    """
    try:
        download = await store.open(key, byte_range=part)
    except ObjectNotFound:
        raise _lost(key) from None
    except RangeNotSatisfiable as e:
        if size is None or e.size == size:
            raise
        raise _lost(key) from None
    if size is not None and download.info.size != size:
        download.abandon()
        raise _lost(key)
    return download


def _lost(key: str) -> StoreError:
    _log.error(
        "The object {key} is gone or not what the manifest says; 'pypicloud verify' "
        "lists all such.",
        key=key,
    )
    return StoreError("The store has lost this file; tell who runs this index.")
