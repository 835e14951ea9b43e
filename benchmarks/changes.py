"""A change of a large access document: how long until it is obeyed, and what waits.

``python -m benchmarks.changes [--users N] [--groups N] [--lines N]``: two servers in
one process share a store in memory. One makes a change, the other reads it. Of each
step: how long it took, and for how long the reactor did nothing else meanwhile.
"""

from __future__ import annotations

import argparse
import base64
import gc
import secrets
import time
from collections.abc import Awaitable
from typing import Any

from attrs import define, evolve, field
from twisted.internet.defer import Deferred
from twisted.internet.task import react

from benchmarks import servers
from benchmarks.lists import Stalls
from pypicloud_tw.access.access import Access
from pypicloud_tw.access.document import AccessDocument, StoredUser
from pypicloud_tw.access.document_format import KEY, Contents, encode
from pypicloud_tw.access.documents import AccessDocuments
from pypicloud_tw.access.hashes import hash_password
from pypicloud_tw.access.policy import Policy
from pypicloud_tw.access.settings import AccessSettings
from pypicloud_tw.access.tokens.owners import TokenOwners
from pypicloud_tw.access.users import PasswordLogin, Users
from pypicloud_tw.config.rights import READING, RightLine
from pypicloud_tw.index.marker import Marker
from pypicloud_tw.index.standing import Standing
from pypicloud_tw.index.watch import MarkerWatch
from pypicloud_tw.offload.service import Offload
from pypicloud_tw.store.memory import MemoryStore


def make_document(users: int, groups: int, lines: int) -> AccessDocument:
    """Make a document; half of its lines are for patterns."""
    begun = hash_password("a password").rpartition("$")[0]
    return AccessDocument(
        {f"user{n}": StoredUser(f"{begun}${digest()}") for n in range(users)},
        {
            f"group{n}": frozenset(f"user{(7 * n + 13 * k) % users}" for k in range(20))
            for n in range(groups)
        },
        tuple(
            line(f"project-{n}" if n % 2 else f"team-{n}-*", f"group{n % groups}")
            for n in range(lines)
        ),
    )


def digest() -> str:
    """Make what ends a hash; nobody's password has it."""
    return base64.b64encode(secrets.token_bytes(32)).decode().rstrip("=")


def line(project: str, group: str) -> RightLine:
    """Make a line."""
    return RightLine(project, "group", group, READING, "a benchmark")


@define(eq=False)
class Server:
    """What one server has of access."""

    store: MemoryStore
    reactor: Any
    offload: Offload
    documents: AccessDocuments = field(init=False)
    access: Access = field(init=False)

    def __attrs_post_init__(self) -> None:
        watch = MarkerWatch(Marker(self.store), self.reactor, fresh_for=0.1)
        self.documents = AccessDocuments(self.store, watch, Standing(), self.reactor)
        users = Users({}, offload=self.offload, clock=self.reactor)
        self.documents.subscribe(users.obeying)
        self.documents.subscribe(TokenOwners(users.source_of).obeying)
        policy = Policy(AccessSettings())
        self.access = Access(policy, (PasswordLogin(users),), self.documents)


async def measure(reactor: Any, document: AccessDocument) -> None:
    """Read it, change it, and have the other server obey."""
    stalls, offload = Stalls(), Offload(reactor)
    store = MemoryStore(offload)
    data = encode(Contents(document))
    print(f"{len(data) / 1e6:.1f} MB")
    store.add(KEY, data)
    one, two = Server(store, reactor, offload), Server(store, reactor, offload)

    async def timed(what: str, work: Awaitable[object]) -> None:
        began = time.perf_counter()
        with stalls.watched():
            await work
        took = (time.perf_counter() - began) * 1e3
        print(f"{what:28} {took:6.0f} ms, {stalls}", flush=True)

    def add_user(before: AccessDocument) -> AccessDocument:
        name = f"new-{secrets.token_hex(4)}"
        return evolve(before, users={**before.users, name: StoredUser()})

    def add_line(before: AccessDocument) -> AccessDocument:
        new = line(f"new-{secrets.token_hex(4)}", "group1")
        return evolve(before, rights=(*before.rights, new))

    offload.startService()  # type: ignore[no-untyped-call]  # Twisted's
    await timed("read first", one.access.learn())
    await timed("read first, elsewhere", two.access.learn())
    gc.freeze()  # what a process has once is here twice
    for what, change in (("user", add_user), ("line", add_line)):
        for _ in range(3):
            await timed(f"add a {what}", one.documents.change(change))
            two.documents.watch.forget()
            await timed(f"obey a new {what}", two.access.learn())
    await offload.stopService()


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--groups", type=int, default=1000)
    parser.add_argument("--lines", type=int, default=10_000)
    options = parser.parse_args()
    document = make_document(options.users, options.groups, options.lines)
    print(f"load average before: {servers.load_average()}")
    # As the server does.
    gc.freeze()
    react(lambda reactor: Deferred.fromCoroutine(measure(reactor, document)))


if __name__ == "__main__":
    main()
