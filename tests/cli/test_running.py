"""A command that is interrupted."""

from __future__ import annotations

import signal
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

_COMMAND = """
import os, sys
from twisted.internet.defer import Deferred
from pypicloud_tw.assembly.index import make_process
from pypicloud_tw.cli.running import run
from pypicloud_tw.errors import Unavailable

async def main(reactor):
    process = make_process(reactor)
    process.start()
    try:
        await process.offload.in_thread(int)
        reactor.callLater(0, os.kill, os.getpid(), int(sys.argv[1]))
        await Deferred()
    finally:
        await process.stop()
        print("It was cleaned up.")

try:
    run(main)
except Unavailable as e:
    print(e.message)
"""

#: Neither what it awaits at its end nor its thread ever comes to one.
_STUBBORN = """
import os, sys, threading
from twisted.internet.defer import Deferred
from pypicloud_tw.cli import running

running._GRACE, running._REST = float(sys.argv[2]), 0.1
signals = [int(sys.argv[1])] * int(sys.argv[3])

async def main(reactor):
    reactor.callInThread(threading.Event().wait)
    reactor.callLater(0, os.kill, os.getpid(), signals.pop())
    try:
        await Deferred()
    finally:
        if signals:
            reactor.callLater(0, os.kill, os.getpid(), signals.pop())
        await Deferred()

running.run(main)
"""


class InterruptedTest(SynchronousTestCase):
    def interrupted_by(self, number: signal.Signals) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", _COMMAND, str(int(number))],
            capture_output=True,
            text=True,
            timeout=60,
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout.splitlines()

    def test_it_ends_its_threads_and_itself(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            self.assertEqual(
                self.interrupted_by(number),
                ["It was cleaned up.", "The command was interrupted."],
            )

    def test_it_ends_whatever_holds_it_up(self) -> None:
        """In a while, or when it is interrupted a second time."""
        for number in (signal.SIGINT, signal.SIGTERM):
            for grace, times in ((0.1, 1), (1000, 2)):
                done = subprocess.run(
                    [
                        sys.executable,
                        "-c",
                        _STUBBORN,
                        *map(str, (+number, grace, times)),
                    ],
                    capture_output=True,
                    text=True,
                    timeout=60,
                )
                self.assertEqual(
                    (done.returncode, done.stderr),
                    (2, "The command was interrupted while it was at work.\n"),
                )
