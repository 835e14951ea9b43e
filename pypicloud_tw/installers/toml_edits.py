"""Settings added to a TOML file, line by line: what is there stays as it is.

Nothing is changed but by new lines, and what comes of it is read again and compared: it
has what it had, what is new, and nothing else.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pypicloud_tw.errors import ConfigError
from pypicloud_tw.installers.lines import appended, spliced, split
from pypicloud_tw.installers.setup import toml_lines, toml_table

Table = dict[str, Any]


def parse(text: str, path: Path) -> Table:
    """Understand a file.

    :raises ConfigError: it is none. The sentence does not repeat what it has.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise ConfigError([f"{path} cannot be read as a TOML file."]) from None


def find(document: Table, place: Sequence[str]) -> Any:
    """Return what is somewhere in a document; None: nothing is."""
    found: Any = document
    for name in place:
        if not isinstance(found, dict) or name not in found:
            return None
        found = found[name]
    return found


def with_table(text: str, place: Sequence[str], settings: Table, path: Path) -> str:
    """Return a file with settings of a table that it does not have yet.

    :raises ConfigError: it cannot be understood, has another value for one, or is
        written in a way that lines cannot be added to.
    """
    wanted = parse(text, path)
    head = f"[{'.'.join(place)}]"
    table = _table(wanted, place, path, toml_table(head, settings))
    for name, value in settings.items():
        if table.get(name, value) != value:
            raise ConfigError(
                [f"{path} has another {name} in {head}: change it, or remove it."]
            )
    missing = {name: value for name, value in settings.items() if name not in table}
    if not missing:
        return text
    table.update(missing)
    places = (n for n, line in enumerate(split(text)) if _is_header(line, place))
    header = next(places, None)
    if header is None:
        after = appended(text, toml_table(head, missing))
    else:
        after = spliced(text, header + 1, toml_lines(missing))
    return _checked(after, wanted, path, toml_table(head, missing))


def with_entry(text: str, place: Sequence[str], settings: Table, path: Path) -> str:
    """Return a file with one more table in an array of tables.

    :raises ConfigError: as of :func:`with_table`.
    """
    wanted = parse(text, path)
    more = toml_table(f"[[{'.'.join(place)}]]", settings)
    entries = _table(wanted, place[:-1], path, more).setdefault(place[-1], [])
    if not isinstance(entries, list):
        raise _too_hard(path, more)
    entries.append(settings)
    return _checked(appended(text, more), wanted, path, more)


def _table(document: Table, place: Sequence[str], path: Path, more: str) -> Table:
    """Return the table at a place, which is made if it is not there.

    :param more: the lines that are to be added.
    """
    found = document
    for name in place:
        found = found.setdefault(name, {})
        if not isinstance(found, dict):
            raise _too_hard(path, more)
    return found


def _is_header(line: str, place: Sequence[str]) -> bool:
    found = re.fullmatch(r"\s*\[([^\[\]]+)\]\s*(?:#.*)?", line.rstrip("\r\n"))
    if found is None:
        return False
    return [name.strip().strip("\"'") for name in found[1].split(".")] == [*place]


def _checked(after: str, wanted: Table, path: Path, more: str) -> str:
    try:
        made = tomllib.loads(after)
    except tomllib.TOMLDecodeError:
        raise _too_hard(path, more) from None
    if made != wanted:
        raise _too_hard(path, more)
    return after


def _too_hard(path: Path, lines: str) -> ConfigError:
    shown = "; ".join(lines.split("\n"))
    return ConfigError([f"{path} is written in a way that is left alone: add {shown}"])
