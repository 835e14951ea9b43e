"""Small true distribution files and values, for tests that need some."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from attrs import evolve

from pypicloud_tw.access.policy import Policy
from pypicloud_tw.access.settings import AccessSettings
from pypicloud_tw.index.model import File


def simple_policy(default_read: str = "everyone", has_users: bool = True) -> Policy:
    """Rules that say no more than who may read."""
    groups = (default_read,)
    return Policy(AccessSettings(default_read=groups, has_users=has_users))


METADATA = """\
Metadata-Version: 2.1
Name: {name}
Version: {version}
Summary: A tool of Acme's
Requires-Python: >=3.8
"""

MORNING = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)


def metadata(name: str = "acme", version: str = "1.0") -> bytes:
    return METADATA.format(name=name, version=version).encode()


def zip_of(members: Iterable[tuple[str | zipfile.ZipInfo, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            # A fixed date: equal contents are equal bytes.
            info = (
                name
                if isinstance(name, zipfile.ZipInfo)
                else zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0))
            )
            archive.writestr(info, data, zipfile.ZIP_DEFLATED, compresslevel=1)
    return buffer.getvalue()


WHEEL = b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def record(
    members: Iterable[tuple[str | zipfile.ZipInfo, bytes]], folder: str
) -> bytes:
    """A RECORD of these members, in *folder*."""
    lines = [f"{folder}/RECORD,,"]
    for name, data in members:
        text = name if isinstance(name, str) else name.filename
        digest = urlsafe_b64encode(sha256(data).digest()).decode().rstrip("=")
        if not text.endswith("/"):
            lines.append(f"{text},sha256={digest},{len(data)}")
    return "\n".join(lines).encode() + b"\n"


def wheel(
    name: str = "acme",
    version: str = "1.0",
    *,
    core_metadata: bytes | None = None,
    extra: Iterable[tuple[str | zipfile.ZipInfo, bytes]] = (),
) -> bytes:
    """The bytes of ``{name}-{version}-py3-none-any.whl``."""
    folder = f"{name}-{version}.dist-info"
    members = [
        (f"{folder}/METADATA", core_metadata or metadata(name, version)),
        (f"{folder}/WHEEL", WHEEL),
        *extra,
    ]
    return zip_of([*members, (f"{folder}/RECORD", record(members, folder))])


def gzipped(data: bytes) -> bytes:
    """Compress; with no time in it, for equal contents to be equal bytes."""
    return gzip.compress(data, compresslevel=1, mtime=0)


def tar_of(
    members: Iterable[tuple[tarfile.TarInfo, bytes]],
    compress: Callable[[bytes], bytes] = gzipped,
) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for member, data in members:
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return compress(buffer.getvalue())


def member(name: str, **attributes: Any) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    for key, value in attributes.items():
        setattr(info, key, value)
    return info


def sdist(name: str = "acme", version: str = "1.0") -> bytes:
    """The bytes of ``{name}-{version}.tar.gz``."""
    pkg_info = member(f"{name}-{version}/PKG-INFO")
    return tar_of([(pkg_info, metadata(name, version))])


def bare_sdist(name: str = "acme", version: str = "1.0") -> bytes:
    """The bytes of one from before core metadata: it has no ``PKG-INFO``."""
    return tar_of([(member(f"{name}-{version}/setup.py"), b"")])


def file(filename: str = "acme-1.0-py3-none-any.whl", **changes: Any) -> File:
    """A file of the project acme, as a manifest tells it."""
    one = File(
        filename=filename,
        version="1.0",
        key=f"acme/{'0' * 32}/{filename}",
        size=7,
        sha256=sha256(filename.encode()).hexdigest(),
        upload_time=MORNING,
    )
    return evolve(one, **changes)
