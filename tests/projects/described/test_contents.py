"""A look into files: what lies in them, and what was made to do harm."""

from __future__ import annotations

import io
import lzma
import tarfile
import zipfile
from bz2 import compress
from hashlib import sha256
from html import escape
from typing import Any
from urllib.parse import quote

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.errors import BadRequest, NotFound, StoreError, Unavailable
from pypicloud_tw.projects.described.contents import (
    LARGEST_TAR,
    FileContents,
)
from pypicloud_tw.projects.described.listing import (
    LONGEST_MEMBER,
    LONGEST_TEXT,
    MEMBERS,
    PATHS,
)
from pypicloud_tw.projects.described.values import Contents, MemberText
from pypicloud_tw.store.interfaces import ByteRange, IDownload
from pypicloud_tw.store.memory import MemoryStore
from pypicloud_tw.upstream.relay import LocatedFile
from tests import tars, zips
from tests.builders import gzipped, member, sdist, tar_of, wheel, zip_of
from tests.doubles import InlineOffload

WHEEL, SDIST = "acme-1.0-py3-none-any.whl", "acme-1.0.tar.gz"


class ContentsCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.offload = InlineOffload()
        self.store = MemoryStore(self.offload)
        self.looks = FileContents(self.offload)
        self.ranges: list[ByteRange | None] = []

    def file(self, filename: str, data: bytes, **more: Any) -> LocatedFile:
        """A file that lies in the store."""
        self.store.add(filename, data)

        async def open_it(part: ByteRange | None) -> IDownload:
            self.ranges.append(part)
            return await self.store.open(filename, byte_range=part)

        made = LocatedFile(
            filename, sha256(data).hexdigest(), len(data), open_it, filename
        )
        return evolve(made, **more)

    def look(self, file: LocatedFile, cursor: str | None = None) -> Contents:
        asked = Deferred.fromCoroutine(self.looks.contents(file, cursor))
        found: Contents = self.successResultOf(asked)
        return found

    def read(self, file: LocatedFile, path: str) -> MemberText:
        asked = Deferred.fromCoroutine(self.looks.member(file, path))
        found: MemberText = self.successResultOf(asked)
        return found

    def refused(self, kind: type[Exception], file: LocatedFile, path: str = "") -> str:
        looked = self.looks.member(file, path) if path else self.looks.contents(file)
        error = self.failureResultOf(Deferred.fromCoroutine(looked), kind)
        return str(error.value)

    def paths(self, file: LocatedFile) -> list[str]:
        return [one.path for one in self.look(file).members]


def many(count: int, name: str = "acme/some/folder/module_{}.py") -> bytes:
    """A wheel of so many members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(count):
            archive.writestr(name.format(number), b"")
    return buffer.getvalue()


class ZipTests(ContentsCase):
    def test_list(self) -> None:
        data = zip_of([("acme/b.py", b"bb"), ("acme/", b""), ("acme/a.py", b"a")])
        found = self.look(self.file(WHEEL, data))
        self.assertEqual((found.filename, found.total, found.unpacked), (WHEEL, 3, 3))
        self.assertIsNone(found.cursor)
        self.assertEqual(
            [(one.path, one.size, one.kind) for one in found.members],
            [("acme", 0, "folder"), ("acme/a.py", 1, "file"), ("acme/b.py", 2, "file")],
        )

    def test_every_kind_of_zip(self) -> None:
        for name in (WHEEL, "acme-1.0-py3.11.egg", "acme-1.0.zip"):
            self.assertEqual(self.paths(self.file(name, zip_of([("a", b"")]))), ["a"])

    def test_read(self) -> None:
        file = self.file(WHEEL, wheel(extra=[("acme/x.py", "é = 1\n".encode())]))
        found = self.read(file, "acme/x.py")
        self.assertEqual((found.text, found.size), ("é = 1\n", 7))
        self.assertEqual((found.filename, found.path), (WHEEL, "acme/x.py"))
        flags = found.is_text, found.partial, found.replaced
        self.assertEqual(flags, (True, False, False))

    def test_in_parts(self) -> None:
        file = self.file(WHEEL, many(1_201))
        first = self.look(file)
        self.assertEqual((len(first.members), first.total), (MEMBERS, 1_201))
        paths, cursor = [one.path for one in first.members], first.cursor
        while cursor is not None:
            part = self.look(file, cursor)
            paths += [one.path for one in part.members]
            cursor = part.cursor
        self.assertEqual(len(paths), 1_201)
        self.assertEqual(len(set(paths)), 1_201)
        self.assertEqual(self.offload.processed, ["list_zip"])

    def test_long_paths_make_small_parts(self) -> None:
        file = self.file(WHEEL, many(100, "x" * 900 + "{}"))
        self.assertEqual(len(self.look(file).members), PATHS // (2 * 901))

    def test_a_part_fits_into_a_page(self) -> None:
        """Whatever the paths are: each stands in it as text and in an address."""
        for letter in ("'", "<", "\U0001f600", "x"):
            file = self.file(WHEEL, many(300, letter * 200 + "{}"))
            members = self.look(file).members
            page = sum(200 + len(escape(one.shown).encode()) for one in members)
            page += sum(len(quote(one.path)) for one in members)
            self.assertLess(page, 90_000)

    def test_only_the_end_is_fetched(self) -> None:
        big = ("big.bin", bytes(3_000_000))
        file = self.file(WHEEL, stored(big, ("a", b"x")))
        self.look(file)
        self.assertEqual(self.read(file, "a").text, "x")
        read = sum(part.stop - part.start for part in self.ranges if part)
        self.assertNotIn(None, self.ranges)
        self.assertLess(read, 600_000)

    def test_cursors(self) -> None:
        file = self.file(WHEEL, wheel())
        for cursor in ("1", "-1", "x", "", "9" * 9, "\u0661"):
            asked = Deferred.fromCoroutine(self.looks.contents(file, cursor))
            error = self.failureResultOf(asked, BadRequest)
            self.assertIn("cursor", str(error.value))

    def test_what_is_not_there(self) -> None:
        file = self.file(WHEEL, zip_of([("acme/", b""), ("acme/a", b"")]))
        for path in ("acme", "acme/", "acme/b", "../acme/a", "x" * 5_000, "\0"):
            self.assertIn("no such file", self.refused(NotFound, file, path))

    def test_encrypted(self) -> None:
        file = self.file(WHEEL, zips.build([zips.Part("a", b"x", flags=1)]))
        self.assertIn("encrypted", self.refused(BadRequest, file))
        self.assertIn("encrypted", self.refused(BadRequest, file, "a"))

    def test_names_that_deceive(self) -> None:
        names = [b"../../etc/passwd", b"/etc/passwd", "a\u202egnp.py".encode(),
                 b"<script>alert(1)</script>", b"a\nb", b"C:\\x"]  # fmt: skip
        parts = [zips.Part(name, b"x", flags=zips.UTF8) for name in names]
        found = self.look(self.file(WHEEL, zips.build(parts)))
        self.assertEqual(found.total, 6)
        shown = [one.shown for one in found.members]
        self.assertIn("../../etc/passwd", shown)  # is told, and leads nowhere
        self.assertIn("a\ufffdgnp.py", shown)
        self.assertIn("a\ufffdb", shown)

    def test_two_of_one_name(self) -> None:
        twins = [zips.Part("a", b"x"), zips.Part("a", b"x"), zips.Part("a", b"yy")]
        file = self.file(WHEEL, zips.build(twins))
        self.assertEqual([one.size for one in self.look(file).members], [1, 2])
        self.assertEqual(self.read(file, "a").text, "x")

    def test_links(self) -> None:
        link = zipfile.ZipInfo("link")
        link.external_attr = 0o120777 << 16
        file = self.file(WHEEL, zip_of([(link, b"/etc/passwd")]))
        (one,) = self.look(file).members
        self.assertEqual(one.kind, "link")
        # Where it leads is its content, and nothing of ours is read for it.
        self.assertEqual(self.read(file, "link").text, "/etc/passwd")

    def test_a_bomb(self) -> None:
        file = self.file(WHEEL, zip_of([("zeros", b" " * 50_000_000)]))
        self.assertEqual(self.look(file).unpacked, 50_000_000)
        found = self.read(file, "zeros")
        self.assertTrue(found.partial)
        self.assertEqual(len(found.text), LONGEST_TEXT)

    def test_a_size_that_lies(self) -> None:
        lie = zips.Part("a", b"x" * 9, listed={"size": 2**31}, local={"size": 2**31})
        file = self.file(WHEEL, zips.build([lie]))
        self.assertIn("unpacks to other bytes", self.refused(BadRequest, file, "a"))

    def test_a_header_that_lies(self) -> None:
        for local in ({"name": b"b"}, {"method": 0}, {"packed": 1}):
            file = self.file(WHEEL, zips.build([zips.Part("a", b"x", local=local)]))
            self.assertIn("another name", self.refused(BadRequest, file, "a"))

    def test_a_header_behind_the_end(self) -> None:
        for header in (2**31, 10):
            part = zips.Part("a", b"x", listed={"header": header})
            file = self.file(WHEEL, zips.build([part]))
            self.refused(BadRequest, file, "a")

    def test_odd_packing(self) -> None:
        """A stream of empty blocks that is longer than what is fetched."""
        blocks = b"\0\0\0\xff\xff" * 60_000 + b"\3\0"
        file = self.file(WHEEL, zips.build([zips.Part("a", b"", packed=blocks)]))
        self.assertIn("damaged", self.refused(BadRequest, file, "a"))

    def test_no_zips(self) -> None:
        for data in (b"x", b"PK\5\6", wheel()[:-10], wheel()[:200], b"\0" * 10_000):
            self.refused(BadRequest, self.file(WHEEL, data))
            self.refused(BadRequest, self.file(WHEEL, data), "a")
        self.assertIn("empty", self.refused(BadRequest, self.file(WHEEL, b"")))

    def test_a_hundred_thousand_members(self) -> None:
        found = self.look(self.file(WHEEL, many(100_000)))
        self.assertEqual((found.total, len(found.members)), (100_000, MEMBERS))
        self.assertEqual(found.cursor, "1")
        # The second time with all of the directory.
        self.assertEqual(self.offload.processed, ["list_zip", "list_zip"])

    def test_many_members_of_no_name(self) -> None:
        end = {"count": 2**16 - 2, "here": 2**16 - 2}
        file = self.file(WHEEL, zips.build([zips.Part("a", b"")], end=end))
        self.assertIn("another number", self.refused(BadRequest, file))


class TextTests(ContentsCase):
    def text(self, data: bytes) -> MemberText:
        return self.read(self.file(WHEEL, zip_of([("a", data)])), "a")

    def test_binary(self) -> None:
        for data in (b"\x7fELF\0\1", bytes(range(256)), b"\xff\xfe" * 40, b"\x89" * 9):
            found = self.text(data)
            self.assertEqual((found.is_text, found.text), (False, ""))
            self.assertEqual(found.size, len(data))

    def test_other_encodings(self) -> None:
        found = self.text("# Autor: Jos\xe9, all the rest is ASCII".encode("latin-1"))
        self.assertTrue(found.is_text)
        self.assertTrue(found.replaced)
        self.assertIn("Jos\ufffd", found.text)

    def test_what_deceives_is_marked(self) -> None:
        found = self.text("if a\u202e: # \u2066 b\r\n\tx\x1b[2J".encode())
        self.assertEqual(found.text, "if a\ufffd: # \ufffd b\n\tx\ufffd[2J")
        self.assertFalse(found.replaced)

    def test_long(self) -> None:
        found = self.text(b"word\n" * 100_000)
        self.assertTrue(found.partial)
        self.assertLessEqual(len(found.text), LONGEST_TEXT)
        self.assertEqual(found.size, 500_000)

    def test_cut_within_a_character(self) -> None:
        for shift in range(4):
            data = b"x" * shift + "\U0001f600".encode() * LONGEST_MEMBER
            found = self.text(data)
            self.assertFalse(found.replaced, shift)
            self.assertTrue(found.is_text)

    def test_markup_takes_more_room(self) -> None:
        found = self.text(b"<" * 60_000)
        self.assertEqual((len(found.text), found.partial), (LONGEST_TEXT // 4, True))

    def test_empty(self) -> None:
        found = self.text(b"")
        self.assertEqual((found.text, found.is_text, found.partial), ("", True, False))

    def test_byte_order_mark(self) -> None:
        self.assertEqual(self.text(b"\xef\xbb\xbfx").text, "x")


class TarTests(ContentsCase):
    def test_list_and_read(self) -> None:
        top = "acme-1.0"
        members = [
            (member(top, type=tarfile.DIRTYPE), b""),
            (member(f"{top}/b.py"), b"bb"),
            (member(f"{top}/link", type=tarfile.SYMTYPE, linkname="b.py"), b""),
            (member(f"{top}/hard", type=tarfile.LNKTYPE, linkname=f"{top}/b.py"), b""),
        ]
        for name, pack in (
            (SDIST, None), ("acme-1.0.tar", bytes), ("acme-1.0.tar.bz2", bz2),
            ("acme-1.0.tar.xz", xz), ("acme-1.0.tgz", None),
        ):  # fmt: skip
            data = tar_of(members) if pack is None else tar_of(members, pack)
            file = self.file(name, data)
            self.assertEqual(
                [(one.path, one.size, one.kind, one.target)
                 for one in self.look(file).members],
                [
                    (top, 0, "folder", ""),
                    (f"{top}/b.py", 2, "file", ""),
                    (f"{top}/hard", 0, "link", f"{top}/b.py"),
                    (f"{top}/link", 0, "link", "b.py"),
                ],
            )  # fmt: skip
            self.assertEqual(self.read(file, f"{top}/b.py").text, "bb")
            for path in (top, f"{top}/link", f"{top}/hard", "b.py"):
                self.assertIn("no such file", self.refused(NotFound, file, path))

    def test_fetched_once_for_all_parts(self) -> None:
        members = [(member(f"a/{number}"), b"") for number in range(300)]
        file = self.file(SDIST, tar_of(members))
        self.assertEqual(self.look(file).cursor, "1")
        self.assertEqual(len(self.look(file, "1").members), 100)
        self.assertEqual(self.ranges, [None])

    def test_hostile_names(self) -> None:
        data = tars.source(tars.entry(b"../x"), tars.entry(b"/abs", b"x"),
                           tars.entry("a\u202eb".encode()))  # fmt: skip
        file = self.file(SDIST, data)
        shown = [one.shown for one in self.look(file).members]
        self.assertIn("../x", shown)
        self.assertIn("a\ufffdb", shown)
        self.assertEqual(self.read(file, "/abs").text, "x")

    def test_twins(self) -> None:
        twins = [tars.entry(b"a/b", b"x"), tars.entry(b"a/b", b"x")]
        file = self.file(SDIST, tars.source(*twins))
        self.assertEqual(self.paths(file).count("a/b"), 1)
        self.assertEqual(self.read(file, "a/b").text, "x")

    def test_devices(self) -> None:
        file = self.file(SDIST, tars.source(tars.entry(b"a/dev", kind=b"3")))
        self.assertIn("device", self.refused(BadRequest, file))

    def test_a_bomb(self) -> None:
        file = self.file(SDIST, tar_of([(member("a/zeros"), bytes(80_000_000))]))
        self.assertIn("bomb", self.refused(BadRequest, file))

    def test_no_tars(self) -> None:
        for data in (b"x", sdist()[:-20], sdist()[:40], gzipped(b"x" * 700)):
            self.refused(BadRequest, self.file(SDIST, data))

    def test_too_large(self) -> None:
        file = self.file(SDIST, sdist(), size=LARGEST_TAR + 1)
        self.assertIn("200 MiB", self.refused(BadRequest, file))
        self.assertIn("200 MiB", self.refused(BadRequest, file, "a"))
        self.assertEqual(self.ranges, [])

    def test_other_bytes(self) -> None:
        file = self.file(SDIST, sdist(), sha256="0" * 64)
        self.assertIn("not its own", self.refused(StoreError, file))

    def test_other_kinds(self) -> None:
        for name in ("acme-1.0.exe", "acme-1.0.tar.Z", "acme-1.0.rpm"):
            file = self.file(name, b"x")
            self.assertIn("download the file", self.refused(BadRequest, file))
            self.assertIn("download the file", self.refused(BadRequest, file, "a"))


def bz2(data: bytes) -> bytes:
    return compress(data)


def xz(data: bytes) -> bytes:
    return lzma.compress(data, preset=0)


def stored(*members: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return buffer.getvalue()


class TurnTests(ContentsCase):
    def test_a_few_at_a_time(self) -> None:
        waiting: list[Deferred[Any]] = []

        async def open_it(part: ByteRange | None) -> IDownload:
            waiting.append(Deferred())
            found: IDownload = await waiting[-1]
            return found

        def look(number: int) -> Deferred[Contents]:
            file = LocatedFile(SDIST, f"{number}", 10, open_it)
            return Deferred.fromCoroutine(self.looks.contents(file))

        asked = [look(number) for number in range(34)]
        self.assertEqual(len(waiting), 2)
        refused = look(99)
        error = self.failureResultOf(refused, Unavailable)
        self.assertIn("looks into files", str(error.value))
        waiting[0].errback(StoreError("It is away."))
        self.failureResultOf(asked[0], StoreError)
        self.assertEqual(len(waiting), 3)
        for one in asked:
            one.addErrback(lambda _: None)

    def test_who_ask_for_the_same_wait_together(self) -> None:
        waiting: Deferred[Any] = Deferred()

        async def open_it(part: ByteRange | None) -> IDownload:
            found: IDownload = await waiting
            return found

        self.store.add("key", wheel())
        file = LocatedFile(WHEEL, "0" * 64, len(wheel()), open_it)
        asked = [Deferred.fromCoroutine(self.looks.contents(file)) for _ in range(50)]
        opened = Deferred.fromCoroutine(self.store.open("key"))
        waiting.callback(self.successResultOf(opened))
        totals = {self.successResultOf(one).total for one in asked}
        self.assertEqual(totals, {3})
