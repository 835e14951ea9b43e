"""The command that finds out what is wrong."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from pypicloud_tw.cli.base import finish, one_ini, surroundings, takes_config
from pypicloud_tw.cli.output import json_option, say, show_json, show_table
from pypicloud_tw.cli.target import server_of
from pypicloud_tw.config.load import load
from pypicloud_tw.diagnosis.values import LEVELS, Diagnosis, Level, Looked
from pypicloud_tw.errors import ConfigError
from pypicloud_tw.json_values import encode

#: What the levels are called in a table.
_WORDS: dict[Level, str] = {
    "ok": "ok",
    "note": "note",
    "warning": "warning",
    "fault": "fault",
    "unseen": "could not look",
}

#: Two columns of sentences would leave neither room.
_COLUMNS = ("IT IS", "LOOKED AT", "FOUND -> WHAT TO DO")


@click.command()
@takes_config
@click.option(
    "--index",
    metavar="URL",
    help="Look at the server of this index, from outside, as its clients do.",
)
@click.option(
    "--deep",
    is_flag=True,
    help="Read every manifest, and look for what it names; with --index, fetch a file.",
)
@json_option
def doctor(
    ini: Path | None,
    config: Path | None,
    index: str | None,
    deep: bool,
    as_json: bool,
) -> None:
    """Find out what is wrong, and what to do about it.

    Looks at the settings, at this machine, at the store and at all that the server asks
    of others: of an ini, or, without one, of the environment. With --index at a server
    that runs, through all that is in front of it. It may run beside the servers, and
    changes nothing: what it writes to try the store, it removes.

    Exits with 1 if anything is wrong, or will be; with 2 if something could not be
    looked at.
    """
    path = one_ini(ini, config)
    if path is not None and index is not None:
        raise click.UsageError("Give --config or --index: settings, or a server.")

    def work() -> int:
        made = _settings(path, deep) if index is None else _server(index, deep)
        _show(made, as_json)
        return made.code

    finish(work)


def _settings(path: Path | None, deep: bool) -> Diagnosis:
    world = surroundings()
    of = "the environment" if path is None else str(path)
    examiner = world.examiner()
    try:
        config = load(path, world.environ)
    except ConfigError as e:
        return examiner.unusable(of, e.problems)
    return examiner.settings(of, config, world.environ, deep=deep)


def _server(index: str, deep: bool) -> Diagnosis:
    world = surroundings()
    address, credentials = server_of(index)
    examiner = world.examiner()
    return examiner.server(address, credentials.login, world.environ, deep=deep)


def _show(made: Diagnosis, as_json: bool) -> None:
    if as_json:
        show_json(encode(made))
        return
    show_table(_COLUMNS, map(_row, made.looked))
    counted = Counter(line.level for line in made.looked)
    told = [f"{counted[level]} {_WORDS[level]}" for level in LEVELS if counted[level]]
    say(f"{made.of}: {', '.join(told)}.")


def _row(line: Looked) -> tuple[str, str, str]:
    what = f"{line.check}: {line.subject}" if line.subject else line.check
    told = f"{line.found} -> {line.advice}" if line.advice else line.found
    return _WORDS[line.level], what, told
