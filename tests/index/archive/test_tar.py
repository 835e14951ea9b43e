"""Source archives are taken only where all installers unpack the same out of them."""

from __future__ import annotations

import bz2
import io
import lzma
import tarfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.errors import BadRequest
from pypicloud_tw.index.archive import Inspection, inspect
from pypicloud_tw.index.archive.tar_format import members
from pypicloud_tw.index.archive.unpacked import unpack
from pypicloud_tw.index.names import Filename
from tests.builders import gzipped, metadata, zip_of
from tests.tars import (
    END,
    GNU,
    OLD,
    PKG_INFO,
    TOP,
    entry,
    long_name,
    pax,
    record,
    source,
)

FILE, LINK = TOP + b"file", TOP + b"link"
GOOD, EVIL = entry(FILE, b"good"), entry(TOP + b"evil", b"evil")


class TarCase(SynchronousTestCase):
    def look(self, data: bytes, filename: str = "acme-1.0.tar.gz") -> Inspection:
        path = Path(self.mktemp())
        path.write_bytes(data)
        return inspect(str(path), Filename.parse(filename, legacy=True), len(data))

    def fit(self, data: bytes, filename: str = "acme-1.0.tar.gz") -> None:
        expected = Inspection("acme", None, ">=3.8", "A tool of Acme's")
        self.assertEqual(self.look(data, filename), expected)

    def refused(self, data: bytes, reason: str) -> None:
        with self.assertRaises(BadRequest) as caught:
            self.look(data)
        self.assertIn(reason, caught.exception.message)
        self.assertTrue(caught.exception.message.isprintable())


class TakenTests(TarCase):
    """What is in real archives, and unpacked alike by pip and by uv."""

    def test_plain_members(self) -> None:
        for parts in (
            [GOOD, EVIL],
            [entry(TOP, kind=b"5"), entry(TOP + b"d/", kind=b"5"), GOOD],
            [entry(FILE, b"old", b"\0", magic=OLD), entry(TOP + b"x", b"7", b"7")],
            [entry(b"file", b"x", prefix=b"acme-1.0")],
            [entry(FILE, b"x", magic=GNU), entry(FILE + b"2", b"x", magic=GNU)],
            [entry(TOP + b"./a"), entry(TOP + b"/b")],
            [GOOD, GOOD],  # as Cargo.lock in ruff 0.0.100
        ):
            self.fit(source(*parts))

    def test_numbers(self) -> None:
        for odd in (
            entry(FILE, b"good", size=b"\x80" + bytes(10) + b"\x04"),
            entry(FILE, b"good", size=b"          4 "),
            entry(FILE, b"good", mtime=b"\xff" * 12),
            entry(FILE, b"good", uid=b"\x80" + bytes(3) + b"\x7f\0\0\0"),
            entry(FILE, b"good", uid=bytes(8)),
        ):
            self.fit(source(odd))

    def test_extended_headers(self) -> None:
        for parts in (
            [pax((b"path", FILE), (b"mtime", b"1.5")), entry(TOP + b"cut", b"good")],
            [pax((b"size", b"4")), GOOD],
            [long_name(FILE), entry(TOP + b"cut", b"good")],
            [
                long_name(b"file", b"K"),
                long_name(LINK),
                entry(TOP + b"cut", kind=b"2", link=b"cut"),
                GOOD,
            ],
            [pax((b"comment", b"0" * 40), kind=b"g"), GOOD],
        ):
            self.fit(source(*parts))

    def test_links(self) -> None:
        for kind, link, target in (
            (b"1", LINK, FILE),
            (b"1", TOP + b"a/b", TOP + b"./file"),
            (b"2", LINK, b"file"),
            (b"2", LINK, b"nowhere"),
            (b"2", TOP + b"a/b/c", b"../../file"),
            (b"2", TOP + b"a/b", b"./../file"),
        ):
            self.fit(source(GOOD, entry(link, b"", kind, target)))

    def test_ends(self) -> None:
        for end in (END, bytes(1500), bytes(10_752), bytes(2**20)):
            self.fit(source(GOOD, end=end))
        self.fit(source(GOOD) + bytes(100))

    def test_every_packing(self) -> None:
        plain = PKG_INFO + GOOD + END
        for suffix, data in (
            (".tgz", gzipped(plain)),
            (".tar", plain),
            (".tar.bz2", bz2.compress(plain)),
            (".tar.xz", lzma.compress(plain)),
        ):
            self.fit(data, "acme-1.0" + suffix)
            for other in (b"", plain[:600], gzipped(plain)[:-5], b"\x1f\x8bjunk"):
                with self.assertRaises(BadRequest) as caught:
                    self.look(other, "acme-1.0" + suffix)
                self.assertTrue(caught.exception.message)

    def test_the_name_of_the_top_folder_is_free(self) -> None:
        data = entry(b"Acme_1/PKG-INFO", metadata()) + END
        self.fit(gzipped(data))

    def test_a_pkg_info_below_is_another(self) -> None:
        egg_info = entry(TOP + b"acme.egg-info/PKG-INFO", metadata("other"))
        self.fit(source(egg_info))


class RefusedTests(TarCase):
    def test_what_follows_the_end(self) -> None:
        for data in (
            source(GOOD, END, EVIL),
            source(GOOD, bytes(512), EVIL),
            source(GOOD, end=END + b"x"),
        ):
            self.refused(data, "bytes behind the archive's end")
        for rest in (b"x", source(EVIL), gzipped(b""), bytes(70_000) + b"x"):
            self.refused(source(GOOD) + rest, "bytes behind the compressed archive")
        parts = gzipped(PKG_INFO + GOOD) + gzipped(EVIL + END)
        self.refused(parts, "compressed in several parts")

    def test_no_end(self) -> None:
        for end in (b"", bytes(512), bytes(1000)):
            self.refused(source(GOOD, end=end), "does not end as a tar does")
        self.refused(gzipped(b""), "does not end as a tar does")
        self.refused(gzipped(END), "The archive is empty")

    def test_headers_that_end_the_archive_for_some(self) -> None:
        wrong_sum = entry(FILE, b"x", checksum=lambda header: 1)
        self.refused(source(GOOD, wrong_sum, EVIL), "its checksum differs")
        signed = entry(
            TOP + "é".encode(),
            checksum=lambda header: sum(b - 256 * (b > 127) for b in header),
        )
        self.refused(source(signed, EVIL), "its checksum differs")
        for odd in (
            entry(FILE, b"x", uid=b"me\0\0\0\0\0\0"),
            entry(FILE, b"x", mtime=b"-1\0\0\0\0\0\0\0\0\0\0"),
            entry(FILE, b"good", size=b"0000000_004\0"),
            entry(FILE, b"good", size=b"0o4\0\0\0\0\0\0\0\0\0"),
            entry(FILE, b"", size=bytes(12)),
            entry(FILE, b"", size=b"\x80\1" + bytes(10)),
            entry(FILE, b"", size=b"\xff" * 12),
        ):
            self.refused(source(odd, EVIL), "a number in it is none")

    def test_two_names_or_sizes_of_one_member(self) -> None:
        inner = entry(FILE, EVIL)
        for parts, reason in (
            ([pax((b"size", b"0")), inner], "two sizes of 'acme-1.0/file'"),
            ([pax((b"size", b"1024")), entry(FILE), EVIL], "two sizes"),
            ([pax((b"path", FILE), (b"path", LINK)), EVIL], "tells something twice"),
            ([pax((b"path", FILE)), pax((b"path", LINK)), EVIL], "several extended"),
            ([pax((b"path", FILE)), long_name(LINK), EVIL], "several extended"),
            ([long_name(LINK), pax((b"path", FILE)), EVIL], "several extended"),
            ([long_name(LINK), long_name(FILE), EVIL], "several extended"),
            ([pax((b"path", FILE)), pax(kind=b"g"), EVIL], "several extended"),
            ([pax((b"path", FILE), kind=b"g"), EVIL], "renames or resizes"),
            ([pax((b"size", b"0"), kind=b"g"), inner], "renames or resizes"),
            ([long_name(FILE + b"\0x"), EVIL], "not the same on all systems"),
            ([entry(FILE, prefix=b"acme-1.0", magic=GNU)], "a prefix that is not"),
            ([entry(FILE, prefix=b"acme-1.0", magic=OLD)], "a prefix that is not"),
            ([entry(b"pax", b"99 path=x\n", b"x"), EVIL], "a damaged pax header"),
            ([entry(b"pax", b"7 a=b\n", b"x"), EVIL], "a damaged pax header"),
            ([entry(b"pax", b"6 a=b\njunk", b"x"), EVIL], "a damaged pax header"),
            ([pax((b"path", FILE))], "belongs to no member"),
            ([pax((b"comment", b"x"), kind=b"g")], "belongs to no member"),
        ):
            self.refused(source(*parts), reason)

    def test_kinds_that_not_all_unpack(self) -> None:
        for kind in (b"3", b"4", b"6"):
            self.refused(source(entry(FILE, kind=kind)), "a device or a pipe")
        for kind in (b"V", b"X", b"M", b"D", b"N", b"A", b"\xff"):
            self.refused(source(entry(FILE, kind=kind)), "no file, folder or link")

    def test_sparse_files(self) -> None:
        one = [
            (b"GNU.sparse.major", b"1"),
            (b"GNU.sparse.minor", b"0"),
            (b"GNU.sparse.name", FILE),
            (b"GNU.sparse.realsize", b"4"),
        ]
        for parts in (
            [entry(FILE, kind=b"S", magic=GNU)],
            [pax(*one), entry(TOP + b"GNUSparseFile.0/file", b"0\n".ljust(512, b"\0"))],
            [pax((b"GNU.sparse.map", b"0,4")), GOOD],
            [pax((b"GNU.sparse.size", b"4"), kind=b"g"), GOOD],
        ):
            self.refused(source(*parts), "a sparse file")

    def test_content_that_some_take_for_members(self) -> None:
        for kind, link in ((b"5", b""), (b"1", FILE), (b"2", b"file")):
            self.refused(
                source(GOOD, entry(LINK, EVIL, kind, link)), "a link with content"
            )
        for odd in (entry(FILE + b"/", b"x"), entry(FILE + b"/", EVIL, b"\0")):
            self.refused(source(odd), "ends in a slash")
        cut = entry((TOP + b"d" * 91)[:99] + b"/", b"x", b"\0")
        self.refused(source(long_name(TOP + b"d" * 91 + b"e"), cut), "ends in a slash")

    def test_members_in_the_way_of_others(self) -> None:
        hard = entry(LINK, kind=b"1", link=FILE)
        for parts, reason in (
            ([GOOD, entry(FILE, b"evil")], "with other content"),
            ([GOOD, hard, entry(LINK, b"evil")], "two members of one name"),
            ([GOOD, entry(FILE + b"/", kind=b"5")], "two members of one name"),
            ([GOOD, entry(FILE + b"/below", b"x")], "below what is no folder"),
            ([entry(FILE + b"/below", b"x"), GOOD], "below what is no folder"),
            ([entry(LINK + b"/x"), entry(LINK, kind=b"2", link=b"file")], "through a"),
            ([GOOD, entry(TOP + b"./file", b"evil")], "with other content"),
        ):
            self.refused(source(*parts), reason)

    def test_links(self) -> None:
        deep, up = TOP + b"a/b/c", entry(TOP + b"a/up", kind=b"2", link=b"b")
        for link, reason in (
            (entry(LINK, kind=b"2", link=b"../file"), "leads out of it"),
            (entry(LINK, kind=b"2", link=b"../other/x"), "leads out of it"),
            (entry(deep, kind=b"2", link=b"../../../x"), "leads out of it"),
            (entry(LINK, kind=b"2", link=b"a/up/../x"), "leads out of it"),
            (entry(LINK, kind=b"2", link=b"/etc/passwd"), "absolute"),
            (entry(LINK, kind=b"2", link=b""), "not the same on all systems"),
            (entry(LINK, kind=b"1", link=b"/etc/passwd"), "absolute"),
            (entry(LINK, kind=b"1", link=TOP + b"later"), "stands before it"),
            (entry(LINK, kind=b"1", link=b"file"), "stands before it"),
            (entry(LINK, kind=b"1", link=TOP + b"a"), "stands before it"),
        ):
            folder = entry(TOP + b"a/", kind=b"5")
            self.refused(source(GOOD, folder, up, link, entry(TOP + b"later")), reason)

    def test_paths(self) -> None:
        for name, reason in (
            (b"./acme-1.0/x", "begins with './'"),
            (b".", "begins with './'"),
            (TOP + b"../../x", "leads out of it"),
            (b"/acme-1.0/x", "absolute"),
            (TOP + b"a\\b", "not the same on all systems"),
            (TOP + b"a\x01b", "has a control character"),
            (TOP + "a\u200bb".encode(), "has a control character"),
            (TOP + b"\xe9", "not the same on all systems"),
            (b"", "not the same on all systems"),
        ):
            self.refused(source(entry(name, b"x")), reason)


class TopTests(TarCase):
    """What pip or uv alone would install falls short, and is taken on request."""

    def test_no_or_several_top_folders(self) -> None:
        info = metadata()
        for data in (
            entry(b"PKG-INFO", info),
            entry(b"a/PKG-INFO", info) + entry(b"b/PKG-INFO", info),
            entry(b"a/PKG-INFO", info) + entry(b"setup.py", b"x"),
            entry(b"a/PKG-INFO", info) + entry(b"._a", b"x"),
        ):
            found = self.look(gzipped(data + END))
            [said] = found.shortfalls
            self.assertIn("exactly one top folder", said)
            self.assertIsNone(found.name)

    def test_zips(self) -> None:
        for names, tops in (
            (["PKG-INFO", "hexdump.py"], "exactly one top folder"),
            (["a/PKG-INFO", "b/x"], "exactly one top folder"),
            (["a/PKG-INFO", "a/"], ""),
        ):
            data = zip_of([(n, b"" if n[-1] == "/" else metadata()) for n in names])
            found = self.look(data, "acme-1.0.zip")
            self.assertIn(tops, " ".join(found.shortfalls))
            self.assertEqual(found.name, None if tops else "acme")

    def test_a_pkg_info_that_is_none(self) -> None:
        for parts in (
            entry(TOP + b"PKG-INFO", kind=b"2", link=b"x"),
            entry(TOP + b"PKG-INFO/", kind=b"5"),
            entry(TOP + b"pkg-info", metadata()),
        ):
            [said] = self.look(gzipped(parts + END)).shortfalls
            self.assertIn("a PKG-INFO in its top folder", said)


class BoundTests(TarCase):
    def test_extended_headers(self) -> None:
        big = [(b"k%d" % i, b"v" * 60_000) for i in range(300)]
        for parts, reason in (
            ([pax((b"k", b"v" * 2**16)), GOOD], "overlong header"),
            (
                [pax(one) + entry(TOP + one[0]) for one in big],
                "overlong header",
            ),
            ([pax((b"k", b"v" * 2**16), kind=b"g"), GOOD], "overlong header"),
            ([pax((b"k", b"v"), kind=b"g")] * 17, "more than 16 global headers"),
            ([pax((b"k", b"v" * 9_000), kind=b"g")] * 8, "overlong header"),
            ([long_name(TOP + b"n" * 5_000), GOOD], "overlong header"),
            ([long_name(TOP + b"n" * 2_000), GOOD], "longer than 1024"),
        ):
            self.refused(source(*parts), reason)

    def test_zeros(self) -> None:
        self.refused(source(end=bytes(2 * 2**20)), "more than 1 MiB of zeros")

    def test_every_byte_counts_for_the_volume(self) -> None:
        """Headers, too, of which a member without content may have many."""
        header = pax((b"k", b"v" * 60_000))
        parts = [header + entry(TOP + b"%d" % i) for i in range(270)]
        self.fit(source(*parts))
        self.refused(source(entry(TOP + b"d/", kind=b"5") * 140_000), "archive bomb")

    def test_metadata(self) -> None:
        info = metadata() + b"\n" + b"x" * 2 * 2**20
        data = entry(TOP + b"PKG-INFO", info) + END
        self.refused(gzipped(data), "longer than 2 MiB")

    def test_paths_together(self) -> None:
        start, link = long_name(b"t" * 1_000, b"K"), entry(b"cut", kind=b"2", link=b"t")
        names = [long_name(TOP + b"%01000d" % i) for i in range(16_800)]
        data = b"".join([PKG_INFO, *(start + name + link for name in names), END])
        with self.assertRaises(BadRequest) as caught:
            self.look(data, "acme-1.0.tar")
        self.assertIn("paths in the archive are longer", caught.exception.message)


PARTS = (
    GOOD,
    EVIL,
    pax((b"path", FILE)),
    pax((b"size", b"4")),
    pax((b"size", b"512"), (b"path", LINK)),
    pax((b"comment", b"x"), kind=b"g"),
    long_name(LINK),
    long_name(b"file", b"K"),
    entry(LINK, kind=b"2", link=b"file"),
    entry(LINK, kind=b"1", link=FILE),
    entry(TOP + b"d/", kind=b"5"),
    entry(TOP + b"d/x", EVIL),
    bytes(512),
    entry(b"pax", record(b"path", FILE) + b"0", b"x"),
)


class OracleTests(SynchronousTestCase):
    @settings(max_examples=400)
    @given(
        st.lists(st.sampled_from(PARTS), max_size=6),
        st.lists(st.tuples(st.integers(0), st.integers(0, 255)), max_size=2),
        st.booleans(),
    )
    def test_what_is_taken_is_what_tarfile_reads(
        self, parts: list[bytes], changes: list[tuple[int, int]], summed: bool
    ) -> None:
        """A part, or a byte of one, may be any: then it is refused, or read alike."""
        data = bytearray(b"".join((PKG_INFO, *parts, END)))
        for at, byte in changes:
            begin = at % len(data) // 512 * 512
            data[at % len(data)] = byte
            if summed:
                block = data[begin : begin + 512]
                block[148:156] = b" " * 8
                data[begin + 148 : begin + 156] = b"%06o\0 " % sum(block)
        stream = unpack(io.BytesIO(data), "acme-1.0.tar", len(data))
        try:
            mine = [
                (member.name.rstrip("/"), member.kind, stream.read(member.size))
                for member in members(stream)
            ]
        except (BadRequest, EOFError):
            return
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            theirs = [
                (
                    info.name,
                    "0" if info.isreg() else info.type.decode(),
                    (info.isreg() and self.content(archive, info)) or b"",
                )
                for info in archive
            ]
        self.assertEqual(mine, theirs)

    def content(self, archive: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
        content = archive.extractfile(info)
        assert content is not None, "a file has content"
        return content.read()
