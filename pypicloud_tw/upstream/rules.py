"""Rules for what may come from upstream: private names, allow, deny, minimum age.

A rule's entry is a project's name or a pattern (``acme-*``), with or without a version
specifier (``urllib3>=2,<3``); names are compared normalised, versions by packaging.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import cache

from attrs import define, frozen
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name, canonicalize_version

from pypicloud_tw.access.patterns import matches
from pypicloud_tw.config.sections.index import PypiSection
from pypicloud_tw.config.sections.upstream import UpstreamSection
from pypicloud_tw.errors import ConfigError, Forbidden, NotFound, PypicloudError
from pypicloud_tw.index.model import Document
from pypicloud_tw.upstream.parse import file_version

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


@define
class Filtered:
    """A document after the rules.

    :ivar changes_at: when the next hidden file becomes old enough, in seconds since
        the epoch; None if time alone changes nothing.
    """

    document: Document
    changes_at: float | None = None


@frozen
class UpstreamRules:
    """The operator's rules. Immutable and picklable: helpers apply them too.

    :ivar private: names that are never asked upstream, whether or not they exist.
    :ivar min_age: seconds.
    :ivar not_after: aware.
    """

    private: tuple[RuleEntry, ...] = ()
    allow: tuple[RuleEntry, ...] = ()
    deny: tuple[RuleEntry, ...] = ()
    min_age: float | None = None
    min_age_exempt: tuple[RuleEntry, ...] = ()
    not_after: datetime | None = None
    denied_message: str | None = None

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
            not_after=_aware(upstream.not_after),
            denied_message=upstream.denied_message,
        )
        problems += [
            f"pypi.private: {entry.pattern} has a version; a name is private as a whole"
            for entry in rules.private
            if entry.versions is not None
        ]
        if problems:
            raise ConfigError(problems)
        return rules

    def refusal(self, name: str) -> PypicloudError | None:
        """Return why a project must not be asked upstream, if it must not.

        :return: NotFound for a reserved name, so that clients are told no more than
            that; Forbidden for what is denied or not allowed.
        """
        if any(entry.names(name) for entry in self.private):
            return NotFound(
                f"There is no project {name} here, and its name is reserved for this "
                "index (pypi.private), so it is not looked for anywhere else."
            )
        if any(e.versions is None and e.names(name) for e in self.deny):
            return self._denied(f"The project {name} is denied here (upstream.deny).")
        if self.allow and not any(entry.names(name) for entry in self.allow):
            return self._denied(
                f"The project {name} is not among those that are allowed here "
                "(upstream.allow)."
            )
        return None

    def file_refusal(self, name: str, filename: str) -> PypicloudError | None:
        """Return why a file must not be fetched by its version, if it must not.

        Its age is judged by its page, which alone tells it.
        """
        # A file's core metadata and signature are as its file.
        filename = filename.removesuffix(".asc").removesuffix(".metadata")
        return self._refusal_of(name, file_version(filename, name), filename)

    def release_refusal(self, name: str, version: str) -> PypicloudError | None:
        """Return why a release must not be described, if it must not."""
        return self._refusal_of(name, version, f"{name} {version}")

    def _refusal_of(
        self, name: str, version: str | None, what: str
    ) -> PypicloudError | None:
        refusal = self.refusal(name)
        allowed = self._versions_allowed(name, lambda _what: version)
        if refusal is None and not allowed(what):
            return self._denied(
                f"The version of {what} is denied here (upstream.deny or "
                "upstream.allow)."
            )
        return refusal

    def filter_document(self, document: Document, now: float) -> Filtered:
        """Leave out the files that may not be seen, and versions that lost them all.

        :param document: as :func:`~pypicloud_tw.upstream.parse.parse_page` makes it;
            not changed.
        :param now: seconds since the epoch.
        """
        name = document["name"]

        @cache
        def version_of(filename: str) -> str | None:
            return file_version(filename, name)

        allowed = self._versions_allowed(name, version_of)
        clock = _Clock(self, name, now, version_of)
        files = document["files"]
        kept = [
            file for file in files if allowed(file["filename"]) and clock.shows(file)
        ]
        if len(kept) == len(files):
            return Filtered(document)
        return Filtered(
            {
                **document,
                "files": kept,
                "versions": _remaining(document, kept, version_of),
            },
            clock.changes_at,
        )

    def shows_kept(self, name: str, since: float, now: float) -> bool:
        """Return whether a file that was there at *since* is old enough for certain.

        Whenever it was uploaded, that was before; so its page need not be asked.
        """
        if self.not_after is not None and since > self.not_after.timestamp():
            return False
        age = self.age_of(name, None)
        return not age or since + age <= now

    def age_of(self, name: str, version: str | None) -> float:
        """Return the seconds for which a file is hidden after its upload."""
        exempt = any(e.names(name) and e.holds(version) for e in self.min_age_exempt)
        return 0.0 if exempt else self.min_age or 0.0

    def _versions_allowed(
        self, name: str, version_of: Callable[[str], str | None]
    ) -> Callable[[str], bool]:
        """Make the test that a project's filenames must pass."""
        deny = [e for e in self.deny if e.names(name)]
        allow = [e for e in self.allow if e.names(name)]
        if any(e.versions is None for e in allow):
            allow = []
        if not deny and not allow:
            return lambda filename: True

        def test(filename: str) -> bool:
            version = version_of(filename)
            # Fails closed: a version that cannot be told may be the denied one.
            if deny and (version is None or any(e.holds(version) for e in deny)):
                return False
            return not allow or any(e.holds(version) for e in allow)

        return test

    def _denied(self, default: str) -> Forbidden:
        return Forbidden(self.denied_message or default)


class _Clock:
    """Judges files by their upload time, and remembers when the next one is due."""

    def __init__(
        self,
        rules: UpstreamRules,
        name: str,
        now: float,
        version_of: Callable[[str], str | None],
    ) -> None:
        self._rules = rules
        self._name = name
        self._now = now
        self._version_of = version_of
        self._latest = None if rules.not_after is None else rules.not_after.timestamp()
        self._age = rules.age_of(name, None)
        self._by_version = any(
            entry.versions is not None and entry.names(name)
            for entry in rules.min_age_exempt
        )
        self._idle = self._latest is None and not self._age
        self.changes_at: float | None = None

    def shows(self, file: Document) -> bool:
        if self._idle:
            return True
        age = self._age
        if age and self._by_version:
            age = self._rules.age_of(self._name, self._version_of(file["filename"]))
        latest = self._latest
        if not age and latest is None:
            return True
        uploaded = upload_time(file.get("upload-time"))
        # Fails closed where the upstream does not tell (or tells no time at all).
        if uploaded is None or (latest is not None and uploaded > latest):
            return False
        due = uploaded + age
        if due <= self._now:
            return True
        self.changes_at = due if self.changes_at is None else min(self.changes_at, due)
        return False


def upload_time(text: object) -> float | None:
    """Read an upload time (PEP 700: ISO 8601 in UTC), in seconds since the epoch."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _remaining(
    document: Document,
    kept: list[Document],
    version_of: Callable[[str], str | None],
) -> list[str]:
    """Leave out the versions all of whose files went; others never had any."""
    left = {version_of(file["filename"]) for file in kept}
    gone = {version_of(file["filename"]) for file in document["files"]} - left
    spelled = {canonicalize_version(version) for version in gone if version}
    return [v for v in document["versions"] if canonicalize_version(v) not in spelled]


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
