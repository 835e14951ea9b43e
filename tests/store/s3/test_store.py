"""The store in a bucket: the suite of all stores, and what only S3 can do to it."""

from __future__ import annotations

import json
from collections.abc import Coroutine
from datetime import UTC, datetime
from math import inf
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase, TestCase

from pypicloud_tw.concurrency.budget import BufferBudget
from pypicloud_tw.errors import (
    AmbiguousWrite,
    ObjectNotFound,
    ObjectUnfit,
    ObjectUnreadable,
    PreconditionFailed,
    StoreError,
)
from pypicloud_tw.metrics import Metrics
from pypicloud_tw.store.interfaces import (
    IfAbsent,
    IfMatch,
    IObjectStore,
    SignedUrl,
    Unlisted,
)
from pypicloud_tw.store.s3.client import S3Client
from pypicloud_tw.store.s3.credentials import AWSCredentials, FixedCredentials
from pypicloud_tw.store.s3.endpoint import Endpoint
from pypicloud_tw.store.s3.explain import iam_policy
from pypicloud_tw.store.s3.listing import ListingPages
from pypicloud_tw.store.s3.make import CurrentPresigner
from pypicloud_tw.store.s3.objects import ObjectHeaders, metadata_headers, object_info
from pypicloud_tw.store.s3.probe import Abilities, Conditional
from pypicloud_tw.store.s3.signed_urls import SignedUrls
from pypicloud_tw.store.s3.store import S3Store
from pypicloud_tw.store.s3.upload import Sizes
from tests.doubles import InlineOffload
from tests.store.s3.doubles import Drop, Harness, Refuse, Stall, Truncate
from tests.store_suite import Consumer, StoreProperties, StoreSuite, keys

T = TypeVar("T")

#: Small enough for many tests, and more than what is read and sent at once.
SINGLE, PART = 640 * 1024, 320 * 1024
STEP = 64 * 1024
BIG = bytes(range(256)) * ((SINGLE + 3 * PART) // 256) + b"the end"


#: Where the bytes of a request are signed, and where TLS vouches for them.
PLAIN, SECURE = (
    Endpoint("bucket", "us-east-1", f"{scheme}://s3.example", False)
    for scheme in ("http", "https")
)

#: What :meth:`S3Store.prepare` finds out about a server that is right.
GOOD = Abilities(Conditional.QUOTED, ordered=True)


def make_store(harness: Harness, abilities: Abilities | None = None) -> S3Store:
    """Make a store; with *abilities* it does not find out for itself."""
    store = S3Store(harness.client, InlineOffload(), "pre/fix/")
    store.abilities = abilities
    store.sizes = Sizes(SINGLE, PART)
    return store


class SuiteTests(StoreSuite, TestCase):
    """The suite, on a fake that verifies every signature."""

    rapid_puts = 20

    async def make_store(self) -> IObjectStore:
        self.harness = Harness()
        pump = LoopingCall(self.pump)
        pump.start(0.001)
        self.addCleanup(pump.stop)
        return make_store(self.harness, GOOD)

    def pump(self) -> None:
        self.harness.agent.flush()
        self.harness.clock.advance(0.05)

    async def progress(self) -> None:
        self.harness.agent.flush()


class CephSuiteTests(SuiteTests):
    """The suite, where the losers of a race are told only that something went wrong."""

    async def make_store(self) -> IObjectStore:
        await super().make_store()
        self.harness.fake.conditions = "ceph"
        self.harness.client.quoted = False
        return make_store(self.harness, Abilities(Conditional.UNQUOTED, ordered=True))


class PropertyTests(StoreProperties, SynchronousTestCase):
    """The properties of all stores."""

    def make_store_now(self) -> IObjectStore:
        self.harness = Harness()
        return make_store(self.harness, GOOD)

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        result: T = self.successResultOf(self.harness.run(work))
        return result


class StoreTestCase(SynchronousTestCase):
    """A store that is ready."""

    def setUp(self) -> None:
        self.harness = Harness()
        self.fake = self.harness.fake
        self.store = make_store(self.harness, GOOD)

    def result(self, work: Coroutine[Any, Any, T]) -> T:
        result: T = self.successResultOf(self.harness.run(work))
        return result

    def error(self, work: Coroutine[Any, Any, Any], kind: type[Exception]) -> Any:
        return self.failureResultOf(self.harness.run(work), kind).value

    async def upload(
        self, data: bytes, step: int = STEP, size_hint: int | None = None
    ) -> Any:
        upload = await self.store.begin("p/id/a-1.0.zip", size_hint=size_hint)
        try:
            for at in range(0, len(data), step):
                await upload.write(data[at : at + step])
            return await upload.commit()
        except BaseException:
            await upload.abort()
            raise

    @property
    def stored(self) -> bytes:
        return self.fake.objects["pre/fix/p/id/a-1.0.zip"].data


class PreparingTests(SynchronousTestCase):
    """What is found out at the start, and what is said about it."""

    def setUp(self) -> None:
        self.harness = Harness()
        self.fake = self.harness.fake
        self.store = make_store(self.harness)

    def prepare(self) -> Deferred[None]:
        return self.harness.run(self.store.prepare())

    def check(self, conditions: str, expected: Conditional) -> list[Any]:
        self.fake.conditions = conditions
        with capturedLogs() as logs:
            self.successResultOf(self.prepare())
        self.assertIs(self.store.conditional, expected)
        self.assertEqual(self.fake.objects, {})
        return list(logs)

    def test_quoted(self) -> None:
        logs = self.check("quoted", Conditional.QUOTED)
        self.assertEqual(logs[-1]["style"], "quoted")

    def test_unquoted(self) -> None:
        self.check("unquoted", Conditional.UNQUOTED)
        self.assertFalse(self.harness.client.quoted)

    def test_lost_races_that_look_like_faults(self) -> None:
        """Ceph answers 500 to most of those who lose."""
        self.check("ceph", Conditional.UNQUOTED)
        self.assertNotIn("unreachable", dict(self.harness.observed))

    def test_answers_that_are_lost(self) -> None:
        """Whoever did not hear may have won all the same."""
        self.fake.fail("PutObject", *[Drop(done=True)] * 4)
        self.check("quoted", Conditional.QUOTED)

    def test_refused(self) -> None:
        logs = self.check("refused", Conditional.NONE)
        self.assertIn("not implemented", logs[-1]["reason"])

    def test_ignored(self) -> None:
        logs = self.check("ignored", Conditional.NONE)
        self.assertIn("8 of 8 racing writers", logs[-1]["reason"])

    def test_racy(self) -> None:
        """Right for one writer, wrong for eight."""
        logs = self.check("racy", Conditional.NONE)
        self.assertIn("racing writers", logs[-1]["reason"])

    def test_order(self) -> None:
        self.fake.ordered = False
        self.check("quoted", Conditional.QUOTED)
        assert self.store.abilities is not None
        self.assertFalse(self.store.abilities.ordered)

    def test_once(self) -> None:
        self.successResultOf(self.prepare())
        self.fake.seen.clear()
        self.successResultOf(self.prepare())
        self.assertEqual(self.fake.seen, [])

    def test_no_bucket(self) -> None:
        self.fake.bucket = None
        error = self.failureResultOf(self.prepare(), StoreError).value
        self.assertIn("aws.create_bucket", error.message)

    def test_bucket_is_created_if_asked_for(self) -> None:
        self.fake.bucket = None
        self.store.create_bucket = True
        self.successResultOf(self.prepare())
        self.assertEqual(self.fake.bucket, "bucket")

    def test_missing_permission(self) -> None:
        for operation, permission in (
            ("ListObjects", "s3:ListBucket"),
            ("PutObject", "s3:PutObject"),
            ("GetObject", "s3:GetObject"),
            ("DeleteObject", "s3:DeleteObject"),
        ):
            self.fake.forbidden = {operation}
            error = self.failureResultOf(self.prepare(), StoreError).value
            self.assertIn(permission, error.message)

    def test_what_s3_names_as_missing(self) -> None:
        """It may be another service's permission."""
        body = (
            b"<Error><Code>AccessDenied</Code><Message>User: arn:aws:iam::1:user/x is "
            b"not authorized to perform: kms:GenerateDataKey on resource: r because no "
            b"identity-based policy allows it</Message></Error>"
        )
        self.fake.fail("PutObject", *[Refuse(403, body=body)] * 24)
        with capturedLogs() as logs:
            error = self.failureResultOf(self.prepare(), StoreError).value
        self.assertIn("permission kms:GenerateDataKey.", error.message)
        self.assertNotIn("arn:aws:iam", error.message)
        self.assertIn("user/x", logs[-1]["fault"])

    def test_policy_is_shown(self) -> None:
        for operation in ("ListObjects", "PutObject", "GetObject", "DeleteObject"):
            self.fake.forbidden = {operation}
            with capturedLogs() as logs:
                self.failureResultOf(self.prepare(), StoreError)
                self.failureResultOf(self.prepare(), StoreError)
            shown = [json.loads(log["policy"]) for log in logs if "policy" in log]
            self.assertEqual(
                [policy["Statement"][1]["Resource"] for policy in shown],
                ["arn:aws:s3:::bucket/pre/fix/*"],
            )

    def test_a_bucket_may_demand_the_fields_of_every_object(self) -> None:
        """Policies deny what comes unencrypted, scratch objects included."""
        self.store.client.common = {"x-amz-server-side-encryption": "AES256"}
        self.successResultOf(self.prepare())
        puts = [
            headers
            for operation, headers in zip(self.fake.seen, self.fake.sent, strict=True)
            if operation == "PutObject"
        ]
        told = {headers.get("x-amz-server-side-encryption") for headers in puts}
        self.assertEqual(told, {"AES256"})

    def test_s3_is_away_at_first(self) -> None:
        self.fake.fail("*", *[Drop()] * 5)
        self.failureResultOf(self.prepare(), StoreError)
        self.successResultOf(self.prepare())

    def test_wrong_key(self) -> None:
        self.harness.client = self.harness.make_client(
            evolve(self.fake.credentials, secret_key="x")
        )
        self.store = make_store(self.harness)
        error = self.failureResultOf(self.prepare(), StoreError).value
        self.assertIn("aws.secret_key", error.message)

    def test_wrong_endpoint(self) -> None:
        """Another signature does not help where the ini names the endpoint."""
        moved = Refuse(301, "PermanentRedirect", {"x-amz-bucket-region": "eu-west-1"})
        self.fake.fail("ListObjects", *[moved] * 2)
        error = self.failureResultOf(self.prepare(), StoreError).value
        self.assertIn("is in region eu-west-1", error.message)
        self.assertIn("aws.endpoint_url", error.message)


class PolicyTests(SynchronousTestCase):
    """What the credentials need."""

    def policy(self, region: str = "us-east-1", **headers: str) -> str:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        return iam_policy(Endpoint("b", region, None, True), "", fields)

    def kms(self, key: str) -> Any:
        fields = {"x-amz-server-side-encryption-aws-kms-key-id": key}
        return json.loads(self.policy("eu-west-1", **fields))["Statement"][2]

    def test_another_partition(self) -> None:
        self.assertIn("arn:aws-us-gov:s3:::b/*", self.policy("us-gov-west-1"))

    def test_nothing_without_need(self) -> None:
        for action in ("s3:PutObjectAcl", "kms:", "s3:CreateBucket"):
            self.assertNotIn(action, self.policy())

    def test_acl(self) -> None:
        self.assertIn("s3:PutObjectAcl", self.policy(x_amz_acl="private"))

    def test_creating(self) -> None:
        endpoint = Endpoint("b", "us-east-1", None, True)
        self.assertIn("s3:CreateBucket", iam_policy(endpoint, "", create_bucket=True))

    def test_encryption(self) -> None:
        self.assertEqual(
            self.kms("1234"),
            {
                "Effect": "Allow",
                "Action": ["kms:GenerateDataKey", "kms:Decrypt"],
                "Resource": "arn:aws:kms:eu-west-1:*:key/1234",
            },
        )
        arn = "arn:aws:kms:eu-west-1:12:key/1234"
        self.assertEqual(self.kms(arn)["Resource"], arn)
        self.assertEqual(
            self.kms("alias/pypi")["Resource"], "arn:aws:kms:eu-west-1:*:key/*"
        )


class AbsenceTests(StoreTestCase):
    """Absent is only what S3 has proved to be (D5)."""

    def test_refusal_is_no_absence(self) -> None:
        for operation in ("GetObject", "HeadObject"):
            self.fake.forbidden = {operation}
            read = self.store.get if operation == "GetObject" else self.store.head
            self.assertIn("s3:GetObject", self.error(read("k"), StoreError).message)

    def test_an_object_that_must_not_be_read_says_nothing_of_the_others(self) -> None:
        """It may be archived, somebody else's, or under a key that is not ours."""
        for status, code, said in (
            (403, "InvalidObjectState", "archive"),
            (403, "AccessDenied", "s3:GetObject"),
            (400, "InvalidRequest", "InvalidRequest"),
        ):
            self.fake.fail("GetObject", Refuse(status, code))
            message = self.error(self.store.open("k"), ObjectUnreadable).message
            self.assertIn(said, message)
        self.fake.fail("HeadObject", *[Refuse(403)] * 2)
        self.error(self.store.head("k"), ObjectUnreadable)
        with capturedLogs() as logs:
            self.fake.fail("GetObject", Refuse(403, "InvalidObjectState"))
            self.error(self.store.open("k"), ObjectUnreadable)
        self.assertEqual(logs, [])

    def test_credentials_that_may_read_nothing_are_no_fault_of_an_object(self) -> None:
        self.fake.forbidden = {"GetObject", "ListObjects"}
        error = self.error(self.store.open("k"), StoreError)
        self.assertNotIsInstance(error, ObjectUnreadable)

    def test_no_bucket_is_no_absence(self) -> None:
        self.fake.bucket = None
        for work in (self.store.get("k"), self.store.head("k"), self.store.open("k")):
            self.assertIn("no bucket", self.error(work, StoreError).message)

    def test_404_of_somebody_else_is_no_absence(self) -> None:
        self.fake.fail("GetObject", Refuse(404, body=b"<html>Not Found</html>"))
        self.fake.forbidden = {"ListObjects"}
        self.error(self.store.get("k"), StoreError)

    def test_404_without_a_code_is_checked(self) -> None:
        self.fake.fail("GetObject", Refuse(404, body=b""))
        self.error(self.store.get("k"), ObjectNotFound)
        self.assertEqual(self.fake.seen, ["GetObject", "ListObjects"])
        self.result(self.store.put("k", b"x"))
        self.fake.fail("GetObject", Refuse(404, body=b""))
        error = self.error(self.store.get("k"), StoreError)
        self.assertIn("does not find", error.message)

    def test_absent_costs_one_request(self) -> None:
        self.error(self.store.get("k"), ObjectNotFound)
        self.assertEqual(self.fake.seen, ["GetObject"])


class ConditionTests(StoreTestCase):
    """Compare-and-swap when the network is bad."""

    def test_lost_answer(self) -> None:
        self.fake.fail("PutObject", Drop(done=True))
        work = self.store.put("k", b"x", condition=IfAbsent())
        self.assertIn("look whether", self.error(work, AmbiguousWrite).message)
        self.assertIsInstance(AmbiguousWrite(""), StoreError)

    def test_lost_answer_of_a_swap(self) -> None:
        info = self.result(self.store.put("k", b"x"))
        self.fake.fail("PutObject", Drop(done=True))
        self.error(
            self.store.put("k", b"y", condition=IfMatch(info.etag)), AmbiguousWrite
        )

    def test_unheard_refusal_is_ambiguous_too(self) -> None:
        """Whether the first try or another writer was first, nobody knows."""
        self.result(self.store.put("k", b"x"))
        self.fake.fail("PutObject", Drop())
        self.error(self.store.put("k", b"y", condition=IfAbsent()), AmbiguousWrite)

    def test_slow_down_is_not_ambiguous(self) -> None:
        self.result(self.store.put("k", b"x"))
        self.fake.fail("PutObject", Refuse(503, "SlowDown"))
        self.error(self.store.put("k", b"y", condition=IfAbsent()), PreconditionFailed)

    def test_endless_conflict_is_no_lost_race(self) -> None:
        conflict = Refuse(409, "ConditionalRequestConflict")
        self.fake.fail("PutObject", *[conflict] * 5)
        self.error(self.store.put("k", b"x", condition=IfAbsent()), StoreError)


class LesserServerTests(StoreTestCase):
    """Servers that are not quite S3."""

    def test_wrong_order(self) -> None:
        self.store.abilities = evolve(GOOD, ordered=False)
        self.fake.ordered, self.fake.page = False, 2
        names = ["a-", "a!/x", "a.b/c", "a/b", "a/b-", "a0", "b", "ä"]
        for name in names:
            self.result(self.store.put(name, b""))
        names.sort(key=str.encode)
        self.assertEqual(self.result(keys(self.store)), names)
        for after in names:
            self.assertEqual(
                self.result(keys(self.store, after=after)),
                names[names.index(after) + 1 :],
            )
        self.assertEqual(self.result(keys(self.store, "a/")), ["a/b", "a/b-"])

    def test_no_conditions(self) -> None:
        """We look before we write, one at a time."""
        self.store.abilities = evolve(GOOD, conditional=Conditional.NONE)
        self.fake.conditions = "refused"
        info = self.result(self.store.put("k", b"1", condition=IfAbsent()))
        self.error(self.store.put("k", b"2", condition=IfAbsent()), PreconditionFailed)
        self.error(
            self.store.put("k", b"2", condition=IfMatch("x")), PreconditionFailed
        )
        self.error(
            self.store.put("n", b"2", condition=IfMatch("x")), PreconditionFailed
        )
        racing = [
            Deferred.fromCoroutine(
                self.store.put("k", b"%d" % n, condition=IfMatch(info.etag))
            )
            for n in range(3)
        ]
        for one in racing:
            self.harness.settle(one)
        self.successResultOf(racing[0])
        for one in racing[1:]:
            self.failureResultOf(one, PreconditionFailed)


class CopyTests(StoreTestCase):
    """Bytes stay in the bucket where the server can copy."""

    def fetch(self, key: str) -> bytes:
        stored = self.result(self.store.get(key))
        assert stored is not None
        return stored.data

    def put(self, data: bytes, headers: dict[str, str]) -> None:
        path = f"{self.store.prefix}k"
        self.result(self.store.client.put_object(path, data, headers=headers))

    def test_in_parts(self) -> None:
        self.store.sizes = evolve(self.store.sizes, copied=1000)
        data = b"0123456789" * 250
        headers = {"x-amz-storage-class": "STANDARD_IA", "x-amz-meta-name": "acme"}
        self.put(data, headers)
        self.result(self.store.copy("k", "c"))
        self.assertEqual(self.fetch("c"), data)
        self.assertEqual(self.fake.seen.count("UploadPartCopy"), 3)
        found = self.fake.objects[f"{self.store.prefix}c"].headers
        self.assertEqual({name: found[name] for name in headers}, headers)
        self.assertEqual(self.fake.uploads, {})

    def test_in_one_request(self) -> None:
        headers = {"x-amz-storage-class": "STANDARD_IA"}
        self.put(b"x", headers)
        self.result(self.store.copy("k", "c"))
        found = self.fake.objects[f"{self.store.prefix}c"].headers
        self.assertEqual(found["x-amz-storage-class"], "STANDARD_IA")

    def test_a_part_that_fails(self) -> None:
        self.store.sizes = evolve(self.store.sizes, copied=10)
        self.result(self.store.put("k", b"x" * 25))
        self.fake.fail("UploadPartCopy", Refuse(403, "AccessDenied"))
        error = self.error(self.store.copy("k", "c"), StoreError)
        self.assertIn("S3", error.message)
        self.assertEqual(self.fake.uploads, {})

    def test_a_server_that_cannot(self) -> None:
        self.store.sizes = evolve(self.store.sizes, copied=10)
        for operation, size in (("CopyObject", 5), ("UploadPartCopy", 25)):
            for refusal in (
                Refuse(501, "NotImplemented"),
                Refuse(400, "NotImplemented"),
            ):
                self.result(self.store.put("k", b"x" * size))
                self.fake.fail(operation, refusal)
                self.result(self.store.copy("k", f"c{size}"))
                self.assertEqual(self.fetch(f"c{size}"), b"x" * size)
        self.assertEqual(self.fake.uploads, {})


class LongListingTests(SynchronousTestCase):
    """Listings that are read range by range."""

    def list(self, names: set[str], after: str, prefix: str = "i/") -> list[str]:
        harness = Harness()
        harness.fake.page = 3
        for name in names:
            harness.fake.store(prefix + name, {}, b"")
        harness.fake.store("other", {}, b"")

        async def read() -> list[str]:
            pages = ListingPages(harness.client, prefix, ordered=True, short=1)
            start = prefix + after if after else ""
            return [found.key.removeprefix(prefix) async for found in pages.read(start)]

        return self.successResultOf(harness.run(read()))

    @settings(max_examples=40, deadline=None)
    @given(
        st.sets(st.text("aacmz09-é\U0001f40d", max_size=5), max_size=30),
        st.text("acmz09", max_size=2),
    )
    def test_all_in_order(self, names: set[str], after: str) -> None:
        expected = sorted(name for name in names if not after or name > after)
        self.assertEqual(self.list(names, after), expected)

    def test_names_that_begin_alike(self) -> None:
        names = {f"acme-{letter}{n:02}" for letter in "abkyz" for n in range(20)}
        self.assertEqual(self.list(names, ""), sorted(names))

    def test_failing_range(self) -> None:
        harness = Harness()
        harness.fake.page = 1
        for name in "abcdefgh":
            harness.fake.store(name, {}, b"")
        store = make_store(harness, GOOD)
        store.prefix = ""
        harness.fake.fail("ListObjects", *[Refuse(400, "Strange")] * 1)
        error = self.failureResultOf(harness.run(keys(store)), StoreError).value
        self.assertIn("Strange", error.message)

    def test_what_is_hidden_costs_whoever_looks_for_packages_nothing(self) -> None:
        harness = Harness()
        store = make_store(harness, GOOD)
        names = ["!", "-a/b", "a/b", "b", "~c", "ä"]
        hidden = [f".access/minted/{n:05}" for n in range(5000)]
        for name in [".~a", *names, *hidden]:
            harness.fake.store(store.prefix + name, {}, b"")
        told: list[Unlisted] = []

        async def visible(after: str) -> list[str]:
            listing = store.list("", after=after, unlisted=told.append)
            return [info.key async for info in listing]

        expected = sorted([".~a", *names], key=str.encode)
        for after in ("", *expected):
            before = len(harness.fake.seen)
            found = self.successResultOf(harness.run(visible(after)))
            self.assertEqual(found, [name for name in expected if name > after])
            self.assertLessEqual(len(harness.fake.seen) - before, 2)
        found = self.successResultOf(harness.run(keys(store)))
        self.assertEqual(len(found), 5007)

    def test_given_up(self) -> None:
        """Nothing goes on when nobody listens."""
        harness = Harness()
        harness.fake.page = 1
        for n in range(60):
            harness.fake.store(f"{n:02}", {}, b"")

        async def first() -> str:
            async for found in ListingPages(harness.client, "", ordered=True).read(""):
                if found.key > "10":
                    return found.key
            return ""

        self.assertEqual(self.successResultOf(harness.run(first())), "11")
        asked = len(harness.fake.seen)
        harness.clock.advance(100)
        self.assertLess(len(harness.fake.seen) - asked, 3)


class UploadTests(StoreTestCase):
    """Bytes in, in one piece or in parts."""

    def test_small_is_one_put(self) -> None:
        self.result(self.upload(b"x" * SINGLE))
        self.assertEqual(self.fake.seen, ["PutObject"])

    def test_parts(self) -> None:
        info = self.result(self.upload(BIG))
        self.assertEqual(self.stored, BIG)
        self.assertEqual(self.fake.uploads, {})
        self.assertEqual(info.etag, self.fake.objects["pre/fix/" + info.key].etag)
        self.assertEqual(self.fake.seen.count("UploadPart"), -(-len(BIG) // PART))

    def test_parts_go_while_the_body_arrives(self) -> None:
        upload = self.result(self.store.begin("p/id/a-1.0.zip"))
        for at in range(0, SINGLE + PART, STEP):
            self.result(upload.write(BIG[at : at + STEP]))
        self.assertGreaterEqual(self.fake.seen.count("UploadPart"), 2)
        self.assertEqual(self.result(keys(self.store)), [])
        self.result(upload.abort())
        self.assertEqual(self.fake.uploads, {})

    def test_parts_are_tried_again_from_the_spool(self) -> None:
        self.fake.fail("UploadPart", Drop(), Refuse(503, "SlowDown"), Drop(done=True))
        self.result(self.upload(BIG))
        self.assertEqual(self.stored, BIG)

    def test_failing_part_aborts(self) -> None:
        self.fake.fail("UploadPart", Refuse(403, "AccessDenied"))
        error = self.error(self.upload(BIG), StoreError)
        self.assertIn("s3:PutObject", error.message)
        self.assertEqual((self.fake.uploads, self.fake.objects), ({}, {}))

    def test_failing_completion_aborts(self) -> None:
        self.fake.fail("CompleteMultipartUpload", Refuse(400, "InvalidPart"))
        self.error(self.upload(BIG), StoreError)
        self.assertEqual((self.fake.uploads, self.fake.objects), ({}, {}))

    def test_completion_whose_answer_was_lost(self) -> None:
        self.fake.fail("CompleteMultipartUpload", Drop(done=True))
        info = self.result(self.upload(BIG))
        self.assertEqual(info.size, len(BIG))
        self.assertEqual(self.stored, BIG)

    def test_put_whose_answer_was_lost(self) -> None:
        self.fake.fail("PutObject", Drop(done=True))
        self.result(self.upload(b"x"))
        self.assertEqual(self.stored, b"x")

    def test_empty_etag_of_a_completion(self) -> None:
        self.fake.empty_etag = True
        self.assertTrue(self.result(self.upload(BIG)).etag)

    def test_server_without_checksums(self) -> None:
        """OpenStack Swift takes a completion that has any for malformed."""
        self.fake.checksums = False
        self.result(self.upload(BIG))
        self.assertEqual(self.stored, BIG)

    def test_checksums_turned_off(self) -> None:
        for self.store.client.requester.endpoint in (PLAIN, SECURE):
            self.store.client.checksums = False
            self.result(self.upload(BIG))
            self.assertEqual(self.stored, BIG)
            self.assertNotIn("x-amz-checksum", repr(self.fake.sent))

    def test_checksums_of_parts(self) -> None:
        """Without TLS they are signed, with it S3 looks for damage."""
        for endpoint, algorithm, payload in (
            (PLAIN, "sha256", None),
            (SECURE, "crc32", "UNSIGNED-PAYLOAD"),
        ):
            self.store.client.requester.endpoint = endpoint
            # Known while the bytes come, unless so few were told of.
            for size_hint in (None, len(BIG), SINGLE):
                self.fake.sent.clear()
                self.fake.seen.clear()
                self.result(self.upload(BIG, size_hint=size_hint))
                self.assertEqual(self.stored, BIG)
                sent = zip(self.fake.seen, self.fake.sent, strict=True)
                parts = [fields for name, fields in sent if name == "UploadPart"]
                self.assertEqual(len(parts), -(-len(BIG) // PART))
                for fields in parts:
                    names = [n for n in fields if n.startswith("x-amz-checksum")]
                    self.assertEqual(names, [f"x-amz-checksum-{algorithm}"])
                    signed = fields["x-amz-content-sha256"]
                    self.assertEqual(signed == "UNSIGNED-PAYLOAD", payload == signed)

    def test_a_part_that_was_damaged_on_its_way(self) -> None:
        self.store.client.requester.endpoint = SECURE
        damaged = self.store.client.upload_part
        self.patch(
            S3Client,
            "upload_part",
            lambda client, key, upload_id, number, body: damaged(
                key, upload_id, number, evolve(body, crc32=b"\0\0\0\0")
            ),
        )
        error = self.error(self.upload(BIG), StoreError)
        self.assertIn("BadDigest", error.message)
        self.assertEqual((self.fake.uploads, self.fake.objects), ({}, {}))

    def test_sender_waits_for_s3(self) -> None:
        self.fake.fail("UploadPart", *[Stall()] * 4)
        upload = self.result(self.store.begin("p/id/a-1.0.zip"))
        written = 0
        while written < 20 * PART:
            writing = Deferred.fromCoroutine(upload.write(BIG[:STEP]))
            written += STEP
            if not writing.called:
                break
        self.assertLess(written, 7 * PART)
        writing.cancel()
        self.harness.settle(writing)
        writing.addErrback(lambda _: None)
        self.result(upload.abort())
        self.assertEqual(self.store.budget.used, 0)

    def test_abort_when_s3_is_away(self) -> None:
        upload = self.result(self.store.begin("p/id/a-1.0.zip"))
        self.result(upload.write(BIG))
        self.fake.fail("*", *[Drop()] * 5)
        with capturedLogs() as logs:
            self.result(upload.abort())
        self.assertIn("sweep", logs[-1]["log_format"])

    def abandon(self, *, dry_run: bool = False, year: int = 2027) -> int | None:
        before = datetime(year, 1, 1, tzinfo=UTC)
        return self.result(self.store.abandon_uploads(before, dry_run=dry_run))

    def test_what_was_never_ended_is_abandoned(self) -> None:
        self.fake.page = 2
        own = [f"pre/fix/p/{'0' * 32}/a+b-{n}.zip" for n in range(5)]
        others = ["pre/fix/backup/a.tar", "pre/fixed/a.zip", "pre/fix/a.zip"]
        hidden = ["pre/fix/.cache/files/x", "pre/fix/.probe/0123/doctor"]
        for key in [*own, *others, own[0], *hidden]:
            self.result(self.store.client.init_multipart_upload(key))
        self.assertEqual(self.abandon(year=2026), 0)
        self.assertEqual(self.abandon(dry_run=True), 8)
        self.assertEqual(len(self.fake.uploads), 11)
        self.assertEqual(self.abandon(), 8)
        left = sorted(upload.key for upload in self.fake.uploads.values())
        self.assertEqual(left, sorted(others))

    def test_a_server_that_does_not_list_uploads(self) -> None:
        """What else a sweep does is not in vain."""
        self.fake.fail("ListMultipartUploads", Refuse(501, "NotImplemented"))
        self.assertIsNone(self.abandon())
        self.fake.fail("ListMultipartUploads", Refuse(403, "AccessDenied"))
        work = self.store.abandon_uploads(datetime(2027, 1, 1, tzinfo=UTC))
        message = self.error(work, StoreError).message
        self.assertIn("s3:ListBucketMultipartUploads", message)

    def test_uploads_that_are_listed_for_ever(self) -> None:
        body = (
            b"<ListMultipartUploadsResult><IsTruncated>true</IsTruncated>"
            b"<NextKeyMarker>k</NextKeyMarker></ListMultipartUploadsResult>"
        )
        self.fake.fail("ListMultipartUploads", *[Refuse(200, body=body)] * 3)
        work = self.store.abandon_uploads(datetime(2027, 1, 1, tzinfo=UTC))
        self.assertIn("again and again", self.error(work, StoreError).message)

    def test_headers(self) -> None:
        self.store.client.common = {"x-amz-server-side-encryption": "AES256"}
        self.store.headers = ObjectHeaders({"x-amz-storage-class": "STANDARD_IA"})
        upload = self.result(
            self.store.begin("p/id/a-1.0.zip", metadata={"name": "a", "summary": "é"})
        )
        self.result(upload.commit())
        sent = self.fake.sent[-1]
        self.assertEqual(sent["x-amz-server-side-encryption"], "AES256")
        self.assertEqual(sent["x-amz-storage-class"], "STANDARD_IA")
        self.assertEqual(
            sent["content-disposition"], 'attachment; filename="a-1.0.zip"'
        )
        info = self.result(self.store.head("p/id/a-1.0.zip"))
        self.assertEqual(info.metadata, {"name": "a", "summary": "é"})
        self.result(self.store.put("k", b""))
        self.assertNotIn("x-amz-storage-class", self.fake.sent[-1])
        self.assertEqual(self.fake.sent[-1]["x-amz-server-side-encryption"], "AES256")
        self.result(self.upload(BIG))
        begun = self.fake.sent[self.fake.seen.index("CreateMultipartUpload")]
        self.assertEqual(begun["x-amz-server-side-encryption"], "AES256")
        self.assertEqual(begun["x-amz-storage-class"], "STANDARD_IA")


class AddressTests(StoreTestCase):
    """Addresses that S3 itself serves."""

    def address(self) -> SignedUrl:
        found = self.store.url("a/a-1.0.zip", filename="a-1.0.zip")
        assert found is not None
        return found

    def test_its_end_is_told_by_our_clock(self) -> None:
        """Who reads of it, or keeps it, has no other; S3's may be hours off."""
        client, now = self.store.client, self.harness.now
        self.store.signed_urls = SignedUrls(
            CurrentPresigner(client),
            client.endpoint.path,
            client.requester.instant,
            self.harness.clock,
        )
        for off in (0, 40_000, -40_000):
            self.fake.clock_offset = off
            self.result(self.store.put("a/a-1.0.zip", b"x"))
            found = self.address()
            query = parse_qs(urlsplit(found.url).query)
            [signed], [life] = query["X-Amz-Date"], query["X-Amz-Expires"]
            began = datetime.strptime(f"{signed}+0000", "%Y%m%dT%H%M%SZ%z").timestamp()
            self.assertAlmostEqual(found.ends, began + int(life) - off, delta=2)
            self.assertAlmostEqual(found.fresh_until, found.ends - 300, delta=2)
            self.assertGreater(found.fresh_until, now())


class MetricsTests(StoreTestCase):
    """What is told to who watches."""

    def test_when_credentials_end(self) -> None:
        metrics = Metrics(self.harness.clock)
        self.store.register(metrics)
        keys = AWSCredentials("AKIAIOSFODNN7EXAMPLE", "secret")
        for credentials, end in (
            (keys, inf),
            (evolve(keys, expires=1_772_361_000.0), 1_772_361_000.0),
        ):
            requester = self.store.client.requester
            requester.credentials = FixedCredentials(credentials)
            found = {one.name: one.value for one in metrics.readings()}
            name = "pypicloud_s3_credentials_end_timestamp_seconds"
            self.assertEqual(found[name], end)


class DownloadTests(StoreTestCase):
    """Bytes out."""

    def deliver(self) -> Consumer:
        download = self.result(self.store.open("k"))
        consumer = Consumer()
        self.result(download.deliver(consumer))
        return consumer

    def test_what_breaks_off_is_taken_up_again(self) -> None:
        data = BIG[: 2**19]
        self.result(self.store.put("k", data))
        self.fake.fail("GetObject", Truncate(), Truncate())
        self.assertEqual(self.deliver().data, data)
        self.assertEqual(self.fake.sent[-1]["range"], f"bytes={3 * 2**17}-{2**19 - 1}")

    def test_it_must_still_be_the_same(self) -> None:
        self.result(self.store.put("k", b"first"))
        self.fake.fail("GetObject", Truncate())
        download = self.result(self.store.open("k"))
        self.result(self.store.put("k", b"other"))
        error = self.error(download.deliver(Consumer()), StoreError)
        self.assertIn("PreconditionFailed", error.message)

    def test_breaks_off_for_ever(self) -> None:
        self.result(self.store.put("k", BIG[:1000]))
        self.fake.fail("GetObject", *[Truncate()] * 4)
        download = self.result(self.store.open("k"))
        error = self.error(download.deliver(Consumer()), StoreError)
        self.assertIn("half-way", error.message)


class KeyTests(StoreTestCase):
    """Keys that cannot be, or that others made."""

    def test_refused(self) -> None:
        for key in ("", "a/../b", ".", "x" * 1100, "a\0", "\ud800"):
            for work in (
                self.store.get(key),
                self.store.head(key),
                self.store.delete(key),
                self.store.open(key),
                self.store.put(key, b""),
                self.store.begin(key),
            ):
                error = self.error(work, ObjectUnfit)
                self.assertIn("No object can have this key", error.message)
        self.assertEqual(self.fake.seen, [])

    def test_of_others(self) -> None:
        for key in ("a//b-1.0.zip", "/c-1.0.zip"):
            self.harness.client = self.harness.make_client()
            self.result(self.harness.client.put_object("pre/fix/" + key, b"x"))
            self.assertEqual(self.result(self.store.head(key)).size, 1)


class MetadataTests(SynchronousTestCase):
    """User metadata in header fields."""

    @settings(max_examples=50, deadline=None)
    @given(st.text(st.characters(exclude_categories=["C", "Z"]), max_size=60))
    def test_round_trip(self, text: str) -> None:
        headers = metadata_headers({"summary": text})
        told = {
            "last-modified": "Fri, 02 Jan 2026 03:04:05 GMT",
            "content-length": "0",
            "etag": '"x"',
        }
        info = object_info("k", {**told, **headers})
        self.assertTrue(all(value.isascii() for value in headers.values()))
        if "=?" not in text:
            self.assertEqual(info.metadata, {"summary": text})

    def test_bounded(self) -> None:
        headers = metadata_headers({"name": "a", "summary": "x" * 3000, "version": "1"})
        self.assertNotIn("x-amz-meta-summary", headers)

    def test_nonsense(self) -> None:
        for told in ({}, {"last-modified": "x", "content-length": "1", "etag": "x"}):
            error = self.assertRaises(StoreError, object_info, "k", told)
            self.assertIn("without saying", error.message)


class SizesTests(SynchronousTestCase):
    """Where objects are cut."""

    def test_fifty_gibibytes_fit(self) -> None:
        self.assertLess(50 * 2**30 / Sizes().part, 10_000)
        self.assertEqual(Sizes().reaching(None), Sizes())
        self.assertEqual(Sizes().reaching(50 * 2**30), Sizes())

    def test_more_than_that_fits_if_it_is_told(self) -> None:
        part = Sizes().reaching(100 * 2**30).part
        self.assertLessEqual(100 * 2**30 / part, 10_000)


class BudgetTests(SynchronousTestCase):
    """Bytes in flight, for the whole process."""

    def test_first_come_first_served(self) -> None:
        budget = BufferBudget(10)
        acquired = [Deferred.fromCoroutine(budget.acquire(n)) for n in (6, 6, 1, 50)]
        self.assertEqual([one.called for one in acquired], [True, False, False, False])
        budget.release(6)
        self.assertEqual([one.called for one in acquired], [True, True, True, False])
        budget.release(6)
        budget.release(1)
        self.assertEqual(self.successResultOf(acquired[3]), 10)
        budget.release(10)
        self.assertEqual(budget.used, 0)

    def test_one_who_stops_waiting(self) -> None:
        budget = BufferBudget(10)
        self.successResultOf(Deferred.fromCoroutine(budget.acquire(10)))
        gone = Deferred.fromCoroutine(budget.acquire(5))
        stays = Deferred.fromCoroutine(budget.acquire(5))
        gone.addErrback(lambda _: None)
        gone.cancel()
        budget.release(10)
        self.assertEqual(self.successResultOf(stays), 5)
        self.assertEqual(budget.used, 5)
