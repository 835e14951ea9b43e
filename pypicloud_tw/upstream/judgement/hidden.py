"""What a page tells of the files that it does not show, and why.

It stands in a page's JSON under a key of our own (PEP 691: keys that begin with an
underscore are private to whoever wrote them), and below the files in its HTML.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from packaging.version import InvalidVersion, Version

from pypicloud_tw.index.model import Document
from pypicloud_tw.upstream.judgement.values import Candidate, Refusal

#: The key of a document.
HIDDEN = "_hidden"

#: Entries that are told one by one: more would be nobody's to read. boto3 has some
#: eight releases in a cooldown of a week; what is older is told by the rule alone.
MOST = 100


def told_hidden(
    document: Document,
    hidden: Iterable[tuple[Candidate, Refusal]],
    version_of: Callable[[str], str | None],
) -> list[dict[str, Any]]:
    """Tell what was left out of a document, the newest version first.

    :param document: may tell of files that were left out of it before.
    :return: an entry for each version and rule, and beyond :data:`MOST` one for each
        rule: ``version`` (null where it cannot be told, or is not), ``files`` (how
        many), ``rule``, ``reason``, ``lifted_by``, and where they are known ``since``
        and ``until``, of the first file that will be seen.
    """
    groups: dict[tuple[str | None, str], dict[str, Any]] = {}
    for entry in document.get(HIDDEN, ()):
        _add(groups, entry)
    for candidate, refusal in hidden:
        version = candidate.version or version_of(candidate.filename)
        _add(groups, _entry(version, refusal))
    newest = sorted(groups.values(), key=_order, reverse=True)
    rest: dict[tuple[str | None, str], dict[str, Any]] = {}
    for entry in newest[MOST:]:
        _add(rest, {**entry, "version": None})
    return [*newest[:MOST], *rest.values()]


def _entry(version: str | None, refusal: Refusal) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "version": version,
        "files": 1,
        "rule": refusal.rule.value,
        "reason": refusal.sentence,
        "lifted_by": refusal.lifted_by,
    }
    if refusal.since is not None:
        entry["since"] = _moment(refusal.since)
    if refusal.until is not None:
        entry["until"] = _moment(refusal.until)
    return entry


def _add(
    groups: dict[tuple[str | None, str], dict[str, Any]], entry: dict[str, Any]
) -> None:
    key = entry["version"], entry["rule"]
    known = groups.get(key)
    if known is None:
        groups[key] = entry
        return
    first = entry if entry.get("until", "~") < known.get("until", "~") else known
    groups[key] = {**first, "files": known["files"] + entry["files"]}


def _order(entry: dict[str, Any]) -> tuple[bool, Version]:
    try:
        return True, Version(entry["version"] or "")
    except InvalidVersion:
        return False, Version("0")


def _moment(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, UTC).replace(microsecond=0)
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
