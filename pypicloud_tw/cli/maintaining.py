"""Maintenance of the store, which prints what it does and returns an exit code."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TextIO

from pypicloud_tw.cli.errors import failed
from pypicloud_tw.cli.offline import (
    check_folder,
    check_only_writer,
    command_actor,
    with_index,
)
from pypicloud_tw.cli.running import run
from pypicloud_tw.config.configuration import Config
from pypicloud_tw.errors import PypicloudError
from pypicloud_tw.index.audit import Act
from pypicloud_tw.index.index import Index
from pypicloud_tw.maintenance import jobs
from pypicloud_tw.maintenance.verify import Kind, Verifier
from pypicloud_tw.process import Process
from pypicloud_tw.projects.derived.job import rebuild_derived

#: Does its work with what it has to say to standard output and standard error; returns
#: the exit code.
_Job = Callable[[Index, TextIO, TextIO], Awaitable[int]]


def prepare(config: Config) -> int:
    """Create the folder or the bucket that will keep the packages."""

    async def job(index: Index) -> int:
        return 0

    return _run(config, job, create=True)


def run_refresh(config: Config, *, dry_run: bool = False, derived: bool = False) -> int:
    """Adopt what is in the store without being named; see :func:`.jobs.refresh`.

    :param derived: instead make what is searched anew.
    """
    if derived:
        return _run_job(config, rebuild_derived)
    job = partial(jobs.refresh, dry_run=dry_run, actor=command_actor())
    return _run_job(config, job, changes=not dry_run)


def run_verify(config: Config, *, deep: bool = False) -> int:
    """Check that every file that a manifest names is there as it says.

    :param deep: read every byte and compare the digests.
    :returns: 1 if something is wrong, 2 if it could not all be looked at; each fault
        is a line. What was never published is named, and is no fault.
    """

    async def job(index: Index) -> int:
        checked = 0
        faults: Counter[Kind] = Counter()
        offload = index.publisher.offload
        verifier = Verifier(index.store, index.manifests, offload, deep)
        async for fault in verifier.faults():
            if fault is not None:
                print(fault)
                faults[fault.kind] += 1
            checked += fault is None or fault.kind is not Kind.UNSERVED
        wrong, unseen = faults[Kind.WRONG], faults[Kind.UNSEEN]
        print(f"{checked} files checked, {wrong} wrong.")
        if unseen:
            print(f"{unseen} could not be looked at.")
        if faults[Kind.UNSERVED]:
            print(f"{faults[Kind.UNSERVED]} projects are not published.")
        if wrong:
            return 1
        return 2 if unseen else 0

    return _run(config, job)


def run_rebuild(config: Config, *, project: str | None, dry_run: bool = False) -> int:
    """Write lost manifests anew; see :func:`.jobs.rebuild`."""
    job = partial(jobs.rebuild, project=project, dry_run=dry_run, actor=command_actor())
    return _run_job(config, job, changes=not dry_run)


def run_sweep(
    config: Config, *, age: float | None = None, dry_run: bool = False
) -> int:
    """Remove what no manifest names; see :func:`.jobs.sweep`."""
    job = partial(
        jobs.sweep,
        age=age,
        keep=config.audit.keep,
        dry_run=dry_run,
        actor=command_actor(),
    )
    return _run_job(config, job, changes=not dry_run)


def _run_job(config: Config, job: _Job, *, changes: bool = True) -> int:
    """Do a job, unless another process alone may change things.

    :param changes: whether the job changes anything at all.
    """

    async def checked(index: Index) -> int:
        if changes:
            check_only_writer(index)
        return await job(index, sys.stdout, sys.stderr)

    return _run(config, checked)


def _show(act: Act) -> None:
    """Print a change where a command's own words do not get in the way."""
    print(act.sentence, file=sys.stderr)


def _run(
    config: Config,
    job: Callable[[Index], Awaitable[int]],
    *,
    create: bool = False,
) -> int:
    """Run *job* on the assembled index and say in a sentence what went wrong.

    :param create: whether a folder that is not there is made. In place of one that is
        misspelt, or whose disk is not mounted, it would pass for a sound store.
    :returns: the job's exit code, or what :func:`.base.failed` makes of an error.
    """

    async def work(_: Process, index: Index) -> int:
        index.unserved.find({})  # what servers found out is in the store
        return await job(index)

    try:
        if not create:
            check_folder(config)
        return run(lambda reactor: with_index(config, reactor, work, _show))
    except PypicloudError as e:
        print(f"pypicloud: {e.message}", file=sys.stderr)
        return failed(e).exit_code
