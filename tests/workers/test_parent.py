"""How a parent starts the processes of its workers."""

from __future__ import annotations

import sys
from typing import Any

from attrs import define, field
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.workers.messages import FROM_PARENT, LISTENING, TO_PARENT
from pypicloud_tw.workers.parent import Spawning, worker_environment


@define(eq=False)
class Reactor:
    """Notes what is started."""

    started: list[tuple[Any, ...]] = field(factory=list)

    def spawnProcess(self, *what: object, **options: object) -> None:
        """Note it."""
        self.started.append((*what, options))


class SpawningTests(SynchronousTestCase):
    def test_the_process(self) -> None:
        reactor, worker = Reactor(), object()
        spawning = Spawning(reactor, {"AWS_PROFILE": "acme"}, lambda: 7)
        spawning(worker)  # type: ignore[arg-type]  # it is only passed on
        [(protocol, program, arguments, options)] = reactor.started
        self.assertIs(protocol, worker)
        self.assertEqual(program, sys.executable)
        # The kind of the reactor goes with it.
        self.assertEqual(
            arguments[1:], ["-P", "-m", "pypicloud_tw.cli.worker", __name__]
        )
        files = options["childFDs"]
        self.assertEqual(files[FROM_PARENT], "w")
        self.assertEqual(files[TO_PARENT], "r")
        self.assertEqual(files[LISTENING], 7)
        self.assertEqual([files[n] for n in range(3)], [0, 1, 2])
        self.assertEqual(options["env"]["AWS_PROFILE"], "acme")

    def test_its_environment(self) -> None:
        """What systemd tells is meant for the parent, by its number."""
        environ = {
            "LISTEN_PID": "1",
            "LISTEN_FDS": "1",
            "NOTIFY_SOCKET": "/x",
            "A": "b",
        }
        made = worker_environment(environ, ["/opt/lib"])
        self.assertEqual(made.pop("PYTHONPATH").split(":")[0], "/opt/lib")
        self.assertEqual(made, {"A": "b"})
