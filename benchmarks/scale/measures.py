"""What is measured, each a part of the report."""

from __future__ import annotations

import argparse
import gzip
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from statistics import median

from attrs import frozen

from benchmarks import corpus as wheels
from benchmarks import servers
from benchmarks.scale.corpus import Corpus, Place
from benchmarks.scale.served import Counters, Served, serving

JSON = {"Accept": "application/vnd.pypi.simple.v1+json"}
GZIP = {"Accept-Encoding": "gzip"}

#: How often uploads come, in seconds: 100 a minute.
EVERY = 0.6

#: Seconds for which requests are counted.
COUNTED = 60.0

_LATE, _BUSY = "pypicloud_reactor_late_seconds", "pypicloud_reactor_busy_seconds"
_BOUNDARY = "b0undary"


def row(what: str, told: str, aim: str = "") -> None:
    """Print a row of the report."""
    print(f"{what:40} {told}{f'   ({aim})' if aim else ''}", flush=True)


def stalls(grown: Counters) -> str:
    """Tell for how long the reactor did nothing else, at most and how often."""
    return (
        f"late by {grown.longest(_LATE)} at most, {grown.above(_LATE, 0.05)} times "
        f"above 50; of its own work {grown.longest(_BUSY)}, "
        f"{grown.above(_BUSY, 0.05)} times"
    )


def calls(grown: Counters) -> str:
    """Tell what was asked of the store."""
    found = grown.by("pypicloud_s3_requests_total", "operation")
    found = found or grown.by("pypicloud_store_calls_total", "operation")
    told = ", ".join(f"{name} {count}" for name, count in sorted(found.items()))
    return f"{sum(found.values())} calls of the store ({told})"


@contextmanager
def watched(server: Served, what: str) -> Iterator[None]:
    """Tell what a block of work took of the server."""
    before, worked = server.counters(), server.worked
    yield
    grown = server.counters().since(before)
    row(
        what,
        f"{server.worked - worked:.2f} s of the processor; {server.resident:.0f} MB; "
        f"{stalls(grown)}",
    )


def settle(server: Served, patience: float = 900) -> None:
    """Wait until the server does nothing any more."""
    quiet, until = 0, time.monotonic() + patience
    while quiet < 4 and time.monotonic() < until:
        worked = server.worked
        time.sleep(1)
        quiet = quiet + 1 if server.worked - worked <= 0.04 else 0


def measure_start(server: Served, corpus: Corpus, first: str) -> None:
    """Tell when it answers, and when it has the list.

    :param first: the path that is asked for first when it listens.
    """
    row("first answer (/health)", f"{server.until('/health'):.2f} s", "2 s")
    if first == "/ready":
        row("/ready", f"{server.until('/ready'):.2f} s")
    took = server.until("/simple/", {**JSON, **GZIP})
    row("first /simple/, since the start", f"{took:.2f} s", "3 s")
    text = gzip.decompress(server.ask("/simple/", headers={**JSON, **GZIP}).body)
    listed = len(json.loads(text)["projects"])
    if listed < corpus.projects:
        raise RuntimeError(f"only {listed} projects are listed")
    counters = server.counters()
    row("  until then", f"{server.worked:.2f} s of the processor; {calls(counters)}")
    row("  ", f"{server.resident:.0f} MB; {stalls(counters)}")
    settle(server)
    grown = server.counters()
    took = time.monotonic() - server.began - 4
    row("until all is done", f"{took:.0f} s; {calls(grown)}")
    row(
        "  ",
        f"{server.worked:.2f} s of the processor; {server.resident:.0f} MB; "
        f"{stalls(grown)}",
    )


def measure_lists(server: Served) -> None:
    """Ask for the list in each form, twice."""
    for what, headers in (
        ("HTML", {"Accept": "text/html"}),
        ("HTML, gzip", {"Accept": "text/html", **GZIP}),
        ("JSON", JSON),
    ):
        with watched(server, f"/simple/, {what}"):
            first, second = (server.ask("/simple/", headers=headers) for _ in "12")
        row("  ", f"{first.seconds * 1e3:.0f} ms, then {second.seconds * 1e3:.1f} ms")


def measure_pages(server: Served, corpus: Corpus, counts: Sequence[int]) -> None:
    """Ask for many pages, each for the first time, and tell the memory."""
    names = list(corpus.names)
    Random(1).shuffle(names)
    done = 0
    for count in counts:
        worked = server.worked
        with watched(server, f"{count:,} pages touched"):
            for name in names[done:count]:
                server.ask(f"/simple/{name}/", headers={**JSON, **GZIP})
        each = (server.worked - worked) / max(count - done, 1)
        weight = server.counters().values["pypicloud_pages_bytes", ""]
        row(
            "  ",
            f"{each * 1e3:.2f} ms of the processor a page; pages weigh "
            f"{weight / 1e6:.0f} MB",
        )
        done = count


def upload(server: Served, name: str, version: str = "1.0") -> int:
    """Upload a small wheel."""
    data, _ = wheels.wheel(name, version)
    filename = f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
    fields = {":action": "file_upload", "name": name, "version": version}
    body = b"".join(
        f"--{_BOUNDARY}\r\nContent-Disposition: form-data; "
        f'name="{key}"\r\n\r\n{value}\r\n'.encode()
        for key, value in fields.items()
    )
    body += (
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="content"; '
        f'filename="{filename}"\r\n\r\n'
    ).encode()
    body += data + f"\r\n--{_BOUNDARY}--\r\n".encode()
    answer = server.ask(
        "/legacy/",
        "POST",
        body,
        {
            "Authorization": servers.authorization(),
            "Content-Type": f"multipart/form-data; boundary={_BOUNDARY}",
        },
    )
    if answer.status != 200:
        raise RuntimeError(f"{filename}: {answer.status} {answer.body[:300]!r}")
    return answer.status


def is_listed(server: Served, name: str) -> bool:
    """Ask whether a project is in the list."""
    answer = server.ask("/simple/", headers={**JSON, **GZIP})
    return f'"{name}"'.encode() in gzip.decompress(answer.body)


def repeating(work: Callable[[], object], every: float) -> Callable[[], list[float]]:
    """Do something again and again in a thread.

    :returns: what ends it, and returns the seconds that each took.
    """
    ended, took = threading.Event(), []

    def run() -> None:
        while not ended.wait(every):
            began = time.monotonic()
            work()
            took.append(time.monotonic() - began)

    thread = threading.Thread(target=run)
    thread.start()

    def end() -> list[float]:
        ended.set()
        thread.join()
        return took

    return end


def another(server: Served) -> Served:
    """Return the same server, asked on another connection."""
    return Served(server.process, server.port, server.began)


def measure_adding(server: Served, count: int, when: str) -> None:
    """Add projects while others list and search.

    :param when: names them.
    """
    lister, searcher, pager = (another(server) for _ in range(3))
    took, run = [], int(time.time())
    with watched(server, f"{count} added, beside lists and searches"):
        ends = (
            repeating(lambda: lister.ask("/simple/", headers={**JSON, **GZIP}), 0.05),
            repeating(lambda: searcher.ask("/search?q=parser+cloud"), 0.1),
            repeating(lambda: pager.ask("/simple/team7-some-library-7/"), 0.02),
        )
        try:
            for number in range(count):
                name = f"added-{when}-{run}-{number}"
                began = time.monotonic()
                upload(server, name)
                took.append(time.monotonic() - began)
                if not is_listed(server, name):
                    raise RuntimeError(f"{name} is not listed at once")
        finally:
            lists, searches, pages = (end() for end in ends)
    for what, seconds in (
        ("upload", took),
        ("/simple/", lists),
        ("/search", searches),
        ("a warm page", pages),
    ):
        row(f"  {what}", _spread(seconds))


def _spread(seconds: Sequence[float]) -> str:
    if not seconds:
        return "none"
    return (
        f"{median(seconds) * 1e3:.1f} ms ({max(seconds) * 1e3:.0f} at most), "
        f"{len(seconds)} times"
    )


def told(grown: Sequence[Counters], seconds: float) -> str:
    """Tell what was asked of the store for each server and second."""
    found: dict[str, int] = {}
    for one in grown:
        names = one.by("pypicloud_s3_requests_total", "operation")
        names = names or one.by("pypicloud_store_calls_total", "operation")
        for name, number in names.items():
            found[name] = found.get(name, 0) + number
    each = len(grown) * seconds
    kinds = ", ".join(f"{n} {c / each:.3f}" for n, c in sorted(found.items()))
    return f"{sum(found.values()) / each:.3f} calls a server and second ({kinds})"


@frozen
class Several:
    """Servers on one store.

    :ivar servers: the last is never uploaded to: it only hears.
    """

    servers: Sequence[Served]

    def count(self, what: str, seconds: float, work: Callable[[], object]) -> None:
        """Tell how many calls of the store each server makes in a second."""
        before = [server.counters() for server in self.servers]
        worked = sum(server.worked for server in self.servers)
        began = time.monotonic()
        work()
        time.sleep(max(0.0, began + seconds - time.monotonic()))
        took = time.monotonic() - began
        worked = sum(server.worked for server in self.servers) - worked
        grown = [
            server.counters().since(former)
            for server, former in zip(self.servers, before, strict=True)
        ]
        share = 100 * worked / took / len(self.servers)
        row(what, f"{told(grown, took)}; {share:.2f} % of a processor each")
        row("  the last of them", told(grown[-1:], took))

    def _pair(self, number: int) -> tuple[Served, Served]:
        """Choose a server to upload to, and another that is to show it."""
        some = self.servers[:-1] or self.servers
        return some[number % len(some)], some[(number + 1) % len(some)]

    def upload_for(self, seconds: float) -> list[float]:
        """Upload to one after the other; return how long another was behind."""
        delays, began, number, run = [], time.monotonic(), 0, int(time.time())
        while time.monotonic() < began + seconds:
            to, other = self._pair(number)
            name = f"shared-{run}-{number}"
            upload(to, name)
            done = time.monotonic()
            while not is_listed(other, name):
                time.sleep(0.02)
            delays.append(time.monotonic() - done)
            number += 1
            time.sleep(max(0.0, began + number * EVERY - time.monotonic()))
        return delays


def measure_servers(folder: Path, place: Place, count: int, seconds: float) -> None:
    """Run several servers on one store, idle, asked for pages, and uploaded to."""
    with ExitStack() as stack:
        found = [
            stack.enter_context(serving(folder, place.settings)) for _ in range(count)
        ]
        for server in found:
            server.until("/simple/", {**JSON, **GZIP})
        for server in found:
            settle(server)
        several = Several(found)
        several.count(f"{count} servers, idle", seconds, lambda: None)

        def browse() -> None:
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                for server in found:
                    server.ask("/simple/team7-some-library-7/")
                time.sleep(0.1)

        several.count("... each asked for a page, 10 a second", seconds, browse)
        delays: list[float] = []
        several.count(
            "... 100 uploads a minute to any, with lists",
            seconds,
            lambda: delays.extend(several.upload_for(seconds)),
        )
        row("  until another server lists it", _spread(delays), "1 s")


def measure_one(
    folder: Path, place: Place, corpus: Corpus, asked: argparse.Namespace
) -> None:
    """Run one server through everything, or only its start."""
    with serving(folder, place.settings) as server:
        measure_start(server, corpus, asked.first)
        if asked.only == "start":
            return
        measure_lists(server)
        measure_adding(server, asked.adding, "first")
        counts = asked.pages or (corpus.projects // 5, corpus.projects)
        measure_pages(server, corpus, counts)
        measure_adding(server, asked.adding, "last")
