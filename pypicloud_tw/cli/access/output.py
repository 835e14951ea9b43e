"""What the commands of access print: tables for people, JSON for scripts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import click

from pypicloud_tw.access.administration.values import Changed
from pypicloud_tw.cli.base import Command, PlainError, read_password, surroundings
from pypicloud_tw.json_values import encode

T = TypeVar("T")

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON, for scripts."
)

password_option = click.option(
    "--password-stdin", is_flag=True, help="Read the password from a line of stdin."
)


def asks_first(command: Command) -> Command:
    """Give a command the option that answers its question."""
    return click.option("-y", "--yes", is_flag=True, help="Do not ask.")(command)


def confirm(question: str, yes: bool) -> None:
    """Ask before something is destroyed; without a yes the command ends."""
    if yes:
        return
    if not surroundings().is_terminal():
        raise click.UsageError("Say --yes: nobody is there to be asked.")
    if not click.confirm(question, err=True):
        raise click.Abort


def new_password(from_stdin: bool) -> str:
    """Ask for a password twice, or read it from stdin."""
    if from_stdin:
        password = read_password()
    elif surroundings().is_terminal():
        password = click.prompt(
            "New password", hide_input=True, confirmation_prompt=True, err=True
        )
    else:
        raise click.UsageError("Give the password on stdin, with --password-stdin.")
    if not password:
        raise PlainError("There is no password; an empty one is not taken.")
    return str(password)


def show(
    values: Sequence[T],
    columns: Sequence[str],
    row: Callable[[T], Sequence[str]],
    *,
    as_json: bool,
) -> None:
    """Print values.

    :param row: makes the texts of a value, one for each column.
    """
    if as_json:
        show_json([encode(value) for value in values])
        return
    for line in table(columns, map(row, values)):
        click.echo(line)


def show_json(value: object) -> None:
    """Print a document."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Align texts in columns; none of them can break its line."""
    lines = [tuple(columns), *(tuple(map(_printable, row)) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]


def told(changed: Changed, sentence: str) -> None:
    """Say what was done, and what follows of it that may surprise."""
    click.echo(sentence)
    for notice in changed.notices:
        click.echo(notice, err=True)


def where(fixed: bool, source: str = "") -> str:
    """Say where something stands, and so who can change it."""
    return source or ("the ini" if fixed else "the store")


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)
