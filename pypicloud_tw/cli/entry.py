"""``pypicloud``, by whichever name the program was started."""

from __future__ import annotations

from collections.abc import Sequence

from pypicloud_tw.cli.main import main as commands


def main(arguments: Sequence[str] | None = None, name: str = "pypicloud") -> None:
    """Run a command and exit.

    :param arguments: None: those of this process.
    :param name: what the program is called.
    """
    commands.main(arguments, prog_name=name)
