"""OSV records as advisories."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.advisories.records import BadRecord, advisories_of
from pypicloud_tw.advisories.values import Advisory, Severity
from tests.advisories.osv import events, record

SHA = "ab" * 32
LOW = "CVSS:3.1/AV:L/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N"
CRITICAL = "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"
KEYS = [
    "package",
    "ecosystem",
    "name",
    "ranges",
    "events",
    "type",
    "severity",
    "introduced",
    "fixed",
    "versions",
    "score",
    "iocs",
    "sha256",
]


def read(told: dict[str, Any]) -> Advisory:
    [one] = advisories_of(told)
    return one


class RangeTests(SynchronousTestCase):
    def affected(self, *ranges: dict[str, Any], versions: tuple[str, ...] = ()) -> str:
        affected = {"ranges": list(ranges), "versions": list(versions)}
        told = record("X-1", affected=affected)
        one = read(told)
        candidates = ["0.1", "1.0rc1", "1.0", "1.1", "2.0", "2.5", "3.0"]
        return " ".join(v for v in candidates if one.affects(v))

    def test_until_a_fix(self) -> None:
        fixed = events({"introduced": "1.0"}, {"fixed": "2.0"})
        self.assertEqual(self.affected(fixed), "1.0 1.1")

    def test_events_in_any_order(self) -> None:
        told = events(
            {"fixed": "2.5"},
            {"introduced": "2.0"},
            {"fixed": "1.0"},
            {"introduced": "0"},
        )
        self.assertEqual(self.affected(told), "0.1 1.0rc1 2.0")

    def test_the_last_that_is_affected(self) -> None:
        told = events({"introduced": "0"}, {"last_affected": "1.1"})
        self.assertEqual(self.affected(told), "0.1 1.0rc1 1.0 1.1")

    def test_one_version_alone(self) -> None:
        told = events({"introduced": "1.1"}, {"last_affected": "1.1"})
        self.assertEqual(self.affected(told), "1.1")

    def test_without_an_end(self) -> None:
        self.assertEqual(self.affected(events({"introduced": "2.0"})), "2.0 2.5 3.0")

    def test_ranges_and_versions_add_up(self) -> None:
        told = events({"introduced": "2.5"})
        self.assertEqual(self.affected(told, versions=("1.0.0",)), "1.0 2.5 3.0")

    def test_ranges_of_commits_say_nothing(self) -> None:
        told = events({"introduced": "0"}, kind="GIT")
        self.assertEqual(self.affected(told, versions=("1.1",)), "1.1")

    def test_fixes_oldest_first(self) -> None:
        one = read(
            record(
                "X-1",
                affected={
                    "ranges": [
                        events({"introduced": "10"}, {"fixed": "10.2"}),
                        events({"introduced": "9"}, {"fixed": "9.11"}),
                    ]
                },
            )
        )
        self.assertEqual(one.fixed, ("9.11", "10.2"))

    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["introduced", "fixed", "last_affected"]),
                st.integers(0, 9),
            ),
            max_size=6,
        ),
        st.integers(0, 9),
    )
    def test_as_the_schema_evaluates(self, told: list[Any], at: int) -> None:
        """The schema's own algorithm, for events that do not contradict each other."""
        if len({number for _, number in told}) != len(told):
            return
        one = read(
            record(
                "MAL-1",
                affected={
                    "ranges": [events(*({kind: str(n)} for kind, n in told))],
                    "versions": ["99"],
                },
            )
        )
        vulnerable = False
        for kind, number in sorted(told, key=lambda event: event[1]):
            version = Version(str(number))
            here = Version(str(at))
            if kind == "introduced":
                vulnerable = vulnerable or here >= version
            elif kind == "fixed":
                vulnerable = vulnerable and here < version
            else:
                vulnerable = vulnerable and here <= version
        self.assertEqual(one.affects(str(at)), vulnerable)


class MalwareTests(SynchronousTestCase):
    def test_by_its_id_or_another_id(self) -> None:
        self.assertTrue(read(record("MAL-2026-1")).malware)
        self.assertTrue(read(record("GHSA-1", aliases=["MAL-2026-1"])).malware)

    def test_by_what_it_says(self) -> None:
        said: dict[str, Any]
        for said in (
            {"cwe_ids": ["CWE-506"]},
            {"malicious-packages-origins": [{"source": "x"}]},
        ):
            self.assertTrue(read(record("X-1", database_specific=said)).malware)

    def test_a_flaw_that_speaks_of_malware_is_none(self) -> None:
        told = record(
            "GHSA-1",
            summary="Malicious input and malware embedded: MAL-2026-1",
            database_specific={"cwe_ids": ["CWE-502"]},
        )
        self.assertFalse(read(told).malware)

    def test_what_is_not_told_is_all_of_it(self) -> None:
        one = read(record("MAL-1", affected={}))
        self.assertTrue(one.affects("1.0") and one.affects(None))
        self.assertFalse(read(record("GHSA-1", affected={})).affects("1.0"))

    def test_digests_of_files_and_not_of_reports(self) -> None:
        told = record(
            "MAL-1",
            database_specific={
                "iocs": {"files": [{"digests": {"sha256": SHA.upper()}}]},
                "malicious-packages-origins": [{"sha256": "cd" * 32}],
            },
        )
        self.assertEqual(read(told).sha256s, {SHA})
        told["id"] = "GHSA-1"
        del told["database_specific"]["malicious-packages-origins"]
        self.assertEqual(read(told).sha256s, frozenset())


class SeverityTests(SynchronousTestCase):
    def severity(self, **more: Any) -> Severity:
        return read(record("X-1", **more)).severity

    def test_the_worst_that_is_said(self) -> None:
        vectors = [
            {
                "type": "CVSS_V3",
                "score": LOW,
            },
            {
                "type": "CVSS_V4",
                "score": CRITICAL,
            },
        ]
        self.assertIs(self.severity(severity=vectors), Severity.CRITICAL)
        self.assertIs(self.severity(severity=vectors[:1]), Severity.LOW)

    def test_by_a_word(self) -> None:
        said = {"severity": "MODERATE"}
        self.assertIs(self.severity(database_specific=said), Severity.MEDIUM)

    def test_nonsense_is_unknown(self) -> None:
        for told in ([{"type": "CVSS_V3", "score": "high"}], [{"type": "x"}], [5], "x"):
            self.assertIs(self.severity(severity=told), Severity.UNKNOWN)


class HostileTests(SynchronousTestCase):
    def test_withdrawn_says_nothing(self) -> None:
        told = record("X-1", withdrawn="2026-01-01T00:00:00Z")
        self.assertEqual(list(advisories_of(told)), [])

    def test_other_ecosystems_say_nothing(self) -> None:
        told = record("X-1")
        told["affected"][0]["package"]["ecosystem"] = "npm"
        self.assertEqual(list(advisories_of(told)), [])

    def test_names_are_normalized(self) -> None:
        self.assertEqual(read(record("X-1", "Acme_Tool")).project, "acme-tool")

    def test_texts_are_one_line(self) -> None:
        one = read(record("X-1", summary="a\n\x1b[31mb" + "c" * 9999))
        self.assertTrue(one.summary.startswith("a ?[31mbccc"))
        self.assertEqual(len(one.summary), 400)

    def test_a_time_that_is_none(self) -> None:
        for told in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "x"):
            self.assertIsNone(read(record("X-1") | {"published": told}).published)

    def test_what_is_said_of_one_project_is_not_of_the_next(self) -> None:
        evil, acme = record("X-1", "evil"), record("X-1", "acme")
        [malicious], [flawed] = evil["affected"], acme["affected"]
        malicious["database_specific"] = {"cwe_ids": ["CWE-506"]}
        told = {**evil, "affected": [malicious, flawed]}
        said = {one.project: one.malware for one in advisories_of(told)}
        self.assertEqual(said, {"evil": True, "acme": False})

    def test_no_record(self) -> None:
        bad: tuple[object, ...] = (
            None,
            [],
            {},
            {"id": "a b"},
            {"id": "x" * 101},
            {"id": "\n"},
        )
        for told in bad:
            self.assertRaises(BadRecord, list, advisories_of(told))

    json: st.SearchStrategy[Any] = st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(KEYS),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )

    @given(st.dictionaries(st.sampled_from(["affected", "severity", "aliases"]), json))
    def test_any_shape_is_read_or_left_out(self, more: dict[str, Any]) -> None:
        told = {**record("MAL-1"), **more}
        for one in advisories_of(told):
            one.affects("1.0")
