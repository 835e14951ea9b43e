"""``pypicloud``: loads the commands and runs the one that is named.

The health check is loaded by itself: all commands together take a second of a
processor, and a container's runtime runs it twice a minute.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

_ALONE = "healthcheck"


def main(arguments: Sequence[str] | None = None, name: str = "pypicloud") -> None:
    """Run a command and exit.

    :param arguments: None: those of this process.
    :param name: what the program is called.
    """
    given = [*(sys.argv[1:] if arguments is None else arguments)]
    if given[:1] == [_ALONE]:
        from pypicloud_tw.cli.healthcheck import healthcheck

        healthcheck.main(given[1:], prog_name=f"{name} {_ALONE}")
    else:
        from pypicloud_tw.cli.main import main as commands

        commands.main(given, prog_name=name)
