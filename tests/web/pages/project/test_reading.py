from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.concurrency.steps import at_once
from pypicloud_tw.errors import NotFound
from pypicloud_tw.index.model import Project
from pypicloud_tw.web.pages.project.reading import (
    kind_of,
    show_document,
    show_document_elsewhere,
    show_own,
)
from pypicloud_tw.web.pages.project.values import ShownProject
from tests.builders import file
from tests.web.doubles import ACME

MARCH = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)


def own(*versions: str, wanted: str | None = None, **changes: Any) -> ShownProject:
    files = tuple(
        file(f"acme-{version}-py3-none-any.whl", version=version)
        for version in versions
    )
    project = Project(ACME, "Acme", files, **changes)
    return at_once(show_own(project, wanted, managed=False))


def told(filename: str, **changes: Any) -> dict[str, Any]:
    url = f"../../packages/acme/00/{filename}"
    return {"filename": filename, "url": url, "hashes": {}, "size": 7, **changes}


def theirs(
    *files: dict[str, Any], wanted: str | None = None, **changes: Any
) -> ShownProject:
    document = {"name": "Acme", "files": list(files), **changes}
    return show_document(json.dumps(document).encode(), "acme", wanted, "upstream")


class OwnTests(SynchronousTestCase):
    def test_the_newest_final_release_is_shown(self) -> None:
        shown = own("1.0", "1.10", "1.9", "2.0rc1")
        self.assertEqual(shown.version, "1.10")
        versions = [release.version for release in shown.releases]
        self.assertEqual(versions, ["2.0rc1", "1.10", "1.9", "1.0"])
        self.assertEqual([r.prerelease for r in shown.releases][:2], [True, False])
        (found,) = shown.files
        self.assertEqual(found.filename, "acme-1.10-py3-none-any.whl")
        self.assertTrue((found.url or "").startswith("packages/acme/"))
        self.assertEqual(found.kind, "Wheel")

    def test_one_that_is_asked_for_by_another_spelling(self) -> None:
        self.assertEqual(own("1.0", "2.0", wanted="1").version, "1.0")
        error = self.assertRaises(NotFound, own, "1.0", wanted="3")
        self.assertIn("no release of that version", error.message)

    def test_yanked_ones_come_last(self) -> None:
        files = (
            file("acme-1.0-py3-none-any.whl", version="1.0"),
            file("acme-2.0-py3-none-any.whl", version="2.0", yanked="broken"),
        )
        shown = at_once(show_own(Project(ACME, "acme", files), None, managed=False))
        self.assertEqual((shown.version, shown.latest), ("1.0", "1.0"))
        self.assertEqual(shown.releases[0].yanked, "broken")
        only = evolve(shown, releases=shown.releases)
        self.assertIs(only.release, shown.releases[1])

    def test_in_quarantine_only_who_manages_sees_it(self) -> None:
        shown = own("1.0", status="quarantined", status_reason="malware")
        self.assertEqual((shown.releases, shown.files, shown.version), ((), (), None))
        project = Project(ACME, "acme", (file(),), status="quarantined")
        managed = at_once(show_own(project, None, managed=True))
        self.assertEqual(len(managed.files), 1)

    def test_nothing(self) -> None:
        shown = own()
        self.assertEqual((shown.version, shown.latest, shown.release), (None,) * 3)


class DocumentTests(SynchronousTestCase):
    def test_what_a_page_says(self) -> None:
        shown = theirs(
            told(
                "acme-1.0.tar.gz",
                hashes={"sha256": "ab"},
                **{
                    "upload-time": "2026-03-01T09:30:00Z",
                    "requires-python": ">=3.9",
                    "yanked": "bad",
                    "core-metadata": True,
                },
            )
        )
        (found,) = shown.files
        self.assertEqual(found.url, "packages/acme/00/acme-1.0.tar.gz")
        self.assertEqual(found.uploaded, MARCH)
        self.assertEqual(
            (found.size, found.sha256, found.yanked, found.requires_python),
            (7, "ab", "bad", ">=3.9"),
        )
        self.assertTrue(found.metadata)
        self.assertEqual(shown.releases[0].uploaded, MARCH)
        self.assertEqual(found.kind, "Source archive")

    def test_what_cannot_be_is_left_out(self) -> None:
        for url in ("javascript:alert(1)", "data:,x", "//evil/x", "http:///x", "x"):
            shown = theirs(
                told(
                    "acme-1.0.tar.gz",
                    url=url,
                    provenance=url,
                    size="<b>",
                    hashes={"sha256": 5},
                    yanked=True,
                    **{
                        "upload-time": "yesterday",
                        "requires-python": 3,
                        "core-metadata": True,
                    },
                )
            )
            (found,) = shown.files
            nothing = (found.url, found.provenance, found.size, found.uploaded)
            self.assertEqual(nothing, (None,) * 4, url)
            self.assertEqual((found.sha256, found.requires_python), (None, None))
            self.assertEqual((found.yanked, found.metadata), ("", False))

    def test_a_file_without_a_version_is_a_release_of_its_own(self) -> None:
        shown = theirs(told("other.zip"), told("acme-1.0.tar.gz"))
        versions = [release.version for release in shown.releases]
        self.assertEqual(versions, ["1.0", ""])
        self.assertEqual(shown.version, "1.0")
        self.assertEqual(theirs(told("other.zip")).version, "")

    def test_a_hidden_release_can_be_asked_for(self) -> None:
        entry = {
            "version": "2.0",
            "files": 1,
            "rule": "min-age",
            "reason": "It is young.",
            "lifted_by": "Time.",
        }
        shown = theirs(told("acme-1.0.tar.gz"), wanted="2", _hidden=[entry])
        self.assertEqual((shown.version, shown.files), ("2.0", ()))
        self.assertIsNone(shown.release)
        self.assertEqual(shown.hidden[0].reason, "It is young.")

    def test_the_same_in_a_helper(self) -> None:
        data = json.dumps({"name": "x", "files": [told("acme-1.0.tar.gz")]}).encode()
        question = (data, "acme", None, "upstream")
        self.assertEqual(
            show_document_elsewhere(question),  # type: ignore[arg-type]  # ServedFrom
            show_document(data, "acme", None, "upstream"),
        )


class KindTests(SynchronousTestCase):
    def test_kinds(self) -> None:
        for filename, kind in [
            ("a-1-py3-none-any.whl", "Wheel"),
            ("a-1.tar.gz", "Source archive"),
            ("a-1-py2.7.egg", "Egg"),
            ("a-1.rpm", "Other file"),
            ("", "Other file"),
        ]:
            self.assertEqual(kind_of(filename), kind)
