"""The core metadata of a release of ours, as it lies beside its files (PEP 658)."""

from __future__ import annotations

from twisted.logger import Logger

from pypicloud_tw.errors import ObjectNotFound
from pypicloud_tw.index.archive import MAX_METADATA
from pypicloud_tw.index.model import File, Project
from pypicloud_tw.projects.releases import releases
from pypicloud_tw.store.interfaces import IObjectStore

_log = Logger()


def described_by(project: Project, version: str) -> File | None:
    """Return the file whose core metadata describes a release: a wheel, if any."""
    files = [f for f in releases(project).get(version, ()) if f.metadata_key]
    wheels = (file for file in files if file.filename.endswith(".whl"))
    return next(wheels, files[0] if files else None)


async def core_metadata(store: IObjectStore, file: File | None) -> bytes | None:
    """Read it; None where there is none, or it is lost.

    :raises StoreError: the store is away.
    """
    if file is None or file.metadata_key is None:
        return None
    try:
        stored = await store.get(file.metadata_key, limit=MAX_METADATA)
    except ObjectNotFound:
        _log.error("The core metadata {key} is lost.", key=file.metadata_key)
        return None
    assert stored is not None, "an unconditional read answers"
    return stored.data
