"""``pypicloud serve``: run the server by a command of its own."""

from __future__ import annotations

from pathlib import Path

import click

from pypicloud_tw.cli.base import finish, one_ini, surroundings, takes_config


@click.command()
@takes_config
@click.option(
    "-l",
    "--listen",
    metavar="ENDPOINT",
    help="Listen here instead of where the ini says: tcp:8080, "
    "unix:/run/pypicloud/socket, ...",
)
def serve(ini: Path | None, config: Path | None, listen: str | None) -> None:
    """Run the server in the foreground.

    Without an ini it serves the folder ./packages at http://127.0.0.1:6543/. Logs go to
    standard output. SIGTERM and SIGINT stop it, SIGHUP makes it read users and access
    settings again.
    """
    path = one_ini(ini, config)

    def work() -> int:
        surroundings().run_server(path, listen)
        return 0

    finish(work)
