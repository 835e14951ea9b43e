"""``pypicloud serve``: run the server by a command of its own."""

from __future__ import annotations

from pathlib import Path

import click

from pypicloud_tw.cli.base import finish, one_ini, surroundings, takes_config
from pypicloud_tw.cli.errors import exits_with_1


@click.command()
@takes_config
@click.option(
    "-l",
    "--listen",
    metavar="ENDPOINT",
    multiple=True,
    help="Listen here instead of where the ini says: tcp:8080:interface=127.0.0.1, "
    "tcp:8080 for every address, unix:/run/pypicloud/socket, ...",
)
@click.option(
    "-w",
    "--workers",
    metavar="NUMBER",
    help="So many processes serve as one, instead of as many as the ini says.",
)
def serve(
    ini: Path | None, config: Path | None, listen: tuple[str, ...], workers: str | None
) -> None:
    """Run the server in the foreground.

    Without an ini it serves the folder ./packages at http://127.0.0.1:6543/, and hides
    what is younger than a week of the other index. Logs go to standard output. SIGTERM
    and SIGINT stop it, SIGHUP makes it read users and access settings again.
    """
    path = one_ini(ini, config)
    if len(listen) > 1:
        raise click.UsageError("A server listens at one endpoint; give --listen once.")

    def work() -> int:
        surroundings().run_server(path, listen[0] if listen else None, workers)
        return 0

    with exits_with_1():  # as twistd does
        finish(work)
