"""Takes what a source has into an index.

It may be ended at any moment, and run again: what is there already is left, and of a
file nothing is visible before all of it is. So it is also how one catches up with an
index that people still upload to.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime

from attrs import define, field
from twisted.internet.defer import DeferredSemaphore
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from pypicloud_tw.client.api import Unanswered
from pypicloud_tw.concurrency.side_by_side import side_by_side
from pypicloud_tw.errors import (
    BadRequest,
    Conflict,
    InsufficientStorage,
    NotFound,
    PypicloudError,
    Unauthorized,
)
from pypicloud_tw.index.imported import Imported, one_line
from pypicloud_tw.index.model import ProjectStatus, Selection
from pypicloud_tw.index.names import Filename, NormalizedName, project_name
from pypicloud_tw.index.statuses import CLOSED
from pypicloud_tw.json_documents import DAMAGED
from pypicloud_tw.moving.destination import Destination, Parcel, Taken
from pypicloud_tw.moving.digests import Check, OtherBytes, check_form, known
from pypicloud_tw.moving.report import Progress, ProjectReport, Report, Trouble
from pypicloud_tw.moving.source import (
    Body,
    DamagedSource,
    Source,
    SourceFile,
    SourceProject,
)
from pypicloud_tw.moving.wanted import Wanted
from pypicloud_tw.projects.values import ProjectFiles, Status, StatusChange, Yank
from pypicloud_tw.upstream.failures import Refused

#: Times that a file is fetched whose bytes end early, or that the destination fails to
#: take; and seconds before the next, which grow by as many each time.
ATTEMPTS, PAUSE, LONGEST_PAUSE = 3, 2.0, 10.0

#: Seconds that a server is waited for which does not answer: a busy one takes as long
#: to start anew. Then nothing waits any more until it has answered.
PATIENCE = 60.0

#: Projects in a row of which nothing could be had or kept: then the others are not
#: tried.
MOST_FAILURES = 20

#: What a project can become by an import, the stricter the later. It never goes back:
#: what was decided here stays.
_STRICTNESS: tuple[ProjectStatus, ...] = (
    "active",
    "deprecated",
    "archived",
    "quarantined",
)


@define(eq=False)
class Importer:
    """Takes projects side by side.

    :ivar jobs: files that are on their way at a time, and projects that are looked at.
    :ivar dry_run: nothing is taken; the report says what would be.
    :ivar tell: called whenever something is done.
    """

    source: Source
    destination: Destination
    clock: IReactorTime
    wanted: Wanted = field(factory=Wanted)
    jobs: int = 8
    dry_run: bool = False
    tell: Callable[[Progress], None] = field(default=lambda _: None)
    report: Report = field(init=False)
    _turns: DeferredSemaphore = field(init=False)
    _began: datetime = field(init=False)
    _projects: int = field(default=0, init=False)
    _files: int = field(default=0, init=False)
    _size: int = field(default=0, init=False)
    _failures: int = field(default=0, init=False)
    _away_since: float | None = field(default=None, init=False)

    @report.default
    def _new_report(self) -> Report:
        return Report(
            self.source.description, self.destination.description, self.dry_run
        )

    @_turns.default
    def _as_many(self) -> DeferredSemaphore:
        return DeferredSemaphore(self.jobs)

    @_began.default
    def _now(self) -> datetime:
        return datetime.fromtimestamp(self.clock.seconds(), UTC)

    async def run(self) -> Report:
        """Take all that is wanted.

        :raises PypicloudError: the source does not tell what it has, or the destination
            takes nothing.
        """
        began = self.clock.seconds()
        if not self.dry_run:
            await self.destination.prepare()
        names = self.wanted.named
        if names is None:
            names = self.wanted.choose(await self.source.names())
        self._projects = len(names)
        self._told()
        queue = deque(names)

        async def work() -> None:
            while queue and self.report.stopped is None:
                await self._project(queue.popleft())

        await side_by_side(min(self.jobs, len(names)), work, queue)
        self.report.projects.sort(key=lambda one: one.project)
        self.report.seconds = self.clock.seconds() - began
        return self.report

    def _told(self) -> None:
        done = len(self.report.projects)
        self.tell(Progress(self._projects, done, self._files, self._size))

    # -- a project --------------------------------------------------------------------

    async def _project(self, spelled: str) -> None:
        report = ProjectReport(spelled)
        try:
            name = project_name(spelled)
            report.project = name
            await _Project(self, name, report).take(await self.source.project(name))
        except (InsufficientStorage, Unauthorized) as e:
            # The next one would fare no better.
            self.stop(e)
        except PypicloudError as e:
            self.trouble(report, None, e)
        self.report.projects.append(report)
        if report.taken or report.there or not report.failed:
            self._failures = 0
        else:
            self._failures += 1
            if self._failures == MOST_FAILURES:
                self.report.stopped = (
                    f"{MOST_FAILURES} projects in a row failed; what is left was not "
                    "tried."
                )
        self._told()

    def stop(self, error: PypicloudError) -> None:
        """End it: what is left would fail for the same reason."""
        if self.report.stopped is None:
            self.report.stopped = error.message

    def trouble(
        self, report: ProjectReport, filename: str | None, error: PypicloudError
    ) -> None:
        """Write down why something was not taken."""
        self.report.not_taken(report, filename, error, refused=_is_refusal(error))

    # -- a file -----------------------------------------------------------------------

    async def transfer(self, parcel: Callable[[], Parcel], file: SourceFile) -> Taken:
        """Fetch a file and hand it in, again where it ends early.

        :param parcel: makes what is said of it, for each try.
        """
        await self._turns.acquire()
        try:
            return await self._transfer(parcel, file)
        finally:
            self._turns.release()

    async def _transfer(self, parcel: Callable[[], Parcel], file: SourceFile) -> Taken:
        attempt = 1
        while True:
            # A source asks again by itself, until there is an answer.
            body = await self.source.open(file)
            try:
                taken = await self._hand_in(parcel(), body)
                self.answered()
                return taken
            except PypicloudError as e:
                error = e
            finally:
                body.close()
            await self.wait_after(error, attempt)
            attempt += 1

    async def wait_after(self, error: PypicloudError, attempt: int) -> None:
        """Wait until something may be tried again that failed.

        :param attempt: how many there were, this one included.
        :raises PypicloudError: this error, where that is of no use.
        """
        useless = isinstance(error, (InsufficientStorage, DamagedSource))
        if useless or _is_refusal(error) or not self._is_worth_waiting(error, attempt):
            raise error
        await deferLater(self.clock, min(PAUSE * (attempt + 1), LONGEST_PAUSE))

    def _is_worth_waiting(self, error: PypicloudError, attempt: int) -> bool:
        if not isinstance(error, Unanswered):
            return attempt < ATTEMPTS
        now = self.clock.seconds()
        if self._away_since is None:
            self._away_since = now
        return now - self._away_since < PATIENCE

    def answered(self) -> None:
        """Tell that the destination is there."""
        self._away_since = None

    async def _hand_in(self, parcel: Parcel, body: Body) -> Taken:
        if parcel.imported.uploaded is None:
            parcel = parcel.uploaded(body.modified)
        return await self.destination.take(parcel, body)

    def count(self, size: int) -> None:
        """Count a file that was taken."""
        self._files += 1
        self._size += size
        self._told()

    def imported(self, file: SourceFile) -> Imported:
        """Return what is kept of what the source says of a file."""
        return Imported.of(
            self.source.description,
            file.uploaded,
            file.uploader,
            file.yanked,
            self._began,
        )


@define(eq=False)
class _Project:
    """One project that is taken."""

    importer: Importer
    name: NormalizedName
    report: ProjectReport
    _warned: set[str] = field(factory=set, init=False)

    async def take(self, project: SourceProject) -> None:
        """Take its files, then what has become of them and of it."""
        for note in project.notes:
            self.report.refused += note.lost
            trouble: Trouble = "refused" if note.lost else "noted"
            self.importer.report.remark(self.name, note.filename, trouble, note.why)
        there = await self._there()
        queue = deque(self._plan(project, there))
        if queue and there is None:
            await self._warn_of_name()
        if queue and there is not None and there.status.status in CLOSED:
            self._refuse_all(queue, there.status)
            queue.clear()
        if self.importer.dry_run:
            for file in queue:
                self._would_take(file)
            return

        async def work() -> None:
            while queue and self.importer.report.stopped is None:
                await self._file(queue.popleft())

        await side_by_side(min(self.importer.jobs, len(queue)), work, queue)
        await self._yank(project, there)
        await self._set_status(project, there)

    async def _there(self) -> ProjectFiles | None:
        """Return what is there; None: no such project."""
        attempt = 1
        while True:
            try:
                there = await self._destination.projects.files(self.name)
                self.importer.answered()
                return there
            except NotFound:
                self.importer.answered()
                return None
            except PypicloudError as e:
                error = e
            await self.importer.wait_after(error, attempt)
            attempt += 1

    @property
    def _destination(self) -> Destination:
        return self.importer.destination

    def _plan(
        self, project: SourceProject, there: ProjectFiles | None
    ) -> list[SourceFile]:
        """Choose what is to be taken, and count what is there; the oldest first."""
        present = {f.filename: f for f in there.files} if there else {}
        deleted = {f.filename for f in there.deleted} if there else set()
        chosen: list[SourceFile] = []
        for file in self._once(project.files):
            have = present.get(file.filename)
            try:
                filename = self._understood(file)
                check_form(file.digests, file.size)
                if have is None and file.filename in deleted:
                    raise Conflict(
                        "It was deleted here, and is not brought back by an import; "
                        f"'pypicloud restore {self.name}' may."
                    )
                if have is not None and _is_same(file, have.sha256, have.size):
                    self.report.there += 1
                    continue
                said = known(file.digests).get("sha256")
                if said is not None:
                    version = str(filename.version)
                    self._destination.screen(self.name, version, said)
            except PypicloudError as e:
                self.importer.trouble(self.report, file.filename, e)
                continue
            if file.digests and not known(file.digests):
                self._warn(
                    file.filename,
                    "It is taken unchecked: the source tells no digest of a kind that "
                    f"is known here, but {', '.join(sorted(file.digests))[:80]}.",
                )
            chosen.append(file)
        return sorted(chosen, key=_age)

    def _once(self, files: Iterable[SourceFile]) -> Iterator[SourceFile]:
        """Leave out files that the source names a second time."""
        first: dict[str, SourceFile] = {}
        for file in files:
            before = first.setdefault(file.filename, file)
            if before is file:
                yield file
            elif not _are_alike(before, file):
                self.importer.trouble(
                    self.report,
                    file.filename,
                    Conflict(
                        "The source has it a second time, and as another file; the "
                        "first is taken."
                    ),
                )

    def _understood(self, file: SourceFile) -> Filename:
        filename = Filename.parse(
            file.filename,
            legacy=self._destination.legacy_formats,
            project=self.name,
        )
        if filename.project != self.name:
            raise BadRequest(f"This is a file of {filename.project} by its name.")
        return filename

    async def _warn_of_name(self) -> None:
        for warning in await self._destination.warnings_of_new(self.name):
            self._warn(None, warning)

    def _warn(self, filename: str | None, warning: str) -> None:
        if warning not in self._warned:
            self._warned.add(warning)
            self.importer.report.remark(self.name, filename, "noted", warning)

    def _refuse_all(self, files: deque[SourceFile], status: Status) -> None:
        for file in files:
            self.report.refused += 1
            self.importer.report.remark(
                self.name,
                file.filename,
                "refused",
                f"The project is {status.status} here and takes no files; "
                f"'pypicloud status {self.name} active' would let it.",
            )

    def _would_take(self, file: SourceFile) -> None:
        self.report.taken += 1
        self._add_size(file.size)
        self.importer.count(file.size or 0)

    def _add_size(self, size: int | None) -> None:
        self.report.size += size or 0
        self.report.untold += size is None

    # -- files ------------------------------------------------------------------------

    async def _file(self, file: SourceFile) -> None:
        checks: list[Check] = []
        try:
            attestations = await self._attestations(file)

            def parcel() -> Parcel:
                checks.append(Check(file.filename, file.digests, file.size))
                return Parcel(
                    self._understood(file),
                    self.importer.imported(file),
                    checks[-1],
                    file.size,
                    known(file.digests).get("sha256"),
                    attestations,
                )

            taken = await self.importer.transfer(parcel, file)
        except (InsufficientStorage, Unauthorized) as e:
            self.importer.stop(e)
            self.importer.trouble(self.report, file.filename, e)
            return
        except PypicloudError as e:
            self.importer.trouble(self.report, file.filename, e)
            return
        for warning in taken.warnings:
            self._warn(file.filename, warning)
        if taken.was_there:
            self.report.there += 1
            return
        self.report.taken += 1
        self._add_size(checks[-1].received)
        self.importer.count(checks[-1].received)

    async def _attestations(self, file: SourceFile) -> str | None:
        if file.provenance is None:
            return None
        why = self._destination.why_no_attestations(self.name)
        if why is None:
            try:
                data = await self.importer.source.provenance(file)
                return None if data is None else attestations_of(data)
            except DamagedSource:
                raise
            except PypicloudError as e:
                why = e.message
        self._warn(None, f"Attestations are not kept: {why}")
        return None

    # -- what has become of it --------------------------------------------------------

    async def _yank(self, project: SourceProject, there: ProjectFiles | None) -> None:
        """Yank what was there, and was yanked at the source since."""
        present = {f.filename: f for f in there.files} if there else {}
        for file in project.files:
            have = present.get(file.filename)
            if file.yanked is None or have is None or have.yanked is not None:
                continue
            if not _is_same(file, have.sha256, have.size):
                continue
            try:
                await self._destination.projects.yank(
                    self.name,
                    Selection(file=file.filename),
                    Yank(one_line(file.yanked)),
                )
                self.report.yanked += 1
            except PypicloudError as e:
                self.importer.trouble(self.report, file.filename, e)

    async def _set_status(
        self, project: SourceProject, there: ProjectFiles | None
    ) -> None:
        """Let the project become what it is at the source, if that is stricter."""
        status = project.status
        is_here = self.report.taken or self.report.there or there is not None
        now = there.status.status if there is not None else "active"
        if status is None or not is_here:
            return
        if _STRICTNESS.index(status) <= _STRICTNESS.index(now):
            return
        reason = project.status_reason
        change = StatusChange(status, None if reason is None else one_line(reason))
        await self._destination.projects.set_status(self.name, change)
        self.report.status = status


def _is_refusal(error: PypicloudError) -> bool:
    """Return whether to try again would come to the same."""
    return isinstance(error, (OtherBytes, Refused)) or error.status < 500


def _are_alike(one: SourceFile, other: SourceFile) -> bool:
    """Return whether a source says the same of two files of a name."""
    said, also = known(one.digests), known(other.digests)
    shared = said.keys() & also.keys()
    if shared:
        return all(said[name] == also[name] for name in shared)
    return one.location == other.location


def _is_same(file: SourceFile, sha256: str, size: int) -> bool:
    """Return whether a file that is there is the source's, as far as it tells.

    :raises Conflict: it is another one.
    """
    said = known(file.digests).get("sha256")
    if said == sha256:
        return True
    if said is not None or file.size not in (None, size):
        raise Conflict(
            "A file of this name and other bytes is here already; it is left as it is."
        )
    return False


def _age(file: SourceFile) -> tuple[datetime, str]:
    return file.uploaded or datetime.max.replace(tzinfo=UTC), file.filename


def attestations_of(provenance: bytes) -> str:
    """Return what a provenance object attests, as an upload would send it (PEP 740).

    :raises BadRequest: it is none.
    """
    try:
        bundles = json.loads(provenance)["attestation_bundles"]
        found: list[Mapping[str, object]] = [
            one for bundle in bundles[:1] for one in bundle["attestations"]
        ]
        return json.dumps(found)
    except DAMAGED:
        raise BadRequest("This is no provenance object of PEP 740.") from None
