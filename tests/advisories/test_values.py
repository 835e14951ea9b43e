"""What an advisory says of a version."""

from __future__ import annotations

import pickle

from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.advisories.values import (
    Advisory,
    MaliciousDigests,
    ProjectAdvisories,
    VersionRange,
)


class AffectsTests(SynchronousTestCase):
    def test_named_versions_by_any_spelling(self) -> None:
        one = Advisory("MAL-1", "a", malware=True, versions=frozenset({"1"}))
        self.assertTrue(one.affects("1.0"))
        self.assertFalse(one.affects("1.1"))
        self.assertFalse(one.affects(None))

    def test_ranges(self) -> None:
        one = Advisory("X", "a", ranges=(VersionRange("1.0", fixed="1.5"),))
        self.assertEqual(
            [one.affects(v) for v in ("0.9", "1.0", "1.5rc1", "1.5", "2")],
            [False, True, True, False, False],
        )
        last = Advisory("X", "a", ranges=(VersionRange("0", last_affected="2.0"),))
        self.assertEqual(
            [last.affects(v) for v in ("0.1.dev0", "2.0", "2.0.post1")],
            [True, True, False],
        )

    def test_all_versions_hold_for_an_unknown_one(self) -> None:
        self.assertTrue(Advisory("X", "a", ranges=(VersionRange(),)).affects(None))

    def test_repairs(self) -> None:
        self.assertTrue(Advisory("X", "a", fixed=("2.5.1",)).repairs("2.5.1.0"))


class DigestTests(SynchronousTestCase):
    def test_found_whatever_it_is_called(self) -> None:
        shas = sorted(f"{n:064x}" for n in range(0, 99, 3))
        table = MaliciousDigests(
            bytes.fromhex("".join(shas)), "\n".join(f"MAL-{s[-2:]}" for s in shas)
        )
        for sha in shas:
            self.assertEqual(table.id_of(sha), f"MAL-{sha[-2:]}")
        self.assertIsNone(table.id_of(f"{1:064x}"))
        self.assertIsNone(table.id_of("f" * 64))
        known = ProjectAdvisories((), table)
        self.assertEqual(known.malware_of("1", shas[1]), f"MAL-{shas[1][-2:]}")
        self.assertEqual(pickle.loads(pickle.dumps(known)), known)
