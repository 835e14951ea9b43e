"""``pypicloud ls`` and ``search``: what there is."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import click

from pypicloud_tw.cli.output import JsonList, json_option, printable, say, show
from pypicloud_tw.cli.projects.completing import complete_release
from pypicloud_tw.cli.projects.paging import items, takes_limit
from pypicloud_tw.cli.projects.selection import Named
from pypicloud_tw.cli.target import Target, takes_target
from pypicloud_tw.projects.interface import ProjectAdministration
from pypicloud_tw.projects.values import USUAL, Found, FoundPage, Origin, OwnRight

if TYPE_CHECKING:
    from pypicloud_tw.cli.administration import Administration


@click.command("ls")
@click.argument(
    "words", nargs=-1, metavar="[PROJECT[==VERSION]]", shell_complete=complete_release
)
@takes_limit(None, "names")
@takes_target
@json_option
def list_names(
    words: tuple[str, ...], limit: int | None, target: Target, as_json: bool
) -> None:
    """List the projects, the releases of one, or the files of a release.

    Prints a name a line: projects in the order of their names, releases the oldest
    first. ``show`` tells more of each.
    """
    named = Named.parse(words, None) if words else None

    async def work(index: Administration) -> None:
        printed = _Names(as_json)
        if named is None:
            async for one in items(index.projects.projects, limit):
                printed.add(one.name, one)
        else:
            for name, value in (await _parts(index.projects, named))[:limit]:
                printed.add(name, value)
        printed.end()

    target.do(work)


async def _parts(
    projects: ProjectAdministration, named: Named
) -> list[tuple[str, object]]:
    """Return the parts of a project or of a release, with their names."""
    if named.what.version is None:
        releases = (await projects.project(named.project)).releases
        return [(one.version, one) for one in releases]
    files = (await projects.release(named.project, named.what.version)).files
    return [(one.filename, one) for one in files]


class _Names:
    """Prints names as they come, or a list of what they name."""

    def __init__(self, as_json: bool) -> None:
        self._list = JsonList() if as_json else None

    def add(self, name: str, value: object) -> None:
        if self._list is None:
            say(printable(name))
        else:
            self._list.add(value)

    def end(self) -> None:
        if self._list is not None:
            self._list.end()


@click.command()
@click.argument("words", nargs=-1, required=True)
@takes_limit(USUAL, "projects")
@click.option(
    "--origin",
    type=click.Choice(get_args(Origin)),
    help="Only projects of this index; those of others of which it keeps files; or "
    "other names there, as far as their list was read.",
)
@click.option(
    "--may",
    type=click.Choice(get_args(OwnRight)),
    help="Only projects of this index that you may upload to, or manage.",
)
@takes_target
@json_option
def search(
    words: tuple[str, ...],
    limit: int,
    origin: Origin | None,
    may: OwnRight | None,
    target: Target,
    as_json: bool,
) -> None:
    """Find projects by words in names, summaries and keywords, the best first.

    Exits with 1 if nothing is found.
    """
    query = " ".join(words)

    async def work(index: Administration) -> FoundPage:
        return await index.projects.search(query, limit, origin, may)

    found = target.do(work)
    if as_json:
        show([*found.items], (), _row, as_json=True)
    elif found.items:
        titles = ("PROJECT", "VERSION", "FROM", "SUMMARY")
        show(found.items, titles, _row, as_json=False)
    if not found.complete:
        click.echo("Of some projects only the names were looked at.", err=True)
    if not found.items:
        click.echo("Nothing was found.", err=True)
        click.get_current_context().exit(1)


def _row(one: Found) -> tuple[str, ...]:
    return one.name, one.version or "", one.origin, one.summary or ""
