"""``requirements.txt`` as pip, ``pip-compile`` and ``uv export`` write it, pinned."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

from attrs import define, field, frozen
from packaging.requirements import InvalidRequirement, Requirement

from pypicloud_tw.index.names import NormalizedName, project_name
from pypicloud_tw.moving.locks.values import (
    Lock,
    LockedRelease,
    refused,
    sha256_of,
    split_digest,
)

#: Files that include one another; pip has no limit but Python's recursion.
_MAX_FILES = 1000

_COMMENT = re.compile(r"(^|\s+)#.*$")
_PIN = re.compile(r"\s*={2,3}\s*([^,;\s*]+)\s*$")
#: A name that is followed by something other than an operator that compares.
_NO_NAME = re.compile(r"(\.{0,2}/|[A-Za-z][A-Za-z0-9+.-]*://|[A-Za-z]:\\)")

_INCLUDES = ("-r", "--requirement")
_CONSTRAINS = ("-c", "--constraint")
_EDITABLE = ("-e", "--editable")

#: Reads a file by its path.
Read = Callable[[Path], str]


@frozen
class _Line:
    """A line of a file, with those that continue it."""

    file: str
    number: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}, line {self.number}"


@frozen
class _Requirement:
    line: _Line
    requirement: Requirement
    name: NormalizedName
    pin: str | None
    hashes: tuple[str, ...]


def read_requirements(path: Path, read: Read) -> Lock:
    """Read a ``requirements.txt`` with all that it includes.

    :param read: reads a file; raises BadRequest where it cannot.
    :raises BadRequest: something in it is not pinned, or not understood; the message
        has every line that is wrong.
    """
    reader = _Reader(read)
    reader.take(path, constrains=False)
    return reader.lock(path.name)


@define
class _Reader:
    read: Read
    _wanted: list[_Requirement] = field(factory=list)
    _constraints: dict[NormalizedName, _Requirement] = field(factory=dict)
    _notes: list[str] = field(factory=list)
    _problems: list[str] = field(factory=list)
    _seen: set[tuple[Path, bool]] = field(factory=set)

    def lock(self, name: str) -> Lock:
        """Make a lock of all that was read."""
        releases = [self._release(name, wanted) for wanted in self._wanted]
        if self._problems:
            raise refused(name, self._problems)
        return Lock(tuple(filter(None, releases)), tuple(self._notes))

    def take(self, path: Path, *, constrains: bool) -> None:
        """Read a file, and those that it includes."""
        place = path.resolve(), constrains
        if place in self._seen:
            return
        self._seen.add(place)
        if len(self._seen) > _MAX_FILES:
            self._problems.append(f"More than {_MAX_FILES} files are included.")
            return
        for line in _lines(path.name, self.read(path)):
            self._take_line(path, line, constrains)

    def _take_line(self, path: Path, line: _Line, constrains: bool) -> None:
        try:
            words = shlex.split(line.text, posix=True)
        except ValueError:
            words = line.text.split()
        option, _, joined = words[0].partition("=")
        value = joined or (words[1] if len(words) > 1 else "")
        if option in (*_INCLUDES, *_CONSTRAINS) or option[:2] in ("-r", "-c"):
            if option[:2] in ("-r", "-c") and len(option) > 2:
                option, value = option[:2], words[0][2:].removeprefix("=")
            self._include(path, line, value, constrains or option in _CONSTRAINS)
        elif option in _EDITABLE or (option.startswith("-e") and option[1] != "-"):
            self._notes.append(f"{line}: {value} is a project's folder; not mirrored.")
        elif not option.startswith("-"):
            self._take_requirement(line, words, constrains)
        # What is left are options of pip, most of them about where it looks. Here the
        # upstreams of the configuration are asked, and nobody else.

    def _include(self, path: Path, line: _Line, value: str, constrains: bool) -> None:
        if "://" in value or not value:
            self._problems.append(
                f"{line}: only files beside it can be included; fetch {value} first."
            )
            return
        self.take(path.parent / value, constrains=constrains)

    def _take_requirement(
        self, line: _Line, words: list[str], constrains: bool
    ) -> None:
        text, hashes = _split(line.text)
        if _NO_NAME.match(text):
            self._notes.append(f"{line}: {words[0]} is no index's, and not mirrored.")
            return
        try:
            requirement = Requirement(text)
        except InvalidRequirement as e:
            self._problems.append(f"{line} is no requirement: {str(e).splitlines()[0]}")
            return
        if requirement.url is not None:
            self._notes.append(
                f"{line}: {requirement.name} is from a URL, and not mirrored."
            )
            return
        found = _PIN.match(str(requirement.specifier))
        name = project_name(requirement.name)
        one = _Requirement(
            line, requirement, name, found.group(1) if found else None, hashes
        )
        if constrains:
            self._constraints[name] = one
        else:
            self._wanted.append(one)

    def _release(self, lock: str, wanted: _Requirement) -> LockedRelease | None:
        constraint = self._constraints.get(wanted.name)
        pin, hashes = wanted.pin, wanted.hashes
        if constraint is not None:
            pin, hashes = pin or constraint.pin, hashes or constraint.hashes
        if pin is None:
            self._problems.append(
                f"{wanted.line}: {wanted.requirement} is not pinned; say "
                f"{wanted.name}==VERSION, as pip-compile, uv pip compile or pip freeze "
                "write it."
            )
            return None
        digests = frozenset(
            filter(None, (sha256_of(split_digest(one)) for one in hashes))
        )
        if hashes and not digests:
            self._problems.append(
                f"{wanted.line}: none of its hashes is a SHA-256, by which files are "
                "checked here."
            )
            return None
        marker = wanted.requirement.marker
        markers = () if marker is None or "extra" in str(marker) else (marker,)
        return LockedRelease(wanted.name, pin, lock, digests=digests, markers=markers)


def _lines(file: str, text: str) -> Iterator[_Line]:
    """Join lines that are continued, and leave out comments, as pip does."""
    joined: list[str] = []
    first = 0
    for number, raw in enumerate(text.splitlines(), 1):
        first = first if joined else number
        is_comment = raw.lstrip().startswith("#")
        if raw.endswith("\\") and not is_comment:
            joined.append(raw[:-1])
            continue
        # A comment ends what is continued, and is no part of it.
        joined.append("" if is_comment else raw)
        yield from _line(file, first, " ".join(joined))
        joined = []
    yield from _line(file, first, " ".join(joined))


def _line(file: str, number: int, text: str) -> Iterator[_Line]:
    text = _COMMENT.sub("", text).strip()
    if text:
        yield _Line(file, number, text)


def _split(text: str) -> tuple[str, tuple[str, ...]]:
    """Split a requirement from its options, and keep its hashes."""
    requirement, *options = re.split(r"\s+(?=--?[a-z])", text)
    hashes = [
        option.removeprefix("--hash").lstrip("= \t").strip("\"'")
        for option in options
        if option.startswith("--hash")
    ]
    return requirement, tuple(hashes)
