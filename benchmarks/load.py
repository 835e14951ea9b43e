"""Load by wrk: prepared requests in turn, and what came of them."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from attrs import frozen

from benchmarks.clients import Headers

#: Plays the requests of a file in turn, beginning with another in each run.
_SCRIPT = """\
local requests = {}
local file = io.open(os.getenv("REQUESTS"), "rb")
local text = file:read("*a")
file:close()
for request in text:gmatch("([^%z]+)%z") do requests[#requests + 1] = request end
local at = 0
request = function()
  at = at % #requests + 1
  return requests[at]
end
"""

_COUNT = re.compile(r"(\d+) requests in ")
_RATE = re.compile(r"Requests/sec:\s+([0-9.]+)")
_LATENCY = re.compile(r"(50|99)%\s+([0-9.]+)(us|ms|s|m)\b")
_ERRORS = re.compile(r"Non-2xx or 3xx responses: (\d+)")
_SOCKET_ERRORS = re.compile(r"Socket errors: .*")
_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


@frozen
class Result:
    """What the clients saw.

    :ivar count: of answers.
    :ivar rate: of answers a second.
    :ivar p50: how long half of them took at most, in milliseconds.
    :ivar p99: the same of 99 of a hundred.
    """

    count: int
    rate: float
    p50: float
    p99: float


def raw_request(host: str, path: str, headers: Iterable[tuple[str, str]]) -> bytes:
    """Write a GET as it goes over the wire."""
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def play(
    port: int,
    paths: Sequence[str],
    header_sets: Sequence[Headers],
    *,
    extra: Headers = (),
    seconds: float = 4,
    connections: int = 16,
) -> Result:
    """Ask for every path with every set of headers, over and over.

    :raises RuntimeError: wrk failed, or an answer was none of 200 and 304.
    """
    host = f"127.0.0.1:{port}"
    requests = [
        raw_request(host, path, (*headers, *extra))
        for headers in header_sets
        for path in paths
    ]
    return run(port, requests, seconds=seconds, connections=connections)


def run(
    port: int, requests: Iterable[bytes], *, seconds: float, connections: int = 16
) -> Result:
    """Play prepared requests."""
    with TemporaryDirectory() as folder:
        script, file = Path(folder, "play.lua"), Path(folder, "requests")
        script.write_text(_SCRIPT)
        file.write_bytes(b"".join(request + b"\0" for request in requests))
        done = subprocess.run(
            [
                "wrk",
                "-t1",
                f"-c{connections}",
                f"-d{seconds:.0f}s",
                "--latency",
                "--timeout=60s",
                f"-s{script}",
                f"http://127.0.0.1:{port}/",
            ],
            env={**os.environ, "REQUESTS": str(file)},
            capture_output=True,
            text=True,
            check=True,
            timeout=seconds + 60,
        )
    return understand(done.stdout)


def understand(output: str) -> Result:
    """Read what wrk prints.

    :raises RuntimeError: an answer was an error, there were none, or it is not wrk's.
    """
    wrong = _ERRORS.search(output) or _SOCKET_ERRORS.search(output)
    count, rate = _COUNT.search(output), _RATE.search(output)
    waited = {
        percent: float(number) * _UNITS[unit]
        for percent, number, unit in _LATENCY.findall(output)
    }
    if wrong or count is None or rate is None or not {"50", "99"} <= waited.keys():
        said = f": {wrong[0]}" if wrong else f":\n{output}"
        raise RuntimeError(f"wrk did not get what it asked for{said}")
    return Result(int(count[1]), float(rate[1]), waited["50"], waited["99"])
