"""Archives are looked into before they are published; bombs and liars are refused."""

from __future__ import annotations

import bz2
import io
import struct
import tarfile
import zipfile
from pathlib import Path
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.errors import BadRequest
from pypicloud_tw.index.archive import Inspection, inspect
from pypicloud_tw.index.names import Filename
from tests.builders import bare_sdist, member, metadata, sdist, tar_of, wheel, zip_of

WHEEL = "acme-1.0-py3-none-any.whl"
SDIST = "acme-1.0.tar.gz"


def link(name: str) -> zipfile.ZipInfo:
    """A symbolic link in a zip, as Info-ZIP writes it; its content is the target."""
    info = zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0))
    info.create_system, info.external_attr = 3, 0o120777 << 16
    return info


class ArchiveCase(SynchronousTestCase):
    def look(self, filename: str, data: bytes) -> Inspection:
        path = Path(self.mktemp())
        path.write_bytes(data)
        return inspect(str(path), Filename.parse(filename, legacy=True), len(data))

    def refused(self, filename: str, data: bytes, reason: str) -> None:
        with self.assertRaises(BadRequest) as caught:
            self.look(filename, data)
        self.assertIn(reason, caught.exception.message)


class WheelTests(ArchiveCase):
    def test_metadata_is_given_as_it_stands(self) -> None:
        found = self.look(WHEEL, wheel())
        self.assertEqual(
            found, Inspection("acme", metadata(), ">=3.8", "A tool of Acme's")
        )

    def test_every_known_metadata_version(self) -> None:
        known_now = ("1.0", "1.1", "1.2", "2.0", "2.1", "2.2", "2.3", "2.4", "2.5")
        for known in (*known_now, "2.6", "2.10"):
            text = metadata().replace(b"2.1", known.encode(), 1)
            self.assertEqual(self.look(WHEEL, wheel(core_metadata=text)).name, "acme")

    def test_liars(self) -> None:
        other = metadata("other")
        self.refused(WHEEL, wheel(core_metadata=other), "Name is not the project")
        later = metadata(version="2.0")
        self.refused(WHEEL, wheel(core_metadata=later), "Version is not the one")
        self.refused(WHEEL, wheel(version="2.0"), "Version is not the one")
        self.refused(WHEEL, wheel("other"), ".dist-info folder names another project")
        for version in (b"9.9", b"3.0", b"", b"2", b"2.x", b"two"):
            unknown = metadata().replace(b"2.1", version, 1)
            self.refused(
                WHEEL, wheel(core_metadata=unknown), "version is missing or unknown"
            )

    def test_no_metadata_or_two(self) -> None:
        self.refused(WHEEL, zip_of([("acme/x.py", b"")]), "this one has 0")
        second = ("other-1.0.dist-info/METADATA", metadata())
        self.refused(WHEEL, wheel(extra=[second]), "this one has 2")

    def test_paths_that_escape(self) -> None:
        for name in (
            "../x",
            "a/../../x",
            "/etc/passwd",
            "..\\x",
            "C:/x",
            "\\\\host\\x",
        ):
            with self.assertRaises(BadRequest) as caught:
                self.look(WHEEL, wheel(extra=[(name, b"")]))
            self.assertIn("A path in the archive", caught.exception.message)

    def test_a_link_that_escapes(self) -> None:
        # Installers that honour links in a zip are few, and `unzip` is one.
        for target, reason in (
            (b"/etc/passwd", "is absolute"),
            (b"../../x", "leads out of it"),
            (b"a" * 5000, "no path"),
            (b"\xff", "no path"),
        ):
            self.refused(WHEEL, wheel(extra=[(link("acme/l"), target)]), reason)
        inside = wheel(extra=[(link("acme/l"), b"../acme/x.py")])
        self.assertEqual(self.look(WHEEL, inside).name, "acme")

    def test_two_members_of_one_name(self) -> None:
        twice = [("acme/a.py", b"1"), ("acme/a.py", b"2")]
        self.refused(WHEEL, wheel(extra=twice), "two members of one name")

    def test_another_number_of_members(self) -> None:
        """Some installers read as many as the end tells, others all there are."""
        good = wheel()
        at = good.rindex(b"PK\5\6")
        (count,) = struct.unpack_from("<H", good, at + 10)
        for place, told in ((8, count - 1), (10, count - 1), (10, count + 1), (10, 0)):
            bad = bytearray(good)
            struct.pack_into("<H", bad, at + place, told)
            self.refused(WHEEL, bytes(bad), "another number of members")

    def test_more_members_than_the_end_can_tell(self) -> None:
        """Then the record of ZIP64 tells them, and the end 65,535."""
        many = [(f"acme/{number}", b"") for number in range(0x10000)]
        self.assertEqual(self.look(WHEEL, wheel(extra=many)).name, "acme")

    def test_bytes_around(self) -> None:
        good = wheel()
        for data in (good + good, b"#!/bin/sh\n" + good, good + b"x"):
            self.refused(WHEEL, data, "before or behind the archive")
        buffer = io.BytesIO(good)
        with zipfile.ZipFile(buffer, "a") as archive:
            archive.comment = b"built by acme"
        self.assertEqual(self.look(WHEEL, buffer.getvalue()).name, "acme")

    def test_bomb(self) -> None:
        self.refused(WHEEL, wheel(extra=[("z", bytes(129 * 2**20))]), "archive bomb")

    def test_metadata_without_end(self) -> None:
        endless = metadata() + b"\n" + bytes(17 * 2**20)
        self.refused(WHEEL, wheel(core_metadata=endless), "longer than 2 MiB")

    def test_no_archive(self) -> None:
        for data in (b"", b"junk", wheel()[:-7], sdist()):
            self.refused(WHEEL, data, "cannot be opened as the archive")

    @settings(max_examples=60)
    @given(st.data())
    def test_any_damage_is_refused_or_harmless(self, data: st.DataObject) -> None:
        good = bytearray(wheel())
        for _ in range(data.draw(st.integers(1, 4))):
            good[data.draw(st.integers(0, len(good) - 1))] = data.draw(
                st.integers(0, 255)
            )
        try:
            self.look(WHEEL, bytes(good))
        except BadRequest as e:
            self.assertTrue(e.message)


class SdistTests(ArchiveCase):
    def test_its_metadata_is_read_and_not_served(self) -> None:
        found = self.look(SDIST, sdist())
        self.assertEqual(found, Inspection("acme", None, ">=3.8", "A tool of Acme's"))

    def test_cut_short_or_damaged_anywhere(self) -> None:
        noise = member("acme-1.0/noise"), bytes(Random(1).randbytes(3000))
        data = tar_of([(member("acme-1.0/PKG-INFO"), metadata()), noise])
        for length in range(1, len(data), 97):
            self.refused(SDIST, data[:-length], "cannot be opened as the archive")
        for at in (100, len(data) // 2, len(data) - 6):
            broken = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
            self.refused(SDIST, broken, "cannot be opened as the archive")

    def test_no_pkg_info(self) -> None:
        found = self.look(SDIST, bare_sdist())
        self.assertEqual((found.name, found.metadata), (None, None))
        (shortfall,) = found.shortfalls
        self.assertIn("has a PKG-INFO in its top folder", shortfall)

    def test_what_escapes(self) -> None:
        for bad in (
            member("acme-1.0/../../x"),
            member("/x"),
            member("acme-1.0/l", type=tarfile.SYMTYPE, linkname="../../x"),
            member("acme-1.0/l", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
            member("acme-1.0/l", type=tarfile.LNKTYPE, linkname="../x"),
        ):
            self.refused(SDIST, tar_of([(bad, b"")]), "A path in the archive")

    def test_what_escapes_through_links(self) -> None:
        # As text each path stays inside; unpacked one after the other they do not.
        here = member("acme-1.0/here", type=tarfile.SYMTYPE, linkname=".")
        up = member("acme-1.0/here/up", type=tarfile.SYMTYPE, linkname="../..")
        inside = member("acme-1.0/here/x")
        onto = member("acme-1.0/here")
        hard = member("acme-1.0/x", type=tarfile.LNKTYPE, linkname="acme-1.0/here/x")
        odd = member("acme-1.0/./here/x")
        for second in (up, inside, onto, hard, odd):
            data = tar_of([(here, b""), (second, b"")])
            self.refused(SDIST, data, "leads through a symbolic link")

    def test_a_link_inside_is_fine(self) -> None:
        link = member("acme-1.0/a/l", type=tarfile.SYMTYPE, linkname="../README")
        pkg_info = (member("acme-1.0/PKG-INFO"), metadata())
        self.assertEqual(self.look(SDIST, tar_of([(link, b""), pkg_info])).name, "acme")

    def test_a_device(self) -> None:
        data = tar_of([(member("acme-1.0/d", type=tarfile.CHRTYPE), b"")])
        self.refused(SDIST, data, "a device or a pipe")

    def test_a_header_that_unpacks_to_a_gigabyte(self) -> None:
        bomb = member("acme-1.0/x", pax_headers={"comment": "0" * 3 * 2**20})
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz", format=tarfile.PAX_FORMAT) as t:
            t.addfile(bomb)
        self.refused(SDIST, buffer.getvalue(), "overlong header")

    def test_bomb(self) -> None:
        data = tar_of([(member("acme-1.0/zeros"), bytes(129 * 2**20))])
        self.refused(SDIST, data, "archive bomb")

    def test_another_compression_under_the_name(self) -> None:
        pkg_info = (member("acme-1.0/PKG-INFO"), metadata())
        self.refused(SDIST, tar_of([pkg_info], bz2.compress), "cannot be opened")
        self.assertEqual(
            self.look("acme-1.0.tar.bz2", tar_of([pkg_info], bz2.compress)).name, "acme"
        )

    def test_old_formats(self) -> None:
        zipped = zip_of([("acme-1.0/PKG-INFO", metadata())])
        self.assertEqual(self.look("acme-1.0.zip", zipped).name, "acme")
        egg = zip_of([("EGG-INFO/PKG-INFO", metadata())])
        self.assertEqual(self.look("acme-1.0-py2.7.egg", egg).name, "acme")
