"""Verifying: is everything there that the manifests name, as they name it?"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from hashlib import sha256

from attrs import frozen

from pypicloud_tw.errors import ObjectNotFound, StoreError
from pypicloud_tw.index.manifest import manifest_key
from pypicloud_tw.index.manifests import Manifests
from pypicloud_tw.index.model import File, Project
from pypicloud_tw.offload import IOffload
from pypicloud_tw.store.interfaces import IObjectStore
from pypicloud_tw.store.spool import Spool
from pypicloud_tw.store.spool_consumer import copy


@frozen
class Fault:
    """Something that is not as a manifest says."""

    project: str
    filename: str
    key: str
    problem: str


@frozen
class Verifier:
    """Looks at every file that a manifest names.

    :ivar deep: read every byte and compare the digest.
    """

    store: IObjectStore
    manifests: Manifests
    offload: IOffload
    deep: bool = False

    async def faults(self) -> AsyncIterator[Fault | None]:
        """Look at each file in turn: None for one that is as it should be.

        :raises StoreError: the store is away.
        """
        async for name, _ in self.manifests.names():
            try:
                state = await self.manifests.read(name)
            except StoreError as e:
                await self.store.ping()
                yield Fault(name, "", manifest_key(name), e.message)
                continue
            for file in state.project.files:
                yield await self._check(state.project, file)

    async def _check(self, project: Project, file: File) -> Fault | None:
        try:
            problem = await self._problem(file)
            if problem is None and file.metadata_key is not None:
                problem = await self._metadata_problem(file, file.metadata_key)
        except StoreError as e:
            # One object that cannot be read is a fault; all of them are an outage.
            await self.store.ping()
            problem = e.message
        if problem is None:
            return None
        return Fault(project.name, file.filename, file.key, problem)

    async def _problem(self, file: File) -> str | None:
        try:
            info = await self.store.head(file.key)
        except ObjectNotFound:
            return "it is not in the store"
        if info.size != file.size:
            return f"it has {info.size} bytes and not {file.size}"
        if self.deep and await self._digest(file.key) != file.sha256:
            return "its bytes have another SHA-256"
        return None

    async def _metadata_problem(self, file: File, key: str) -> str | None:
        try:
            stored = await self.store.get(key)
        except ObjectNotFound:
            return "its core metadata is not in the store"
        assert stored is not None, "an unconditional read answers"
        if sha256(stored.data).hexdigest() != file.metadata_sha256:
            return "its core metadata has another SHA-256"
        return None

    async def _digest(self, key: str) -> str:
        # Only the digest is wanted, and files may be larger than any disk here.
        spool = Spool(
            await self.offload.in_thread(open, os.devnull, "w+b"), self.offload
        )
        try:
            await copy(await self.store.open(key), spool)
            return (await spool.finish()).sha256
        finally:
            await spool.close()
