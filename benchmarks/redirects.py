"""Files in a bucket of the tests' S3 server, whose addresses are answered by 302."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Mapping
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from benchmarks.bucket import REGION, Filler, settings
from tests.integration.s3_rig import Bucket
from tests.integration.seaweedfs import CREDENTIALS, find_weed, shared

JSON = "application/vnd.pypi.simple.v1+json"

#: Projects of 20 files that are asked for.
PROJECTS = [f"project-{n:03d}" for n in range(50)]


def why_not() -> str:
    """Tell why there is no bucket; nothing, if there is one."""
    return "" if find_weed() else "no bucket: pip install -e '.[integration]'"


def our_bucket(store: Path) -> Mapping[str, str]:
    """Fill a bucket with a store's manifests; give the ini's keys for it."""
    bucket = Bucket.make()
    objects = [
        (str(path.relative_to(store)), path.read_bytes())
        for path in (store / ".index").iterdir()
        if path.name.removesuffix(".json") in PROJECTS
    ]
    Filler(bucket).fill(objects)
    return settings(bucket)


def empty_bucket() -> str:
    """Make a bucket; give its name."""
    return Bucket.make().name


def environment() -> Mapping[str, str]:
    """Give the variables that an SDK takes its credentials from."""
    return {
        "AWS_ACCESS_KEY_ID": CREDENTIALS.access_key,
        "AWS_SECRET_ACCESS_KEY": CREDENTIALS.secret_key,
        "AWS_REGION": REGION,
    }


def endpoint() -> str:
    """Tell where the bucket's server is."""
    return shared().url


def addresses(port: int) -> list[str]:
    """Find the addresses of all files.

    :raises RuntimeError: they are not answered by 302.
    """
    found = []
    for name in PROJECTS:
        page = f"http://127.0.0.1:{port}/simple/{name}/"
        request = urllib.request.Request(page, headers={"Accept": JSON})  # loopback
        with urllib.request.urlopen(request, timeout=60) as answer:
            listed: Any = json.load(answer)["files"]
        found += [urlsplit(urljoin(page, file["url"])).path for file in listed]
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", found[0])
    status = connection.getresponse().status
    connection.close()
    if status != 302:
        raise RuntimeError(f"a file's address is answered by {status}, not by 302")
    return found
