"""Makes the parent of workers, on a real reactor."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from attrs import frozen

from pypicloud_tw.config.configuration import Config
from pypicloud_tw.listening.service_manager import VARIABLES, ServiceManager
from pypicloud_tw.offload.service import search_path
from pypicloud_tw.server import catch_hangup
from pypicloud_tw.workers.messages import FROM_PARENT, LISTENING, TO_PARENT
from pypicloud_tw.workers.shared_socket import OpenSocket
from pypicloud_tw.workers.supervisor import Plan, Supervisor
from pypicloud_tw.workers.worker import Worker

#: What systemd tells the process that it started, and nobody else.
_OF_SYSTEMD = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", *VARIABLES)


def make_supervisor(
    config: Config,
    read: Callable[[], Config],
    reactor: Any,
    environ: Mapping[str, str],
) -> Supervisor:
    """Make the parent.

    :param read: reads the configuration as it is now, at SIGHUP.
    :param environ: of the process, which its workers have, too.
    """
    socket = OpenSocket(reactor, config.server.listen)
    plan = Plan(
        config,
        read,
        socket,
        Spawning(reactor, environ, socket.fileno),
        partial(give_up, reactor),
    )
    manager = ServiceManager.of(environ, reactor)
    return Supervisor(reactor, plan, catch_hangup, manager)


@frozen(eq=False)
class Spawning:
    """Starts workers.

    :ivar fileno: returns the descriptor of the listening socket.
    """

    reactor: Any
    environ: Mapping[str, str]
    fileno: Callable[[], int]

    def __call__(self, worker: Worker) -> None:
        """Start the process of a worker.

        :raises OSError: it cannot be.
        """
        # -P: the working folder is not searched, unless the parent itself does.
        command = [sys.executable, "-P", "-m", "pypicloud_tw.cli.worker"]
        kind = type(self.reactor).__module__
        self.reactor.spawnProcess(
            worker,
            sys.executable,
            [*command, kind],
            env=worker_environment(self.environ, sys.path),
            childFDs={
                0: 0,
                1: 1,
                2: 2,
                FROM_PARENT: "w",
                TO_PARENT: "r",
                LISTENING: self.fileno(),
            },
        )


def worker_environment(environ: Mapping[str, str], path: list[str]) -> dict[str, str]:
    """Give a worker the parent's environment, and its way to find modules."""
    kept = {name: text for name, text in environ.items() if name not in _OF_SYSTEMD}
    return kept | {"PYTHONPATH": search_path(path)}


def give_up(reactor: Any, problem: str) -> None:
    """End this process, as one that cannot begin to serve."""
    # Behind the back of twistd, which has put its log in the place of sys.stderr.
    print(f"pypicloud: {problem}", file=sys.__stderr__, flush=True)
    # twistd ends with 0 whatever a service says.
    atexit.register(_exit_with_1)
    reactor.callWhenRunning(reactor.stop)


def _exit_with_1() -> None:
    sys.stdout.flush()
    os._exit(1)
