"""Reading lock files, whatever their format, and several at once."""

from __future__ import annotations

import codecs
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from packaging.pylock import is_valid_pylock_path

from pypicloud_tw.errors import BadRequest
from pypicloud_tw.moving.locks.pylock import read_pylock
from pypicloud_tw.moving.locks.requirements import read_requirements
from pypicloud_tw.moving.locks.uv_lock import read_uv_lock
from pypicloud_tw.moving.locks.values import MAX_LOCK, Lock, refused

#: What writes a requirements.txt of lock files that are not read.
_EXPORTS: Mapping[str, str] = MappingProxyType(
    {
        "poetry.lock": "poetry export -o requirements.txt",
        "pdm.lock": "pdm export -o requirements.txt",
        "Pipfile": "pipenv requirements --hash > requirements.txt",
        "Pipfile.lock": "pipenv requirements --hash > requirements.txt",
    }
)


def read_locks(paths: Sequence[Path]) -> Lock:
    """Read lock files; blocks, and is for a command before its reactor runs.

    :raises BadRequest: one cannot be used; the message has all that is wrong with all.
    """
    locks, problems = [], []
    for path in paths:
        try:
            locks.append(read_lock(path))
        except BadRequest as e:
            problems.append(e.message)
    if problems:
        raise BadRequest("\n".join(problems))
    return _joined(locks)


def read_lock(path: Path) -> Lock:
    """Read a lock file, whose name tells its format, as it does to installers.

    :raises BadRequest: it cannot be used.
    """
    if path.name == "uv.lock":
        return read_uv_lock(path.name, read_text(path))
    if is_valid_pylock_path(path):
        return read_pylock(path.name, read_text(path))
    export = _EXPORTS.get(path.name)
    if export is not None or path.suffix in (".toml", ".lock", ".json"):
        how = f"this writes one: {export}" if export else "most tools can export to one"
        raise refused(
            path.name,
            [
                "Only uv.lock, pylock.toml (pylock.NAME.toml) and requirements.txt are "
                f"read; {how}."
            ],
        )
    return read_requirements(path, read_text)


def read_text(path: Path) -> str:
    """Read a file as text.

    :raises BadRequest: it cannot be read, is longer than :data:`.MAX_LOCK`, or no text.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_LOCK + 1)
    except OSError as e:
        raise BadRequest(f"{path}: {e.strerror or e}.") from None
    if len(data) > MAX_LOCK:
        raise BadRequest(f"{path} is longer than a lock file.")
    # What "pip freeze > requirements.txt" writes in a PowerShell is UTF-16.
    is_utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return data.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError:
        raise BadRequest(f"{path} is not UTF-8 text.") from None


def _joined(locks: Sequence[Lock]) -> Lock:
    return Lock(
        tuple(release for lock in locks for release in lock.releases),
        tuple(note for lock in locks for note in lock.notes),
    )
