"""Work that the reactor thread must not do (DESIGN.md D6).

Threads are only for calls that release the GIL: hashing, compression, file I/O, argon2.
Pure Python that takes long goes to a helper process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar, TypeVarTuple

from twisted.internet.defer import Deferred
from zope.interface import Interface

P = ParamSpec("P")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class IOffload(Interface):
    """Somewhere else to run a function."""

    def in_thread(
        function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> Deferred[T]:
        """Run *function* in a thread; it must spend its time without the GIL."""

    def in_process(function: Callable[[*Ts], T], *args: *Ts) -> Deferred[T]:
        """Run a module-level function of this package in a helper process.

        Arguments, result and exception are pickled.

        :raises Unavailable: too many calls wait already, or the helper died.
        """
