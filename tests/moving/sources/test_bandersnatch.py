"""A mirror's folder, laid out as bandersnatch 6.8 does (its ``simple.py``)."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from pypicloud_tw.moving.sources.bandersnatch import BandersnatchKind
from tests.moving.sources.doubles import MD5, SourceTestCase, write

WHEEL = "acme-1.0-py3-none-any.whl"
DIGEST = sha256(b"wheel").hexdigest()
PATH = f"packages/aa/bb/{DIGEST}/{WHEEL}"
CAME = datetime(2024, 5, 1, 8, 0, 0, 500000, tzinfo=UTC)


def page(**more: Any) -> bytes:
    file = {
        "filename": WHEEL,
        "hashes": {"sha256": DIGEST},
        "requires-python": ">=3.8",
        "size": 5,
        "upload-time": "2024-05-01T08:00:00.500000Z",
        "url": f"../../{PATH}",
        "yanked": False,
        **more,
    }
    document = {
        "files": [file],
        "meta": {"api-version": "1.1", "_last-serial": "7"},
        "name": "acme",
        "versions": ["1.0"],
    }
    return json.dumps(document).encode()


def html(url: str = f"../../{PATH}", digest: str = f"sha256={DIGEST}") -> bytes:
    return f"""<!DOCTYPE html>
<html>
  <head>
    <meta name="pypi:repository-version" content="1.0">
    <title>Links for acme</title>
  </head>
  <body>
    <h1>Links for acme</h1>
    <a href="{url}#{digest}" data-yanked="">{WHEEL}</a><br/>
  </body>
</html>
<!--SERIAL 7-->""".encode()


def releases(**more: Any) -> bytes:
    file = {
        "filename": WHEEL,
        "digests": {"blake2b_256": "c", "md5": MD5, "sha256": DIGEST},
        "size": 5,
        "upload_time_iso_8601": "2024-05-01T08:00:00.500000Z",
        "url": f"https://files.example/{PATH}",
        "yanked": True,
        "yanked_reason": "broken <build>",
        **more,
    }
    document = {"info": {"name": "acme"}, "last_serial": 7, "releases": {"1.0": [file]}}
    return json.dumps(document, indent=4).encode()


class BandersnatchTests(SourceTestCase):
    kind = BandersnatchKind()

    def setUp(self) -> None:
        super().setUp()
        self.folder = Path(self.mktemp())
        self.place = str(self.folder)
        self.write(**{"simple/index.html": b"<html></html>", PATH: b"wheel"})
        self.write(**{"simple/acme/index.v1_json": page()})

    def write(self, **files: bytes) -> None:
        write(self.folder / "web", **files)

    def remove_page(self) -> None:
        (self.folder / "web/simple/acme/index.v1_json").unlink()

    def test_detected(self) -> None:
        for place in (self.place, f"{self.place}/web", f"{self.place}/web/"):
            self.assertEqual(self.found(place), "BandersnatchSource", place)

    def test_other_folders(self) -> None:
        """Projects may be called simple and packages."""
        other = Path(self.mktemp())
        write(other, **{"simple/x.whl": b"", "packages/y.whl": b""})
        self.assertEqual(self.found(str(other)), "FolderSource")
        making = self.kind.make(str(other), self.workshop.tools)
        self.assertIn("no mirror of bandersnatch", self.refused(making))

    def test_names(self) -> None:
        self.write(**{"simple/big-tool/index.html": html()})
        self.write(**{"simple/big-tool/versions/index_7_2024.html": html()})
        self.assertEqual(self.names(), ["acme", "big-tool"])

    def test_file(self) -> None:
        file = self.files()[WHEEL]
        self.assertEqual((file.digests, file.size), ({"sha256": DIGEST}, 5))
        self.assertEqual((file.uploaded, file.yanked), (CAME, None))
        self.assertEqual(self.bytes_of(self.source(), file), b"wheel")

    def test_web_alone(self) -> None:
        self.place = f"{self.folder}/web"
        file = self.files()[WHEEL]
        self.assertEqual(self.bytes_of(self.source(), file), b"wheel")

    def test_html_with_json(self) -> None:
        """Older mirrors, whose pages tell no times."""
        self.remove_page()
        self.write(**{"simple/acme/index.html": html(), "json/acme": releases()})
        file = self.files()[WHEEL]
        self.assertEqual((file.uploaded, file.size), (CAME, 5))
        self.assertEqual(file.yanked, "broken <build>")
        self.assertEqual(file.digests, {"sha256": DIGEST, "md5": MD5})

    def test_html_alone(self) -> None:
        self.remove_page()
        self.write(**{"simple/acme/index.html": html()})
        file = self.files()[WHEEL]
        self.assertEqual((file.uploaded, file.yanked), (None, ""))

    def test_digest_of_another_kind(self) -> None:
        """With digest_name = md5 the JSON has the better one."""
        self.remove_page()
        self.write(**{"simple/acme/index.html": html(digest="md5=" + "d" * 32)})
        self.write(**{"json/acme": releases()})
        self.assertEqual(self.files()[WHEEL].digests["sha256"], DIGEST)

    def test_hash_index(self) -> None:
        """It names folders by a letter, and links as if it did not."""
        self.remove_page()
        self.write(**{"simple/a/acme/index.html": html()})
        self.assertEqual(self.names(), ["acme"])
        file = self.files()[WHEEL]
        self.assertEqual(self.bytes_of(self.source(), file), b"wheel")

    def test_kept_versions(self) -> None:
        """The page is a link to one of them."""
        self.remove_page()
        self.write(**{"simple/acme/versions/index_7.html": html()})
        link = self.folder / "web/simple/acme/index.html"
        link.symlink_to("versions/index_7.html")
        self.assertEqual(self.names(), ["acme"])
        self.assertEqual(set(self.files()), {WHEEL})

    def test_root_uri(self) -> None:
        """Its pages link to where the mirror is served, packages and all."""
        url = f"https://mirror.example/packages/mirror/{PATH}"
        self.write(**{"simple/acme/index.v1_json": page(url=url)})
        file = self.files()[WHEEL]
        self.assertEqual(self.bytes_of(self.source(), file), b"wheel")

    def test_status(self) -> None:
        document = json.loads(page())
        document["project-status"] = {"status": "archived", "reason": "moved"}
        data = json.dumps(document).encode()
        self.write(**{"simple/acme/index.v1_json": data})
        project = self.project()
        self.assertEqual((project.status, project.status_reason), ("archived", "moved"))

    def test_large_page(self) -> None:
        """A helper reads it."""
        document = json.loads(page())
        document["files"] *= 2000
        data = json.dumps(document).encode()
        self.write(**{"simple/acme/index.v1_json": data})
        self.assertEqual(len(self.project().files), 2000)
        self.assertEqual(self.workshop.offload.processed, ["read_page"])

    def test_large_document(self) -> None:
        self.write(**{"json/acme": releases(comment="x" * 300_000)})
        self.assertEqual(self.files()[WHEEL].yanked, "broken <build>")
        self.assertEqual(self.workshop.offload.processed, ["read_releases"])

    def test_not_mirrored(self) -> None:
        """release-files = false."""
        (self.folder / "web" / PATH).unlink()
        source, file = self.source(), self.files()[WHEEL]
        self.assertIn("There is no file", self.refused(source.open(file)))

    def test_no_such_project(self) -> None:
        said = self.refused(self.source().project("none"))
        self.assertIn("There is no page of none", said)

    def test_elsewhere(self) -> None:
        """A page that links out of the folder."""
        secret = self.folder / "secret.whl"
        secret.write_bytes(b"secret")
        url = "https://x.example/packages/..%2f..%2fsecret.whl"
        self.write(**{"simple/acme/index.v1_json": page(url=url)})
        source, file = self.source(), self.files()[WHEEL]
        self.assertIn("would lead elsewhere", self.refused(source.open(file)))

    def test_link_out(self) -> None:
        """A page that is a link to somewhere else is none."""
        self.remove_page()
        outside = Path(self.mktemp())
        outside.write_bytes(html())
        link = self.folder / "web/simple/acme/index.html"
        link.symlink_to(outside.absolute())
        said = self.refused(self.source().project("acme"))
        self.assertIn("There is no page of acme", said)

    def test_hostile_document(self) -> None:
        for data in (b"[]", b"{", b'{"releases": 7}', b'{"releases": {"1": 7}}'):
            self.write(**{"json/acme": data})
            said = self.refused(self.source().project("acme"))
            self.assertIn("is not what bandersnatch writes", said)

    def test_damaged_page(self) -> None:
        self.write(**{"simple/acme/index.v1_json": b'{"files": '})
        said = self.refused(self.source().project("acme"))
        self.assertIn(f"index.v1_json' in {self.place} is damaged JSON", said)
