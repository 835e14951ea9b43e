"""What signed addresses take of memory and of the processor.

``python -m benchmarks.addresses [--count N]``
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

from twisted.internet.task import Clock

from benchmarks import servers
from benchmarks.lists import resident
from pypicloud_tw.store.s3.signed_urls import SignedUrls
from pypicloud_tw.store.s3.sigv4 import AWSCredentials, Identity, Presigner


def keys(count: int, step: int = 1) -> Iterator[tuple[str, str]]:
    """Make keys as uploads do, each with its file's name."""
    for number in range(0, count, step):
        filename = f"some_library_{number}-1.0.0-py3-none-any.whl"
        yield f"some-library-{number}/{number:032x}/{filename}", filename


def look_up(urls: SignedUrls, files: Iterator[tuple[str, str]]) -> float:
    """Ask for addresses; return the microseconds that one takes."""
    began, asked = time.process_time(), urls.hits + urls.misses
    for key, filename in files:
        urls.look_up(key, filename)
    took = time.process_time() - began
    return took / (urls.hits + urls.misses - asked) * 1e6


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000)
    count = parser.parse_args().count
    print(f"load average before: {servers.load_average()}")
    identity = Identity(AWSCredentials("AKID", "secret"), "us-east-1")
    presigner = Presigner(identity, "https://bucket.s3.us-east-1.amazonaws.com")
    now, clock = time.time(), Clock()
    urls = SignedUrls(
        lambda: presigner, lambda key: f"/{key}", lambda: now, clock, limit=count
    )
    before = resident()
    made = look_up(urls, keys(count))
    took = resident() - before
    again = look_up(urls, keys(count, 10))
    print(
        f"{len(urls):,} addresses: {took:.0f} MB with their keys; {made:.1f} "
        f"microseconds to make one, {again:.1f} to have it again"
    )


if __name__ == "__main__":
    main()
