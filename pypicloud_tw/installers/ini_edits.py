"""Settings added to an ini file, line by line: what is there stays as it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from configparser import Error, RawConfigParser
from io import StringIO
from pathlib import Path

from pypicloud_tw.errors import ConfigError
from pypicloud_tw.installers.lines import appended, spliced, split
from pypicloud_tw.installers.setup import ini_lines, ini_section

_KEY = re.compile(r"([^\s=:#;\[][^=:]*?)\s*[=:]")


def parse(text: str, path: Path) -> RawConfigParser:
    """Understand a file.

    :raises ConfigError: it is none. The sentence does not repeat what it has, which may
        be a password.
    """
    parser = RawConfigParser(strict=False)
    try:
        # As those who open a file read it: any end of a line is one.
        parser.read_file(StringIO(text, newline=None))
    except Error:
        raise ConfigError([f"{path} cannot be read as an ini file."]) from None
    return parser


def has(text: str, section: str, key: str, path: Path) -> bool:
    """Whether a file has a key.

    :raises ConfigError: as of :func:`parse`.
    """
    return parse(text, path).has_option(section, key)


def with_settings(
    text: str, section: str, settings: Mapping[str, str], path: Path
) -> str:
    """Return a file with settings that it does not have yet; those that it has stay.

    :raises ConfigError: it cannot be understood, or has another value for one.
    """
    before = parse(text, path)
    if not before.has_section(section):
        after = appended(text, ini_section(section, settings))
        return _checked(after, before, section, settings, path)
    here = dict(before.items(section))
    for name, value in settings.items():
        if here.get(name, value) != value:
            raise ConfigError(
                [f"{path} has another {name} in [{section}]: change it, or remove it."]
            )
    missing = {name: value for name, value in settings.items() if name not in here}
    if not missing:
        return text
    place = _section(split(text), section)
    if place is None:
        raise _too_hard(path, ini_section(section, missing))
    after = spliced(text, place + 1, ini_lines(missing))
    return _checked(after, before, section, missing, path)


def with_word(text: str, section: str, key: str, word: str, path: Path) -> str:
    """Return a file with one more word in a list of words, a line each.

    :raises ConfigError: it cannot be understood, or is written in a way that lines
        cannot be added to.
    """
    before = parse(text, path)
    words = before.get(section, key, fallback="").split()
    if word in words:
        return text
    if not before.has_option(section, key):
        return with_settings(text, section, {key: f"\n{word}"}, path)
    lines = split(text)
    place = _key(lines, _section(lines, section), key)
    if place is None:
        raise _too_hard(path, f"{key} = {word}")
    first = before.get(section, key).split("\n")[0]
    begun = lines[place].rstrip()
    more = [f"    {word}"]
    # A value in the line of its key moves to lines of its own, as the others have.
    if first and begun.endswith(first):
        begun = begun.removesuffix(first).rstrip()
        more = [f"    {first}", *more]
    after = spliced(text, place, [begun, *more], instead_of=1)
    if sorted(parse(after, path).get(section, key).split()) != sorted([*words, word]):
        raise _too_hard(path, f"{key} = {word}")
    return after


def _checked(
    after: str,
    before: RawConfigParser,
    section: str,
    missing: Mapping[str, str],
    path: Path,
) -> str:
    """Return what was made, which has what it had, and what is new."""
    made = parse(after, path)
    wanted = {name: dict(before.items(name)) for name in before.sections()}
    wanted.setdefault(section, {}).update(missing)
    if {name: dict(made.items(name)) for name in made.sections()} != wanted:
        raise _too_hard(path, ini_section(section, missing))
    return after


def _section(lines: list[str], section: str) -> int | None:
    """Find the line that a section begins with, if it is written plainly."""
    head = f"[{section}]"
    places = (n for n, line in enumerate(lines) if line.startswith(head))
    return next(places, None)


def _key(lines: list[str], begin: int | None, key: str) -> int | None:
    """Find the line of a key, of the section that begins there."""
    if begin is not None:
        for number, line in enumerate(lines[begin + 1 :], begin + 1):
            found = _KEY.match(line)
            if line.startswith("["):
                break  # the next section
            if found is not None and found[1].lower() == key:
                return number
    return None


def _too_hard(path: Path, lines: str) -> ConfigError:
    shown = "; ".join(filter(None, lines.split("\n")))
    return ConfigError([f"{path} is written in a way that is left alone: add {shown}"])
