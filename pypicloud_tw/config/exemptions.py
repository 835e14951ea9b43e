"""Rules for what comes from upstream, by name, and exemptions from them.

The same exemptions come from the ini (``upstream.exempt``) and from the access
document, and are judged by the same rules.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum

from attrs import field, frozen
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from pypicloud_tw.config.names import project
from pypicloud_tw.config.values import BadValueError


class Rule(StrEnum):
    """By which rule something from upstream is refused; as logs and metrics name it."""

    PRIVATE = "private"
    ALLOW = "allow"
    DENY = "deny"
    MIN_AGE = "min-age"
    NOT_AFTER = "not-after"
    MALWARE = "malware"
    QUARANTINED = "quarantined"
    SEVERITY = "severity"
    PROVENANCE = "provenance"
    #: What is known of malware is not known, and ``advisories.when_away = closed``.
    ADVISORIES = "advisories"


#: From which rules something may be exempted. The others are the operator's own words
#: about names, which the ini alone has.
LIFTABLE = frozenset(
    {
        Rule.MIN_AGE,
        Rule.MALWARE,
        Rule.QUARANTINED,
        Rule.SEVERITY,
        Rule.PROVENANCE,
    }
)

#: Characters of a reason; three times the longest line that people write.
LONGEST_REASON = 240

_SHA256 = re.compile(r"[0-9a-f]{64}")
_OPERATORS = re.compile(r"[=<>!~]")
_SHAPE = "NAME==VERSION until 2026-12-24 why"


@frozen
class Exemption:
    """What a rule does not hold for, until when, and why.

    :ivar project: its normalized name.
    :ivar versions: a version specifier (PEP 440) in its normal spelling; empty: every
        version, and files whose version is not known.
    :ivar sha256: of the one file that is meant; empty: every file.
    :ivar until: the moment at which it ends; aware.
    :ivar reason: one line, for whoever reads it later.
    :ivar source: where it stands: ``upstream.exempt``, or who added it.
    :ivar id: tells it from others of the access document; empty in the ini.
    """

    project: str
    until: datetime
    reason: str
    versions: str = ""
    sha256: str = ""
    rule: Rule = Rule.MIN_AGE
    source: str = ""
    id: str = ""
    _specifier: SpecifierSet = field(init=False, repr=False, eq=False)

    @_specifier.default
    def _parse_versions(self) -> SpecifierSet:
        return SpecifierSet(self.versions)

    @classmethod
    def parse(cls, text: str, source: str = "upstream.exempt") -> Exemption:
        """Read one line of the ini.

        ``urllib3==2.5.1 sha256:… rule:malware until 2026-12-24 why``; a day counts to
        its end, in UTC.

        :raises BadValueError: it is none.
        """
        before, found, after = text.strip().partition(" until ")
        if not found:
            raise BadValueError(f"has no end date, as in {_SHAPE}.")
        moment, _, reason = after.strip().partition(" ")
        what, *details = before.split()
        given = {"sha256": "", "rule": Rule.MIN_AGE.value}
        for detail in details:
            key, _, value = detail.partition(":")
            if key not in given:
                raise BadValueError(
                    "has something before until that is neither sha256:DIGEST nor "
                    "rule:NAME."
                )
            given[key] = value
        return make_exemption(
            what, until=parse_end(moment), reason=reason, source=source, **given
        )

    def holds(self, version: str | None, sha256: str | None, now: float) -> bool:
        """Return whether it speaks of a file of its project.

        :param version: of the file; None where it is not known.
        :param sha256: of the file, hexadecimal; None where it is not known.
        :param now: seconds since the epoch.
        """
        if now >= self.until.timestamp():
            return False
        if self.sha256 and self.sha256 != sha256:
            return False
        if not self.versions:
            return True
        return version is not None and self._specifier.contains(
            version, prereleases=True
        )

    @property
    def what(self) -> str:
        """Return what it speaks of, as it would stand in an ini."""
        digest = f" sha256:{self.sha256}" if self.sha256 else ""
        rule = "" if self.rule is Rule.MIN_AGE else f" rule:{self.rule}"
        return f"{self.project}{self.versions}{digest}{rule}"


def make_exemption(
    what: str,
    *,
    until: datetime,
    reason: str,
    sha256: str = "",
    rule: str = Rule.MIN_AGE.value,
    source: str = "",
    id: str = "",
) -> Exemption:
    """Make an exemption of texts.

    :param what: a project's name, with or without a version specifier.
    :raises BadValueError: it is none; the message is the rest of a sentence.
    """
    name, asked = split_what(what)
    try:
        versions = str(SpecifierSet(asked))
    except InvalidSpecifier:
        raise BadValueError(
            "has something that is not a version specifier as in urllib3==2.5.1."
        ) from None
    if sha256 and _SHA256.fullmatch(sha256.lower()) is None:
        raise BadValueError("has a sha256 that is not 64 hexadecimal digits.")
    if rule not in LIFTABLE:
        names = ", ".join(sorted(LIFTABLE))
        raise BadValueError(
            f"has a rule that nothing can be exempted from; it can from {names}."
        )
    if rule == Rule.MALWARE and not versions and not sha256:
        raise BadValueError("exempts from malware without a version or a sha256.")
    reason = " ".join(reason.split())
    if not reason or len(reason) > LONGEST_REASON or not reason.isprintable():
        raise BadValueError(
            f"must end in a reason of one line and at most {LONGEST_REASON} characters."
        )
    return Exemption(
        project(name),
        until,
        reason,
        versions,
        sha256.lower(),
        Rule(rule),
        source,
        id,
    )


def split_what(what: str) -> tuple[str, str]:
    """Take apart a project's name and the version specifier behind it, if any."""
    found = _OPERATORS.search(what)
    at = found.start() if found else len(what)
    return what[:at].strip(), what[at:]


def parse_end(text: str) -> datetime:
    """Read when an exemption ends: a day, to its end in UTC, or a moment.

    :raises BadValueError: it is neither.
    """
    try:
        if len(text) == len("2026-12-24"):
            day = date.fromisoformat(text) + timedelta(days=1)
            return datetime.combine(day, time(), UTC)
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise BadValueError(
            "has an end that is neither a day as 2026-12-24 nor a moment as "
            "2026-12-24T18:00Z."
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
