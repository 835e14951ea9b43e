"""Where every record goes: the log, a file, and of changes the store."""

from __future__ import annotations

from attrs import define, field
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from pypicloud_tw.access.audit.log_file import LogFile
from pypicloud_tw.access.audit.record import encode_act
from pypicloud_tw.access.audit.refusals import Refusals
from pypicloud_tw.access.audit.stored import StoredRecords
from pypicloud_tw.index.audit import Act, Audit
from pypicloud_tw.index.audit_log import log_act
from pypicloud_tw.metrics import Metrics
from pypicloud_tw.store.interfaces import IObjectStore


@define(eq=False)
class Trail:
    """Takes every record; is an :data:`~pypicloud_tw.index.audit.Audit`.

    :ivar file: of ``audit.log``; None: there is none.
    :ivar stored: takes the records of changes; None: they are not kept.
    :ivar tell: says what was changed to whoever reads the program's log.
    """

    clock: IReactorTime
    metrics: Metrics
    file: LogFile | None = None
    stored: StoredRecords | None = None
    tell: Audit = field(default=log_act)
    _refusals: Refusals = field(init=False)
    _log = Logger()

    @_refusals.default
    def _make_refusals(self) -> Refusals:
        return Refusals(self._record, self.clock)

    def __call__(self, act: Act) -> None:
        """Bring a record on its way."""
        try:
            self.metrics.observe_act(act.act, act.outcome)
            if act.outcome == "done":
                self._record(act)
            else:
                self._refusals(act)
        except Exception:
            # What it tells of is done: whoever asked for that must hear so.
            self._log.failure("A record of {act} failed", act=act.act)

    def _record(self, act: Act) -> None:
        now = self.clock.seconds()
        line = encode_act(act, now)
        if self.file is not None:
            self.file.add(line)
        if act.outcome == "done":
            self.tell(act)
            if self.stored is not None:
                self.stored.add(line, now)

    def start(self, store: IObjectStore) -> None:
        """Begin to write into the store."""
        if self.stored is not None:
            self.stored.start(store)

    def register(self) -> None:
        """Have what could not be kept shown, and what waits."""
        self.metrics.read(
            "pypicloud_audit_dropped",
            "Records that could not be written to a file or to the store",
            lambda: self._dropped,
            counts=True,
        )
        self.metrics.read(
            "pypicloud_audit_waiting_bytes",
            "Records that wait for the store",
            lambda: 0 if self.stored is None else self.stored.waiting,
        )

    @property
    def _dropped(self) -> int:
        lost = 0 if self.file is None else self.file.lost
        return lost + (0 if self.stored is None else self.stored.dropped)

    async def close(self) -> None:
        """Write what waits."""
        self._refusals.close()
        if self.file is not None:
            self.file.close()
        if self.stored is not None:
            await self.stored.close()
