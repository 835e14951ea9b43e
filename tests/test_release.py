"""What is said of a release in several places is one thing."""

from __future__ import annotations

import re
import tomllib
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SkipTest, SynchronousTestCase

CHECKOUT = Path(__file__).absolute().parents[1]
GITHUB = CHECKOUT / ".github"

CHANGES = """\
Changes
=======

1.1.0 (unreleased)
------------------

- To come.

1.0.0 (2026-11-28)
------------------

Added
~~~~~

- All.

0.9.0 (2026-01-01)
------------------

- Some.
"""


def project() -> Any:
    """Read what pyproject.toml says of the project."""
    return tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]


class ReleaseCase(SynchronousTestCase):
    """A test of what is in a clone, and not in what is released."""

    def setUp(self) -> None:
        if not GITHUB.exists():
            raise SkipTest("This is no clone: the workflows are not released.")


class NotesTests(ReleaseCase):
    """.github/release_notes.py: what is told of a release, and when it is refused."""

    def notes(self, tag: str, version: str) -> str:
        spec = spec_from_file_location("release_notes", GITHUB / "release_notes.py")
        assert spec is not None and spec.loader is not None
        module: Any = module_from_spec(spec)
        spec.loader.exec_module(module)
        return str(module.notes(tag, version, CHANGES))

    def test_section(self) -> None:
        self.assertEqual(self.notes("v1.0.0", "1.0.0"), "### Added\n\n- All.\n")
        self.assertEqual(self.notes("v0.9.0", "0.9.0"), "- Some.\n")

    def test_refused(self) -> None:
        for tag, version, why in (
            ("v1.0.1", "1.0.0", "The tag v1.0.1 is not v1.0.0"),
            ("1.0.0", "1.0.0", "The tag 1.0.0 is not v1.0.0"),
            ("v1.1.0", "1.1.0", "has no date for 1.1.0"),
            ("v2.0.0", "2.0.0", "has no section for 2.0.0"),
        ):
            error = self.assertRaises(ValueError, self.notes, tag, version)
            self.assertIn(why, str(error))


class SupportedTests(ReleaseCase):
    """Which Pythons, and which versions of this."""

    def test_pythons(self) -> None:
        """Each that is said to work is tried, from the oldest on."""
        pattern = r"Programming Language :: Python :: (3\.\d+)"
        told = re.findall(pattern, "\n".join(project()["classifiers"]))
        tests = (GITHUB / "workflows" / "tests.yml").read_text("utf-8")
        [tried, *_] = re.findall(r"python: \[(.*)\]", tests)
        self.assertEqual(re.findall(r"3\.\d+", tried), told)
        self.assertEqual(project()["requires-python"], f">={told[0]}")

    def test_changes(self) -> None:
        """The newest section is of the version that is here."""
        changes = (CHECKOUT / "CHANGES.rst").read_text("utf-8")
        [newest, *_] = re.findall(r"^(\d\S*) \([^)\n]+\)\n-+$", changes, re.MULTILINE)
        self.assertEqual(newest, project()["version"])

    def test_security(self) -> None:
        """The versions that get repairs are those of this major version."""
        security = (CHECKOUT / "SECURITY.rst").read_text("utf-8")
        major = project()["version"].partition(".")[0]
        self.assertIn(f"\n{major}.x ", security)
