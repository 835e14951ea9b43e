"""What is kept of a record is told in OSV's form, and read again as it was."""

from __future__ import annotations

import json

from attrs import evolve, frozen
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.advisories.records import advisories_of
from pypicloud_tw.advisories.values import Advisory, NoAdvisories, VersionRange
from pypicloud_tw.projects.affected.records import KeptRecords, record_of
from tests.projects.affected.doubles import flaw, malware


@frozen
class Named(NoAdvisories):
    known: tuple[Advisory, ...] = ()

    def named(self, identifier: str) -> tuple[Advisory, ...]:
        return tuple(one for one in self.known if one.id == identifier)


class RecordTests(SynchronousTestCase):
    def test_it_is_read_again_as_it_was(self) -> None:
        one = evolve(
            flaw("acme", "GHSA-1", aliases=("CVE-1",)),
            published=1_772_357_400.0,
            modified="2026-03-02T00:00:00Z",
            versions=frozenset({"0.9"}),
        )
        two = evolve(one, project="other", ranges=(VersionRange("1.0", None, "1.5"),))
        document = json.loads(json.dumps(record_of([one, two])))
        self.assertEqual(
            [(a.project, a.severity, a.versions) for a in advisories_of(document)],
            [(a.project, a.severity, a.versions) for a in (one, two)],
        )
        read, _ = advisories_of(document)
        self.assertTrue(read.affects("1.9") and not read.affects("2.0"))
        self.assertEqual((read.id, read.aliases), ("GHSA-1", ("CVE-1",)))
        self.assertEqual(read.fixed, ("2.0",))
        self.assertEqual(read.modified, one.modified)

    def test_by_its_id(self) -> None:
        records = KeptRecords(Named(known=(malware("evil"),)), lambda: ("evil",))
        found = Deferred.fromCoroutine(records.find("MAL-1"))
        self.assertIn(b'"id":"MAL-1"', self.successResultOf(found) or b"")
        absent = Deferred.fromCoroutine(records.find("MAL-2"))
        self.assertIsNone(self.successResultOf(absent))
        self.assertEqual(records.names(), ("evil",))
