"""What people are shown of the inside of releases: how long a helper takes for it.

``python -m benchmarks.described [METADATA ...]``; a METADATA is core metadata whose
description is rendered. One helper of each kind does all, so that the first line of a
kind tells what a cold one takes, with Python's start. It listens to nobody.
"""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from attrs import define, field

from benchmarks.memory import resident
from pypicloud_tw.offload.helper import HEADER, address, frame
from pypicloud_tw.offload.limits import JobLimits
from pypicloud_tw.projects.described.limits import CONTENTS, DESCRIPTIONS
from pypicloud_tw.projects.described.listing import (
    HEAD,
    PACKED,
    Window,
    find_in_zip,
    list_tar,
    list_zip,
    read_in_zip,
)
from pypicloud_tw.projects.described.release_metadata import read_metadata
from pypicloud_tw.projects.described.rendering import render

README = Path(__file__).parents[1] / "README.rst"

MARKDOWN = """\
# Acme

[![Build](https://ci.example/b.svg)](https://ci.example) A *tool* with `code`, see
[the docs](https://docs.example/?a=b).

```python
from acme import run

run(verbose=True)
```

| option | meaning |
|--------|---------|
| `-v`   | more    |

"""


@define
class Helper:
    """A helper of one kind of work."""

    limits: JobLimits
    process: Any = field(default=None)

    def run(self, label: str, function: Callable[..., Any], *args: Any) -> Any:
        """Do a job, and tell what it took."""
        began = time.monotonic()
        if self.process is None:
            self.process = self._start()
        self.process.stdin.write(frame((*address(function), args)))
        self.process.stdin.flush()
        header = self.process.stdout.read(HEADER.size)
        if len(header) < HEADER.size:
            raise SystemExit(f"{label}: the helper died")
        data = self.process.stdout.read(*HEADER.unpack(header))
        milliseconds = 1000 * (time.monotonic() - began)
        memory = resident(self.process.pid) / 2**20
        print(f"{label:44} {milliseconds:8.1f} ms {memory:6.0f} MiB", flush=True)
        success, value = pickle.loads(data)
        if not success:
            raise value
        return value

    def _start(self) -> Any:
        command = [sys.executable, "-m", "pypicloud_tw.offload.helper"]
        return subprocess.Popen(
            [*command, str(self.limits.memory), str(self.limits.niceness)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def stop(self) -> None:
        """End it."""
        if self.process is not None:
            self.process.stdin.close()
            self.process.wait()


def descriptions(helper: Helper, files: list[str]) -> None:
    """Render usual descriptions, large ones, and those that are named."""
    kinds = (
        ("Markdown", MARKDOWN, "text/markdown"),
        (
            "reStructuredText",
            README.read_text(),
            "text/x-rst",
        ),
    )
    for name, text, kind in kinds:
        helper.run(f"{name}, {len(text)} characters, cold", render, text, kind)
        for _ in range(3):
            helper.run("the same, warm", render, text, kind)
        times = 1_000_000 // len(text)
        helper.run(f"{name} of 1 MB", render, text * times, kind)
    needs = b"".join(
        b"Requires-Dist: d%d[x]>=1; python_version < '3.9' and extra == 'e%d'\n"
        % (n, n)
        for n in range(5_000)
    )
    head = b"Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n"
    helper.run("5,000 dependencies", read_metadata, head + needs, "acme", "1.0")
    for name in files:
        read = helper.run(name[-44:], read_metadata, Path(name).read_bytes(), "x", "1")
        helper.run("rendered", render, read.description, read.description_type)


def contents(helper: Helper, folder: Path) -> None:
    """Look into a wheel of 5,000 members, and into a large source archive."""
    data = _wheel(5_000)
    begin = data.index(b"PK\1\2")
    window = Window(begin, data[begin:], len(data))
    for label in ("wheel of 5,000 members, cold", "the same, warm"):
        helper.run(label, list_zip, window)
    path = "acme/folder_0/module_0.py"
    member = helper.run("a member found", find_in_zip, window, path)
    part = data[member.header : member.header + HEAD + PACKED]
    helper.run("and read", read_in_zip, Window(0, part, len(data)), member)
    source = _sdist(folder, 50_000)
    size = source.stat().st_size
    label = f"source archive, 50,000 members, {size >> 20} MiB"
    helper.run(label, list_tar, str(source), source.name, size)


def _wheel(members: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(members):
            archive.writestr(f"acme/folder_{number % 50}/module_{number}.py", "x = 1\n")
    return buffer.getvalue()


def _sdist(folder: Path, members: int) -> Path:
    path = folder / "acme-1.0.tar.gz"
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for number in range(members):
            member = tarfile.TarInfo(f"acme-1.0/folder_{number % 50}/{number}.py")
            member.size = 2_000
            archive.addfile(member, io.BytesIO(os.urandom(2_000)))
    return path


def main() -> None:
    """Do everything once."""
    print(f"{'job':44} {'time':>11} {'memory':>10}")
    renders, looks = Helper(DESCRIPTIONS), Helper(CONTENTS)
    try:
        descriptions(renders, sys.argv[1:])
        with TemporaryDirectory() as temporary:
            contents(looks, Path(temporary))
    finally:
        renders.stop()
        looks.stop()


if __name__ == "__main__":
    main()
