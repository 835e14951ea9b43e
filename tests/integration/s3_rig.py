"""Servers on a bucket of a real S3 server, and a look into the bucket beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from re import search
from typing import Any
from uuid import uuid4

import botocore.session
from attrs import field, frozen
from botocore.config import Config as BotoConfig

from pypicloud_tw.index.manifest import project_of
from pypicloud_tw.index.model import Project
from tests.integration.rig import (
    Answer,
    IntegrationTestCase,
    Server,
    basic,
    form,
    run,
    script,
    wait_until,
)
from tests.integration.seaweedfs import CREDENTIALS, shared
from tests.manifests import whole_project

#: Uploads that are under way at a time, in tests of many.
AT_ONCE = 32


@frozen
class Bucket:
    """A bucket, as botocore sees it."""

    name: str
    client: Any = field(repr=False)

    @classmethod
    def make(cls) -> Bucket:
        """Make an empty bucket."""
        client = botocore.session.Session().create_client(
            "s3",
            region_name="us-east-1",
            endpoint_url=shared().url,
            aws_access_key_id=CREDENTIALS.access_key,
            aws_secret_access_key=CREDENTIALS.secret_key,
            config=BotoConfig(s3={"addressing_style": "path"}),
        )
        bucket = cls(f"test-{uuid4().hex[:12]}", client)
        client.create_bucket(Bucket=bucket.name)
        return bucket

    def put(self, key: str, data: bytes, **metadata: str) -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=data, Metadata=metadata)

    def get(self, key: str) -> bytes:
        body: bytes = self.client.get_object(Bucket=self.name, Key=key)["Body"].read()
        return body

    def sizes(self, prefix: str = "") -> dict[str, int]:
        """Tell every object's size."""
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.name, Prefix=prefix
        )
        return {
            found["Key"]: found["Size"]
            for page in pages
            for found in page.get("Contents", ())
        }

    def uploads(self) -> list[str]:
        """Tell the keys of multipart uploads that are under way."""
        page = self.client.list_multipart_uploads(Bucket=self.name)
        return [upload["Key"] for upload in page.get("Uploads", ())]

    def projects(self) -> dict[str, Project]:
        """Read every manifest there is; a damaged one is an error."""
        projects: dict[str, Project] = {}
        for key in self.sizes(".index/"):
            name = project_of(key)
            assert name is not None, f"{key} is not a manifest's name"
            projects[name] = whole_project(name, self.get)
        return projects


class S3TestCase(IntegrationTestCase):
    """A bucket of its own for every test."""

    def setUp(self) -> None:
        super().setUp()
        self.dist = self.folder / "dist"
        self.dist.mkdir()
        self.bucket = Bucket.make()

    def settings(self, url: str | None = None) -> dict[str, str]:
        """Write the ini's keys for this bucket.

        :param url: of S3, or of what stands before it.
        """
        return {
            "aws.bucket": self.bucket.name,
            "aws.endpoint_url": url or shared().url,
            "aws.access_key": CREDENTIALS.access_key,
            "aws.secret_key": CREDENTIALS.secret_key,
        }

    def s3_server(
        self,
        settings: Mapping[str, str] | None = None,
        *,
        url: str | None = None,
        **options: Any,
    ) -> Server:
        """Make a server on the bucket.

        :param options: of :meth:`server`.
        """
        keys = {**self.settings(url), **(settings or {})}
        return self.server(settings=keys, **options)

    def pair(self) -> tuple[Server, Server]:
        """Start two servers on the bucket."""
        both = [self.s3_server(start=False) for _ in range(2)]
        for server in both:
            server.start(ready=False)
        for server in both:
            wait_until(server.is_ready, lambda server=server: server.log)  # type: ignore[misc]  # bound at once
        return both[0], both[1]

    def command(self, server: Server, name: str, *arguments: str) -> str:
        """Run ``pypicloud NAME`` with a server's ini; it must succeed."""
        return self.run_client(script("pypicloud"), name, server.config, *arguments)

    def files(self, server: Server, project: str) -> dict[str, Any]:
        """Read a project's page, by filename."""
        listed = server.document(project)["files"]
        return {file["filename"]: file for file in listed}

    def fetch(self, server: Server, file: Mapping[str, Any]) -> bytes:
        """Read a file's bytes by the address on its project's page."""
        answer = server.get(file["url"].removeprefix("../.."))
        if answer.status == 302:
            answer = self.follow(answer)
        self.assertEqual(answer.status, 200, answer)
        return answer.body

    def follow(self, answer: Answer, method: str = "GET", **headers: str) -> Answer:
        """Go where a redirect leads."""
        return self.ask_s3(answer.headers["location"], method, **headers)

    def ask_s3(self, url: str, method: str = "GET", **headers: str) -> Answer:
        """Ask S3 as anybody can who has been given an address."""
        origin, path = url[: (cut := url.index("/", 8))], url[cut:]
        server = Server(Path(), port=int(origin.rpartition(":")[2]))
        return server.request(method, path, headers=headers)

    def verify(self, expected: int) -> None:
        """Assert that everything is in the bucket as its manifests say."""
        # With nothing between it and S3.
        output = self.command(self.s3_server(start=False), "verify", "--deep")
        self.assertIn(f"{expected} files checked, 0 wrong.", output)


def remove(server: Server, project: str, version: str) -> Answer:
    """Remove a release by the upload API."""
    fields = {":action": "remove_pkg", "name": project, "version": version}
    body, content_type = form(fields)
    headers = {"Authorization": basic(), "Content-Type": content_type}
    return server.request("POST", "/", body, headers)


def yank(server: Server, project: str, version: str, reason: str) -> None:
    """Yank a release by the command, beside the servers."""
    outcome = run(
        (
            *(script("pypicloud"), "yank", server.config, project, version),
            *("--reason", reason),
        ),
        home=server.folder,
    )
    assert outcome.code == 0, outcome.output


def upload_all(jobs: Iterable[tuple[Server, Path]]) -> list[int]:
    """Upload many at once, and tell the statuses in their order."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        work = [pool.submit(server.upload, file) for server, file in jobs]
        return [one.result().status for one in work]


def metric(server: Server, name: str) -> float:
    """Read a number from ``/metrics``."""
    text = server.get("/metrics", Authorization=basic()).text
    found = search(rf"(?m)^{name} (\S+)$", text)
    assert found is not None, text
    return float(found[1])
