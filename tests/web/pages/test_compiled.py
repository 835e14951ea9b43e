"""Templates that are compiled once, and again when anything of them changes."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

from attrs import evolve
from jinja2 import Environment, FileSystemLoader
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.web.pages import templating
from pypicloud_tw.web.pages.compiled import CompiledTemplates


class CompiledTemplatesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.patch(sys, "dont_write_bytecode", False)
        self.patch(sys, "pycache_prefix", None)
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.source = self.folder / "hello.html"
        self.source.write_text("Hello, {{ name }}!")
        compiled = CompiledTemplates.of(templating.__file__)
        assert compiled is not None
        self.compiled = compiled
        self.times = 0

    def render(self) -> str:
        """Render the template as a process does that has just begun."""
        environment = Environment(
            loader=FileSystemLoader(self.folder),
            bytecode_cache=self.compiled,
            autoescape=True,
        )
        compile_source = environment.compile

        def counting(*args: object, **kwargs: object) -> object:
            self.times += 1
            return compile_source(*args, **kwargs)  # type: ignore[call-overload]

        self.patch(environment, "compile", counting)
        return environment.get_template("hello.html").render(name="<you>")

    def kept(self) -> list[Path]:
        return [*(self.folder / "__pycache__").glob("*")]

    def test_once(self) -> None:
        for _ in range(3):
            self.assertEqual(self.render(), "Hello, &lt;you&gt;!")
        self.assertEqual(self.times, 1)
        [kept] = self.kept()
        self.assertEqual(kept.name, f"hello.{sys.implementation.cache_tag}.pyc")
        self.assertEqual(kept.stat().st_mode & 0o777, 0o644)

    def test_another_source(self) -> None:
        self.render()
        self.source.write_text("Good bye, {{ name }}!")
        self.assertEqual(self.render(), "Good bye, &lt;you&gt;!")
        self.assertEqual(self.times, 2)

    def test_other_circumstances(self) -> None:
        """As other filters, or another jinja2."""
        self.render()
        self.compiled = evolve(self.compiled, circumstances=b"others")
        self.render()
        self.assertEqual(self.times, 2)

    def test_damaged(self) -> None:
        self.render()
        [kept] = self.kept()
        whole = kept.read_bytes()
        for damaged in (b"", whole[:20], whole[:32], whole[:-9], b"x" * len(whole)):
            kept.write_bytes(damaged)
            self.assertEqual(self.render(), "Hello, &lt;you&gt;!")
            self.assertEqual(kept.read_bytes(), whole)
        self.assertEqual(self.times, 6)

    def test_not_written(self) -> None:
        """Where Python was told so, and where it cannot be: a file is in the way."""
        self.patch(sys, "dont_write_bytecode", True)
        self.assertEqual(self.render(), "Hello, &lt;you&gt;!")
        self.assertEqual(self.kept(), [])
        self.patch(sys, "dont_write_bytecode", False)
        (self.folder / "__pycache__").write_text("")
        self.assertEqual(self.render(), "Hello, &lt;you&gt;!")
        self.assertEqual(self.times, 2)

    def test_full_disk(self) -> None:
        """Nothing is left of what could not be kept."""

        def full(*args: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        self.patch(os, "replace", full)
        self.assertEqual(self.render(), "Hello, &lt;you&gt;!")
        self.assertEqual(self.kept(), [])

    def test_unknown_circumstances(self) -> None:
        self.assertIsNone(CompiledTemplates.of("/nowhere/in.zip/templating.py"))

    def test_the_pages(self) -> None:
        """They are kept so, and depend on their filters."""
        environment = templating.Templates("1")._environment
        self.assertEqual(environment.bytecode_cache, self.compiled)
