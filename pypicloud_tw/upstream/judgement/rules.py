"""The operator's rules for what may come from upstream, as the ini has them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from attrs import frozen

from pypicloud_tw.advisories.values import Severity
from pypicloud_tw.config.exemptions import Rule
from pypicloud_tw.errors import ConfigError
from pypicloud_tw.upstream.judgement.entries import RuleEntry
from pypicloud_tw.upstream.judgement.values import Refusal

if TYPE_CHECKING:
    # Helper processes that judge files import this module, and read no ini.
    from pypicloud_tw.config.sections.index import PypiSection
    from pypicloud_tw.config.sections.upstream import UpstreamSection

_OPERATOR_LIFTS = "Who runs this index can change that in its ini."


@frozen
class UpstreamRules:
    """The operator's rules. Immutable and picklable: helpers apply them too.

    :ivar private: names that are never asked upstream, whether or not they exist.
    :ivar min_age: seconds.
    :ivar min_age_security: likewise, of a version that repairs a known flaw; None: as
        any other.
    :ivar not_after: aware.
    :ivar block_severity: what has a flaw so bad, or worse, is refused; None: nothing.
    :ivar require_provenance: of these only what has provenance is given out.
    """

    private: tuple[RuleEntry, ...] = ()
    allow: tuple[RuleEntry, ...] = ()
    deny: tuple[RuleEntry, ...] = ()
    min_age: float | None = None
    min_age_exempt: tuple[RuleEntry, ...] = ()
    min_age_security: float | None = None
    not_after: datetime | None = None
    denied_message: str | None = None
    block_severity: Severity | None = None
    require_provenance: tuple[RuleEntry, ...] = ()

    @classmethod
    def from_config(cls, pypi: PypiSection, upstream: UpstreamSection) -> UpstreamRules:
        """Read the rules out of the configuration's sections.

        :raises ConfigError: with every entry that cannot be understood.
        """
        problems: list[str] = []
        rules = cls(
            private=_entries("pypi.private", pypi.private, problems),
            allow=_entries("upstream.allow", upstream.allow, problems),
            deny=_entries("upstream.deny", upstream.deny, problems),
            min_age=upstream.min_age,
            min_age_exempt=_entries(
                "upstream.min_age.exempt", upstream.min_age_exempt, problems
            ),
            min_age_security=upstream.min_age_security,
            not_after=_aware(upstream.not_after),
            denied_message=upstream.denied_message,
            block_severity=_severity(upstream.block_severity),
            require_provenance=_entries(
                "upstream.require_provenance", upstream.require_provenance, problems
            ),
        )
        problems += [
            f"pypi.private: {entry.pattern} has a version; a name is private as a whole"
            for entry in rules.private
            if entry.versions is not None
        ]
        if problems:
            raise ConfigError(problems)
        return rules

    def is_private(self, name: str) -> bool:
        """Return whether a name is reserved for this index."""
        return any(entry.names(name) for entry in self.private)

    def refusal_of_name(self, name: str) -> Refusal | None:
        """Return why a project must not be asked upstream, if it must not."""
        if self.is_private(name):
            return Refusal(
                Rule.PRIVATE,
                f"There is no project {name} here, and its name is reserved for this "
                "index (pypi.private), so it is not looked for anywhere else.",
                "",
            )
        if any(e.versions is None and e.names(name) for e in self.deny):
            return self.denied(
                Rule.DENY, f"The project {name} is denied here (upstream.deny)."
            )
        if self.allow and not any(entry.names(name) for entry in self.allow):
            return self.denied(
                Rule.ALLOW,
                f"The project {name} is not among those that are allowed here "
                "(upstream.allow).",
            )
        return None

    def denied(self, rule: Rule, sentence: str) -> Refusal:
        """Refuse what the operator named, in their own words if there are any."""
        return Refusal(rule, sentence, self.denied_message or _OPERATOR_LIFTS)

    def age_of(self, name: str, version: str | None) -> float:
        """Return the seconds for which a file is hidden after its upload."""
        exempt = any(e.names(name) and e.holds(version) for e in self.min_age_exempt)
        return 0.0 if exempt else self.min_age or 0.0


def _severity(word: str | None) -> Severity | None:
    return None if word is None else Severity[word.upper()]


def _entries(
    key: str, texts: Iterable[str], problems: list[str]
) -> tuple[RuleEntry, ...]:
    entries = []
    for text in texts:
        try:
            entries.append(RuleEntry.parse(text))
        except ValueError as e:
            problems.append(f"{key}: {e}.")
    return tuple(entries)


def _aware(moment: datetime | None) -> datetime | None:
    if moment is None or moment.tzinfo is not None:
        return moment
    return moment.replace(tzinfo=UTC)
