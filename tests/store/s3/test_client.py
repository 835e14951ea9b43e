"""The client against an S3 that checks every signature and fails on demand."""

from __future__ import annotations

from collections.abc import Coroutine
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, TypeVar

from attrs import define, evolve, field
from botocore.session import Session
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IConsumer
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import Agent
from zope.interface import implementer

from pypicloud_tw.config.sections.storage import AwsSection
from pypicloud_tw.errors import StoreError
from pypicloud_tw.outbound.sending import CHUNK, BytesBody
from pypicloud_tw.store.interfaces import ByteRange, IfAbsent, IfMatch
from pypicloud_tw.store.s3.client import S3Client
from pypicloud_tw.store.s3.credentials import ICredentialSource
from pypicloud_tw.store.s3.endpoint import Endpoint, dns_suffix, find_endpoint
from pypicloud_tw.store.s3.faults import S3Error, S3Unreachable
from pypicloud_tw.store.s3.request import COMPARE_EVERY
from pypicloud_tw.store.s3.retry import RetryBudget
from pypicloud_tw.store.s3.sender import S3Sender
from pypicloud_tw.store.s3.sigv4 import AWSCredentials
from pypicloud_tw.store.s3.xml import (
    parse_completed,
    parse_error,
    parse_listing,
)
from tests.store.s3.doubles import (
    CREDENTIALS,
    Drop,
    FakeS3Resource,
    FlowTransport,
    Harness,
    Refuse,
    Stall,
    Truncate,
)

T = TypeVar("T")

SLOW = Refuse(503, "SlowDown")


@implementer(IConsumer)
@define(eq=False)
class Consumer:
    """Takes what it gets, and can be slow or gone."""

    taken: bytearray = field(factory=bytearray)
    producer: Any = None
    stop_after: int | None = None

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert streaming and self.producer is None
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None

    def write(self, data: bytes) -> None:
        self.taken += data
        if self.stop_after is not None and len(self.taken) >= self.stop_after:
            self.producer.stopProducing()


class ClientTestCase(SynchronousTestCase):
    """A client and its S3."""

    def setUp(self) -> None:
        self.harness = Harness()
        self.fake = self.harness.fake
        self.client = self.harness.client

    def result(self, coroutine: Coroutine[Any, Any, T]) -> T:
        found: T = self.successResultOf(self.harness.run(coroutine))
        return found

    def error(self, coroutine: Coroutine[Any, Any, Any]) -> S3Error:
        found: S3Error = self.failureResultOf(
            self.harness.run(coroutine), S3Error
        ).value
        return found

    def unreachable(self, coroutine: Coroutine[Any, Any, Any]) -> S3Unreachable:
        found: S3Unreachable = self.failureResultOf(
            self.harness.run(coroutine), S3Unreachable
        ).value
        return found


class ObjectTests(ClientTestCase):
    """Objects, whole and in part."""

    def test_round_trip(self) -> None:
        self.result(
            self.client.put_object("a/b", b"bytes", headers={"x-amz-meta-name": "n"})
        )
        reply = self.result(self.client.get_object("a/b", limit=100))
        self.assertEqual(reply.data, b"bytes")
        told = self.result(self.client.head_object("a/b"))
        self.assertEqual(told["x-amz-meta-name"], "n")
        self.assertEqual(told["content-length"], "5")
        self.result(self.client.delete_object("a/b"))
        self.result(self.client.delete_object("a/b"))
        self.assertEqual(self.error(self.client.head_object("a/b")).status, 404)

    @settings(max_examples=40, deadline=None)
    @given(
        st.text(
            st.one_of(
                st.sampled_from("/.+%~ ;?#&=é漢"),
                st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
            ),
            min_size=1,
            max_size=20,
        )
    )
    def test_any_key_reaches_the_wire_unchanged(self, key: str) -> None:
        """The fake verifies the signature of the path as it arrived."""
        harness = Harness()
        self.successResultOf(harness.run(harness.client.put_object(key, b"x")))
        self.assertEqual(list(harness.fake.objects), [key])

    def test_range(self) -> None:
        self.result(self.client.put_object("k", b"0123456789"))
        reply = self.result(
            self.client.get_object("k", byte_range=ByteRange(2, 5), limit=9)
        )
        self.assertEqual((reply.answer.status, reply.data), (206, b"234"))

    def test_unless(self) -> None:
        written = self.result(self.client.put_object("k", b"x"))
        reply = self.result(self.client.get_object("k", unless=written.etag, limit=9))
        self.assertEqual(reply.answer.status, 304)

    def test_conditions(self) -> None:
        put = self.client.put_object
        first = self.result(put("k", b"1", condition=IfAbsent()))
        self.assertEqual(
            self.error(put("k", b"2", condition=IfAbsent())).code, "PreconditionFailed"
        )
        self.result(put("k", b"3", condition=IfMatch(first.etag)))
        error = self.error(put("k", b"4", condition=IfMatch(first.etag)))
        self.assertEqual((error.status, error.unknown), (412, False))
        self.assertEqual(self.fake.objects["k"].data, b"3")

    def test_unquoted_condition(self) -> None:
        self.fake.conditions = "unquoted"
        first = self.result(self.client.put_object("k", b"1"))
        self.client.quoted = False
        condition = IfMatch(first.etag)
        self.result(self.client.put_object("k", b"2", condition=condition))

    def test_copy(self) -> None:
        self.result(self.client.put_object("a +é/b", b"x"))
        written = self.result(self.client.copy_object("a +é/b", "c"))
        self.assertEqual(self.fake.objects["c"].data, b"x")
        self.assertEqual(written.etag, self.fake.objects["c"].etag)

    def test_hidden_error_of_a_copy(self) -> None:
        body = b"<Error><Code>NoSuchKey</Code></Error>"
        self.fake.fail("CopyObject", Refuse(200, body=body))
        error = self.error(self.client.copy_object("a", "c"))
        self.assertEqual(error.code, "NoSuchKey")

    def test_checksums_can_be_off(self) -> None:
        self.result(self.client.put_object("k", b"x"))
        self.assertIn("x-amz-checksum-sha256", self.fake.sent[-1])
        self.client.checksums = False
        self.result(self.client.put_object("k", b"x"))
        self.assertNotIn("x-amz-checksum-sha256", self.fake.sent[-1])

    def test_long_answer_is_not_read(self) -> None:
        self.result(self.client.put_object("k", b"x" * 1000))
        fault = self.unreachable(self.client.get_object("k", limit=999))
        self.assertIn("longer than 999 bytes", str(fault))
        self.assertEqual(self.fake.seen.count("GetObject"), 1)

    def test_large_body(self) -> None:
        data = bytes(range(256)) * 8192
        self.result(self.client.put_object("k", data))
        self.assertEqual(self.fake.objects["k"].data, data)


class SigningTests(ClientTestCase):
    """What is signed, as the fake verifies it."""

    def client_of(
        self, url: str, credentials: AWSCredentials = CREDENTIALS, **options: Any
    ) -> S3Client:
        client = self.harness.make_client(credentials, **options)
        client.requester.endpoint = Endpoint("bucket", "us-east-1", url, False)
        return client

    def test_tls_vouches_for_the_bytes(self) -> None:
        """Where it does not, their digest is signed."""
        digest = sha256(b"bytes").hexdigest()
        for url, expected in (
            ("https://s3.example", "UNSIGNED-PAYLOAD"),
            ("http://s3.example", digest),
        ):
            self.result(self.client_of(url).put_object("k", b"bytes"))
            self.assertEqual(self.fake.sent[-1]["x-amz-content-sha256"], expected)

    def test_nothing_is_sent_in_the_clear_unsigned(self) -> None:
        body = SlowBody()
        body.sha256 = None
        client = self.client_of("http://s3.example", checksums=False)
        failed = self.harness.run(client.put_object("k", body))
        self.failureResultOf(failed, ValueError)
        self.assertEqual(self.fake.seen, [])

    def test_session_token(self) -> None:
        credentials = evolve(CREDENTIALS, session_token="t0ken/+=")
        self.fake.credentials = credentials
        client = self.client_of("https://s3.example", credentials)
        self.result(client.put_object("a b/é", b"x"))
        self.assertEqual(self.fake.sent[-1]["x-amz-security-token"], "t0ken/+=")


class DeliveryTests(ClientTestCase):
    """Bytes that flow."""

    def setUp(self) -> None:
        super().setUp()
        self.data = bytes(range(256)) * 1000
        self.result(self.client.put_object("k", self.data))

    def open(self) -> Any:
        return self.result(self.client.get_object("k")).answer

    def test_deliver(self) -> None:
        consumer = Consumer()
        self.assertEqual(self.result(self.open().deliver(consumer)), len(self.data))
        self.assertEqual(bytes(consumer.taken), self.data)
        self.assertIsNone(consumer.producer)

    def test_broken_off(self) -> None:
        self.fake.fail("GetObject", Truncate())
        consumer = Consumer()
        fault = self.unreachable(self.open().deliver(consumer))
        self.assertIn("half-way", str(fault))
        self.assertIsNone(consumer.producer)

    def test_consumer_gone(self) -> None:
        consumer = Consumer(stop_after=1)
        delivery = self.harness.run(self.open().deliver(consumer))
        self.failureResultOf(delivery, CancelledError)
        self.assertLess(len(consumer.taken), len(self.data) + 1)

    def test_slow_consumer_is_not_silence(self) -> None:
        consumer = Consumer()
        answer = self.open()
        delivery = Deferred.fromCoroutine(answer.deliver(consumer))
        if consumer.producer is not None:
            consumer.producer.pauseProducing()
            self.harness.clock.advance(60)
            consumer.producer.resumeProducing()
        self.harness.settle(delivery)
        self.assertEqual(self.successResultOf(delivery), len(self.data))


class RetryTests(ClientTestCase):
    """What is tried again, and what it looks like from outside."""

    def test_slow_down(self) -> None:
        self.fake.fail("PutObject", SLOW, Refuse(500, "InternalError"), Drop())
        self.result(self.client.put_object("k", b"x"))
        self.assertEqual(self.fake.seen.count("PutObject"), 4)
        self.assertEqual(self.harness.observed, [("put_object", "ok")])

    def test_retry_after(self) -> None:
        self.fake.fail("PutObject", Refuse(503, "SlowDown", {"retry-after": "7"}))
        self.result(self.client.put_object("k", b"x"))
        self.assertGreater(self.harness.clock.seconds(), 7)
        self.assertLess(self.harness.clock.seconds(), 8)

    def test_gives_up(self) -> None:
        self.fake.fail("PutObject", *[SLOW] * 5)
        error = self.error(self.client.put_object("k", b"x"))
        self.assertEqual((error.code, error.unknown), ("SlowDown", False))
        self.assertEqual(self.fake.seen.count("PutObject"), 5)
        self.assertEqual(self.harness.observed, [("put_object", "SlowDown")])

    def test_conflict_is_tried_again(self) -> None:
        self.fake.fail("PutObject", Refuse(409, "ConditionalRequestConflict"))
        self.result(self.client.put_object("k", b"x", condition=IfAbsent()))
        self.assertEqual(self.fake.objects["k"].data, b"x")

    def test_refusals_are_final(self) -> None:
        self.fake.fail("PutObject", Refuse(403, "AccessDenied"))
        error = self.error(self.client.put_object("k", b"x"))
        self.assertEqual(str(error), "AccessDenied (403): It was refused. [request R1]")
        self.assertEqual(self.fake.seen.count("PutObject"), 1)

    def test_lost_answer_of_a_conditional_write(self) -> None:
        self.fake.fail("PutObject", Drop(done=True))
        error = self.error(self.client.put_object("k", b"x", condition=IfAbsent()))
        self.assertEqual((error.status, error.unknown), (412, True))

    def test_silence(self) -> None:
        self.fake.fail("GetObject", *[Stall()] * 5)
        fault = self.unreachable(self.client.get_object("k"))
        self.assertEqual(str(fault), "S3 did not answer in time.")
        self.assertTrue(fault.unknown)

    def test_broken_listing_is_read_again(self) -> None:
        self.result(self.client.put_object("k", b"x"))
        self.fake.fail("ListObjects", Truncate())
        listing = self.result(self.client.get_bucket())
        self.assertEqual([found.key for found in listing.objects], ["k"])

    def test_cancelled(self) -> None:
        self.fake.fail("GetObject", Stall())
        waiting = Deferred.fromCoroutine(self.client.get_object("k"))
        waiting.cancel()
        self.harness.settle(waiting)
        self.failureResultOf(waiting, CancelledError)
        self.assertEqual(self.fake.seen.count("GetObject"), 1)

    def test_cancelled_while_connecting(self) -> None:
        """Twisted has a word of its own for that."""
        reactor = MemoryReactorClock()
        make_agent: Any = Agent
        wire = S3Sender(make_agent(reactor), self.harness.clock)
        evolved = evolve(
            self.client, requester=evolve(self.client.requester, wire=wire)
        )
        waiting = Deferred.fromCoroutine(evolved.get_object("k"))
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.assertEqual(len(reactor.tcpClients), 1)

    def test_budget(self) -> None:
        """When S3 is down, retries do not multiply the load."""
        budget = RetryBudget(capacity=10, cost=5, refund=1)
        self.assertEqual([budget.spend() for _ in range(3)], [True, True, False])
        for _ in range(5):
            budget.succeeded()
        self.assertTrue(budget.spend())
        self.assertFalse(budget.spend())
        # A retry that succeeded is paid back: what passes does not use it up.
        budget.succeeded(retried=True)
        self.assertTrue(budget.spend())


class Hasty(Protocol):
    """A server that answers before it has read the request's body."""

    answered = False

    def dataReceived(self, data: bytes) -> None:
        body = b"<Error><Code>AccessDenied</Code></Error>"
        head = b"HTTP/1.1 403 No\r\nContent-Length: %d\r\n\r\n" % len(body)
        assert self.transport is not None
        if not self.answered:
            self.answered = True
            self.transport.write(head + body)


@define
class SlowBody:
    """A body whose second piece is long in coming."""

    length: int = 10 * CHUNK
    sha256: bytes | None = bytes(32)
    crc32: bytes | None = None
    waiting: Deferred[bytes] = field(factory=Deferred)

    async def read(self, offset: int, size: int) -> bytes:
        return await self.waiting if offset else bytes(size)


class EarlyAnswerTests(ClientTestCase):
    """A refusal that comes while we still send."""

    def setUp(self) -> None:
        super().setUp()
        agent: Any = self.harness.agent
        agent._site = Factory.forProtocol(Hasty)
        self.aborted: list[FlowTransport] = []
        self.patch(
            FlowTransport, "abortConnection", lambda one: self.aborted.append(one)
        )
        self.body = SlowBody()
        error = self.error(self.client.put_object("k", self.body))
        self.assertEqual(error.code, "AccessDenied")

    def test_the_connection_is_closed(self) -> None:
        """Over TLS it would stay for as long as the body does."""
        self.assertEqual(len(self.aborted), 1)

    def test_nothing_more_is_read(self) -> None:
        """The spool is closed by then, which is no news to anybody."""
        self.body.waiting.errback(StoreError("The upload was given up."))
        self.harness.agent.flush()
        self.assertEqual(self.flushLoggedErrors(), [])


class MendingTests(ClientTestCase):
    """Circumstances that S3's answer lets us put right."""

    def test_region(self) -> None:
        self.fake.region = "eu-central-1"
        with capturedLogs() as logs:
            self.result(self.client.put_object("k", b"x"))
        self.assertEqual(self.client.endpoint.region, "eu-central-1")
        self.assertEqual(logs[-1]["region"], "eu-central-1")
        self.result(self.client.put_object("k", b"x"))
        self.assertEqual(self.fake.seen.count("PutObject"), 3)

    def test_region_of_several_at_once(self) -> None:
        """All that were sent to the wrong one are sent again, not the first alone."""
        self.fake.region = "eu-central-1"
        self.fake.fail("PutObject", Stall())
        writing = [
            Deferred.fromCoroutine(self.client.put_object(key, b"x")) for key in "ab"
        ]
        self.harness.settle(writing[1])
        # The first was signed for the old region, and hears of the new one late.
        [stalled] = self.fake.stalled
        late = Refuse(
            400, "AuthorizationHeaderMalformed", {"x-amz-bucket-region": "eu-central-1"}
        )
        FakeS3Resource(self.fake).refuse(stalled, late)
        self.harness.settle(writing[0])
        for one in writing:
            self.successResultOf(one)
        self.assertEqual(sorted(self.fake.objects), ["a", "b"])

    def test_strange_region_is_not_believed(self) -> None:
        refusal = Refuse(400, "X", {"x-amz-bucket-region": "evil.example/"})
        self.fake.fail("PutObject", refusal)
        self.assertEqual(self.error(self.client.put_object("k", b"x")).code, "X")
        self.assertEqual(self.client.endpoint.region, "us-east-1")

    def test_clock(self) -> None:
        self.fake.clock_offset = 5000
        self.result(self.client.put_object("k", b"x"))
        self.assertEqual(self.fake.seen.count("PutObject"), 2)
        self.result(self.client.put_object("k", b"x"))
        self.assertEqual(self.fake.seen.count("PutObject"), 3)

    def test_how_far_the_clocks_are_apart(self) -> None:
        """Seen once a minute, long before S3 refuses."""
        self.fake.clock_offset = 120
        self.result(self.client.put_object("k", b"x"))
        self.assertAlmostEqual(self.client.requester.skew, 120, delta=1)
        self.fake.clock_offset = -30
        self.result(self.client.put_object("k", b"x"))
        self.assertAlmostEqual(self.client.requester.skew, 120, delta=1)
        self.harness.clock.advance(COMPARE_EVERY)
        self.result(self.client.put_object("k", b"x"))
        self.assertAlmostEqual(self.client.requester.skew, -30, delta=1)
        self.assertEqual(self.client.requester.offset, 0)

    def test_answers_to_head_do_not_say_why(self) -> None:
        """They have no body, so whatever can be put right is."""
        self.result(self.client.put_object("k", b"x"))
        self.fake.clock_offset = -5000
        self.result(self.client.head_object("k"))
        self.assertEqual(self.fake.seen.count("HeadObject"), 2)
        self.fake.region = "RegionOne"
        self.result(self.client.head_object("k"))
        self.assertEqual(self.fake.seen.count("HeadObject"), 4)
        source = self.client.requester.credentials = Renewable()
        self.result(self.client.head_object("k"))
        self.assertEqual(source.renewed, 1)
        self.fake.forbidden = {"HeadObject"}
        self.assertEqual(self.error(self.client.head_object("k")).status, 403)

    def test_expired_credentials_are_renewed(self) -> None:
        source = Renewable()
        self.client.requester.credentials = source
        self.result(self.client.put_object("k", b"x"))
        self.assertEqual(source.renewed, 1)

    def test_wrong_credentials_stay_wrong(self) -> None:
        client = self.harness.make_client(AWSCredentials("AKIDWRONG", "x"))
        error = self.error(client.put_object("k", b"x"))
        self.assertEqual(error.code, "InvalidAccessKeyId")
        self.assertEqual(self.fake.seen.count("PutObject"), 1)

    def test_wrong_secret(self) -> None:
        client = self.harness.make_client(evolve(CREDENTIALS, secret_key="x"))
        error = self.error(client.put_object("k", b"x"))
        self.assertEqual(error.code, "SignatureDoesNotMatch")


@implementer(ICredentialSource)
@define
class Renewable:
    """Credentials that are replaced when asked."""

    renewed: int = 0

    def current(self) -> AWSCredentials:
        return CREDENTIALS if self.renewed else AWSCredentials("AKIDOLD", "x")

    async def get(self) -> AWSCredentials:
        return self.current()

    async def renew(self, refused: AWSCredentials) -> AWSCredentials:
        self.renewed += 1
        return self.current()

    def start(self) -> None: ...

    def stop(self) -> None: ...


class BucketTests(ClientTestCase):
    """The bucket itself."""

    def test_pages(self) -> None:
        self.fake.page = 2
        for key in ("a b", "a+c", "a/é", "b"):
            self.result(self.client.put_object(key, b"x"))
        listing = self.result(self.client.get_bucket("a"))
        self.assertEqual([found.key for found in listing.objects], ["a b", "a+c"])
        rest = self.result(
            self.client.get_bucket("a", continuation=listing.continuation)
        )
        self.assertEqual([found.key for found in rest.objects], ["a/é"])
        self.assertIsNone(rest.continuation)

    def test_create(self) -> None:
        self.fake.bucket = None
        self.assertEqual(self.error(self.client.head_bucket()).status, 404)
        self.result(self.client.create_bucket())
        self.result(self.client.create_bucket())
        self.result(self.client.head_bucket())


class MultipartTests(ClientTestCase):
    """Uploads in parts."""

    def upload(self) -> Any:
        upload_id = self.result(self.client.init_multipart_upload("k"))
        parts = [
            self.result(
                self.client.upload_part("k", upload_id, number, BytesBody(data))
            )
            for number, data in ((1, b"one"), (2, b"two"))
        ]
        return self.client.complete_multipart_upload("k", upload_id, parts)

    def test_complete(self) -> None:
        written = self.result(self.upload())
        self.assertEqual(self.fake.objects["k"].data, b"onetwo")
        self.assertEqual(written.etag, self.fake.objects["k"].etag)

    def test_white_space_first(self) -> None:
        self.fake.keep_alive = b'<?xml version="1.0"?>'[:0] + b"  \n  "
        self.assertTrue(self.result(self.upload()).etag)

    def test_empty_etag(self) -> None:
        self.fake.empty_etag = True
        self.assertEqual(self.result(self.upload()).etag, "")

    def test_hidden_error_is_tried_again(self) -> None:
        body = b"  <Error><Code>InternalError</Code></Error>"
        self.fake.fail("CompleteMultipartUpload", Refuse(200, body=body))
        self.result(self.upload())
        self.assertEqual(self.fake.seen.count("CompleteMultipartUpload"), 2)

    def test_lost_answer(self) -> None:
        self.fake.fail("CompleteMultipartUpload", Drop(done=True))
        error = self.error(self.upload())
        self.assertEqual((error.code, error.unknown), ("NoSuchUpload", True))

    def test_what_was_taken_back_may_be_done(self) -> None:
        """After a 200, neither an error nor nonsense says that nothing happened."""
        for body in (b"<Error><Code>InternalError</Code></Error>", b" \n"):
            self.fake.fail(
                "CompleteMultipartUpload",
                Refuse(200, body=body),
                Refuse(404, "NoSuchUpload"),
            )
            error = self.error(self.upload())
            self.assertEqual((error.code, error.unknown), ("NoSuchUpload", True))

    def test_abort_and_list(self) -> None:
        upload_id = self.result(self.client.init_multipart_upload("a b"))
        listing = self.result(self.client.list_multipart_uploads("a"))
        self.assertEqual(
            [(found.key, found.upload_id) for found in listing.uploads],
            [("a b", upload_id)],
        )
        self.result(self.client.abort_multipart_upload("a b", upload_id))
        self.result(self.client.abort_multipart_upload("a b", upload_id))
        self.assertEqual(self.fake.uploads, {})


class PresignTests(ClientTestCase):
    """Addresses that anybody can use for a while."""

    def fetch(self, url: str) -> int:
        harness = self.harness
        answer = harness.run(harness.client.requester.wire.send("GET", url, {}, None))
        return int(self.successResultOf(answer).status)

    def test_serves(self) -> None:
        self.result(self.client.put_object("a+ b//é", b"x"))
        query = [("response-content-disposition", 'attachment; filename="é"')]
        url = self.client.presign("a+ b//é", 60, query)
        self.assertEqual(self.fetch(url), 200)
        self.assertEqual(self.fetch(url.replace("a%2B", "b%2B")), 403)
        self.harness.clock.advance(61)
        self.assertEqual(self.fetch(url), 403)


class EndpointTests(SynchronousTestCase):
    """Where a bucket is."""

    def check(self, origin: str, path: str, default: str | None = None, **aws: Any):  # type: ignore[no-untyped-def]  # keywords of AwsSection
        endpoint = find_endpoint(AwsSection(**{"bucket": "bucket", **aws}), default)
        self.assertEqual((endpoint.origin, endpoint.path("k y")), (origin, path))

    def test_aws(self) -> None:
        self.check("https://bucket.s3.us-east-1.amazonaws.com", "/k%20y")
        self.check("https://bucket.s3.eu-west-3.amazonaws.com", "/k%20y", "eu-west-3")
        self.check(
            "https://bucket.s3.cn-north-1.amazonaws.com.cn",
            "/k%20y",
            "eu-west-3",
            region="cn-north-1",
        )

    def test_dots_and_capitals_go_into_the_path(self) -> None:
        for bucket in ("b.c", "Bucket", "b_c"):
            self.check(
                "https://s3.us-east-1.amazonaws.com", f"/{bucket}/k%20y", bucket=bucket
            )

    def test_other_servers(self) -> None:
        for url, origin in (
            ("http://127.0.0.1:9000/", "http://127.0.0.1:9000"),
            ("http://[::1]:9000", "http://[::1]:9000"),
            ("HTTPS://Minio.Example:443", "https://minio.example"),
        ):
            self.check(origin, "/bucket/k%20y", endpoint_url=url)

    def test_asked_for(self) -> None:
        self.check(
            "https://bucket.minio.example",
            "/k%20y",
            endpoint_url="https://minio.example",
            addressing="virtual",
        )
        self.check(
            "https://s3.us-east-1.amazonaws.com", "/bucket/k%20y", addressing="path"
        )

    def test_amazon_s_own_hosts(self) -> None:
        """Dual stack, FIPS and other partitions are a host's name away."""
        for host in (
            "s3.dualstack.eu-west-1.amazonaws.com",
            "s3-fips.us-gov-west-1.amazonaws.com",
            "s3.dualstack.cn-north-1.amazonaws.com.cn",
            "s3.us-iso-east-1.c2s.ic.gov",
        ):
            self.check(
                f"https://bucket.{host}", "/k%20y", endpoint_url=f"https://{host}"
            )
        self.check(
            "https://s3.amazonaws.com.example",
            "/bucket/k%20y",
            endpoint_url="https://s3.amazonaws.com.example",
        )

    def test_below_a_path(self) -> None:
        self.check("http://h", "/s3/bucket/k%20y", endpoint_url="http://h/s3/")

    def test_bucket_paths(self) -> None:
        self.assertEqual(Endpoint("b", "r", "http://h", False).path(None), "/b")
        self.assertEqual(Endpoint("b", "r", "http://h", True).path(None), "/")

    def test_suffixes_are_botocores(self) -> None:
        data = Session().get_data("partitions")
        for partition in data["partitions"]:
            for region in partition["regions"]:
                if not region.endswith("-global"):
                    self.assertEqual(
                        dns_suffix(region), partition["outputs"]["dnsSuffix"], region
                    )


class XMLTests(SynchronousTestCase):
    """What is read and what is written."""

    def test_entities_are_refused(self) -> None:
        bomb = (
            b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
            b"<ListBucketResult>&b;</ListBucketResult>"
        )
        error = self.assertRaises(S3Unreachable, parse_listing, bomb)
        self.assertIn("document type", str(error))

    def test_nonsense(self) -> None:
        for data in (b"", b"<html>", b"<html/>", b"\xff", b"{}"):
            self.assertRaises(S3Unreachable, parse_listing, data)
            self.assertRaises(S3Unreachable, parse_completed, data)
            self.assertEqual(parse_error(data).code, "")

    def test_nonsense_within(self) -> None:
        line = "<Key>k</Key><Size>{}</Size><LastModified>{}</LastModified>"
        for size, date in (("-1", "2026-01-01"), ("1", "x"), ("²", "2026-01-01")):
            text = f"<ListBucketResult><Contents>{line.format(size, date)}</Contents>"
            data = f"{text}</ListBucketResult>".encode()
            error = self.assertRaises(S3Unreachable, parse_listing, data)
            self.assertIn("that is no", str(error))

    def test_a_listing_that_does_not_say_how_to_go_on(self) -> None:
        """Its end would look like absence."""
        data = b"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>"
        error = self.assertRaises(S3Unreachable, parse_listing, data)
        self.assertIn("how to go on", str(error))

    def test_a_date_without_a_zone(self) -> None:
        """Some servers leave it out; ages are judged by it."""
        line = "<Key>k</Key><Size>1</Size><LastModified>2026-01-01T00:00:00"
        for zone in ("", "Z", "+00:00"):
            text = f"{line}{zone}</LastModified>"
            data = f"<ListBucketResult><Contents>{text}</Contents></ListBucketResult>"
            [found] = parse_listing(data.encode()).objects
            self.assertEqual(found.modified, datetime(2026, 1, 1, tzinfo=UTC))

    def test_messages_are_tame(self) -> None:
        error = S3Error("X", 400, "a\r\n\x1b[31m" + "b" * 1000)
        self.assertLess(len(str(error)), 400)
        self.assertTrue(str(error).isprintable())
