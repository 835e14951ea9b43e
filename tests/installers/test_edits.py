"""Files of settings keep what they have, to the last comment."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from pypicloud_tw.errors import ConfigError
from pypicloud_tw.installers import files, ini_edits, toml_edits
from pypicloud_tw.installers.files import Change

PATH = Path("settings")
SECRET = "correct horse"
OTHER = f"[global]\na={SECRET}\n"


class IniTests(SynchronousTestCase):
    def add(self, text: str, **settings: str) -> str:
        return ini_edits.with_settings(text, "global", settings, PATH)

    def test_empty(self) -> None:
        self.assertEqual(self.add("", a="1"), "[global]\na = 1\n")

    def test_another_section_stays(self) -> None:
        before = "# ours\n[list]\nformat = json"
        self.assertEqual(self.add(before, a="1"), f"{before}\n\n[global]\na = 1\n")

    def test_its_section(self) -> None:
        before = "[global]\n# slow\ntimeout: 60\n\n[list]\nformat=json\n"
        after = "[global]\na = 1\n# slow\ntimeout: 60\n\n[list]\nformat=json\n"
        self.assertEqual(self.add(before, a="1"), after)
        self.assertEqual(self.add(after, a="1"), after)

    def test_a_section_at_the_end_of_a_file(self) -> None:
        self.assertEqual(self.add("[global]", a="1"), "[global]\na = 1\n")

    def test_another_value(self) -> None:
        error = self.assertRaises(
            ConfigError, self.add, f"[global]\na={SECRET}\n", a="1"
        )
        self.assertIn("settings has another a in [global]", error.message)
        self.assertNotIn(SECRET, error.message)

    def test_nonsense(self) -> None:
        error = self.assertRaises(ConfigError, self.add, f"{SECRET}\n", a="1")
        self.assertEqual(error.message, "settings cannot be read as an ini file.")

    def test_a_value_of_several_lines(self) -> None:
        """It is none of others."""
        after = self.add("", a="1\n[evil]\nb = 2")
        self.assertEqual(after, "[global]\na = 1\n    [evil]\n    b = 2\n")

    def test_written_otherwise(self) -> None:
        """It is left alone, and said what to add."""
        indented = " [global]\nb = 1\n"
        error = self.assertRaises(ConfigError, self.add, indented, a="1")
        self.assertIn("is left alone: add [global]; a = 1", error.message)
        twice = "[distutils]\na=1\n[x]\n[distutils]\nindex-servers = old\n"
        error = self.assertRaises(ConfigError, self.word, twice)
        self.assertIn("is left alone: add index-servers = new", error.message)

    def word(self, text: str) -> str:
        return ini_edits.with_word(text, "distutils", "index-servers", "new", PATH)

    def test_words(self) -> None:
        for before, after in {
            "": "[distutils]\nindex-servers =\n    new\n",
            "[distutils]\nindex-servers =\n    old\n": (
                "[distutils]\nindex-servers =\n    new\n    old\n"
            ),
            "[distutils]\nindex-servers = old\n": (
                "[distutils]\nindex-servers =\n    old\n    new\n"
            ),
            "[distutils]\nindex-servers: old\n  older\n[old]\n": (
                "[distutils]\nindex-servers:\n    old\n    new\n  older\n[old]\n"
            ),
            "[distutils]\n# mine\n\n[x]\n": (
                "[distutils]\nindex-servers =\n    new\n# mine\n\n[x]\n"
            ),
        }.items():
            self.assertEqual(self.word(before), after)
            self.assertEqual(self.word(after), after)

    def test_ends_of_lines(self) -> None:
        """New lines have those of the file, and its own keep theirs."""
        for before, after in {
            "[global]\r\nb = 2\r\n": "[global]\r\na = 1\r\nb = 2\r\n",
            "[global]\r\nb = 2\n": "[global]\r\na = 1\r\nb = 2\n",
            "[global]\nb = 2\r\n": "[global]\na = 1\nb = 2\r\n",
            "[global]\rb = 2": "[global]\ra = 1\rb = 2",
            "[x]\r\nb = 2": "[x]\r\nb = 2\r\n\r\n[global]\r\na = 1\r\n",
            "\r\n": "\r\n[global]\r\na = 1\r\n",
            "# \u2028\x0c\n[global]": "# \u2028\x0c\n[global]\na = 1\n",
        }.items():
            self.assertEqual(self.add(before, a="1"), after)
        before = "[distutils]\r\nindex-servers = old\r\n"
        self.assertEqual(
            self.word(before),
            "[distutils]\r\nindex-servers =\r\n    old\r\n    new\r\n",
        )


class TomlTests(SynchronousTestCase):
    def table(self, text: str, *place: str, **settings: object) -> str:
        return toml_edits.with_table(text, place, settings, PATH)

    def entry(self, text: str) -> str:
        return toml_edits.with_entry(text, ("tool", "uv", "index"), {"name": "a"}, PATH)

    def test_empty(self) -> None:
        self.assertEqual(self.table("", "a", "b", c=True), "[a.b]\nc = true\n")

    def test_a_table_that_is_there(self) -> None:
        before = "# mine\n[a] # here\nb = 1\n\n[c]\n"
        after = '# mine\n[a] # here\nd = "x"\nb = 1\n\n[c]\n'
        self.assertEqual(self.table(before, "a", d="x"), after)
        self.assertEqual(self.table(after, "a", d="x"), after)

    def test_a_table_of_which_only_others_are_there(self) -> None:
        self.assertEqual(
            self.table("[a.c]\nb = 1\n", "a", d="x"),
            '[a.c]\nb = 1\n\n[a]\nd = "x"\n',
        )

    def test_written_otherwise(self) -> None:
        """It is left alone, and said what to add."""
        for text in ("a = {b = 1}\n", "a.b = 1\n", "a = 1\n"):
            error = self.assertRaises(ConfigError, self.table, text, "a", d="x")
            self.assertIn("is left alone: add [a]", error.message)

    def test_another_value(self) -> None:
        error = self.assertRaises(ConfigError, self.table, "[a]\nd = 1\n", "a", d="x")
        self.assertIn("settings has another d in [a]", error.message)

    def test_nonsense(self) -> None:
        error = self.assertRaises(ConfigError, self.table, SECRET, "a", d="x")
        self.assertEqual(error.message, "settings cannot be read as a TOML file.")

    def test_entries(self) -> None:
        text = self.entry('[project]\nname = "x" # ours\n')
        self.assertTrue(text.startswith('[project]\nname = "x" # ours\n'), text)
        found = tomllib.loads(self.entry(text))["tool"]["uv"]["index"]
        self.assertEqual(found, [{"name": "a"}, {"name": "a"}])

    def test_ends_of_lines(self) -> None:
        self.assertEqual(
            self.table("[a]\r\nb = 1\r\n", "a", d=2), "[a]\r\nd = 2\r\nb = 1\r\n"
        )
        self.assertEqual(
            self.table("[c]\r\nb = 1", "a", d=2),
            "[c]\r\nb = 1\r\n\r\n[a]\r\nd = 2\r\n",
        )

    def test_entries_written_otherwise(self) -> None:
        for text in ("[tool.uv]\nindex = []\n", "[tool]\nuv = {}\n", "tool = 1\n"):
            error = self.assertRaises(ConfigError, self.entry, text)
            self.assertIn("is left alone: add [[tool.uv.index]]", error.message)


class FileTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.path = self.folder / "made" / "settings"

    def write(self, after: str, *, private: bool = False) -> None:
        Change(self.path, files.read(self.path), after, private).write()

    def mode(self) -> int:
        return self.path.stat().st_mode & 0o777

    def test_made_with_its_folder(self) -> None:
        self.write("a\r\n")
        self.assertEqual(self.path.read_bytes(), b"a\r\n")
        self.assertEqual(self.mode() & 0o600, 0o600)
        self.assertEqual([self.path], [*self.path.parent.iterdir()])

    def test_its_mode_stays(self) -> None:
        self.write("a")
        self.path.chmod(0o640)
        self.write("b")
        self.assertEqual((self.path.read_text(), self.mode()), ("b", 0o640))

    def test_what_may_hold_a_password(self) -> None:
        self.write("a")
        self.path.chmod(0o644)
        self.write("b", private=True)
        self.assertEqual(self.mode(), 0o600)

    def test_a_link(self) -> None:
        real = self.folder / "real"
        real.write_text("a")
        self.path.parent.mkdir()
        self.path.symlink_to(real.absolute())
        self.write("b")
        self.assertTrue(self.path.is_symlink())
        self.assertEqual(real.read_text(), "b")

    def test_only_files(self) -> None:
        for path in (Path("/dev/null"), self.folder):
            error = self.assertRaises(ConfigError, files.read, path)
            self.assertIn("is no file", error.message)

    def test_its_owner_stays(self) -> None:
        if os.getuid() != 0:
            raise SkipTest("Only root gives files away.")
        self.write("a")
        os.chown(self.path, 12345, 23456)
        self.write("b", private=True)
        there = self.path.stat()
        self.assertEqual((there.st_uid, there.st_gid), (12345, 23456))

    def test_what_cannot_be_written(self) -> None:
        """It is named, rather than what would have been moved there."""
        self.path.parent.write_text("a file")
        error = self.assertRaises(OSError, Change(self.path, None, "a").write)
        self.assertEqual(error.filename, str(self.path.absolute()))
        self.assertTrue(error.strerror)

    def test_a_byte_order_mark(self) -> None:
        path = self.folder / "x"
        path.write_bytes(b"\xef\xbb\xbf[global]\n")
        error = self.assertRaises(ConfigError, files.read, path)
        self.assertIn("x begins with a byte order mark", error.message)

    def test_no_text(self) -> None:
        path = self.folder / "x"
        path.write_bytes(b"\xff")
        error = self.assertRaises(ConfigError, files.read, path)
        self.assertIn("is not UTF-8 text", error.message)

    def test_what_stays_is_not_shown(self) -> None:
        before = f"[a]\npassword = {SECRET}\n"
        diff = Change(PATH, before, f"{before}b = 1\n").diff()
        self.assertIn("+b = 1", diff)
        self.assertNotIn(SECRET, diff)

    def test_what_gets_an_end_is_not_shown(self) -> None:
        before = f"[a]\npassword = {SECRET}"
        diff = Change(PATH, before, f"{before}\nb = 1\n").diff()
        self.assertEqual(diff.splitlines()[3:], ["+b = 1"])
