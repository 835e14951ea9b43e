"""What the commands print: tables for people, JSON for scripts.

Texts come from outside. None of them ends its line, steers the terminal, or is read as
markup.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from textwrap import wrap
from typing import TypeVar

import click
from attrs import frozen

from pypicloud_tw.access.administration.values import Changed
from pypicloud_tw.cli.base import leave_stdout, surroundings
from pypicloud_tw.cli.errors import PlainError, sentence_of
from pypicloud_tw.json_values import encode

T = TypeVar("T")

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON, for scripts."
)

#: Columns of a terminal that does not say how many it has, and the most it may say.
_WIDTH, _WIDEST = 80, 10_000

#: Columns that texts are wrapped to at the least, and at the most.
_NARROWEST, _READABLE = 20, 88

_SIZES = ("B", "KiB", "MiB", "GiB", "TiB")


def show(
    values: Sequence[T],
    columns: Sequence[str],
    row: Callable[[T], Sequence[str]],
    *,
    as_json: bool,
) -> None:
    """Print values.

    :param row: makes the texts of a value, one for each column.
    """
    if as_json:
        show_json([encode(value) for value in values])
    else:
        show_table(columns, map(row, values))


def show_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print texts in columns: drawn on a terminal, and plainly aligned elsewhere."""
    clean = [tuple(map(printable, row)) for row in rows]
    if surroundings().prints_to_terminal():
        _draw(columns, clean)
    else:
        for line in _aligned(columns, clean):
            say(line)


def show_fields(fields: Iterable[tuple[str, str | None]]) -> None:
    """Print what is known, a line each."""
    known = [(name, value) for name, value in fields if value]
    width = max(len(name) for name, _ in known)
    for name, value in known:
        say(f"{name.ljust(width)}  {printable(value)}")


@frozen
class Line:
    """A line of text for people.

    :ivar indent: characters.
    :ivar heading: it is more than what follows it.
    """

    text: str
    indent: int = 0
    heading: bool = False


def show_lines(lines: Iterable[Line]) -> None:
    """Print texts, a line each; on a terminal they are wrapped between words."""
    environ = surroundings().environ
    drawn = surroundings().prints_to_terminal()
    width = max(_NARROWEST, min(_width(environ), _READABLE))
    styled = drawn and not _is_plain(environ)
    for line in lines:
        text = printable(line.text)
        margin = " " * line.indent
        wrapped = [margin + text] if not drawn else _wrapped(text, margin, width)
        for one in wrapped:
            shown = click.style(one, bold=True) if line.heading and styled else one
            say(shown.rstrip(), styled=styled)


def _wrapped(text: str, margin: str, width: int) -> list[str]:
    # Commands among them must be found again: no word is broken.
    return wrap(
        text,
        width,
        initial_indent=margin,
        subsequent_indent=margin,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [""]


def show_json(value: object) -> None:
    """Print a document."""
    say(json.dumps(value, indent=2, ensure_ascii=not _prints_unicode()))


class JsonList:
    """Prints a list as its values come."""

    def __init__(self) -> None:
        self._empty = True

    def add(self, value: object) -> None:
        """Print one more."""
        text = json.dumps(encode(value), indent=2, ensure_ascii=not _prints_unicode())
        say("[" if self._empty else ",")
        say("\n".join(f"  {line}" for line in text.split("\n")), end="")
        self._empty = False

    def end(self) -> None:
        """End the list."""
        say("[]" if self._empty else "\n]")


def say(line: str, *, end: str = "\n", styled: bool = False) -> None:
    """Print a line to stdout, whatever it can write.

    :param styled: it has colours and weights, which are kept.
    """
    if not _prints_unicode():
        line = line.encode("ascii", "backslashreplace").decode()
    try:
        click.echo(line + end, nl=False, color=styled or None)
    except BrokenPipeError:
        raise  # whoever reads has seen enough
    except OSError as e:
        leave_stdout()
        raise PlainError(sentence_of(e)) from None


def told(changed: Changed, sentence: str) -> None:
    """Say what was done, and what follows of it that may surprise."""
    say(printable(sentence))
    for notice in changed.notices:
        click.echo(printable(notice), err=True)


def where(fixed: bool, source: str = "") -> str:
    """Say where something stands, and so who can change it."""
    return source or ("the ini" if fixed else "the store")


def printable(text: str) -> str:
    """Return a text that stays in its line and moves no cursor."""
    return "".join(c if c.isprintable() else "?" for c in text)


def moment(at: datetime) -> str:
    """Write a moment as tables have it: UTC, to the minute."""
    with suppress(OverflowError):  # hours away from the first year or the last
        at = at.astimezone(UTC)
    return f"{at:%Y-%m-%d %H:%M}"


def size(count: int) -> str:
    """Write a number of bytes as people read it."""
    value, power = float(count), 0
    while value >= 1024 and power < len(_SIZES) - 1:
        value, power = value / 1024, power + 1
    return f"{count} B" if power == 0 else f"{value:.1f} {_SIZES[power]}"


def plural(count: int, what: str) -> str:
    """Count things, as in "1 file" and "2 files"."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def _aligned(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [tuple(columns), *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]


def _draw(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    # Only here: scripts need not wait until it is loaded.
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    environ = surroundings().environ
    plain = _is_plain(environ)
    console = Console(
        width=_width(environ),
        force_terminal=not plain,
        color_system=None if plain else "standard",
        _environ=environ,
    )
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(Text(column), overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    with console.capture() as captured:
        console.print(table)
    say(captured.get(), end="", styled=not plain)


def _is_plain(environ: Mapping[str, str]) -> bool:
    return bool(environ.get("NO_COLOR")) or environ.get("TERM") == "dumb"


def _width(environ: Mapping[str, str]) -> int:
    given = environ.get("COLUMNS", "")
    if given.isdecimal() and 0 < int(given) < _WIDEST:
        return int(given)
    return shutil.get_terminal_size((_WIDTH, 24)).columns


def _prints_unicode() -> bool:
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return encoding.lower().replace("-", "") == "utf8"
