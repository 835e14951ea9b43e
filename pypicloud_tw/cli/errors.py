"""How a command ends that did not do what it was asked: a sentence and an exit code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import click

from pypicloud_tw.errors import PypicloudError

#: Statuses below it are refusals; 429 asks to come again.
_SERVER_ERRORS, _TOO_MANY = 500, 429


class PlainError(click.ClickException):
    """What went wrong, as it is, without a word in front; exit code 1."""

    def show(self, file: IO[Any] | None = None) -> None:
        """Print it to stderr."""
        click.echo(self.message, err=True, file=file)


class CouldNotDo(PlainError):
    """Nobody could be asked, which is not to have been refused; exit code 2."""

    exit_code = 2


def failed(error: PypicloudError) -> PlainError:
    """Make what ends a command, with 1 where it was refused and 2 where it was not."""
    refused = error.status < _SERVER_ERRORS and error.status != _TOO_MANY
    return (PlainError if refused else CouldNotDo)(error.message)


@contextmanager
def exits_with_1() -> Iterator[None]:
    """Exit with 1 where a configuration is wrong, for the command is about that."""
    try:
        yield
    except CouldNotDo as e:
        raise PlainError(e.message) from None


def sentence_of(error: OSError) -> str:
    """Say what the system refuses."""
    where = "" if error.filename is None else f"{error.filename}: "
    return f"{where}{error.strerror or error}."
