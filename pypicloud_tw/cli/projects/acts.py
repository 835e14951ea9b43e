"""``pypicloud yank``, ``unyank``, ``delete``, ``restore`` and ``undo``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from pypicloud_tw.access.administration.values import WHATEVER, Required
from pypicloud_tw.cli.base import surroundings
from pypicloud_tw.cli.output import (
    json_option,
    moment,
    plural,
    printable,
    say,
    show_json,
)
from pypicloud_tw.cli.projects.selection import (
    Named,
    takes_former,
    takes_part,
    takes_project,
    takes_selection,
)
from pypicloud_tw.cli.questions import asks_first, confirm
from pypicloud_tw.cli.target import Target, takes_target
from pypicloud_tw.errors import NotFound
from pypicloud_tw.json_values import encode
from pypicloud_tw.projects.interface import ProjectAdministration
from pypicloud_tw.projects.values import Done, ProjectDetail, Undo, Yank

if TYPE_CHECKING:
    from pypicloud_tw.cli.administration import Administration

#: Seconds behind which nobody looks: a hundred years.
_FOR_EVER = 100 * 366 * 86400


@click.command()
@takes_former
@takes_part
@click.option("--reason", default="", help="Why; installers show it.")
@click.option("--undo", is_flag=True, help="Do what unyank does.")
@takes_target
@json_option
def yank(named: Named, reason: str, undo: bool, target: Target, as_json: bool) -> None:
    """Yank a release or a file.

    Installers ignore it unless it is pinned (PEP 592). For example:
    `pypicloud yank acme==1.0 --reason "breaks on Python 3.13"`
    """
    if undo and reason:
        raise click.UsageError("Nothing has a reason that is not yanked.")
    if undo:
        _unyank(named, target, as_json)
        return
    done = target.change(
        lambda index: index.projects.yank(named.project, named.what, Yank(reason))
    )
    tell(done, f"{named} is yanked", as_json)


@click.command()
@takes_part
@takes_target
@json_option
def unyank(named: Named, target: Target, as_json: bool) -> None:
    """Take back that a release or a file is yanked."""
    _unyank(named, target, as_json)


def _unyank(named: Named, target: Target, as_json: bool) -> None:
    done = target.change(lambda index: index.projects.unyank(named.project, named.what))
    tell(done, f"{named} is not yanked", as_json)


@click.command()
@takes_former
@takes_selection
@click.option("--reason", help="Why; the history shows it.")
@asks_first
@takes_target
@json_option
def delete(
    named: Named, reason: str | None, yes: bool, target: Target, as_json: bool
) -> None:
    """Delete a file, a release, or every file of a project.

    Its filenames are not taken again with other bytes. Until index.restore_for is over,
    ``restore`` or ``undo`` brings it back.
    """

    async def work(index: Administration) -> Done:
        required = WHATEVER
        if not yes:
            project = await index.projects.project(named.project)
            if files := await _count(index.projects, named, project):
                confirm(_question(named, files, project), yes=False)
            # What was agreed to is what is done.
            required = Required(states=frozenset({project.state}))
        return await index.projects.delete(named.project, named.what, required, reason)

    done = target.change(work)
    if done.act is not None and not as_json:
        how = f"pypicloud undo {printable(named.project)} {printable(done.act.id)}"
        click.echo(f"While it can be restored, this does it: {how}", err=True)
    tell(done, f"{named} is deleted{_how_many(done)}", as_json)


async def _count(
    projects: ProjectAdministration, named: Named, project: ProjectDetail
) -> int:
    """Count the files that are meant; what is not there is none."""
    try:
        if named.what.file is not None:
            return len([await projects.file(named.project, named.what.file)])
        if named.what.version is not None:
            release = await projects.release(named.project, named.what.version)
            return len(release.files)
    except NotFound:
        return 0
    return sum(one.files for one in project.releases)


def _question(named: Named, files: int, project: ProjectDetail) -> str:
    """Say what would be deleted, and until when it could be restored."""
    whole = f"all of the project {project.name}" if named.is_project else str(named)
    are = f"{plural(files, 'file')}, which {_fate(project.restore_for)}"
    return f"Delete {printable(whole)}? That is {are}."


def _fate(restore_for: int) -> str:
    """Say what becomes of what is deleted, and can be restored for some seconds."""
    if restore_for <= 0:
        return "cannot be restored"
    if restore_for > _FOR_EVER:
        return "can be restored"
    until = datetime.fromtimestamp(surroundings().now() + restore_for, UTC)
    return f"can be restored until {moment(until)} UTC"


def _how_many(done: Done) -> str:
    return "" if done.act is None else f": {plural(done.act.count, 'file')}"


@click.command()
@takes_selection
@takes_target
@json_option
def restore(named: Named, target: Target, as_json: bool) -> None:
    """Publish again what was deleted, as it was.

    A file, a release, or all of a project that can be restored: ``show`` lists it.
    """
    done = target.change(
        lambda index: index.projects.restore(named.project, named.what)
    )
    tell(done, f"{named} is restored{_how_many(done)}", as_json)


@click.command()
@takes_project
@click.argument("act", required=False)
@takes_target
@json_option
def undo(project: str, act: str | None, target: Target, as_json: bool) -> None:
    """Undo the last act that can be undone, or ACT.

    ACT is an id, as ``history`` has it. Yanks, deletions, restores and changes of the
    status can be undone.
    """
    done = target.change(lambda index: index.projects.undo(project, Undo(act)))
    undone = act if done.act is None else done.act.undoes
    tell(done, f"{project}: act {undone} is undone{_how_many(done)}", as_json)


def tell(done: Done, sentence: str, as_json: bool) -> None:
    """Print what came of an act; exits with 1 where a part of it was refused."""
    if as_json:
        show_json(encode(done))
    else:
        say(f"{printable(sentence)}.")
    if not done.changed and not as_json:
        click.echo("It was so already: nothing is changed.", err=True)
    for notice in done.notices:
        click.echo(printable(notice), err=True)
    if done.notices:
        click.get_current_context().exit(1)
