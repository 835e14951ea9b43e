"""What the commands do to an index; each call runs a reactor and returns an exit code.

They work beside live servers: whatever they change goes through the same swaps.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable
from typing import TextIO

from attrs import define
from twisted.internet.defer import Deferred
from twisted.internet.task import react

from pypicloud_tw.assembly import Index, make_index
from pypicloud_tw.config import Config
from pypicloud_tw.errors import PypicloudError
from pypicloud_tw.index.adopt import Progress
from pypicloud_tw.index.names import project_name

#: Seconds between two lines of progress where there is no terminal to draw a bar on.
_LINE_EVERY = 5.0


def prepare(config: Config) -> int:
    """Create the folder or the bucket that will keep the packages."""

    async def job(index: Index) -> int:
        return 0

    return _run(config, job, create=True)


def run_refresh(config: Config, *, dry_run: bool = False) -> int:
    """Adopt what lies in the store without being named.

    :returns: 0 also if files were skipped: what is no distribution is no fault.
    """

    async def job(index: Index) -> int:
        bar = ProgressBar(sys.stderr, index.reactor.seconds)
        progress = await index.adopter(bar.show, dry_run=dry_run).run()
        bar.end()
        _summarize(progress, dry_run=dry_run)
        return 0

    return _run(config, job)


def run_verify(config: Config, *, deep: bool = False) -> int:
    """Check that every file that a manifest names is there as it says.

    :param deep: read every byte and compare the digests.
    :returns: 1 if something is wrong; each fault is a line.
    """

    async def job(index: Index) -> int:
        checked = wrong = 0
        async for fault in index.verifier(deep=deep).faults():
            checked += 1
            if fault is not None:
                wrong += 1
                print(
                    f"{fault.project} {fault.filename} ({fault.key}): {fault.problem}"
                )
        print(f"{checked} files checked, {wrong} wrong.")
        return 1 if wrong else 0

    return _run(config, job)


def run_sweep(
    config: Config, *, age: float | None = None, dry_run: bool = False
) -> int:
    """Remove what no manifest names, and what was deleted long enough ago.

    :param age: seconds; None is ``index.sweep_age``, and less is refused: the servers
        rely on it.
    """
    at_least = config.index.sweep_age
    if age is not None and age < at_least:
        print(
            f"pypicloud: the age must be at least index.sweep_age ({at_least:.0f} s), "
            "by which the servers judge how long an upload may take.",
            file=sys.stderr,
        )
        return 1

    async def job(index: Index) -> int:
        def report(key: str) -> None:
            print(f"{'would remove' if dry_run else 'removed'} {key}")

        sweeper = index.sweeper(age or at_least, report, dry_run=dry_run)
        swept = await sweeper.run()
        print(
            f"{swept.seen} objects seen, {len(swept.removed)} orphans, "
            f"{len(swept.purged)} of deleted files, "
            f"{swept.unfinished} unfinished uploads."
        )
        return 0

    return _run(config, job)


def run_yank(config: Config, project: str, version: str, reason: str | None) -> int:
    """Yank a release (PEP 592).

    :param reason: shown by installers; may be empty. None un-yanks.
    """

    async def job(index: Index) -> int:
        await index.publisher.yank(project_name(project), version, reason)
        print(f"{project} {version} is {'not yanked' if reason is None else 'yanked'}.")
        return 0

    return _run(config, job)


def run_remove(config: Config, project: str, version: str) -> int:
    """Remove a release; its filenames stay taken."""

    async def job(index: Index) -> int:
        await index.publisher.remove(project_name(project), version)
        print(f"{project} {version} is removed.")
        return 0

    return _run(config, job)


def _summarize(progress: Progress, *, dry_run: bool) -> None:
    for skipped in sorted(progress.skipped, key=lambda one: one.key):
        print(f"skipped {skipped.key!r}: {skipped.reason}")
    done = "would be adopted" if dry_run else "adopted"
    print(
        f"{progress.adopted} files {done}, {progress.known} known already, "
        f"{len(progress.skipped)} skipped."
    )


def _run(
    config: Config, job: Callable[[Index], Awaitable[int]], *, create: bool = False
) -> int:
    """Run *job* on the assembled index and say in a sentence what went wrong.

    :param create: whether a folder that is not there is made. In place of one that is
        misspelt, or whose disk is not mounted, it would pass for a sound store.
    """
    code = 1
    folder = config.storage.dir
    if not create and config.aws.bucket is None and not folder.is_dir():
        print(
            f"pypicloud: There is no folder {folder} (storage.dir); see whether its "
            "disk is mounted, or make it: pypicloud create-schema.",
            file=sys.stderr,
        )
        return code

    async def main(reactor: object) -> None:
        nonlocal code
        index = make_index(config, reactor, os.environ)
        index.offload.startService()  # type: ignore[no-untyped-call]  # Twisted's
        try:
            await index.publisher.store.prepare()
            await index.secure()
            code = await job(index)
        except PypicloudError as e:
            print(f"pypicloud: {e.message}", file=sys.stderr)
        finally:
            await index.close()

    try:
        react(lambda reactor: Deferred.fromCoroutine(main(reactor)))
    except SystemExit as e:
        # react ends the process when it is done; an interrupt shows as its code.
        code = code or int(e.code or 0)
    return code


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
