"""``pypicloud status`` and ``history``: what became of a project, and who did it."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast, get_args

import click

from pypicloud_tw.access.administration.values import WHATEVER, Required
from pypicloud_tw.cli.output import (
    json_option,
    moment,
    plural,
    printable,
    say,
    show,
    show_fields,
    show_json,
)
from pypicloud_tw.cli.projects.acts import tell
from pypicloud_tw.cli.projects.completing import complete_project
from pypicloud_tw.cli.projects.paging import items, takes_limit
from pypicloud_tw.cli.projects.selection import takes_project
from pypicloud_tw.cli.projects.showing import status_text
from pypicloud_tw.cli.questions import asks_first, confirm
from pypicloud_tw.cli.target import Target, takes_target
from pypicloud_tw.index.model import ProjectStatus
from pypicloud_tw.json_values import encode
from pypicloud_tw.projects.values import (
    USUAL,
    Done,
    HistoryPage,
    PastAct,
    ServerStatus,
    StatusChange,
)

if TYPE_CHECKING:
    from pypicloud_tw.cli.administration import Administration

#: What is destroyed for whoever uses it, until it has another status.
_QUARANTINED = "quarantined"


@click.command()
@click.argument("project", required=False, shell_complete=complete_project)
@click.argument("status", required=False, type=click.Choice(get_args(ProjectStatus)))
@click.option("--reason", help="Why; shown to whoever looks at the project.")
@asks_first
@takes_target
@json_option
def status(
    project: str | None,
    status: str | None,
    reason: str | None,
    yes: bool,
    target: Target,
    as_json: bool,
) -> None:
    """Show or set the status of a project; without PROJECT, show the server's.

    An archived or quarantined project takes no uploads; a quarantined one lists no
    files and serves none (PEP 792).
    """
    if status is None and reason is not None:
        raise click.UsageError("Say which status --reason is for.")
    if project is None:
        _show_server(target, as_json)
    elif status is None:
        _show_status(project, target, as_json)
    else:
        change = StatusChange(cast("ProjectStatus", status), reason)
        done = _set_status(project, change, yes, target)
        tell(done, f"{project} is {status}", as_json)


def _show_status(project: str, target: Target, as_json: bool) -> None:
    found = target.do(lambda index: index.projects.project(project))
    if as_json:
        show_json(encode(found.status))
    else:
        say(printable(status_text(found.status)))


def _set_status(project: str, change: StatusChange, yes: bool, target: Target) -> Done:
    async def work(index: Administration) -> Done:
        required = WHATEVER
        if change.status == _QUARANTINED and not yes:
            found = await index.projects.project(project)
            files = plural(sum(one.files for one in found.releases), "file")
            confirm(
                f"Quarantine {printable(project)}? Nobody is shown or sent any of its "
                f"{files} until it has another status, also at addresses that were "
                "given out before.",
                yes=False,
            )
            required = Required(states=frozenset({found.state}))
        return await index.projects.set_status(project, change, required)

    return target.change(work)


def _show_server(target: Target, as_json: bool) -> None:
    found = target.do(lambda index: index.projects.server())
    if as_json:
        show_json(encode(found))
    else:
        show_fields(_server_fields(found))


def _server_fields(server: ServerStatus) -> list[tuple[str, str | None]]:
    fields = encode(server)
    return [
        (name.replace("_", " "), _field_text(value)) for name, value in fields.items()
    ]


def _field_text(value: object) -> str | None:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.1f} s"
    return None if value is None else str(value)


@click.command()
@takes_project
@takes_limit(USUAL, "acts")
@takes_target
@json_option
def history(project: str, limit: int, target: Target, as_json: bool) -> None:
    """Show who did what with a project, the newest first.

    The id of an act is what ``undo`` takes.
    """

    async def work(index: Administration) -> list[PastAct]:
        async def page(cursor: str | None, count: int) -> HistoryPage:
            return await index.projects.history(project, cursor, count)

        return [one async for one in items(page, limit)]

    acts = target.do(work)
    columns = ("WHEN", "ID", "WHO", "DID", "WHAT", "WHY", "UNDO")
    show(acts, columns, _row, as_json=as_json)
    if len(acts) == limit and not as_json:
        click.echo("There may be older ones: --limit shows more.", err=True)


def _row(one: PastAct) -> tuple[str, ...]:
    return (
        moment(one.at),
        one.id,
        one.who or "the server",
        one.act,
        _about(one),
        one.reason or "",
        f"of {one.undoes}" if one.undoes else ("can be" if one.undoable else ""),
    )


def _about(one: PastAct) -> str:
    if one.count == 1 and one.files:
        return one.files[0]
    files = plural(one.count, "file") if one.count else ""
    return ", ".join(filter(None, (one.version, files)))
