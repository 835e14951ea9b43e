"""``pypicloud audit advisories``: what was taken that advisories affect."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast, get_args

import click
from attrs import evolve

from pypicloud_tw.cli.advisories.formats import csv_text, sarif
from pypicloud_tw.cli.errors import CouldNotDo
from pypicloud_tw.cli.output import moment, plural, say, show_json, show_table
from pypicloud_tw.cli.target import Target, takes_target
from pypicloud_tw.json_values import encode
from pypicloud_tw.projects.affected.values import (
    MOST,
    AffectedPage,
    AffectedQuestion,
    AffectedRelease,
    SeverityWord,
)

if TYPE_CHECKING:
    from pypicloud_tw.cli.administration import Administration

#: The exit code where something is affected: something is wrong with what was looked
#: at, in the words of ``pypicloud --help``.
FOUND = 1

_COLUMNS = ("PROJECT", "VERSION", "WHAT", "ID", "WHERE", "FETCHED", "FIX")


@click.command("advisories")
@takes_target
@click.option(
    "--severity",
    type=click.Choice(get_args(SeverityWord)),
    default="unknown",
    show_default=True,
    help="Only what is at least so bad; malware always is.",
)
@click.option("--project", help="Only this project.")
@click.option("--malware", is_flag=True, help="Only malware.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "csv", "sarif"]),
    default="table",
    show_default=True,
    help="How it is printed.",
)
def advisories(
    target: Target, severity: str, project: str | None, malware: bool, form: str
) -> None:
    """Tell what this index has or gave out that advisories affect.

    Malware comes first, then the worst, then what was fetched most often.
    Administrators are told of everything, others of what they manage. Exits with 1 if
    there is anything, for CI; with 2 if it cannot be known.
    """
    question = AffectedQuestion(
        cast(SeverityWord, severity), project, malware, limit=MOST
    )

    async def work(index: Administration) -> AffectedPage:
        advisories = index.advisories
        page = await advisories.affected(question)
        items = list(page.items)
        cursor = page.cursor
        while cursor is not None:
            following = await advisories.affected(evolve(question, cursor=cursor))
            items += following.items
            cursor = following.cursor
        return evolve(page, items=tuple(items), cursor=None)

    found = target.do(work)
    if not found.known:
        raise CouldNotDo(
            "No advisories are known: advisories.source is not set, or has not been "
            "read yet. The log says why; pypicloud status says how old they are."
        )
    _print(found, form)
    for notice in found.notices:
        click.echo(notice, err=True)
    if found.items:
        click.get_current_context().exit(FOUND)


def _print(found: AffectedPage, form: str) -> None:
    match form:
        case "json":
            show_json(encode(found))
        case "csv":
            say(csv_text(found.items), end="")
        case "sarif":
            show_json(sarif(found.items))
        case _:
            _show(found)


def _show(found: AffectedPage) -> None:
    if not found.items:
        say(f"Nothing is affected, as of {moment(found.made)} UTC.")
        return
    show_table(_COLUMNS, map(_row, found.items))
    counted = "" if found.counted else " Downloads are not counted."
    say(f"{plural(len(found.items), 'row')}, as of {moment(found.made)} UTC.{counted}")
    if found.left_out:
        say(f"{found.left_out} more are too many to be told.")


def _row(row: AffectedRelease) -> tuple[str, ...]:
    return (
        row.project,
        row.version,
        "malware" if row.malware else row.severity,
        " ".join(row.ids),
        " ".join(row.places),
        "not counted" if row.fetches is None else str(row.fetches),
        _fix(row),
    )


def _fix(row: AffectedRelease) -> str:
    fix = row.fix
    if fix is None:
        return "none"
    match fix.state:
        case "hidden" if fix.until is not None:
            return f"{fix.version} ({fix.rule} until {moment(fix.until)})"
        case "hidden":
            return f"{fix.version} (hidden by {fix.rule})"
        case "visible":
            return fix.version
        case _:
            return f"{fix.version} (not known here)"
