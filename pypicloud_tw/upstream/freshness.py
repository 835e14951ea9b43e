"""For how long a page may be given without asking its upstream (RFC 9111)."""

from __future__ import annotations

#: Seconds for which a page is fresh whose upstream says nothing of that: enough for
#: the requests of one installation.
UNTOLD = 10.0
#: Seconds for which a page is fresh at most, whatever its upstream says.
LONGEST = 86_400.0


def directives(cache_control: str) -> dict[str, str]:
    """Read a Cache-Control field (RFC 9111, section 5.2), lower case."""
    found: dict[str, str] = {}
    for part in cache_control.lower().split(","):
        name, _, value = part.strip().partition("=")
        if name:
            # RFC 9111, section 4.2.1: of contradicting values, the strictest; the
            # first one is what is in the field that its sender wrote.
            found.setdefault(name, value.strip().strip('"'))
    return found


def may_keep(cache_control: str) -> bool:
    """Return whether a page may be remembered at all."""
    return "no-store" not in directives(cache_control)


def fresh_for(cache_control: str, age: str | None) -> float:
    """Return for how many seconds from now a page need not be asked again.

    ``private`` pages are asked again each time: this is a shared cache (RFC 9111,
    section 3.5).
    """
    told = directives(cache_control)
    if "no-cache" in told or "no-store" in told or "private" in told:
        return 0.0
    for name in ("s-maxage", "max-age"):
        if name in told:
            return max(0.0, min(_seconds(told[name]) - _seconds(age or ""), LONGEST))
    return UNTOLD


def _seconds(text: str) -> float:
    # RFC 9111, section 1.2.2; what is no number is stale.
    text = text.strip()
    return float(text[:12]) if text.isascii() and text.isdecimal() else 0.0
