"""What was taken that advisories affect, as parameters of a query ask for it."""

from __future__ import annotations

from typing import cast, get_args

from pypicloud_tw.errors import BadRequest
from pypicloud_tw.projects.affected.values import (
    MOST,
    USUAL,
    AffectedQuestion,
    SeverityWord,
)
from pypicloud_tw.web.api.declared import (
    cursor_parameter,
    limit_parameter,
    text_parameter,
)
from pypicloud_tw.web.api.json_api import number, parameter
from pypicloud_tw.web.http.site import Request

_SEVERITIES = get_args(SeverityWord)

PARAMETERS = (
    text_parameter(
        "severity",
        "At least so bad; malware always is.",
        enum=list(_SEVERITIES),
    ),
    text_parameter("project", "Of this project alone."),
    text_parameter("malware", "Only malware.", enum=["true", "false"]),
    cursor_parameter(r"^[^\x00-\x1f\x7f]*$"),
    limit_parameter(MOST, USUAL),
)

#: Of a report.
DATE = text_parameter(
    "date", "Its day, as 2026-03-01; without it, the newest.", longest=10
)


def question_of(request: Request) -> AffectedQuestion:
    """Understand a request's parameters; an empty one says nothing.

    :raises BadRequest: one has no such value.
    """
    severity = parameter(request, "severity") or "unknown"
    if severity not in _SEVERITIES:
        raise BadRequest(f"The severity is one of {', '.join(_SEVERITIES)}.")
    return AffectedQuestion(
        cast(SeverityWord, severity),
        parameter(request, "project"),
        parameter(request, "malware") == "true",
        parameter(request, "cursor"),
        number(request, "limit", USUAL, MOST),
    )
