"""The integration tests are run apart, all of them, and a run without them says so."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.integration import APART, asked_for

ROOT = Path(__file__).parents[1]
HERE = ROOT / "tests" / "integration"


class ApartTests(SynchronousTestCase):
    def test_every_module_is_run_apart(self) -> None:
        """A module that forgets its last line would start servers in every run."""
        modules = sorted(HERE.rglob("test_*.py"))
        self.assertTrue(modules)
        for module in modules:
            lines = module.read_text().splitlines()
            self.assertIn("test_suite = apart(__name__)", lines, module.name)

    def test_every_module_is_loaded_without_the_extra(self) -> None:
        """``trial tests`` loads them all, with the extra ``test`` alone."""
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        named = extras["optional-dependencies"]
        known = set(map(module_of, (*extras["dependencies"], *named["test"])))
        more = set(map(module_of, named["integration"])) - known
        for module, names in loaded(HERE.rglob("*.py")):
            imported = {name.partition(".")[0] for name in names}
            self.assertEqual(imported & more, set(), str(module))

    def test_integration(self) -> None:
        """Shows in the summary that there is more to run."""
        if not asked_for():
            raise SkipTest(APART)


def loaded(modules: Iterable[Path]) -> Iterator[tuple[Path, set[str]]]:
    """Give modules, those of the repository that they load, and what each imports."""
    waiting, seen = [*modules], set[Path]()
    while waiting:
        module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        names = {
            name
            for statement in ast.parse(module.read_text()).body
            if isinstance(statement, ast.Import | ast.ImportFrom)
            for name in names_of(statement)
        }
        yield module, names
        paths = (ROOT / Path(*name.split(".")).with_suffix(".py") for name in names)
        waiting += [path for path in paths if path.exists()]


def module_of(requirement: str) -> str:
    """Return what a requirement is imported as, where the names are alike."""
    name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
    return name.lower().replace("-", "_")


def names_of(statement: ast.Import | ast.ImportFrom) -> Iterator[str]:
    """Give the names of the modules that a statement imports."""
    if isinstance(statement, ast.ImportFrom):
        yield statement.module or ""
        yield from (f"{statement.module}.{alias.name}" for alias in statement.names)
    else:
        yield from (alias.name for alias in statement.names)
