"""Core metadata: read as packaging reads it, in linear time, and judged."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st
from packaging.metadata import parse_email
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.errors import BadRequest
from pypicloud_tw.index.archive.fields import read_fields
from pypicloud_tw.index.archive.findings import Findings
from pypicloud_tw.index.archive.metadata import judge_metadata
from pypicloud_tw.index.names import Filename
from tests.builders import metadata

NAMES = (
    b"Name",
    b"NAME",
    b"Version",
    b"Keywords",
    b"Project-URL",
    b"Requires-Dist",
    b"Classifier",
    b"Platform",
    b"Platforms",
    b"Home-page",
    b"Home_page",
    b"License-File",
    b"Import-Name",
    b"Import-Namespace",
    b"Dynamic",
    b"Description",
    b"Unheard-Of",
    b"",
)
VALUES = st.one_of(
    st.sampled_from(
        [b"", b"a", b" a, b ,", b"Docs, https://x", b"Docs,", b"=?x?q?y?="]
    ),
    st.text(max_size=9).map(str.encode),
    st.binary(max_size=9),
)
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r", b"\n  ", b"\n\t|", b"\r\n\n"])
HEADER = st.tuples(st.sampled_from(NAMES), st.sampled_from([b":", b": "]), VALUES, ENDS)


def as_text(value: object) -> object:
    return value.decode("latin-1") if isinstance(value, bytes) else value


class ReaderTests(SynchronousTestCase):
    @settings(max_examples=300)
    @given(st.lists(HEADER.map(b"".join), max_size=8).map(b"".join), st.binary())
    @example(b"Import-Name:\n", b"")
    @example(b"Description: a\n", b"\nb")
    @example(b"Description: \xff\n", b"\nb")
    @example(b"Project-URL: a, b\nProject-URL: a, c\n", b"")
    @example(b"Name: a\nFrom b\n", b"\nc")
    @example(b"From a\n", b"\nb")
    @example(b"From a\nName: b\n", b"\nc")
    @example(b" continues nothing\nName: a\n:nameless\n continued\n", b"")
    def test_it_reads_what_packaging_reads(self, headers: bytes, body: bytes) -> None:
        """Of parse_email only the body that is not UTF-8 is bytes and not text."""
        fields, unparsed = parse_email(headers + body)
        told = {name: list(map(as_text, values)) for name, values in unparsed.items()}
        self.assertEqual(read_fields(headers + body), (fields, told))

    def test_the_envelope_of_an_mbox_is_left_out(self) -> None:
        fields, _ = read_fields(b"From me\n more\nName: acme\n")
        self.assertEqual(fields, {"name": "acme"})

    def test_what_mail_would_decode_is_text_here(self) -> None:
        """A body of nested parts would be a description of nested messages."""
        for name in (
            b"Content-Type: multipart/mixed; boundary=x",
            b"Content-Type: a/b",
        ):
            fields, _ = read_fields(name + b"\nName: acme\n\n--x\nbody")
            self.assertEqual(fields, {"name": "acme", "description": "--x\nbody"})


class BoundTests(SynchronousTestCase):
    def refused(self, data: bytes, reason: str) -> None:
        with self.assertRaises(BadRequest) as caught:
            read_fields(metadata() + data)
        self.assertIn(reason, caught.exception.message)

    def test_what_real_packages_have(self) -> None:
        """The most of each that is known: see bounds.py."""
        data = b"".join(
            (
                b"License: " + b"x" * 74_656 + b"\n",
                b"Requires-Dist: a\n" * 882,
                b"Provides-Extra: a\n" * 439,
                b"Classifier: a\n" * 63,
                b"\n" + b"x" * 232_823,
            )
        )
        self.assertEqual(len(read_fields(metadata() + data)[0]["requires_dist"]), 882)

    def test_each_bound(self) -> None:
        for data, reason in (
            (b"\n" + b"x" * 2 * 2**20, "longer than 2 MiB"),
            ((b"License: " + b"x" * 2**18 + b"\n") * 5, "headers"),
            (b"License: a\n" + b" \n" * 16_000, "more than 16000 lines of headers"),
            (b"Platform:\n" * 10_001, "more than 10000 fields"),
            (b"".join(b"N%d:\n" % i for i in range(65)), "of more than 64 names"),
            (b"License: " + b"x" * 2**19 + b"\n", "longer than 512 KiB"),
            (b"Requires-Dist: a\n" * 5_001, "more than 5000 fields Requires-Dist"),
            (b"Provides-extra: a\n" * 5_001, "more than 5000 fields Provides-extra"),
            (b"Classifier: a\n" * 1_001, "more than 1000 fields Classifier"),
        ):
            self.refused(data, reason)

    def test_the_work_is_bounded_whatever_the_lines_are(self) -> None:
        """Headers without end are given up at a line, not read to the end first."""
        for line in (b":\n", b" \n", b"a:\n", b"From \n", b"a:\r", b"\t\r\n"):
            self.refused(line * 300_000, "more than 16000 lines of headers")


class JudgementTests(SynchronousTestCase):
    def judge(self, lines: str, filename: str = "acme-1.0.tar.gz") -> Findings:
        findings = Findings()
        data = metadata() + lines.encode("utf-8", "surrogateescape")
        judge_metadata(data, Filename.parse(filename), findings)
        return findings

    def test_requirements_that_no_installer_takes(self) -> None:
        deep, wide = "(" * 50_000, "(" * 150 + "os_name=='a'" + ")" * 149
        for line in (
            "Requires-Dist: !!!",
            "Requires-Dist: requests>=",
            'Requires-Dist: click; extra = "cli"',
            "Requires-Dist: ",
            "Requires-Dist: pytz (>dev)",
            "Requires-Dist: \udcff",
            f"Requires-Dist: a; {deep}",
            f"Requires-Dist: a; {wide}",
            f"Requires-Dist: a>={'9' * 5_000}!",
            "Provides-Extra: ssl:sys_platform=='win32'",
            "Provides-Extra: ",
        ):
            findings = self.judge(line + "\n")
            self.assertEqual(len(findings.shortfalls), 1, line)
            self.assertIn(line.partition(":")[0], findings.shortfalls[0])
            self.assertLess(len(findings.shortfalls[0]), 700)

    def test_requires_python(self) -> None:
        """Whoever has two of them is told so: installers heed the first."""
        [twice] = self.judge("Requires-Python: >=3.9\n").shortfalls
        self.assertIn("Requires-Python stands several times", twice)
        findings, data = Findings(), metadata().replace(b">=3.8", b"three")
        judge_metadata(data, Filename.parse("acme-1.0.tar.gz"), findings)
        [wrong] = findings.shortfalls
        self.assertIn("Requires-Python 'three' is not valid: Invalid specifier", wrong)

    def test_what_says_why_is_one_printable_sentence(self) -> None:
        [said] = self.judge("Requires-Dist: a\x1b[31m\n b ?\n").shortfalls
        self.assertTrue(said.isprintable(), said)
        self.assertIn("Requires-Dist 'a\\x1b[31m\\n b ?' is not valid: Expected", said)

    def test_what_everybody_installs_and_validators_refuse(self) -> None:
        findings = self.judge(
            "Description-Content-Type: text/odd\nDynamic: Name\nLicense-File: ../x\n"
            "Project-URL: no url\nHome-page: UNKNOWN\nSummary: \n more\n"
            "Classifier: Framework :: None\nRequires-Dist: a @ https://h/a-1.0.zip\n"
            "Requires-Dist: b (>=1.0,<2) ; extra == 'C_d'\nProvides-Extra: C_d\n"
        )
        self.assertEqual(findings, Findings())

    def test_identity_is_told_once(self) -> None:
        for line in ("Name: acme", "Version: 1.0", "Metadata-Version: 2.1"):
            with self.assertRaises(BadRequest) as caught:
                self.judge(line + "\n")
            self.assertIn("stands several times", caught.exception.message)

    def test_a_name_that_only_looks_like_it(self) -> None:
        findings = Findings()
        data = metadata("\N{KELVIN SIGN}lein")
        with self.assertRaises(BadRequest) as caught:
            judge_metadata(data, Filename.parse("klein-1.0.tar.gz"), findings)
        self.assertIn("Name is not the project", caught.exception.message)

    @settings(max_examples=200)
    @given(st.text(max_size=60), st.sampled_from(["Requires-Dist", "Provides-Extra"]))
    def test_any_value_is_taken_or_a_sentence(self, text: str, name: str) -> None:
        line = " ".join(text.encode("utf-8", "replace").decode().splitlines())
        for said in self.judge(f"{name}: {line}\n").shortfalls:
            self.assertTrue(said.isprintable(), said)
