"""One of several workers: the program that a parent starts (``server.workers``).

``python -m pypicloud_tw.cli.worker REACTOR``, with the descriptors of
:mod:`pypicloud_tw.workers.messages`; ``REACTOR`` is the module of the parent's.
"""

from __future__ import annotations

import signal
import sys
from importlib import import_module


def main() -> None:
    """Serve until the parent says so, or is gone."""
    # Ctrl-C and a lost terminal reach the whole group of processes: they are for the
    # parent, who says what is to be done.
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    import_module(sys.argv[1]).install()
    # Only here: the parent's kind of reactor is installed before.
    from twisted.internet import reactor

    from pypicloud_tw.cli.serving_worker import serve

    sys.exit(serve(reactor))


if __name__ == "__main__":
    main()
