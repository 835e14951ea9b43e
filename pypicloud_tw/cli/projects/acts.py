"""``pypicloud yank``, ``unyank``, ``delete``, ``restore`` and ``undo``."""

from __future__ import annotations

import click

from pypicloud_tw.access.administration.values import WHATEVER, Required
from pypicloud_tw.cli.administration import Administration
from pypicloud_tw.cli.output import (
    json_option,
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
from pypicloud_tw.json_values import encode
from pypicloud_tw.projects.values import Done, ProjectDetail, Undo, Yank


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
@asks_first
@takes_target
@json_option
def delete(named: Named, yes: bool, target: Target, as_json: bool) -> None:
    """Delete a file, a release, or every file of a project.

    Its filenames are not taken again with other bytes. Until index.restore_for is over,
    ``restore`` or ``undo`` brings it back.
    """

    async def work(index: Administration) -> Done:
        required = WHATEVER
        if not yes:
            project = await index.projects.project(named.project)
            confirm(_question(named, project), yes=False)
            # What was agreed to is what is done.
            required = Required(states=frozenset({project.state}))
        return await index.projects.delete(named.project, named.what, required)

    done = target.change(work)
    count = "" if done.act is None else f": {plural(done.act.count, 'file')}"
    tell(done, f"{named} is deleted{count}", as_json)
    if done.changed and not as_json and done.act is not None:
        how = f"pypicloud undo {printable(named.project)} {done.act.id}"
        click.echo(f"This takes it back, while it can be: {how}", err=True)


def _question(named: Named, project: ProjectDetail) -> str:
    """Say what would be deleted, and for how long it could be restored."""
    return f"Delete {printable(str(named))}? {_how_much(named, project)}"


def _how_much(named: Named, project: ProjectDetail) -> str:
    if named.what.file is not None:
        return "That is 1 file."
    if named.what.version is not None:
        return "That is every file of the release."
    releases = plural(len(project.releases), "release")
    files = plural(sum(one.files for one in project.releases), "file")
    return f"That is all of the project: {releases} with {files}."


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
    count = "" if done.act is None else f": {plural(done.act.count, 'file')}"
    tell(done, f"{named} is restored{count}", as_json)


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
    tell(done, f"{project}: {act_text(done)}", as_json)


def act_text(done: Done) -> str:
    """Say what was done, as the history has it."""
    if done.act is None:
        return "nothing was to be undone"
    about = done.act.version or plural(done.act.count, "file")
    return f"{done.act.act} {about}"


def tell(done: Done, sentence: str, as_json: bool) -> None:
    """Print what came of an act."""
    if as_json:
        show_json(encode(done))
        return
    say(f"{printable(sentence)}.")
    if not done.changed:
        click.echo("It was so already: nothing is changed.", err=True)
