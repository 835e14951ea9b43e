"""The private names of Twisted are those that the list has, and they exist."""

from __future__ import annotations

import ast
import socket
import tomllib
from collections.abc import Iterator
from importlib import import_module
from inspect import getsource
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType

from packaging.requirements import Requirement
from twisted.internet.protocol import Protocol
from twisted.internet.tcp import Connection
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

import pypicloud_tw
from pypicloud_tw.web import http as web_http
from pypicloud_tw.web.http.private_names import CHECKED_WITH, PRIVATE_NAMES

PYPROJECT = Path(pypicloud_tw.__file__).parents[1] / "pyproject.toml"


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def used(module: ModuleType) -> set[str]:
    """Find what a module imports, reads of others, or shares with Twisted's classes."""
    theirs = {
        name
        for ours in vars(module).values()
        if isinstance(ours, type) and ours.__module__ == module.__name__
        for base in ours.__mro__
        if base.__module__.startswith("twisted.")
        for name in vars(base)
    }
    return set(filter(is_private, _names(ast.parse(getsource(module)), theirs)))


def _names(tree: ast.Module, theirs: set[str]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("twis"):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Attribute):
            owner = node.value.id if isinstance(node.value, ast.Name) else ""
            if owner not in ("self", "cls") or node.attr in theirs:
                yield node.attr


class PrivateNamesTests(SynchronousTestCase):
    def test_all_are_listed(self) -> None:
        found = {}
        for _, name, _ in iter_modules(web_http.__path__):
            names = used(import_module(f"{web_http.__name__}.{name}"))
            if names:
                found[name] = names
        listed = {
            module: {name.rpartition(".")[2] for name in names}
            for module, names in PRIVATE_NAMES.items()
        }
        self.assertEqual(found, listed)

    def test_headers(self) -> None:
        fields = {b"A": [b"b"]}
        self.assertEqual(Headers(fields)._rawHeaders, fields)

    def test_socket(self) -> None:
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        self.addCleanup(theirs.close)
        connection = Connection(ours, Protocol(), MemoryReactorClock())
        connection.connected = True
        connection.write(b"waits")
        self.assertEqual(connection._tempDataBuffer, [b"waits"])

    def test_ceiling(self) -> None:
        """No release is installed by itself that nobody has tried."""
        project = tomllib.loads(PYPROJECT.read_text("utf-8"))["project"]
        (twisted,) = (
            requirement.specifier
            for requirement in map(Requirement, project["dependencies"])
            if requirement.name == "twisted"
        )
        self.assertIn(CHECKED_WITH, twisted)
        major, minor, _ = map(int, CHECKED_WITH.split("."))
        self.assertNotIn(f"{major}.{minor + 1}.0", twisted)
