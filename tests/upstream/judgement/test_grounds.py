"""Each rule, what lifts it, and which of several is told."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.advisories.values import (
    Advisory,
    MaliciousDigests,
    ProjectAdvisories,
    Severity,
    VersionRange,
)
from pypicloud_tw.config.exemptions import Exemption, Rule, make_exemption
from pypicloud_tw.errors import RefusedByRule
from pypicloud_tw.upstream.judgement.entries import RuleEntry
from pypicloud_tw.upstream.judgement.judge import ProjectJudge
from pypicloud_tw.upstream.judgement.rules import UpstreamRules
from pypicloud_tw.upstream.judgement.values import Refusal, Standing

DAY = 86_400.0
NOW = datetime(2026, 6, 15, tzinfo=UTC).timestamp()
SHA = "ab" * 32
WHEEL = "acme-1.0-py3-none-any.whl"
MALWARE = Advisory("MAL-1", "acme", malware=True, versions=frozenset({"1"}))
FLAW = Advisory(
    "GHSA-1",
    "acme",
    severity=Severity.HIGH,
    ranges=(VersionRange("", fixed="1.1"),),
    fixed=("1.1",),
)


def known(*advisories: Advisory) -> ProjectAdvisories:
    return ProjectAdvisories(advisories)


def exempt(what: str, rule: Rule, end: float = NOW + DAY, **more: str) -> Exemption:
    until = datetime.fromtimestamp(end, UTC)
    return make_exemption(what, until=until, reason="why", rule=rule.value, **more)


def judge_by(**parts: Any) -> ProjectJudge:
    rules = {k: parts.pop(k) for k in list(parts) if hasattr(UpstreamRules(), k)}
    return ProjectJudge("acme", UpstreamRules(**rules), **parts)


#: A judge that refuses acme 1.0, uploaded now, by each rule.
JUDGES = {
    Rule.PRIVATE: judge_by(private=(RuleEntry.parse("acme"),)),
    Rule.ALLOW: judge_by(allow=(RuleEntry.parse("acme>=2"),)),
    Rule.DENY: judge_by(deny=(RuleEntry.parse("acme==1.0"),)),
    Rule.QUARANTINED: judge_by(standing=Standing("quarantined", "spam")),
    Rule.MALWARE: judge_by(advisories=known(MALWARE)),
    Rule.ADVISORIES: judge_by(trouble="Nothing is known of malware."),
    Rule.SEVERITY: judge_by(advisories=known(FLAW), block_severity=Severity.HIGH),
    Rule.PROVENANCE: judge_by(require_provenance=(RuleEntry.parse("acme"),)),
    Rule.NOT_AFTER: judge_by(not_after=datetime.fromtimestamp(NOW - DAY, UTC)),
    Rule.MIN_AGE: judge_by(min_age=7 * DAY),
}


class GroundTests(SynchronousTestCase):
    def refusal(
        self, judge: ProjectJudge, filename: str = WHEEL, now: float = NOW
    ) -> Refusal | None:
        return judge.refusal_of(judge.candidate(filename, SHA, NOW), now)

    def test_each_rule_refuses_by_itself(self) -> None:
        self.assertEqual(set(JUDGES), set(Rule))
        for rule, judge in JUDGES.items():
            with self.subTest(rule):
                refusal = self.refusal(judge)
                assert refusal is not None
                self.assertIs(refusal.rule, rule)
                self.assertTrue(refusal.sentence.endswith("."), refusal.sentence)

    def test_exempt_by_its_own_rule_alone(self) -> None:
        for rule, judge in JUDGES.items():
            for other in (Rule.MIN_AGE, Rule.MALWARE, Rule.QUARANTINED, Rule.SEVERITY):
                lifted = evolve(judge, exemptions=(exempt("acme==1.0", other),))
                refused = self.refusal(lifted) is not None
                self.assertEqual(refused, rule is not other, (rule, other))

    def test_what_is_exempt_of_one_rule_is_judged_by_the_next(self) -> None:
        both = evolve(
            JUDGES[Rule.MALWARE],
            standing=Standing("quarantined"),
            exemptions=(exempt("acme", Rule.QUARANTINED),),
        )
        refusal = self.refusal(both)
        assert refusal is not None
        self.assertIs(refusal.rule, Rule.MALWARE)

    def test_an_exemption_ends(self) -> None:
        judge = evolve(
            JUDGES[Rule.MIN_AGE], exemptions=(exempt("acme", Rule.MIN_AGE, NOW + 5),)
        )
        self.assertIsNone(self.refusal(judge, now=NOW + 4))
        self.assertIsNotNone(self.refusal(judge, now=NOW + 5))
        document = {
            "name": "acme",
            "versions": ["1.0"],
            "files": [
                {
                    "filename": WHEEL,
                    "hashes": {"sha256": SHA},
                    "upload-time": "2026-06-15T00:00:00Z",
                }
            ],
        }
        filtered = judge.filter_document(document, NOW)
        self.assertEqual(filtered.changes_at, NOW + 5)
        self.assertNotIn("_hidden", filtered.document)
        told = judge.filter_document(document, NOW + 5).document["_hidden"]
        self.assertEqual(
            [(e["version"], e["files"], e["rule"], e["until"]) for e in told],
            [("1.0", 1, "min-age", "2026-06-22T00:00:00Z")],
        )

    def test_malware_by_digest_whatever_it_is_called(self) -> None:
        digests = MaliciousDigests(bytes.fromhex(SHA), "MAL-7")
        judge = judge_by(advisories=ProjectAdvisories((), digests))
        refusal = self.refusal(judge, "acme-9-py3-none-any.whl")
        assert refusal is not None
        self.assertEqual((refusal.rule, refusal.advisory), (Rule.MALWARE, "MAL-7"))
        # A whole project cannot be exempted from that.
        self.assertIn("exempt add acme==9 --rule malware", refusal.lifted_by)
        self.assertIsNone(judge.refusal_of(judge.candidate(WHEEL, "0" * 64), NOW))

    def test_a_release_may_hold_a_file_that_is_exempt_by_digest(self) -> None:
        judge = JUDGES[Rule.MALWARE]
        self.assertIsNotNone(judge.refusal_of_release("1.0", NOW))
        lifted = evolve(judge, exemptions=(exempt("acme", Rule.MALWARE, sha256=SHA),))
        self.assertIsNone(lifted.refusal_of_release("1.0", NOW))
        self.assertIsNone(self.refusal(lifted))

    def test_a_repair_may_be_younger(self) -> None:
        judge = judge_by(min_age=7 * DAY, min_age_security=DAY, advisories=known(FLAW))
        fix = "acme-1.1-py3-none-any.whl"
        self.assertIsNotNone(self.refusal(judge, fix, NOW + DAY - 1))
        self.assertIsNone(self.refusal(judge, fix, NOW + DAY))
        self.assertIsNotNone(self.refusal(judge, WHEEL, NOW + DAY))

    def test_headers_say_when_to_come_again(self) -> None:
        refusal = self.refusal(JUDGES[Rule.MIN_AGE])
        assert refusal is not None
        error = refusal.error(NOW + 0.5, "acme")
        assert isinstance(error, RefusedByRule)
        self.assertEqual(
            error.headers,
            {
                "X-Pypicloud-Refused": "min-age; until=2026-06-22T00:00:00Z",
                "Retry-After": str(7 * 86_400),
            },
        )
        self.assertIn(
            "pypicloud exempt add acme==1.0 --for 7d --reason WHY", error.message
        )


class PlainTests(SynchronousTestCase):
    """The quick test of a page's files passes none that a rule refuses."""

    @given(
        st.lists(st.integers(0, 9), max_size=8),
        st.sets(st.integers(0, 9)),
        st.integers(0, 12),
    )
    def test_as_one_by_one(
        self, days: list[int], malicious: set[int], min_age: int
    ) -> None:
        digests = sorted(f"{n:064x}" for n in malicious)
        table = MaliciousDigests(
            bytes.fromhex("".join(digests)), "\n".join("MAL-1" for _ in digests)
        )
        judge = judge_by(min_age=min_age * DAY, advisories=ProjectAdvisories((), table))
        files = [
            {
                "filename": f"acme-{at}.tar.gz",
                "hashes": {"sha256": f"{day:064x}"} if at % 3 else {},
                "upload-time": datetime.fromtimestamp(NOW - day * DAY, UTC).isoformat(),
            }
            for at, day in enumerate(days)
        ]
        document = {"name": "acme", "versions": [], "files": files}
        kept = judge.filter_document(document, NOW).document["files"]
        one_by_one = [
            file
            for at, file in enumerate(files)
            if judge.refusal_of(
                judge.candidate(
                    f"acme-{at}.tar.gz",
                    f"{days[at]:064x}" if at % 3 else None,
                    NOW - days[at] * DAY,
                ),
                NOW,
            )
            is None
        ]
        self.assertEqual(kept, one_by_one)
