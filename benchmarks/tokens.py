"""What tokens cost: memory of many, a warm check, and minting by several servers.

``python -m benchmarks.tokens``. Nothing listens and no network is used. Four servers in
one process share a store: one in memory whose every call takes as long as one to a
bucket does (``--latency``), or a folder. Each token is minted by one of them and shown
to another.
"""

from __future__ import annotations

import argparse
import base64
import gc
import random
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from attrs import define, field
from passlib.hash import pbkdf2_sha256
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import deferLater, react

from pypicloud_tw.access.principal import Credentials
from pypicloud_tw.access.throttle import Throttle
from pypicloud_tw.access.tokens.documents import TokenDocuments
from pypicloud_tw.access.tokens.last_use import LastUses
from pypicloud_tw.access.tokens.login import TokenLogin
from pypicloud_tw.access.tokens.minted import Minted
from pypicloud_tw.access.tokens.records import (
    OwnerTokens,
    TokenRecord,
    document_key,
    encode,
)
from pypicloud_tw.access.tokens.text import UserToken, owner_key, seal_secret
from pypicloud_tw.access.tokens.tokens import checked_scope
from pypicloud_tw.access.users import PasswordLogin, Users
from pypicloud_tw.config.rights import Action
from pypicloud_tw.index.marker import Marker
from pypicloud_tw.index.standing import Standing
from pypicloud_tw.index.watch import MarkerWatch
from pypicloud_tw.offload.service import Offload
from pypicloud_tw.store.folder.store import DirectoryStore
from pypicloud_tw.store.interfaces import IObjectStore
from pypicloud_tw.store.memory import MemoryStore

_CLIENT = "192.0.2.1"
_PASSWORD = "correct horse battery staple"
_SERVERS = 4
_LIFE = 90 * 86400
_CLAIMS = {
    "iss": "https://token.actions.githubusercontent.com",
    "repository": "acme/tool",
    "ref": "refs/tags/v1.2.3",
    "sha": "0123456789" * 4,
    "workflow_ref": "acme/tool/.github/workflows/release.yml@refs/tags/v1.2.3",
    "run_id": "12345678901",
    "repository_owner_id": "123456",
}


@define(eq=False)
class Server:
    """What one server has of tokens."""

    store: IObjectStore
    reactor: Any
    name: str
    documents: TokenDocuments = field(init=False)
    minted: Minted = field(init=False)
    login: TokenLogin = field(init=False)

    def __attrs_post_init__(self) -> None:
        watch = MarkerWatch(Marker(self.store), self.reactor)
        throttle = Throttle(self.reactor.seconds)
        standing = Standing()
        self.documents = TokenDocuments(
            self.store, watch, standing, self.reactor, throttle
        )
        self.minted = Minted(self.store, standing, self.reactor, throttle)
        uses = LastUses(self.store, self.reactor, self.name)
        self.login = TokenLogin(
            self.documents, self.minted, lambda owner: "", uses, self.reactor
        )

    async def show(self, text: str) -> None:
        """Show a token, as a request does."""
        credentials = Credentials(basic("__token__", text), _CLIENT)
        assert self.login.takes(credentials)
        if self.login.recall(credentials) is None:
            await self.login.authenticate(credentials)


def basic(user: str, password: str) -> bytes:
    """Write an Authorization header."""
    return b"Basic " + base64.b64encode(f"{user}:{password}".encode())


def resident() -> int:
    """Give this process's resident set, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise OSError("there is no VmRSS")


def make_tokens(store: MemoryStore, owners: int, each: int) -> list[str]:
    """Put documents of so many owners into a store; give one token of each."""
    now = int(time.time())
    texts = []
    for number in range(owners):
        owner = f"user-{number:05}"
        records = {}
        for at in range(each):
            token = UserToken.draw(owner)
            records[token.id] = TokenRecord(
                token.id,
                seal_secret(token.secret),
                f"deploys project {at} from the CI of team {number}",
                checked_scope([Action.READ, Action.UPLOAD], [f"team-{number}-*"]),
                now,
                now + _LIFE,
                owner,
            )
        store.add(document_key(owner_key(owner)), encode(OwnerTokens(owner, records)))
        texts.append(token.text)
    return texts


async def measure_memory(reactor: Any, total: int, each: int) -> None:
    """Have one server know every token there is."""
    store = MemoryStore(Offload(reactor))
    texts = make_tokens(store, total // each, each)
    server = Server(store, reactor, "one")
    gc.collect()
    before, began = resident(), time.perf_counter()
    for text in texts:
        await server.show(text)
        store.calls.clear()
    took = time.perf_counter() - began
    gc.collect()
    added = (resident() - before) / 2**20
    print(
        f"{total:,} tokens of {total // each:,} owners: {added:.1f} MiB, "
        f"read in {took:.1f} s"
    )


async def measure_warm(reactor: Any, offload: Offload) -> None:
    """Compare a warm check of a token with one of a password."""
    store = MemoryStore(Offload(reactor))
    (text,) = make_tokens(store, 1, 1)
    server = Server(store, reactor, "one")
    hashed = pbkdf2_sha256.using(rounds=1).hash(_PASSWORD)
    users = Users({"ann": hashed}, offload=offload, clock=reactor)
    passwords = PasswordLogin(users)
    password = Credentials(basic("ann", _PASSWORD), _CLIENT)
    token = Credentials(basic("__token__", text), _CLIENT)
    await passwords.authenticate(password)
    await server.show(text)

    def both(credentials: Credentials) -> None:
        for login in (server.login, passwords):
            if login.takes(credentials):
                assert login.recall(credentials) is not None
                return

    print(f"warm, by token: {microseconds(lambda: both(token)):.1f} µs")
    print(f"warm, by password: {microseconds(lambda: both(password)):.1f} µs")


def microseconds(work: Callable[[], None]) -> float:
    """Give the median time of a call."""
    calls, rounds = 2000, 25
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(calls):
            work()
        times.append((time.perf_counter() - began) / calls * 1e6)
    return median(times)


async def measure_mints(
    reactor: Any, store: IObjectStore, rate: float, seconds: float, what: str
) -> None:
    """Mint at a steady rate by several servers, each shown to another."""
    servers = [Server(store, reactor, str(number)) for number in range(_SERVERS)]
    minting: list[float] = []
    showing: list[float] = []
    failed: list[Exception] = []

    async def one(number: int) -> None:
        began = reactor.seconds()
        try:
            minted = await servers[number % _SERVERS].minted.mint(
                _CLAIMS["iss"], str(number), time.time() + 600, ("tool",), _CLAIMS, 900
            )
            done = reactor.seconds()
            minting.append(done - began)
            await servers[(number + 1) % _SERVERS].show(minted.text)
            showing.append(reactor.seconds() - done)
        except Exception as e:
            failed.append(e)

    count = int(rate * seconds)
    running = []
    began = reactor.seconds()
    for number in range(count):
        due = began + number / rate
        await deferLater(reactor, max(0.0, due - reactor.seconds()), lambda: None)
        running.append(Deferred.fromCoroutine(one(number)))
    await DeferredList(running)
    took = reactor.seconds() - began
    print(
        f"{what}: {len(minting)} mints in {took:.1f} s ({len(minting) / took:.0f}/s), "
        f"{len(failed)} failed; mint {spread(minting)}; first use {spread(showing)}"
    )


def spread(times: list[float]) -> str:
    """Write median and 99th percentile."""
    ordered = sorted(times)
    at = ordered[int(len(ordered) * 0.99)]
    return f"p50 {median(ordered) * 1000:.0f} ms, p99 {at * 1000:.0f} ms"


def slow(reactor: Any, latency: float) -> Callable[[str, str], Awaitable[None]]:
    """Have each call of a store take as long as one to a bucket."""
    chance = random.Random(1)

    def before(operation: str, key: str) -> Awaitable[None]:
        # A long tail: one call of a hundred takes five times as long.
        factor = 5.0 if chance.random() < 0.01 else chance.uniform(0.5, 1.5)
        return deferLater(reactor, latency * factor, lambda: None)

    return before


async def main(reactor: Any) -> None:
    """Measure everything."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tokens", type=int, default=100_000)
    parser.add_argument("--each", type=int, default=20, help="tokens of one owner")
    parser.add_argument("--rate", type=float, default=50, help="mints a second")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--latency", type=float, default=0.05, help="of the store")
    options = parser.parse_args()
    offload = Offload(reactor)
    await measure_memory(reactor, options.tokens, options.each)
    offload.startService()  # type: ignore[no-untyped-call]  # Twisted is untyped
    try:
        await measure_warm(reactor, offload)
        memory = MemoryStore(offload, before=slow(reactor, options.latency))
        what = f"{_SERVERS} servers, {options.latency * 1000:.0f} ms a call"
        await measure_mints(reactor, memory, options.rate, options.seconds, what)
        with TemporaryDirectory() as name:
            folder = DirectoryStore(Path(name), offload)
            await folder.prepare()
            what = f"{_SERVERS} servers, a folder"
            await measure_mints(reactor, folder, options.rate, options.seconds, what)
            await folder.close()
    finally:
        await offload.stopService()


if __name__ == "__main__":
    react(lambda reactor: Deferred.fromCoroutine(main(reactor)))
