"""The command that tells who did what."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from pypicloud_tw.access.audit.question import SINCE, Question
from pypicloud_tw.cli.administration import Administration
from pypicloud_tw.cli.base import one_ini
from pypicloud_tw.cli.records import print_records
from pypicloud_tw.cli.target import Target, takes_target

T = TypeVar("T")


def _takes_ini(command: Callable[..., T]) -> Callable[..., T]:
    """Understand an ini without ``--config``, too."""

    @wraps(command)
    def understood(*, ini: Path | None, config: Path | None, **arguments: Any) -> T:
        return command(config=one_ini(ini, config), **arguments)

    return click.argument("ini", type=click.Path(path_type=Path), required=False)(
        understood
    )


@click.command()
@_takes_ini
@takes_target
@click.option(
    "--project",
    help="Only what was done to this project; or who may do what with what matches a "
    "pattern, written as the lines of rights have it, as `acme-*`.",
)
@click.option("--user", help="Only what this user did.")
@click.option(
    "--act", help="Only such acts, in its words, as published, removed or yanked."
)
@click.option(
    "--since", default=SINCE, show_default=True, help="Not before then: 7d, 2026-01-31."
)
@click.option("--until", help="Not after then.")
@click.option("--json", "as_json", is_flag=True, help="A line of JSON for each record.")
def audit(
    target: Target,
    project: str | None,
    user: str | None,
    act: str | None,
    since: str,
    until: str | None,
    as_json: bool,
) -> None:
    """Tell who changed what, from the records in the store.

    The oldest come first. Refusals are not among them: they are in the file of
    audit.log. A time is so long ago (7d, 12h), or a date or a moment, in UTC. Exits
    with 1 if a record was not understood; it is named.
    """
    question = Question(project, user, act, since, until)

    async def work(index: Administration) -> bool:
        return await print_records(index.records, question, as_json=as_json)

    if not target.do(work):
        click.get_current_context().exit(1)
