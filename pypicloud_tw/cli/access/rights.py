"""``pypicloud right``, ``publisher`` and ``rights``: what somebody may do."""

from __future__ import annotations

from typing import cast

import click

from pypicloud_tw.access.administration.interface import AccessAdministration
from pypicloud_tw.access.administration.values import (
    NEW,
    Grant,
    Publisher,
    PublisherTerms,
    Right,
    RightsOf,
    Verdict,
)
from pypicloud_tw.cli.access.token_ids import id_of
from pypicloud_tw.cli.output import json_option, show, show_json, told, where
from pypicloud_tw.cli.questions import asks_first, confirm
from pypicloud_tw.cli.target import Target, takes_target
from pypicloud_tw.config.grants import parse_actions
from pypicloud_tw.config.names import parse_project
from pypicloud_tw.config.publishers import AUDIENCE
from pypicloud_tw.config.rights import Action, Kind, show_actions
from pypicloud_tw.config.values import BadValueError
from pypicloud_tw.errors import Forbidden, NotFound
from pypicloud_tw.json_values import encode

_KIND = click.Choice(["user", "group"])


def actions(text: str, named: str = "MAY") -> frozenset[Action]:
    """Understand what an option or an argument allows, in the words of the ini.

    :param named: what the option or the argument is called.
    """
    try:
        return parse_actions(text)
    except BadValueError as e:
        raise click.UsageError(f"{named} {e}") from None


@click.group()
def right() -> None:
    """Show and change the lines of rights.

    A line says what a user or a group may do with a project, or with every project
    that a pattern matches, as `acme-*`.
    """


@right.command("list")
@click.argument("project", required=False)
@takes_target
@json_option
def list_rights(project: str | None, target: Target, as_json: bool) -> None:
    """List every line, or those of PROJECT, a name or a pattern."""
    wanted = None if project is None else _project(project)
    lines = target.do(lambda index: index.access.rights())
    shown = [line for line in lines if wanted in (None, line.project)]
    columns = ("PROJECT", "WHO", "NAME", "MAY", "SET IN")
    show(shown, columns, _right_row, as_json=as_json)


def _project(text: str) -> str:
    """Normalize a name or a pattern, as lines have it."""
    try:
        return parse_project(text)
    except BadValueError as e:
        raise click.UsageError(f"PROJECT = {text!r} {e}") from None


def _right_row(line: Right) -> tuple[str, ...]:
    place = where(line.fixed, line.source)
    return (
        line.project,
        line.kind,
        line.name,
        show_actions(line.actions),
        place if line.counts else f"{place}; the ini's lines count instead",
    )


@right.command("set")
@click.argument("project")
@click.argument("kind", type=_KIND)
@click.argument("name")
@click.argument("may")
@takes_target
def set_right(
    project: str,
    kind: str,
    name: str,
    may: str,
    target: Target,
) -> None:
    """Set what the user or group NAME may do with PROJECT.

    MAY is r, rw, some of read, upload, manage and administer with commas between them,
    or none. For example: `pypicloud right set 'acme-*' group dev rw`
    """
    grant, whose = Grant(actions(may)), cast("Kind", kind)
    changed = target.change(
        lambda index: index.access.put_right(project, whose, name, grant)
    )
    told(changed, f"{project}: {kind} {name} has {show_actions(grant.actions)}.")


@right.command("remove")
@click.argument("project")
@click.argument("kind", type=_KIND)
@click.argument("name")
@asks_first
@takes_target
def remove_right(
    project: str,
    kind: str,
    name: str,
    yes: bool,
    target: Target,
) -> None:
    """Remove a line."""
    whose = cast("Kind", kind)
    confirm(f"Remove the rights of {kind} {name} for {project}?", yes)
    changed = target.change(
        lambda index: index.access.remove_right(project, whose, name)
    )
    told(changed, f"{project}: no line for {kind} {name} any more.")


@click.group()
def publisher() -> None:
    """Show and change the trusted publishers.

    A job of one of them exchanges its identity for a token, so that it needs no secret.
    """


@publisher.command("list")
@takes_target
@json_option
def list_publishers(target: Target, as_json: bool) -> None:
    """List the trusted publishers."""
    publishers = target.do(lambda index: index.access.publishers())
    columns = ("PUBLISHER", "ISSUER", "CLAIMS", "PROJECTS", "MAY", "SET IN")
    show(publishers, columns, _publisher_row, as_json=as_json)


def _publisher_row(one: Publisher) -> tuple[str, ...]:
    terms = one.terms
    return (
        one.name,
        terms.issuer,
        ", ".join(
            f"{name}:{pattern}" for name, pattern in sorted(terms.claims.items())
        ),
        ", ".join(terms.projects),
        show_actions(terms.actions),
        where(one.fixed, one.source),
    )


@publisher.command("add")
@click.argument("name")
@click.option("--issuer", required=True, help="The URL of whoever issues identities.")
@click.option(
    "--claim",
    "claims",
    multiple=True,
    required=True,
    metavar="NAME:PATTERN",
    help="What an identity must say, as repository:acme/tool; may be repeated.",
)
@click.option(
    "--project",
    "projects",
    multiple=True,
    required=True,
    help="A project or a pattern; may be repeated.",
)
@click.option("--may", default="upload", show_default=True, help="As of right set.")
@click.option("--audience", default=AUDIENCE, show_default=True)
@takes_target
def add_publisher(
    name: str,
    issuer: str,
    claims: tuple[str, ...],
    projects: tuple[str, ...],
    may: str,
    audience: str,
    target: Target,
) -> None:
    """Trust a publisher.

    For example: `pypicloud publisher add acme --project acme-tool --issuer
    https://gitlab.example.com --claim project_path:acme/tool`
    """
    terms = PublisherTerms(
        issuer, dict(map(_claim, claims)), projects, audience, actions(may, "--may")
    )
    changed = target.change(lambda index: index.access.put_publisher(name, terms, NEW))
    told(changed, f"Added the publisher {name}.")


def _claim(text: str) -> tuple[str, str]:
    name, colon, pattern = text.partition(":")
    if not name.strip() or not colon or not pattern.strip():
        raise click.UsageError(
            "A claim is a name, a colon and a pattern, as in repository:acme/tool."
        )
    return name.strip(), pattern.strip()


@publisher.command("remove")
@click.argument("name")
@asks_first
@takes_target
def remove_publisher(name: str, yes: bool, target: Target) -> None:
    """Trust a publisher no more; its tokens are worth nothing from then on."""
    confirm(f"Remove the publisher {name}?", yes)
    changed = target.change(lambda index: index.access.remove_publisher(name))
    told(changed, f"Removed the publisher {name}.")


@click.command()
@click.argument("who", required=False, metavar="[USER|TOKEN]")
@click.argument("project", required=False)
@takes_target
@json_option
def rights(
    who: str | None,
    project: str | None,
    target: Target,
    as_json: bool,
) -> None:
    """Explain what somebody may do, and which line says so.

    USER is a name, TOKEN a token's id; neither is oneself. The project * is each that
    no line is for.
    """
    if who is None and target.offline:
        raise click.UsageError("Say whose rights: offline, nobody is logged in.")
    who = None if who is None else id_of(who)
    found, known = target.do(lambda index: _rights_of(index.access, who, project))
    if not known:
        click.echo(
            f"There is no user {who} here. If LDAP or a proxy knows one, groups from "
            "there count beside what is shown.",
            err=True,
        )
    if as_json:
        show_json(encode(found))
        return
    rows = [
        (decision.project, verdict)
        for decision in found.decisions
        for verdict in decision.verdicts
    ]
    show(rows, ("PROJECT", "TO", "ALLOWED", "BECAUSE"), _verdict_row, as_json=False)


async def _rights_of(
    access: AccessAdministration, who: str | None, project: str | None
) -> tuple[RightsOf, bool]:
    """Return what somebody may do, and False if it is a user who is not known here."""
    found = await access.rights_of(who, project)
    if who is None or found.user != who:
        return found, True
    try:
        await access.user(who)
    except NotFound:
        return found, False
    except Forbidden:
        # Whoever is no administrator asked about nobody but themselves.
        return found, True
    return found, True


def _verdict_row(one: tuple[str, Verdict]) -> tuple[str, ...]:
    project, verdict = one
    allowed = "yes" if verdict.allowed else "no"
    return project, verdict.action.value, allowed, "; ".join(verdict.reasons)
