"""The source of advisories as a file at an address of the web."""

from __future__ import annotations

import json
import os
from hashlib import sha256
from pathlib import Path
from tempfile import mkstemp

from attrs import define, evolve

from pypicloud_tw.advisories.reading import Reading, read_source
from pypicloud_tw.errors import Unavailable
from pypicloud_tw.offload.service import IOffload
from pypicloud_tw.upstream.client import (
    Client,
    NotModified,
    UpstreamResponse,
    Validators,
)
from pypicloud_tw.upstream.failures import AskingFailed
from pypicloud_tw.upstream.source import UpstreamIndex

#: Bytes of the file. That of the Python ecosystem has some 30 MB, that of all
#: ecosystems together 1 GB.
MAX_FILE = 4 * 2**30
#: Bytes that are gathered before a thread is asked to write them.
_GATHER = 1024 * 1024


@define(eq=False)
class FetchedSource:
    """A zip or a record at an address, fetched when it has changed.

    It goes through a temporary file: helpers read files.

    :ivar source: the address, and the log-in for its server.
    :ivar folder: for the temporary file; None: the system's.
    """

    client: Client
    source: UpstreamIndex
    url: str
    offload: IOffload
    folder: Path | None

    async def read(self, known: str) -> Reading | None:
        """See :class:`~pypicloud_tw.advisories.service.ISource`."""
        response = await self.client.open_unless(
            self.source, self.url, _validators(known)
        )
        if isinstance(response, NotModified):
            return None
        try:
            return await self._read(response, known)
        except OSError as e:
            raise Unavailable(
                f"There is no place for its temporary file: {e.strerror}."
            ) from None
        finally:
            response.body.abort()

    async def _read(self, response: UpstreamResponse, known: str) -> Reading | None:
        path = await self.offload.in_thread(_make_file, self.folder)
        try:
            digest = await self._fetch(response, path)
            state = _state(response, digest)
            if digest == _digest(known):
                # Its server does not answer conditional requests.
                return None
            reading = await self.offload.in_process(read_source, path, "")
            assert reading is not None, "nothing was known of it"
            return evolve(reading, state=state)
        finally:
            await self.offload.in_thread(_remove, path)

    async def _fetch(self, response: UpstreamResponse, path: str) -> str:
        """Write the body to a file.

        :return: its sha256.
        """
        digest, size, gathered = sha256(), 0, bytearray()
        while piece := await response.body.read():
            size += len(piece)
            if size > MAX_FILE:
                raise Unavailable(f"It is larger than {MAX_FILE} bytes.")
            gathered += piece
            if len(gathered) >= _GATHER:
                await self.offload.in_thread(_append, path, bytes(gathered), digest)
                gathered.clear()
        await self.offload.in_thread(_append, path, bytes(gathered), digest)
        if response.length is not None and response.length != size:
            raise AskingFailed("It ended before its end.")
        return digest.hexdigest()


def _make_file(folder: Path | None) -> str:
    handle, path = mkstemp(prefix="pypicloud-advisories-", dir=folder)
    os.close(handle)
    return path


def _append(path: str, data: bytes, digest: object) -> None:
    digest.update(data)  # type: ignore[attr-defined]  # hashlib's type has no name
    with Path(path).open("ab") as file:
        file.write(data)


def _remove(path: str) -> None:
    Path(path).unlink(missing_ok=True)


def _validators(known: str) -> Validators:
    told = _told(known)
    return Validators(told.get("etag"), told.get("modified"))


def _digest(known: str) -> str | None:
    return _told(known).get("sha256")


def _told(known: str) -> dict[str, str | None]:
    """Read a :func:`_state`; of one of another making nothing is known."""
    try:
        told = json.loads(known)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _state(response: UpstreamResponse, digest: str) -> str:
    return json.dumps(
        {
            "etag": response.header(b"etag"),
            "modified": response.header(b"last-modified"),
            "sha256": digest,
        }
    )
