"""How far a command is: a bar on a terminal, else a line now and then."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click
from attrs import define, field

from pypicloud_tw.cli.base import surroundings
from pypicloud_tw.cli.output import plural, size
from pypicloud_tw.moving.report import Progress

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

#: Seconds between two lines.
_EVERY = 5.0


@define(eq=False)
class Teller:
    """Says on stderr how far it is."""

    _bar: Bar | None = None
    _said: float = field(factory=lambda: surroundings().now(), init=False)

    def __call__(self, progress: Progress) -> None:
        """Say it, if it is time."""
        text = f"{plural(progress.files, 'file')}, {size(progress.size)}"
        if self._bar is not None:
            self._bar.update(
                self._bar.task_ids[0],
                total=progress.projects,
                completed=progress.done,
                description=text,
            )
            return
        now = surroundings().now()
        if now - self._said >= _EVERY:
            self._said = now
            whole = plural(progress.projects, progress.what)
            click.echo(f"{progress.done} of {whole}: {text}", err=True)


@contextmanager
def telling(*, quiet: bool) -> Iterator[Teller]:
    """Say how far it is while something is done.

    :param quiet: no bar, though there be a terminal.
    """
    if quiet or not surroundings().prints_to_terminal():
        yield Teller()
        return
    # Only here: scripts need not wait until it is loaded.
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeElapsedColumn,
    )
    from rich.progress import Progress as Bar

    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
    )
    with Bar(*columns, console=Console(file=sys.stderr), transient=True) as bar:
        bar.add_task("asking", total=None)
        yield Teller(bar)
