"""Which files are wanted, by platforms and Pythons."""

from __future__ import annotations

from packaging.markers import Marker
from packaging.utils import canonicalize_name
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.errors import BadRequest
from pypicloud_tw.moving.locks.platforms import Wanted, parse_platform
from pypicloud_tw.moving.locks.selection import chosen, installed_anywhere
from pypicloud_tw.moving.locks.values import LockedRelease

ANY = "a-1-py3-none-any.whl"
SDIST = "a-1.tar.gz"
LINUX = "a-1-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"
NEWER = "a-1-cp312-cp312-manylinux_2_34_x86_64.whl"
MUSL = "a-1-cp312-cp312-musllinux_1_1_x86_64.whl"
MAC = "a-1-cp312-cp312-macosx_11_0_arm64.whl"
FAT = "a-1-cp312-cp312-macosx_10_13_universal2.whl"
WINDOWS = "a-1-cp312-cp312-win_amd64.whl"
STABLE = "a-1-cp39-abi3-manylinux_2_5_x86_64.whl"
THREADS = "a-1-cp313-cp313t-manylinux_2_17_x86_64.whl"
ODD = "a-1.exe"

ALL = [ANY, SDIST, LINUX, NEWER, MUSL, MAC, FAT, WINDOWS, STABLE, THREADS, ODD]


class ChosenTests(SynchronousTestCase):
    def chosen(
        self, *platforms: str, python: str = "", sdists: bool = False, of: object = ALL
    ) -> set[str]:
        wanted = Wanted.of(platforms, python.split(), sdists=sdists)
        assert isinstance(of, list)
        return set(chosen(of, str, wanted))

    def test_all_wheels(self) -> None:
        self.assertEqual(self.chosen(), set(ALL) - {SDIST, ODD})

    def test_sources(self) -> None:
        self.assertEqual(self.chosen(of=[SDIST]), {SDIST})
        self.assertEqual(self.chosen(of=[ANY, SDIST], sdists=True), {ANY, SDIST})
        self.assertEqual(self.chosen("windows", of=[LINUX, SDIST]), {SDIST})
        self.assertEqual(
            self.chosen("windows", "linux", of=[LINUX, SDIST]), {LINUX, SDIST}
        )

    def test_platforms(self) -> None:
        linux = {ANY, LINUX, STABLE, THREADS}
        for name in ("linux", "manylinux_2_28_x86_64", "x86_64-manylinux2014"):
            self.assertEqual(self.chosen(name), linux, name)
        self.assertEqual(self.chosen("x86_64-manylinux_2_34"), linux | {NEWER})
        self.assertEqual(self.chosen("manylinux1_x86_64"), {ANY, STABLE})
        self.assertEqual(self.chosen("x86_64-unknown-linux-musl"), {ANY, MUSL})
        self.assertEqual(self.chosen("macos"), {ANY, MAC, FAT})
        self.assertEqual(self.chosen("windows"), {ANY, WINDOWS})
        self.assertEqual(self.chosen("win_amd64", "macos"), {ANY, WINDOWS, MAC, FAT})

    def test_pythons(self) -> None:
        self.assertEqual(self.chosen("linux", python="3.12"), {ANY, LINUX, STABLE})
        self.assertEqual(self.chosen("linux", python="3.13t"), {ANY, THREADS})
        self.assertEqual(self.chosen("linux", python="3.8"), {ANY})
        self.assertEqual(self.chosen(python="3.13"), {ANY, STABLE})

    def test_unknown(self) -> None:
        self.assertRaises(BadRequest, parse_platform, "amiga")
        self.assertRaises(BadRequest, Wanted.of, [], ["2.7"], sdists=False)


class MarkerTests(SynchronousTestCase):
    def installed(self, marker: str, *platforms: str, python: str = "") -> bool:
        name = canonicalize_name("a")
        release = LockedRelease(name, "1", "uv.lock", markers=(Marker(marker),))
        wanted = Wanted.of(platforms, python.split(), sdists=False)
        return bool(installed_anywhere([release], wanted))

    def test_everywhere(self) -> None:
        self.assertTrue(self.installed("sys_platform == 'win32'"))

    def test_platforms(self) -> None:
        marker = "sys_platform == 'win32' and platform_machine == 'AMD64'"
        self.assertTrue(self.installed(marker, "windows"))
        self.assertTrue(self.installed(marker, "linux", "windows"))
        self.assertFalse(self.installed(marker, "linux"))
        # Which platform is not told.
        self.assertTrue(self.installed(marker, python="3.12"))

    def test_pythons(self) -> None:
        marker = "python_full_version >= '3.12.4'"
        self.assertTrue(self.installed(marker, python="3.12"))
        self.assertFalse(self.installed(marker, python="3.12.3"))
        self.assertFalse(self.installed(marker, python="3.11"))
        self.assertTrue(self.installed(marker, "linux"))

    def test_what_no_option_tells(self) -> None:
        for marker in ("platform_release >= '5'", "platform_version > '1'"):
            self.assertTrue(self.installed(marker, "linux", python="3.12"), marker)

    def test_what_cannot_be_compared(self) -> None:
        self.assertTrue(self.installed("os_name ~= '1'", "linux", python="3.12"))
