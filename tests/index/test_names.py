"""Names are parsed once, and whatever is refused is refused with a reason."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from packaging.version import InvalidVersion, Version
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.errors import BadRequest
from pypicloud_tw.index.model import Tombstone
from pypicloud_tw.index.names import (
    MAX_FILENAME,
    MAX_VERSION,
    FileKind,
    Filename,
    file_identity,
    hint,
    parse_version,
    project_name,
    version_hint,
    without_variant,
)
from pypicloud_tw.index.selections import with_numbers
from tests.builders import MORNING

#: Eleven of them; in three lists they are 1,331.
TAGS = ".".join("abcdefghijk")


class VersionTests(SynchronousTestCase):
    def test_versions(self) -> None:
        self.assertEqual(parse_version("v1.0-RC.1"), Version("1.0rc1"))
        self.assertEqual(parse_version("1" * MAX_VERSION), Version("1" * MAX_VERSION))

    def test_what_is_none(self) -> None:
        for text in ("", "x", "1" * (MAX_VERSION + 1), "1" * 5000, "1a" + "1" * 5000):
            self.assertRaises(InvalidVersion, parse_version, text)


class ProjectNameTests(SynchronousTestCase):
    def test_normalizes_as_pep_503_says(self) -> None:
        self.assertEqual(project_name("Acme_Tool.x"), "acme-tool-x")

    def test_refuses_what_pep_508_does(self) -> None:
        for text in ("", "-acme", "acme/x", "acme\n", "ácme", "a" * 3 + "\0"):
            error = self.assertRaises(BadRequest, project_name, text)
            self.assertIn("not a valid project name", error.message)

    def test_refuses_what_is_longer_than_any_file_can_be_called(self) -> None:
        """Whoever asks, names that were not found are remembered by the thousand."""
        self.assertEqual(len(project_name("a" * MAX_FILENAME)), MAX_FILENAME)
        error = self.assertRaises(BadRequest, project_name, "a" * (MAX_FILENAME + 1))
        self.assertIn(f"longer than {MAX_FILENAME}", error.message)


class FilenameTests(SynchronousTestCase):
    def test_wheel(self) -> None:
        name = Filename.parse("Acme_Tool-1.0.post1-1-py3-none-any.whl")
        self.assertEqual(
            (name.project, name.version, name.kind),
            ("acme-tool", Version("1.0.post1"), FileKind.WHEEL),
        )

    def test_sdist(self) -> None:
        name = Filename.parse("acme-tool-1.0.tar.gz")
        self.assertEqual(
            (name.project, name.version, name.kind),
            ("acme-tool", Version("1.0"), FileKind.SDIST),
        )

    def test_tags_in_use(self) -> None:
        for tags in (
            "py3-none-any",
            "py2.py3-none-any",
            "cp39.cp310-abi3-win_amd64",
            "cp27-cp27mu-manylinux_2_17_x86_64.manylinux2014_x86_64",
            "1-cp311-cp311-macosx_10_9_universal2",
            "2_build.x-cp311-cp311-linux_armv6l",
            "graalpy311-graalpy242_311_native-musllinux_1_2_x86_64",
        ):
            self.assertEqual(Filename.parse(f"acme-1.0-{tags}.whl").project, "acme")

    def test_what_is_no_tag(self) -> None:
        for tags in (
            "py3-*-any",
            "py3-none-*",
            "py3-<b>-any",
            "py3-none-%2f",
            "py3-none-any?x",
            "py3-none-any#x",
            "py3-none-'any'",
            "py3-none-any;",
            "py3-a..b-any",
            "py3-none-.any",
            "py3-none-any.",
            "py3-none-a+b",
            "py3-none-a!b",
            "1<b>-py3-none-any",
            "1?-py3-none-any",
        ):
            for legacy in (False, True):
                with self.assertRaises(BadRequest) as caught:
                    Filename.parse(f"acme-1.0-{tags}.whl", legacy=legacy)
                self.assertRegex(caught.exception.message, "made of|not a valid wheel")

    def test_characters_that_no_name_has(self) -> None:
        for text in ("acme-1.0-<b>.egg", "acme-1.0?.exe", "acme%2f-1.0.tar.gz"):
            error = self.assertRaises(BadRequest, Filename.parse, text, legacy=True)
            self.assertIn("is made of letters", error.message)

    def test_normalized_or_not(self) -> None:
        for text in (
            "acme_tool-1.0-py3-none-any.whl",
            "acme_tool-1.0.tar.gz",
            "acme-1!2.0+abc.1-1-py3-none-any.whl",
        ):
            self.assertTrue(Filename.parse(text).is_normalized(), text)
        for text in (
            "Acme-1.0.tar.gz",
            "acme-tool-1.0.tar.gz",
            "acme.tool-1.0-py3-none-any.whl",
            "acme-1.0.RC1.tar.gz",
            "acme-01.0-py3-none-any.whl",
        ):
            self.assertFalse(Filename.parse(text).is_normalized(), text)

    def test_legacy_formats_only_if_asked(self) -> None:
        cases = {
            "acme-1.0-py2.7.egg": FileKind.EGG,
            "acme-tool-1.0.zip": FileKind.SDIST,
            "acme-1.0.tar.bz2": FileKind.SDIST,
            "acme-1.0.win32-py2.7.exe": FileKind.WININST,
            "acme-1.0.win-amd64.exe": FileKind.WININST,
        }
        for text, kind in cases.items():
            error = self.assertRaises(BadRequest, Filename.parse, text)
            self.assertIn("pypi.legacy_formats", error.message)
            name = Filename.parse(text, legacy=True)
            self.assertEqual((name.kind, name.version), (kind, Version("1.0")), text)

    def test_only_the_project_tells_where_some_versions_begin(self) -> None:
        for text, project, version in (
            ("acme-1.0-2.tar.gz", "acme", "1.0.post2"),
            ("acme-1.0-2.tar.gz", "acme-1-0", "2"),
            ("Acme.Tool-2.0-dev-9212.tar.gz", "acme-tool", "2.0.dev9212"),
            ("acme-1.0-2.zip", "acme", "1.0.post2"),
            ("acme-1.0-py2.7.egg", "acme", "1.0"),
        ):
            name = Filename.parse(text, legacy=True, project=project)
            self.assertEqual((name.project, str(name.version)), (project, version))

    def test_a_project_that_it_is_not_of_changes_nothing(self) -> None:
        for text in (
            "acme-1.0-2.tar.gz",
            "acme-1.0-py3-none-any.whl",
            "acme-tool-1.0.tar.gz",
            "acme-tool-1.0.zip",
        ):
            name = Filename.parse(text, legacy=True)
            for project in ("other", "acm", "", "acme-1"):
                said = Filename.parse(text, legacy=True, project=project)
                self.assertEqual(said, name)

    def test_says_why_a_name_is_refused(self) -> None:
        cases = {
            "acme-1.0.whl": "wrong number of parts",
            "acme-one-py3-none-any.whl": "invalid version",
            "acme.tar.gz": "not a valid source distribution name",
            "../acme-1.0.tar.gz": "not a path",
            "a\\acme-1.0.tar.gz": "not a path",
            "acme-1.0.tar.gz\0.whl": "printable ASCII",
            "acme-1.0.tar.gz\r\nX: y": "printable ASCII",
            "notes.txt": "must end in .whl or .tar.gz",
            "a" * MAX_FILENAME + "-1.0.tar.gz": "longer than",
            f"a-1-{TAGS}-{TAGS}-{TAGS}.whl": "more than 1000 tags",
        }
        for text, reason in cases.items():
            error = self.assertRaises(BadRequest, Filename.parse, text)
            self.assertIn(reason, error.message)

    @given(st.text(), st.booleans())
    def test_any_text_parses_or_raises_one_error(self, text: str, legacy: bool) -> None:
        for suffix in ("", ".whl", ".tar.gz", ".zip", ".exe"):
            try:
                name = Filename.parse(text + suffix, legacy=legacy)
            except BadRequest as e:
                self.assertTrue(e.message.isprintable() or "\n" not in e.message)
            else:
                self.assertEqual(name.text, text + suffix)
                self.assertEqual(project_name(name.project), name.project)


_spelled_versions = st.builds(
    lambda epoch, release, zeros, pre, post, local: (
        f"{epoch}{'.'.join(release)}{'.0' * zeros}{pre}{post}{local}"
    ),
    st.sampled_from(["", "0!", "00!", "1!"]),
    st.lists(st.sampled_from(["0", "1", "01", "10", "2"]), min_size=1, max_size=3),
    st.integers(0, 2),
    st.sampled_from(["", "a1", "alpha01", "b", "b0", "rc2", "c2"]),
    st.sampled_from(["", ".post", ".post0", ".post1", ".rev1", ".dev", ".dev0"]),
    st.sampled_from(["", "+a.1", "+A.01"]),
)


class HintTests(SynchronousTestCase):
    """Cheap, and never different where what it stands for is equal."""

    @given(_spelled_versions, _spelled_versions)
    def test_of_versions(self, one: str, other: str) -> None:
        if parse_version(one) == parse_version(other):
            self.assertEqual(version_hint(one), version_hint(other))

    @given(
        _spelled_versions,
        _spelled_versions,
        st.sampled_from(["acme-{}.tar.gz", "Acme-{}-py2.py3-none-any.whl"]),
        st.sampled_from(["ACME-{}.tar.gz", "acme-{}-py3.py2-none-any.whl"]),
    )
    def test_of_files(self, one: str, other: str, first: str, second: str) -> None:
        a, b = first.format(one), second.format(other)
        if file_identity(a) == file_identity(b):
            self.assertEqual(hint(a), hint(b))

    @given(
        _spelled_versions,
        st.sampled_from(["acme2-{}.tar.gz", "acme2-{}-py3-none-any.whl", "a-{}.zip"]),
    )
    def test_of_a_deleted_file_s_release(self, version: str, name: str) -> None:
        tombstone = Tombstone(name.format(version), "0" * 64, "k", MORNING)
        for spelled in (version, str(Version(version))):
            self.assertEqual(list(with_numbers([tombstone], spelled)), [tombstone])
        self.assertEqual(list(with_numbers([tombstone], "77")), [])

    def test_tells_others_apart(self) -> None:
        names = ["acme-1.0.tar.gz", "acme-1.1.tar.gz", "acme-1.0-py3-none-any.whl"]
        self.assertEqual(len(set(map(hint, names))), 3)

    def test_of_what_is_no_file_s_name(self) -> None:
        for text in ("", ".whl", "x.whl", ".tar.gz", "acme-1.0.zip"):
            self.assertIsInstance(hint(text), str)


class VariantTests(SynchronousTestCase):
    """Wheel variants (PEP 817, 825)."""

    def test_label(self) -> None:
        for text, plain in (
            ("acme-1.0-py3-none-any-cu126.whl", "acme-1.0-py3-none-any.whl"),
            ("acme-1.0-1-py3-none-any-x_v3.whl", "acme-1.0-1-py3-none-any.whl"),
            ("acme-1.0-variants.json", "acme-1.0.tar.gz"),
        ):
            self.assertEqual(without_variant(text), plain)

    def test_none(self) -> None:
        for text in (
            "acme-1.0-py3-none-any.whl",
            "acme-1.0-1-py3-none-any.whl",
            "acme-1.0-py3-none-any-TOO.whl",
            "acme-1.0-py3-none-any-a_label_that_is_long.whl",
            "acme-1.0.whl",
            "acme-1.0.tar.gz",
            "-.whl",
        ):
            self.assertIsNone(without_variant(text), text)
