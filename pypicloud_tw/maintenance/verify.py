"""Verifying: is everything there that the manifests name, as they name it?

And has everything a manifest that makes a project's name ours (decision D5)? And is it
known who may do what, and which tokens there are?
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from enum import Enum
from hashlib import sha256

from attrs import frozen

from pypicloud_tw.access.document_format import KEY, TITLE
from pypicloud_tw.access.documents import read_access
from pypicloud_tw.access.tokens.documents import document_keys, read_tokens
from pypicloud_tw.access.tokens.records import TokensDamaged, document_key
from pypicloud_tw.errors import (
    AccessUnusable,
    HistoryDamaged,
    ManifestDamaged,
    ObjectNotFound,
    ObjectUnfit,
    StoreError,
)
from pypicloud_tw.index.attestations.stored import is_about
from pypicloud_tw.index.manifest import manifest_key
from pypicloud_tw.index.manifests import Manifests
from pypicloud_tw.index.model import File, Project
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.index.older_history import HISTORY
from pypicloud_tw.index.survey import UNREADABLE, survey
from pypicloud_tw.offload.service import IOffload
from pypicloud_tw.store.interfaces import IObjectStore
from pypicloud_tw.store.spool import Spool
from pypicloud_tw.store.spool_consumer import copy

_NOT_ADOPTED = (
    "it lies in the store and is not published: pypicloud refresh adopts it, or says "
    "why not"
)


class Kind(Enum):
    """What a fault means for whoever looks after the store."""

    #: Something is not as its manifest says, or the manifest is lost.
    WRONG = "wrong"
    #: It could not be looked at; it may be as it should.
    UNSEEN = "unseen"
    #: It makes a project's name ours, and was never published.
    UNSERVED = "unserved"


@frozen
class Fault:
    """Something that is not as a manifest says, or that none tells of.

    :ivar project: its name, or what else is meant.
    """

    project: str
    filename: str
    key: str
    problem: str
    kind: Kind = Kind.WRONG

    def __str__(self) -> str:
        """Say it in a line."""
        what = " ".join(filter(None, (self.project, self.filename)))
        return f"{what} ({self.key}): {self.problem}"


_KINDS = {UNREADABLE: Kind.UNSEEN}


def _kind(error: StoreError) -> Kind:
    same_again = isinstance(error, ManifestDamaged | ObjectUnfit)
    return Kind.WRONG if same_again else Kind.UNSEEN


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
            async for fault in self.of_project(name):
                yield fault
        found = await survey(self.store, self.manifests)
        for name, why in sorted(found.reasons(lambda key: _NOT_ADOPTED).items()):
            kind = Kind.WRONG if name in found.lost else _KINDS.get(why, Kind.UNSERVED)
            yield Fault(name, "", manifest_key(name), why, kind)
        async for fault in self.of_access():
            yield fault

    async def of_project(self, name: NormalizedName) -> AsyncIterator[Fault | None]:
        """Look at each file of a project, and at its history.

        :raises StoreError: the store is away.
        """
        try:
            state = await self.manifests.read(name)
        except StoreError as e:
            await self.store.ping()
            yield Fault(name, "", manifest_key(name), e.message, _kind(e))
            return
        for file in state.project.files:
            yield await self._check(state.project, file)
        if (fault := await self._history_fault(state.project)) is not None:
            yield fault

    async def of_access(self) -> AsyncIterator[Fault]:
        """Look at who may do what, and at tokens.

        :raises StoreError: the store is away.
        """
        if (fault := await self._access_fault()) is not None:
            yield fault
        for key in await document_keys(self.store):
            if (fault := await self._tokens_fault(key)) is not None:
                yield fault

    async def _history_fault(self, project: Project) -> Fault | None:
        key = f"{HISTORY}{project.name}/"
        try:
            async for _ in self.manifests.older_history(project):
                pass
        except HistoryDamaged as e:
            return Fault(project.name, "", key, e.message)
        except StoreError as e:
            await self.store.ping()
            return Fault(project.name, "", key, e.message, _kind(e))
        return None

    async def _access_fault(self) -> Fault | None:
        try:
            await read_access(self.store)
        except AccessUnusable as e:
            return Fault(TITLE, "", KEY, e.whole)
        except StoreError as e:
            await self.store.ping()
            return Fault(TITLE, "", KEY, e.message, _kind(e))
        return None

    async def _tokens_fault(self, key: str) -> Fault | None:
        try:
            await read_tokens(self.store, key)
        except TokensDamaged as e:
            return Fault("tokens", "", document_key(key), e.message)
        except StoreError as e:
            await self.store.ping()
            return Fault("tokens", "", document_key(key), e.message, _kind(e))
        return None

    async def _check(self, project: Project, file: File) -> Fault | None:
        kind = Kind.WRONG
        try:
            problem = await self._problem(file)
            if problem is None and file.metadata_key is not None:
                problem = await self._metadata_problem(file, file.metadata_key)
            if problem is None and file.provenance_key is not None:
                problem = await self._provenance_problem(file, file.provenance_key)
        except StoreError as e:
            # One object that cannot be read is a fault; all of them are an outage.
            await self.store.ping()
            problem, kind = e.message, _kind(e)
        if problem is None:
            return None
        return Fault(project.name, file.filename, file.key, problem, kind)

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

    async def _provenance_problem(self, file: File, key: str) -> str | None:
        try:
            stored = await self.store.get(key)
        except ObjectNotFound:
            return "its provenance is not in the store"
        assert stored is not None, "an unconditional read answers"
        if not is_about(stored.data, file.sha256):
            return "its provenance is damaged, or another file's"
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
