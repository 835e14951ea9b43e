"""The ini dialect, held to the standard library's parser."""

from __future__ import annotations

from configparser import Error, RawConfigParser
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.config.ini import IniError, parse_ini, read_text, substitute

LINES = st.sampled_from(
    [
        "[a]",
        "[b] tail",
        " [c]",
        "k = v",
        "  j: w",
        "",
        "   more",
        "# c",
        "  ; c",
        "K=",
        "junk",
        "    = x",
        "x = a=b:c",
        "\tdeep # no comment, says the standard library, so not in this test",
        "l=[x]",
        "user.Alice = $5$rounds=80000$salt$hash%",
    ]
)


def without_inline_comments(line: str) -> str:
    return line.partition(" # ")[0]


def oracle(text: str) -> dict[str, dict[str, str]]:
    parser = RawConfigParser(strict=False, default_section="(no such section)")
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # documented use
    parser.read_string(text)
    return {
        section: {key: value.strip() for key, value in parser[section].items()}
        for section in parser.sections()
    }


class ParseTests(SynchronousTestCase):
    @given(st.lists(LINES, max_size=8), st.sampled_from(["\n", "\r\n", "\r"]))
    def test_as_configparser(self, lines: list[str], end: str) -> None:
        ini = parse_ini(end.join(lines))
        plain = "\n".join(without_inline_comments(line) for line in lines)
        try:
            expected = oracle(plain)
        except Error:
            self.assertNotEqual(ini.problems, ())
            return
        self.assertEqual(ini.problems, ())
        found: dict[str, dict[str, str]] = {section: {} for section in ini.sections}
        for entry in ini.entries:
            found[entry.section][entry.key] = entry.value
        self.assertEqual(found, expected)

    @given(st.text())
    def test_any_text(self, text: str) -> None:
        parse_ini(text)

    def test_every_bad_line_is_told(self) -> None:
        ini = parse_ini("before\nagain\n[a]\njunk\nk = v\n= x\n")
        self.assertEqual([number for number, _ in ini.problems], [1, 4, 6])
        self.assertIn("before the first [section]", ini.problems[0][1])
        self.assertIn("not 'key = value'", ini.problems[1][1])
        self.assertEqual([entry.key for entry in ini.entries], ["k"])

    def test_lines_are_counted(self) -> None:
        ini = parse_ini("# c\n[a]\nk =\n  v\n  w\nl = x\n")
        self.assertEqual([e.line for e in ini.entries], [3, 6])
        self.assertEqual(ini.entries[0].value, "v\nw")

    def test_duplicates_are_kept(self) -> None:
        ini = parse_ini("[a]\nk = 1\n[b]\n[a]\nk = 2\n")
        self.assertEqual([e.value for e in ini.entries], ["1", "2"])
        self.assertEqual(ini.sections, {"a": 1, "b": 3})

    def test_inline_comments(self) -> None:
        text = "[a]\nk = v # c\nl = v ; c\nm = a#b\nn = # c\no = see #4\np = x #"
        values = [e.value for e in parse_ini(text).entries]
        self.assertEqual(values, ["v", "v", "a#b", "", "see #4", "x"])

    def test_values_are_not_in_the_repr(self) -> None:
        self.assertNotIn("hunter2", repr(parse_ini("[a]\nk = hunter2")))


class SubstituteTests(SynchronousTestCase):
    def test_here_and_percent(self) -> None:
        value, unknown = substitute("%(here)s/a%%b%c%(d)s%%(here)s%", Path("/etc/x"))
        self.assertEqual(value, "/etc/x/a%b%c%(d)s%(here)s%")
        self.assertEqual(unknown, ("d",))

    @given(st.text())
    def test_any_text(self, text: str) -> None:
        value, unknown = substitute(text.replace("%", "%%"), Path("/"))
        self.assertEqual((value, unknown), (text, ()))


class ReadTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp())

    def refused(self, data: bytes) -> str:
        self.path.write_bytes(data)
        return str(self.assertRaises(IniError, read_text, self.path, 100))

    def test_byte_order_mark(self) -> None:
        self.path.write_bytes(b"\xef\xbb\xbf[a]")
        self.assertEqual(read_text(self.path), "[a]")

    def test_other_encodings(self) -> None:
        self.assertIn("UTF-16", self.refused("[a]".encode("utf-16")))
        self.assertIn("line 2 is not UTF-8", self.refused(b"[a]\nk = \xe9\n"))
        self.assertIn("NUL", self.refused(b"[a]\0"))

    def test_too_long(self) -> None:
        self.assertIn("longer than 100 bytes", self.refused(b"#" * 101))

    def test_no_file(self) -> None:
        refused = self.assertRaises(IniError, read_text, self.path)
        self.assertIn("no such file", str(refused))
        self.path.mkdir()
        refused = self.assertRaises(IniError, read_text, self.path)
        self.assertIn("directory", str(refused))

    def test_odd_paths(self) -> None:
        for path in ("a\0b", "x" * 5000, "/dev/null/x"):
            refused = self.assertRaises(IniError, read_text, Path(path))
            self.assertIn("cannot be read", str(refused))
