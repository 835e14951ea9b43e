"""Puts the store in a bucket together from the configuration."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from attrs import define, field

from pypicloud_tw import __version__
from pypicloud_tw.concurrency.budget import BufferBudget
from pypicloud_tw.config.sections.storage import AwsSection
from pypicloud_tw.offload.service import IOffload
from pypicloud_tw.store.s3.agent import make_agent
from pypicloud_tw.store.s3.client import S3Client
from pypicloud_tw.store.s3.credentials import choose_credentials
from pypicloud_tw.store.s3.endpoint import Endpoint, find_endpoint
from pypicloud_tw.store.s3.objects import (
    ObjectHeaders,
    common_headers,
)
from pypicloud_tw.store.s3.request import Observe, S3Requester
from pypicloud_tw.store.s3.sender import S3Sender
from pypicloud_tw.store.s3.signed_urls import SignedUrls
from pypicloud_tw.store.s3.sigv4 import AWSCredentials, Presigner
from pypicloud_tw.store.s3.store import S3Store
from pypicloud_tw.store.s3.timeouts import Timeouts


@define
class CurrentPresigner:
    """Makes a new presigner only when the credentials or the endpoint are new ones."""

    _client: S3Client
    _credentials: AWSCredentials | None = field(init=False, default=None)
    _endpoint: Endpoint | None = field(init=False, default=None)
    _presigner: Presigner | None = field(init=False, default=None)

    def __call__(self) -> Presigner | None:
        """Return the presigner to use now, or None without credentials."""
        credentials = self._client.requester.credentials.current()
        endpoint = self._client.endpoint
        if credentials is not self._credentials or endpoint is not self._endpoint:
            self._credentials, self._endpoint = credentials, endpoint
            self._presigner = (
                None if credentials is None else self._client.presigner(credentials)
            )
        return self._presigner


def make_s3_store(
    aws: AwsSection,
    reactor: Any,
    offload: IOffload,
    environ: Mapping[str, str],
    *,
    temp_dir: Path | None = None,
    observe: Observe | None = None,
    now: Callable[[], float] = time.time,
    jitter: Callable[[], float] = random.random,
) -> S3Store:
    """Make a store that has not spoken to S3 yet.

    :param environ: of the process: ``AWS_*`` and proxies.
    :param observe: told every S3 operation, its result and its duration.
    :raises ConfigError: the CA file or a proxy is not usable.
    """
    region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or None
    endpoint = find_endpoint(aws, region)
    agent = make_agent(
        reactor,
        endpoint.origin,
        ca_file=aws.ca_file,
        connect_timeout=aws.connect_timeout,
        environ=environ,
    )
    timeouts = Timeouts(
        aws.connect_timeout, aws.first_byte_timeout, aws.silence_timeout
    )
    credentials = choose_credentials(
        aws, environ, offload, reactor, now, jitter, endpoint.region
    )
    requester = S3Requester(
        S3Sender(agent, reactor, timeouts),
        endpoint,
        credentials,
        now,
        jitter,
        user_agent=f"pypicloud-tw/{__version__}",
    )
    if observe is not None:
        requester.observe = observe
    client = S3Client(requester, common_headers(aws), checksums=aws.checksums)
    return S3Store(
        client,
        offload,
        aws.prefix,
        ObjectHeaders.of(aws),
        _signed_urls(aws, client, reactor),
        BufferBudget(aws.buffer_memory),
        aws.create_bucket,
        temp_dir,
    )


def _signed_urls(aws: AwsSection, client: S3Client, reactor: Any) -> SignedUrls | None:
    if aws.link == "stream":
        return None
    return SignedUrls(
        CurrentPresigner(client),
        lambda key: client.endpoint.path(key),
        client.requester.instant,
        reactor,
        aws.expire_after,
        aws.buffer_time,
    )
