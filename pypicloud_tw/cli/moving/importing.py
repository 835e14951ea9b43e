"""``pypicloud import``: packages from another index, a folder, an archive."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from pypicloud_tw.cli.base import load_config, surroundings
from pypicloud_tw.cli.errors import failed
from pypicloud_tw.cli.moving.mover import IntoServer, IntoStore, Order, Origin
from pypicloud_tw.cli.moving.progress import telling
from pypicloud_tw.cli.output import (
    json_option,
    plural,
    printable,
    say,
    show_json,
    show_table,
    size,
)
from pypicloud_tw.cli.target import into_server, source_credentials
from pypicloud_tw.errors import PypicloudError
from pypicloud_tw.json_values import encode
from pypicloud_tw.moving.bundle.tar import check_digest
from pypicloud_tw.moving.report import Report
from pypicloud_tw.moving.wanted import Wanted
from pypicloud_tw.plain_texts import shortened

#: What ``--into`` is told for the environment alone.
_ENVIRONMENT = "-"

#: Files on their way at a time.
_JOBS, _MOST_JOBS = 8, 32

#: Characters of a name that a table shows.
_LONGEST = 120

#: What to do where something failed: another time it may do, or the source is damaged.
_AGAIN = "Run it again: it takes what is missing."
_DAMAGED = (
    "The source is damaged. Carry it here once more, or make it anew, and run this "
    "again: it takes what is missing."
)

_REMARKS = ("PROJECT", "FILE", "", "WHY")
_PLANNED = ("PROJECT", "NEW", "SIZE", "THERE", "REFUSED")


@click.command("import")
@click.argument("source")
@click.option(
    "--kind",
    metavar="KIND",
    help="What SOURCE is, if that is not found out: simple, pypicloud-tw, devpi, "
    "pypiserver, ...",
)
@click.option(
    "--project",
    "projects",
    multiple=True,
    metavar="PATTERN",
    help="Take only these: a name, or a pattern as in `acme-*`. May be repeated.",
)
@click.option(
    "--exclude",
    multiple=True,
    metavar="PATTERN",
    help="Leave these projects out. May be repeated.",
)
@click.option(
    "--into",
    metavar="INI",
    help="Take them into the store of this ini file itself; '-': of the one that the "
    "environment alone describes.",
)
@click.option(
    "--index",
    metavar="URL",
    help="Take them into the index of this server, as one of its administrators. "
    "Without either option: PYPICLOUD_INDEX_URL, or .pypirc.",
)
@click.option("--username", metavar="NAME", help="Who logs in at SOURCE.")
@click.option(
    "--bases",
    is_flag=True,
    help="Of devpi: take what the index inherits from others, too, mirrors excepted.",
)
@click.option(
    "--jobs",
    type=click.IntRange(1, _MOST_JOBS),
    default=_JOBS,
    show_default=True,
    metavar="N",
    help="Files on their way at a time.",
)
@click.option(
    "--sha256",
    metavar="DIGEST",
    help="Of SOURCE, a file: it is checked before anything is taken.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be taken.")
@json_option
def import_(
    source: str,
    kind: str | None,
    projects: tuple[str, ...],
    exclude: tuple[str, ...],
    into: str | None,
    index: str | None,
    username: str | None,
    bases: bool,
    jobs: int,
    sha256: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Take packages from another index, a folder or an archive.

    SOURCE is an address, as pip has it, or a path. What it is, is found out. Upload
    times, yanks, statuses and uploaders are kept as far as SOURCE tells them; every
    digest is checked. What is there already is left as it is, so that the command may
    be ended at any time, and run again: it takes what is new since.

    For example: `pypicloud import https://devpi.example/alice/dev --into pypicloud.ini`
    """
    if into is not None and index is not None:
        raise click.UsageError("Give --into or --index: the store, or its server.")
    world = surroundings()
    try:
        if sha256 is not None:
            check_digest(Path(source), sha256)
        order = Order(
            Origin(source, kind, source_credentials(source, username), bases),
            _into(into, index),
            Wanted.parse(projects, exclude),
            jobs,
            dry_run,
        )
        with telling(quiet=as_json) as tell:
            report = world.mover().take(order, world.environ, tell)
    except PypicloudError as e:
        raise failed(e) from None
    if as_json:
        show_json(encode(report))
    else:
        _show(report)
    click.get_current_context().exit(report.exit_code)


def _into(into: str | None, index: str | None) -> IntoStore | IntoServer:
    if into is None:
        return IntoServer(*into_server(index))
    path = None if into == _ENVIRONMENT else Path(into)
    return IntoStore(load_config(None, path))


def _show(report: Report) -> None:
    say(printable(f"From {report.source} into {report.destination}."))
    if report.dry_run:
        rows = list(_planned(report))
        if rows:
            show_table(_PLANNED, rows)
    if report.remarks:
        show_table(
            _REMARKS,
            (
                (_short(one.project), _short(one.filename or ""), one.trouble, one.why)
                for one in sorted(report.remarks, key=lambda one: one.project)
            ),
        )
    say(_sum(report))
    if report.stopped is not None:
        click.echo(printable(f"It was ended: {report.stopped}"), err=True)
    if report.exit_code == 2:
        click.echo(_DAMAGED if report.damaged else _AGAIN, err=True)


def _planned(report: Report) -> Iterator[tuple[str, ...]]:
    for one in report.projects:
        if one.taken or one.refused or one.failed:
            yield (
                _short(one.project),
                str(one.taken),
                _size(one.size, one.untold),
                str(one.there),
                str(one.refused + one.failed),
            )


def _short(name: str) -> str:
    """Keep a name from widening the whole table; few real ones are as long."""
    return shortened(name, _LONGEST)


def _sum(report: Report) -> str:
    total = report.total
    projects = sum(1 for one in report.projects if one.taken)
    verb = "Would take" if report.dry_run else "Took"
    parts = [
        f"{verb} {plural(total('taken'), 'file')} "
        f"of {plural(projects, 'project')}, {_size(total('size'), total('untold'))}",
        f"{total('there')} {'was' if total('there') == 1 else 'were'} there",
    ]
    parts += [
        f"{total(name)} {name}"
        for name in ("yanked", "refused", "failed")
        if total(name)
    ]
    statuses = sum(1 for one in report.projects if one.status is not None)
    if statuses:
        parts.append(f"{plural(statuses, 'status')} changed")
    return f"{'; '.join(parts)}. {plural(len(report.projects), 'project')} in " + (
        f"{report.seconds:.1f} s."
    )


def _size(count: int, untold: int) -> str:
    """Write a number of bytes, and that it is not all of them."""
    if not untold:
        return size(count)
    more = f"{untold} of unknown size"
    return f"{size(count)} and {more}" if count else more
