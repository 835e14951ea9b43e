"""Zips are taken only where every reader finds the same members in them."""

from __future__ import annotations

import io
import struct
import zipfile
from zlib import crc32

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.errors import BadRequest
from pypicloud_tw.index.archive.bounds import MAX_MEMBERS
from pypicloud_tw.index.archive.unzip import read_content
from pypicloud_tw.index.archive.zips import check_contents, read_members
from tests.builders import zip_of
from tests.zips import (
    FULL16,
    FULL32,
    UTF8,
    Part,
    build,
    deflate,
    described,
    extra,
    sizes,
)

A, B = Part("a.py", b"good = 1\n" * 9), Part("b/c.py", b"print()\n" * 9)
EVIL = Part("a.py", b"evil = 1\n" * 9)
STORED = evolve(A, method=0)
WIDE = Part("a.py", A.data, local={"packed": FULL32, "size": FULL32})
BOTH = (len(A.data), len(A.content))


def contents(data: bytes) -> dict[str, bytes]:
    """Read all members, or be refused."""
    file = io.BytesIO(data)
    members = read_members(file, len(data))
    check_contents(file, members)
    return {member.name: read_content(file, member) for member in members}


def unicode_path(name: bytes, of: bytes = b"a.py") -> bytes:
    """Info-ZIP's second spelling of a name."""
    return extra(0x7075, b"\1" + struct.pack("<L", crc32(of)) + name)


class ZipCase(SynchronousTestCase):
    def refused(self, data: bytes, reason: str, about: object = None) -> None:
        try:
            found = contents(data)
        except BadRequest as e:
            self.assertIn(reason, e.message, about)
            self.assertTrue(e.message.endswith("."), e.message)
            self.assertLess(len(e.message), 600)
        else:
            self.fail(f"{about}: taken, with {sorted(found)}")

    def taken(self, data: bytes, about: object = None) -> None:
        try:
            found = contents(data)
        except BadRequest as e:
            self.fail(f"{about}: {e.message}")
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
            self.assertEqual(found, {name: archive.read(name) for name in names}, about)


class TakenTests(ZipCase):
    """What all installers read alike, however odd."""

    def test_members(self) -> None:
        for part in (
            A,
            STORED,
            evolve(A, flags=0x2),  # packed with more effort
            evolve(A, flags=0x6, local={"flags": 0}),
            evolve(A, flags=UTF8),
            evolve(A, local={"flags": UTF8}),
            Part("caf\xe9.py", b"x", flags=UTF8),
            evolve(A, flags=0xB790),  # bits that nobody reads
            Part("b/", method=0),
            Part("b/"),
            Part("./a.py", b"x"),
            Part("x" * 1024, b"x"),
            evolve(A, listed={"comment": b"PK\1\2"}),
            evolve(A, local={"extra": extra(0x5455, b"12345")}),
            evolve(A, local={"extra": b"\0\0\0"}, listed={"extra": b"\0"}),
            evolve(A, flags=UTF8, listed={"extra": unicode_path(b"a.py")}),
        ):
            self.taken(build([part, B]), part)

    def test_sizes_in_64_bits(self) -> None:
        for part in (
            evolve(WIDE, local={**WIDE.local, "extra": sizes(*BOTH)}),
            evolve(A, local={"extra": sizes(*BOTH)}),  # protobuf, selenium
            evolve(A, listed={"size": FULL32, "extra": sizes(BOTH[0])}),
            evolve(A, listed={"size": FULL32, "packed": FULL32, "extra": sizes(*BOTH)}),
            evolve(A, listed={"header": FULL32, "extra": sizes(0)}),
            evolve(A, listed={"extra": sizes(*BOTH, 0)}),
        ):
            self.taken(build([part, B]), part)

    def test_sizes_behind_the_data(self) -> None:
        for layout in ("<LLL", "<4sLLL", "<LQQ", "<4sLQQ"):
            self.taken(build([described(A, layout), B]), layout)
        true = {"crc": crc32(A.data), "size": BOTH[0], "packed": BOTH[1]}
        told = evolve(A, local=true)
        self.taken(build([described(told), B]))
        wide = {"packed": FULL32, "size": FULL32, "extra": sizes(0, 0)}
        self.taken(build([described(evolve(A, local=wide), "<4sLQQ"), B]))

    def test_ends(self) -> None:
        self.taken(build([A, B], comment=b"built by acme"))
        self.taken(build([A, B], end64={}))
        self.taken(build([A, B], end64={}, end={"here": FULL16, "count": FULL16}))
        full = {
            "disk": FULL16, "start_disk": FULL16, "here": FULL16, "count": FULL16,
            "length": FULL32, "start": FULL32,
        }  # fmt: skip
        self.taken(build([A, B], end64={}, end=full))
        self.taken(build([]))

    def test_zeros_behind_the_end(self) -> None:
        for count in (1, 2, 4096):
            self.taken(build([A, B], last=bytes(count)), count)
        self.taken(build([A, B], end64={}, comment=b"x", last=bytes(60)))
        self.refused(build([A, B], last=bytes(4097)), "before or behind")
        self.refused(build([A, B], last=bytes(2**17)), "no zip's end")

    def test_a_file_twice(self) -> None:
        packed = evolve(A, method=0)
        for parts in ([A, A], [A, B, A, A], [A, packed], [Part("e"), Part("e")]):
            self.taken(build(parts), parts)
            names = [part.name for part in parts]
            self.assertEqual(list(contents(build(parts))), list(dict.fromkeys(names)))

    def test_a_zip_in_a_zip(self) -> None:
        inner = build([EVIL, B], comment=b"inner")
        self.taken(build([A, Part("b.zip", inner, method=0)]))

    def test_a_folder_twice(self) -> None:
        folder = Part("b/", method=0)
        self.assertEqual(set(contents(build([folder, B, folder]))), {"b/", "b/c.py"})

    def test_another_order(self) -> None:
        data = build([A, B])
        split = len(A.entry(0))
        start = data.index(b"PK\1\2")
        stop = data.index(b"PK\5\6")
        listed = data[start + split : stop] + data[start : start + split]
        self.taken(data[:start] + listed + data[stop:])


class RefusedTests(ZipCase):
    """What one reader would unpack, and another would not."""

    def test_bytes_that_no_list_has(self) -> None:
        hidden = evolve(EVIL, is_listed=False)
        for data in (
            build([A, evolve(hidden, name="e.py"), B]),
            build([evolve(hidden, name="e.py"), A, B]),
            build([A, B, evolve(hidden, name="e.py")]),
            build([A, B], gap=b"x"),
            build([A, evolve(B, before=b"x")]),
            build([A, evolve(B, before=b"\0" * 4096)]),
            build([A, B], first=b"#!/bin/sh\n"),
            build([evolve(A, before=b"#!/bin/sh\n"), B]),
            build([A, B], last=b"x"),
            build([A, B], last=b"\0x\0"),
            build([A, B], comment=b"12")[:-1],
            build([A, B], between=b"x"),
            build([A, B], between=b"x", end64={}),
            b"x" + build([A, B]),
            build([EVIL, B]) + build([A, B]),
        ):
            self.refused(data, "before or behind")

    def test_two_directories(self) -> None:
        good, evil = build([A, B]), build([EVIL, B])
        # A second end in the first one's comment, of which the first tells.
        hidden = build([EVIL, B], comment=good)
        self.refused(hidden, "before or behind")
        self.refused(build([A, B], comment=evil[-22:]), "before or behind")
        self.refused(build([A, B], comment=b"PK\5\6" + bytes(30)), "before or behind")
        self.refused(build([A, B], between=evil[-22:]), "before or behind")
        # A ZIP64 end that tells of another directory than the plain one.
        start = len(build([A, B])) - 22
        for wide in ({"start": 0}, {"length": 46}, {"count": 1}, {"here": 1}):
            data = build([A, B], end64=wide)
            self.refused(data, "two ends, plain and ZIP64, differ")
        full = {"start": FULL32, "length": FULL32}
        self.refused(build([A, B], end64={"start": 0}, end=full), "its end says")
        for wide in ({"where": 0}, {"where": start - 1}, {"disks": 2}):
            self.refused(build([A, B], end64=wide), "ZIP64 end does not lie")
        self.refused(build([A, B], end64={"more": b"12"}), "ZIP64 end does not lie")
        self.refused(build([A, B], end64={"rest": 56}), "no such record")

    def test_ends_that_lie(self) -> None:
        for end, reason in (
            ({"count": 1, "here": 1}, "another number of members"),
            ({"count": 3, "here": 3}, "another number of members"),
            ({"here": 1}, "another number of members"),
            ({"count": 0, "here": 0}, "another number of members"),
            ({"disk": 1}, "one part of several"),
            ({"start_disk": 1}, "one part of several"),
            ({"start": 0}, "where its end says"),
            ({"length": 46}, "where its end says"),
            ({"length": 33 * 2**20}, "longer than 32 MiB"),
            ({"start": FULL32}, "where its end says"),
        ):
            self.refused(build([A, B], end=end), reason, end)

    def test_no_end(self) -> None:
        whole = build([A, B])
        for data in (b"", b"PK\5\6", whole[:-1], whole[:-22], b"junk" * 99):
            self.refused(data, "cannot be opened as the archive", data)

    def test_headers_that_tell_something_else(self) -> None:
        for local in (
            {"name": "b.py"},
            {"name": "A.py"},
            {"name": "./a.py"},
            {"flags": 0x8},
            {"flags": 0x1},
            {"flags": 0x4000},
            {"method": 0},
            {"crc": 0},
            {"crc": 1},
            {"packed": 0},
            {"packed": 1},
            {"size": 0},
            {"size": 7},
            {"size": FULL32, "packed": FULL32},
            {"extra": sizes(BOTH[0], 7)},
            {"extra": sizes(*BOTH, 0)},
            {"extra": sizes(BOTH[0])},
            {"size": 7, "extra": sizes(*BOTH)},
        ):
            data = build([evolve(A, local=local), B])
            self.refused(data, "tells another name, size, checksum", local)
        accent = Part("caf\xe9.py", b"x", flags=UTF8, local={"flags": 0})
        self.refused(build([accent]), "tells another name, size, checksum")

    def test_extra_fields(self) -> None:
        for field in (
            b"\1\0\x10\0",
            extra(1, b"123"),
            sizes(*BOTH) * 2,
            unicode_path(b"b.py"),
            unicode_path(b""),
        ):
            reason = "are damaged" if field != extra(1, b"123") else " member"
            fields = {"extra": field}
            for part in (evolve(A, local=fields), evolve(A, listed=fields)):
                self.refused(build([part, B]), reason, part)
        for listed in (
            {"extra": sizes(7, BOTH[1])},
            {"size": FULL32, "extra": sizes(BOTH[0], BOTH[1], 9)},
            {"size": FULL32, "extra": extra(1, b"1234")},
        ):
            self.refused(build([evolve(A, listed=listed), B]), "are damaged", listed)

    def test_what_follows_the_data(self) -> None:
        for changed in ({"crc": 1}, {"size": 1}, {"packed": 1}):
            for layout in ("<LLL", "<4sLLL", "<LQQ", "<4sLQQ"):
                part = described(A, layout, **changed)
                self.refused(build([part, B]), "What follows the member", changed)
        short = described(A)
        for after in (b"", short.after[:-1], short.after + b"\0"):
            data = build([evolve(short, after=after), B])
            self.refused(data, "What follows the member", after)
        # A stored member's end would have to be guessed.
        self.refused(build([described(STORED), B]), "is stored, and")

    def test_a_newer_format(self) -> None:
        self.refused(build([evolve(A, listed={"needed": 64})]), "a newer version")

    def test_methods(self) -> None:
        for method in (1, 9, 12, 14, 93, 95, 99):
            self.refused(build([evolve(A, method=method)]), "by a method", method)
        for flags in (0x1, 0x20, 0x40, 0x61):
            self.refused(build([evolve(A, flags=flags)]), "encrypted", flags)

    def test_data_that_does_not_end_where_it_should(self) -> None:
        packed = deflate(A.data)
        for data in (packed + b"x", packed[:-1], b"\xff" + packed, b""):
            part = evolve(A, packed=data)
            self.refused(build([part, B]), "compressed data of the member", data)
        for part in (
            evolve(A, packed=deflate(EVIL.data)),
            evolve(A, packed=deflate(A.data + b"x")),
            evolve(A, packed=deflate(A.data[:-1])),
            evolve(STORED, packed=EVIL.data),
        ):
            self.refused(build([part, B]), "unpacks to other bytes", part)
        for listed in ({"size": 7}, {"packed": 7}):
            part = evolve(STORED, local=listed, listed=listed)
            self.refused(build([part, B]), "its two sizes differ", listed)

    def test_names(self) -> None:
        for parts, reason in (
            ([A, EVIL], "two members of one name"),
            ([A, B, EVIL], "two members of one name"),
            ([A, evolve(A, name="./a.py")], "two members of one name"),
            ([A, evolve(A, listed={"attributes": 0o100755 << 16})], "two members of"),
            ([A, evolve(EVIL, name="./a.py")], "two members of one name"),
            ([B, Part("b//c.py")], "two members of one name"),
            ([B, Part("b\\c.py")], "two members of one name"),
            ([B, Part("b/./c.py")], "two members of one name"),
            ([Part("b/"), Part("b")], "two members of one name"),
            ([B, Part("b")], "two members of one name"),
            ([Part("b"), Part("b-"), Part("b0"), B], "two members of one name"),
            ([Part("")], "is empty"),
            ([Part(".")], "has no name"),
            ([Part("a\0b")], "control character"),
            ([Part("a\nb")], "control character"),
            ([Part("a\x7fb")], "control character"),
            *(
                ([Part(f"a{c}b".encode(), flags=UTF8)], "control character")
                for c in "\x80\xad\u200b\u202e\ufeff"
            ),
            ([Part("x" * 1025)], "longer than 1024 bytes"),
            ([Part(b"\xff", flags=UTF8)], "is not the UTF-8"),
            ([Part("b/", b"x")], "has content"),
            ([described(Part("b/"))], "has content"),
        ):
            self.refused(build(parts), reason, parts)

    def test_overlapping(self) -> None:
        twice = evolve(A, name="b.py", listed={"header": 0, "name": "b.py"})
        self.refused(build([A, evolve(twice, is_listed=True)]), "overlap")
        beyond = evolve(B, listed={"header": 2**20})
        self.refused(build([described(A), beyond]), "What follows the member")
        inside = Part("a.py", B.header() + B.content, method=0)
        self.refused(build([inside, evolve(B, listed={"header": 34})]), "overlap")

    def test_a_damaged_directory(self) -> None:
        data = build([A, B])
        at = data.index(b"PK\1\2")
        for place, new in ((at, b"XX"), (at + 28, b"\xff\xff"), (at + 30, b"\xff\xff")):
            broken = data[:place] + new + data[place + len(new) :]
            self.refused(broken, "directory is damaged", place)

    def test_more_members_than_are_taken(self) -> None:
        end = {"count": FULL16, "here": FULL16}
        count = {"count": MAX_MEMBERS + 1, "here": MAX_MEMBERS + 1}
        self.refused(build([A], end64=count, end=end), "more than 200000 members")


class PropertyTests(SynchronousTestCase):
    @settings(max_examples=150, deadline=None)
    @given(
        st.dictionaries(
            st.text(
                st.characters(
                    exclude_characters="/\\.:", exclude_categories=["Cs", "Cc", "Cf"]
                ),
                min_size=1,
                max_size=20,
            ),
            st.binary(max_size=200),
            max_size=6,
        )
    )
    def test_what_zipfile_writes(self, files: dict[str, bytes]) -> None:
        self.assertEqual(contents(zip_of(files.items())), files)

    @settings(max_examples=400, deadline=None)
    @given(st.data())
    def test_any_damage(self, data: st.DataObject) -> None:
        """It is refused, or read as Python's zipfile reads it."""
        end64: dict[str, int] | None = data.draw(st.sampled_from([None, {}]))
        parts = data.draw(
            st.sampled_from(
                [[A, B], [described(A), B], [STORED, B], [A, described(B, "<LQQ")]]
            )
        )
        bad = bytearray(build(parts, end64=end64, comment=b"acme"))
        for _ in range(data.draw(st.integers(1, 3))):
            at = data.draw(st.integers(0, len(bad) - 1))
            bad[at] = data.draw(st.integers(0, 255))
        try:
            found = contents(bytes(bad))
        except BadRequest as e:
            self.assertTrue(e.message)
            return
        with zipfile.ZipFile(io.BytesIO(bytes(bad))) as archive:
            members = archive.infolist()
            self.assertEqual(
                found, {info.filename: archive.read(info) for info in members}
            )
