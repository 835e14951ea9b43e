"""What may come from upstream."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.advisories.values import Advisory, ProjectAdvisories
from pypicloud_tw.config.exemptions import Rule
from pypicloud_tw.config.sections.index import PypiSection
from pypicloud_tw.config.sections.upstream import UpstreamSection
from pypicloud_tw.errors import ConfigError, NotFound, PypicloudError, RefusedByRule
from pypicloud_tw.index.model import Document
from pypicloud_tw.upstream.judgement.entries import RuleEntry
from pypicloud_tw.upstream.judgement.judge import ProjectJudge, upload_time
from pypicloud_tw.upstream.judgement.rules import UpstreamRules
from tests.upstream.doubles import file, project

DAY = 86_400.0
NOW = datetime(2024, 6, 15, tzinfo=UTC).timestamp()


def rules(**keys: Any) -> UpstreamRules:
    pypi = PypiSection(private=keys.pop("private", ()))
    made = UpstreamRules.from_config(
        pypi, UpstreamSection(**{"denied_message": "", **keys})
    )
    return pickle.loads(pickle.dumps(made))  # type: ignore[no-any-return]  # as it was


def names(document: Document) -> list[str]:
    return [file["filename"] for file in document["files"]]


def acme(**uploaded: str | None) -> Document:
    """A project with a wheel of each version (``v1_0="2024-01-01..."``)."""
    versions = {name[1:].replace("_", "."): t for name, t in uploaded.items()}
    files = [
        file(f"acme-{v}-py3-none-any.whl", uploaded=t) for v, t in versions.items()
    ]
    return project("acme", *files) | {"versions": [*versions, "0.0"]}


class EntryTests(SynchronousTestCase):
    def test_names_are_compared_normalised(self) -> None:
        self.assertTrue(RuleEntry.parse("Acme_*").names("acme-tool"))
        self.assertFalse(RuleEntry.parse("acme-*").names("acme"))
        self.assertFalse(RuleEntry.parse("acme").names("acme-tool"))

    def test_versions(self) -> None:
        entry = RuleEntry.parse("urllib3 >= 2, < 3")
        self.assertTrue(entry.holds("2.1"))
        self.assertTrue(entry.holds("2.1rc1"))
        self.assertFalse(entry.holds("3.0"))
        self.assertFalse(entry.holds(None))

    def test_nonsense(self) -> None:
        for text in ("", "==1", "a b", "acme==", "acme>=x", "[a]", "ä", "acme/x"):
            self.assertRaises(ValueError, RuleEntry.parse, text)

    @given(st.text(max_size=20))
    def test_any_text_is_an_entry_or_a_value_error(self, text: str) -> None:
        try:
            entry = RuleEntry.parse(text)
        except ValueError:
            return
        entry.names("acme")
        entry.holds("1.0")


def judge(name: str = "acme", **keys: Any) -> ProjectJudge:
    made = ProjectJudge(name, rules(**keys))
    return pickle.loads(pickle.dumps(made))  # type: ignore[no-any-return]  # as it was


class RefusalTests(SynchronousTestCase):
    def refused(self, judge: ProjectJudge) -> PypicloudError:
        refusal = judge.refusal
        assert refusal is not None
        return refusal.error(NOW, judge.name)

    def test_reserved(self) -> None:
        error = self.refused(judge("acme-new", private=("acme-*", "corp")))
        self.assertIsInstance(error, NotFound)
        self.assertIn("its name is reserved for this index", error.message)
        self.assertIsNone(judge("requests", private=("acme-*", "corp")).refusal)

    def test_denied(self) -> None:
        error = self.refused(judge("left-pad", deny=("left-pad",)))
        assert isinstance(error, RefusedByRule)
        self.assertIn("The project left-pad is denied here", error.message)
        self.assertEqual(error.rule, "deny")

    def test_denied_in_the_operators_words(self) -> None:
        error = self.refused(judge("x", deny=("x",), denied_message="Ask Ann."))
        self.assertEqual(
            error.message, "The project x is denied here (upstream.deny). Ask Ann."
        )

    def test_not_allowed(self) -> None:
        allow = ("requests", "django>=4")
        self.assertIsNone(judge("requests", allow=allow).refusal)
        self.assertIsNone(judge("django", allow=allow).refusal)
        error = self.refused(judge("flask", allow=allow))
        self.assertIn("not among those that are allowed", error.message)

    def test_private_wins(self) -> None:
        both = judge("acme-x", private=("acme-*",), deny=("acme-*",))
        self.assertIsInstance(self.refused(both), NotFound)

    def test_denied_version_of_a_file(self) -> None:
        denied = judge(deny=("acme<2",))
        for beside in ("", ".metadata", ".asc"):
            candidate = denied.candidate("acme-1.0.tar.gz" + beside)
            refusal = denied.refusal_of(candidate, NOW)
            assert refusal is not None
            self.assertIn("This version of acme 1.0 is denied", refusal.sentence)
            self.assertEqual(denied.refusal_of_release("1.0", NOW), refusal)
        newer = denied.candidate("acme-2.0.tar.gz")
        self.assertIsNone(denied.refusal_of(newer, NOW))
        other = judge("other", deny=("acme<2",))
        self.assertIsNone(other.refusal_of(other.candidate("other-1.0.tar.gz"), NOW))

    def test_every_mistake_at_once(self) -> None:
        error = self.assertRaises(
            ConfigError, rules, private=("a==1",), allow=("b>=",), deny=("/",)
        )
        self.assertEqual(
            [problem.partition(":")[0] for problem in error.problems],
            ["upstream.allow", "upstream.deny", "pypi.private"],
        )


class VersionTests(SynchronousTestCase):
    def test_denied_versions_are_left_out(self) -> None:
        document = acme(v1_0=None, v2_0=None)
        kept = judge(deny=("acme==1.0",)).filter_document(document, NOW).document
        self.assertEqual(names(kept), ["acme-2.0-py3-none-any.whl"])
        self.assertEqual(kept["versions"], ["2.0", "0.0"])
        self.assertEqual(len(document["files"]), 2)

    def test_allowed_versions_are_kept(self) -> None:
        allowed = judge(allow=("acme>=2", "acme==1.0"))
        kept = allowed.filter_document(acme(v1_0=None, v1_5=None, v2_0=None), NOW)
        self.assertEqual(kept.document["versions"], ["1.0", "2.0", "0.0"])

    def test_a_file_of_unknown_version_may_be_the_denied_one(self) -> None:
        document = project("acme", file("acme-1.0-1.tar.gz"))
        kept = judge(deny=("acme==1.0",)).filter_document(document, NOW).document
        self.assertEqual(names(kept), [])

    def test_versions_that_are_none_stay_as_they_are(self) -> None:
        document = acme(v1_0=None, v2_0=None)
        document["versions"] += ["x", "9" * 5000]
        left = judge(deny=("acme==2.0",)).filter_document(document, NOW).document
        self.assertEqual(left["versions"], ["1.0", "0.0", "x", "9" * 5000])

    def test_a_file_of_unknown_version_may_be_the_malicious_one(self) -> None:
        told = Advisory(
            "MAL-1", "acme", malware=True, versions=frozenset({"1.0.post1"})
        )
        known = ProjectJudge("acme", advisories=ProjectAdvisories((told,)))
        # pip takes these for 1.0.post1 (PEP 440, implicit post releases).
        hiding = [file(f"acme-1.0-1{end}") for end in (".tar.gz", ".zip", ".tar.bz2")]
        document = project("acme", *hiding, file("acme-1.0.tar.gz"))
        left = known.filter_document(document, NOW).document
        self.assertEqual(names(left), ["acme-1.0.tar.gz"])
        refusal = known.refusal_of(known.candidate("acme-1.0-1.tar.gz"), NOW)
        assert refusal is not None
        self.assertEqual((refusal.rule, refusal.advisory), (Rule.MALWARE, "MAL-1"))
        self.assertIn("does not tell which version", refusal.sentence)

    def test_nothing_to_do_is_the_same_document(self) -> None:
        document = acme(v1_0=None)
        same = ProjectJudge("acme").filter_document(document, NOW).document
        self.assertIs(same, document)


class TimeTests(SynchronousTestCase):
    def test_too_young(self) -> None:
        document = acme(
            v1="2024-06-01T00:00:00Z",
            v2="2024-06-10T00:00:00.5Z",
            v3="2024-06-14T00:00Z",
        )
        filtered = judge(min_age=7 * DAY).filter_document(document, NOW)
        self.assertEqual(filtered.document["versions"], ["1", "0.0"])
        # The next to appear is the second, seven days after its upload.
        due = datetime(2024, 6, 17, 0, 0, 0, 500_000, UTC).timestamp()
        self.assertEqual(filtered.changes_at, due)

    def test_no_more_is_to_be_exempted_than_is_hidden(self) -> None:
        """Of a page, too, where no rule has to know versions."""
        for uploaded in ("2024-06-14T00:00:00Z", None):
            document = acme(v2_0=uploaded)
            told = judge(min_age=7 * DAY).filter_document(document, NOW).document
            (hidden,) = told["_hidden"]
            self.assertIn("pypicloud exempt add acme==2.0 --for", hidden["lifted_by"])

    def test_unknown_age_fails_closed(self) -> None:
        for uploaded in (None, "yesterday", "9999-99-99", "9999-12-31T23:59:59Z"):
            filtered = judge(min_age=1.0).filter_document(acme(v1=uploaded), NOW)
            self.assertEqual(names(filtered.document), [])
            self.assertIsNone(filtered.changes_at)

    def test_exempt(self) -> None:
        exempt = judge(min_age=7 * DAY, min_age_exempt=("acme",))
        document = acme(v1="2024-06-14T00:00:00Z", v2=None)
        self.assertIs(exempt.filter_document(document, NOW).document, document)

    def test_exempt_version(self) -> None:
        exempt = judge(min_age=7 * DAY, min_age_exempt=("acme==2",))
        document = acme(v1="2024-06-14T00:00:00Z", v2="2024-06-14T00:00:00Z")
        kept = exempt.filter_document(document, NOW).document
        self.assertEqual(names(kept), ["acme-2-py3-none-any.whl"])

    def test_not_after(self) -> None:
        # A naive moment is one in UTC.
        limited = judge(not_after=datetime(2024, 6, 10))
        document = acme(v1="2024-06-09T23:59:59Z", v2="2024-06-10T00:00:01Z", v3=None)
        filtered = limited.filter_document(document, NOW)
        self.assertEqual(names(filtered.document), ["acme-1-py3-none-any.whl"])
        self.assertIsNone(filtered.changes_at)

    def test_not_after_holds_for_the_exempt(self) -> None:
        limited = judge(
            not_after=datetime(2024, 6, 10, tzinfo=UTC),
            min_age=7 * DAY,
            min_age_exempt=("acme",),
        )
        document = acme(v1="2024-06-11T00:00:00Z")
        self.assertEqual(names(limited.filter_document(document, NOW).document), [])

    @given(st.floats(0, 40 * DAY), st.floats(0, 30 * DAY))
    def test_a_file_appears_when_it_was_said_to(self, age: float, wait: float) -> None:
        limited = judge(min_age=age)
        document = acme(v1="2024-06-14T00:00:00Z")
        filtered = limited.filter_document(document, NOW)
        if filtered.changes_at is None:
            self.assertEqual(len(names(filtered.document)), 1)
            return
        later = NOW + wait
        shown = names(limited.filter_document(document, later).document)
        self.assertEqual(bool(shown), later >= filtered.changes_at)

    def test_times(self) -> None:
        self.assertEqual(upload_time("1970-01-01T00:00:01Z"), 1.0)
        self.assertEqual(upload_time("1970-01-01T00:00:01"), 1.0)
        nonsense = "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"
        for nothing in (None, 5, "", "x", "0001-13-01", *nonsense):
            self.assertIsNone(upload_time(nothing), nothing)
