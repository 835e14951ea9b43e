"""What a change of the access document did, as its record tells it: before and after.

So that a record says by itself who got what, and who lost it. No hash is in it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC

from pypicloud_tw.access.administration.states import Part
from pypicloud_tw.access.document import AccessDocument, StoredUser
from pypicloud_tw.config.exemptions import Exemption
from pypicloud_tw.config.rights import RightLine, TrustedPublisher, show_actions

#: Names that are told of many; more are counted, for a record is bounded.
_MOST = 20


def told(part: Part, name: str, before: AccessDocument, after: AccessDocument) -> str:
    """Say what became of one thing in the document."""
    match part:
        case "users":
            return f"{name}: {'; '.join(_of_user(name, before, after))}"
        case "groups":
            return f"{name}: {'; '.join(_of_group(name, before, after))}"
        case "rights":
            return _of_right(_line(name, before), _line(name, after))
        case "publishers":
            was, now = before.publishers.get(name), after.publishers.get(name)
            return f"{name}: {'; '.join(_of_publisher(was, now))}"
        case "exemptions":
            ends, end = before.exemptions.get(name), after.exemptions.get(name)
            return f"{name}: {'; '.join(_of_exemption(ends, end))}"


def _of_user(name: str, before: AccessDocument, after: AccessDocument) -> Iterator[str]:
    was, now = before.users.get(name), after.users.get(name)
    if now is None:
        yield "removed"
        yield from _lost(before, "user", name)
        groups = [group for group, who in before.groups.items() if name in who]
        if groups:
            yield f"was in {_listed(groups)}"
    elif was is None:
        yield "new"
        yield "a service account" if now.hash is None else "with a password"
        if now.administrator:
            yield "an administrator"
    else:
        yield from _of_both(was, now)


def _of_both(was: StoredUser, now: StoredUser) -> Iterator[str]:
    if was.hash != now.hash:
        yield "no password any more" if now.hash is None else "another password"
    if was.administrator != now.administrator:
        yield f"{'an' if now.administrator else 'no'} administrator from now on"


def _of_group(
    name: str, before: AccessDocument, after: AccessDocument
) -> Iterator[str]:
    was, now = before.groups.get(name), after.groups.get(name)
    if now is None:
        yield "removed"
        yield from _lost(before, "group", name)
    elif was is None:
        yield "new"
    for what, names in (
        ("in", (now or frozenset()) - (was or frozenset())),
        ("out", (was or frozenset()) - (now or frozenset())),
    ):
        if names:
            yield f"{what}: {_listed(names)}"


def _of_right(was: RightLine | None, now: RightLine | None) -> str:
    line = now or was
    assert line is not None, "one of them is there, for something was changed"
    before = "nothing said" if was is None else show_actions(was.actions)
    after = "nothing said" if now is None else show_actions(now.actions)
    return f"{line.kind} {line.name}: {after}; before: {before}"


def _of_publisher(
    was: TrustedPublisher | None, now: TrustedPublisher | None
) -> Iterator[str]:
    yield "removed" if now is None else _terms(now)
    yield "new" if was is None else f"before: {_terms(was)}"


def _of_exemption(was: Exemption | None, now: Exemption | None) -> Iterator[str]:
    yield "removed" if now is None else _exempted(now)
    yield "new" if was is None else f"before: {_exempted(was)}"


def _exempted(exemption: Exemption) -> str:
    until = exemption.until.astimezone(UTC)
    return f"{exemption.what} until {until:%Y-%m-%dT%H:%MZ}, {exemption.reason}"


def _terms(publisher: TrustedPublisher) -> str:
    claims = (f"{name}:{value}" for name, value in sorted(publisher.claims))
    return (
        f"{show_actions(publisher.actions)} of {_listed(publisher.projects)} for "
        f"{', '.join(claims)} by {publisher.issuer} to {publisher.audience}"
    )


def _lost(document: AccessDocument, kind: str, name: str) -> Iterator[str]:
    """Say which lines went with a user or a group."""
    lines = [
        f"{line.project} {show_actions(line.actions)}"
        for line in document.rights
        if (line.kind, line.name) == (kind, name)
    ]
    if lines:
        yield f"had {_listed(lines)}"


def _line(name: str, document: AccessDocument) -> RightLine | None:
    found = (
        line
        for line in document.rights
        if f"{line.project}/{line.kind}/{line.name}" == name
    )
    return next(found, None)


def _listed(names: Collection[str]) -> str:
    shown = ", ".join(sorted(names)[:_MOST])
    more = len(names) - _MOST
    return f"{shown} and {more} more" if more > 0 else shown
