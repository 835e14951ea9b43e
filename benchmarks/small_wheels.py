"""Small wheels, sent as twine sends them, several at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from itertools import islice

from attrs import define, field, frozen

from benchmarks import corpus, servers
from benchmarks.load import Result
from tests.integration.rig import form

#: Neighbours are of different projects, as when many people publish.
_PROJECTS = 100

#: Made ahead, so that making them takes nothing of the time that is measured.
_AHEAD = 500


@frozen
class Upload:
    """A form that is ready to be sent."""

    body: bytes
    content_type: str

    @classmethod
    def of(cls, name: str, version: str) -> Upload:
        """Make a wheel, and the form that twine would send it in."""
        data, _ = corpus.wheel(name, version)
        fields = {
            ":action": "file_upload",
            "protocol_version": "1",
            "metadata_version": "2.1",
            "name": name,
            "version": version,
            "summary": "Nothing in particular",
            "requires_python": ">=3.9",
            "filetype": "bdist_wheel",
            "pyversion": "py3",
        }
        filename = f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
        return cls(*form(fields, filename, data))


def small_wheels() -> Iterator[Upload]:
    """Make wheels, no two of them alike."""
    number = 0
    while True:
        version, project = divmod(number, _PROJECTS)
        yield Upload.of(f"upload-{project:03d}", f"1.{version}")
        number += 1


def filling(names: dict[str, int]) -> Iterator[Upload]:
    """Make the files of the corpus.

    :param names: how many files each project has.
    """
    for name, count in names.items():
        for number in range(count):
            yield Upload.of(name, f"1.{number}.0")


def send(
    port: int,
    path: str,
    uploads: Iterator[Upload],
    *,
    at_once: int,
    seconds: float = float("inf"),
) -> Result:
    """Send uploads over connections that are kept, until time or uploads are up.

    :raises RuntimeError: one was not taken.
    """
    senders = _Senders(port, path, _made_ahead(uploads))
    return senders.run(at_once, seconds)


def _made_ahead(uploads: Iterator[Upload]) -> Iterator[Upload]:
    ready = list(islice(uploads, _AHEAD))
    while ready:
        yield from ready
        ready = list(islice(uploads, _AHEAD // 10))


@define
class _Senders:
    """Threads that share what is to be sent."""

    port: int
    path: str
    uploads: Iterator[Upload]
    _lock: threading.Lock = field(factory=threading.Lock, init=False)
    _waited: list[float] = field(factory=list, init=False)
    _refused: list[str] = field(factory=list, init=False)

    def run(self, at_once: int, seconds: float) -> Result:
        until = time.perf_counter() + seconds
        threads = [
            threading.Thread(target=self._send, args=(until,)) for _ in range(at_once)
        ]
        began = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took = time.perf_counter() - began
        if self._refused or not self._waited:
            raise RuntimeError(
                "; ".join(self._refused[:1]) or "there was nothing to send"
            )
        waited = sorted(self._waited)
        return Result(
            count=len(waited),
            rate=len(waited) / took,
            p50=1000 * waited[len(waited) // 2],
            p99=1000 * waited[len(waited) * 99 // 100],
        )

    def _send(self, until: float) -> None:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            while time.perf_counter() < until and not self._refused:
                with self._lock:
                    upload = next(self.uploads, None)
                if upload is None:
                    return
                began = time.perf_counter()
                self._post(connection, upload)
                self._waited.append(time.perf_counter() - began)
        except (OSError, RuntimeError) as e:
            self._refused.append(f"an upload was not taken: {e}")
        finally:
            connection.close()

    def _post(self, connection: HTTPConnection, upload: Upload) -> None:
        headers = {
            "User-Agent": "twine/6.2.0",
            "Authorization": servers.authorization(),
            "Content-Type": upload.content_type,
        }
        connection.request("POST", self.path, upload.body, headers)
        answer = connection.getresponse()
        said = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{answer.status} {said[:200].decode(errors='replace')}")
