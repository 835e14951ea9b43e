"""What commands change in an index.

Each writes what it has to say to two streams, and returns an exit code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TextIO

from attrs import define

from pypicloud_tw.access.audit.stored import sweep_records
from pypicloud_tw.access.sessions.sessions import sweep_sessions
from pypicloud_tw.access.tokens.last_use import gather_former
from pypicloud_tw.access.tokens.minted import sweep_minted
from pypicloud_tw.index.audit import SERVER, Act, Actor
from pypicloud_tw.index.index import Index
from pypicloud_tw.index.names import NormalizedName, project_name
from pypicloud_tw.index.survey import lost
from pypicloud_tw.maintenance.adopt import Adopter
from pypicloud_tw.maintenance.daily import sweep_claims
from pypicloud_tw.maintenance.progress import Progress
from pypicloud_tw.maintenance.rebuild import Rebuilder, Rebuilt
from pypicloud_tw.maintenance.sweep import Sweeper, SweepOther

#: Seconds between two lines of progress where there is no terminal to draw a bar on.
_LINE_EVERY = 5.0


async def refresh(
    index: Index,
    out: TextIO,
    err: TextIO,
    *,
    dry_run: bool = False,
    actor: Actor = SERVER,
) -> int:
    """Adopt what is in the store without being named.

    :param actor: for the record of the change.

    :returns: 0 also if files were skipped: what is no distribution is no fault. 1 if a
        manifest is lost.
    """
    bar = ProgressBar(err, index.clock.seconds)
    adopter = Adopter.over(index, report=bar.show, dry_run=dry_run, actor=actor)
    progress = await adopter.run()
    bar.end()
    for skipped in sorted(progress.skipped, key=lambda one: one.key):
        print(f"skipped {skipped.key!r}: {skipped.reason}", file=out)
    for warned in sorted(progress.warned, key=lambda one: one.key):
        print(f"warning {warned.key!r}: {' '.join(warned.warnings)}", file=out)
    for name in sorted(progress.lost):
        print(f"pypicloud: {lost(name)}", file=err)
    done = "would be adopted" if dry_run else "adopted"
    print(
        f"{progress.adopted} files {done}, {progress.known} known already, "
        f"{len(progress.skipped)} skipped.",
        file=out,
    )
    if progress.adopted and not dry_run:
        index.publisher.audit(Act(actor, "adopted", reason=f"{progress.adopted} files"))
    return 1 if progress.lost else 0


async def sweep(
    index: Index,
    out: TextIO,
    err: TextIO,
    *,
    age: float | None = None,
    keep: float | None = None,
    dry_run: bool = False,
    actor: Actor = SERVER,
) -> int:
    """Remove what no manifest names, and what was deleted long enough ago.

    :param age: seconds; None is ``index.sweep_age``, and less is refused: the servers
        rely on it.
    :param keep: seconds that records of changes are kept; None: for ever.
    :param actor: for the record of the change.
    :returns: 1 also if a project was skipped, because its manifest is lost or damaged,
        or objects of one in quarantine could not be moved.
        What a first upload left that was broken off is named and is no fault.
    """
    at_least = index.publisher.rules.sweep_age
    if age is not None and age < at_least:
        print(
            f"pypicloud: the age must be at least index.sweep_age ({at_least:.0f} s), "
            "by which the servers judge how long an upload may take.",
            file=err,
        )
        return 1

    def report(key: str) -> None:
        print(f"{'would remove' if dry_run else 'removed'} {key}", file=out)

    others: tuple[SweepOther, ...] = (
        sweep_minted,
        sweep_sessions,
        gather_former,
        sweep_claims,
    )
    if keep is not None:
        others += (partial(sweep_records, keep=keep),)
    sweeper = Sweeper(
        index.store,
        index.manifests,
        age or at_least,
        dry_run,
        report,
        others,
        restore_for=index.acts.restore_for,
    )
    problems: list[str] = []
    moves = index.acts.moves
    if not dry_run:
        problems += await moves.finish_begun()
    swept = await sweeper.run()
    if not dry_run:
        problems += await moves.finish_each(swept.moving)
    unfinished = f"{swept.unfinished} unfinished uploads"
    if swept.unfinished is None:
        unfinished = "unfinished uploads unknown (the S3 server does not list them)"
    print(
        f"{swept.seen} objects seen, {len(swept.removed)} orphans, "
        f"{len(swept.purged)} of deleted files, {unfinished}.",
        file=out,
    )
    for problem in (*swept.left, *swept.in_doubt, *problems):
        print(f"pypicloud: {problem}", file=err)
    for what in swept.unlisted:
        print(f"pypicloud: {what.key!r} stays: it is {what.why.value}.", file=err)
    gone = (*swept.removed, *swept.purged)
    if count := 0 if dry_run else len(gone):
        index.publisher.audit(Act(actor, "swept", reason=f"{count} objects"))
    return 1 if swept.left or problems else 0


async def rebuild(
    index: Index,
    out: TextIO,
    err: TextIO,
    *,
    project: str | None = None,
    dry_run: bool = False,
    actor: Actor = SERVER,
) -> int:
    """Write manifests anew that were lost, from the objects that lie there.

    :param project: only this one's, also if it is there and damaged; None: all that
        were lost.
    :returns: 1 if something is left to be done by hand.
    """
    rebuilder = Rebuilder(Adopter.over(index, dry_run=dry_run, actor=actor), dry_run)
    names: Sequence[NormalizedName] = await rebuilder.lost()
    if project is not None:
        names = [project_name(project)]
    if not names:
        print("No manifest is lost.", file=out)
    left = 0
    for name in names:
        rebuilt = await rebuilder.rebuild(name)
        if rebuilt is None:
            print(f"{name} has a manifest that can be read; it stays.", file=out)
            continue
        left += len(rebuilt.left)
        _tell_rebuilt(rebuilt, out, dry_run=dry_run)
        if not dry_run:
            reason = f"{len(rebuilt.files)} files"
            index.publisher.audit(Act(actor, "rebuilt", name, reason=reason))
    return 1 if left else 0


def _tell_rebuilt(rebuilt: Rebuilt, out: TextIO, *, dry_run: bool) -> None:
    name, files = rebuilt.name, rebuilt.files
    for skipped in rebuilt.left:
        print(f"{name} without {skipped.key!r}: {skipped.reason}", file=out)
    if rebuilt.damaged is not None:
        print(f"{name}: the damaged manifest is kept as {rebuilt.damaged}", file=out)
    unknown = sum(file.uploader is None for file in files)
    uploaders = f", and who uploaded {unknown} of them," if unknown else ""
    are = "would be" if dry_run else "are"
    print(
        f"{name}: {len(files)} files {are} published. What was yanked or "
        f"removed{uploaders} is lost: removed files that were not swept are back.",
        file=out,
    )


@define
class ProgressBar:
    """Shows how far a run has come: a bar on a terminal, lines elsewhere."""

    output: TextIO
    seconds: Callable[[], float]
    _told: float = float("-inf")

    def show(self, progress: Progress) -> None:
        """Draw, or write a line now and then."""
        done, found = progress.done, progress.found
        if self.output.isatty():
            filled = 30 * done // max(found, 1)
            bar = "#" * filled + "." * (30 - filled)
            self.output.write(f"\r[{bar}] {done}/{found}")
            self.output.flush()
        elif self.seconds() - self._told >= _LINE_EVERY:
            self._told = self.seconds()
            self.output.write(f"{done} of {found} files done\n")

    def end(self) -> None:
        """Leave the line of the bar."""
        if self.output.isatty():
            self.output.write("\n")
