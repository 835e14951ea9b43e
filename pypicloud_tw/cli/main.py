"""The commands: ``pypicloud`` and the ``pypicloud-*`` of the programs before.

What goes wrong is a sentence on stderr, and the exit code says of which kind it is, as
``pypicloud --help`` has it.
"""

from __future__ import annotations

from pathlib import Path

import click

from pypicloud_tw import __version__
from pypicloud_tw.cli.access.exemptions import exempt
from pypicloud_tw.cli.access.pins import pin
from pypicloud_tw.cli.access.rights import publisher, right, rights
from pypicloud_tw.cli.access.tokens import token
from pypicloud_tw.cli.access.users import group, user
from pypicloud_tw.cli.advisories.report import report
from pypicloud_tw.cli.audit import audit
from pypicloud_tw.cli.base import (
    Commands,
    finish,
    hash_of,
    load_config,
    read_password,
    surroundings,
    takes_config,
)
from pypicloud_tw.cli.client_config import client_config
from pypicloud_tw.cli.completion import completion
from pypicloud_tw.cli.contrib import contrib
from pypicloud_tw.cli.doctor import doctor
from pypicloud_tw.cli.errors import exits_with_1
from pypicloud_tw.cli.explain import explain
from pypicloud_tw.cli.healthcheck import healthcheck
from pypicloud_tw.cli.index import rebuild, sweep, verify
from pypicloud_tw.cli.make_config import make_config
from pypicloud_tw.cli.moving.bundling import bundle
from pypicloud_tw.cli.moving.importing import import_
from pypicloud_tw.cli.moving.mirroring import mirror
from pypicloud_tw.cli.paths import NamedPath
from pypicloud_tw.cli.projects.acts import delete, restore, undo, unyank, yank
from pypicloud_tw.cli.projects.listing import list_names, search
from pypicloud_tw.cli.projects.prune import prune
from pypicloud_tw.cli.projects.showing import show
from pypicloud_tw.cli.projects.state import history, status
from pypicloud_tw.cli.projects.statistics import stats
from pypicloud_tw.cli.serve import serve
from pypicloud_tw.config.example import ini_text, write_private
from pypicloud_tw.config.migrate.convert import Migrated
from pypicloud_tw.config.migrate.convert import migrate as migrated_from
from pypicloud_tw.config.sources import former_variables

__all__ = ["create_schema", "gen_password", "main", "make_config", "refresh"]

#: The exit code of a migration that could not read users and rights.
_INCOMPLETE = 3


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="pypicloud")
def main() -> None:
    """A private Python package index: run the server, and look after it.

    \b
    Exit codes:
      0  done, or found
      1  refused, or not there; or something is wrong with what was looked at
      2  could not be done: the command line, the configuration, the network,
         the store, nobody who logs in
      3  migrate alone: users and rights were kept elsewhere
    """


@main.command()
@takes_config
def check(ini: Path | None, config: Path | None) -> None:
    """Report every error in a configuration.

    Exits with 1 if there is one.
    """
    with exits_with_1():
        checked = load_config(ini, config)
    place = (
        f"the bucket {checked.aws.bucket}"
        if checked.aws.bucket is not None
        else f"the folder {checked.storage.dir}"
    )

    def work() -> int:
        click.echo(
            f"OK: packages in {place}, {len(checked.users)} user(s), listening at "
            f"{checked.server.listen}"
        )
        for notice in checked.notices:
            click.echo(notice)
        return 0

    finish(work)


@main.command("create-schema")
@takes_config
def create_schema(ini: Path | None, config: Path | None) -> None:
    """Create the folder or the bucket."""
    checked = load_config(ini, config)

    def work() -> int:
        code = surroundings().maintenance().prepare(checked)
        if code == 0:
            click.echo("The store is ready. There is no schema: no database is needed.")
        return code

    finish(work)


@main.command()
@takes_config
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option(
    "--derived",
    is_flag=True,
    help="Instead, make what searches and pages read anew, of all projects.",
)
def refresh(
    ini: Path | None, config: Path | None, dry_run: bool, derived: bool
) -> None:
    """Adopt packages that are in the store.

    Files that no project lists are checked and listed where they are. It may run beside
    the servers, and may be repeated.
    """
    if dry_run and derived:
        raise click.UsageError("--derived changes no project: --dry-run has no sense.")
    checked = load_config(ini, config)

    def work() -> int:
        maintenance = surroundings().maintenance()
        return maintenance.run_refresh(checked, dry_run=dry_run, derived=derived)

    finish(work)


@main.command("gen-password")
def gen_password() -> None:
    """Hash a password for the ini.

    The hash is for a line `user.NAME = ...`. Asks for the password twice; or reads one
    line, if stdin is not a terminal.
    """
    if surroundings().is_terminal():
        # Asked for on stderr, so that stdout has the hash and nothing else.
        password = click.prompt(
            "Password", hide_input=True, confirmation_prompt=True, err=True
        )
    else:
        password = read_password()
    hashed = hash_of(password)

    def work() -> int:
        click.echo(hashed)
        return 0

    finish(work)


@main.command()
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


for command in (
    *(serve, make_config, contrib, verify, sweep, rebuild, completion),
    *(list_names, show, search, stats, yank, unyank, delete, restore),
    *(status, history, undo, prune),
    *(user, group, right, publisher, token, rights, audit, exempt, explain, report),
    *(pin, doctor, healthcheck, import_, mirror, bundle, client_config),
):
    main.add_command(command)
# What delete was called before.
main.add_command(delete, "remove")
