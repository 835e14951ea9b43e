"""What a client accepts: lists of names with qualities (RFC 9110, section 12.4.2)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_QUALITY = re.compile(r"\d+(\.\d*)?|\.\d+", re.ASCII)


def parse_accept(value: bytes | None) -> dict[str, float]:
    """Read ``Accept``, ``Accept-Encoding`` and the like: qualities by lower-case name.

    Malformed members are ignored, and so are parameters other than ``q``.
    """
    qualities: dict[str, float] = {}
    # Every byte is some character of Latin-1, so this cannot fail.
    for member in (value or b"").decode("latin-1").split(","):
        name, *parameters = member.split(";")
        quality = _quality(parameters)
        if name.strip() and quality is not None:
            qualities[name.strip().lower()] = quality
    return qualities


def media_quality(
    names: Iterable[str], accepted: Mapping[str, float]
) -> tuple[float, bool]:
    """Return a media type's quality, and whether the client named it.

    The most specific range counts (RFC 9110, section 12.5.1).

    :param names: of the type, which may have several.
    :param accepted: ``Accept`` as :func:`parse_accept` read it.
    """
    names = tuple(names)
    named = [accepted[name] for name in names if name in accepted]
    if named:
        return max(named), True
    kind = names[0].partition("/")[0]
    for wildcard in (f"{kind}/*", "*/*", "*"):
        if wildcard in accepted:
            return accepted[wildcard], False
    return 0.0, False


def _quality(parameters: list[str]) -> float | None:
    """Find the quality among the parameters; None if it is no number."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "q":
            number = _QUALITY.fullmatch(value.strip())
            return min(float(number[0]), 1.0) if number else None
    return 1.0
