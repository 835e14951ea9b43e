"""The upstream's list of names as it is kept in the store.

``.cache/.names/{digest of the upstream's address}``: a line of JSON about it, then the
list, packed. It can go at any time, and is read again the next day.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from hashlib import sha256

from attrs import define, field, frozen
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from pypicloud_tw.concurrency.cache import Cache
from pypicloud_tw.concurrency.coalesced import Coalesced
from pypicloud_tw.errors import ObjectNotFound, PypicloudError
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.json_documents import DAMAGED, compact
from pypicloud_tw.offload.service import IOffload
from pypicloud_tw.store.interfaces import IObjectStore
from pypicloud_tw.upstream.names.packed import LookAlikes, has_name, look_alikes, parts

#: Sorts before the pages of the cache, so that listing its files skips it.
FOLDER = ".cache/.names/"
FORMAT = 1

_MAX_OBJECT = 128 * 2**20

#: Seconds for which a list stays in memory after a look, for the next of many uploads
#: of new projects, or that there is none; bytes of lists, and upstreams without one.
_REMEMBERED_FOR, _MEMORY, _MOST_ABSENT = 60.0, 32 * 2**20, 16

#: Seconds for which a list that was searched stays in memory, unpacked: it is read anew
#: once a day. Bytes of those: one of 700,000 names has 11 MB (factor 12).
_SEARCHED_FOR, _SEARCHED = 3600.0, 128 * 2**20

_log = Logger()


@frozen
class ListedNames:
    """An upstream's list.

    :ivar etag: and *modified*: what it was told to be, for the next question.
    :ivar read: when it was asked for, in seconds since the epoch.
    """

    packed: bytes = field(repr=False)
    read: float
    etag: str | None = None
    modified: str | None = None


@define(eq=False)
class NamesElsewhere:
    """Knows the names of upstreams.

    :ivar bases: the addresses of the upstreams; empty where no list is read.
    :ivar shared: names that are meant to be there and here.
    """

    store: IObjectStore
    offload: IOffload
    clock: IReactorTime
    bases: tuple[str, ...] = ()
    shared: frozenset[str] = frozenset()
    _lists: Cache[str, ListedNames] = field(init=False)
    _absent: Cache[str, bool] = field(init=False)
    _searched: Cache[str, tuple[bytes, ...]] = field(init=False)
    _reads: Coalesced[ListedNames | None] = field(factory=Coalesced, init=False)

    def __attrs_post_init__(self) -> None:
        self._lists = Cache(
            _MEMORY,
            weigh=lambda listed: len(listed.packed),
            seconds=self.clock.seconds,
            lifetime=_REMEMBERED_FOR,
        )
        self._absent = Cache(
            _MOST_ABSENT, seconds=self.clock.seconds, lifetime=_REMEMBERED_FOR
        )

        self._searched = Cache(
            _SEARCHED,
            weigh=lambda parts: sum(map(len, parts)),
            seconds=self.clock.seconds,
            lifetime=_SEARCHED_FOR,
        )

    async def to_search(self) -> tuple[tuple[bytes, ...], ...]:
        """Return each list, to be looked through; see :func:`.packed.parts`.

        Nobody is asked for it but the store. Never fails: what cannot be read is left
        out.
        """
        found = []
        for base in self.bases:
            known = self._searched.get(base)
            if known is None:
                known = await self._unpack(base)
                if known:
                    self._searched.put(base, known)
            found.append(known)
        return tuple(found)

    async def _unpack(self, base: str) -> tuple[bytes, ...]:
        try:
            listed = await self._recent(base)
            if listed is not None:
                return await self.offload.in_thread(parts, listed.packed)
        except PypicloudError as e:
            _log.warn("The list of names could not be read: {error}", error=e.message)
        except zlib.error:
            _tell_damaged(base)
        return ()

    async def warnings_of_new(self, name: NormalizedName) -> tuple[str, ...]:
        """Return what whoever uploads a new project is to be told of its name.

        Never fails: no upload does for that.
        """
        if name in self.shared:
            return ()
        try:
            base = await self._find(name)
        except PypicloudError as e:
            _log.warn("The list of names could not be read: {error}", error=e.message)
            return ()
        if base is None:
            return ()
        return (
            f"{name} is new here, and another project of that name is at {base}. Here "
            "this one is shown alone; whoever asks that index, too, may get the other. "
            "A name that begins as no other does is safer.",
        )

    async def _find(self, name: NormalizedName) -> str | None:
        for base in self.bases:
            listed = await self._recent(base)
            if listed is None:
                continue
            try:
                if await self.offload.in_thread(has_name, listed.packed, name):
                    return base
            except zlib.error:
                _tell_damaged(base)
        return None

    async def look_alikes(
        self, ours: Iterable[str]
    ) -> tuple[tuple[str, LookAlikes], ...] | None:
        """Compare names of ours with every list.

        :return: pairs of an upstream's address and what was found there; None: no list
            was read yet.
        :raises StoreError: the store is away.
        :raises PypicloudError: the helper could not do it.
        """
        compared = tuple(name for name in ours if name not in self.shared)
        found: list[tuple[str, LookAlikes]] = []
        known = False
        for base in self.bases:
            listed = await self.load(base)
            if listed is None:
                continue
            known = True
            try:
                alike = await self.offload.in_process(
                    look_alikes, listed.packed, compared
                )
            except zlib.error:
                _tell_damaged(base)
                continue
            found += ((base, one) for one in alike)
        return tuple(found) if known else None

    async def _recent(self, base: str) -> ListedNames | None:
        listed = self._lists.get(base)
        if listed is not None or base in self._absent:
            return listed
        listed = await self._reads.ask(base, lambda: self.load(base))
        if listed is None:
            self._absent.put(base, True)
        else:
            self._lists.put(base, listed)
        return listed

    async def load(self, base: str) -> ListedNames | None:
        """Return an upstream's list; None: there is none, or it is damaged.

        :raises StoreError: the store is away.
        """
        try:
            stored = await self.store.get(_key(base), limit=_MAX_OBJECT)
        except ObjectNotFound:
            return None
        assert stored is not None, "an unconditional read gives bytes"
        listed = _decode(stored.data)
        if listed is None:
            _tell_damaged(base)
        return listed

    async def save(self, base: str, listed: ListedNames) -> None:
        """Keep an upstream's list.

        :raises StoreError: the store is away.
        """
        await self.store.put(_key(base), _encode(listed))
        self._lists.drop(base)
        self._absent.drop(base)


def _key(base: str) -> str:
    return f"{FOLDER}{sha256(base.encode()).hexdigest()[:16]}"


def _encode(listed: ListedNames) -> bytes:
    about = {
        "_format": FORMAT,
        "read": listed.read,
        "etag": listed.etag,
        "modified": listed.modified,
        "checksum": zlib.crc32(listed.packed),
    }
    return compact(about) + b"\n" + listed.packed


def _decode(data: bytes) -> ListedNames | None:
    head, _, packed = data.partition(b"\n")
    try:
        about = json.loads(head)
        if about["_format"] > FORMAT or about["checksum"] != zlib.crc32(packed):
            return None
        return ListedNames(
            packed, float(about["read"]), about["etag"], about["modified"]
        )
    except DAMAGED:
        return None


def _tell_damaged(base: str) -> None:
    _log.warn(
        "The list of names of {base} is damaged, and is read again tomorrow.", base=base
    )
