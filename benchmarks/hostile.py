"""What one job in a helper takes: of real large things, and of what is made to hurt.

``python -m benchmarks.hostile [FILE ...]``; a FILE is a distribution file to be looked
into, as an upload would be. Each job runs in a helper of its own, under the limits of
its kind; a line says how much memory the helper came to have and how long it took.
Then an honest upload comes while those of two who have hung up are looked into.
"""

from __future__ import annotations

import gzip
import io
import json
import pickle
import socket
import struct
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import servers
from benchmarks.corpus import recorded
from benchmarks.largest import JSON, made_up_page
from benchmarks.memory import big_wheel, describe, form, resident, upload
from pypicloud_tw.access.hashes import hash_password, verify
from pypicloud_tw.config.hashes import make_context
from pypicloud_tw.index.archive import inspect
from pypicloud_tw.index.names import Filename
from pypicloud_tw.offload.helper import HEADER, address, frame
from pypicloud_tw.offload.limits import ARCHIVES, LOG_INS, PAGES, JobLimits
from pypicloud_tw.upstream.judgement.judge import ProjectJudge
from pypicloud_tw.upstream.names.packed import NAMES, look_alikes, pack, pack_file
from pypicloud_tw.upstream.prepare import PageResponse, Recipe, prepare_elsewhere
from pypicloud_tw.web.simple import render_upstream, reread_upstream

_NAME = "largest"
_METADATA = f"Metadata-Version: 2.1\nName: {_NAME}\nVersion: 1.0\n".encode()

#: Bytes that a page may have when it is unpacked (``upstream.max_page``).
_MAX_PAGE = 128 * 2**20

#: One job: what it is called, its limits, a function and its arguments.
Job = tuple[str, JobLimits, Callable[..., object], tuple[Any, ...]]


def run(job: Job) -> None:
    """Do one job in a helper of its own, and tell what it took."""
    label, limits, function, args = job
    command = [sys.executable, "-m", "pypicloud_tw.offload.helper"]
    command += [str(limits.memory), str(limits.niceness)]
    request = frame((*address(function), args))
    began = time.monotonic()
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as helper:
        assert helper.stdin is not None
        assert helper.stdout is not None
        helper.stdin.write(request)
        helper.stdin.flush()
        result = _reply(helper.stdout)
        seconds = time.monotonic() - began
        memory = resident(helper.pid) / 2**20
        helper.stdin.close()
    print(f"{label:44} {memory:6.0f} MiB {seconds:6.2f} s  {result}", flush=True)


def _reply(source: Any) -> str:
    header = source.read(HEADER.size)
    if len(header) < HEADER.size:
        return "the helper died"
    (length,) = HEADER.unpack(header)
    success, value = pickle.loads(source.read(length))
    return "done" if success else f"{type(value).__name__}: {value}"[:70]


def page(body: bytes, content_type: str = JSON) -> tuple[Any, ...]:
    """Give the arguments that read and render an upstream's page."""
    packed = gzip.compress(body, 6)
    answer = PageResponse("http://upstream/simple/x/", packed, content_type, "gzip")
    return (
        answer,
        Recipe(_NAME, render_upstream, reread_upstream, ProjectJudge("x"), _MAX_PAGE),
        0.0,
    )


def pages() -> Iterator[Job]:
    """Make the largest real page, and pages that are worse."""
    real = made_up_page()
    yield "page of 30 MB", PAGES, prepare_elsewhere, page(real)
    yield "the same, as HTML", PAGES, prepare_elsewhere, page(*_as_html(30_000_000))
    empty = b'{"name":"largest","files":[],"x":[' + b"[]," * 28_000_000 + b"[]]}"
    yield "page of empty lists, 87 kB packed", PAGES, prepare_elsewhere, page(empty)


def _as_html(size: int) -> tuple[bytes, str]:
    name = "largest-1.0.dev{}-cp311-cp311-manylinux_2_17_x86_64.whl"
    link = (
        f'<a href="https://files.example/{"0123456789abcdef" * 4}/{name}'
        f'#sha256={"0123456789abcdef" * 4}" data-requires-python="&gt;=3.9">{name}'
        "</a><br/>\n"
    )
    links = [link.replace("{}", str(n)) for n in range(size // len(link))]
    return f"<!DOCTYPE html><body>{''.join(links)}".encode(), "text/html"


def lists(folder: Path) -> Iterator[Job]:
    """Make a list of as many names as the largest, and lists that are worse."""
    names = [f"project-{n * 7919 % 700_000:06d}-tool" for n in range(700_000)]
    projects = [{"name": name, "_last-serial": 12_345_678} for name in names]
    real = json.dumps({"meta": {"api-version": "1.4"}, "projects": projects}).encode()
    links = (f'<a href="/simple/{name}/">{name}</a><br/>\n' for name in names)
    for label, data in (
        ("list of 700,000 names", real),
        ("the same, as HTML", f"<!DOCTYPE html>{''.join(links)}".encode()),
        ("list of one endless name", b'{"projects":["' + b"x" * 500_000_000),
        ("list of half links", b"<a " * 170_000_000),
    ):
        path = folder / f"list-{len(data)}"
        path.write_bytes(gzip.compress(data, 1))
        yield label, NAMES, pack_file, (str(path), "gzip")
    ours = tuple(f"project-{n:05d}-tool" for n in range(1_000))
    yield "1,000 names beside 700,000", NAMES, look_alikes, (pack(names), ours)


def archives(folder: Path) -> Iterator[Job]:
    """Make an archive of as many members as the largest, and archives that hurt."""
    made: list[tuple[str, Callable[[], Path]]] = [
        ("wheel of 22,000 members", lambda: _wheel(folder, 22_000)),
        ("source archive of 23,000 members", lambda: _sdist(folder, 23_000)),
        ("wheel of 8,000 names of fields", lambda: _many_names(folder, 8_000)),
        ("tar of 1,700 pax global headers", lambda: _global_headers(folder, 1_700)),
        ("zip of a million entries", lambda: _entries(folder, 1_000_000)),
    ]
    for label, make in made:
        yield label, ARCHIVES, inspect, look_into(make())


def look_into(path: Path) -> tuple[Any, ...]:
    """Give the arguments that look into a file."""
    return str(path), Filename.parse(path.name), path.stat().st_size


def _many_names(folder: Path, count: int) -> Path:
    return _wheel(folder, 1, "".join(f"X{n}: \n" for n in range(count)))


def _wheel(folder: Path, members: int, fields: str = "") -> Path:
    path = folder / f"{_NAME}-1.0-py3-none-any.whl"
    names = [f"{_NAME}/folder_{n % 100}/module_{n}.py" for n in range(members)]
    digest = sha256(b"x = 1\n")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, "x = 1\n")
        records = "".join(recorded(name, digest, 6) for name in names)
        describe(archive, _NAME, records, fields)
    return path


def _sdist(folder: Path, members: int) -> Path:
    path = folder / f"{_NAME}-1.0.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        _add(archive, f"{_NAME}-1.0/PKG-INFO", _METADATA)
        for number in range(members):
            _add(archive, f"{_NAME}-1.0/{number % 100}/module_{number}.py", b"x = 1\n")
    return path


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))


def _global_headers(folder: Path, count: int) -> Path:
    """Write a tar that sets some 150 kB of global fields again and again."""
    path = folder / f"{_NAME}-1.1.tar.gz"
    header = tarfile.TarInfo.create_pax_global_header({"comment": "x" * 150_000})
    with gzip.open(path, "wb") as out:
        for _ in range(count):
            out.write(header)
        with tarfile.open(fileobj=out, mode="w|") as archive:
            _add(archive, f"{_NAME}-1.1/PKG-INFO", _METADATA)
    return path


def _entries(folder: Path, count: int) -> Path:
    """Write a zip whose directory lists so many entries."""
    path = folder / f"{_NAME}-1.2-py3-none-any.whl"
    # APPNOTE.TXT, 4.3.12: an entry of a name of one byte, which is the same for all.
    fields = 20, 20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0
    entry = struct.pack("<4s6H3L5H2L", b"PK\1\2", *fields) + b"a"
    with path.open("wb") as out:
        for _ in range(count // 1000):
            out.write(entry * 1000)
        size = out.tell()
        counted = min(count, 0xFFFF)
        end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, counted, counted, size, 0, 0)
        out.write(end)
    return path


def wait_behind_others(folder: Path) -> None:
    """Time an upload that comes after two slow ones whose senders have gone."""
    settings = {
        "storage.dir": str(folder / "store"),
        "pypi.fallback": "none",
        f"user.{servers.USER}": hash_password(servers.PASSWORD),
    }
    port = servers.free_port()
    with servers.ours(folder, settings, port):
        honest = folder / "honest-1.0-py3-none-any.whl"
        big_wheel(honest, "honest", 2**20)
        slow = _wheel(folder, 60_000)
        for _ in range(2):
            hang_up(port, slow)
        time.sleep(1)
        began = time.monotonic()
        status = upload(port, honest, "honest")
        seconds = time.monotonic() - began
        print(f"upload beside two that hung up: {seconds:.1f} s, answered {status}")


def hang_up(port: int, path: Path) -> None:
    """Upload a file, and wait for no answer."""
    head, tail, kind = form(path, _NAME)
    body = head + path.read_bytes() + tail
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        request = (
            "POST /legacy/ HTTP/1.1\r\nHost: localhost\r\n"
            f"Authorization: {servers.authorization()}\r\n"
            f"Content-Type: {kind}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        connection.sendall(request.encode() + body)
        time.sleep(1)


def main() -> None:
    """Run every job."""
    print(f"{'job':44} {'memory':>10} {'time':>8}  result")
    hashed = make_context().handler("sha256_crypt").hash("x")
    run(("password, sha256_crypt", LOG_INS, verify, ("x", hashed)))
    for name in sys.argv[1:]:
        run((name[-44:], ARCHIVES, inspect, look_into(Path(name))))
    for job in pages():
        run(job)
    with TemporaryDirectory() as temporary:
        for job in lists(Path(temporary)):
            run(job)
        for job in archives(Path(temporary)):
            run(job)
        wait_behind_others(Path(temporary))


if __name__ == "__main__":
    main()
