"""How long a right password waits while another client sends 100 wrong ones at once.

``python -m benchmarks.log_ins [--scheme sha256_crypt]``; the clients are different
addresses of the loopback network, which Linux has. Where the server says 503 or 429 the
right one is tried again after what Retry-After says, as clients do.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import servers
from pypicloud_tw.config.hashes import SCHEMES, make_context

_HONEST, _OTHER = "127.0.0.2", "127.0.0.3"
_NAMES = 20


def ask(port: int, client: str, user: str, password: str) -> tuple[int, int]:
    """Ask for the list of projects; give the status, and Retry-After in seconds."""
    token = base64.b64encode(f"{user}:{password}".encode()).decode()
    connection = http.client.HTTPConnection(
        "127.0.0.1", port, timeout=300, source_address=(client, 0)
    )
    connection.request("GET", "/simple/", headers={"Authorization": f"Basic {token}"})
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status, int(response.headers.get("Retry-After", 0))


def log_in(port: int) -> tuple[float, int]:
    """Log in with the right password; give the seconds, and how often it was tried."""
    began, tries = time.monotonic(), 0
    while True:
        tries += 1
        status, pause = ask(port, _HONEST, servers.USER, servers.PASSWORD)
        if status == 200:
            return time.monotonic() - began, tries
        time.sleep(pause)


def guess(port: int, number: int) -> list[threading.Thread]:
    """Send wrong passwords at once, for several names."""

    def one(n: int) -> None:
        ask(port, _OTHER, f"user{n % _NAMES}", f"wrong{n}")

    threads = [threading.Thread(target=one, args=(n,)) for n in range(number)]
    for thread in threads:
        thread.start()
    return threads


def main() -> None:
    """Measure without and with the other client."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--scheme", default="sha256_crypt", choices=SCHEMES)
    parser.add_argument("--wrong", type=int, default=100)
    options = parser.parse_args()
    hashed = make_context().handler(options.scheme).hash(servers.PASSWORD)
    with TemporaryDirectory() as name:
        folder = Path(name)
        for wrong in (0, options.wrong):
            settings = {
                "storage.dir": str(folder / f"packages{wrong}"),
                "pypi.fallback": "none",
                "pypi.default_read": "authenticated",
                f"user.{servers.USER}": hashed,
            }
            port = servers.free_port()
            with servers.ours(folder, settings, port):
                threads = guess(port, wrong)
                time.sleep(0.5)
                seconds, tries = log_in(port)
                print(f"{wrong} wrong: {seconds:.1f} s, {tries} tries")
                for thread in threads:
                    thread.join()


if __name__ == "__main__":
    main()
