"""Who attests the files of upstreams, as it was verified: in memory, and beside what
the cache keeps, so that what is kept needs no upstream.
"""

from __future__ import annotations

from attrs import define, field, frozen
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from pypicloud_tw.concurrency.cache import Cache
from pypicloud_tw.config.signers import Signer
from pypicloud_tw.errors import ObjectNotFound, PypicloudError
from pypicloud_tw.json_documents import DAMAGED
from pypicloud_tw.json_values import from_bytes, to_bytes
from pypicloud_tw.store.interfaces import IObjectStore

#: Sorts before the pages and files of the cache, so that listing these skips it.
FOLDER = ".cache/.attested/"

#: Files of which it is remembered who attests them.
REMEMBERED = 20_000

#: Seconds for which it is remembered that nothing proves a file: each try takes a
#: request and a helper.
UNPROVED_FOR = 60.0

_MAX_PROOF = 16 * 1024
_FORMAT = 1


@frozen
class ProvedFile:
    """A file as it was verified: these very bytes, under this name."""

    project: str
    sha256: str
    filename: str

    @property
    def key(self) -> str:
        """Where it is kept who attests it."""
        return f"{FOLDER}{self.project}/{self.sha256}/{self.filename}"


@frozen
class _StoredProof:
    publishers: tuple[str, ...]
    format: int = _FORMAT


@define(eq=False)
class Proofs:
    """Remembers whose attestations hold for which files.

    :ivar store: where that is kept too; None: nowhere.
    """

    clock: IReactorTime
    store: IObjectStore | None = None
    _known: Cache[ProvedFile, tuple[Signer, ...]] = field(init=False)
    _unproved: Cache[ProvedFile, str] = field(init=False)
    _log = Logger()

    def __attrs_post_init__(self) -> None:
        self._known = Cache(REMEMBERED)
        self._unproved = Cache(
            REMEMBERED, seconds=self.clock.seconds, lifetime=UNPROVED_FOR
        )

    def known(self, file: ProvedFile) -> tuple[Signer, ...] | None:
        """Return who attests a file; None: that is not at hand."""
        return self._known.get(file)

    def why_unproved(self, file: ProvedFile) -> str | None:
        """Return why nothing proved a file a moment ago, if nothing did."""
        return self._unproved.get(file)

    def put_unproved(self, file: ProvedFile, why: str) -> None:
        """Remember for a while that nothing proves a file."""
        self._unproved.put(file, why)

    async def recall(self, file: ProvedFile) -> tuple[Signer, ...] | None:
        """Return who attests a file, by what is kept too; None: it is not known.

        :raises StoreError: the store is away.
        """
        known = self._known.get(file)
        if known is not None or self.store is None:
            return known
        try:
            stored = await self.store.get(file.key, limit=_MAX_PROOF)
        except ObjectNotFound:
            return None
        assert stored is not None, "an unconditional read gives bytes"
        signers = _decode(stored.data)
        if signers is not None:
            self._known.put(file, signers)
        return signers

    async def put(self, file: ProvedFile, signers: tuple[Signer, ...]) -> None:
        """Remember who attests a file."""
        self._known.put(file, signers)
        if self.store is None:
            return
        proof = _StoredProof(tuple(signer.line for signer in signers))
        try:
            await self.store.put(file.key, to_bytes(proof))
        except PypicloudError as e:
            # It is verified again when this process has forgotten it.
            self._log.warn(
                "Who attests {filename} is not kept: {error}",
                filename=file.filename,
                error=e.message,
            )


def _decode(data: bytes) -> tuple[Signer, ...] | None:
    """Read what is kept; None: it is nothing of ours, and proves nothing."""
    try:
        proof = from_bytes(_StoredProof, data, strict=False)
        if proof.format > _FORMAT:
            return None
        return tuple(map(Signer.parse, proof.publishers))
    except DAMAGED:
        return None
