"""Wheels are judged by what installers make of them."""

from __future__ import annotations

import io
from base64 import b64encode, urlsafe_b64encode
from hashlib import new as new_digest
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.errors import BadRequest
from pypicloud_tw.index.archive import Inspection, inspect_file
from pypicloud_tw.index.archive.findings import quoted
from pypicloud_tw.index.names import Filename
from tests.builders import WHEEL, metadata
from tests.zips import Part, build, wheel_parts

NAME = "acme-1.0-py3-none-any.whl"
CODE = Part("acme/x.py", b"print('acme')\n")
INFO = "acme-1.0.dist-info"


def judge(data: bytes, name: str = NAME) -> Inspection:
    return inspect_file(io.BytesIO(data), Filename.parse(name), len(data))


def line(name: str, data: bytes, kind: str = "sha256") -> str:
    digest = urlsafe_b64encode(new_digest(kind, data).digest()).decode().rstrip("=")
    return f"{name},{kind}={digest},{len(data)}"


def recorded(*lines: str, end: str = "\n") -> bytes:
    """A RECORD of a wheel of CODE and what every wheel has, with CODE's lines given."""
    common = [
        line(f"{INFO}/METADATA", metadata()),
        line(f"{INFO}/WHEEL", WHEEL),
        f"{INFO}/RECORD,,",
    ]
    return (end.join([*lines, *common]) + end).encode()


class WheelCase(SynchronousTestCase):
    def make(self, *parts: Part, name: str = NAME, **changes: Any) -> Inspection:
        return judge(build(wheel_parts(*(parts or (CODE,)), **changes)), name)

    def fit(self, *parts: Part, name: str = NAME, **changes: Any) -> None:
        found = self.make(*parts, name=name, **changes)
        self.assertEqual((found.shortfalls, found.warnings), ((), ()), changes)

    def warned(self, reason: str, *parts: Part, name: str = NAME, **more: Any) -> None:
        found = self.make(*parts, name=name, **more)
        self.assertEqual(found.shortfalls, (), more)
        (sentence,) = found.warnings
        self.assertIn(reason, sentence, more)

    def short(self, reason: str, *parts: Part, **changes: Any) -> None:
        (sentence,) = self.make(*parts, **changes).shortfalls
        self.assertIn(reason, sentence, changes)
        self.assertTrue(sentence.endswith("."), sentence)

    def refused(self, reason: str, *parts: Part, name: str = NAME, **more: Any) -> None:
        with self.assertRaises(BadRequest) as caught:
            self.make(*parts, name=name, **more)
        self.assertIn(reason, caught.exception.message, more)


class DistInfoTests(WheelCase):
    def test_escaped_as_pep_427_has_it(self) -> None:
        for version, inside in (
            ("2024.3.13+0873c15", "2024.3.13_0873c15"),
            ("1!2.0", "1_2.0"),
            ("1!2.0+abc.1", "1_2.0_abc.1"),
            ("1.0+a_b", "1.0_a_b"),
            ("1.0", "1.0"),
            ("1.0+local", "1.0+local"),
            ("1.0rc1", "1.0_rc1"),
            ("1.0", "1.0.0"),
        ):
            self.fit(
                CODE,
                name=f"my_package-{Filename.parse(f'a-{version}.tar.gz').version}"
                "-py3-none-any.whl",
                folder=f"my_package-{inside}.dist-info",
                core_metadata=metadata("my_package", version),
            )

    def test_another_spelling_of_the_name(self) -> None:
        for spelling in ("Acme_Tool", "acme.tool", "acme-tool", "ACME__tool"):
            self.fit(
                CODE,
                name="acme_tool-1.0-py3-none-any.whl",
                folder=f"{spelling}-1.0.dist-info",
                core_metadata=metadata("Acme.Tool"),
            )

    def test_another_version(self) -> None:
        for version in ("2.0", "1_1.0", "", "x", "1.0-1", "1.0.post1"):
            folder = f"acme-{version}.dist-info"
            self.warned("names another version", folder=folder)

    def test_metadata_of_another_version(self) -> None:
        other = metadata(version="2.0")
        self.refused("Version is not", folder=INFO, core_metadata=other)

    def test_another_project(self) -> None:
        for folder in ("other-1.0", "acme", "acme_tool-1.0", "-1.0", "1.0-acme"):
            self.refused("names another project", folder=f"{folder}.dist-info")

    def test_exactly_one(self) -> None:
        for second in (
            Part("other-1.0.dist-info/x"),
            Part("other-1.0.dist-info/", method=0),
            Part("other.dist-info", b"a file"),
        ):
            self.refused("this one has 2", CODE, second)
        with self.assertRaises(BadRequest) as caught:
            judge(build([CODE]))
        self.assertIn("this one has 0", caught.exception.message)
        self.fit(CODE, Part("acme/vendor-1.0.dist-info/METADATA", b"x"))
        self.fit(CODE, Part(f"{INFO}/", method=0))

    def test_a_data_folder_that_is_not_its_own(self) -> None:
        for top in ("other-1.0", "ACME-1.0", "acme-2.0", "acme", ""):
            script = Part(f"{top}.data/scripts/acme", b"#!python\n")
            self.refused("to different places", CODE, script)
        self.fit(CODE, Part("acme-1.0.data/scripts/acme", b"#!python\n"))
        self.fit(CODE, Part("acme/x.data/y", b""), Part("acme.data", b""))

    def test_what_no_installer_can_place(self) -> None:
        for name in ("bogus/x", "x", "scripts", "Scripts/x", "bogus/", "scripts/a/b"):
            part = Part(f"acme-1.0.data/{name}", method=0)
            self.short("knows where to put it", CODE, part)
        folders = [f"acme-1.0.data/{n}" for n in ("", "scripts/", "data/a/")]
        self.fit(CODE, *(Part(folder, method=0) for folder in folders))
        for name in ("purelib/x", "platlib/x", "headers/a/x.h", "data/x", "scripts/a"):
            self.fit(CODE, Part(f"acme-1.0.data/{name}", b"x"))

    def test_two_libraries(self) -> None:
        def part(name: str) -> Part:
            return Part(f"acme-1.0.data/{name}", b"x")

        for names in (("purelib/x", "platlib/x"), ("platlib/a/b", "purelib/a")):
            self.refused("both in purelib and in platlib", *map(part, names))
        self.fit(part("purelib/x"), part("platlib/y"), part("scripts/x"))

    def test_metadata_in_another_encoding(self) -> None:
        latin = metadata().replace(b"Acme", b"Acm\xe9")
        self.warned("METADATA is not UTF-8", core_metadata=latin)
        self.warned("METADATA is not UTF-8", core_metadata=metadata() + b"\n\xe9\n")

    def test_no_metadata(self) -> None:
        with self.assertRaises(BadRequest) as caught:
            judge(build([Part(f"{INFO}/WHEEL", WHEEL)]))
        self.assertIn("METADATA; this one has 0", caught.exception.message)

    def test_a_name_that_is_not_normalised(self) -> None:
        for name in ("Acme-1.0", "acme-1.0.0RC1", "acme.tool-1.0"):
            project, _, version = name.partition("-")
            self.warned(
                "is not normalised",
                CODE,
                name=f"{name}-py3-none-any.whl",
                folder=f"{project}-{version}.dist-info",
                core_metadata=metadata(project, version),
            )

    def test_names_that_differ_in_case(self) -> None:
        for one, other in (("acme/X.py", "acme/x.py"), ("Acme/x", "acme")):
            self.refused("upper and lower case", Part(one), Part(other))
        accents = Part("\xc9", flags=0x800), Part("e\u0301", flags=0x800)
        self.refused("upper and lower case", *accents)

    def test_a_name_that_is_not_marked_as_utf8(self) -> None:
        self.refused("not marked as UTF-8", Part("caf\xe9".encode()))
        self.fit(Part("caf\xe9", b"x", flags=0x800))


class WheelFileTests(WheelCase):
    def test_its_version(self) -> None:
        for data in (
            b"Wheel-Version: 1.0\n",
            b"Wheel-Version: 1.9",
            b"wheel-version:1.0\r\nRoot-Is-Purelib: true\r\n",
            b"Generator: x\nWheel-Version: 1.0\nTag: py3-none-any\nTag: a\n",
            b"Wheel-Version: 1.0.1\n",
            b"Wheel-Version: 1.0\nno field\nTag: a\n",
            b"Wheel-Version: 1.0\r\r\nTag: a\r\r\n",
        ):
            self.fit(wheel_file=data)
        for data in (
            b"Wheel-Version: 2.0\n",
            b"Wheel-Version: 10.0\n",
            b"Wheel-Version: one\n",
            b"Wheel-Version: 1\n",
            b"Wheel-Version:\n",
            b"Generator: x\n\nWheel-Version: 1.0\n",
            b"\n",
            b"\nWheel-Version: 1.0\n",
            b"\r\nWheel-Version: 1.0\r\n",
            b"no field\nWheel-Version: 1.0\n",
            b" Wheel-Version: 1.0\n",
            b"Wheel-Version : 1.0\n",
        ):
            self.short("no Wheel-Version of 1", wheel_file=data)
        twice = b"Wheel-Version: 1.0\nWheel-Version: 1.0\n"
        self.short("a field twice", wheel_file=twice)
        both = b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nRoot-Is-Purelib: false\n"
        self.short("a field twice", wheel_file=both)

    def test_its_encoding(self) -> None:
        for data in (b"\xef\xbb\xbf" + WHEEL, WHEEL + b"X: \xff\n"):
            self.short("is not UTF-8", wheel_file=data)

    def test_none_or_too_long(self) -> None:
        self.short("has no .dist-info/WHEEL", wheel_file=None)
        self.refused("longer than 16 KiB", wheel_file=WHEEL + b"Tag: a-b-c\n" * 2000)
        self.refused("more than 1000 tags", wheel_file=WHEEL + b"Tag: a-b-c\n" * 1000)


class RecordTests(WheelCase):
    def recorded(self, *lines: str, **more: Any) -> Inspection:
        return self.make(record_file=recorded(*lines, **more))

    def test_digests_in_every_spelling_in_use(self) -> None:
        for kind in ("sha256", "sha384", "sha512"):
            digest = new_digest(kind, CODE.data).digest()
            for text in (
                urlsafe_b64encode(digest).decode().rstrip("="),
                urlsafe_b64encode(digest).decode(),
                b64encode(digest).decode(),
                b64encode(digest).decode().rstrip("="),
                digest.hex(),
                digest.hex().upper(),
            ):
                for size in (len(CODE.data), ""):
                    record = recorded(f"acme/x.py,{kind}={text},{size}")
                    self.fit(record_file=record)

    def test_odd_and_fine(self) -> None:
        good = line("acme/x.py", CODE.data)
        for record in (
            recorded(good, end="\r\n"),
            recorded(good, "acme/,,", "acme/more/,,7"),
            recorded(good, "acme\\,,", "acme\\more\\,,7"),
            recorded(good, good),
            recorded(f"{good},more"),
            recorded(good.replace("acme/x.py", '"acme/x.py"')),
            recorded(good.replace("acme/x.py", "acme\\x.py")),
            recorded(good.replace("acme/x.py", "./acme/x.py")),
            recorded(good)[:-1],
            recorded(good).replace(f"{INFO}/RECORD,,\n".encode(), b""),
        ):
            self.fit(record_file=record)
        for name in ("RECORD.jws", "RECORD.p7s"):
            self.fit(CODE, Part(f"{INFO}/{name}", b"x"), record_file=recorded(good))
        comma = Part('a "b", c.py', b"x")
        quoted_line = line('"a ""b"", c.py"', b"x")
        self.fit(comma, record_file=recorded(quoted_line))

    def test_unlisted_empty_or_wrong(self) -> None:
        good = line("acme/x.py", CODE.data)
        digest = good.split(",")[1]
        for lines, reason in (
            ((), "does not list 'acme/x.py'"),
            (("acme/x.py,,",), "has no digest of sha256"),
            ((f"acme/x.py,,{len(CODE.data)}",), "has no digest of sha256"),
            (("acme/x.py,sha256=,",), "has no digest of sha256"),
            (("acme/x.py,md5=AAAA,",), "has no digest of sha256"),
            (("acme/x.py,sha1=AAAA,",), "has no digest of sha256"),
            ((line("acme/x.py", b"other"),), "a digest that is not"),
            (("acme/x.py,sha256=AAAA,",), "a digest that is not"),
            (("acme/x.py,sha256=!,",), "a digest that is not"),
            ((digest.replace("sha256", "acme/x.py,sha512") + ",",), "a digest that"),
            ((f"acme/x.py,{digest},7",), "has another size"),
            ((good, line("acme/x.py", b"other")), "twice, and differently"),
        ):
            (sentence,) = self.recorded(*lines).shortfalls
            self.assertIn(reason, sentence, lines)

    def test_many_are_one_sentence(self) -> None:
        parts = [Part(f"acme/{n}.py", b"x") for n in range(50)]
        self.short("list 'acme/0.py' (and 49 more)", *parts, record_file=recorded())

    def test_what_is_no_record(self) -> None:
        good = line("acme/x.py", CODE.data)
        for bad, reason in (
            ("acme/x.py,sha256=x", "fewer than 3 columns"),
            ("acme/x.py", "fewer than 3 columns"),
            ("", "has an empty line, number 2"),
            (f"{good}\r\r", "has an empty line, number 2"),
            ("acme/x.py,sha256=x,-7", "no number"),
            ("acme/x.py,sha256=x,seven", "no number"),
            ('"acme/x.py,sha256=x,7', "not CSV"),
            ("x" * 5000, "more than 4096 bytes"),
        ):
            found = self.make(record_file=recorded(good, bad))
            self.assertIn(reason, found.shortfalls[0], bad)
        found = self.make(record_file=recorded(good) + b"\xff,,\n")
        self.assertIn("not CSV in UTF-8", found.shortfalls[0])

    def test_none(self) -> None:
        self.short("has no .dist-info/RECORD", has_record=False)

    def test_lines_for_absent_files(self) -> None:
        good = line("acme/x.py", CODE.data)
        record = recorded(good, "acme/gone.py,,", "a/b,,", "\u2603,,")
        self.warned("what is not in the wheel: 'acme/gone.py'", record_file=record)

    def test_more_lines_than_are_read(self) -> None:
        self.refused("more than 400000 lines", record_file=b"x,,\n" * 400_001)


class EntryPointTests(WheelCase):
    def test_fine(self) -> None:
        for data in (
            b"",
            b"[console_scripts]\nacme = acme.x:main\n",
            b"[console_scripts]\r\nacme=acme:a.b [extra,more]\r\n# a comment\r\n",
            b"[gui_scripts]\nacme = acme:main\nAcme = acme:main\n",
            b"[other]\na/b = anything %(at)s all\nmore = x\n  y\n",
            "[a]\nna\xefve = x\n".encode(),
            b"[console_scripts]\nacme-tool.py3 = acme.x:main\n",
        ):
            self.fit(entry_points=data)

    def test_what_cannot_be_read(self) -> None:
        for data in (
            b"[console_scripts]\nacme\n",
            b"[console_scripts]\nacme: acme:main\n",
            b"acme = acme:main\n",
            b"[a]\nx = y\n[a]\nz = y\n",
            b"[a]\nx = y\nx = z\n",
            b"\xef\xbb\xbf[console_scripts]\n",
            b"[DEFAULT]\nx = a:b\n[console_scripts]\n",
            b"[default]\nx = a:b\n[console_scripts]\n",
            b"[console_scripts] x\na = acme:main\n",
            b"[console_scripts] ; x\na = acme:main\n",
            b"[a]\nx = \xff\n",
            "[a]\nx = y\n".encode("utf-16"),
        ):
            self.short("entry_points.txt is not UTF-8", entry_points=data)

    def test_scripts_that_cannot_be_made(self) -> None:
        for value in (
            b"acme",
            b"acme.main",
            b"acme:",
            b":main",
            b"",
            b"acme:main(1)",
            b"acme:main\n more",
            b"import os; os:x",
            b"acme:main [x",
        ):
            data = b"[console_scripts]\nacme = %b\n" % value
            self.short("is not module:function", entry_points=data)

    def test_scripts_that_lie_elsewhere(self) -> None:
        for name in (b"../acme", b"/bin/sh", b"a\\b", b".."):
            for group in (b"console_scripts", b"gui_scripts"):
                data = b"[%b]\n%b = acme:main\n" % (group, name)
                self.refused("another folder than that of scripts", entry_points=data)

    def test_too_many(self) -> None:
        many = b"[a]\n" + b"".join(b"x%d = y\n" % n for n in range(2001))
        self.refused("more than 2000 entry points", entry_points=many)
        groups = b"".join(b"[%d]\n" % n for n in range(201))
        self.refused("or 200 groups", entry_points=groups)
        self.refused("longer than 1 MiB", entry_points=b"#" * 2**20 + b"\n")


class SentenceTests(SynchronousTestCase):
    def test_names_out_of_archives(self) -> None:
        for name, shown in (
            ("acme/x.py", "'acme/x.py'"),
            ("a\nb\x1b[31m", "'a\\nb\\x1b[31m'"),
            ("\u2603", "'\\u2603'"),
        ):
            self.assertEqual(quoted(name), shown)
        self.assertLess(len(quoted("\U0001f600" * 10_000)), 110)

    def test_either_door(self) -> None:
        found = Inspection("acme", None, shortfalls=("A b.", "C d."), warnings=("E.",))
        with self.assertRaises(BadRequest) as caught:
            found.strict()
        self.assertEqual(caught.exception.message, "A b. C d.")
        self.assertEqual(found.lenient().warnings, ("A b.", "C d.", "E."))
        self.assertEqual(found.lenient().strict(), found.lenient())
