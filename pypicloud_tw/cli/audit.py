"""The commands that tell who did what, and what advisories affect."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pypicloud_tw.access.audit.question import SINCE, Question
from pypicloud_tw.cli.advisories.audit import advisories
from pypicloud_tw.cli.base import one_ini
from pypicloud_tw.cli.paths import NamedPath
from pypicloud_tw.cli.records import print_records
from pypicloud_tw.cli.target import Target, takes_target

if TYPE_CHECKING:
    from pypicloud_tw.cli.administration import Administration

T = TypeVar("T")

#: What ``pypicloud audit`` does unless it is told otherwise.
_RECORDS = "records"


def _takes_ini(command: Callable[..., T]) -> Callable[..., T]:
    """Understand an ini without ``--config``, too."""

    @wraps(command)
    def understood(*, ini: Path | None, config: Path | None, **arguments: Any) -> T:
        return command(config=one_ini(ini, config), **arguments)

    return click.argument("ini", type=NamedPath(), required=False)(understood)


class _Audits(click.Group):
    """Audits of what was done; and by another word behind it, of what was taken.

    Without such a word it is the former, as it always was.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Name the command that needs no name."""
        own = {*ctx.help_option_names, *self.commands}
        if not args or args[0] not in own:
            args = [_RECORDS, *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Audits)
def audit() -> None:
    """Tell who changed what; or, `audit advisories`, what advisories affect.

    `pypicloud audit records --help` has the options of the first, whose name may be
    left out.
    """


audit.add_command(advisories)


@audit.command(_RECORDS)
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
def records(
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
