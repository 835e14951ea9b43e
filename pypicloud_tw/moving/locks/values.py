"""What lock files say, whatever their format."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from attrs import field, frozen
from packaging.markers import Marker

from pypicloud_tw.errors import BadRequest
from pypicloud_tw.index.names import NormalizedName, parse_version, project_name
from pypicloud_tw.upstream.links import checked_sha256

#: Bytes of a lock file. The uv.lock of Apache Airflow's workspace, one of the largest
#: known, has 5 MB: a factor of 12.
MAX_LOCK = 64 * 2**20

#: Characters of a name or version that messages show, if it is none.
SHOWN = 100


@frozen
class LockedFile:
    """A file that a lock names.

    :ivar sha256: None: the lock tells none, or only digests of other kinds.
    :ivar size: in bytes, if it is told.
    """

    filename: str
    sha256: str | None
    size: int | None = None

    @property
    def is_wheel(self) -> bool:
        """Whether it is installed as it is."""
        return self.filename.endswith(".whl")


@frozen
class LockedRelease:
    """A release that a lock names.

    :ivar files: None: the lock does not name them; any of the release will do whose
        digest is one of *digests*.
    :ivar digests: SHA-256; empty: the lock tells none.
    :ivar markers: where it is installed: wherever one of these holds; empty:
        everywhere.
    :ivar lock: the file that says so, for messages.
    """

    name: NormalizedName
    version: str
    lock: str
    files: tuple[LockedFile, ...] | None = None
    digests: frozenset[str] = frozenset()
    markers: tuple[Marker, ...] = field(default=(), eq=False)

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@frozen
class Lock:
    """What one lock file says.

    :ivar notes: what it names and no index has, a sentence each.
    """

    releases: tuple[LockedRelease, ...]
    notes: tuple[str, ...] = ()


def refused(lock: str, problems: Iterable[str]) -> BadRequest:
    """Make the error of a lock that cannot be used, with all that is wrong in it."""
    return BadRequest("\n".join(f"{lock}: {problem}" for problem in problems))


def first_line(error: Exception) -> str:
    """Return what an error says, without what some show below it: the whole text."""
    return next(iter(str(error).splitlines()), "").rstrip(".")


def load_toml(lock: str, text: str) -> dict[str, Any]:
    """Read TOML.

    :raises BadRequest: it is none, or none that Python would take the time to read.
    """
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as e:
        raise refused(lock, [f"It is no TOML: {first_line(e)}."]) from None


def locked_name(lock: str, text: str) -> NormalizedName:
    """Read a project's name.

    :raises BadRequest: it is none.
    """
    try:
        return project_name(text)
    except BadRequest as e:
        raise refused(lock, [f"{text[:SHOWN]!r}: {e.message}"]) from None


def release_version(lock: str, name: str, text: object) -> str:
    """Check a version of a lock.

    :raises BadRequest: it is none.
    """
    if not isinstance(text, str):
        raise refused(lock, [f"{name} has no version."])
    try:
        parse_version(text)
    except ValueError:
        raise refused(
            lock, [f"{name} has the version {text[:SHOWN]!r}, which is none."]
        ) from None
    return text


def filename_of(address: str) -> str:
    """Return the filename at the end of a URL or path."""
    return PurePosixPath(unquote(urlsplit(address).path)).name


def sha256_of(hashes: Mapping[str, object]) -> str | None:
    """Find a SHA-256 among digests by their algorithms' names."""
    digest = hashes.get("sha256")
    return checked_sha256(digest.lower() if isinstance(digest, str) else None)


def split_digest(text: str) -> dict[str, str]:
    """Read ``algorithm:digest`` or ``algorithm=digest``."""
    for separator in ":=":
        algorithm, found, digest = text.partition(separator)
        if found:
            return {algorithm: digest}
    return {}
