"""Buckets on the S3 server of the tests, filled faster than any SDK would."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from itertools import islice
from threading import local
from typing import Any

from attrs import field, frozen

from pypicloud_tw.store.s3.sigv4 import (
    UNSIGNED_PAYLOAD,
    Identity,
    quote_path,
    sign_headers,
)
from tests.integration.s3_rig import Bucket
from tests.integration.seaweedfs import CREDENTIALS, shared

REGION = "us-east-1"

#: Objects that are put at the same time, and those that are handed out at a time.
_AT_ONCE, _LINE = 16, 2000


def boto_client() -> Any:
    """Make the client that our numbers stand beside, with boto3's own settings."""
    # Here, for tests of real processes load this module where boto3 is not installed.
    import boto3
    from botocore.config import Config as BotoConfig

    return boto3.client(
        "s3",
        region_name=REGION,
        endpoint_url=shared().url,
        aws_access_key_id=CREDENTIALS.access_key,
        aws_secret_access_key=CREDENTIALS.secret_key,
        config=BotoConfig(s3={"addressing_style": "path"}),
    )


def settings(bucket: Bucket) -> dict[str, str]:
    """Write the ini's keys for a bucket."""
    return {
        "aws.bucket": bucket.name,
        "aws.endpoint_url": shared().url,
        "aws.region": REGION,
        "aws.access_key": CREDENTIALS.access_key,
        "aws.secret_key": CREDENTIALS.secret_key,
    }


@frozen
class Filler:
    """Puts many small objects: only signed requests over connections that are kept."""

    bucket: Bucket
    _host: str = field(factory=lambda: shared().url.partition("://")[2])
    _identity: Identity = field(factory=lambda: Identity(CREDENTIALS, REGION))
    _mine: local = field(factory=local)

    def fill(self, objects: Iterable[tuple[str, bytes]]) -> None:
        """Put all of them, in no order.

        :raises RuntimeError: one was not taken.
        """
        left = iter(objects)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            while line := list(islice(left, _LINE)):
                list(pool.map(lambda pair: self._put(*pair), line))

    def _put(self, key: str, data: bytes) -> None:
        path = f"/{self.bucket.name}/{quote_path(key)}"
        headers: Mapping[str, str] = sign_headers(
            self._identity,
            time.time(),
            "PUT",
            path,
            "",
            {"host": self._host},
            UNSIGNED_PAYLOAD,
        )
        if not hasattr(self._mine, "connection"):
            self._mine.connection = HTTPConnection(self._host, timeout=60)
        connection: HTTPConnection = self._mine.connection
        connection.request("PUT", path, data, dict(headers))
        with connection.getresponse() as answer:
            answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{key} was not put: {answer.status} {answer.reason}")
