"""What the commands ask at a terminal, always on stderr."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import click

from pypicloud_tw.cli.base import Command, read_password, surroundings
from pypicloud_tw.cli.errors import PlainError

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
    with _interruptible():
        agreed = click.confirm(question, err=True)
    if not agreed:
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


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let signals end a question while a reactor runs, which would come too late."""
    signals = (signal.SIGINT, signal.SIGTERM)
    before = [(one, signal.signal(one, signal.default_int_handler)) for one in signals]
    try:
        yield
    finally:
        for one, handler in before:
            signal.signal(one, handler)
