"""``pypicloud report``: what whoever looks after an index should know today."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pypicloud_tw.cli.output import json_option, moment, printable, say, show_json
from pypicloud_tw.cli.target import Target, takes_target
from pypicloud_tw.json_values import encode
from pypicloud_tw.maintenance.reports.values import DailyReport, ReportSection

if TYPE_CHECKING:
    from pypicloud_tw.cli.administration import Administration


@click.command()
@takes_target
@click.option("--date", metavar="DAY", help="Of this day, as 2026-03-01.")
@json_option
def report(target: Target, date: str | None, as_json: bool) -> None:
    """Show the daily report, the newest or one of the last 30.

    One server makes it once a day: what advisories newly affect, fixes that wait, and
    what else an operator should know. Without one the exit code is 1.
    """

    async def work(index: Administration) -> DailyReport:
        return await index.advisories.report(date)

    found = target.do(work)
    if as_json:
        show_json(encode(found))
        return
    say(f"Report of {found.date}, made at {moment(found.made)} UTC")
    for section in found.sections:
        _show(section)


def _show(section: ReportSection) -> None:
    say(f"\n{printable(section.headline)}")
    for item in section.items:
        say(f"  - {printable(item.sentence)}")
    if section.left_out:
        say(f"  - and {section.left_out} more")
