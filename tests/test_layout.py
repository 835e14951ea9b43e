"""The rooms of the package, and which way its imports point."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from attrs import frozen
from twisted.trial.unittest import SynchronousTestCase

import pypicloud_tw

NAME = "pypicloud_tw"
ROOT = Path(pypicloud_tw.__file__).parent

#: From the top down: a module may import from its own room and from those below. The
#: longest name that fits a module is its room's. Rooms that share a line are level, and
#: do not import from each other.
ROOMS: tuple[tuple[str, ...], ...] = (
    ("__main__",),
    ("cli",),
    ("config.migrate",),
    ("diagnosis",),
    ("tap",),
    ("assembly",),
    ("workers",),
    ("server", "startup", "reload"),
    ("process",),
    ("moving",),
    ("client",),
    ("web",),
    ("web.http",),
    ("projects",),
    ("maintenance",),
    ("upstream",),
    ("access",),
    ("advisories",),
    ("statistics",),
    ("index",),
    ("store.s3", "store.folder"),
    ("store",),
    ("config",),
    ("offload",),
    ("outbound",),
    ("metrics",),
    ("listening", "installers"),
    ("concurrency",),
    ("errors", "garbage", "json_documents", "json_values", "redaction", ""),
    ("drafts", "plain_texts"),
)

#: All that ``web.http`` may import: it could serve any Twisted application.
BELOW_HTTP = frozenset(
    {"web.http", "metrics", "concurrency", "redaction", "errors", ""}
)

#: The only rooms that may import Twisted's reactor; all others are handed theirs.
ASKS_FOR_THE_REACTOR = frozenset({"tap", "cli"})


@frozen
class Import:
    """One module that imports another, by their names below the package."""

    importer: str
    imported: str

    def __str__(self) -> str:
        return f"{self.importer} -> {self.imported}"


def modules() -> Mapping[str, Path]:
    """Find every module, by its name below the package."""
    found = {}
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(names: Mapping[str, frozenset[str]]) -> Iterator[Import]:
    """Find every import of one of our modules by another."""
    for module, imported in names.items():
        for name in imported:
            if name.partition(".")[0] != NAME:
                continue
            below = name.removeprefix(NAME).lstrip(".")
            while below not in names:
                below = below.rpartition(".")[0]
            if below != module:
                yield Import(module, below)


@cache
def read_all() -> Mapping[str, frozenset[str]]:
    """Read what each module imports."""
    found = modules().items()
    return {module: frozenset(names_imported(path)) for module, path in found}


def names_imported(path: Path) -> Iterator[str]:
    """Read what a file imports, wherever it does so.

    Inside a function, or for types alone, counts as anywhere else.
    """
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.ImportFrom(level=0, module=str(module), names=names):
                yield from (f"{module}.{alias.name}" for alias in names)
            case ast.Import(names=names):
                yield from (alias.name for alias in names)


def room(module: str) -> str:
    """Tell the room that a module is in; the empty name is the package's own."""
    rooms = [name for level in ROOMS for name in level]
    fits = [name for name in rooms if f"{module}.".startswith(f"{name}.")]
    return max(fits, key=len, default="")


def level(name: str) -> int:
    """Tell how far below the top a room is."""
    return next(depth for depth, rooms in enumerate(ROOMS) if name in rooms)


class LayoutTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.names = read_all()
        self.imports = sorted(set(imports(self.names)), key=str)

    def test_imports_are_found(self) -> None:
        self.assertGreater(len(self.imports), 500)
        self.assertIn(Import("tap", "assembly.server"), self.imports)

    def test_every_module_is_in_a_room(self) -> None:
        homeless = [module for module in self.names if module and not room(module)]
        self.assertEqual(homeless, [])

    def test_nothing_points_up(self) -> None:
        wrong = [str(one) for one in self.imports if not _points_down(one)]
        self.assertEqual(wrong, [])

    def test_no_circles(self) -> None:
        graph: dict[str, set[str]] = {}
        for one in self.imports:
            graph.setdefault(one.importer, set()).add(one.imported)
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as e:
            self.fail(" -> ".join(reversed(e.args[1])))

    def test_the_http_edge_knows_nothing_of_packages(self) -> None:
        wrong = [
            str(one)
            for one in self.imports
            if room(one.importer) == "web.http" and room(one.imported) not in BELOW_HTTP
        ]
        self.assertEqual(wrong, [])

    def test_who_imports_the_reactor(self) -> None:
        asking = [m for m, n in self.names.items() if "twisted.internet.reactor" in n]
        self.assertEqual({room(m) for m in asking} - ASKS_FOR_THE_REACTOR, set())


def _points_down(one: Import) -> bool:
    importer, imported = room(one.importer), room(one.imported)
    return importer == imported or level(importer) < level(imported)
