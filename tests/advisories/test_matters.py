"""Records of one matter are put together, and say what repairs a version."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.advisories.matters import matters_of
from pypicloud_tw.advisories.values import Advisory, Severity, VersionRange


def flaw(
    identity: str,
    *aliases: str,
    fixed: tuple[str, ...] = ("2.0.6",),
    introduced: str = "2.0",
    severity: Severity = Severity.MEDIUM,
    summary: str = "",
) -> Advisory:
    return Advisory(
        identity,
        "acme",
        aliases=aliases,
        fixed=fixed,
        severity=severity,
        summary=summary,
        ranges=(VersionRange(introduced, fixed[0] if fixed else None),),
    )


class MattersTests(SynchronousTestCase):
    def test_records_that_share_an_alias_are_one(self) -> None:
        matters = matters_of(
            [
                flaw("PYSEC-1", "CVE-1"),
                flaw("PYSEC-2", "CVE-2"),
                flaw("GHSA-1", "CVE-1", severity=Severity.HIGH, summary="Bad."),
            ]
        )
        self.assertEqual(
            [one.ids for one in matters],
            [("GHSA-1", "PYSEC-1", "CVE-1"), ("PYSEC-2", "CVE-2")],
        )
        self.assertEqual(matters[0].severity, Severity.HIGH)
        self.assertEqual(matters[0].summary, "Bad.")

    def test_one_record_can_join_two_groups(self) -> None:
        matters = matters_of(
            [flaw("A", "CVE-1"), flaw("B", "CVE-2"), flaw("C", "CVE-1", "CVE-2")]
        )
        self.assertEqual(
            [one.ids for one in matters], [("A", "B", "C", "CVE-1", "CVE-2")]
        )

    def test_an_alias_may_name_the_record_itself(self) -> None:
        (matter,) = matters_of([flaw("GHSA-1", "PYSEC-1"), flaw("PYSEC-1")])
        self.assertEqual(matter.ids, ("GHSA-1", "PYSEC-1"))

    def test_malware_leads_and_is_critical(self) -> None:
        malware = Advisory("MAL-1", "acme", aliases=("GHSA-1",), malware=True)
        (matter,) = matters_of([flaw("GHSA-1"), malware])
        self.assertEqual(matter.ids, ("MAL-1", "GHSA-1"))
        self.assertTrue(matter.malware)
        self.assertEqual(matter.severity, Severity.CRITICAL)

    def test_the_next_fix_is_of_the_own_line(self) -> None:
        both = Advisory(
            "GHSA-1",
            "acme",
            fixed=("1.26.18", "2.0.7"),
            ranges=(VersionRange("", "1.26.18"), VersionRange("2.0", "2.0.7")),
        )
        (matter,) = matters_of([both])
        self.assertEqual(matter.fixes_of("1.26.5"), ("1.26.18", "2.0.7"))
        self.assertEqual(matter.fixes_of("2.0.1"), ("2.0.7",))

    def test_a_fix_that_another_record_speaks_of_is_none(self) -> None:
        first = flaw("PYSEC-1", "CVE-1")
        second = flaw("GHSA-1", "CVE-1", fixed=("2.0.7",), introduced="2.0.6")
        (matter,) = matters_of([first, second])
        self.assertEqual(matter.fixes_of("2.0.1"), ("2.0.7",))

    def test_a_version_that_is_none_has_no_fix(self) -> None:
        (matter,) = matters_of([flaw("PYSEC-1")])
        self.assertEqual(matter.fixes_of("2004-banana"), ())
