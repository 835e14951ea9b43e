"""A server that kills itself at a named step: ``dying_server POINT NTH pypicloud ...``.

It dies when it has passed the step for the NTH time since its start, as from a loss of
power: nothing of its own runs any more.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from threading import Lock

from twisted.python.log import startLogging

from pypicloud_tw.tap import Options, makeService


def dies_at(point: str, nth: int) -> Callable[[str], None]:
    """Make a checkpoint that ends this process."""
    left = [nth]
    # The store's steps are done in several threads.
    lock = Lock()

    def checkpoint(passed: str) -> None:
        if passed != point:
            return
        with lock:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return checkpoint


def main(arguments: list[str]) -> None:
    """Run the server."""
    point, nth, _, *others = arguments
    options = Options()  # type: ignore[no-untyped-call]  # a class of Twisted's
    options.parseOptions(others)  # type: ignore[no-untyped-call]  # as above
    startLogging(sys.stdout)
    service = makeService(options, checkpoint=dies_at(point, int(nth)))
    from twisted.internet import reactor

    service.privilegedStartService()
    service.startService()
    reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
    reactor.run()


if __name__ == "__main__":
    main(sys.argv[1:])
