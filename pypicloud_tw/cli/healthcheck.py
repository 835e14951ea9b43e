"""``pypicloud healthcheck``: whether the server of this machine is well."""

from __future__ import annotations

from pathlib import Path

import click

from pypicloud_tw.cli.base import finish, load_config, takes_config
from pypicloud_tw.cli.errors import exits_with_1
from pypicloud_tw.cli.paths import NamedPath
from pypicloud_tw.client.liveness import Place, Question

#: Seconds that are waited for the server.
_PATIENCE = 4.0


@click.command()
@takes_config
@click.option(
    "-l",
    "--listen",
    metavar="ENDPOINT",
    help="Ask here, as the server was told by its own --listen.",
)
@click.option(
    "--ready",
    is_flag=True,
    help="Ask /ready instead of /health: whether the store answers, too.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    default=_PATIENCE,
    show_default=True,
    help="Seconds to wait for it.",
)
@click.option(
    "--certificate",
    type=NamedPath(),
    metavar="PEM",
    help="A client's certificate with its key, where the server asks for one.",
)
def healthcheck(
    ini: Path | None,
    config: Path | None,
    listen: str | None,
    ready: bool,
    timeout: float,
    certificate: Path | None,
) -> None:
    """Ask the server of this machine how it is.

    It is found by its own settings: the ini and the environment. Exits with 0 if it is
    well, else with 1 and a sentence. For the health check of a container.
    """
    with exits_with_1():
        server = load_config(ini, config).server

    def work() -> int:
        question = Question(
            Place.of(listen or server.listen),
            "/ready" if ready else "/health",
            timeout,
            None if certificate is None else str(certificate),
        )
        said = question.ask()
        click.echo(f"{question.place}: {said}")
        return 0

    with exits_with_1():
        finish(work)
