"""What pyproject.toml declares is what is imported, and what is there."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from twisted.trial.unittest import SynchronousTestCase

CHECKOUT = Path(__file__).absolute().parents[1]

#: Where the name that is imported is not the distribution's.
DISTRIBUTIONS = {
    "OpenSSL": "pyopenssl",
    "jwt": "pyjwt",
    "passlib": "libpass",
    "zope": "zope.interface",
}

#: What is needed and not imported by us: libpass finds its hashes' libraries itself.
UNSEEN = {"argon2-cffi"}

#: What is imported only by those who chose an extra: the extra, and what it brings.
CHOSEN = {
    "ldap": ("ldaptor",),
    "attestations": ("pypi-attestations", "sigstore"),
}


def imported(source: str) -> Iterator[str]:
    """Name the packages that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield (node.module or "").partition(".")[0]


@cache
def all_imported() -> frozenset[str]:
    """Name the distributions of all that is imported; to find them takes a while."""
    modules = (CHECKOUT / "pypicloud_tw").rglob("*.py")
    names = {n for m in modules for n in imported(m.read_text("utf-8"))}
    return frozenset(
        canonicalize_name(DISTRIBUTIONS.get(name, name))
        for name in names - sys.stdlib_module_names - {"pypicloud_tw"}
    )


class DependencyTests(SynchronousTestCase):
    def setUp(self) -> None:
        text = (CHECKOUT / "pyproject.toml").read_text("utf-8")
        declared = tomllib.loads(text)
        self.project = declared["project"]
        requirements = map(Requirement, self.project["dependencies"])
        self.declared = {canonicalize_name(r.name): r for r in requirements}
        self.imported = all_imported()

    def test_imported_is_declared(self) -> None:
        chosen = {name for names in CHOSEN.values() for name in names}
        self.assertEqual(self.imported - set(self.declared), chosen)
        extras = self.project["optional-dependencies"]
        for extra, names in CHOSEN.items():
            declared = {Requirement(text).name for text in extras[extra]}
            self.assertLessEqual({*names}, declared)

    def test_declared_is_needed(self) -> None:
        self.assertEqual(set(self.declared) - self.imported, UNSEEN)

    def test_each_is_declared_once(self) -> None:
        self.assertEqual(len(self.project["dependencies"]), len(self.declared))

    def test_lower_bounds(self) -> None:
        """Every requirement says what it was tried with, in the extras too."""
        extras = self.project["optional-dependencies"].values()
        for text in [*self.project["dependencies"], *(r for e in extras for r in e)]:
            self.assertRegex(text, re.compile(r"(>=|==)\d"), text)
