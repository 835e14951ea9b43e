"""Which project, release or file a command is about, as people write it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click
from attrs import frozen

from pypicloud_tw.cli.base import one_ini, surroundings
from pypicloud_tw.cli.projects.completing import complete_project, complete_release
from pypicloud_tw.index.model import Selection

T = TypeVar("T")

#: What pins a release, in the words of requirements.
_PINNED = "=="

_HOW = "Name it as PROJECT, PROJECT==VERSION, or PROJECT VERSION."

takes_project = click.argument("project", shell_complete=complete_project)


@frozen
class Named:
    """A project, or a part of one."""

    project: str
    what: Selection

    @classmethod
    def parse(cls, words: tuple[str, ...], file: str | None) -> Named:
        """Understand arguments.

        :raises UsageError: they are none.
        """
        name, pinned, version = words[0].partition(_PINNED)
        rest = ([version.strip()] if pinned else []) + list(words[1:])
        if not name.strip() or len(rest) > 1 or "" in rest:
            raise click.UsageError(_HOW)
        if file is not None and rest:
            raise click.UsageError(
                "Give a version or --file: a file's name has its version."
            )
        return cls(name.strip(), Selection(rest[0] if rest else None, file))

    @property
    def is_project(self) -> bool:
        """Whether all of a project is meant."""
        return self.what == Selection()

    def __str__(self) -> str:
        """Name it as people do."""
        return self.what.file or " ".join(
            filter(None, (self.project, self.what.version))
        )


def takes_selection(command: Callable[..., T]) -> Callable[..., T]:
    """Give a command what it is about, as *named*."""

    @wraps(command)
    def parsed(*, words: tuple[str, ...], file: str | None, **arguments: Any) -> T:
        return command(named=Named.parse(words, file), **arguments)

    words = click.argument(
        "words",
        nargs=-1,
        required=True,
        metavar="PROJECT[==VERSION]",
        shell_complete=complete_release,
    )
    file = click.option("--file", metavar="NAME", help="One file of the project.")
    return words(file(parsed))


def takes_part(command: Callable[..., T]) -> Callable[..., T]:
    """Do the same where all of a project cannot be meant."""

    @wraps(command)
    def checked(*, named: Named, **arguments: Any) -> T:
        if named.is_project:
            raise click.UsageError(f"Say which release, or --file. {_HOW}")
        return command(named=named, **arguments)

    return takes_selection(checked)


def takes_former(command: Callable[..., T]) -> Callable[..., T]:
    """Understand INI PROJECT VERSION, too, as these commands once were given.

    Scripts have that form, so where nobody can be asked it is not asked for a yes.
    """

    @wraps(command)
    def understood(
        *, words: tuple[str, ...], config: Path | None, **arguments: Any
    ) -> T:
        if len(words) == _FORMER:
            config, words = one_ini(Path(words[0]), config), words[1:]
            if "yes" in arguments and not surroundings().is_terminal():
                arguments["yes"] = True
        return command(words=words, config=config, **arguments)

    return understood


#: Words of that form.
_FORMER = 3
