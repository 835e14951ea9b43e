"""What the commands print, on a terminal and elsewhere."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from datetime import UTC, datetime

import click
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.cli import output
from pypicloud_tw.cli.base import Surroundings

#: What a terminal is told of colours and weights.
_STYLES = re.compile(r"\x1b\[[0-9;]*m")


class OutputCase(SynchronousTestCase):
    def printed(
        self,
        work: Callable[[], object],
        *,
        terminal: bool = False,
        encoding: str = "utf-8",
        **environ: str,
    ) -> str:
        """Return what is printed by some work."""
        raw = io.BytesIO()
        stream = io.TextIOWrapper(raw, encoding)
        world = Surroundings(environ=environ, prints_to_terminal=lambda: terminal)
        with click.Context(click.Command("x"), obj=world), redirect_stdout(stream):
            work()
            sys.stdout.flush()
        return raw.getvalue().decode(encoding)


class TableTests(OutputCase):
    def table(self, *rows: tuple[str, str]) -> Callable[[], object]:
        return lambda: output.show_table(("NAME", "WHY"), rows)

    def test_plain(self) -> None:
        text = self.printed(self.table(("a", "b"), ("longer", "")), COLUMNS="10")
        self.assertEqual(text, "NAME    WHY\na       b\nlonger\n")

    def test_on_a_terminal(self) -> None:
        table = self.table(("acme", "one two three four"))
        text = self.printed(table, terminal=True, COLUMNS="16")
        self.assertIn("\x1b[1m", text)
        lines = _STYLES.sub("", text).splitlines()
        self.assertLessEqual(max(map(len, lines)), 16)
        self.assertEqual(
            " ".join(_STYLES.sub("", text).split()), "NAME WHY acme one two three four"
        )

    def test_without_colours(self) -> None:
        for environ in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
            table = self.table(("a", "b"))
            text = self.printed(table, terminal=True, COLUMNS="40", **environ)
            self.assertNotIn("\x1b", text)
            self.assertIn("NAME", text)

    def test_widths_that_are_none(self) -> None:
        for columns in ("", "0", "-3", "wide", "9" * 30):
            text = self.printed(self.table(("a", "b")), terminal=True, COLUMNS=columns)
            self.assertIn("NAME", text)

    @given(st.text(), st.booleans(), st.sampled_from(["utf-8", "ascii", "latin-1"]))
    def test_nothing_steers_the_terminal(
        self, text: str, terminal: bool, encoding: str
    ) -> None:
        """Whatever comes, it is letters: no control, no markup, no second row."""
        table = self.table(("name", f"[bold]{text}[/bold]:smile:"))
        printed = self.printed(
            table, terminal=terminal, encoding=encoding, COLUMNS="2000"
        )
        plain = _STYLES.sub("", printed)
        self.assertTrue(all(c == "\n" or c.isprintable() for c in plain), plain)
        self.assertIn("[bold]", plain)
        self.assertIn("[/bold]:smile:", plain)
        self.assertEqual(plain.count("\n"), 2)


class JsonTests(OutputCase):
    def test_whatever_stdout_takes(self) -> None:
        value = {"why": "ü\x1b\u202e"}
        for encoding in ("utf-8", "ascii", "latin-1"):
            text = self.printed(lambda: output.show_json(value), encoding=encoding)
            self.assertEqual(json.loads(text), value)
            self.assertNotIn("\x1b", text)

    def test_a_list_as_it_comes(self) -> None:
        lists: list[list[object]] = [[], [{"a": 1}], [{"a": 1}, {"b": [2]}]]
        for values in lists:
            self.assertEqual(json.loads(self.printed(self.listed(values))), values)

    def listed(self, values: list[object]) -> Callable[[], object]:
        def work() -> None:
            printed = output.JsonList()
            for value in values:
                printed.add(value)
            printed.end()

        return work


class TextTests(SynchronousTestCase):
    def test_sizes(self) -> None:
        for count, text in (
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536 * 1024, "1.5 MiB"),
            (5 * 2**50, "5120.0 TiB"),
        ):
            self.assertEqual(output.size(count), text)

    def test_moments_are_in_utc(self) -> None:
        at = datetime.fromisoformat("2026-03-01T10:30:59+01:00")
        self.assertEqual(output.moment(at), "2026-03-01 09:30")
        self.assertEqual(output.moment(at.astimezone(UTC)), "2026-03-01 09:30")
        first = datetime.fromisoformat("0001-01-01T00:00:00+14:00")
        self.assertIn("1-01-01 00:00", output.moment(first))

    def test_counts(self) -> None:
        counted = [output.plural(count, "file") for count in (0, 1, 2)]
        self.assertEqual(counted, ["0 files", "1 file", "2 files"])
