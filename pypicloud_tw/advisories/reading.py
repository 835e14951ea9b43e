"""Reading OSV records out of a folder, a zip or a file; in a helper process.

What is read is somebody else's: each record is bounded, and one that cannot be read is
left out and counted.
"""

from __future__ import annotations

import json
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from attrs import field, frozen

from pypicloud_tw.advisories.records import BadRecord, advisories_of
from pypicloud_tw.advisories.table import AdvisoryTable, TableMaker
from pypicloud_tw.errors import Unavailable
from pypicloud_tw.offload.limits import JobLimits, limited

#: A source's records: ``python -m benchmarks.advisories`` tells what 50,000 take.
ADVISORIES = JobLimits(
    "advisories",
    "The source of advisories",
    memory=1024 * 2**20,
    seconds=900.0,
    error=Unavailable,
)

#: Bytes of a record. The largest of the Python ecosystem have some 300 kB.
MAX_RECORD = 8 * 2**20
#: Records of a source: all ecosystems together have some 500,000.
MAX_RECORDS = 5_000_000
#: Bytes of what is kept of them: 50,000 are 30 MB.
MAX_TABLE = 1024 * 2**20
#: Folders below each other.
_DEEPEST = 16

#: What reading a zip file raises that is not as it should be: a password is a
#: RuntimeError, a compression that is not known a NotImplementedError, which is one.
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    RuntimeError,
    ValueError,
    struct.error,
)
#: With the others a few bytes can become many at one step.
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})


@frozen
class Reading:
    """What was read of a source.

    :ivar state: tells whether it has changed since.
    :ivar table: see :meth:`.AdvisoryTable.decode`.
    """

    table: bytes = field(repr=False)
    state: str


@limited(ADVISORIES)
def read_source(path: str, known: str) -> Reading | None:
    """Read every record of a source.

    :param known: the state that was read before; empty: none was.
    :return: None if it has not changed since.
    :raises Unavailable: it is not there, or is none.
    """
    source = Path(path)
    try:
        state = _state(source)
        if state == known:
            return None
        return Reading(_read(source), state)
    except (OSError, *_DAMAGED) as e:
        reason = e.strerror if isinstance(e, OSError) and e.strerror else str(e)
        raise Unavailable(
            f"The source of advisories {source.name!r} cannot be read: {reason}."
        ) from None


@limited(ADVISORIES)
def decode_table(data: bytes) -> AdvisoryTable | None:
    """See :meth:`.AdvisoryTable.decode`; for a thread."""
    return AdvisoryTable.decode(data, MAX_TABLE)


def _state(source: Path) -> str:
    """Tell a source from what it may become, without reading what is in it."""
    if not source.is_dir():
        told = source.stat()
        return f"{told.st_size} {told.st_mtime_ns} {told.st_ino}"
    digest = sha256()
    for path in _files(source):
        told = path.stat()
        line = f"{path.relative_to(source)} {told.st_size} {told.st_mtime_ns}\n"
        digest.update(line.encode(errors="surrogateescape"))
    return digest.hexdigest()


def _read(source: Path) -> bytes:
    maker = TableMaker()
    for data in _records(source):
        try:
            if data is None:
                raise BadRecord("it is too large")
            maker.add(list(advisories_of(json.loads(data))))
        except (BadRecord, ValueError, RecursionError):
            maker.skipped += 1
        if maker.records + maker.skipped > MAX_RECORDS:
            raise Unavailable(f"There are more than {MAX_RECORDS} advisories.")
    if not maker.records:
        # An error page that was answered instead of the zip, say, or the wrong folder.
        raise Unavailable(f"There is no OSV record in {source.name!r}.")
    return maker.encode()


def _records(source: Path) -> Iterator[bytes | None]:
    """Read each record; None for one that is too large."""
    if source.is_dir():
        for path in _files(source):
            if path.stat().st_size > MAX_RECORD:
                yield None
            else:
                yield path.read_bytes()
    elif not source.is_file():
        # To open a pipe would wait for whoever writes it.
        raise Unavailable(f"{source.name!r} is neither a folder nor a file.")
    elif zipfile.is_zipfile(source):
        yield from _members(source)
    else:
        if source.stat().st_size > MAX_RECORD:
            raise Unavailable(
                f"The source of advisories {source.name!r} is no zip file, and too "
                "large for a record."
            )
        yield source.read_bytes()


def _members(source: Path) -> Iterator[bytes | None]:
    with zipfile.ZipFile(source) as archive:
        for member in archive.infolist():
            if not member.filename.endswith(".json"):
                continue
            if member.file_size > MAX_RECORD:
                yield None
                continue
            if member.compress_type not in _METHODS:
                yield None
                continue
            try:
                # What a member says of its size is not trusted.
                with archive.open(member) as opened:
                    data = opened.read(MAX_RECORD + 1)
            except (OSError, *_DAMAGED):
                yield None
                continue
            yield data if len(data) <= MAX_RECORD else None


def _files(folder: Path, depth: int = 0) -> Iterator[Path]:
    """Find the records below a folder; links to other folders are not followed."""
    entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            if depth < _DEEPEST:
                yield from _files(Path(entry.path), depth + 1)
        elif entry.name.endswith(".json") and entry.is_file():
            yield Path(entry.path)
