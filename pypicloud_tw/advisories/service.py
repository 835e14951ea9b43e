"""What is known of malware and vulnerabilities now, on this server.

The last table that was read lies in the store as well: a server that starts while the
source is away knows what the others knew.
"""

from __future__ import annotations

import json
from random import Random
from typing import Literal, Protocol

from attrs import define, field, frozen
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from pypicloud_tw.advisories.reading import (
    MAX_TABLE,
    Reading,
    decode_table,
    read_source,
)
from pypicloud_tw.advisories.table import AdvisoryTable
from pypicloud_tw.advisories.values import (
    AdvisoriesStanding,
    Advisory,
    ProjectAdvisories,
)
from pypicloud_tw.concurrency.cache import Cache
from pypicloud_tw.concurrency.outages import Outages
from pypicloud_tw.errors import (
    ObjectNotFound,
    PypicloudError,
    StoreError,
    Unavailable,
)
from pypicloud_tw.json_documents import DAMAGED, compact
from pypicloud_tw.metrics import Metrics
from pypicloud_tw.offload.service import IOffload
from pypicloud_tw.store.interfaces import IObjectStore

#: Where the last table lies that any server has read.
TABLE = ".advisories/table"

#: What is wrong with what is known.
NOT_READ = "What is known of malware has not been read yet."
TOO_OLD = (
    "What is known of malware is {hours:.0f} hours old, for its source is away "
    "(advisories.max_age)."
)

#: Seconds between two looks at the time and at the store's table.
LOOK_EVERY = 60.0

#: Seconds between two warnings that the source is away: some machines never reach it,
#: and the age of what is known is told elsewhere.
WARN_EVERY = 86_400.0

#: Projects whose advisories are at hand, read.
_AT_HAND = 2_000

#: A source that has lost more than this part of its records is one that was cut short.
_MOST_LOST = 0.5

_FORMAT = 1


class ISource(Protocol):
    """Where records come from."""

    async def read(self, known: str) -> Reading | None:
        """Read all records; None if none has changed.

        :param known: the state of what was read before; empty: nothing was.
        :raises PypicloudError: it is away, or is none.
        """


@frozen
class LocalSource:
    """A folder, a zip or a file on this machine."""

    path: str
    offload: IOffload

    async def read(self, known: str) -> Reading | None:
        """See :class:`ISource`."""
        return await self.offload.in_process(read_source, self.path, known)


@frozen
class AdvisorySettings:
    """How often the source is read, and what holds while it is away.

    :ivar every: seconds from one reading to the next.
    :ivar max_age: seconds after which what was read is too old to be relied on.
    """

    every: float = 3600.0
    max_age: float = 3 * 86400.0
    when_away: Literal["open", "closed"] = "open"


@define(eq=False)
class Advisories:
    """Reads a source now and then, and knows what it says; see :class:`.IAdvisories`.

    :ivar name: of the source, as the settings have it, without credentials.
    :ivar checked: when the source was last seen to be as it is known; seconds since
        the epoch, None if never.
    """

    name: str
    source: ISource
    store: IObjectStore
    offload: IOffload
    clock: IReactorTime
    settings: AdvisorySettings = field(factory=AdvisorySettings)
    random: Random = field(factory=Random)
    edition: int = field(default=0, init=False)
    trouble: str | None = field(default=None, init=False)
    checked: float | None = field(default=None, init=False)
    reads: int = field(default=0, init=False)
    failures: int = field(default=0, init=False)
    table: AdvisoryTable = field(factory=AdvisoryTable, init=False, repr=False)
    _state: str = field(default="", init=False)
    _asked: bool = field(default=False, init=False)
    _stored: str | None = field(default=None, init=False)
    _saved: float = field(default=float("-inf"), init=False)
    _due: float = field(default=float("-inf"), init=False)
    _at_hand: Cache[str, ProjectAdvisories] = field(
        factory=lambda: Cache(_AT_HAND), init=False
    )
    _looking: Deferred[None] | None = field(default=None, init=False)
    _loop: LoopingCall | None = field(default=None, init=False)
    _outages: Outages = field(init=False)
    _log = Logger()

    @_outages.default
    def _make_outages(self) -> Outages:
        return Outages(
            "The source of advisories", self.clock.seconds, self._log, WARN_EVERY
        )

    def __attrs_post_init__(self) -> None:
        self._judge_age()

    # See IAdvisories

    def of(self, name: str) -> ProjectAdvisories:
        """See :class:`.IAdvisories`."""
        known = self._at_hand.get(name)
        if known is None:
            known = ProjectAdvisories(self.table.of(name), self.table.digests)
            self._at_hand.put(name, known)
        return known

    def named(self, identifier: str) -> tuple[Advisory, ...]:
        """Return what the record of an id says, of each project."""
        return self.table.named(identifier)

    @property
    def age(self) -> float | None:
        """Seconds since the source was last seen; None if it never was."""
        return None if self.checked is None else self.clock.seconds() - self.checked

    @property
    def standing(self) -> AdvisoriesStanding:
        """What is known, how old it is, and what is wrong with that."""
        age = self.age
        return AdvisoriesStanding(
            self.table.records,
            None if age is None else round(max(0.0, age), 3),
            self.trouble or self._complaint(age),
        )

    def _complaint(self, age: float | None) -> str | None:
        """Say what is wrong, and blocks nothing."""
        if age is None:
            if not self.failures:
                return None  # It is being read.
            return (
                "Advisories have not been read yet: their source is away. Until then "
                "known malware is not blocked."
            )
        if age <= self.settings.max_age:
            return None
        return (
            f"Advisories are {age / 3600:.0f} hours old: their source is away. What "
            "was read before holds."
        )

    def register(self, metrics: Metrics) -> None:
        """Have its numbers shown."""
        for name, description, read, counts in (
            ("records", "Advisories known", lambda: self.table.records, False),
            ("skipped", "Advisories left out", lambda: self.table.skipped, False),
            ("reads", "Changes of the source read", lambda: self.reads, True),
            ("failures", "Failures to read the source", lambda: self.failures, True),
            ("age_seconds", "Since the source was seen", self._told_age, False),
        ):
            metrics.read(
                f"pypicloud_advisories_{name}",
                description,
                read,
                counts=counts,
                together="sum" if counts else "max",
            )

    def _told_age(self) -> float:
        age = self.age
        return float("inf") if age is None else age

    # At work

    def start(self) -> None:
        """Begin to look, at once and every minute."""
        self._loop = LoopingCall(self.look)
        self._loop.clock = self.clock
        self._loop.start(LOOK_EVERY)

    def stop(self) -> None:
        """Give up what is under way."""
        if self._loop is not None and self._loop.running:
            self._loop.stop()
        if self._looking is not None:
            self._looking.cancel()

    def look(self) -> Deferred[None]:
        """Look whether something else is to be known; one look at a time."""
        if self._looking is None:
            self._looking = Deferred.fromCoroutine(self._look())
            self._looking.addBoth(self._looked)
        return self._looking or succeed(None)

    def _looked(self, result: object) -> None:
        self._looking = None

    async def _look(self) -> None:
        try:
            await self._adopt_stored()
            if self.clock.seconds() >= self._due:
                await self._read()
        except CancelledError:
            raise
        except Exception:
            self.failures += 1
            self._log.failure("Looking for advisories failed")
        finally:
            self._judge_age()

    async def _read(self) -> None:
        """Ask the source, and take over what it says now."""
        # Not all servers in the same minute.
        self._due = self.clock.seconds() + self.settings.every * (
            0.9 + 0.2 * self.random.random()
        )
        self._asked = True
        try:
            reading = await self.source.read(self._state)
            if reading is not None:
                table = await self._decoded(reading.table)
                self._check_loss(table)
                self._take(table, reading.state)
                self.reads += 1
        except PypicloudError as e:
            self.failures += 1
            self._due = min(self._due, self.clock.seconds() + 5 * LOOK_EVERY)
            self._outages.failed(self.name, e.message)
            return
        self._outages.succeeded(self.name)
        self.checked = self.clock.seconds()
        if reading is not None:
            await self._save(reading.table)
        elif self.checked - self._saved > self.settings.max_age / 8:
            await self._save_again()

    def _check_loss(self, table: AdvisoryTable) -> None:
        """Doubt a source that has lost much of what it had.

        :raises Unavailable: it has.
        """
        before = self.table.records
        if table.records < before * (1 - _MOST_LOST):
            raise Unavailable(
                f"It has {table.records} records and had {before}: it may have been "
                f"cut short, so what was known holds. If it is right, remove {TABLE} "
                "from the store and start the servers anew."
            )

    def _take(self, table: AdvisoryTable, state: str) -> None:
        self._state = state
        if table == self.table:
            # As on another server whose own copy of the source has other times.
            return
        self.table = table
        self._at_hand = Cache(_AT_HAND)
        self.edition += 1
        if table.skipped:
            self._log.warn(
                "{skipped} advisories of {name} could not be read and were left out.",
                skipped=table.skipped,
                name=self.name,
            )
        self._log.info(
            "{records} advisories of {name} were read.",
            records=table.records,
            name=self.name,
        )

    def _judge_age(self) -> None:
        """Say whether what is known may be relied on."""
        trouble = None
        age = self.age
        if self.settings.when_away == "closed":
            if age is None:
                trouble = NOT_READ
            elif age > self.settings.max_age:
                trouble = TOO_OLD.format(hours=age / 3600)
        if (trouble is None) != (self.trouble is None):
            self.edition += 1
        self.trouble = trouble

    async def _decoded(self, data: bytes) -> AdvisoryTable:
        try:
            table = await self.offload.in_thread(decode_table, data)
        except ValueError as e:
            raise Unavailable(f"The table of advisories cannot be used: {e}.") from None
        if table is None:
            raise Unavailable("The table of advisories was made by a newer version.")
        return table

    # The store

    async def _adopt_stored(self) -> None:
        """Take over what another server has read, if that is newer."""
        try:
            stored = await self.store.get(TABLE, unless=self._stored, limit=MAX_TABLE)
        except ObjectNotFound:
            return
        except StoreError as e:
            # That the store is away is told by others.
            self._log.debug("{key} was not read: {error}", key=TABLE, error=e.message)
            return
        if stored is None:
            return
        self._stored = stored.info.etag
        try:
            told, data = read_stored(stored.data)
        except DAMAGED:
            self._log.warn("The object {key} is damaged, and not used.", key=TABLE)
            return
        if told is None or told.source != self.name:
            return
        # Another server's clock may be ahead: nothing was read in the future.
        checked = min(told.checked, self.clock.seconds())
        if self.checked is not None and checked <= self.checked:
            return
        if told.state != self._state:
            try:
                self._take(await self._decoded(data), told.state)
            except Unavailable as e:
                self._log.warn("{error}", error=e.message)
                return
        self.checked = self._saved = checked
        if self._asked:
            # Once at its start every server asks the source itself.
            self._due = max(self._due, checked + self.settings.every)

    async def _save(self, table: bytes) -> None:
        """Give others what was read."""
        assert self.checked is not None, "it was read just now"
        head = {
            "_format": _FORMAT,
            "source": self.name,
            "state": self._state,
            "checked": self.checked,
        }
        try:
            await self.store.put(TABLE, compact(head) + b"\n" + table)
        except StoreError as e:
            self._log.warn(
                "What was read of advisories was not saved: {error}", error=e.message
            )
            return
        self._saved = self.checked

    async def _save_again(self) -> None:
        """Tell others that it still holds."""
        try:
            stored = await self.store.get(TABLE, limit=MAX_TABLE)
        except ObjectNotFound:
            # Have the next reading give all of it, to be saved.
            self._state = ""
            return
        except StoreError:
            return
        assert stored is not None, "an unconditional read gives bytes"
        await self._save(stored.data.partition(b"\n")[2])


@frozen
class StoredTable:
    """What an object says of the table in it.

    :ivar checked: when the source was last seen to be so; seconds since the epoch.
    """

    source: str
    state: str
    checked: float


def read_stored(data: bytes) -> tuple[StoredTable | None, bytes]:
    """Read what the object :data:`TABLE` says, and give the table.

    :return: None, where a newer version wrote it.
    :raises Exception: one of :data:`.DAMAGED`.
    """
    head, _, table = data.partition(b"\n")
    told = json.loads(head)
    if told["_format"] > _FORMAT:
        return None, b""
    return (
        StoredTable(str(told["source"]), str(told["state"]), float(told["checked"])),
        table,
    )
