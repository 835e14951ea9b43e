"""Servers that kill themselves at a named step, many of them, fast.

One process imports everything and forks a server for every line that it reads, since
importing takes far longer than the life of such a server. The server dies when it has
passed the step for the n-th time since its start, as from a loss of power: nothing of
its own runs any more.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any, TextIO

from twisted.internet import epollreactor
from twisted.internet.testing import MemoryReactorClock
from twisted.python.log import startLogging

from pypicloud_tw.access.hashes import hash_password, verify
from pypicloud_tw.assembly.server import assemble
from pypicloud_tw.config.load import load
from pypicloud_tw.tap import Options


def main(live: Callable[[Mapping[str, Any]], None]) -> None:
    """Fork a process for each line of standard input, and answer with its number.

    A line is a JSON object: the file ``log``, the folder ``cwd``, ``environment``, and
    ``point`` and ``nth``, the step to die at (none if it is empty); and what else
    *live* wants.
    """
    warm()
    # Nobody waits for them: the kernel clears them away.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        number = os.fork()
        if not number:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            try:
                live(json.loads(line))
            except BaseException:
                # SystemExit too: nobody else would tell why it did not start.
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(1)
        print(number, flush=True)


def warm() -> None:
    """Load what a server would load as it starts, and at its first log-in."""
    with TemporaryDirectory() as folder:
        settings = {"PYPICLOUD_STORAGE_DIR": folder}
        assemble(load(None, settings), MemoryReactorClock(), settings)
    assert verify("x", hash_password("x"))
    # No child looks at what is there by now again, nor copies it for that.
    gc.collect()
    gc.freeze()


def serve(wanted: Mapping[str, Any]) -> None:
    """Be a server.

    :param wanted: with the ``arguments`` of the command ``pypicloud``.
    """
    become(wanted)
    # Every line at once: what is buffered dies too.
    output = os.fdopen(1, "w", buffering=1, closefd=False)
    run(wanted["arguments"], dies_at(wanted["point"], wanted["nth"]), output)


def become(wanted: Mapping[str, Any]) -> None:
    """Have a log, a folder, an environment and a reactor of one's own."""
    log = os.open(wanted["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.environ.clear()
    os.environ.update(wanted["environment"])
    os.chdir(wanted["cwd"])
    # klein has imported the reactor, whose descriptors are shared with our siblings.
    sys.modules.pop("twisted.internet.reactor", None)
    epollreactor.install()


def run(arguments: list[str], checkpoint: Callable[[str], None], log: TextIO) -> None:
    """Do what ``twistd -n pypicloud`` does."""
    startLogging(log)
    options = Options()
    options.parseOptions(arguments)  # type: ignore[no-untyped-call]  # as above
    from twisted.internet import reactor

    service = assemble(
        options.settings,
        reactor,
        options.environ,
        read=options.read,
        checkpoint=checkpoint,
    )
    service.privilegedStartService()
    service.startService()
    reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
    reactor.run()


def dies_at(point: str, nth: int) -> Callable[[str], None]:
    """Make a checkpoint that ends this process, and says so."""
    left = [nth]
    # The store's steps are done in several threads.
    lock = Lock()

    def checkpoint(passed: str) -> None:
        if passed != point:
            return
        with lock:
            left[0] -= 1
            if left[0] == 0:
                os.write(2, last_words(point, nth).encode())
                os.kill(os.getpid(), signal.SIGKILL)

    return checkpoint


def last_words(point: str, nth: int) -> str:
    """What stands in the log of a server that died where it was to."""
    return f"Killed at {point}, time {nth}.\n"


if __name__ == "__main__":
    main(serve)
