"""Doubles that several test modules share; each is verified where it is defined."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, TypeVarTuple

from attrs import define, field
from passlib.hash import pbkdf2_sha256
from twisted.internet.defer import Deferred, execute, succeed
from zope.interface import implementer
from zope.interface.verify import verifyObject

from pypicloud_tw.access.hashes import hash_password
from pypicloud_tw.offload.service import IOffload

P = ParamSpec("P")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")


def quick_hash(password: str) -> str:
    """Make a hash as cheap as one can be."""
    return str(pbkdf2_sha256.using(rounds=1, salt=b"salt").hash(password))


@implementer(IOffload)
@define
class InlineOffload:
    """Runs everything at once, in the calling thread; every Deferred has fired.

    What goes to a helper process is pickled and back, so that a test finds out what
    cannot travel.

    :ivar threaded: names of the functions that were sent to a thread, in order.
    :ivar processed: names of the functions that were sent to a process, in order.
    """

    threaded: list[str] = field(factory=list, repr=False)
    processed: list[str] = field(factory=list, repr=False)

    def in_thread(
        self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> Deferred[T]:
        """Run *function* now."""
        self.threaded.append(_name(function))
        return execute(function, *args, **kwargs)

    def in_process(self, function: Callable[[*Ts], T], *args: *Ts) -> Deferred[T]:
        """Run *function* now, on copies of its arguments."""
        self.processed.append(_name(function))
        return execute(_as_if_elsewhere, function, args)


class QuickHashes(InlineOffload):
    """Makes hashes of passwords as cheap as they can be."""

    def in_thread(
        self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> Deferred[T]:
        """Run *function* now, or do less in the place of :func:`hash_password`."""
        if function is not hash_password:
            return super().in_thread(function, *args, **kwargs)
        self.threaded.append(_name(function))
        return execute(pbkdf2_sha256.using(rounds=1).hash, *args)


@define(eq=False)
class Siblings:
    """The processes of a server, all in this one: everybody hears everything.

    :ivar heard: whoever tells something waits for it.
    :ivar posted: what was told, with its topic.
    :ivar refused: why several cannot serve.
    """

    exist: bool = True
    heard: Deferred[None] = field(factory=lambda: succeed(None))
    posted: list[tuple[str, Any]] = field(factory=list)
    refused: list[str] = field(factory=list)
    _listeners: list[tuple[str, Callable[[Any], None]]] = field(factory=list)

    def subscribe(self, topic: str, hear: Callable[[Any], None]) -> None:
        """Have it told what is said."""
        self._listeners.append((topic, hear))

    async def tell(self, topic: str, value: object) -> None:
        """Tell everybody."""
        self.post(topic, value)
        await self.heard

    def post(self, topic: str, value: object) -> None:
        """Tell everybody."""
        self.posted.append((topic, value))
        for about, hear in self._listeners:
            if about == topic:
                hear(value)

    def refuse(self, problem: str) -> None:
        """Note it."""
        self.refused.append(problem)


def _name(function: Callable[..., object]) -> str:
    # A partial, or an object that is called, has a class's name only.
    return getattr(function, "__qualname__", type(function).__qualname__)


def _as_if_elsewhere(function: Callable[..., T], args: tuple[Any, ...]) -> T:
    there, its_args = pickle.loads(pickle.dumps((function, args)))
    try:
        result: T = pickle.loads(pickle.dumps(there(*its_args)))
    except Exception as error:
        raise pickle.loads(pickle.dumps(error)) from error
    return result


verifyObject(IOffload, InlineOffload())
