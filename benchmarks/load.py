"""Load by wrk: prepared requests in turn, and what came of them."""

from __future__ import annotations

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

_RATE = re.compile(r"Requests/sec:\s+([0-9.]+)")
_P99 = re.compile(r"99%\s+([0-9.]+)(us|ms|s)")
_ERRORS = re.compile(r"Non-2xx or 3xx responses: (\d+)")
_SOCKET_ERRORS = re.compile(r"Socket errors: .*")
_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


@frozen
class Result:
    """What wrk saw.

    :ivar p99: in milliseconds.
    """

    rate: float
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
            env={"REQUESTS": str(file)},
            capture_output=True,
            text=True,
            check=True,
            timeout=seconds + 60,
        )
    return _understand(done.stdout)


def _understand(output: str) -> Result:
    wrong = _ERRORS.search(output) or _SOCKET_ERRORS.search(output)
    rate, p99 = _RATE.search(output), _P99.search(output)
    if wrong or rate is None or p99 is None:
        raise RuntimeError(f"wrk did not get what it asked for:\n{output}")
    return Result(float(rate[1]), float(p99[1]) * _UNITS[p99[2]])
