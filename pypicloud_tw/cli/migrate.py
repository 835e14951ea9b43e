"""``pypicloud migrate``: the ini of a server of before, translated."""

from __future__ import annotations

from pathlib import Path

import click

from pypicloud_tw.cli.base import finish, surroundings
from pypicloud_tw.cli.paths import NamedPath
from pypicloud_tw.config.example import ini_text, write_private
from pypicloud_tw.config.migrate.convert import Migrated
from pypicloud_tw.config.migrate.convert import migrate as migrated_from
from pypicloud_tw.config.sources import former_variables

#: The exit code of a migration that could not read users and rights.
_INCOMPLETE = 3


@click.command()
@click.argument("old", type=NamedPath())
@click.argument("new", type=NamedPath(), default=Path("-"))
@click.option("--force", is_flag=True, help="Replace a file that is there already.")
@click.option(
    "--access",
    type=NamedPath(),
    help="Users and rights that are not in OLD: a SQLite database, the JSON document "
    "of AWS Secrets Manager, or what ppc-export of pypicloud 1.x writes.",
)
def migrate(old: Path, new: Path, force: bool, access: Path | None) -> None:
    """Translate an ini of pypicloud 1.x.

    Files of older versions are understood, too. Writes the new file to NEW, or to
    stdout. What could not be carried over, and what changes, is told on stderr;
    permissions last. Nobody may do more by the new file than by the old one. The exit
    code is 3 if users and rights were kept where they could not be read.
    """

    def work() -> int:
        migrated = migrated_from(old, access)
        text = ini_text(
            migrated.settings, migrated.users, grants=migrated.grants, name=new.name
        )
        if str(new) == "-":
            click.echo(text, nl=False)
        else:
            write_private(new, text, replace=force)
        return _tell(migrated)

    finish(work)


def _tell(migrated: Migrated) -> int:
    """Print to stderr what a migration changes; return the exit code."""
    for note in (*migrated.changes, *former_variables(surroundings().environ)):
        click.echo(note, err=True)
    if migrated.lost:
        click.echo("\nPermissions that are lost:", err=True)
        for note in migrated.lost:
            click.echo(f"- {note}", err=True)
    if not migrated.incomplete:
        return 0
    click.echo(
        "\nUsers and rights are missing: they were kept elsewhere, so that the new "
        "file closes every project. See above how they are carried over.",
        err=True,
    )
    return _INCOMPLETE
