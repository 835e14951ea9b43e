"""The upstream's list of names, as a helper reads it."""

from __future__ import annotations

import gzip
import json
import zlib
from io import BytesIO
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.errors import UpstreamError
from pypicloud_tw.upstream.names import packed as module
from pypicloud_tw.upstream.names.packed import (
    PART,
    LookAlikes,
    has_name,
    look_alikes,
    pack,
    pack_list,
    parts,
)


def listing(*projects: Any, **more: Any) -> bytes:
    document = {"meta": {"api-version": "1.1"}, "projects": list(projects), **more}
    return json.dumps(document).encode()


def names(data: bytes, coding: str = "") -> list[str]:
    return zlib.decompress(pack_list(BytesIO(data), coding)).decode().split()


class PartsTests(SynchronousTestCase):
    def test_every_name_stands_whole_in_one_part(self) -> None:
        for count in (0, 1, 10_000):
            every = [f"name-{number:05}" for number in range(count)]
            found = parts(pack(every))
            told = [name for part in found for name in part.decode().split()]
            self.assertEqual(told, every)
            for part in found:
                self.assertEqual((part[:1], part[-1:]), (b"\n", b"\n"))
                self.assertLess(len(part), PART + 100)

    def test_what_is_damaged(self) -> None:
        self.assertRaises(zlib.error, parts, b"damaged")


class PackTests(SynchronousTestCase):
    def test_normalized_sorted_and_once(self) -> None:
        told = [{"name": name} for name in ("Zope.Interface", "acme", "ACME", "b_c")]
        self.assertEqual(names(listing(*told)), ["acme", "b-c", "zope-interface"])

    def test_what_else_is_told(self) -> None:
        data = listing(
            {"_last-serial": 3, "name": "acme", "more": {"name": "inner", "a": [1]}},
            {"name": 7},
            {"name": "ü"},
            "x",
            7,
            {},
            {"name": ""},
        )
        self.assertEqual(names(data), ["acme"])

    def test_other_spellings_of_json(self) -> None:
        for data in (
            b'{"projects":[{"name":"a"},{"name":"b"}],"meta":{}}',
            b'{ "projects" :\n [\n {"name" : "a"} ,\n\n{"name": "\\u0062"}\n]\n}',
        ):
            self.assertEqual(names(data), ["a", "b"])
        self.assertEqual(names(b'{"projects": []}'), [])

    def test_in_whatever_pieces(self) -> None:
        data = listing({"name": "acme-utils"}, {"name": "b", "x": "y" * 50})
        for step in range(1, 41):
            self.patch(module, "_STEP", step)
            self.assertEqual(names(data), ["acme-utils", "b"])
            self.assertEqual(names(gzip.compress(data), "gzip"), ["acme-utils", "b"])

    def test_html(self) -> None:
        data = (
            b'<!DOCTYPE html><html><body><h1>Simple</h1><a href="/simple/acme/">\n'
            b' Acme_Utils</a><br/><A class=x href="b/" >b</A ><p>none</p>'
            b'<a href="">Not a name</a><a href="x"><b>c</b></a></body></html>'
        )
        for step in (1, 7, 64, 10_000):
            self.patch(module, "_STEP", step)
            self.assertEqual(names(data), ["acme-utils", "b"])

    def test_names_that_are_cut(self) -> None:
        """Web servers that list folders show the beginning; the address has it all."""
        whole = "a-name-" + "very-" * 10 + "long"
        for href in (f"{whole}/", f"/simple/{whole}/?x=1", whole.replace("-", "%2D")):
            link = f'<a href="{href}">{whole[:47]}..&gt;</a>   28-Nov-2026 08:52      -'
            data = f"<html><pre>{link}\n<a href='b/'>b/</a></pre></html>"
            self.assertEqual(names(data.encode()), [whole, "b"], link)

    def test_no_list(self) -> None:
        whole = listing({"name": "acme"}, {"name": "other"})
        packed = gzip.compress(whole)
        for data, coding, cause in (
            (b"<html></html>", "", "is neither JSON nor HTML of the simple"),
            (b"", "", "is neither JSON nor HTML of the simple"),
            (b"{}", "", "is not JSON of the simple repository API"),
            (whole[:-15], "", "ended before its end"),
            (whole.replace(b", {", b", }{"), "", "ended before its end, or is no JSON"),
            (packed[:-12], "gzip", "ended before its end"),
            (whole, "gzip", "is damaged"),
            (b'{"projects": [' + b"[" * 100_000, "", "is no JSON"),
            (b'{"projects": ["' + b"x" * 2**20, "", "is no JSON"),
        ):
            error = self.assertRaises(UpstreamError, names, data, coding)
            self.assertIn(cause, error.message)

    def test_bounds(self) -> None:
        for bound, cause in (
            ("MAX_NAMES", "too many names"),
            ("MAX_CHARACTERS", "too many names"),
            ("MAX_UNPACKED", "is too long"),
        ):
            self.patch(module, bound, 1)
            told = listing({"name": "acme"}, {"name": "other"})
            error = self.assertRaises(UpstreamError, names, told)
            self.assertIn(cause, error.message)
            self.patch(module, bound, 2**20)


class CompareTests(SynchronousTestCase):
    LIST = pack(["acme-util", "acme-utils", "acme-utilz", "other", "tool"])

    def test_has(self) -> None:
        for name, has in (("acme-utils", True), ("tool", True), ("acme", False)):
            self.assertIs(has_name(self.LIST, name), has)

    def test_look_alikes(self) -> None:
        found = look_alikes(self.LIST, {"acme-utils", "tools", "tool", "nothing"})
        self.assertEqual(
            found,
            (
                LookAlikes("acme-utils", ("acme-util", "acme-utilz"), same=True),
                LookAlikes("tool", (), same=True),
                LookAlikes("tools", ("tool",)),
            ),
        )

    def test_at_most(self) -> None:
        self.patch(module, "MOST_BESIDE", 1)
        self.patch(module, "MOST_PAIRS", 1)
        found = look_alikes(self.LIST, {"acme-utils", "tool"})
        self.assertEqual(found, (LookAlikes("acme-utils", ("acme-util",), same=True),))

    def test_of_nothing(self) -> None:
        self.assertEqual(look_alikes(pack([]), {"acme"}), ())
