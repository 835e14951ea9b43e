"""Maintainers on one folder who kill themselves at a named step.

Each is a process that does one act after the other with a project, over the store as a
command does, and writes down what was begun and acknowledged. See
:mod:`.dying_server`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from pypicloud_tw.assembly.index import make_index, make_process
from pypicloud_tw.config.load import load
from pypicloud_tw.index.acts import Acted, Acts
from pypicloud_tw.index.audit import Actor
from pypicloud_tw.index.model import Selection
from pypicloud_tw.index.names import project_name
from tests.integration.dying_server import become, dies_at, main

ACME = project_name("acme")
ANN = Actor("ann")
OLD, NEW = Selection("1.0"), Selection("2.0")

#: What is done, in turn; behind the last, all is as it was at first.
ACTS: Mapping[str, Callable[[Acts], Coroutine[Any, Any, Acted]]] = {
    "yank": lambda acts: acts.yank(ACME, OLD, "broken", actor=ANN),
    "unyank": lambda acts: acts.unyank(ACME, OLD, actor=ANN),
    "delete": lambda acts: acts.delete(ACME, NEW, actor=ANN),
    "restore": lambda acts: acts.restore(ACME, NEW, actor=ANN),
    "prune": lambda acts: acts.prune(ACME, ["1.0"], actor=ANN),
    "undo": lambda acts: acts.undo(ACME, actor=ANN),
    "quarantine": lambda acts: acts.set_status(ACME, "quarantined", "why", actor=ANN),
    "free": lambda acts: acts.set_status(ACME, "active", actor=ANN),
}


def live(wanted: Mapping[str, Any]) -> None:
    """Be a maintainer.

    :param wanted: with the ini ``config``, how many ``rounds`` of acts to do, and the
        file ``acknowledged``.
    """
    become(wanted)
    from twisted.internet import reactor

    def end(result: object) -> None:
        if isinstance(result, Failure):
            result.printTraceback(sys.stderr)
        reactor.stop()

    def begin() -> None:
        Deferred.fromCoroutine(maintain(wanted, reactor)).addBoth(end)

    reactor.callWhenRunning(begin)
    reactor.run()
    os._exit(0)


async def maintain(wanted: Mapping[str, Any], reactor: Any) -> None:
    """Do every act, round after round."""
    config = load(Path(wanted["config"]), os.environ)
    process = make_process(reactor)
    checkpoint = dies_at(wanted["point"], wanted["nth"])
    index = make_index(config, process, os.environ, checkpoint=checkpoint)
    process.start()
    await index.store.prepare()
    await index.secure()
    ledger = os.open(wanted["acknowledged"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for _ in range(wanted["rounds"]):
        for name, act in ACTS.items():
            os.write(ledger, f"begun {name}\n".encode())
            await act(index.acts)
            os.write(ledger, f"done {name}\n".encode())
    await index.close()
    await process.stop()


if __name__ == "__main__":
    main(live)
