"""``pypicloud prune``: what may go by rules, shown as a plan and carried out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from attrs import define, field

from pypicloud_tw.cli.base import surroundings
from pypicloud_tw.cli.errors import CouldNotDo, PlainError, sentence_of
from pypicloud_tw.cli.output import (
    json_option,
    moment,
    plural,
    printable,
    say,
    show_json,
    show_table,
    size,
)
from pypicloud_tw.cli.paths import NamedPath
from pypicloud_tw.cli.questions import asks_first, confirm
from pypicloud_tw.cli.target import Target, takes_target
from pypicloud_tw.config.retention import Keeping, parse_keeping
from pypicloud_tw.config.values import BadValueError
from pypicloud_tw.errors import BadRequest
from pypicloud_tw.json_values import encode
from pypicloud_tw.maintenance.retention.plan import (
    Applied,
    Plan,
    PlannedProject,
    read_plan,
)
from pypicloud_tw.projects.pruning import PlanQuestion, apply_plan, make_plan

if TYPE_CHECKING:
    from pypicloud_tw.cli.administration import Administration

T = TypeVar("T")

#: ``--apply`` without a plan behind it.
_AT_ONCE = ""

#: Bytes of a plan that is read: one of 5 million files has less.
_MAX_PLAN = 2**30

#: Seconds between two lines that tell how far it is.
_EVERY = 5.0

_COLUMNS = ("PROJECT", "RELEASE", "UPLOADED", "FILES", "SIZE", "WHY")

#: What each part of what is kept is called as an option.
_OPTIONS = {
    "releases": ("--keep", "--keep-releases"),
    "younger": ("--younger", "--keep-younger"),
    "prereleases": ("--keep-prereleases",),
    "prereleases_younger": ("--keep-prereleases-younger",),
    "dev": ("--keep-dev",),
    "dev_younger": ("--keep-dev-younger",),
    "fetched": ("--keep-fetched",),
}
_HELP = {
    "releases": ("N", "Keep the newest N final releases."),
    "younger": ("AGE", "Keep final releases that are younger, as in 30d."),
    "prereleases": ("N", "Keep the newest N pre-releases."),
    "prereleases_younger": ("AGE", "Keep pre-releases that are younger."),
    "dev": ("N", "Keep the newest N development releases."),
    "dev_younger": ("AGE", "Keep development releases that are younger."),
    "fetched": ("AGE", "Keep what was fetched within so long."),
}


def _takes_keeping(command: Callable[..., T]) -> Callable[..., T]:
    """Give a command the options of what is kept, as *keep*; None: none is given."""

    @wraps(command)
    def kept(**arguments: Any) -> T:
        texts = {part: arguments.pop(f"keep_{part}") for part in _OPTIONS}
        return command(keep=_keeping(texts), **arguments)

    chosen: Callable[..., T] = kept
    for part, names in reversed(_OPTIONS.items()):
        metavar, text = _HELP[part]
        option = click.option(*names, f"keep_{part}", metavar=metavar, help=text)
        chosen = option(chosen)
    return chosen


def _keeping(texts: dict[str, str | None]) -> Keeping | None:
    if all(text is None for text in texts.values()):
        return None
    try:
        return parse_keeping(texts)
    except BadValueError as e:
        part, _, why = str(e).partition(" ")
        raise click.UsageError(f"{_OPTIONS[part][0]} {why}") from None


@click.command()
@click.argument("patterns", nargs=-1, metavar="[PATTERN]...")
@_takes_keeping
@click.option(
    "--plan",
    "save",
    type=NamedPath(dir_okay=False),
    metavar="FILE",
    help="Save the plan.",
)
@click.option(
    "--apply",
    is_flag=False,
    flag_value=_AT_ONCE,
    metavar="[PLAN]",
    help="Carry out a plan that was saved; without one, what is planned now.",
)
@asks_first
@takes_target
@json_option
def prune(
    patterns: tuple[str, ...],
    keep: Keeping | None,
    save: Path | None,
    apply: str | None,
    yes: bool,
    target: Target,
    as_json: bool,
) -> None:
    """Plan what may be deleted by rules; with --apply, delete it.

    The rules are those of the ini (retention.NAME...), or one of the options --keep and
    so on, for the projects that are named: names, or patterns as in `acme-*`. A plan
    changes nothing. It is carried out where nothing changed since: other projects are
    told and left, and the exit code is 1. ``undo`` brings back what a project lost.

    For example: `pypicloud prune 'acme-*' --keep 10 --younger 90d --plan plan.json`,
    then `pypicloud prune --apply plan.json`
    """
    if apply:
        if patterns or keep is not None or save is not None:
            raise click.UsageError(
                "A saved plan says it all: give --apply PLAN alone. To carry out what "
                "is planned now, put --apply behind everything else."
            )
        plan = _load(Path(apply))
        confirm(_question(plan), yes)
        _tell_applied(
            target.change(lambda index: _apply(index, plan.projects)), as_json
        )
        return
    if keep is not None and not patterns:
        raise click.UsageError("Name the projects; '*' stands for all.")
    question = PlanQuestion(patterns, keep)
    if apply is None:
        plan = target.do(lambda index: _plan(index, question))
        _show(plan, as_json)
        _tell_none(plan, keep)
        _save(plan, save)
        return

    async def work(index: Administration) -> Sequence[Applied]:
        plan = await _plan(index, question)
        if not as_json:
            _show(plan, as_json)
        _tell_none(plan, keep)
        _save(plan, save)
        if not plan.projects:
            return ()
        confirm(_question(plan), yes)
        return await _apply(index, plan.projects)

    _tell_applied(target.change(work), as_json)


async def _plan(index: Administration, question: PlanQuestion) -> Plan:
    progress = _Progress("projects looked at")
    return await make_plan(index.pruning, question, progress.report)


async def _apply(
    index: Administration, projects: Sequence[PlannedProject]
) -> Sequence[Applied]:
    progress = _Progress(f"of {plural(len(projects), 'project')} done")
    return await apply_plan(index.pruning, projects, progress.report)


@define
class _Progress:
    """Says on stderr how far it is, if that takes long."""

    what: str
    said: float = field(factory=lambda: surroundings().now())

    def report(self, count: int) -> None:
        now = surroundings().now()
        if now - self.said >= _EVERY:
            self.said = now
            click.echo(f"{count} {self.what}", err=True)


def _show(plan: Plan, as_json: bool) -> None:
    """Print a plan."""
    if as_json:
        show_json(encode(plan))
        return
    for notice in plan.notices:
        click.echo(printable(notice), err=True)
    if plan.projects:
        show_table(_COLUMNS, _rows(plan))
    say(f"{_much(plan)} would be deleted.")


def _tell_none(plan: Plan, keep: Keeping | None) -> None:
    """Say that no project is meant, if so."""
    if plan.totals.looked_at:
        return
    why = "There is no such project that you may delete from."
    if keep is None:
        why = (
            "No rule of the ini (retention.NAME...) is for such a project. --keep and "
            "the like do without."
        )
    click.echo(why, err=True)


def _rows(plan: Plan) -> Iterator[tuple[str, ...]]:
    for project in plan.projects:
        for release in project.releases:
            yield (
                project.project,
                release.version,
                "" if release.uploaded is None else moment(release.uploaded),
                str(len(release.files)),
                size(release.size),
                release.reason,
            )


def _much(plan: Plan) -> str:
    totals = plan.totals
    return (
        f"{plural(totals.releases, 'release')} of {plural(totals.projects, 'project')} "
        f"({plural(totals.files, 'file')}, {size(totals.size)})"
    )


def _question(plan: Plan) -> str:
    return f"Delete {_much(plan)}? Each project's part can be undone for a time."


def _save(plan: Plan, path: Path | None) -> None:
    if path is None:
        return
    try:
        path.write_text(f"{json.dumps(encode(plan), indent=1)}\n", "utf-8")
    except OSError as e:
        raise CouldNotDo(sentence_of(e)) from None
    click.echo(f"The plan is saved: pypicloud prune --apply {path}", err=True)


def _load(path: Path) -> Plan:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_PLAN + 1)
    except OSError as e:
        raise CouldNotDo(sentence_of(e)) from None
    if len(data) > _MAX_PLAN:
        raise CouldNotDo(f"{path} is too long for a plan.")
    try:
        return read_plan(data)
    except BadRequest as e:
        raise PlainError(f"{path}: {e.message}") from None


def _tell_applied(applied: Sequence[Applied], as_json: bool) -> None:
    """Print what became of a plan, and exit with 1 or 2 if not all was done."""
    counts = Counter(one.outcome for one in applied)
    if as_json:
        show_json(encode(applied))
    else:
        _tell_each(applied)
        pruned = [one for one in applied if one.outcome == "pruned"]
        releases = plural(sum(one.releases for one in pruned), "release")
        files = plural(sum(one.files for one in pruned), "file")
        say(f"Deleted: {releases} of {plural(len(pruned), 'project')} ({files}).")
        if pruned:
            click.echo("pypicloud undo PROJECT brings one's back for a time.", err=True)
    if counts["failed"]:
        click.get_current_context().exit(2)
    if counts["changed"] or counts["refused"]:
        click.get_current_context().exit(1)


def _tell_each(applied: Sequence[Applied]) -> None:
    for one in applied:
        if one.outcome != "pruned":
            click.echo(printable(f"{one.project}: {one.sentence}"), err=True)
