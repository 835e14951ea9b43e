"""``pypicloud stats``: how often projects are fetched, when and by what."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

import click

from pypicloud_tw.cli.output import (
    JsonList,
    json_option,
    plural,
    printable,
    say,
    show_json,
    show_table,
)
from pypicloud_tw.cli.projects.completing import complete_release
from pypicloud_tw.cli.projects.paging import items
from pypicloud_tw.cli.target import Target, takes_target
from pypicloud_tw.json_values import encode
from pypicloud_tw.projects.statistics.values import (
    MOST_DAYS,
    USUAL_DAYS,
    ClientFetches,
    DayFetches,
    FetchedProject,
    ProjectFetches,
    Share,
    TopPage,
    TotalFetches,
)

if TYPE_CHECKING:
    from pypicloud_tw.cli.administration import Administration

#: Projects of the list, unless more are asked for.
TOP = 20

_BY = ("day", "month", "version", "client", "python", "system")


@click.command()
@click.argument("project", required=False, shell_complete=complete_release)
@click.option(
    "--days",
    type=click.IntRange(1, MOST_DAYS),
    metavar="N",
    default=USUAL_DAYS,
    show_default=True,
    help="Within so many days, the last of which is today.",
)
@click.option(
    "--by",
    type=click.Choice(_BY),
    help="What to tell them by; of a project by version, if it is not given.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    metavar="N",
    default=TOP,
    show_default=True,
    help="At most so many projects.",
)
@takes_target
@json_option
def stats(
    project: str | None,
    days: int,
    by: str | None,
    limit: int,
    target: Target,
    as_json: bool,
) -> None:
    """Tell how often projects are fetched, when and by what.

    Without PROJECT it lists those that are fetched most; with --by it tells of all
    projects together. Downloads are counted on all servers, without addresses or users.
    """
    if project is None and by == "version":
        raise click.UsageError("Name a project, to tell of its versions.")
    if project is None and by is None:
        target.do(partial(_top, days=days, limit=limit, as_json=as_json))
        return

    async def work(index: Administration) -> ProjectFetches | TotalFetches:
        if project is None:
            return await index.statistics.totals(days)
        return await index.statistics.project(project, days)

    found = target.do(work)
    if as_json:
        show_json(encode(found))
    else:
        _show(found, by or "version")


async def _top(index: Administration, *, days: int, limit: int, as_json: bool) -> None:
    since: list[datetime | None] = []

    async def ask(cursor: str | None, most: int) -> TopPage:
        page = await index.statistics.top(days, cursor, most)
        since.append(page.since)
        return page

    found = [one async for one in items(ask, limit)]
    if as_json:
        printed = JsonList()
        for one in found:
            printed.add(one)
        printed.end()
        return
    show_table(("PROJECT", "DOWNLOADS"), map(_project, found))
    _tell_unknown(since[-1])


def _project(one: FetchedProject) -> tuple[str, str]:
    return one.project, str(one.fetches)


def _show(found: ProjectFetches | TotalFetches, by: str) -> None:
    what = "all projects" if isinstance(found, TotalFetches) else found.project
    times = plural(found.fetches, "download")
    say(f"{printable(what)}: {times} within {plural(found.days, 'day')}\n")
    show_table(*_table(found, by))
    _tell_unknown(found.since)


def _table(
    found: ProjectFetches | TotalFetches, by: str
) -> tuple[tuple[str, ...], Iterable[tuple[str, ...]]]:
    """Return the heads of columns, and the rows."""
    if by == "version" and isinstance(found, ProjectFetches):
        rows = [
            (one.version or "unknown", str(one.fetches), one.last or "")
            for one in found.versions
        ]
        return ("VERSION", "DOWNLOADS", "LAST"), rows
    if by == "day":
        return ("DAY", "DOWNLOADS"), map(_day, found.by_day)
    if by == "month":
        months = [(one.month, str(one.fetches)) for one in found.by_month]
        return ("MONTH", "DOWNLOADS"), months
    heads = (by.upper(), "DOWNLOADS", "SHARE")
    if by == "client":
        return heads, map(partial(_client, found.fetches), found.clients)
    shares = found.pythons if by == "python" else found.systems
    return heads, map(partial(_share, found.fetches), shares)


def _day(one: DayFetches) -> tuple[str, str]:
    if one.known:
        return one.day, str(one.fetches)
    return one.day, f"at least {one.fetches}" if one.fetches else "unknown"


def _client(total: int, one: ClientFetches) -> tuple[str, ...]:
    name = f"{one.installer} {one.version or ''}".rstrip()
    return name, str(one.fetches), _percent(one.fetches, total)


def _share(total: int, one: Share) -> tuple[str, ...]:
    return one.name or "unknown", str(one.fetches), _percent(one.fetches, total)


def _percent(part: int, total: int) -> str:
    return f"{100 * part / total:.1f} %" if total else ""


def _tell_unknown(since: datetime | None) -> None:
    """Say since when all is known, for what was before may be more."""
    if since is None:
        click.echo("Of no day it is known that this is all.", err=True)
    else:
        click.echo(f"All downloads are counted since {since:%Y-%m-%d}.", err=True)
