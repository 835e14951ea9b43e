"""What a server does at its start, in order, while it answers already.

The store is got ready, as long as that takes: a server never exits because its store
is away for a while. Then the server learns what is in it, and adopts what is new.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import TypeVar

from attrs import define
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from pypicloud_tw.access.access import Access
from pypicloud_tw.errors import PypicloudError
from pypicloud_tw.index.audit import SERVER, Act
from pypicloud_tw.index.index import Index
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.index.survey import Survey
from pypicloud_tw.maintenance.adopt import Adopter
from pypicloud_tw.maintenance.progress import Progress

#: Seconds between two tries to reach a store that is away, at first and at the most.
FIRST_RETRY, LONGEST_RETRY = 1.0, 30.0

#: Seconds between two tries to list the store and adopt files, likewise.
FIRST_PAUSE, LONGEST_PAUSE = 10.0, 600.0

#: Projects that a line of the log names.
NAMED = 20

T = TypeVar("T")

_log = Logger()


def _nothing() -> None:
    """Begin nothing."""


async def start(
    index: Index,
    access: Access,
    warm_up: Callable[[], Awaitable[None]],
    begin: Callable[[], None] = _nothing,
) -> None:
    """Start an index.

    :param access: learns who may do what; if it cannot, its log says so, and the first
        client has it try again.
    :param warm_up: prepares for the first client.
    :param begin: begins what goes on beside, as soon as the store is ready.
    """
    await get_ready(index)
    with suppress(PypicloudError):
        await access.learn()
    # The first list of projects waits for these names. What follows takes longer, and
    # would take its time from them.
    await _list_projects(index)
    begin()
    survey = await _survey(index)
    await warm_up()
    await _finish_moves(index)
    await _adopt(index, survey)


async def get_ready(index: Index) -> None:
    """Prepare the store, and claim it where only one process may write to it."""

    async def prepare() -> None:
        try:
            await index.store.prepare()
            await index.secure()
        except PypicloudError as e:
            index.standing.wait(e.message)
            raise

    said = "The store is not ready, next try in {pause:.0f} s: {error}"
    await _retry(prepare, index.clock, said, FIRST_RETRY, LONGEST_RETRY)
    _log.info("The store is ready.")


async def _survey(index: Index) -> Survey:
    """Find out whose files are in the store: before, no project is absent."""
    said = (
        "What lies in the store could not be listed, next try in {pause:.0f} s: {error}"
    )
    look = Adopter.over(index).look
    return await _retry(look, index.clock, said, FIRST_PAUSE, LONGEST_PAUSE)


async def _list_projects(index: Index) -> None:
    """Know the projects' names: of many, that takes seconds that nobody shall wait."""
    try:
        await index.catalog.names()
    except PypicloudError as e:
        _log.warn("The projects could not be listed: {error}", error=e.message)


async def _finish_moves(index: Index) -> None:
    """Move the objects of projects in quarantine that a server has left where it died.

    Where that fails, a sweep does it.
    """
    try:
        problems = await index.acts.moves.finish_begun()
    except PypicloudError as e:
        problems = [f"What was to be moved could not be listed: {e.message}"]
    for problem in problems:
        _log.warn("{problem}", problem=problem)


async def _adopt(index: Index, survey: Survey) -> None:
    """Adopt the files that are in the store and that no manifest names."""
    # One that broke off has changed what there is: the next looks anew.
    surveys: list[Survey] = [survey]

    async def adopt() -> None:
        log = AdoptionLog()
        known = surveys.pop() if surveys else None
        progress = await Adopter.over(index, report=log.report, survey=known).run()
        log.summary(progress)
        if progress.adopted:
            reason = f"{progress.adopted} files"
            index.publisher.audit(Act(SERVER, "adopted", reason=reason))

    # What it has not come to stays reserved: it is ours all the same.
    said = (
        "Adopting files broke off: {error} Run pypicloud refresh for the rest, or "
        "leave it to the next try in {pause:.0f} s."
    )
    await _retry(adopt, index.clock, said, FIRST_PAUSE, LONGEST_PAUSE)
    _warn_of_unserved(index.unserved.reasons() or {})


async def _retry(
    work: Callable[[], Awaitable[T]],
    clock: IReactorTime,
    said: str,
    first: float,
    longest: float,
) -> T:
    """Do work until it succeeds.

    :param said: is logged of each failure, with ``error`` and ``pause``.
    :param first: seconds between the first two tries; doubled each time.
    :param longest: seconds between two tries at the most.
    """
    pause = first
    while True:
        try:
            return await work()
        except PypicloudError as e:
            _log.error(said, pause=pause, error=e.message)
        await deferLater(clock, pause)
        pause = min(longest, pause * 2)


def _warn_of_unserved(reasons: Mapping[NormalizedName, str]) -> None:
    """Name the projects that are ours and answered with 503."""
    if not reasons:
        return
    told = [f"{name} ({why})" for name, why in sorted(reasons.items())[:NAMED]]
    more = f" And {len(reasons) - NAMED} more." if len(reasons) > NAMED else ""
    _log.warn(
        "{count} project(s) in the store cannot be served, and are not asked for "
        "elsewhere: {told}.{more} See pypicloud verify.",
        count=len(reasons),
        told="; ".join(told),
        more=more,
    )


@define
class AdoptionLog:
    """Tells in the log how far adopting has come, now and then."""

    _told: int = 0

    def report(self, progress: Progress) -> None:
        """Say something every 100 files."""
        if progress.done >= self._told + 100:
            self._told = progress.done
            _log.info(
                "Adopting: {done} of {found} files.",
                done=progress.done,
                found=progress.found,
            )

    def summary(self, progress: Progress) -> None:
        """Say how it ended, and why files were not adopted: one line a reason."""
        if not progress.adopted and not progress.skipped:
            return
        _log.info(
            "Adopted {adopted} files, {known} were known, {skipped} skipped.",
            adopted=progress.adopted,
            known=progress.known,
            skipped=len(progress.skipped),
        )
        by_reason: dict[str, list[str]] = {}
        for skipped in progress.skipped:
            by_reason.setdefault(skipped.reason, []).append(skipped.key)
        for reason, keys in by_reason.items():
            more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
            _log.warn(
                "Skipped {key!r}{more}: {reason}",
                key=keys[0],
                more=more,
                reason=reason,
            )
        for warned in progress.warned:
            _log.warn(
                "Adopted {key!r}: {warnings}",
                key=warned.key,
                warnings=" ".join(warned.warnings),
            )
