"""The store, whatever it is made of: is it there, and can it be written to?"""

from __future__ import annotations

from contextlib import suppress
from secrets import token_hex

from pypicloud_tw.config.configuration import Config
from pypicloud_tw.diagnosis.values import Finding, fault, ok
from pypicloud_tw.errors import ObjectNotFound, PreconditionFailed, PypicloudError
from pypicloud_tw.index.index import Index
from pypicloud_tw.maintenance.sweep import PROBE
from pypicloud_tw.store.interfaces import IfAbsent, IfMatch, IObjectStore
from pypicloud_tw.store.timeout import in_time

#: Seconds for the store to show that it is there.
_PATIENCE = 20.0

_TRY = "Run pypicloud doctor again; if it stays so, do not use this store."


def missing_folder(config: Config) -> str | None:
    """Say that the folder is not there, where the store is one; None: it is."""
    folder = config.storage.dir
    if config.aws.bucket is not None or folder.is_dir():
        return None
    return (
        f"There is no folder {folder} (storage.dir); see whether its disk is mounted, "
        f"or make it: pypicloud create-schema {config.ini or ''}"
    )


async def reach(index: Index, place: str) -> list[Finding]:
    """Look whether the store is there and lets itself be listed.

    :param place: what it is, in words.
    """
    try:
        await in_time(index.store.ping(), _PATIENCE, index.clock)
    except PypicloudError as e:
        return [fault(e.message, "Nothing works before this does.")]
    return [ok(f"{place[:1].upper()}{place[1:]} is there, and can be listed.")]


async def write(index: Index) -> list[Finding]:
    """Write an object, read it, write it again, delete it; it is gone in any case."""
    key = f"{PROBE}{token_hex(8)}/doctor"
    try:
        return [await _written(index.store, key)]
    except PypicloudError as e:
        return [fault(e.message, "Nothing can be published before this works.")]
    finally:
        await _forget(index.store, key)
        await _forget(index.store, f"{key}.file")


async def _written(store: IObjectStore, key: str) -> Finding:
    data = token_hex(16).encode()
    await store.put(key, data)
    found = await store.get(key)
    if found is None or found.data != data:
        return fault("It does not give back what was written.", _TRY)
    upload = await store.begin(f"{key}.file", size_hint=len(data))
    try:
        await upload.write(data)
        await upload.commit()
    finally:
        await upload.abort()
    await store.delete(f"{key}.file")
    await store.delete(key)
    try:
        await store.head(key)
    except ObjectNotFound:
        return ok("An object was written, read and deleted, and so was a file.")
    return fault("What was deleted is still there.", _TRY)


async def conditions(store: IObjectStore) -> list[Finding]:
    """Look whether a folder honours conditions; of a bucket see :mod:`.bucket`."""
    key = f"{PROBE}{token_hex(8)}/doctor"
    try:
        first = await store.put(key, b"1", condition=IfAbsent())
        wrong = [
            name
            for name, condition in (
                ("If-None-Match: *", IfAbsent()),
                ("If-Match", IfMatch(f"{first.etag}x")),
            )
            if not await _refused(store, key, condition)
        ]
        await store.put(key, b"2", condition=IfMatch(first.etag))
    except PypicloudError as e:
        return [fault(e.message, "Without them two servers undo each other's changes.")]
    finally:
        await _forget(store, key)
    if wrong:
        said = f"{' and '.join(wrong)} let a write through that must be refused."
        return [fault(said, "Two servers would undo each other's changes.")]
    return [ok("Conditional writes are refused where they must be.")]


async def _forget(store: IObjectStore, key: str) -> None:
    """Delete what was tried; that it cannot be is told by who tries that."""
    with suppress(PypicloudError):
        await store.delete(key)


async def _refused(
    store: IObjectStore, key: str, condition: IfAbsent | IfMatch
) -> bool:
    try:
        await store.put(key, b"wrong", condition=condition)
    except PreconditionFailed:
        return True
    return False
