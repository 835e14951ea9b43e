"""Real helper processes and threads, and what becomes of them when things die."""

from __future__ import annotations

import gzip
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from platform import libc_ver
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from pypicloud_tw.access import hashes
from pypicloud_tw.config.hashes import make_context
from pypicloud_tw.errors import BadRequest, Unavailable, UpstreamError
from pypicloud_tw.index.names import project_name
from pypicloud_tw.offload.helper import frame
from pypicloud_tw.offload.service import IOffloadReactor, Offload
from pypicloud_tw.projects.described.descriptions import Descriptions
from pypicloud_tw.projects.described.limits import DESCRIPTIONS
from pypicloud_tw.projects.described.rendering import TOO_MUCH
from pypicloud_tw.projects.described.values import ReleaseMetadata
from pypicloud_tw.upstream.judgement.judge import ProjectJudge
from pypicloud_tw.upstream.prepare import PageResponse, Recipe, prepare_elsewhere
from pypicloud_tw.web.simple import render_upstream, reread_upstream
from tests.integration import apart

MEDIA_TYPE = "application/vnd.pypi.simple.v1+json"

#: A server in small: it has a helper work for a minute, and tells the helper's number.
SERVER = """
import sys
from twisted.internet import reactor
from pypicloud_tw.offload.helper import frame
from pypicloud_tw.offload.service import IOffloadReactor, Offload
from tests.integration.test_offload import Does
offload = Offload(reactor, processes=1)
offload.startService()
reactor.addSystemEventTrigger("before", "shutdown", offload.stopService)
def working(pid):
    offload.in_process(frame, Does("time", "sleep", 60)).addErrback(lambda _: None)
    print(pid, flush=True)
import pickle
offload.in_process(frame, Does("os", "getpid")).addCallback(
    lambda reply: working(pickle.loads(reply[8:])))
reactor.run()
"""


#: Each of the threads checks a password, one after the other; then it tells the bytes
#: of memory that this took and did not give back.
LOG_INS = """
import os, sys
from threading import Barrier, Lock
from twisted.internet import reactor
from twisted.internet.defer import gatherResults
from pypicloud_tw.access.hashes import hash_password, verify
from pypicloud_tw.offload.service import Offload
offload = Offload(reactor)
offload.startService()
barrier, lock = Barrier(8), Lock()
def memory():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
def check(hashed):
    barrier.wait()
    with lock:
        verify("x", hashed)
def all_check(hashed):
    return gatherResults([offload.in_thread(check, hashed) for _ in range(8)])
def work(hashed):
    before = memory()
    def tell(_):
        print(memory() - before, flush=True)
        return offload.stopService()
    return all_check(hashed).addCallback(tell).addBoth(lambda _: reactor.stop())
offload.in_thread(hash_password, "x").addCallback(work)
reactor.run()
"""


class Does:
    """An argument that calls something where it is unpickled."""

    def __init__(self, module: str, name: str, *args: Any) -> None:
        self.call = (module, name, args)

    def __reduce__(self) -> tuple[Any, ...]:
        module, name, args = self.call
        return getattr(__import__(module), name), args


def is_alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def gone_within(seconds: float, pid: int) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if not is_alive(pid):
            return True
        time.sleep(0.02)
    return False


def described(text: str) -> ReleaseMetadata:
    kind = "text/markdown"
    return ReleaseMetadata("acme", "1.0", description=text, description_type=kind)


class OffloadTests(TestCase):
    timeout = 60

    def setUp(self) -> None:
        self.offload = Offload(
            cast(IOffloadReactor, reactor),  # its own type leaves out processes
            environ={**os.environ, "AWS_SECRET_ACCESS_KEY": "s3cr3t"},
        )
        self.offload.startService()  # type: ignore[no-untyped-call]  # Twisted's is
        self.addCleanup(self.offload.stopService)

    async def pid(self) -> int:
        """Tell the number of a helper: the result of frame() is a pickle of it."""
        reply = await self.offload.in_process(frame, Does("os", "getpid"))
        pid: int = pickle.loads(reply[8:])
        return pid

    async def test_work_and_errors(self) -> None:
        names = [f"Project.{n}" for n in range(40)]
        results = await gatherResults(
            [self.offload.in_process(project_name, name) for name in names]
        )
        self.assertEqual(results, [f"project-{n}" for n in range(40)])
        with self.assertRaises(BadRequest):
            await self.offload.in_process(project_name, "-")

    async def test_large_messages(self) -> None:
        data = os.urandom(20_000_000)
        reply = await self.offload.in_process(frame, data)
        self.assertIn(data, reply)

    async def test_verify(self) -> None:
        hashed = make_context().handler("sha256_crypt").hash("x", rounds=1000)
        self.assertTrue(await self.offload.in_process(hashes.verify, "x", hashed))
        self.assertFalse(await self.offload.in_process(hashes.verify, "y", hashed))

    async def test_log_ins_wait_for_no_files(self) -> None:
        over = threading.Event()
        self.addCleanup(over.set)
        waiting = [self.offload.in_thread(over.wait, 30) for _ in range(40)]
        hashed = make_context().handler("argon2").using(rounds=1).hash("x")
        self.assertTrue(await self.offload.in_thread(hashes.verify, "x", hashed))
        self.assertFalse(over.is_set())
        over.set()
        await gatherResults(waiting)

    async def test_kinds_of_work_do_not_wait_for_each_other(self) -> None:
        # A minute's work in every helper, and in the queue, of one kind.
        waiting = [
            self.offload.in_process(frame, Does("time", "sleep", 60)) for _ in range(9)
        ]
        hashed = make_context().handler("sha256_crypt").hash("x", rounds=1000)
        self.assertTrue(await self.offload.in_process(hashes.verify, "x", hashed))
        for one in waiting:
            one.addErrback(lambda failure: failure.trap(CancelledError))
            one.cancel()

    async def test_printing_harms_nothing(self) -> None:
        await self.offload.in_process(frame, Does("builtins", "print", "noise"))
        await self.offload.in_process(frame, Does("os", "write", 1, b"noise\n"))
        await self.offload.in_process(frame, Does("os", "system", "echo noise"))
        self.assertEqual(await self.offload.in_process(project_name, "A"), "a")

    async def test_reading_standard_input_harms_nothing(self) -> None:
        await self.offload.in_process(frame, Does("os", "read", 0, 1))
        self.assertEqual(await self.offload.in_process(project_name, "A"), "a")

    async def test_memory_is_bounded(self) -> None:
        before = await self.pid()
        with self.assertRaises(Unavailable) as caught:
            await self.offload.in_process(frame, Does("builtins", "bytearray", 2**30))
        self.assertIn("needs more memory to be read", caught.exception.message)
        self.assertEqual(await self.pid(), before)

    async def test_small_page_of_an_upstream_that_takes_all_memory(self) -> None:
        # 84 MB of empty lists, 82 kB by the wire, 2.3 GB as Python has them.
        page = b'{"name":"x","files":[],"y":[' + b"[]," * 28_000_000 + b"[]]}"
        answer = PageResponse("http://u/x/", gzip.compress(page, 6), MEDIA_TYPE, "gzip")
        recipe = Recipe("x", render_upstream, reread_upstream, ProjectJudge("x"), 2**27)
        with self.assertRaises(UpstreamError) as caught:
            await self.offload.in_process(prepare_elsewhere, answer, recipe, 0.0)
        self.assertIn("The index's page needs more memory", str(caught.exception))

    async def test_descriptions(self) -> None:
        descriptions = Descriptions(self.offload, time.monotonic)
        made = await descriptions.rendered(described("# Acme\n\n```python\nx\n```\n"))
        self.assertEqual(made.how, "rendered")
        self.assertIn("Acme</h3>", made.html)
        made = await descriptions.rendered(described("word <b> " * 120_000))
        self.assertEqual((made.how, made.partial), ("rendered", True))

    async def test_a_description_that_takes_too_long(self) -> None:
        """It is shown as text, and others are rendered meanwhile."""
        descriptions = Descriptions(self.offload, time.monotonic)
        slow = descriptions.rendered(described("<div>" * 100_000))
        slow_one = Deferred.fromCoroutine(slow)
        began = time.monotonic()
        quick = await descriptions.rendered(described("# Acme\n"))
        self.assertEqual(quick.how, "rendered")
        self.assertFalse(slow_one.called)
        made = await slow_one
        self.assertEqual((made.how, made.note), ("failed", TOO_MUCH))
        self.assertLess(time.monotonic() - began, DESCRIPTIONS.seconds + 5)

    async def test_a_helper_that_has_grown_is_not_kept(self) -> None:
        before = await self.pid()
        reply = await self.offload.in_process(frame, bytes(150_000_000))
        self.assertEqual(len(reply) // 10**6, 150)
        self.assertNotEqual(await self.pid(), before)
        self.assertTrue(gone_within(5, before))

    async def test_exit_fails_the_call(self) -> None:
        with self.assertRaises(Unavailable) as caught:
            await self.offload.in_process(frame, Does("os", "_exit", 3))
        self.assertIn("helper process died", caught.exception.message)
        self.assertEqual(await self.offload.in_process(project_name, "A"), "a")

    async def test_killed_while_idle(self) -> None:
        pid = await self.pid()
        os.kill(pid, signal.SIGKILL)
        self.assertTrue(gone_within(5, pid))
        await deferLater(reactor, 0.05)
        self.assertNotEqual(await self.pid(), pid)

    async def test_signals_to_the_group_are_for_the_server(self) -> None:
        pid = await self.pid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(pid, number)
        self.assertEqual(await self.pid(), pid)

    async def test_cancel_ends_the_work(self) -> None:
        pid = await self.pid()
        result = self.offload.in_process(frame, Does("time", "sleep", 60))
        result.cancel()
        with self.assertRaises(CancelledError):
            await result
        self.assertTrue(gone_within(5, pid))

    async def test_stop_ends_helpers(self) -> None:
        pid = await self.pid()
        await self.offload.stopService()
        self.assertFalse(is_alive(pid))

    async def test_environment(self) -> None:
        secret = await self.offload.in_process(
            frame, Does("os", "getenv", "AWS_SECRET_ACCESS_KEY", "none")
        )
        self.assertIn(b"none", secret)

    async def test_thread(self) -> None:
        name = await self.offload.in_thread(lambda: threading.current_thread().name)
        self.assertIn("pypicloud", name)

        def fails(*, why: str) -> None:
            raise KeyError(why)

        with self.assertRaises(KeyError):
            await self.offload.in_thread(fails, why="because")

    async def test_thread_cancelled_while_waiting_never_runs(self) -> None:
        hold = threading.Event()
        ran: list[int] = []
        running = [self.offload.in_thread(hold.wait) for _ in range(8)]
        waiting = self.offload.in_thread(ran.append, 1)
        last = self.offload.in_thread(ran.append, 2)
        waiting.cancel()
        with self.assertRaises(CancelledError):
            await waiting
        hold.set()
        for result in running:
            self.assertTrue(await result)
        await last
        self.assertEqual(ran, [2])

    async def test_stop_waits_for_threads_without_blocking(self) -> None:
        hold = threading.Event()
        result = self.offload.in_thread(hold.wait)
        stopped = self.offload.stopService()
        self.assertFalse(stopped.called)
        hold.set()
        await stopped
        self.assertTrue(await result)


class MemoryTests(TestCase):
    """What the C library keeps of what its threads have freed."""

    if libc_ver()[0] != "glibc":
        skip = "Other C libraries have no heap for each thread."

    def test_password_checks_give_memory_back(self) -> None:
        """Not each thread keeps the 19 MiB that argon2 took there."""
        told = subprocess.run(
            [sys.executable, "-c", LOG_INS], stdout=subprocess.PIPE, check=True
        )
        self.assertLess(int(told.stdout), 60 * 2**20)


class ServerTests(TestCase):
    """A plain script, in a folder that it may not write to."""

    def start(self) -> tuple[subprocess.Popen[bytes], int]:
        server = subprocess.Popen(
            [sys.executable, "-c", SERVER],
            cwd="/",
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        assert server.stdout is not None
        self.addCleanup(server.stdout.close)
        return server, int(server.stdout.readline())

    def test_no_orphan_after_kill(self) -> None:
        server, helper = self.start()
        self.assertTrue(is_alive(helper))
        server.kill()
        self.assertTrue(gone_within(5, helper))

    def test_ctrl_c_to_the_group(self) -> None:
        server, helper = self.start()
        os.killpg(server.pid, signal.SIGINT)
        server.wait(10)
        self.assertTrue(gone_within(5, helper))

    def test_stop(self) -> None:
        server, helper = self.start()
        server.terminate()
        server.wait(10)
        self.assertFalse(is_alive(helper))


test_suite = apart(__name__)
