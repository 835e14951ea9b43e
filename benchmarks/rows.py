"""The rows of the table: what is asked of every server."""

from __future__ import annotations

import threading
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial

from attrs import define, field, frozen

from benchmarks import load, pages, small_wheels
from benchmarks.clients import Headers, header_sets
from benchmarks.contestants import Setup, Target
from benchmarks.figures import Kind, Sample
from benchmarks.load import Result, raw_request

#: A server that is slow is asked for longer: it answers little.
_SLOW_SECONDS = 5

Requests = Callable[[Target], list[bytes]]


@define
class Wheels:
    """What has been made for uploads: no server is sent a file twice."""

    _left: dict[str, Iterator[small_wheels.Upload]] = field(factory=dict)

    def for_server(self, name: str) -> Iterator[small_wheels.Upload]:
        """Go on where this server's last row ended."""
        return self._left.setdefault(name, small_wheels.small_wheels())


@frozen
class Row:
    """One row.

    :ivar measure: does it, with a server that runs, its name and the seconds.
    """

    kind: Kind
    setup: Setup
    measure: Callable[[Target, str, float], Sample]


def all_rows() -> list[Row]:
    """Give every row that asks servers that run."""
    wheels = Wheels()
    return [
        _page_row("page-20", "page of 20 files", lambda t: _each(t, header_sets())),
        _page_row("plain-20", "page of 20 files, plain", _plain),
        _page_row("page-1000", "page of 1,000 files, plain", _large(pages.PLAIN)),
        _page_row("gzip-1000", "page of 1,000 files, gzip", _large(pages.GZIP)),
        _page_row("page-5000", "page of 5,000 files, gzip", _largest),
        _page_row("list", "/simple/", _list),
        _page_row("304", "304", lambda t: pages.conditional(t.port, t.ordinary[:60])),
        _page_row(
            "basic",
            "page of 20 files, Basic",
            lambda t: _each(t, header_sets(), t.basic()),
            Setup.GUARDED,
        ),
        _page_row(
            "token",
            "page of 20 files, token",
            lambda t: _each(t, header_sets(), t.token()),
            Setup.GUARDED,
        ),
        _page_row("302", "302 to a signed address", _files, Setup.SIGNED),
        *(_upload_row(wheels, at_once) for at_once in (1, 8, 32)),
        Row(
            Kind("log-ins", "p99 beside sha256_crypt log-ins", "ms", lower=True),
            Setup.SLOW_PASSWORDS,
            lambda target, name, seconds: beside_log_ins(target, seconds),
        ),
    ]


#: Rows that are measured otherwise: before a server runs, and after it was asked.
START = Kind("start", "cold start to the first page", "s", lower=True)
MEMORY = Kind("memory", "memory at the highest, pages", "MB", lower=True)


def warm(target: Target, setup: Setup) -> None:
    """Have all made once that will be asked for."""
    if setup is Setup.SIGNED:
        pages.once(target.port, target.files, pages.PLAIN)
        return
    if setup is Setup.EMPTY:
        # What only the first uploads wait for: helpers that start, a first folder.
        first = small_wheels.filling({"warm": 8})
        small_wheels.send(target.port, target.upload, first, at_once=4)
        return
    if target.slow:
        if setup is Setup.OPEN:
            kept = target.ordinary[: target.warmed]
            pages.once(target.port, kept, pages.PLAIN)
        return
    extra: Headers = ()
    if setup is Setup.GUARDED:
        # Before many show it at once: a token that nobody has shown yet is throttled.
        pages.warm(target.port, target.token(), target.ordinary[:1])
        extra = target.basic()
    others = [path for path in pages.ALL if path not in pages.ORDINARY]
    pages.warm(target.port, extra, [*target.ordinary, *map(target.page, others)])


def ask(target: Target, requests: list[bytes], seconds: float) -> Sample:
    """Play requests; count them for each second that the processor worked for it."""
    if target.slow:
        seconds = max(seconds, _SLOW_SECONDS)
    return accounted(
        target,
        lambda: load.run(
            target.port, requests, seconds=seconds, connections=target.connections
        ),
    )


def accounted(target: Target, work: Callable[[], Result]) -> Sample:
    """Do something; tell what was done for each second of the server's processor."""
    before = target.worked
    result = work()
    took = max(target.worked - before, 0.01)
    return Sample(result.count / took, result.rate, result.p50, result.p99)


def _page_row(
    key: str, title: str, requests: Requests, setup: Setup = Setup.OPEN
) -> Row:
    def measure(target: Target, name: str, seconds: float) -> Sample:
        return ask(target, requests(target), seconds)

    return Row(Kind(key, title), setup, measure)


def _upload_row(wheels: Wheels, at_once: int) -> Row:
    def measure(target: Target, name: str, seconds: float) -> Sample:
        send = partial(
            small_wheels.send,
            target.port,
            target.upload,
            wheels.for_server(name),
            at_once=at_once,
            seconds=seconds,
        )
        return accounted(target, send)

    title = f"small uploads, {at_once} at a time"
    return Row(Kind(f"upload-{at_once}", title), Setup.EMPTY, measure)


def _each(target: Target, sets: Sequence[Headers], extra: Headers = ()) -> list[bytes]:
    """Ask for every page of 20 files with every set of headers."""
    return _requests(target, target.ordinary, sets, extra)


def _plain(target: Target) -> list[bytes]:
    return _each(target, [pages.PLAIN])


def _large(headers: Headers) -> Requests:
    return lambda target: _requests(target, [target.page(pages.LARGE)], [headers])


def _largest(target: Target) -> list[bytes]:
    return _requests(target, [target.page(pages.LARGEST)], [pages.GZIP])


def _list(target: Target) -> list[bytes]:
    return _requests(target, [target.simple], header_sets())


def _files(target: Target) -> list[bytes]:
    return _requests(target, target.files, header_sets())


def _requests(
    target: Target,
    paths: Sequence[str],
    sets: Sequence[Headers],
    extra: Headers = (),
) -> list[bytes]:
    host = f"127.0.0.1:{target.port}"
    return [
        raw_request(host, path, (*headers, *extra))
        for headers in sets
        for path in paths
    ]


def beside_log_ins(target: Target, seconds: float) -> Sample:
    """Ask for pages while two clients log in with wrong passwords, all the time."""
    over = threading.Event()
    threads = [
        threading.Thread(target=_log_in, args=(target.port, over)) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    try:
        sample = ask(target, _each(target, header_sets()), seconds)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    return Sample(sample.p99, sample.rate, sample.p50, sample.p99)


def _log_in(port: int, over: threading.Event) -> None:
    number = 0
    while not over.is_set():
        number += 1
        wrong = b64encode(f"old:{number}".encode()).decode()
        request = urllib.request.Request(  # loopback
            f"http://127.0.0.1:{port}/legacy/",
            data=b"",
            headers={"Authorization": f"Basic {wrong}"},
        )
        with suppress(OSError):
            urllib.request.urlopen(request, timeout=120).close()
