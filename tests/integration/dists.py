"""Tiny distribution files that real clients build nothing for, and install."""

from __future__ import annotations

import io
import tarfile
import zipfile
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path

#: A build backend that lies in the source tree and needs nothing from any index
#: (PEP 517, in-tree build backends).
BACKEND = '''\
"""Builds a wheel of the one module beside it."""
import os, zipfile
NAME, VERSION, METADATA = {name!r}, {version!r}, {metadata!r}
WHEEL = {wheel!r}
def build_wheel(directory, config_settings=None, metadata_directory=None):
    filename = NAME + "-" + VERSION + "-py3-none-any.whl"
    info = NAME + "-" + VERSION + ".dist-info/"
    members = {{
        NAME + "/__init__.py": "version = " + repr(VERSION) + "\\n",
        info + "METADATA": METADATA,
        info + "WHEEL": WHEEL,
    }}
    record = "".join(name + ",,\\n" for name in [*members, info + "RECORD"])
    with zipfile.ZipFile(os.path.join(directory, filename), "w") as archive:
        for name, text in [*members.items(), (info + "RECORD", record)]:
            archive.writestr(name, text)
    return filename
'''

PYPROJECT = """\
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""

WHEEL = """\
Wheel-Version: 1.0
Generator: pypicloud-tests
Root-Is-Purelib: true
Tag: py3-none-any
"""


def metadata(
    name: str,
    version: str,
    requires: Iterable[str] = (),
    requires_python: str | None = ">=3.6",
) -> str:
    """Write core metadata."""
    lines = [
        "Metadata-Version: 2.1",
        f"Name: {name}",
        f"Version: {version}",
        f"Summary: The tool {name}",
    ]
    if requires_python is not None:
        lines.append(f"Requires-Python: {requires_python}")
    lines += [f"Requires-Dist: {requirement}" for requirement in requires]
    return "\n".join(lines) + "\n"


def make_wheel(
    folder: Path,
    name: str,
    version: str,
    *,
    requires: Iterable[str] = (),
    requires_python: str | None = ">=3.6",
    files: Mapping[str, bytes] | None = None,
) -> Path:
    """Write a wheel of one module, ``name``, that knows its ``version``.

    :param name: a Python identifier in lower case.
    :param files: more members.
    """
    info = f"{name}-{version}.dist-info"
    members = {
        f"{name}/__init__.py": f"version = {version!r}\n".encode(),
        **(files or {}),
        f"{info}/METADATA": metadata(name, version, requires, requires_python).encode(),
        f"{info}/WHEEL": WHEEL.encode(),
    }
    record = [f"{path},{_digest(data)},{len(data)}\n" for path, data in members.items()]
    record.append(f"{info}/RECORD,,\n")
    members[f"{info}/RECORD"] = "".join(record).encode()
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in members.items():
            # A fixed date: equal contents are equal bytes.
            archive.writestr(zipfile.ZipInfo(member, (2026, 1, 1, 0, 0, 0)), data)
    return path


def make_sdist(
    folder: Path,
    name: str,
    version: str,
    *,
    requires: Iterable[str] = (),
    requires_python: str | None = ">=3.6",
    files: Mapping[str, bytes] | None = None,
) -> Path:
    """Write a source distribution that builds without asking any index."""
    info = metadata(name, version, requires, requires_python)
    backend = BACKEND.format(name=name, version=version, metadata=info, wheel=WHEEL)
    members = {
        "PKG-INFO": info.encode(),
        "pyproject.toml": PYPROJECT.encode(),
        "backend.py": backend.encode(),
        **(files or {}),
    }
    path = folder / f"{name}-{version}.tar.gz"
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for member, data in members.items():
            entry = tarfile.TarInfo(f"{name}-{version}/{member}")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return path


def _digest(data: bytes) -> str:
    """Write a digest as RECORD wants it (the wheel specification)."""
    encoded = urlsafe_b64encode(sha256(data).digest()).rstrip(b"=")
    return f"sha256={encoded.decode()}"
