"""``pypicloud exempt``: what rules for what comes from upstream do not hold for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click

from pypicloud_tw.access.administration.values import Exempted, NewExemption
from pypicloud_tw.cli.base import surroundings
from pypicloud_tw.cli.output import (
    json_option,
    moment,
    printable,
    say,
    show,
    show_json,
    told,
)
from pypicloud_tw.cli.target import Target, takes_target
from pypicloud_tw.config.exemptions import (
    LIFTABLE,
    Rule,
    make_exemption,
    parse_end,
    split_what,
)
from pypicloud_tw.config.values import BadValueError, seconds
from pypicloud_tw.json_values import encode


@click.group()
def exempt() -> None:
    """Let through what a rule hides of other indexes, until a day and for a reason.

    As a fix that is younger than upstream.min_age. Every server obeys within a minute;
    none is restarted. The ini has lines of its own: upstream.exempt.
    """


@exempt.command("add")
@click.argument("what", metavar="PROJECT[==VERSION]")
@click.option("--until", metavar="DATE", help="The last day, as 2026-12-24; in UTC.")
@click.option("--for", "lasting", metavar="TIME", help="Instead: how long, as 7d.")
@click.option("--reason", required=True, help="Why, for whoever reads it later.")
@click.option("--sha256", default="", metavar="HEX", help="Of the one file meant.")
@click.option(
    "--rule",
    default=Rule.MIN_AGE.value,
    show_default=True,
    type=click.Choice(sorted(rule.value for rule in LIFTABLE)),
    help="The rule that shall not hold.",
)
@takes_target
@json_option
def add(
    what: str,
    until: str | None,
    lasting: str | None,
    reason: str,
    sha256: str,
    rule: str,
    target: Target,
    as_json: bool,
) -> None:
    """Exempt a project or versions of it.

    For example: `pypicloud exempt add urllib3==2.5.1 --for 7d --reason 'CVE fix'`. To
    exempt the same again sets another end and reason.
    """
    end = _end(until, lasting)
    try:
        made = make_exemption(what, until=end, reason=reason, sha256=sha256, rule=rule)
    except BadValueError as e:
        raise click.UsageError(f"{what} {e}") from None
    name, _ = split_what(what)
    new = NewExemption(name, end, made.reason, made.versions, made.sha256, rule)
    added = target.change(lambda index: index.access.add_exemption(new))
    if as_json:
        show_json(encode(added))
        return
    say(
        printable(
            f"{added.what} is exempt until {moment(added.until)} UTC ({added.id})."
        )
    )


def _end(until: str | None, lasting: str | None) -> datetime:
    if (until is None) == (lasting is None):
        raise click.UsageError("Say when it ends: --until DATE or --for TIME.")
    try:
        if until is not None:
            return parse_end(until)
        wanted = timedelta(seconds=round(seconds(1, 10 * 366 * 86400)(lasting or "")))
    except BadValueError as e:
        option = f"--until = {until}" if until is not None else f"--for = {lasting}"
        raise click.UsageError(f"{option} {e}") from None
    now = datetime.fromtimestamp(surroundings().now(), UTC)
    return now.replace(microsecond=0) + wanted


@exempt.command("list")
@takes_target
@json_option
def list_exemptions(target: Target, as_json: bool) -> None:
    """List what is exempt; lines of the ini have no id."""
    exemptions = target.do(lambda index: index.access.exemptions())
    columns = ("ID", "WHAT", "UNTIL", "REASON", "BY")
    show(exemptions, columns, _row, as_json=as_json)


def _row(one: Exempted) -> tuple[str, ...]:
    ended = " (ended)" if one.ended else ""
    return one.id, one.what, f"{moment(one.until)}{ended}", one.reason, one.source


@exempt.command("remove")
@click.argument("id")
@takes_target
def remove(id: str, target: Target) -> None:
    """Exempt something no more; ID is as `exempt list` has it."""
    changed = target.change(lambda index: index.access.remove_exemption(id))
    told(changed, f"Removed the exemption {id}.")
