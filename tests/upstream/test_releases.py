"""The table of an upstream page's files, by release."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.upstream.releases import (
    MOST_FILES,
    FoundReleases,
    WantedReleases,
    find_releases,
    table_of,
)
from tests.upstream.doubles import file, project


def wheel(version: str, tag: str = "py3", **more: Any) -> Any:
    return file(f"acme-{version}-{tag}-none-any.whl", **more)


class TableTests(SynchronousTestCase):
    def find(self, *files: Any, **wanted: Any) -> FoundReleases:
        table = table_of(project("acme", *files))
        return find_releases(table, WantedReleases(**{"most": 2, **wanted}))

    def test_the_newest_first(self) -> None:
        files = [wheel(version) for version in ("1.10", "1.9", "2.0rc1", "1.2")]
        found = self.find(*files)
        self.assertEqual([one.version for one in found.releases], ["2.0rc1", "1.10"])
        self.assertEqual(found.total, 4)

    def test_named_ones_however_they_are_spelled(self) -> None:
        files = [wheel(version) for version in ("1.10", "1.9", "2.0")]
        found = self.find(*files, versions=("2", "1.9.0"))
        self.assertEqual([one.version for one in found.releases], ["2.0", "1.9"])

    def test_what_is_told_of_a_file(self) -> None:
        told = wheel("1.0", uploaded="2026-01-01T00:00:00Z", yanked="broken")
        told["provenance"] = "https://files.example/p"
        (release,) = self.find(told).releases
        (one,) = release.files
        candidate = one.candidate
        self.assertEqual(
            (candidate.filename, candidate.version), (told["filename"], "1.0")
        )
        self.assertEqual(candidate.sha256, told["hashes"]["sha256"])
        self.assertEqual(candidate.uploaded, 1767225600.0)
        self.assertTrue(candidate.provenance)
        self.assertEqual(one.yanked, "broken")

    def test_of_no_known_version(self) -> None:
        found = self.find(file("other.zip"), wheel("1.0"))
        self.assertEqual([one.version for one in found.releases], ["1.0", None])
        self.assertEqual(self.find(file("other.zip"), versions=("1",)).releases, ())

    def test_what_is_not_there(self) -> None:
        names = ("acme-1.0-py3-none-any.whl", "acme-0.1.tar.gz")
        found = self.find(*(wheel(f"1.{n}") for n in range(5)), filenames=names)
        self.assertEqual(found.gone, names[1:])

    def test_not_all_of_a_very_large_one(self) -> None:
        files = [wheel("1.0", f"py{n}") for n in range(MOST_FILES + 5)]
        (release,) = self.find(*files).releases
        self.assertEqual((len(release.files), release.total), (MOST_FILES, 255))

    def test_nothing(self) -> None:
        self.assertEqual(self.find(), FoundReleases())
