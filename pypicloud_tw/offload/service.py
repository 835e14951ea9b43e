"""Work that the reactor thread must not do (decision D6).

Threads are only for calls that release the GIL: hashing, compression, file I/O, argon2.
Pure Python that takes long goes to a helper process.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from ctypes import CDLL
from functools import partial
from typing import Any, ParamSpec, TypeVar, TypeVarTuple

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, fail
from twisted.internet.interfaces import (
    IReactorFromThreads,
    IReactorProcess,
    IReactorTime,
)
from twisted.internet.protocol import ProcessProtocol
from twisted.python.threadpool import ThreadPool
from zope.interface import Interface, implementer

import pypicloud_tw
from pypicloud_tw.concurrency.slices import Slices
from pypicloud_tw.metrics import Metrics
from pypicloud_tw.offload.helper import address, frame
from pypicloud_tw.offload.limits import OTHERS, JobLimits, limits_of
from pypicloud_tw.offload.packing import PackedResult, unpacked
from pypicloud_tw.offload.pool import HelperPool, not_running

P = ParamSpec("P")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")

# mallopt(3); the numbers are in glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
#: Bytes of a block that is not kept. Argon2 takes 22 ms then instead of 17.
_LARGE = 8 * 2**20

#: Threads for each kind of work but the one that :class:`Offload` is told of: as many
#: as :class:`pypicloud_tw.access.checks.Checks` has at a time.
KIND_THREADS = 2

#: Helpers for each kind of work.
HELPERS = 2

#: What a helper may know of the environment: enough to start Python. No credentials.
_ENVIRONMENT = frozenset(
    {"PATH", "VIRTUAL_ENV", "LANG", "LANGUAGE", "TZ", "TMPDIR", "LD_LIBRARY_PATH"}
)

#: Where this very package was found, should no entry of ``sys.path`` lead to it.
_HOME = os.path.dirname(os.path.dirname(os.path.abspath(pypicloud_tw.__file__)))


def give_back_large_blocks() -> None:
    """Have the C library give back to the system each large block that is freed.

    glibc learns from the 19 MiB of the first argon2 to keep blocks of that size, in a
    heap of each thread that ever had one. Measured: 228 MB after 150 log-ins, with
    this 76. The other C libraries do not need it, and have no such function.
    """
    with suppress(AttributeError):
        mallopt = CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, _LARGE)
        mallopt(_M_TRIM_THRESHOLD, 2 * _LARGE)


class IOffload(Interface):
    """Somewhere else to run a function.

    Functions of one kind (see :mod:`~.limits`) wait for each other, and for none of
    another kind.
    """

    def in_thread(
        function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> Deferred[T]:
        """Run *function* in a thread; it must spend its time without the GIL."""

    def in_process(function: Callable[[*Ts], T], *args: *Ts) -> Deferred[T]:
        """Run a module-level function of this package in a helper process.

        Arguments, result and exception are pickled.

        :raises Unavailable: too many calls wait already, or the helper died.
        :raises PypicloudError: it took more memory or time than its limits allow; which
            error says so is part of them.
        """


class IOffloadReactor(IReactorFromThreads, IReactorProcess, IReactorTime):
    """What :class:`Offload` asks of a reactor."""


def helper_environment(
    environ: Mapping[str, str], path: Sequence[str]
) -> dict[str, str]:
    """Choose what a helper sees of the server's environment.

    :param path: the server's ``sys.path``, so that a helper finds the same modules,
        whatever found them for the server (an entry point, a checkout, a zip file).
    """
    chosen = {
        name: value
        for name, value in environ.items()
        if name in _ENVIRONMENT or name.startswith(("PYTHON", "LC_"))
    }
    return chosen | {"PYTHONPATH": search_path(path)}


def search_path(path: Sequence[str]) -> str:
    """Write where a process of ours finds the same modules, for ``PYTHONPATH``.

    :param path: the server's ``sys.path``.
    """
    # An empty entry means the working folder, which a helper is told by its name.
    absolute = [os.path.abspath(entry) for entry in path]
    return os.pathsep.join([*absolute, _HOME])


@implementer(IOffload)
class Offload(Service):
    """Threads and helper processes that start when first needed and end with us.

    Stop it after everything that uses it: what runs or waits then, fails.

    :param threads: at most so many threads for work of no particular kind, and
        :data:`KIND_THREADS` for each other; what is more waits, without bound.
    :param processes: at most so many helpers for each kind of work. A helper is kept
        for the next call, for a while.
    :param queue: at most so many calls of a kind wait for a helper; more are refused.
    :param environ: the server's environment; :func:`helper_environment` chooses.
    :ivar slices: in which goes on whoever waited for a thread: many may end at once.
    """

    name = "offload"

    def __init__(
        self,
        reactor: IOffloadReactor,
        *,
        threads: int = 8,
        processes: int = HELPERS,
        queue: int = 64,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._reactor = reactor
        self._threads = threads
        self._environ = environ
        self._processes = processes
        self._queue = queue
        self.slices = Slices(reactor)
        self._pools: dict[JobLimits, ThreadPool] = {}
        self._helpers: dict[JobLimits, HelperPool] = {}

    def register(self, metrics: Metrics) -> None:
        """Have it shown how many helpers there are, and how many calls wait."""
        metrics.read(
            "pypicloud_helpers",
            "Helper processes that run",
            lambda: sum(pool.running for pool in self._helpers.values()),
        )
        metrics.read(
            "pypicloud_helper_calls_waiting",
            "Calls that wait for a helper process",
            lambda: sum(pool.waiting for pool in self._helpers.values()),
        )

    def in_thread(
        self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> Deferred[T]:
        """See :class:`IOffload`. One that is cancelled while it waits never runs.

        :raises Unavailable: the service is not running.
        """
        if not self.running:
            return fail(not_running())
        result: Deferred[T] = Deferred()

        def run() -> T | None:
            return None if result.called else function(*args, **kwargs)

        def deliver(success: bool, value: Any) -> None:
            if result.called:
                return
            if success:
                result.callback(value)
            else:
                result.errback(value)

        def finished(success: bool, value: Any) -> None:
            work = partial(deliver, success, value)
            self._reactor.callFromThread(self.slices.do, work)

        pool = self._thread_pool(limits_of(function))
        pool.callInThreadWithCallback(finished, run)
        return result

    def in_process(self, function: Callable[[*Ts], T], *args: *Ts) -> Deferred[T]:
        """See :class:`IOffload`. Cancelling a call that runs ends its helper.

        :raises TypeError: it is not a module-level function of this package.
        :raises Unavailable: also if the service is not running.
        """
        if not self.running:
            return fail(not_running())
        try:
            request = frame((*address(function), args))
        except Exception as error:
            # Not only PicklingError: a value's own __reduce__ may raise anything.
            return fail(error)
        return self._helper_pool(limits_of(function)).call(request)

    def stopService(self) -> Deferred[None]:
        """Fail what waits or runs in a helper; fires when threads and helpers ended."""
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted's is untyped
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        pools, self._pools = self._pools, {}
        gone = _all(helpers.stop() for helpers in self._helpers.values())
        for pool in pools.values():
            await self._join(pool)
        # A process that SIGKILL cannot end is stuck in the kernel: do not wait for it.
        gone.addTimeout(5, self._reactor, onTimeoutCancel=lambda _result, _delay: None)
        await gone

    def _thread_pool(self, limits: JobLimits) -> ThreadPool:
        if limits not in self._pools:
            give_back_large_blocks()
            most = self._threads if limits is OTHERS else KIND_THREADS
            pool = ThreadPool(0, most, name=f"pypicloud-{limits.kind}")
            self._pools[limits] = pool
            pool.start()
        return self._pools[limits]

    def _helper_pool(self, limits: JobLimits) -> HelperPool:
        if limits not in self._helpers:
            self._helpers[limits] = HelperPool(
                partial(self._spawn, limits),
                self._reactor,
                limits,
                size=self._processes,
                queue=self._queue,
            )
        return self._helpers[limits]

    def _join(self, pool: ThreadPool) -> Deferred[None]:
        """Stop a pool without waiting for it in the reactor's thread."""
        joined: Deferred[None] = Deferred()

        def join() -> None:
            pool.stop()
            self._reactor.callFromThread(joined.callback, None)

        threading.Thread(target=join, name="pypicloud-join").start()
        return joined

    def _spawn(self, limits: JobLimits, protocol: ProcessProtocol) -> None:
        # -P: the working folder is not searched, unless the server itself does.
        command = [sys.executable, "-P", "-m", "pypicloud_tw.offload.helper"]
        self._reactor.spawnProcess(
            protocol,
            sys.executable,
            [*command, str(limits.memory), str(limits.niceness)],
            env=helper_environment(self._environ, sys.path),
        )


def _all(waiting: Iterable[Deferred[None]]) -> Deferred[None]:
    return DeferredList(list(waiting), consumeErrors=True).addCallback(lambda _: None)


async def unpack_apart(offload: IOffload, result: T | PackedResult) -> T:
    """Undo :func:`pack` in a thread, if there is anything to undo."""
    if isinstance(result, PackedResult):
        opened: T = await offload.in_thread(unpacked, result)
        return opened
    return result
