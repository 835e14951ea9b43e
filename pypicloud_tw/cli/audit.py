"""The command that tells who did what."""

from __future__ import annotations

from pathlib import Path

import click

from pypicloud_tw.access.audit.question import SINCE, Question
from pypicloud_tw.cli.base import finish, load_config, surroundings, takes_config


@click.command()
@takes_config
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
    ini: Path | None,
    config: Path | None,
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
    checked = load_config(ini, config)
    question = Question(project, user, act, since, until)
    work = surroundings().maintenance()
    finish(lambda: work.run_audit(checked, question, as_json=as_json))
