"""``pypicloud client-config``: what installers and upload clients are set up by."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import click
from attrs import evolve

from pypicloud_tw.cli.base import Surroundings, finish, surroundings
from pypicloud_tw.cli.output import printable, say
from pypicloud_tw.cli.paths import NamedPath
from pypicloud_tw.cli.target import Target, takes_target
from pypicloud_tw.client.address import IndexAddress
from pypicloud_tw.errors import (
    ConfigError,
    Forbidden,
    NotFound,
    PypicloudError,
    Unauthorized,
)
from pypicloud_tw.installers.files import Change, read
from pypicloud_tw.installers.setup import NAME, Setup
from pypicloud_tw.installers.tools import PER_PROJECT, TOOLS, Machine, Plan, Wish

#: Seconds that the index has to answer, for what is written is so without it.
_PATIENCE = 5.0


def _name(ctx: click.Context, param: click.Parameter, value: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9_-]+", value) is None:
        raise click.BadParameter("it has letters, digits, - and _ alone.")
    return value


@click.command("client-config")
@click.argument("tool", type=click.Choice([*TOOLS]))
@takes_target
@click.option(
    "--user",
    metavar="NAME",
    help="Who logs in; __token__ for a token. No password is asked for or written.",
)
@click.option(
    "--name",
    default=NAME,
    show_default=True,
    callback=_name,
    help="What the index is called in the settings.",
)
@click.option(
    "--ca",
    type=NamedPath(exists=True, dir_okay=False, resolve_path=True),
    metavar="FILE",
    help="The authorities of the index's certificate, if they are your own.",
)
@click.option(
    "--project",
    "per_project",
    is_flag=True,
    help="Settings of the project in this folder (pyproject.toml), not of the user.",
)
@click.option("--write", is_flag=True, help="Write the lines into the file.")
@click.option("--dry-run", is_flag=True, help="Show what --write would change.")
def client_config(
    tool: str,
    target: Target,
    user: str | None,
    name: str,
    ca: Path | None,
    per_project: bool,
    write: bool,
    dry_run: bool,
) -> None:
    """Show how a client is set up for an index, or set it up.

    Prints the lines and where they belong, by the address in --index, or of the server
    of an ini (--config). With --write they are put there, beside what is there: nothing
    is replaced, and where another index stands in the way it is named. Passwords are
    neither shown nor written. The exit code is 2 if nothing could be written.
    """
    if per_project and tool not in PER_PROJECT:
        raise click.UsageError(f"{tool} has no settings of a project.")
    world = surroundings()

    def work() -> int:
        address = target.address()
        who = user or address.user
        answer, log_in = _ask(target, address)
        reads = Setup(address.base, who is not None, who, name)
        machine = Machine(world.home(), world.folder(), world.environ, sys.platform)
        shown = evolve(reads, log_in=log_in or who is not None)
        plan = TOOLS[tool](Wish(reads, shown, machine, ca, per_project))
        if write or dry_run:
            _write(plan, dry_run=dry_run)
        else:
            _show(plan, world)
        click.echo(printable(answer), err=True)
        return 0

    finish(work)


def _show(plan: Plan, world: Surroundings) -> None:
    for piece in plan.pieces:
        say(f"# {_short(piece.path, world)}")
        for line in piece.lines.split("\n"):
            say(printable(line))
        say("")
    for line in (*plan.once, *plan.notes):
        say(printable(f"# {line}"))


def _short(path: Path, world: Surroundings) -> str:
    home = f"{world.home()}{os.sep}"
    text = str(path)
    return printable(f"~/{text[len(home) :]}" if text.startswith(home) else text)


def _write(plan: Plan, *, dry_run: bool) -> None:
    """Change all files of a plan, or none where one of them cannot be."""
    changes = []
    for piece in plan.pieces:
        before = read(piece.path)
        if before is None and piece.must_be is not None:
            raise ConfigError([piece.must_be])
        after = piece.edit(before or "")
        changes.append(Change(piece.path, before, after, piece.private))
    for change in changes:
        if dry_run:
            say(change.diff(), end="")
        elif change.needed:
            change.write()
            say(printable(f"{change.path} is written."))
        if not change.needed:
            say(printable(f"{change.path} is as it should be."))
    if not dry_run:
        for note in plan.notes:
            say(printable(note))


def _ask(target: Target, address: IndexAddress) -> tuple[str, bool]:
    """Ask the index, as nobody in particular.

    :return: what came of it, and whether reading takes a log-in as far as is known.
    """
    try:
        target.look(address, lambda index: index.projects.projects(None, 1), _PATIENCE)
    except (Unauthorized, Forbidden):
        return f"{address.base} answers, and wants a log-in to read.", True
    except NotFound:
        return f"{address.base} answers, and is no index of this program.", False
    except PypicloudError as e:
        return e.message, False
    return f"{address.base} answers.", False
