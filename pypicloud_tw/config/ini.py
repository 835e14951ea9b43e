"""The ini dialect of the programs before, read with every mistake told at once.

It is that of :class:`configparser.RawConfigParser`, which the tests hold it to, but for
two things: a comment may follow a value (white space, ``#`` or ``;``, white space), as
pypicloud 1.x's parser had it, and a mistake does not end the reading.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from pathlib import Path

from attrs import define, field, frozen

#: No configuration is longer; what is, is the wrong file. Bytes. With a list of
#: 100,000 projects to be allowed one has half of that.
MAX_INI = 4 * 2**20

_LINE_END = re.compile(r"\r\n|\r|\n")
_SECTION = re.compile(r"\[(?P<name>.+)\]")
_DELIMITER = re.compile(r"[=:]")
_INLINE_COMMENT = re.compile(r"\s[#;](?:\s.*)?$")
_REFERENCE = re.compile(r"%(?:(?P<percent>%)|\((?P<name>[^)\s]+)\)s)")


class IniError(Exception):
    """The file cannot be read at all; the message is a sentence."""


@frozen
class Setting:
    """One ``key = value`` as it is written.

    :ivar value: without comments; the lines of a longer one are joined by newlines.
    :ivar line: the number of the line it begins in, from 1.
    """

    section: str
    key: str
    value: str = field(repr=False)
    line: int


@frozen
class Ini:
    """What a file says.

    :ivar sections: the line in which each section first begins.
    :ivar problems: lines that are nothing known, each with a sentence.
    """

    entries: tuple[Setting, ...]
    sections: Mapping[str, int]
    problems: tuple[tuple[int, str], ...]


def read_text(path: Path, limit: int = MAX_INI) -> str:
    """Read a small text file whole.

    :raises IniError: there is none, it cannot be read, is too long, or no UTF-8 text.
    """
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except FileNotFoundError:
        raise IniError("there is no such file.") from None
    except IsADirectoryError:
        raise IniError("this is a directory, where a file is needed.") from None
    except PermissionError:
        raise IniError("this process may not read it; check its owner.") from None
    except (OSError, ValueError) as e:
        reason = e.strerror if isinstance(e, OSError) else str(e)
        raise IniError(f"it cannot be read ({reason}).") from None
    if len(data) > limit:
        raise IniError(f"it is longer than {limit} bytes; is it the right file?")
    return _decode(data)


def _decode(data: bytes) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise IniError("it is saved as UTF-16; save it as UTF-8.")
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        text = data.decode()
    except UnicodeDecodeError as e:
        line = data.count(b"\n", 0, e.start) + 1
        raise IniError(f"line {line} is not UTF-8 text; save it as UTF-8.") from None
    if "\0" in text:
        raise IniError("it has NUL bytes; it is not a text file.")
    return text


def lines_of(text: str) -> list[str]:
    """Split at line ends; ``splitlines`` takes form feeds and U+2028 for some, too."""
    return _LINE_END.split(text)


def parse_ini(text: str) -> Ini:
    """Parse an ini file's text. Never fails: see :attr:`Ini.problems`."""
    reader = _LineReader()
    for number, line in enumerate(lines_of(text), 1):
        reader.feed(number, line)
    return reader.finish()


def substitute(value: str, here: Path) -> tuple[str, tuple[str, ...]]:
    """Replace ``%(here)s`` by a folder and ``%%`` by ``%``; any other ``%`` stays.

    The programs before interpolated values, so that ``%%`` is how their files write a
    percent sign. Hashes, passwords and URLs that were written since have single ones.

    :return: the value, and the names of references to anything but ``here``.
    """
    unknown: list[str] = []

    def replace(match: re.Match[str]) -> str:
        if match["percent"]:
            return "%"
        if match["name"] == "here":
            return str(here)
        unknown.append(match["name"])
        return match[0]

    return _REFERENCE.sub(replace, value), tuple(unknown)


@define
class _LineReader:
    """Where the reading of one file stands."""

    _entries: list[Setting] = field(factory=list)
    _sections: dict[str, int] = field(factory=dict)
    _problems: list[tuple[int, str]] = field(factory=list)
    _section: str | None = None
    _complained: bool = False
    _indent: int = 0
    # The option that goes on in the next indented line: key, first line, value's lines.
    _key: str | None = None
    _line: int = 0
    _value: list[str] = field(factory=list)

    def feed(self, number: int, line: str) -> None:
        """Take the next line."""
        text = line.strip()
        if not text:
            # An empty line does not end a value; trailing ones are dropped at its end.
            self._value.append("")
        elif text[0] in "#;":
            return
        elif self._key is not None and _indent(line) > self._indent:
            self._value.append(_without_comment(text))
        else:
            self._end_option()
            self._indent = _indent(line)
            self._begin(number, text)

    def finish(self) -> Ini:
        """Return what was read."""
        self._end_option()
        return Ini(tuple(self._entries), self._sections, tuple(self._problems))

    def _begin(self, number: int, text: str) -> None:
        if section := _SECTION.match(text):
            self._section = section["name"]
            self._sections.setdefault(self._section, number)
            return
        if self._section is None:
            self._complain_once(number)
            return
        key, *value = _DELIMITER.split(text, maxsplit=1)
        if not key or not value:
            self._problems.append((number, "this line is not 'key = value'."))
            return
        self._key, self._line = key.rstrip(), number
        self._value = [_without_comment(value[0])]

    def _complain_once(self, number: int) -> None:
        if not self._complained:
            self._complained = True
            sentence = "this stands before the first [section]; begin with [pypicloud]."
            self._problems.append((number, sentence))

    def _end_option(self) -> None:
        if self._key is not None:
            assert self._section is not None
            value = "\n".join(self._value).strip()
            self._entries.append(Setting(self._section, self._key, value, self._line))
        self._key = None
        self._value = []


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _without_comment(text: str) -> str:
    # The blank in front lets a value that is only a comment be one.
    return _INLINE_COMMENT.sub("", f" {text}").strip()
