"""What sources work with, in memory."""

from __future__ import annotations

import json
from collections.abc import Coroutine
from hashlib import md5
from pathlib import Path
from typing import Any, TypeVar

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.basic import Login
from pypicloud_tw.client.logins import Credentials
from pypicloud_tw.moving.http import SourceHttp
from pypicloud_tw.moving.kinds import Kind, Tools
from pypicloud_tw.moving.source import Source, SourceFile, SourceProject
from pypicloud_tw.moving.sources.find import find
from tests.doubles import InlineOffload
from tests.upstream.doubles import FakeUpstream, clock, page, started

T = TypeVar("T")

ALICE = Login("alice", "secret")

#: Of the bytes ``wheel``, which files of the fakes have.
MD5 = md5(b"wheel").hexdigest()

#: Seconds that asking again takes, all in all.
PATIENCE = 600.0


@define
class Workshop:
    """Makes sources that ask one fake of any number of hosts."""

    web: FakeUpstream = field(factory=FakeUpstream)
    clock: Clock = field(factory=clock)
    offload: InlineOffload = field(factory=InlineOffload)
    login: Login | None = None

    @property
    def tools(self) -> Tools:
        return Tools(self.http, self.offload, self.clock, {})

    def http(self, base: str) -> SourceHttp:
        credentials = Credentials(self.login)
        return SourceHttp.at(
            base, credentials, self.web, self.clock, self.offload, lambda: 0.5
        )

    def wait(self, coroutine: Coroutine[Deferred[Any], Any, T]) -> Deferred[T]:
        """Run it to its end, answers and pauses included."""
        waiting = started(coroutine)
        for _ in range(100_000):
            if waiting.called:
                break
            self.web.flush()
            if not waiting.called and self.clock.getDelayedCalls():
                self.clock.advance(0)
        if not waiting.called:
            self.clock.pump([5.0] * int(PATIENCE / 5))
        return waiting


class SourceTestCase(SynchronousTestCase):
    """A kind of source, and what it is asked.

    :cvar kind: the kind.
    :cvar place: where one is.
    """

    kind: Kind
    place: str

    def setUp(self) -> None:
        self.workshop = Workshop()
        self.web = self.workshop.web

    def wait(self, coroutine: Coroutine[Deferred[Any], Any, T]) -> T:
        return self.successResultOf(self.workshop.wait(coroutine))

    def refused(self, coroutine: Coroutine[Deferred[Any], Any, object]) -> str:
        """Return in which words it fails."""
        error: Any = self.failureResultOf(self.workshop.wait(coroutine)).value
        return str(error.message)

    def source(self, place: str | None = None) -> Source:
        place = self.place if place is None else place
        return self.wait(self.kind.make(place, self.workshop.tools))

    def names(self) -> list[str]:
        return list(self.wait(self.source().names()))

    def project(self, name: str = "acme") -> SourceProject:
        return self.wait(self.source().project(name))

    def files(self, name: str = "acme") -> dict[str, SourceFile]:
        return {file.filename: file for file in self.project(name).files}

    def found(self, place: str | None = None) -> str:
        """Return what a place is taken for, of all kinds."""
        place = self.place if place is None else place
        source = self.wait(find(place, None, self.workshop.tools))
        return type(source).__name__

    def bytes_of(self, source: Source, file: SourceFile) -> bytes:
        async def read() -> bytes:
            body = await source.open(file)
            pieces = []
            while piece := await body.read():
                pieces.append(piece)
            body.close()
            return b"".join(pieces)

        return self.wait(read())

    def on_json(self, url: str, document: object, status: int = 200) -> None:
        data = json.dumps(document).encode()
        self.web.on(url, page(data, "application/json", status=status))

    def asked(self, url: str) -> str | None:
        """Return with what log-in an address was last asked for."""
        asked = [one for one in self.web.asked if one.url == url]
        return asked[-1].header("authorization")


def write(folder: Path, **files: bytes) -> None:
    """Write files below a folder."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
