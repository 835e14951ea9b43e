"""An entry of a rule: a project or a pattern, and the versions that are meant.

Names are compared normalised, versions by packaging.
"""

from __future__ import annotations

from attrs import frozen
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from pypicloud_tw.access.patterns import matches

_OPERATORS = "<>=!~"


@frozen
class RuleEntry:
    """One project or pattern of a rule, and the versions that are meant.

    :ivar pattern: normalised; ``*`` and ``?`` stand for any characters, for any one.
    :ivar versions: None means every version, and files whose version is not known.
    """

    pattern: str
    versions: SpecifierSet | None = None

    @classmethod
    def parse(cls, text: str) -> RuleEntry:
        """Read an entry.

        :raises ValueError: the message says what would be right.
        """
        at = next((i for i, c in enumerate(text) if c in _OPERATORS), len(text))
        # Normalising keeps what it does not know, the wildcards among it.
        pattern = canonicalize_name(text[:at].strip())
        plain = pattern.replace("*", "").replace("?", "").replace("-", "")
        if not pattern or not (plain.isalnum() or not plain) or not pattern.isascii():
            raise ValueError(
                f"{text!r} does not begin with a project's name or a pattern like "
                "acme-*"
            )
        if at == len(text):
            return cls(pattern)
        try:
            return cls(pattern, SpecifierSet(text[at:]))
        except InvalidSpecifier:
            raise ValueError(
                f"{text[at:]!r} is not a version specifier such as ==1.0 or >=1,<2"
            ) from None

    def names(self, name: str) -> bool:
        """Return whether it speaks of the project, of whatever version."""
        return matches(self.pattern, name)

    def holds(self, version: str | None) -> bool:
        """Return whether it speaks of that version of its project."""
        if self.versions is None:
            return True
        return version is not None and self.versions.contains(version, prereleases=True)
