from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from packaging.metadata import RawMetadata
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.errors import NotFound
from pypicloud_tw.index.model import Document, File, Project
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.projects.described.core_metadata import described_by
from pypicloud_tw.projects.releases import find_version, latest_version
from pypicloud_tw.web.api.legacy_json import (
    is_quick,
    project_document,
    release_document,
    render,
)
from tests.builders import wheel
from tests.web.doubles import FORM_TYPE, Web, basic, upload_form

BASE = "https://index.example"
MOMENT = datetime(2024, 5, 6, 9, 8, 9, 12, tzinfo=timezone(timedelta(hours=2)))


def a_file(version: str, suffix: str = ".tar.gz", **changes: Any) -> File:
    values: dict[str, Any] = {
        "filename": f"acme_tool-{version}{suffix}",
        "version": version,
        "key": "k",
        "size": 10,
        "sha256": "a" * 64,
        "upload_time": MOMENT,
    }
    return File(**values | changes)


def a_project(*files: File, **changes: Any) -> Project:
    return Project(NormalizedName("acme-tool"), "Acme_Tool", files, **changes)


def address(file: File) -> str:
    return f"{BASE}/packages/{file.filename}"


def whole(*files: File, metadata: RawMetadata | None = None) -> Document:
    document = project_document(a_project(*files), address, f"{BASE}/", metadata)
    copy: Document = json.loads(json.dumps(document))
    return copy


class LatestVersionTests(SynchronousTestCase):
    def latest(self, *versions: str) -> str:
        files = [
            a_file(v.rstrip("y"), yanked="" if v.endswith("y") else None)
            for v in versions
        ]
        return latest_version(a_project(*files))

    def test_order(self) -> None:
        for versions, latest in [
            (("1.0", "1.9", "1.10"), "1.10"),
            (("1.0", "2.0rc1"), "1.0"),
            (("1.0rc1", "2.0.dev1"), "2.0.dev1"),
            (("1.0", "2.0y"), "1.0"),
            (("1.0rc1", "2.0y"), "1.0rc1"),
            (("1.0y", "2.0y"), "2.0"),
            (("1.0", "1!0.1"), "1!0.1"),
            (("what", "0.1a1"), "0.1a1"),
            (("what", "ever"), "what"),
        ]:
            self.assertEqual(self.latest(*versions), latest, versions)

    def test_partly_yanked_is_not_yanked(self) -> None:
        project = a_project(a_file("1.0"), a_file("2.0", yanked=""), a_file("2.0"))
        self.assertEqual(latest_version(project), "2.0")

    def test_none(self) -> None:
        for project in (a_project(), a_project(a_file("1"), status="quarantined")):
            e = self.assertRaises(NotFound, latest_version, project)
            self.assertEqual(e.message, "The project acme-tool has no releases.")


class FindVersionTests(SynchronousTestCase):
    def test_spellings(self) -> None:
        project = a_project(a_file("1.0rc1"), a_file("2.0"), a_file("2010-x"))
        for text, version in [
            ("2.0", "2.0"),
            ("2", "2.0"),
            ("v2.0.0", "2.0"),
            ("1.0-RC.1", "1.0rc1"),
            ("2010-x", "2010-x"),
        ]:
            self.assertEqual(find_version(project, text), version)

    def test_absent(self) -> None:
        project = a_project(a_file("1.0"))
        for text in ("2.0", "", "1.0.post1", "\0", "1" * 5000, "1.0" + ".0" * 5000):
            e = self.assertRaises(NotFound, find_version, project, text)
            self.assertIn("has no release of that version", e.message)
        hidden = a_project(a_file("1.0"), status="quarantined")
        self.assertRaises(NotFound, find_version, hidden, "1.0")


class DescribedByTests(SynchronousTestCase):
    def test_a_wheel_before_others(self) -> None:
        sdist = a_file("1", metadata_key="s")
        wheel = a_file("1", "-py3-none-any.whl", metadata_key="w")
        bare = a_file("1", "-py2-none-any.whl")
        self.assertIs(described_by(a_project(sdist, bare, wheel), "1"), wheel)
        self.assertIs(described_by(a_project(bare, sdist), "1"), sdist)
        self.assertIsNone(described_by(a_project(bare), "1"))
        self.assertIsNone(described_by(a_project(sdist), "2"))


class ProjectDocumentTests(SynchronousTestCase):
    def test_releases_and_urls(self) -> None:
        document = whole(
            a_file("1.0"), a_file("2.0"), a_file("2.0", "-py3-none-any.whl")
        )
        names = {
            version: [file["filename"] for file in files]
            for version, files in document["releases"].items()
        }
        latest = ["acme_tool-2.0.tar.gz", "acme_tool-2.0-py3-none-any.whl"]
        self.assertEqual(names, {"1.0": ["acme_tool-1.0.tar.gz"], "2.0": latest})
        self.assertEqual([file["filename"] for file in document["urls"]], latest)
        self.assertEqual(document["info"]["version"], "2.0")
        self.assertEqual(document["vulnerabilities"], [])
        self.assertEqual(document["last_serial"], 0)

    def test_file(self) -> None:
        file = a_file(
            "1.0",
            md5="b",
            blake2b_256="c",
            requires_python=">=3.9",
            yanked="bad",
            metadata_sha256="d",
        )
        [described] = whole(file)["urls"]
        self.assertEqual(
            described,
            {
                "comment_text": "",
                "core-metadata": {"sha256": "d"},
                "digests": {"blake2b_256": "c", "md5": "b", "sha256": "a" * 64},
                "downloads": -1,
                "filename": "acme_tool-1.0.tar.gz",
                "has_sig": False,
                "md5_digest": "b",
                "packagetype": "sdist",
                "python_version": "source",
                "requires_python": ">=3.9",
                "size": 10,
                "upload_time": "2024-05-06T07:08:09",
                "upload_time_iso_8601": "2024-05-06T07:08:09.000012Z",
                "url": f"{BASE}/packages/acme_tool-1.0.tar.gz",
                "yanked": True,
                "yanked_reason": "bad",
            },
        )

    def test_where_a_file_came_from(self) -> None:
        job = {"publisher": "tool", "ref": "refs/tags/v1"}
        document = whole(a_file("1.0", publisher=job))
        self.assertEqual(document["urls"][0]["publisher"], job)
        self.assertEqual(document["releases"]["1.0"][0]["publisher"], job)

    def test_file_of_which_little_is_known(self) -> None:
        [described] = whole(a_file("1.0", yanked=""))["urls"]
        self.assertEqual(described["digests"], {"sha256": "a" * 64})
        self.assertIs(described["core-metadata"], False)
        self.assertIsNone(described["md5_digest"])
        self.assertIs(described["yanked"], True)
        self.assertIsNone(described["yanked_reason"])

    def test_packaging(self) -> None:
        for filename, kind, python in [
            ("a-1-py2.py3-none-any.whl", "bdist_wheel", "py2.py3"),
            ("a-1-5-cp311-abi3-linux_x86_64.whl", "bdist_wheel", "cp311"),
            ("a-1.zip", "sdist", "source"),
            ("a-1-py3.8.egg", "bdist_egg", "3.8"),
            ("a-1.win32-py2.7.exe", "bdist_wininst", "2.7"),
            ("a-1.win32.exe", "bdist_wininst", "any"),
            ("no name at all", "sdist", "source"),
            ("broken.whl", "sdist", "source"),
        ]:
            [described] = whole(a_file("1", filename=filename))["urls"]
            found = described["packagetype"], described["python_version"]
            self.assertEqual(found, (kind, python), filename)

    def test_info_without_metadata(self) -> None:
        files = [a_file("1"), a_file("1", summary="Nice", requires_python=">=3")]
        info = whole(*files)["info"]
        self.assertEqual(info["name"], "Acme_Tool")
        self.assertEqual(info["summary"], "Nice")
        self.assertEqual(info["requires_python"], ">=3")
        self.assertEqual(info["classifiers"], [])
        self.assertIs(info["yanked"], False)
        for key in ("author", "requires_dist", "keywords", "project_urls", "platform"):
            self.assertIsNone(info[key], key)
        for key in ("package_url", "project_url", "release_url"):
            self.assertEqual(info[key], f"{BASE}/simple/acme-tool/")

    def test_info_with_metadata(self) -> None:
        metadata: RawMetadata = {
            "summary": "Better",
            "author_email": "a@b.example",
            "keywords": ["x", "y"],
            "platforms": ["any"],
            "classifiers": ["Private :: Do Not Upload"],
            "requires_dist": ["b; extra == 'c'"],
            "provides_extra": ["c"],
            "project_urls": {"Home": "https://home.example"},
            "dynamic": [],
            "description": "Long\ntext",
            "license_expression": "MIT",
        }
        info = whole(a_file("1", summary="Nice"), metadata=metadata)["info"]
        expected = {
            "summary": "Better",
            "author_email": "a@b.example",
            "keywords": "x,y",
            "platform": "any",
            "classifiers": ["Private :: Do Not Upload"],
            "requires_dist": ["b; extra == 'c'"],
            "provides_extra": ["c"],
            "project_urls": {"Home": "https://home.example"},
            "dynamic": None,
            "description": "Long\ntext",
            "license_expression": "MIT",
        }
        self.assertEqual({key: info[key] for key in expected}, expected)

    def test_yanked_release(self) -> None:
        info = whole(a_file("1", yanked="bad"), a_file("1", yanked=""))["info"]
        self.assertIs(info["yanked"], True)
        self.assertEqual(info["yanked_reason"], "bad")


class ReleaseDocumentTests(SynchronousTestCase):
    def test_only_that_release(self) -> None:
        project = a_project(a_file("1.0"), a_file("2.0"))
        document = release_document(project, "1", address, BASE)
        self.assertNotIn("releases", document)
        self.assertEqual(document["info"]["version"], "1.0")
        names = [file["filename"] for file in document["urls"]]
        self.assertEqual(names, ["acme_tool-1.0.tar.gz"])

    def test_same_keys_as_the_project(self) -> None:
        project = a_project(a_file("1.0"))
        release = release_document(project, "1.0", address, BASE)
        both = project_document(project, address, BASE)
        self.assertEqual({*both} - {*release}, {"releases"})
        self.assertEqual(both["info"], release["info"])

    def test_time_is_utc(self) -> None:
        file = a_file("1.0", upload_time=MOMENT.astimezone(UTC))
        [described] = whole(file)["urls"]
        self.assertEqual(described["upload_time"], "2024-05-06T07:08:09")


NEWEST = b"""\
Metadata-Version: 2.6
Name: acme-tool
Version: 1.0
License-Expression: MIT
License-File: LICENSE
Import-Name: acme
Import-Name: acme.more ; private
Import-Namespace: shared
Dynamic: classifier
Classifier: Topic :: Utilities
"""


class NewestMetadataTests(SynchronousTestCase):
    """PEP 639, 794 and 808: from an upload to what is shown."""

    def info(self, core_metadata: bytes) -> Document:
        web = Web()
        name = "acme_tool-1.0-py3-none-any.whl"
        data = wheel("acme_tool", core_metadata=core_metadata)
        form = upload_form(name, data, name="acme-tool", metadata_version="2.6")
        answer = web.request("POST", "/legacy/", FORM_TYPE | basic(), form)
        self.assertEqual(answer.status, 200, answer.text)
        self.assertEqual(answer["X-Pypicloud-Warning"], None)
        info: Document = web.get("/pypi/acme-tool/json").json["info"]
        return info

    def test_fields(self) -> None:
        info = self.info(NEWEST)
        self.assertEqual(info["license_expression"], "MIT")
        self.assertEqual(info["license_files"], ["LICENSE"])
        self.assertEqual(info["import_names"], ["acme", "acme.more ; private"])
        self.assertEqual(info["import_namespaces"], ["shared"])
        # PEP 808: what is dynamic may have a value, too.
        self.assertEqual(info["dynamic"], ["classifier"])
        self.assertEqual(info["classifiers"], ["Topic :: Utilities"])

    def test_nothing_can_be_imported(self) -> None:
        """PEP 794: which is not the same as no word of it."""
        text = b"Metadata-Version: 2.5\nName: acme-tool\nVersion: 1.0\n"
        self.assertEqual(self.info(text + b"Import-Name:\n")["import_names"], [])
        self.assertIsNone(self.info(text)["import_names"])


class QuickTests(SynchronousTestCase):
    """What is rendered in the reactor thread takes a few milliseconds at most."""

    def test_headers_are_judged_by_their_lines(self) -> None:
        readme = b"Name: acme\n\n" + b"a line\n" * 3000
        for quick in (None, b"", readme, b"License: " + b"x" * 30_000, b"a:\n" * 400):
            self.assertTrue(is_quick(a_project(a_file("1.0")), quick))
        for slow in (b"a:\n" * 5000, b":\r" * 5000, b"a:\n" + b" \r\n" * 5000):
            self.assertFalse(is_quick(a_project(a_file("1.0")), slow))
        self.assertFalse(is_quick(a_project(a_file("1.0")), readme * 2))
        self.assertFalse(is_quick(a_project(*[a_file("1.0")] * 201), b""))

    def test_metadata_beyond_the_bounds_of_today(self) -> None:
        """It was taken once; the manifest tells the rest."""
        names = b"".join(b"N%d:\n" % number for number in range(5400))
        project = a_project(a_file("1.0", summary="A tool"))
        document = json.loads(render(project, None, BASE, names))
        self.assertEqual(document["info"]["summary"], "A tool")
