"""``pypicloud mirror``: what lock files name, for machines without a way out."""

from __future__ import annotations

from pathlib import Path

import click

from pypicloud_tw.cli.base import load_config, surroundings
from pypicloud_tw.cli.errors import failed
from pypicloud_tw.cli.moving.carrier import MirrorOrder
from pypicloud_tw.cli.moving.progress import telling
from pypicloud_tw.cli.output import (
    json_option,
    plural,
    printable,
    say,
    show_json,
    size,
)
from pypicloud_tw.cli.paths import NamedPath
from pypicloud_tw.errors import PypicloudError
from pypicloud_tw.moving.locks.platforms import Wanted
from pypicloud_tw.moving.locks.reading import read_locks
from pypicloud_tw.moving.mirror.values import Outcome, Report

_WRONG = (Outcome.MISSING, Outcome.REFUSED, Outcome.FAILED)


@click.command()
@click.option(
    "--lock",
    "locks",
    type=NamedPath(dir_okay=False),
    multiple=True,
    required=True,
    metavar="FILE",
    help="uv.lock, pylock.toml or requirements.txt; several times: all of them.",
)
@click.option(
    "--platform",
    "platforms",
    multiple=True,
    metavar="NAME",
    help="Only wheels for this platform: linux, macos, windows, or as pip or uv have "
    "it, as in manylinux_2_28_x86_64. Several times: for each.",
)
@click.option(
    "--python",
    "pythons",
    multiple=True,
    metavar="VERSION",
    help="Only wheels for this CPython, as in 3.12. Several times: for each.",
)
@click.option(
    "--sdists",
    is_flag=True,
    help="Source distributions too, not only for want of wheels.",
)
@click.option(
    "--to",
    "folder",
    type=NamedPath(file_okay=False),
    metavar="FOLDER",
    help="Into a folder that is a wheelhouse and an index, not into the cache.",
)
@click.option(
    "-c",
    "--config",
    type=NamedPath(),
    metavar="INI",
    help="The ini file, whose fallback and rules are in force.",
)
@click.option("--dry-run", is_flag=True, help="Only tell what would be fetched.")
@json_option
def mirror(
    locks: tuple[Path, ...],
    platforms: tuple[str, ...],
    pythons: tuple[str, ...],
    sdists: bool,
    folder: Path | None,
    config: Path | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Fetch what lock files name, for machines without a way out.

    From the other index (pypi.fallback), by the rules of the ini, into the cache of the
    store (pypi.fallback = cache), or into a folder. Run again, it fetches what is not
    there yet. Exits with 1 if something is missing or refused, and with 2 if something
    failed that may do another time.

    For example: `pypicloud mirror --lock uv.lock --platform linux --python 3.12
    --config server.ini`
    """
    checked, world = load_config(None, config), surroundings()
    try:
        order = MirrorOrder(
            checked,
            read_locks(locks),
            Wanted.of(platforms, pythons, sdists=sdists),
            folder,
            dry_run,
        )
        with telling(quiet=as_json) as tell:
            report = world.carrier().mirror(order, world.environ, tell)
    except PypicloudError as e:
        raise failed(e) from None
    _tell(report, as_json)
    click.get_current_context().exit(report.exit_code)


def _tell(report: Report, as_json: bool) -> None:
    if as_json:
        show_json(_as_json(report))
        return
    for note in report.notes:
        click.echo(printable(note), err=True)
    for one in sorted(report.of(*_WRONG), key=lambda one: (one.project, one.name)):
        click.echo(printable(f"{one.name}: {one.outcome.value}. {one.why}"), err=True)
    outcome = Outcome.PLANNED if report.dry_run else Outcome.FETCHED
    verb = "Would be fetched" if report.dry_run else "Fetched"
    count = size(report.size(outcome))
    say(f"{verb}: {plural(len(report.of(outcome)), 'file')}, {count}.")
    there = report.of(Outcome.THERE)
    if there:
        say(f"There already: {plural(len(there), 'file')}.")
    own = report.of(Outcome.OWN)
    if own:
        say(f"Of this index itself: {plural(len(own), 'file')}.")
    wrong = report.of(*_WRONG)
    if wrong:
        counts = ", ".join(
            f"{len(report.of(outcome))} {outcome.value}"
            for outcome in _WRONG
            if report.of(outcome)
        )
        say(f"Not there: {counts}.")


def _as_json(report: Report) -> dict[str, object]:
    return {
        "files": [
            {
                "project": one.project,
                "filename": one.filename,
                "outcome": one.outcome.value,
                "size": one.size,
                "why": one.why or None,
            }
            for one in report.done
        ],
        "notes": list(report.notes),
        "dry_run": report.dry_run,
    }
