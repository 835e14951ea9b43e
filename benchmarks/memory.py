"""Memory of the server under uploads: one of 1 GiB, 50 at once, and 300 long forms.

``python -m benchmarks.memory [--bytes N] [--forms N]``; what is printed is how much the
resident set of the server's process grew, which must not follow the size of the files,
nor the length of the forms.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import io
import socket
import threading
import time
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import corpus, servers
from pypicloud_tw.access.hashes import hash_password

#: As long as twine's: a short one takes longer to look for.
_BOUNDARY = hashlib.md5(b"benchmark", usedforsecurity=False).hexdigest()
_PIECE = 256 * 1024


def forget_highest(pid: int) -> None:
    """Have :func:`resident` begin anew: checking a password alone takes 19 MiB."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def resident(pid: int) -> int:
    """Tell the highest that the resident set of a process has been, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("This needs Linux's /proc.")


def big_wheel(path: Path, name: str, size: int) -> None:
    """Write a valid wheel of about *size* bytes that do not compress."""
    block = hashlib.shake_128(name.encode()).digest(2**20)
    digest = hashlib.sha256()
    count = size // len(block)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        with archive.open(f"{name}/data.bin", "w", force_zip64=True) as member:
            for _ in range(count):
                member.write(block)
                digest.update(block)
        data = corpus.recorded(f"{name}/data.bin", digest, count * len(block))
        describe(archive, name, data)


def describe(
    archive: zipfile.ZipFile, name: str, records: str, fields: str = ""
) -> None:
    """Write the .dist-info folder, whose RECORD begins with *records*.

    :param fields: more header lines of METADATA.
    """
    folder = f"{name}-1.0.dist-info"
    text = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{fields}".encode()
    for path, data in (
        (f"{folder}/METADATA", text),
        (f"{folder}/WHEEL", corpus.WHEEL),
    ):
        archive.writestr(path, data)
        records += corpus.recorded(path, hashlib.sha256(data), len(data))
    archive.writestr(f"{folder}/RECORD", f"{records}{folder}/RECORD,,\n")


def form(
    path: Path, name: str, more: Mapping[str, str] | None = None
) -> tuple[bytes, bytes, str]:
    """Write what stands before and after the file in an upload's body, and its type.

    :param more: fields of the form.
    """
    out = io.StringIO()
    fields = {":action": "file_upload", "name": name, "version": "1.0", **(more or {})}
    for key, value in fields.items():
        out.write(
            f"--{_BOUNDARY}\r\nContent-Disposition: form-data; "
            f'name="{key}"\r\n\r\n{value}\r\n'
        )
    out.write(
        f"--{_BOUNDARY}\r\nContent-Disposition: form-data; "
        f'name="content"; filename="{path.name}"\r\n\r\n'
    )
    tail = f"\r\n--{_BOUNDARY}--\r\n"
    kind = f"multipart/form-data; boundary={_BOUNDARY}"
    return out.getvalue().encode(), tail.encode(), kind


def upload(port: int, path: Path, name: str) -> int:
    """Upload a file and give the status."""
    return send(port, path, name)[0]


def send(
    port: int, path: Path, name: str, more: Mapping[str, str] | None = None
) -> tuple[int, bytes]:
    """Upload a file; give the status of the answer, and its body.

    :param more: as of :func:`form`.
    """
    head, tail, content_type = form(path, name, more)

    def body() -> Iterator[bytes]:
        yield head
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                yield piece
        yield tail

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    length = len(head) + path.stat().st_size + len(tail)
    headers = {
        "Authorization": servers.authorization(),
        "Content-Type": content_type,
        "Content-Length": str(length),
    }
    connection.request("POST", "/legacy/", body(), headers)
    answer = connection.getresponse()
    told = answer.status, answer.read()
    connection.close()
    return told


def upload_all(port: int, wheels: dict[str, Path]) -> None:
    """Upload several at once."""
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda n=n, p=p: statuses.append(upload(port, p, n)))
        for n, p in wheels.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if statuses != [200] * len(wheels):
        raise RuntimeError(f"not every upload was taken: {sorted(statuses)}")


def measure(folder: Path, label: str, wheels: dict[str, Path]) -> None:
    """Run a server of its own, warm it by a small upload, upload, and tell."""
    store = folder / f"store-{label}"
    settings = {
        "storage.dir": str(store),
        "pypi.fallback": "none",
        f"user.{servers.USER}": hash_password(servers.PASSWORD),
    }
    port = servers.free_port()
    small = folder / f"small_{label}-1.0-py3-none-any.whl"
    big_wheel(small, f"small_{label}", 2**20)
    with servers.ours(folder, settings, port) as server:
        upload_all(port, {f"small_{label}": small})
        forget_highest(server.pid)
        before, began = resident(server.pid), time.monotonic()
        upload_all(port, wheels)
        seconds = time.monotonic() - began
        grown = (resident(server.pid) - before) / 2**20
    total = sum(path.stat().st_size for path in wheels.values()) / 2**20
    print(
        f"{len(wheels)} uploads, {total:,.0f} MiB in all: {seconds:.1f} s; resident "
        f"set {before / 2**20:.0f} MiB before, {grown:+.0f} MiB at the highest",
        flush=True,
    )


def begin_form(port: int, text: int) -> socket.socket:
    """Send a form's text field of so many bytes, and not the form's end."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=60)
    field = (
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="description"\r\n\r\n'
    ).encode()
    head = (
        "POST /legacy/ HTTP/1.1\r\nHost: localhost\r\n"
        f"Authorization: {servers.authorization()}\r\n"
        f"Content-Type: multipart/form-data; boundary={_BOUNDARY}\r\n"
        f"Content-Length: {len(field) + text + 1000}\r\n\r\n"
    ).encode()
    connection.sendall(head + field)
    connection.sendall(b"x" * text)
    return connection


def measure_forms(folder: Path, count: int, text: int) -> None:
    """Hold so many forms open, each with a long text field; tell, also of after."""
    settings = {
        "storage.dir": str(folder / "store-forms"),
        "pypi.fallback": "none",
        f"user.{servers.USER}": hash_password(servers.PASSWORD),
    }
    port = servers.free_port()
    with servers.ours(folder, settings, port) as server:
        begin_form(port, 1000).close()
        time.sleep(1)
        forget_highest(server.pid)
        before = resident(server.pid)
        connections = [begin_form(port, text) for _ in range(count)]
        time.sleep(2)
        highest = resident(server.pid) - before
        for connection in connections:
            connection.close()
        time.sleep(2)
        forget_highest(server.pid)
        after = resident(server.pid) - before
    print(
        f"{count} forms with a field of {text / 1e6:.0f} MB: resident set "
        f"{before / 2**20:.0f} MiB before, {highest / 2**20:+.0f} MiB at the highest, "
        f"{after / 2**20:+.0f} MiB when they had gone",
        flush=True,
    )


def main() -> None:
    """Measure all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bytes", type=int, default=2**30, help="of the large file")
    parser.add_argument("--forms", type=int, default=300, help="of 5 MB at once")
    options = parser.parse_args()
    size = options.bytes
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        measure_forms(folder, options.forms, 5_000_000)
        one = folder / "large-1.0-py3-none-any.whl"
        big_wheel(one, "large", size)
        measure(folder, "one", {"large": one})
        one.unlink()
        many = {}
        for number in range(50):
            name = f"many{number}"
            path = folder / f"{name}-1.0-py3-none-any.whl"
            big_wheel(path, name, size // 50)
            many[name] = path
        measure(folder, "many", many)
        print(f"load average: {servers.load_average()}")


if __name__ == "__main__":
    main()
