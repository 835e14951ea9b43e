"""The IAM policy that is shown: enough for all that is sent to S3, and no more.

That the documents show it is in tests/test_readme.py, and that contrib/terraform makes
it in tests/contrib/test_terraform.py.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from attrs import define, field
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.errors import ObjectNotFound, StoreError
from pypicloud_tw.store.interfaces import IObjectStore
from pypicloud_tw.store.s3.explain import PERMISSIONS, iam_policy
from pypicloud_tw.store.s3.objects import KMS_KEY
from pypicloud_tw.store.s3.store import S3Store
from tests.store.s3 import test_store
from tests.store.s3.doubles import FakeS3Resource, Harness, MemoryAgent
from tests.store.s3.iam import OF_BUCKET, OF_OBJECT, PolicedS3, many
from tests.store.s3.test_store import BIG, GOOD, make_store

#: All the operations that there are, by what the client calls them.
OPERATIONS = {
    "head_bucket": "HeadBucket",
    "get_bucket": "ListObjects",
    "create_bucket": "CreateBucket",
    "list_multipart_uploads": "ListMultipartUploads",
    "get_object": "GetObject",
    "head_object": "HeadObject",
    "put_object": "PutObject",
    "copy_object": "CopyObject",
    "delete_object": "DeleteObject",
    "init_multipart_upload": "CreateMultipartUpload",
    "upload_part": "UploadPart",
    "upload_part_copy": "UploadPartCopy",
    "complete_multipart_upload": "CompleteMultipartUpload",
    "abort_multipart_upload": "AbortMultipartUpload",
    "get_lifecycle": "GetBucketLifecycle",
    "get_versioning": "GetBucketVersioning",
}


def shown(store: S3Store) -> dict[str, Any]:
    """The policy for a store, as the log shows it."""
    policy: dict[str, Any] = json.loads(iam_policy(store.client.endpoint, store.prefix))
    return policy


def actions(policy: Mapping[str, Any]) -> set[str]:
    return {one for part in policy["Statement"] for one in many(part["Action"])}


def without(policy: Mapping[str, Any], action: str) -> dict[str, Any]:
    """The same policy, less one of its permissions."""
    parts = [
        {**part, "Action": [one for one in many(part["Action"]) if one != action]}
        for part in policy["Statement"]
    ]
    return {**policy, "Statement": parts}


@define
class PolicedHarness(Harness):
    """A client of a bucket that has a policy."""

    policed: PolicedS3 = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.fake = self.policed = PolicedS3(self.now)
        self.agent = MemoryAgent(FakeS3Resource(self.fake), self.clock)
        self.client = self.make_client()


async def all_that_is_done(store: S3Store) -> None:
    """Do everything with a bucket that a server or a command does."""
    await store.prepare()
    await store.ping()
    await store.put("p/one", b"1")
    await store.get("p/one")
    with contextlib.suppress(ObjectNotFound):
        await store.get("p/none")
    upload = await store.begin("p/id/large-1.0.zip", size_hint=len(BIG))
    await upload.write(BIG)
    await upload.commit()
    await store.copy("p/id/large-1.0.zip", "q/id/large-1.0.zip")
    await store.copy("p/one", "q/one")
    # One that its server did not live to end.
    await store.client.init_multipart_upload(f"{store.prefix}p/{'0' * 32}/late-1.0.zip")
    await store.abandon_uploads(datetime(2027, 1, 1, tzinfo=UTC))
    assert [key async for key in store.list("p/")]
    await store.delete("p/one")


class SuiteTests(test_store.SuiteTests):
    """The suite of all stores, where nothing else is allowed."""

    async def make_store(self) -> IObjectStore:
        await super().make_store()
        self.harness = harness = PolicedHarness()
        store = make_store(harness, GOOD)
        harness.policed.policy = shown(store)
        self.addCleanup(lambda: self.assertEqual(harness.policed.denied, []))
        return store


class PolicyTests(SynchronousTestCase):
    """The least that is needed."""

    def setUp(self) -> None:
        self.harness = PolicedHarness()
        self.policed = self.harness.policed
        self.store = make_store(self.harness)
        self.policy = shown(self.store)

    def refusal(self) -> str:
        """Do everything; tell why that failed."""
        work = self.harness.run(all_that_is_done(self.store))
        return str(self.failureResultOf(work, StoreError).value.message)

    def test_enough(self) -> None:
        """And every permission is used."""
        self.policed.policy = self.policy
        self.successResultOf(self.harness.run(all_that_is_done(self.store)))
        self.assertEqual(self.policed.denied, [])
        used = {need.action for need in self.policed.used}
        self.assertEqual(used, actions(self.policy))

    def test_each_is_needed(self) -> None:
        """Without it something fails, and it is told what is missing."""
        for action in sorted(actions(self.policy)):
            self.setUp()
            self.policed.policy = without(self.policy, action)
            with self.subTest(action):
                self.assertIn(action, self.refusal())
                self.assertEqual({n.action for n in self.policed.denied}, {action})

    def test_key_of_the_bucket(self) -> None:
        """Where one of KMS encrypts it, two more permissions are needed."""
        self.policed.kms_key = key = "arn:aws:kms:us-east-1:111122223333:key/1"
        self.policed.policy = self.policy
        self.refusal()
        text = iam_policy(self.store.client.endpoint, "pre/fix/", {KMS_KEY: key})
        policy = json.loads(text)
        for action in sorted(actions(policy) - actions(self.policy)):
            self.policed.denied = []
            self.policed.policy = without(policy, action)
            self.refusal()
            self.assertEqual({n.action for n in self.policed.denied}, {action})
        self.policed.policy = policy
        self.successResultOf(self.harness.run(all_that_is_done(self.store)))

    def test_nothing_else_of_the_bucket(self) -> None:
        """What lies beside the prefix is nobody's business here."""
        self.policed.policy = self.policy
        self.store.abilities = GOOD
        self.store.prefix = "pre/other/"
        error = self.failureResultOf(self.harness.run(self.store.put("a", b"")))
        self.assertIn("the permission s3:PutObject", error.value.message)

    def test_bucket_that_is_to_be_created(self) -> None:
        self.policed.bucket = None
        self.store.create_bucket = True
        self.policed.policy = self.policy
        self.assertIn("s3:CreateBucket", self.refusal())
        text = iam_policy(self.store.client.endpoint, "pre/fix/", create_bucket=True)
        self.policed.policy = json.loads(text)
        self.successResultOf(self.harness.run(all_that_is_done(self.store)))

    def test_access_control_list(self) -> None:
        """A field of every object may need more."""
        fields = {"x-amz-acl": "bucket-owner-full-control"}
        self.store.client.common = fields
        self.policed.policy = self.policy
        self.assertIn("s3:PutObject", self.refusal())
        text = iam_policy(self.store.client.endpoint, "pre/fix/", fields)
        self.policed.policy = json.loads(text)
        self.successResultOf(self.harness.run(all_that_is_done(self.store)))

    def test_what_the_client_says_of_its_operations(self) -> None:
        """An error names what S3 asks for."""
        needed = {**OF_BUCKET, **OF_OBJECT}
        self.assertEqual(set(OPERATIONS), set(PERMISSIONS))
        self.assertEqual(set(OPERATIONS.values()), set(needed))
        for operation, words in PERMISSIONS.items():
            self.assertIn(needed[OPERATIONS[operation]], words)
