"""Administrators on one folder who kill themselves at a named step.

Each is a process that changes the access document again and again, over the store as a
command does, and writes down what was acknowledged. See :mod:`.dying_server`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from passlib.hash import pbkdf2_sha256
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from pypicloud_tw.access import changes
from pypicloud_tw.access.document import AccessDocument
from pypicloud_tw.access.documents import AccessDocuments
from pypicloud_tw.access.settings import AccessSettings
from pypicloud_tw.assembly.access import make_access_documents
from pypicloud_tw.assembly.index import make_index, make_process
from pypicloud_tw.config.load import load
from tests.integration.dying_server import become, dies_at, main

#: The password of everybody whom they make, and its hash, as cheap as one can be.
SECRET = "secret"
HASH = str(pbkdf2_sha256.using(rounds=1, salt=b"salt").hash(SECRET))

#: The group that everybody is put into.
GROUP = "made"


def live(wanted: Mapping[str, Any]) -> None:
    """Be an administrator.

    :param wanted: with the ini ``config``, a ``name``, how many ``users`` to make, and
        the file ``acknowledged``.
    """
    become(wanted)
    from twisted.internet import reactor

    def end(result: object) -> None:
        if isinstance(result, Failure):
            result.printTraceback(sys.stderr)
        reactor.stop()

    def begin() -> None:
        Deferred.fromCoroutine(administer(wanted, reactor)).addBoth(end)

    reactor.callWhenRunning(begin)
    reactor.run()
    os._exit(0)


async def administer(wanted: Mapping[str, Any], reactor: Any) -> None:
    """Make users, and remove every third of them again."""
    config = load(Path(wanted["config"]), os.environ)
    process = make_process(reactor)
    checkpoint = dies_at(wanted["point"], wanted["nth"])
    index = make_index(config, process, os.environ, checkpoint=checkpoint)
    documents = make_access_documents(config, index, process)
    process.start()
    await index.store.prepare()
    await index.secure()
    ledger = os.open(wanted["acknowledged"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for number in range(wanted["users"]):
        name = f"{wanted['name']}-{number}"
        await make_user(documents, name)
        os.write(ledger, f"made {name}\n".encode())
        if number % 3 == 2:
            os.write(ledger, f"removing {name}\n".encode())
            await remove_user(documents, name)
            os.write(ledger, f"removed {name}\n".encode())
    await index.close()
    await process.stop()


async def make_user(documents: AccessDocuments, name: str) -> None:
    """Make a user who is in a group: one change, or two that are not."""

    def make(document: AccessDocument) -> AccessDocument:
        made = changes.put_user(document, AccessSettings(), name, HASH)
        members = made.groups.get(GROUP, frozenset())
        return changes.put_group(made, AccessSettings(), GROUP, members | {name})

    await documents.change(make)


async def remove_user(documents: AccessDocuments, name: str) -> None:
    """Remove a user."""
    await documents.change(
        lambda document: changes.remove_user(document, AccessSettings(), name)
    )


if __name__ == "__main__":
    main(live)
