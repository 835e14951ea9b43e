"""Files of the upstream, kept in the store when first downloaded (``cache``)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from attrs import define, evolve, field
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from pypicloud_tw.concurrency.cache import Cache
from pypicloud_tw.concurrency.coalesced import Coalesced
from pypicloud_tw.errors import (
    Forbidden,
    InsufficientStorage,
    ObjectNotFound,
    StoreError,
    Unavailable,
)
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.metrics import Metrics
from pypicloud_tw.store.interfaces import ByteRange, IDownload, IObjectStore
from pypicloud_tw.upstream.cache_fill import (
    WINDOW,
    WINDOWS,
    CacheFill,
    Judge,
    record_of,
)
from pypicloud_tw.upstream.client import Client
from pypicloud_tw.upstream.judgement.judge import upload_time
from pypicloud_tw.upstream.keeper import (
    StoredFile,
    file_key,
    stored_files,
    stored_names,
)
from pypicloud_tw.upstream.links import METADATA, SEGMENT, Link
from pypicloud_tw.upstream.relay import LocatedFile, Relay, in_memory
from pypicloud_tw.upstream.service import Upstreams
from pypicloud_tw.upstream.source import UpstreamIndex

_SEGMENT = re.compile(rf"[0-9a-f]{{{SEGMENT}}}")
#: Files of which it is remembered where they are kept, and for how many seconds: the
#: cache may be emptied at any time, and who is sent to a bucket would find nothing.
_REMEMBERED, _REMEMBERED_FOR = 20_000, 60.0
#: Seconds for which the list of projects is not made anew.
_NAMES_FOR = 60.0

#: Files on their way into the store: each has a temporary file and a connection, though
#: no client may wait for it any more, and 1,024 open files are what many systems allow.
AT_ONCE = 256

Address = tuple[NormalizedName, str, str]


def _address(link: Link) -> Address:
    return NormalizedName(link.project), link.segment, link.filename


@define
class CachingFiles:
    """Gives what is kept, and keeps what is first asked for; see ``IFiles``.

    What is kept is found by its address alone: a lock file works while the upstream is
    cut off. Only where the rules judge by time, and what was kept was not kept for long
    enough, is the page asked, which tells the file's age.

    :ivar judge: looks into each file before it is kept, as into an upload; None keeps
        whatever has the digest that its page says.
    :ivar at_once: so many files may be on their way into the store; what else is asked
        for meanwhile is passed on, and kept another time.
    """

    upstreams: Upstreams[Any]
    client: Client
    store: IObjectStore
    clock: IReactorTime
    judge: Judge | None = None
    at_once: int = AT_ONCE
    stored_hits: int = field(default=0, init=False)
    fetched: int = field(default=0, init=False)
    _relay: Relay = field(init=False)
    _known: Cache[Address, StoredFile] = field(init=False)
    _fills: dict[str, tuple[CacheFill, Deferred[None]]] = field(
        factory=dict, init=False
    )
    # Why, by the key at which they would be kept.
    _refused: Cache[str, str] = field(factory=lambda: Cache(_REMEMBERED), init=False)
    _saving: dict[str, bytes] = field(factory=dict, init=False, repr=False)
    _names: frozenset[NormalizedName] | None = field(default=None, init=False)
    _names_listed: float = field(default=float("-inf"), init=False)
    _listing: Coalesced[frozenset[NormalizedName]] = field(
        factory=Coalesced, init=False
    )
    _log = Logger()

    def __attrs_post_init__(self) -> None:
        self._relay = Relay(self.upstreams, self.client)

    @_known.default
    def _make_known(self) -> Cache[Address, StoredFile]:
        return Cache(_REMEMBERED, seconds=self.clock.seconds, lifetime=_REMEMBERED_FOR)

    def register(self, metrics: Metrics) -> None:
        """Have its counters shown."""
        metrics.read(
            "pypicloud_upstream_files_kept",
            "Files given from the store",
            lambda: self.stored_hits,
            counts=True,
        )
        metrics.read(
            "pypicloud_upstream_files_fetched",
            "Files fetched to be kept",
            lambda: self.fetched,
            counts=True,
        )

    async def locate(
        self, name: NormalizedName, segment: str, filename: str
    ) -> LocatedFile:
        """See :class:`~pypicloud_tw.upstream.relay.IFiles`."""
        # What is quarantined must be known before the first file is given out.
        await self.upstreams.judges.standings.ready()
        self.upstreams.check_release_of(name, filename)
        place = await self._find(name, segment, filename)
        if place is None:
            return await self._locate_upstream(name, segment, filename)
        await self._judge((name, segment, filename), place)
        self.stored_hits += 1
        mark = self.upstreams.mark(name, segment, filename)
        return evolve(self._kept((name, segment, filename), place), mark=mark)

    def knows(self, name: NormalizedName, segment: str, filename: str) -> bool:
        """See :class:`~pypicloud_tw.upstream.relay.IFiles`."""
        if self.upstreams.knows(name):
            return True
        place = self._known.get((name, segment, filename))
        return place is not None and not self._needs_page(name, filename, place)

    async def names(self) -> frozenset[NormalizedName]:
        """List the projects of which files are kept; as last known if it must be.

        :raises StoreError: the store is away, and nothing is known.
        """
        # A negative age is a clock that was set back.
        if 0 <= self.clock.seconds() - self._names_listed < _NAMES_FOR:
            return self._names or frozenset()
        try:
            return await self._listing.ask("", self._list)
        except StoreError as e:
            if self._names is None:
                raise
            self._log.warn(
                "The cached files could not be listed: {error}", error=e.message
            )
            return self._names

    async def _list(self) -> frozenset[NormalizedName]:
        found = await stored_names(self.store)
        self._names = names = frozenset(filter(self._may_be_shown, found))
        self._names_listed = self.clock.seconds()
        return names

    def _may_be_shown(self, name: str) -> bool:
        # The rules may be younger than what is kept.
        return self.upstreams.judges.of(name).refusal is None

    async def close(self) -> None:
        """Give up what is on its way; returns when nothing is left of it."""
        running = [ended for _, ended in self._fills.values()]
        for one in running:
            one.cancel()
        await DeferredList(running, consumeErrors=True)

    async def has(self, link: Link) -> bool:
        """Return whether a file is kept, with core metadata if that can be checked.

        :raises StoreError: the store is away.
        """
        name, segment, filename = _address(link)
        if await self._find(name, segment, filename) is None:
            return False
        if not link.metadata:
            return True  # it has none, or none that could be checked
        return await self._find(name, segment, filename + METADATA) is not None

    async def keep(self, link: Link, source: UpstreamIndex) -> None:
        """Fetch a file that the rules let be seen, to keep it, unless it is kept.

        :raises Unavailable: too many are on their way.
        :raises PypicloudError: it could not be kept, or its core metadata could not.
        """
        name, segment, filename = _address(link)
        if await self._find(name, segment, filename) is None:
            fill = self._fill(link, source)
            if fill is None:
                raise Unavailable("Too many files are on their way into the cache.")
            await fill.kept()
        if not link.metadata or link.sha256 is None:
            return
        beside = filename + METADATA
        if await self._find(name, segment, beside) is None:
            data = await self._relay.metadata(link, source)
            key = file_key(name, link.sha256, beside)
            await self.store.put(key, data)
            uploaded = upload_time(link.uploaded)
            self._put((name, segment, beside), key, len(data), uploaded)

    async def _locate_upstream(
        self, name: NormalizedName, segment: str, filename: str
    ) -> LocatedFile:
        """Find a file at the upstream; it is kept when it is opened."""
        link, source = await self._relay.link(name, segment, filename)
        place = self._known.get((name, segment, filename))
        if place is not None:
            # It was put there since it was looked for.
            return self._kept((name, segment, filename), place)
        if filename.endswith(METADATA):
            return in_memory(filename, await self._new_metadata(link, source))
        if link.sha256 is None:
            # What cannot be checked is passed on, and not kept.
            return await self._relay.locate(name, segment, filename)
        refused = self._refused.get(file_key(name, link.sha256, filename))
        if refused is not None:
            raise Forbidden(refused)
        return self._on_demand(link, source)

    async def _find(
        self, name: NormalizedName, segment: str, filename: str
    ) -> StoredFile | None:
        """Find a file in the store."""
        address = name, segment, filename
        place = self._known.get(address)
        if place is None:
            place = await self._search(name, segment, filename)
            if place is not None:
                self._known.put(address, place)
        return place

    async def _judge(self, address: Address, place: StoredFile) -> None:
        """Judge a kept file as it is now.

        :raises RefusedByRule: it may not be had.
        :raises PypicloudError: its page must tell, and cannot be had.
        """
        name, segment, filename = address
        await self.upstreams.recall_proof(name, filename, place.of)
        if self._needs_page(name, filename, place):
            link, _ = await self._relay.link(name, segment, filename)
            self._complete(address, link, place)
        else:
            uploaded = place.known_upload
            await self.upstreams.check_kept(name, filename, place.of, uploaded)

    def _complete(self, address: Address, link: Link, place: StoredFile) -> None:
        """Write down what the upstream says of a file that was kept without that."""
        if place.uploaded is None and not place.untold and link.sha256 is not None:
            uploaded = upload_time(link.uploaded)
            told = evolve(place, uploaded=uploaded, untold=uploaded is None)
            self._known.put(address, told)
            recording = Deferred.fromCoroutine(self.store.put(*record_of(link)))
            recording.addErrback(
                lambda f: self._log.failure("Recording an upload time failed", f)
            )

    def _needs_page(
        self, name: NormalizedName, filename: str, place: StoredFile
    ) -> bool:
        """Return whether only its page tells enough: by time, or who attests it.

        Whenever a file was uploaded, that was before it was kept.
        """
        if self.upstreams.lacks_proof(name, filename, place.of):
            return True
        if place.uploaded is not None:
            return False
        now = self.clock.seconds()
        return self.upstreams.hides_by_time(name, filename, place.of, place.since, now)

    def _kept(self, address: Address, place: StoredFile) -> LocatedFile:
        key, (name, segment, filename) = place.key, address

        async def open_it(part: ByteRange | None) -> IDownload:
            try:
                return await self.store.open(key, byte_range=part)
            except ObjectNotFound:
                # Somebody emptied the cache behind our back, as is their right.
                self._known.drop(address)
                located = await self._locate_upstream(name, segment, filename)
                return await located.open(part)

        sha256 = "" if place.is_metadata else place.of
        return LocatedFile(filename, sha256, place.size, open_it, key)

    async def _search(
        self, name: NormalizedName, segment: str, filename: str
    ) -> StoredFile | None:
        """Find a kept file by the digest's beginning, which is all that we are told."""
        if not _SEGMENT.fullmatch(segment) or not filename.isprintable():
            return None
        async for file in stored_files(self.store, name, segment):
            if file.filename == filename:
                return file
        return None

    async def _new_metadata(self, link: Link, source: UpstreamIndex) -> bytes:
        """Return a file's core metadata, and keep it if it could be checked."""
        if link.sha256 is None or not link.metadata:
            return await self._relay.metadata(link, source)
        name, segment, beside = _address(link)
        filename = beside + METADATA
        key = file_key(name, link.sha256, filename)
        if key in self._saving:
            return self._saving[key]
        data = await self._relay.metadata(link, source)
        if key not in self._saving:
            self._saving[key] = data
            address = name, segment, filename
            uploaded = upload_time(link.uploaded)
            saving = Deferred.fromCoroutine(self._save(address, key, data, uploaded))
            saving.addErrback(
                lambda f: self._log.failure("Caching {name} failed", f, name=filename)
            )
        return data

    async def _save(
        self, address: Address, key: str, data: bytes, uploaded: float | None
    ) -> None:
        try:
            await self.store.put(key, data)
            self._put(address, key, len(data), uploaded)
        finally:
            del self._saving[key]

    def _put(
        self, address: Address, key: str, size: int, uploaded: float | None
    ) -> None:
        """Note what was put there, for who has looked for it too early."""
        kept = StoredFile(key, size, self.clock.seconds(), uploaded)
        self._known.put(address, kept)

    def _on_demand(self, link: Link, source: UpstreamIndex) -> LocatedFile:
        """Offer a file that is fetched when it is opened, once for all."""
        address = _address(link)

        async def open_it(part: ByteRange | None) -> IDownload:
            place = self._known.get(address)
            if place is not None:
                return await self._kept(address, place).open(part)
            fill = self._fill(link, source)
            if fill is None:
                return await self._relay.open(link, source, part)
            try:
                return await fill.download(part)
            except (StoreError, InsufficientStorage) as e:
                self._log.warn(
                    "{name} is relayed and not cached: {error}",
                    name=link.filename,
                    error=e.message,
                )
                return await self._relay.open(link, source, part)

        return LocatedFile(link.filename, link.sha256, link.size, open_it)

    def _fill(self, link: Link, source: UpstreamIndex) -> CacheFill | None:
        """Find a file on its way, or fetch it; None where too many are fetched."""
        assert link.sha256 is not None, "only what can be checked is kept"
        name, _, filename = _address(link)
        key = file_key(name, link.sha256, filename)
        if key in self._fills:
            return self._fills[key][0]
        if len(self._fills) >= self.at_once:
            return None
        fill = CacheFill(
            link, source, key, self.client, self.store, self._window, self.judge
        )
        self.fetched += 1
        running = Deferred.fromCoroutine(fill.run())
        self._fills[key] = fill, running
        running.addBoth(self._filled(fill))
        return fill

    def _window(self) -> int:
        return min(WINDOW, WINDOWS // max(1, len(self._fills)))

    def _filled(self, fill: CacheFill) -> Callable[[object], None]:
        def done(_result: object) -> None:
            self._fills.pop(fill.key, None)
            if isinstance(fill.error, Forbidden):
                # The same bytes need not come again for that.
                self._refused.put(fill.key, fill.error.message)
            if not fill.stored:
                return
            address, uploaded = _address(fill.link), upload_time(fill.link.uploaded)
            self._put(address, fill.key, fill.received, uploaded)
            if address[0] not in (self._names or ()):
                self._names_listed = float("-inf")

        return done
