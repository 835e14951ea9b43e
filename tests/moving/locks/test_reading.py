"""Lock files of each format, as they are read."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.errors import BadRequest
from pypicloud_tw.moving.locks.reading import read_lock, read_locks
from pypicloud_tw.moving.locks.values import Lock
from tests.moving.locks.files import PYLOCK, UV, A, B


class ReadingCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    def write_bytes(self, data: bytes) -> Path:
        path = self.folder / "requirements.txt"
        path.write_bytes(data)
        return path

    def read(self, name: str, text: str) -> Lock:
        return read_lock(self.write(name, text))

    def refused(self, name: str, text: str) -> str:
        path = self.write(name, text)
        return str(self.assertRaises(BadRequest, read_lock, path))


class UvTests(ReadingCase):
    def test_files(self) -> None:
        releases = {str(one): one for one in self.read("uv.lock", UV).releases}
        self.assertEqual(list(releases), ["colorama 0.4.6", "numpy 1.0", "numpy 2.0"])
        wheel, sdist = releases["colorama 0.4.6"].files or ()
        self.assertEqual(wheel.filename, "colorama-0.4.6-py2.py3-none-any.whl")
        self.assertEqual((wheel.sha256, wheel.size, wheel.is_wheel), (B, 25335, True))
        self.assertEqual((sdist.sha256, sdist.is_wheel), (A, False))

    def test_names_are_unquoted(self) -> None:
        files = self.read("uv.lock", UV).releases[2].files or ()
        name = "numpy-2.0+local-cp312-cp312-manylinux_2_28_x86_64.whl"
        self.assertEqual([file.filename for file in files], [name])

    def test_markers(self) -> None:
        told = [list(map(str, r.markers)) for r in self.read("uv.lock", UV).releases]
        windows, others = 'sys_platform == "win32"', 'sys_platform != "win32"'
        self.assertEqual(told, [[windows], [windows], [others]])

    def test_what_is_needed_always(self) -> None:
        """One way without a marker is enough."""
        more = '[[package]]\nname = "b"\nversion = "1"\nsource = { virtual = "." }\n'
        more += 'dependencies = [{ name = "colorama" }]\n'
        self.assertEqual(self.read("uv.lock", UV + more).releases[0].markers, ())

    def test_extras_of_uv(self) -> None:
        """Only uv knows what these are, so they hold."""
        text = UV.replace(
            '{ name = "colorama", marker = "sys_platform == \'win32\'" }',
            '{ name = "colorama", marker = "extra == \'extra-4-room-x\'" }',
        )
        self.assertEqual(self.read("uv.lock", text).releases[0].markers, ())

    def test_notes(self) -> None:
        self.assertEqual(
            self.read("uv.lock", UV).notes,
            (
                "uv.lock: forked is from a git repository, and not mirrored.",
                "uv.lock: linked is from a URL, and not mirrored.",
                "uv.lock: beside is from a file, and not mirrored.",
                "uv.lock: flat is from a folder, and not mirrored.",
            ),
        )

    def test_other_formats(self) -> None:
        told = self.refused("uv.lock", UV.replace("version = 1\n", "version = 2\n", 1))
        self.assertIn("the format 2, of which only 1 is known", told)

    def test_broken(self) -> None:
        self.assertIn("no TOML", self.refused("uv.lock", "version ="))
        for text in (
            "version = 1\n[[package]]\nversion = '1'",
            "version = 1\npackage = 'a'",
            "version = 1\n[[package]]\nname = 'a'\nsource = 'b'",
        ):
            self.assertIn("not as uv writes it", self.refused("uv.lock", text))

    def test_versions(self) -> None:
        text = "version = 1\n[[package]]\nname = 'a'\nversion = '1..'\n"
        text += "source = { registry = 'https://index.example/' }"
        self.assertIn("a has the version '1..'", self.refused("uv.lock", text))

    def test_names(self) -> None:
        text = UV.replace('name = "colorama"', 'name = "../colorama"')
        told = self.refused("uv.lock", text)
        self.assertIn("uv.lock: '../colorama': This is not a valid project", told)

    def test_addresses(self) -> None:
        text = UV.replace("https://files.example/", "https://[files.example/")
        self.assertIn("not as uv writes it", self.refused("uv.lock", text))

    def test_markers_that_are_none(self) -> None:
        """The message has one line, whatever follows."""
        told = self.refused("uv.lock", UV.replace("sys_platform == 'win32'", "a b"))
        self.assertIn("InvalidMarker", told)
        self.assertEqual(len(told.splitlines()), 1)

    def test_what_no_one_can_read(self) -> None:
        for name in ("uv.lock", "pylock.toml"):
            for text in ("a = " + "[" * 5000 + "]" * 5000, "a = " + "9" * 5000):
                self.assertIn("It is no TOML", self.refused(name, text))


class PylockTests(ReadingCase):
    def test_files(self) -> None:
        colorama, extra = self.read("pylock.room.toml", PYLOCK).releases
        wheel, sdist = colorama.files or ()
        self.assertEqual((wheel.sha256, sdist.sha256), (B, A))
        self.assertEqual(str(colorama.markers[0]), 'sys_platform == "win32"')
        self.assertEqual(extra.markers, ())
        self.assertEqual((extra.files or ())[0].sha256, None)

    def test_notes(self) -> None:
        self.assertEqual(
            self.read("pylock.toml", PYLOCK).notes,
            ("pylock.toml: forked is from a repository, and not mirrored.",),
        )

    def test_broken(self) -> None:
        self.assertIn("no TOML", self.refused("pylock.toml", "a"))
        self.assertIn("PEP 751", self.refused("pylock.toml", "a = 1"))
        newer = PYLOCK.replace('"1.0"', '"2.0"', 1)
        self.assertIn("PEP 751", self.refused("pylock.toml", newer))
        other = PYLOCK.replace("https://files.example/", "https://[files.example/")
        self.assertIn("PEP 751", self.refused("pylock.toml", other))
        deep = PYLOCK.replace("sys_platform == 'win32'", "(" * 5000)
        told = self.refused("pylock.toml", deep)
        self.assertIn("PEP 751", told)
        self.assertLess(len(told), 200)


class RequirementsTests(ReadingCase):
    def requirements(self, text: str) -> Lock:
        return self.read("requirements.txt", text)

    def test_pins(self) -> None:
        lock = self.requirements(
            "# a comment\n\nAcme.Tool[extra] == 1.0  # why\nother===2.0\n"
        )
        self.assertEqual(list(map(str, lock.releases)), ["acme-tool 1.0", "other 2.0"])
        self.assertEqual([one.files for one in lock.releases], [None, None])

    def test_hashes(self) -> None:
        text = f"acme==1 \\\n  --hash=sha256:{A} \\\n  --hash=sha256:{B}\n    # via x\n"
        (release,) = self.requirements(text).releases
        self.assertEqual(release.digests, {A, B})

    def test_markers(self) -> None:
        lock = self.requirements(
            f"a==1 ; sys_platform == 'win32' --hash=sha256:{A}\nb==1;extra=='x'"
        )
        self.assertEqual(str(lock.releases[0].markers[0]), 'sys_platform == "win32"')
        self.assertEqual(lock.releases[0].digests, {A})
        self.assertEqual(lock.releases[1].markers, ())

    def test_includes(self) -> None:
        self.write("more/base.txt", "b==2\n-r ../requirements.txt\n")
        lock = self.requirements("-r more/base.txt\n--requirement=more/base.txt\na==1")
        self.assertEqual(list(map(str, lock.releases)), ["b 2", "a 1"])

    def test_constraints(self) -> None:
        self.write("pins.txt", f"a==1 --hash=sha256:{A}\nunused==3\n")
        (release,) = self.requirements("a>=0.5\n-c pins.txt\n").releases
        self.assertEqual((str(release), release.digests), ("a 1", {A}))

    def test_constraints_of_several_systems(self) -> None:
        """Each pin is a release, where its marker and the requirement's hold."""
        self.write(
            "pins.txt",
            f"a==1 ; python_version < '3.10' --hash=sha256:{A}\n"
            f"a==2 ; python_version >= '3.10' --hash=sha256:{B}\n",
        )
        lock = self.requirements("a ; os_name == 'nt'\na==2\n-c pins.txt\n")
        self.assertEqual(
            [(str(r), r.digests, list(map(str, r.markers))) for r in lock.releases],
            [
                ("a 1", {A}, ['os_name == "nt" and python_version < "3.10"']),
                ("a 2", {B}, ['os_name == "nt" and python_version >= "3.10"']),
                ("a 2", {B}, []),
            ],
        )

    def test_deep_includes(self) -> None:
        for number in range(600):
            self.write(f"{number}.txt", f"-r {number + 1}.txt\na{number}==1")
        self.write("600.txt", "deep==1")
        names = [one.name for one in self.requirements("-r 0.txt").releases]
        self.assertEqual((names[0], names[-1], len(names)), ("deep", "a0", 601))

    def test_too_many_includes(self) -> None:
        for number in range(1000):
            self.write(f"{number}.txt", f"-r {number + 1}.txt")
        told = self.refused("requirements.txt", "-r 0.txt")
        self.assertIn("more than 1000 files are included", told)

    def test_paths_that_are_none(self) -> None:
        (self.folder / "loop").symlink_to("loop")
        self.assertIn("only files", self.refused("requirements.txt", "-r a\0b"))
        self.assertIn("symbolic links", self.refused("requirements.txt", "-r loop"))

    def test_names_and_versions_that_are_none(self) -> None:
        text = f"a===b\n{'n' * 300}==1\na==1.{'9' * 2000}"
        told = self.refused("requirements.txt", text).splitlines()
        self.assertIn("requirements.txt, line 1: 'b' is no version.", told[0])
        self.assertIn("line 2: This name is longer", told[1])
        self.assertIn("line 3: '1.999", told[2])
        self.assertLess(len(told[2]), 200)

    def test_secrets(self) -> None:
        """Addresses are named without who logs in there."""
        lines = (
            "-e git+https://ann:s3cret@git.example/a#egg=a",
            "-egit+https://s3cret@git.example/a",
            "--editable=git+ssh://ann:s3cret@git.example/a",
            "https://ann:s3cret@files.example/a-1-py3-none-any.whl",
            "a @ https://ann:s3cret@files.example/a-1.whl",
        )
        notes = self.requirements("\n".join(lines)).notes
        self.assertEqual(len(notes), len(lines))
        self.assertNotIn("s3cret", str(notes))
        self.assertIn("git+https://***@git.example/a", notes[1])
        for line in (
            "-r https://ann:s3cret@files.example/a.txt",
            "a @@ http://s3cret@b",
        ):
            told = self.refused("requirements.txt", line)
            self.assertNotIn("s3cret", told)

    def test_unpinned(self) -> None:
        told = self.refused("requirements.txt", "a\nb>=1\nc==1.*\nd==1\n")
        self.assertEqual(len(told.splitlines()), 3)
        self.assertIn("requirements.txt, line 2: b>=1 is not pinned; say b==VER", told)

    def test_other_hashes(self) -> None:
        told = self.refused("requirements.txt", "a==1 --hash=sha512:12")
        self.assertIn("line 1: none of its hashes is a SHA-256", told)

    def test_options(self) -> None:
        """They say where pip looks; here the upstreams are asked."""
        text = "-i https://index.example/simple\n--no-binary :all:\n--pre\na==1"
        self.assertEqual(list(map(str, self.requirements(text).releases)), ["a 1"])

    def test_elsewhere(self) -> None:
        lock = self.requirements(
            "-e .\n./a-1.whl\ngit+https://git.example/b\nc @ https://files.example/c.whl"
            "\n.\n.[dev]\n.. ; os_name == 'nt'"
        )
        self.assertEqual(lock.releases, ())
        self.assertEqual(len(lock.notes), 7)

    def test_nonsense(self) -> None:
        told = self.refused("requirements.txt", "a==1\n\\\n\nb = = 2")
        self.assertIn("line 4 is no requirement", told)

    def test_urls_are_not_included(self) -> None:
        told = self.refused("requirements.txt", "-r https://files.example/a.txt")
        self.assertIn("only files beside it can be included", told)

    def test_not_there(self) -> None:
        told = self.refused("requirements.txt", "-r missing.txt")
        self.assertIn("missing.txt: No such file", told)


class SeveralTests(ReadingCase):
    def test_several(self) -> None:
        paths = [
            self.write("uv.lock", UV),
            self.write("requirements.txt", "a==1"),
            self.write("dev-requirements.txt", "b==1"),
        ]
        lock = read_locks(paths)
        self.assertEqual(len(lock.releases), 5)
        self.assertEqual({one.lock for one in lock.releases}, {p.name for p in paths})

    def test_all_problems(self) -> None:
        paths = [self.write("a.txt", "a"), self.write("poetry.lock", "")]
        told = self.assertRaises(BadRequest, read_locks, paths).message
        self.assertIn("a.txt", told)
        self.assertIn("poetry.lock: Only uv.lock, pylock.toml", told)
        self.assertIn("this writes one: poetry export", told)
        told = self.refused("Pipfile", "[packages]")
        self.assertIn("this writes one: pipenv requirements --hash", told)
        self.assertIn("most tools can export to one", self.refused("a.lock", ""))

    def test_no_text(self) -> None:
        path = self.write_bytes(b"\xff\xff")
        told = self.assertRaises(BadRequest, read_lock, path).message
        self.assertIn("not UTF-8", told)

    def test_byte_order_mark(self) -> None:
        path = self.write_bytes(b"\xef\xbb\xbfa==1\r\nb==2\r\n")
        self.assertEqual(len(read_lock(path).releases), 2)

    def test_utf_16(self) -> None:
        """As Windows PowerShell writes what pip freeze tells."""
        path = self.write_bytes("a==1\r\nb==2\r\n".encode("utf-16"))
        self.assertEqual(len(read_lock(path).releases), 2)
        self.write_bytes(b"\xff\xfea")
        self.assertRaises(BadRequest, read_lock, path)
