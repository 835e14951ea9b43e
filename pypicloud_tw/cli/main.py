"""The commands: ``pypicloud`` and the ``pypicloud-*`` of the programs before.

What goes wrong is a sentence on stderr, and the exit code says of which kind it is, as
``pypicloud --help`` has it.
"""

from __future__ import annotations

from pathlib import Path

import click

from pypicloud_tw.cli.base import (
    Commands,
    finish,
    hash_of,
    load_config,
    read_password,
    surroundings,
    takes_config,
)
from pypicloud_tw.cli.errors import exits_with_1
from pypicloud_tw.cli.loading import LoadedWhenNamed

__all__ = ["create_schema", "gen_password", "main", "refresh"]

#: The module of each command, and its name there.
_PLACES = {
    name: f"pypicloud_tw.cli.{place}"
    for name, place in {
        "audit": "audit:audit",
        "bundle": "moving.bundling:bundle",
        "client-config": "client_config:client_config",
        "completion": "completion:completion",
        "contrib": "contrib:contrib",
        "delete": "projects.acts:delete",
        "doctor": "doctor:doctor",
        "exempt": "access.exemptions:exempt",
        "explain": "explain:explain",
        "group": "access.users:group",
        "healthcheck": "healthcheck:healthcheck",
        "history": "projects.state:history",
        "import": "moving.importing:import_",
        "ls": "projects.listing:list_names",
        "make-config": "make_config:make_config",
        "migrate": "migrate:migrate",
        "mirror": "moving.mirroring:mirror",
        "pin": "access.pins:pin",
        "prune": "projects.prune:prune",
        "publisher": "access.rights:publisher",
        "rebuild": "index:rebuild",
        # What delete was called before.
        "remove": "projects.acts:delete",
        "report": "advisories.report:report",
        "restore": "projects.acts:restore",
        "right": "access.rights:right",
        "rights": "access.rights:rights",
        "search": "projects.listing:search",
        "serve": "serve:serve",
        "show": "projects.showing:show",
        "stats": "projects.statistics:stats",
        "status": "projects.state:status",
        "sweep": "index:sweep",
        "token": "access.tokens:token",
        "undo": "projects.acts:undo",
        "unyank": "projects.acts:unyank",
        "user": "access.users:user",
        "verify": "index:verify",
        "yank": "projects.acts:yank",
    }.items()
}


@click.group(
    cls=Commands,
    commands=LoadedWhenNamed(_PLACES),
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="pypicloud-tw", prog_name="pypicloud")
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
