"""``pypicloud pin``: who publishes the projects of other indexes."""

from __future__ import annotations

import click

from pypicloud_tw.cli.output import (
    json_option,
    moment,
    printable,
    say,
    show,
    show_json,
    where,
)
from pypicloud_tw.cli.target import Target, takes_target
from pypicloud_tw.json_values import encode
from pypicloud_tw.projects.pinning import NewPin, PinnedPublisher

_COLUMNS = ("PROJECT", "PUBLISHER", "SINCE", "BY", "REFUSED")


@click.group()
def pin() -> None:
    """Show and change who publishes projects of other indexes.

    Of projects that upstream.require_provenance names, only files are given out that
    their publisher attests; the first one is pinned. The ini has lines of its own:
    upstream.publisher.NAME.
    """


@pin.command("list")
@takes_target
@json_option
def list_pins(target: Target, as_json: bool) -> None:
    """List who is pinned, and who else was refused last."""
    pins = target.do(lambda index: index.pins.pins())
    show(pins, _COLUMNS, _row, as_json=as_json)


def _row(one: PinnedPublisher) -> tuple[str, ...]:
    by = one.by or ("the first file" if one.file else where(one.source == "ini"))
    refused = ""
    if one.refused is not None:
        refused = f"{one.refused.publisher} ({one.refused.file})"
    since = moment(one.pinned) if one.pinned and one.publisher else ""
    return one.project, one.publisher or "nobody", since, by, refused


@pin.command("set")
@click.argument("project")
@click.argument("publisher")
@takes_target
@json_option
def set_pin(project: str, publisher: str, target: Target, as_json: bool) -> None:
    """Pin the PUBLISHER of a PROJECT, or accept another one.

    PUBLISHER is github:OWNER/REPOSITORY:WORKFLOW, gitlab:GROUP/PROJECT:FILE,
    google:EMAIL or circleci:PROJECT_ID:PIPELINE_DEFINITION_ID. Without the workflow or
    the file it is any of that repository.
    """
    pinned = target.change(lambda index: index.pins.set_pin(project, NewPin(publisher)))
    _tell(pinned, as_json)


@pin.command("remove")
@click.argument("project")
@takes_target
@json_option
def remove_pin(project: str, target: Target, as_json: bool) -> None:
    """Pin nobody: whoever publishes the next file of the PROJECT will be."""
    _tell(target.change(lambda index: index.pins.remove_pin(project)), as_json)


def _tell(pinned: PinnedPublisher, as_json: bool) -> None:
    if as_json:
        show_json(encode(pinned))
    elif pinned.publisher is None:
        say(printable(f"The next publisher of {pinned.project} will be pinned."))
    else:
        say(printable(f"{pinned.project} is published by {pinned.publisher}."))
