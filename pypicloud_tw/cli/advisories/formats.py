"""What an audit found, for other programs: CSV, and SARIF 2.1.0."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from io import StringIO
from typing import Any

from pypicloud_tw import __version__
from pypicloud_tw.projects.affected.values import AffectedRelease, Fix

#: The columns of a CSV file.
COLUMNS = (
    "project",
    "version",
    "ids",
    "malware",
    "severity",
    "places",
    "fetches_30d",
    "fix",
    "fix_state",
    "fix_rule",
    "fix_until",
    "fixes",
    "published",
    "summary",
)

#: What spreadsheets take for the beginning of a formula (OWASP, CSV injection); tabs
#: and line ends, which are among these, are spaces by then.
_FORMULA = ("=", "+", "-", "@")

#: SARIF's levels, and the numbers that security dashboards sort by, by severity.
_LEVELS = {"critical": "error", "high": "error", "medium": "warning", "low": "note"}
_SCORES = {"critical": "9.5", "high": "8.0", "medium": "5.5", "low": "2.5"}

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def csv_text(rows: Iterable[AffectedRelease]) -> str:
    """Write rows as CSV (RFC 4180); no cell is a formula."""
    written = StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([_cell(text) for text in _cells(row)] for row in rows)
    return written.getvalue()


def _cells(row: AffectedRelease) -> Sequence[str]:
    fix = row.fix or Fix("")
    return (
        row.project,
        row.version,
        " ".join(row.ids),
        "true" if row.malware else "false",
        row.severity,
        " ".join(row.places),
        "" if row.fetches is None else str(row.fetches),
        fix.version,
        fix.state if row.fix is not None else "",
        fix.rule or "",
        "" if fix.until is None else fix.until.isoformat(),
        " ".join(row.fixes),
        "" if row.published is None else row.published.isoformat(),
        row.summary,
    )


def _cell(text: str) -> str:
    line = " ".join(text.split())
    return f"'{line}" if line.startswith(_FORMULA) else line


def sarif(rows: Sequence[AffectedRelease]) -> dict[str, Any]:
    """Make a SARIF log: a rule for each matter, a result for each row."""
    leading: dict[str, AffectedRelease] = {}
    for row in rows:
        leading.setdefault(row.ids[0], row)
    places = {identity: number for number, identity in enumerate(leading)}
    driver = {
        "name": "pypicloud",
        "version": __version__,
        "rules": [_rule(row) for row in leading.values()],
    }
    return {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": driver},
                "columnKind": "unicodeCodePoints",
                "results": [_result(row, places[row.ids[0]]) for row in rows],
            }
        ],
    }


def _rule(row: AffectedRelease) -> dict[str, Any]:
    text = row.summary or f"{row.ids[0]} affects {row.project}."
    properties: dict[str, Any] = {"tags": ["security", *row.ids[1:]]}
    if row.severity in _SCORES:
        properties["security-severity"] = _SCORES[row.severity]
    return {
        "id": row.ids[0],
        "shortDescription": {"text": text},
        "fullDescription": {"text": text},
        "helpUri": f"https://osv.dev/vulnerability/{row.ids[0]}",
        "defaultConfiguration": {"level": _level(row)},
        "properties": properties,
    }


def _result(row: AffectedRelease, rule: int) -> dict[str, Any]:
    name = f"{row.project}=={row.version}"
    logical = {
        "name": row.project,
        "fullyQualifiedName": f"pkg:pypi/{row.project}@{row.version}",
        "kind": "module",
    }
    return {
        "ruleId": row.ids[0],
        "ruleIndex": rule,
        "level": _level(row),
        "message": {"text": sentence_of(row)},
        "locations": [
            {
                # Dashboards take only results that have a place in a file.
                "physicalLocation": {
                    "artifactLocation": {"uri": f"simple/{row.project}/"},
                    "region": {"startLine": 1},
                },
                "logicalLocations": [logical],
            }
        ],
        "partialFingerprints": {"release/v1": f"{name} {row.ids[0]}"},
    }


def _level(row: AffectedRelease) -> str:
    return _LEVELS.get(row.severity, "warning")


def sentence_of(row: AffectedRelease) -> str:
    """Say in a line what affects a release, and what to do."""
    what = "is malware" if row.malware else f"has a flaw ({row.severity})"
    fetched = "" if row.fetches is None else f", fetched {row.fetches} times in 30 days"
    where = f"{', '.join(row.places)}{fetched}"
    return (
        f"{row.project} {row.version} {what} by {', '.join(row.ids)} ({where}). "
        f"{fix_sentence(row)}"
    )


def fix_sentence(row: AffectedRelease) -> str:
    """Say which version to take."""
    fix = row.fix
    if fix is None:
        return "Remove it." if row.malware else "No version repairs it."
    if fix.state != "hidden":
        return f"Take {fix.version}."
    until = "" if fix.until is None else f" until {fix.until:%Y-%m-%d %H:%M} UTC"
    return f"Take {fix.version}, which {fix.rule} hides{until}."
