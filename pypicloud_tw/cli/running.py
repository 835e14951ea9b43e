"""Runs a reactor for as long as a command takes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from click import Abort, ClickException
from twisted.internet.defer import Deferred
from twisted.internet.task import react

from pypicloud_tw.errors import PypicloudError, Unavailable

T = TypeVar("T")


def run(main: Callable[[Any], Awaitable[T]]) -> T:
    """Run a reactor for as long as *main* takes, and return what it returned.

    :raises PypicloudError: what it raised, or the command was interrupted.
    :raises OSError: what it raised, as of a stdout that cannot be written.
    :raises ClickException: what it raised, as where an answer cannot be printed.
    :raises Abort: somebody who was asked said no.
    :raises SystemExit: there is an error in the program, which was told.
    """
    results: list[T] = []
    errors: list[Exception] = []

    async def noted(reactor: Any) -> None:
        try:
            results.append(await main(reactor))
        except (PypicloudError, OSError, ClickException, Abort) as e:
            errors.append(e)

    try:
        react(lambda reactor: Deferred.fromCoroutine(noted(reactor)))
    except SystemExit as e:
        # react ends the process when it is done.
        if errors:
            raise errors[0] from None
        if results:
            return results[0]
        if e.code:
            raise
    raise Unavailable("The command was interrupted.")
