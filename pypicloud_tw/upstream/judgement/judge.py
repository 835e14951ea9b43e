"""The judgement of one project's files: allowed, or refused by which rule (D10)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from functools import cache, cached_property

from attrs import define, evolve, field

from pypicloud_tw.advisories.values import (
    UNKNOWN_PROJECT,
    ProjectAdvisories,
    spelled,
)
from pypicloud_tw.config.exemptions import Exemption, Rule
from pypicloud_tw.index.model import Document
from pypicloud_tw.upstream.judgement import refusals
from pypicloud_tw.upstream.judgement.entries import RuleEntry
from pypicloud_tw.upstream.judgement.hidden import HIDDEN, told_hidden
from pypicloud_tw.upstream.judgement.rules import UpstreamRules
from pypicloud_tw.upstream.judgement.values import Candidate, Refusal, Standing
from pypicloud_tw.upstream.parse import file_version

#: What keeps a file's core metadata and signature beside it: they are as the file.
_BESIDE = (".asc", ".metadata")


#: No upload is later; seconds since the epoch.
_LATEST = datetime(9000, 1, 1, tzinfo=UTC).timestamp()


@define
class Filtered:
    """A document after the judgement.

    :ivar changes_at: when time changes what is shown, in seconds since the epoch; None
        if time alone changes nothing.
    """

    document: Document
    changes_at: float | None = None


@define(slots=False, frozen=True)
class ProjectJudge:
    """All that decides about the files of one project of an upstream.

    Immutable, picklable and comparable: helpers judge by it too, and a page that was
    made by an equal one still holds.

    :ivar exemptions: those of the project.
    :ivar advisories: what is known of it.
    :ivar trouble: why nothing of it may be given out, whatever it is.
    :ivar standing: what is known of it from elsewhere than its page.
    """

    name: str
    rules: UpstreamRules = field(factory=UpstreamRules)
    exemptions: tuple[Exemption, ...] = ()
    advisories: ProjectAdvisories = UNKNOWN_PROJECT
    trouble: str | None = None
    standing: Standing = field(factory=Standing)

    def with_standing(self, standing: Standing) -> ProjectJudge:
        """Return it with what the project's page says of it; the worse holds."""
        if standing.status != "quarantined":
            return self
        return evolve(self, standing=standing)

    @cached_property
    def refusal(self) -> Refusal | None:
        """Why the project must not be asked upstream, if it must not."""
        return self.rules.refusal_of_name(self.name)

    def candidate(
        self,
        filename: str,
        sha256: str | None = None,
        uploaded: float | None = None,
        *,
        provenance: bool = False,
    ) -> Candidate:
        """Describe a file, or what lies beside one, by its name."""
        for suffix in _BESIDE:
            filename = filename.removesuffix(suffix)
        version = file_version(filename, self.name)
        return Candidate(filename, version, sha256, uploaded, provenance)

    def refusal_of(self, candidate: Candidate, now: float) -> Refusal | None:
        """Return why a file may not be had now, if it may not.

        :param now: seconds since the epoch.
        """
        return self.refusal or Judging(self, now).refusal_of(candidate)

    def needs_proof(self, candidate: Candidate, now: float) -> bool:
        """Return whether a file may be had only if its publisher attests it."""
        required = self.rules.require_provenance
        return any(entry.names(self.name) for entry in required) and not any(
            one.rule is Rule.PROVENANCE
            and one.holds(candidate.version, candidate.sha256, now)
            for one in self.exemptions
        )

    def refusal_of_release(self, version: str | None, now: float) -> Refusal | None:
        """Return why nothing of a release may be had now, whatever its files are.

        That needs no page, and so nobody need be asked.
        """
        if self.refusal is not None:
            return self.refusal
        refusal = Judging(self, now, by_release=True).refusal_of(Candidate("", version))
        if refusal is not None and any(
            one.sha256 and one.rule is refusal.rule for one in self.exemptions
        ):
            return None  # one of its files may be exempt
        return refusal

    def filter_document(self, document: Document, now: float) -> Filtered:
        """Leave out the files that may not be seen, and versions that lost them all.

        What was left out is told under ``_hidden``.

        :param document: as :func:`~pypicloud_tw.upstream.parse.parse_page` makes it;
            not changed.
        :param now: seconds since the epoch.
        """
        judging = Judging(self, now)
        if judging.is_idle:
            return Filtered(document)
        kept, hidden = judging.divide(document["files"])
        if not hidden:
            return Filtered(document, judging.changes_at)
        versions = _remaining(document, kept, judging.version_of)
        left = {**document, "files": kept, "versions": versions}
        told = told_hidden(left, hidden, judging.version_of)
        return Filtered({**left, HIDDEN: told}, judging.changes_at)


class Judging:
    """Judges many files of one project at one moment; finds once what they share.

    :param by_release: only by the rules that need to know no more than a version.
    :ivar changes_at: when time changes a refusal, or ends an exemption; seconds since
        the epoch, or None.
    """

    def __init__(
        self, judge: ProjectJudge, now: float, *, by_release: bool = False
    ) -> None:
        self._judge, self._rules, self._now = judge, judge.rules, now
        self._by_release = by_release
        name = judge.name
        self._deny = [e for e in self._rules.deny if e.names(name)]
        allow = [e for e in self._rules.allow if e.names(name)]
        self._allow = [] if any(e.versions is None for e in allow) else allow
        self._latest = _timestamp(self._rules.not_after)
        self._by_version = self._needs_version()
        self.version_of = cache(lambda filename: file_version(filename, name))
        self.denied = cache(self._denied)
        self._malware = cache(self._malicious_version)
        self._flaw = cache(self._flawed_version)
        self._age = cache(self._age_of)
        self._in_force = list(self._find_in_force())
        self.changes_at: float | None = min(
            (end for e in judge.exemptions if (end := e.until.timestamp()) > now),
            default=None,
        )

    @property
    def is_idle(self) -> bool:
        """Whether nothing can refuse a file."""
        return not self._in_force

    def divide(
        self, files: Iterable[Document]
    ) -> tuple[list[Document], list[tuple[Candidate, Refusal]]]:
        """Separate a document's files from those that may not be seen."""
        kept: list[Document] = []
        hidden: list[tuple[Candidate, Refusal]] = []
        is_plain = self._plain_test()
        for file in files:
            if is_plain is not None and is_plain(file):
                kept.append(file)
                continue
            candidate = self._candidate(file)
            refusal = self.refusal_of(candidate)
            if refusal is None:
                kept.append(file)
            else:
                hidden.append((candidate, refusal))
        return kept, hidden

    def _plain_test(self) -> Callable[[Document], bool] | None:
        """Make a quick test that only files pass which nothing refuses.

        Most projects are judged by age and by digests alone, and most of their files
        pass: it saves a sixth of the time that preparing a page takes. None: others of
        the rules are in force.
        """
        if self._by_version or not self._judges_plainly():
            return None
        latest = self._now - self._age(None)
        by_age = bool(self._rules.min_age) and self._age(None) > 0
        malicious = self._judge.advisories.malicious
        may_be_listed = malicious.finder() if malicious.digests else None

        def is_plain(file: Document) -> bool:
            if by_age:
                uploaded = upload_time(file.get("upload-time"))
                if uploaded is None or uploaded > latest:
                    return False
            if may_be_listed is None:
                return True
            digest = file["hashes"].get("sha256")
            return digest is None or not may_be_listed(digest)

        return is_plain

    def _judges_plainly(self) -> bool:
        plain = (self._too_young, self._malicious)
        return all(rule in plain for rule in self._in_force)

    def refusal_of(self, file: Candidate) -> Refusal | None:
        """Judge one file; of several rules that refuse it the gravest is told."""
        for rule in self._in_force:
            refusal = rule(file)
            if refusal is not None and not self._is_exempt(refusal, file):
                self._changes(refusal.until)
                return refusal
        return None

    def _find_in_force(self) -> Iterator[Callable[[Candidate], Refusal | None]]:
        """Choose the rules that can refuse anything here, the gravest first."""
        judge, rules = self._judge, self._rules
        if self._deny or self._allow:
            yield lambda file: self.denied(file.version)
        if judge.standing.status == "quarantined":
            yield lambda file: self._quarantined(file)
        if judge.advisories.malware or judge.advisories.malicious.digests:
            yield self._malicious
        if judge.trouble is not None:
            yield lambda file: self._troubled(file)
        if rules.block_severity is not None and judge.advisories.flaws:
            yield lambda file: self._flaw(file.version)
        if self._by_release:
            return
        if any(entry.names(judge.name) for entry in rules.require_provenance):
            yield self._unproved
        if self._latest is not None:
            yield self._too_new
        if rules.min_age:
            yield self._too_young

    def _needs_version(self) -> bool:
        judge = self._judge
        exempt = [e for e in self._rules.min_age_exempt if e.names(judge.name)]
        return bool(
            self._deny
            or self._allow
            or judge.advisories.advisories
            or any(one.versions for one in judge.exemptions)
            or any(entry.versions is not None for entry in exempt)
        )

    def _candidate(self, file: Document) -> Candidate:
        filename, hashes = file["filename"], file.get("hashes")
        return Candidate(
            filename,
            self.version_of(filename) if self._by_version else None,
            hashes.get("sha256") if hashes else None,
            upload_time(file.get("upload-time")),
            bool(file.get("provenance")),
        )

    def _changes(self, moment: float | None) -> None:
        if moment is not None:
            known = self.changes_at
            self.changes_at = moment if known is None else min(known, moment)

    def _is_exempt(self, refusal: Refusal, file: Candidate) -> bool:
        return any(
            one.rule is refusal.rule and one.holds(file.version, file.sha256, self._now)
            for one in self._judge.exemptions
        )

    def _what(self, version: str | None) -> str:
        return f"{self._judge.name} {version}" if version else self._judge.name

    def _release(self, file: Candidate) -> str:
        """Name the release, so that nobody is told to exempt more than that.

        Where no rule judges by versions, they are read of the files alone that one
        refuses.
        """
        return self._what(self._version(file))

    def _version(self, file: Candidate) -> str | None:
        return file.version or self.version_of(file.filename)

    # The rules

    def _denied(self, version: str | None) -> Refusal | None:
        """Judge by the operator's words about versions."""
        what = self._what(version)
        # Fails closed: a version that cannot be told may be the denied one.
        if self._deny and (version is None or _any_holds(self._deny, version)):
            return self._rules.denied(
                Rule.DENY, f"This version of {what} is denied here (upstream.deny)."
            )
        if self._allow and not _any_holds(self._allow, version):
            return self._rules.denied(
                Rule.ALLOW,
                f"This version of {what} is not among those that are allowed here "
                "(upstream.allow).",
            )
        return None

    def _quarantined(self, file: Candidate) -> Refusal:
        judge = self._judge
        return refusals.quarantined(judge.name, self._release(file), judge.standing)

    def _malicious(self, file: Candidate) -> Refusal | None:
        by_version = self._malware(file.version)
        if by_version is not None or file.sha256 is None:
            return by_version
        found = self._judge.advisories.malware_of(None, file.sha256)
        if found is None:
            return None
        return refusals.malware(self._release(file), found, None)

    def _malicious_version(self, version: str | None) -> Refusal | None:
        malware, name = self._judge.advisories.malware, self._judge.name
        for one in malware:
            if one.affects(version):
                return refusals.malware(self._what(version), one.id, one.published)
        if version is None and malware:
            # Fails closed: it may be the malicious one.
            return refusals.perhaps_malware(name, malware[0].id, malware[0].published)
        return None

    def _troubled(self, file: Candidate) -> Refusal:
        return refusals.unknown(str(self._judge.trouble))

    def _flawed_version(self, version: str | None) -> Refusal | None:
        least = self._rules.block_severity
        assert least is not None, "else the rule is not in force"
        flaws = self._judge.advisories.flaws_of(version)
        worst = max(flaws, key=lambda one: one.severity, default=None)
        if worst is None or worst.severity < least:
            return None
        return refusals.flawed(self._what(version), worst, least)

    def _unproved(self, file: Candidate) -> Refusal | None:
        if file.provenance:
            return None
        name = self._judge.name
        return refusals.unproved(file.filename, name, self._release(file))

    def _too_new(self, file: Candidate) -> Refusal | None:
        latest, uploaded = self._latest, file.uploaded
        assert latest is not None, "else the rule is not in force"
        if uploaded is not None and uploaded <= latest:
            return None
        return refusals.too_new(file.filename, uploaded, latest)

    def _too_young(self, file: Candidate) -> Refusal | None:
        age, uploaded = self._age(file.version), file.uploaded
        if not age or (uploaded is not None and uploaded + age <= self._now):
            return None
        what = self._release(file)
        return refusals.too_young(file.filename, uploaded, age, what)

    def _age_of(self, version: str | None) -> float:
        rules, known = self._rules, self._judge.advisories
        age = rules.age_of(self._judge.name, version)
        if rules.min_age_security is not None and known.repaired_by(version):
            return min(age, rules.min_age_security)
        return age


def _any_holds(entries: Iterable[RuleEntry], version: str | None) -> bool:
    return any(entry.holds(version) for entry in entries)


def _timestamp(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def upload_time(text: object) -> float | None:
    """Read an upload time (PEP 700: ISO 8601 in UTC), in seconds since the epoch."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
        told = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
    # What is added to it must be a time as well; before, there was nothing to upload.
    return told if 0 <= told < _LATEST else None


def _remaining(
    document: Document,
    kept: list[Document],
    version_of: Callable[[str], str | None],
) -> list[str]:
    """Leave out the versions all of whose files went; others never had any."""
    left = {version_of(file["filename"]) for file in kept}
    gone = {version_of(file["filename"]) for file in document["files"]} - left
    empty = {spelled(version) for version in gone if version}
    return [v for v in document["versions"] if spelled(v) not in empty]
