"""GitLab's package registry, as docs.gitlab.com shows its answers."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from pypicloud_tw.access.basic import Login
from pypicloud_tw.moving.sources.gitlab import GitlabKind
from tests.moving.sources.doubles import SourceTestCase
from tests.upstream.doubles import page, redirect, status

API = "https://git.example/gitlab/api/v4/"
OWNER = f"{API}projects/7/"
LIST = (
    f"{OWNER}packages?package_type=pypi&order_by=created_at&sort=asc&per_page=100&page="
)
GROUP_LIST = LIST.replace("projects/7/", "groups/tools%2Fpython/")
WHEEL = "acme-1.0-py3-none-any.whl"
DIGEST = sha256(b"wheel").hexdigest()
FILE = f"{OWNER}packages/pypi/files/{DIGEST}/{WHEEL}"
TOKEN = Login("anybody", "glpat-1")


def release(number: int = 31, name: str = "acme", **more: Any) -> dict[str, Any]:
    return {
        "id": number,
        "name": name,
        "version": "1.0",
        "package_type": "pypi",
        "status": "default",
        "_links": {"web_path": f"/tools/acme/-/packages/{number}"},
        "created_at": "2024-05-01T08:00:00.000Z",
        "tags": [],
        **more,
    }


def package_file(name: str = WHEEL, **more: Any) -> dict[str, Any]:
    return {
        "id": 225,
        "package_id": 31,
        "created_at": "2024-05-01T10:00:00.500+02:00",
        "file_name": name,
        "size": 5,
        "file_md5": None,
        "file_sha1": None,
        "file_sha256": DIGEST,
        "pipelines": [{"id": 1, "status": "success", "user": {"username": "bob"}}],
        **more,
    }


def files_of(number: int, project: int = 7, at: int = 1) -> str:
    base = f"{API}projects/{project}/packages/{number}/package_files"
    return f"{base}?per_page=100&page={at}"


class GitlabTests(SourceTestCase):
    kind = GitlabKind()
    place = f"{OWNER}packages/pypi/simple"

    def setUp(self) -> None:
        super().setUp()
        self.workshop.login = TOKEN
        self.on_json(f"{LIST}1", [release(), release(32, "Big_Tool")])
        self.on_json(files_of(31), [package_file()])
        self.web.on(FILE, page(b"wheel", "x/y"))

    def test_detected(self) -> None:
        """By its address, so nobody is asked."""
        for place in (
            self.place,
            f"{OWNER}packages/pypi",
            f"{OWNER}packages",
            f"{API}groups/7/-/packages/pypi/simple/",
            f"{API}projects/tools%2Facme/packages/pypi/simple",
        ):
            self.assertEqual(self.found(place), "GitlabSource", place)
        self.assertEqual(self.web.asked, [])

    def test_names(self) -> None:
        self.assertEqual(self.names(), ["acme", "big-tool"])

    def test_file(self) -> None:
        file = self.files()[WHEEL]
        self.assertEqual((file.digests, file.size), ({"sha256": DIGEST}, 5))
        self.assertEqual(
            file.uploaded, datetime(2024, 5, 1, 8, 0, 0, 500000, tzinfo=UTC)
        )
        self.assertEqual(file.uploader, "bob")
        self.assertEqual(file.location, FILE)

    def test_log_in(self) -> None:
        """A token for the API, a password for files, as GitLab takes them."""
        (file,) = self.project().files
        self.assertEqual(self.bytes_of(self.source(), file), b"wheel")
        self.assertEqual(self.asked(f"{LIST}1"), "Bearer glpat-1")
        self.assertEqual(self.asked(FILE), TOKEN.authorization)

    def test_storage_elsewhere(self) -> None:
        """GitLab sends readers to its bucket, which is not told the token."""
        there = "https://bucket.example/acme?X-Amz-Signature=a"
        self.web.on(FILE, redirect(there, 302))
        self.web.on(there, page(b"wheel", "x/y"))
        (file,) = self.project().files
        self.assertEqual(self.bytes_of(self.source(), file), b"wheel")
        self.assertIsNone(self.asked(there))

    def test_many_releases(self) -> None:
        """Page by page, up to one that is not full."""
        full = [release(number, f"p{number}") for number in range(100)]
        self.on_json(f"{LIST}1", full)
        self.on_json(f"{LIST}2", [release()])
        self.assertEqual(len(self.names()), 101)

    def test_full_to_the_end(self) -> None:
        self.on_json(
            f"{LIST}1", [release(number, f"p{number}") for number in range(100)]
        )
        self.on_json(f"{LIST}2", [])
        self.assertEqual(len(self.names()), 100)

    def test_round_in_a_circle(self) -> None:
        full = [release(number, f"p{number}") for number in range(100)]
        for number in (1, 2):
            self.on_json(f"{LIST}{number}", full)
        said = self.refused(self.source().names())
        self.assertIn("does not come to an end", said)

    def test_several_releases(self) -> None:
        self.on_json(f"{LIST}1", [release(31), release(33)])
        self.on_json(files_of(33), [package_file("acme-2.0.tar.gz")])
        self.assertEqual(set(self.files()), {WHEEL, "acme-2.0.tar.gz"})

    def test_uploaded_twice(self) -> None:
        """The latest of a name counts."""
        newer = package_file(file_sha256="b" * 64)
        self.on_json(files_of(31), [package_file(), newer])
        self.assertEqual(self.files()[WHEEL].digests["sha256"], "b" * 64)

    def test_unfinished(self) -> None:
        others = [
            release(40, "half", status="processing"),
            release(41, "hid", status="hidden"),
            release(42, "npm", package_type="npm"),
        ]
        self.on_json(f"{LIST}1", [release(), *others])
        self.assertEqual(self.names(), ["acme"])

    def test_no_digest(self) -> None:
        self.on_json(files_of(31), [package_file(file_sha256=None)])
        project = self.project()
        self.assertEqual(project.files, ())
        self.assertIn("no SHA-256", project.notes[0].why)

    def test_group(self) -> None:
        """Its packages are of several projects."""
        self.place = f"{API}groups/tools%2Fpython/-/packages/pypi/simple"
        self.on_json(f"{GROUP_LIST}1", [release(project_id=12)])
        self.on_json(files_of(31, 12), [package_file()])
        self.assertEqual(
            self.files()[WHEEL].location, FILE.replace("projects/7", "projects/12")
        )

    def test_group_without_projects(self) -> None:
        self.place = f"{API}groups/tools%2Fpython/-/packages/pypi/simple"
        self.on_json(f"{GROUP_LIST}1", [release()])
        said = self.refused(self.source().project("acme"))
        self.assertIn("name the projects one by one", said)

    def test_wrong_token(self) -> None:
        """What one may not see is not there, GitLab says."""
        for code in (401, 403, 404):
            self.web.on(f"{LIST}1", status(code))
            said = self.refused(self.source().names())
            self.assertIn(f"(status {code})", said)
            self.assertIn("a token that is wrong", said)
            self.assertIn("read_api", said)
            self.assertNotIn("glpat", said)

    def test_deploy_token(self) -> None:
        self.workshop.login = Login("gitlab+deploy-token-9", "secret")
        said = self.refused(self.source().names())
        self.assertIn("--kind simple", said)
        self.assertEqual(self.web.asked, [])

    def test_no_such_project(self) -> None:
        said = self.refused(self.source().project("none"))
        self.assertIn("has no package none", said)

    def test_address_of_a_hostile_name(self) -> None:
        """Nothing that GitLab tells leads out of the folder of its files."""
        hostile = package_file("../../../x.whl", file_sha256="../..?")
        self.on_json(files_of(31), [hostile])
        (file,) = self.project().files
        self.assertEqual(
            file.location,
            f"{OWNER}packages/pypi/files/..%2F..%3F/..%2F..%2F..%2Fx.whl",
        )

    def test_hostile(self) -> None:
        hostile: tuple[object, ...] = (
            {"message": "hello"},
            [7],
            [package_file(7)],  # type: ignore[arg-type]
            [package_file(size="5")],
            [package_file(created_at="yesterday")],
            [package_file(pipelines=[{"user": {"username": "a\nb"}}])],
        )
        for document in hostile:
            self.on_json(files_of(31), document)
            said = self.refused(self.source().project("acme"))
            self.assertIn("does not answer as GitLab's package registry does", said)

    def test_no_address(self) -> None:
        making = self.kind.make("https://git.example/a/b", self.workshop.tools)
        self.assertIn("/api/v4/projects/ID/packages/pypi", self.refused(making))
