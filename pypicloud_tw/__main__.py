"""``python -m pypicloud_tw`` is ``pypicloud``, and serves if no command is named."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pypicloud_tw.cli.main import main

_ABOUT_ALL = frozenset({"-h", "--help", "--version"})


def with_command(arguments: Sequence[str]) -> list[str]:
    """Put ``serve`` in front of arguments that name no command."""
    if arguments and (arguments[0] in main.commands or arguments[0] in _ABOUT_ALL):
        return [*arguments]
    return ["serve", *arguments]


if __name__ == "__main__":
    main(with_command(sys.argv[1:]), prog_name="python -m pypicloud_tw")
