"""A corpus of small wheels: in our folder's layout, and flat as pypiserver wants it."""

from __future__ import annotations

import io
import zipfile
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from attrs import frozen

from pypicloud_tw.index.manifest import encode, in_order, manifest_key
from pypicloud_tw.index.model import File, Project
from pypicloud_tw.index.names import project_name

#: How many files each project has: many ordinary ones, and two of the large kind.
ORDINARY = {f"project-{n:03d}": 20 for n in range(300)}
LARGE, LARGEST = "project-large", "project-largest"
SIZES: Mapping[str, int] = {**ORDINARY, LARGE: 1000, LARGEST: 5000}

WHEEL = b"""\
Wheel-Version: 1.0
Generator: benchmark
Root-Is-Purelib: true
Tag: py3-none-any
"""

_PUBLISHED = datetime(2026, 1, 1, tzinfo=UTC)


@frozen
class Corpus:
    """Where it lies.

    :ivar store: a folder in the layout of our directory store.
    :ivar flat: one folder of files.
    """

    store: Path
    flat: Path


def wheel(name: str, version: str) -> tuple[bytes, bytes]:
    """Make a small valid wheel; also give its core metadata."""
    metadata = (
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        f"Summary: Nothing in particular\nRequires-Python: >=3.9\n"
    ).encode()
    escaped = name.replace("-", "_")
    folder = f"{escaped}-{version}.dist-info"
    members = {
        f"{escaped}.py": f"version = {version!r}\n".encode(),
        f"{folder}/WHEEL": WHEEL,
        f"{folder}/METADATA": metadata,
    }
    lines = [recorded(name, sha256(data), len(data)) for name, data in members.items()]
    members[f"{folder}/RECORD"] = "".join(lines).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for member, data in members.items():
            archive.writestr(member, data)
    return buffer.getvalue(), metadata


def recorded(name: str, digest: Any, size: int) -> str:
    """Write a member's line of a RECORD, from its finished sha256."""
    text = urlsafe_b64encode(digest.digest()).decode().rstrip("=")
    return f"{name},sha256={text},{size}\n"


def make(folder: Path, sizes: Mapping[str, int] = SIZES) -> Corpus:
    """Write the corpus below *folder*."""
    corpus = Corpus(folder / "store", folder / "flat")
    corpus.flat.mkdir(parents=True)
    (corpus.store / ".index").mkdir(parents=True)
    for name, count in sizes.items():
        _make_project(corpus, name, count)
    return corpus


def _make_project(corpus: Corpus, name: str, count: int) -> None:
    normalized = project_name(name)
    files = [_make_file(corpus, name, number) for number in range(count)]
    project = Project(normalized, name, in_order(files))
    (corpus.store / manifest_key(normalized)).write_bytes(encode(project))


def _make_file(corpus: Corpus, name: str, number: int) -> File:
    version = f"1.{number}.0"
    filename = f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
    data, metadata = wheel(name, version)
    key = f"{name}/{number:032x}/{filename}"
    place = corpus.store / key
    place.parent.mkdir(parents=True)
    place.write_bytes(data)
    Path(f"{place}.metadata").write_bytes(metadata)
    (corpus.flat / filename).write_bytes(data)
    return File(
        filename=filename,
        version=version,
        key=key,
        size=len(data),
        sha256=sha256(data).hexdigest(),
        upload_time=_PUBLISHED,
        requires_python=">=3.9",
        metadata_key=f"{key}.metadata",
        metadata_sha256=sha256(metadata).hexdigest(),
        uploader="benchmark",
    )
