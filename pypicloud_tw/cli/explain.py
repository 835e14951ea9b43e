"""``pypicloud explain``: what a client sees of a project, and why."""

from __future__ import annotations

from collections.abc import Iterator

import click

from pypicloud_tw.cli.output import (
    Line,
    json_option,
    moment,
    plural,
    show_json,
    show_lines,
)
from pypicloud_tw.cli.target import Target, takes_target
from pypicloud_tw.config.exemptions import split_what
from pypicloud_tw.index.model import LONGEST_REASON
from pypicloud_tw.json_values import encode
from pypicloud_tw.plain_texts import shortened
from pypicloud_tw.projects.explained.values import (
    Affecting,
    ExplainedRelease,
    Explanation,
    Hidden,
    LetThrough,
)

#: The exit code where something that was asked for is hidden, or not there.
NOT_SHOWN = 1


@click.command()
@click.argument("what", metavar="PROJECT[==VERSION]")
@takes_target
@json_option
def explain(what: str, target: Target, as_json: bool) -> None:
    """Tell what a client sees of a project, and why.

    Where the name is answered from, which of the newest releases are hidden, by which
    rule, until when, and who may lift it; what is exempt, and what advisories say. For
    example: `pypicloud explain urllib3==2.5.1`. Exits with 1 if something that was
    asked for is hidden or not there.
    """
    name, specifier = split_what(what)
    version = specifier.removeprefix("==").strip() or None
    if not name or (version is not None and not specifier.startswith("==")):
        raise click.UsageError("Name a project as urllib3, or a release as urllib3==2.")
    found = target.do(lambda index: index.explanations.explain(name, version))
    if as_json:
        show_json(encode(found))
    else:
        show_lines(_lines(found))
    if not found.shown:
        click.get_current_context().exit(NOT_SHOWN)


def _lines(found: Explanation) -> Iterator[Line]:
    yield Line(found.sentence)
    if found.hidden is not None:
        yield Line(found.hidden.lifted_by)
    if found.status != "active":
        why = shortened(found.status_reason or "", LONGEST_REASON)
        reason = f": {why}" if why else "."
        yield Line(f"Its status is {found.status}{reason}")
    told: set[str] = set()
    for release in found.releases:
        yield Line("")
        yield from _release(release, told)
    if found.more:
        yield Line("")
        more = plural(found.more, "older release")
        named = f"{found.project}=={found.releases[-1].version}"
        yield Line(f"{more} not listed; name one as {named}")
    for note in found.notes:
        yield Line("")
        yield Line(f"Note: {note}")


def _release(release: ExplainedRelease, told: set[str]) -> Iterator[Line]:
    """Tell of a release.

    :param told: the rules that were told of before: each is told of once.
    """
    version = release.version or "of no known version"
    yield Line(f"{version}  {_state(release)}", heading=True)
    about = "; ".join(_about(release))
    if about:
        yield Line(about, 2)
    for hidden in release.hidden:
        if hidden.rule not in told:
            told.add(hidden.rule)
            yield from _hidden(hidden)
    for exemption in release.exemptions:
        yield Line(_exemption(exemption), 2)
    for advisory in release.advisories:
        yield Line(_advisory(advisory), 2)


def _state(release: ExplainedRelease) -> str:
    if release.shown:
        return "shown"
    rules = ", ".join(map(_rule, release.hidden))
    if not release.files:
        return f"hidden ({rules})"
    if release.gone and not rules:
        return "given by its address alone"
    count = release.files + sum(hidden.files for hidden in release.hidden)
    return f"{release.files} of {count} files shown ({rules})"


def _rule(hidden: Hidden) -> str:
    until = "" if hidden.until is None else f" until {moment(hidden.until)} UTC"
    return f"{hidden.rule}{until}"


def _about(release: ExplainedRelease) -> Iterator[str]:
    if release.uploaded is not None:
        yield f"uploaded {moment(release.uploaded)} UTC"
    if release.source == "here":
        yield "of this index"
    if release.gone:
        yield "deleted in the other index, and kept in the cache"
    elif release.kept:
        yield f"{plural(release.kept, 'file')} kept in the cache"
    if release.yanked is not None:
        why = shortened(release.yanked, LONGEST_REASON)
        yield f"yanked: {why}" if why else "yanked"


def _hidden(hidden: Hidden) -> Iterator[Line]:
    yield Line(f"{hidden.rule}: {hidden.reason}", 2)
    if hidden.lifted_by:
        yield Line(hidden.lifted_by, 4)


def _exemption(one: LetThrough) -> str:
    until = f"{moment(one.until)} UTC"
    return (
        f"exempt from {one.rule} until {until}: {one.reason} ({one.what}, {one.source})"
    )


def _advisory(one: Affecting) -> str:
    what = "malware" if one.malware else one.severity
    summary = f": {one.summary.rstrip('.')}" if one.summary else ""
    fixed = f"; repaired in {', '.join(one.fixed)}" if one.fixed else ""
    return f"{one.id} ({what}){summary}{fixed}"
