"""What is said of each thing that a rule refuses: the sentence, and who may lift it."""

from __future__ import annotations

from datetime import UTC, datetime

from pypicloud_tw.advisories.values import Advisory, Severity
from pypicloud_tw.config.exemptions import Rule
from pypicloud_tw.config.values import show_age
from pypicloud_tw.upstream.judgement.values import Refusal, Standing


def exempt_command(what: str, rule: Rule) -> str:
    """Write the command that exempts something.

    :param what: a project, or a release of it: ``acme 1.0``.
    """
    name, _, version = what.partition(" ")
    which = f"{name}=={version}" if version else name
    option = "" if rule is Rule.MIN_AGE else f" --rule {rule}"
    return f"pypicloud exempt add {which}{option} --for 7d --reason WHY"


def quarantined(name: str, what: str, standing: Standing) -> Refusal:
    """Refuse what the upstream itself has quarantined (PEP 792)."""
    reason = f": {standing.reason}" if standing.reason else ""
    return Refusal(
        Rule.QUARANTINED,
        f"The upstream index has quarantined {name}{reason.rstrip('.')}. Nothing of it "
        "is given out here.",
        "The upstream index lifts that; or an administrator exempts it: "
        + exempt_command(what, Rule.QUARANTINED),
        since=standing.since,
    )


def malware(what: str, advisory: str, since: float | None) -> Refusal:
    """Refuse what an advisory says is malicious."""
    return Refusal(
        Rule.MALWARE,
        f"{what} is known malware ({advisory}).",
        "If that is wrong, an administrator exempts it: "
        + exempt_command(what, Rule.MALWARE),
        since=since,
        advisory=advisory,
    )


def perhaps_malware(name: str, advisory: str, since: float | None) -> Refusal:
    """Refuse what may be a malicious version: its name does not tell which it is."""
    return Refusal(
        Rule.MALWARE,
        f"There is known malware among the versions of {name} ({advisory}), and the "
        "name of this file does not tell which version it is.",
        "If it is harmless, an administrator exempts its digest: "
        + exempt_command(name, Rule.MALWARE)
        + " --sha256 HEX",
        since=since,
        advisory=advisory,
    )


def unknown(trouble: str) -> Refusal:
    """Refuse all, for nobody can tell what is malware."""
    return Refusal(
        Rule.ADVISORIES,
        trouble,
        "Who runs this index sees to it, or sets advisories.when_away = open.",
    )


def flawed(what: str, worst: Advisory, least: Severity) -> Refusal:
    """Refuse what has a known flaw that is too bad."""
    fixed = ", ".join(worst.fixed)
    repaired = f" It is repaired in {fixed}." if fixed else ""
    return Refusal(
        Rule.SEVERITY,
        f"{what} has a known flaw of severity {worst.severity.word} ({worst.id}), "
        f"and {least.word} is not let through here (upstream.block_severity)."
        + repaired,
        "An administrator exempts it: " + exempt_command(what, Rule.SEVERITY),
        since=worst.published,
        advisory=worst.id,
    )


def unproved(filename: str, name: str, what: str) -> Refusal:
    """Refuse what nobody attests."""
    return Refusal(
        Rule.PROVENANCE,
        f"{filename} has no provenance, and {name} is let through only with it "
        "(upstream.require_provenance).",
        "An administrator exempts it: " + exempt_command(what, Rule.PROVENANCE),
    )


def too_new(filename: str, uploaded: float | None, latest: float) -> Refusal:
    """Refuse what is newer than anything that is let through."""
    said = "has no known time of upload"
    if uploaded is not None:
        said = f"was uploaded at {_moment(uploaded)}"
    return Refusal(
        Rule.NOT_AFTER,
        f"{filename} {said}, and nothing is let through here that is younger than "
        f"{_moment(latest)} (upstream.not_after).",
        "Who runs this index can change that in its ini.",
    )


def too_young(filename: str, uploaded: float | None, age: float, what: str) -> Refusal:
    """Refuse what has not been there for long enough."""
    younger = f"what is younger than {show_age(int(age))} is not let through here"
    exempt = exempt_command(what, Rule.MIN_AGE)
    if uploaded is None:
        # Fails closed where the upstream does not tell (or tells no time at all).
        return Refusal(
            Rule.MIN_AGE,
            f"{filename} has no known time of upload, and {younger} "
            "(upstream.min_age).",
            f"An administrator exempts it: {exempt}",
        )
    until = uploaded + age
    return Refusal(
        Rule.MIN_AGE,
        f"{filename} was uploaded at {_moment(uploaded)}, and {younger} "
        f"(upstream.min_age): it will be at {_moment(until)}.",
        f"An administrator can exempt it before: {exempt}",
        since=uploaded,
        until=until,
    )


def _moment(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"
