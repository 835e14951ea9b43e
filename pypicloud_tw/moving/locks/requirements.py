"""``requirements.txt`` as pip, ``pip-compile`` and ``uv export`` write it, pinned."""

from __future__ import annotations

import os
import re
import shlex
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from attrs import define, field, frozen
from packaging.markers import Marker
from packaging.requirements import Requirement

from pypicloud_tw.errors import BadRequest
from pypicloud_tw.index.names import NormalizedName, parse_version, project_name
from pypicloud_tw.moving.locks.values import (
    SHOWN,
    Lock,
    LockedRelease,
    first_line,
    refused,
    sha256_of,
    split_digest,
)
from pypicloud_tw.redaction import redacted

#: Files that include one another; pip has no limit but Python's recursion.
_MAX_FILES = 1000

_COMMENT = re.compile(r"(^|\s+)#.*$")
_PIN = re.compile(r"\s*={2,3}\s*([^,;\s*]+)\s*$")
#: A path or a URL, where a name is expected.
_NO_NAME = re.compile(
    r"(\.{0,2}[/\\]|\.{1,2}(?=$|[\[\s;])|[A-Za-z][A-Za-z0-9+.-]*://|[A-Za-z]:\\)"
)

_INCLUDES = ("-r", "--requirement")
_CONSTRAINS = ("-c", "--constraint")
_EDITABLE = ("-e", "--editable")
_SHORT = ("-r", "-c", "-e")

#: Reads a file by its path.
Read = Callable[[Path], str]


@frozen
class _Line:
    """A line of a file, with those that continue it.

    :ivar constrains: it says which version, if any, and not that one is wanted.
    """

    path: Path
    number: int
    text: str
    constrains: bool

    def __str__(self) -> str:
        return f"{self.path.name}, line {self.number}"


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
    reader.take(path)
    return reader.lock(path.name)


@define
class _Reader:
    read: Read
    _wanted: list[_Requirement] = field(factory=list)
    _constraints: dict[NormalizedName, list[_Requirement]] = field(
        factory=lambda: defaultdict(list)
    )
    _notes: list[str] = field(factory=list)
    _problems: list[str] = field(factory=list)
    _seen: set[tuple[str, bool]] = field(factory=set)

    def lock(self, name: str) -> Lock:
        """Make a lock of all that was read."""
        releases = [
            release for wanted in self._wanted for release in self._of(name, wanted)
        ]
        if self._problems:
            raise refused(name, self._problems)
        return Lock(tuple(releases), tuple(self._notes))

    def take(self, path: Path) -> None:
        """Read a file, and those that it includes where it does so."""
        # No recursion: files may include one another more deeply than Python calls.
        files = [self._file(path, constrains=False)]
        while files:
            line = next(files[-1], None)
            if line is None:
                files.pop()
            elif (included := self._take_line(line)) is not None:
                files.append(included)

    def _file(self, path: Path, *, constrains: bool) -> Iterator[_Line]:
        place = os.path.realpath(path), constrains
        if place in self._seen:
            return iter(())
        self._seen.add(place)
        if len(self._seen) > _MAX_FILES:
            raise BadRequest(f"{path}: more than {_MAX_FILES} files are included.")
        return _lines(path, self.read(path), constrains)

    def _take_line(self, line: _Line) -> Iterator[_Line] | None:
        """Take a line; return what it includes."""
        option, value = _option(line.text)
        if option in _INCLUDES:
            return self._include(line, value, constrains=line.constrains)
        if option in _CONSTRAINS:
            return self._include(line, value, constrains=True)
        if option in _EDITABLE:
            self._notes.append(
                f"{line}: {redacted(value)} is a project's folder; not mirrored."
            )
        elif not option.startswith("-"):
            self._take_requirement(line)
        # What is left are options of pip, most of them about where it looks. Here the
        # upstreams of the configuration are asked, and nobody else.
        return None

    def _include(
        self, line: _Line, value: str, *, constrains: bool
    ) -> Iterator[_Line] | None:
        if "://" in value or "\0" in value or not value:
            self._problems.append(
                f"{line}: only files beside it can be included; fetch "
                f"{redacted(value)} first."
            )
            return None
        return self._file(line.path.parent / value, constrains=constrains)

    def _take_requirement(self, line: _Line) -> None:
        text, hashes = _split(line.text)
        if _NO_NAME.match(text):
            self._notes.append(
                f"{line}: {redacted(text.split()[0])} is no index's, and not mirrored."
            )
            return
        try:
            requirement = Requirement(text)
            name = project_name(requirement.name)
        except (ValueError, RecursionError) as e:
            self._problems.append(f"{line} is no requirement: {first_line(e)}")
            return
        except BadRequest as e:
            self._problems.append(f"{line}: {e.message}")
            return
        if requirement.url is not None:
            self._notes.append(f"{line}: {name} is from a URL, and not mirrored.")
            return
        one = _Requirement(
            line, requirement, name, self._pin(line, requirement), hashes
        )
        if line.constrains:
            self._constraints[name].append(one)
        else:
            self._wanted.append(one)

    def _pin(self, line: _Line, requirement: Requirement) -> str | None:
        found = _PIN.match(str(requirement.specifier))
        if found is None:
            return None
        try:
            parse_version(found[1])
        except ValueError:
            # "===" may be followed by anything, which no index has.
            self._problems.append(f"{line}: {found[1][:SHOWN]!r} is no version.")
        return found[1]

    def _of(self, lock: str, wanted: _Requirement) -> Iterator[LockedRelease]:
        """Return the releases of a requirement, by what constrains it."""
        constraints = self._constraints.get(wanted.name, [])
        if wanted.pin is not None:
            same = [one for one in constraints if one.pin == wanted.pin]
            hashes = wanted.hashes or tuple(h for one in same for h in one.hashes)
            yield self._release(lock, wanted, wanted.pin, hashes, _markers(wanted))
            return
        pinned = [one for one in constraints if one.pin is not None]
        if not pinned:
            self._problems.append(
                f"{wanted.line}: {wanted.requirement} is not pinned; say "
                f"{wanted.name}==VERSION, as pip-compile, uv pip compile or pip freeze "
                "write it."
            )
        for one in pinned:  # each for other systems
            assert one.pin is not None, "these are pinned"
            hashes = wanted.hashes or one.hashes
            yield self._release(lock, wanted, one.pin, hashes, _markers(wanted, one))

    def _release(
        self,
        lock: str,
        wanted: _Requirement,
        pin: str,
        hashes: tuple[str, ...],
        markers: tuple[Marker, ...],
    ) -> LockedRelease:
        digests = frozenset(
            filter(None, (sha256_of(split_digest(one)) for one in hashes))
        )
        if hashes and not digests:
            self._problems.append(
                f"{wanted.line}: none of its hashes is a SHA-256, by which files are "
                "checked here."
            )
        return LockedRelease(wanted.name, pin, lock, digests=digests, markers=markers)


def _markers(*requirements: _Requirement) -> tuple[Marker, ...]:
    """Return where all of these hold. Which extras will be asked for is not known."""
    markers = [str(one.requirement.marker or "extra") for one in requirements]
    known = [f"({text})" for text in markers if "extra" not in text]
    return (Marker(" and ".join(known)),) if known else ()


def _option(text: str) -> tuple[str, str]:
    """Read an option of pip and its value; what is none begins with no hyphen."""
    try:
        words = shlex.split(text, posix=True)
    except ValueError:
        words = text.split()
    option, value = words[0], words[1] if len(words) > 1 else ""
    if option[:2] in _SHORT and len(option) > 2:
        return option[:2], option[2:].removeprefix("=")
    if option.startswith("--") and "=" in option:
        option, _, value = option.partition("=")
    return option, value


def _lines(path: Path, text: str, constrains: bool) -> Iterator[_Line]:
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
        if whole := _joined(joined):
            yield _Line(path, first, whole, constrains)
        joined = []
    if whole := _joined(joined):
        yield _Line(path, first, whole, constrains)


def _joined(lines: Sequence[str]) -> str:
    return _COMMENT.sub("", " ".join(lines)).strip()


def _split(text: str) -> tuple[str, tuple[str, ...]]:
    """Split a requirement from its options, and keep its hashes."""
    requirement, *options = re.split(r"\s+(?=--?[a-z])", text)
    hashes = [
        option.removeprefix("--hash").lstrip("= \t").strip("\"'")
        for option in options
        if option.startswith("--hash")
    ]
    return requirement, tuple(hashes)
