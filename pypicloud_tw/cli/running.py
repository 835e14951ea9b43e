"""Runs a reactor for as long as a command takes."""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable
from threading import Timer
from typing import Any, NoReturn, TypeVar

from click import Abort, ClickException
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import react

from pypicloud_tw.cli.errors import CouldNotDo
from pypicloud_tw.errors import PypicloudError, Unavailable

T = TypeVar("T")

#: Seconds that a command that is interrupted has to end its threads and helpers.
_GRACE = 10.0

#: Seconds that the rest of the process has after that.
_REST = 5.0

_STDERR = 2


def run(main: Callable[[Any], Awaitable[T]]) -> T:
    """Run a reactor for as long as *main* takes, and return what it returned.

    Where the command is interrupted, *main* is cancelled, so that it ends its threads:
    the process would wait for them for good. If it does not end them in time, or is
    interrupted once more, the process ends all the same.

    :raises PypicloudError: what it raised, or the command was interrupted.
    :raises OSError: what it raised, as of a stdout that cannot be written.
    :raises ClickException: what it raised, as where an answer cannot be printed.
    :raises Abort: somebody who was asked said no.
    :raises SystemExit: there is an error in the program, which was told.
    """
    results: list[T] = []
    errors: list[Exception] = []
    interrupted = False

    async def noted(reactor: Any) -> None:
        try:
            results.append(await main(reactor))
        except (PypicloudError, OSError, ClickException, Abort) as e:
            errors.append(e)
        except CancelledError:
            if not interrupted:
                raise

    def start(reactor: Any) -> Deferred[None]:
        done = Deferred.fromCoroutine(noted(reactor))

        def interrupt() -> Deferred[None] | None:
            nonlocal interrupted
            if done.called:
                return None
            interrupted = True
            ended: Deferred[None] = Deferred()
            done.addBoth(_passed_on, ended)
            ended.addTimeout(_GRACE, reactor, onTimeoutCancel=lambda _result, _: None)
            _end_for_certain()
            done.cancel()
            return ended

        reactor.addSystemEventTrigger("before", "shutdown", interrupt)
        return done

    try:
        react(start)
    except SystemExit as e:
        # react ends the process when it is done.
        if errors and not interrupted:
            raise errors[0] from None
        if results and not interrupted:
            return results[0]
        if e.code:
            raise
    raise Unavailable("The command was interrupted.")


def _end_for_certain() -> None:
    """Have the process end in a while, or at the next signal, whatever holds it up."""
    late = Timer(_GRACE + _REST, _end_at_once)
    late.daemon = True
    late.start()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: _end_at_once())


def _end_at_once() -> NoReturn:
    # By no file object: what holds the process up may hold its lock.
    try:
        os.write(_STDERR, b"The command was interrupted while it was at work.\n")
    finally:
        os._exit(CouldNotDo.exit_code)


def _passed_on(result: T, ended: Deferred[None]) -> T:
    """Say that it ended, whatever came of it."""
    if not ended.called:
        ended.callback(None)
    return result
