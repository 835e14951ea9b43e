"""The store in a bucket on a real S3 server."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ParamSpec, TypeVar, TypeVarTuple
from urllib.error import HTTPError
from urllib.request import urlopen
from uuid import uuid4

from attrs import evolve
from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredList, gatherResults
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from pypicloud_tw.config.sections.storage import AwsSection
from pypicloud_tw.errors import StoreError
from pypicloud_tw.offload.service import IOffload
from pypicloud_tw.outbound.sending import BytesBody
from pypicloud_tw.store.interfaces import IObjectStore
from pypicloud_tw.store.s3.faults import S3Error
from pypicloud_tw.store.s3.make import make_s3_store
from pypicloud_tw.store.s3.probe import Abilities, Conditional
from pypicloud_tw.store.s3.store import S3Store
from tests.certificates import make_certificates
from tests.integration import apart
from tests.integration.seaweedfs import CREDENTIALS, SeaweedFS, running, shared
from tests.store_suite import UNUSUAL_KEYS, StoreSuite, keys, raised

test_suite = apart(__name__)

MIB = 2**20

P = ParamSpec("P")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")


@implementer(IOffload)
class Threads:
    """Runs what belongs elsewhere in the reactor's threads."""

    def in_thread(
        self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> Deferred[T]:
        return deferToThread(function, *args, **kwargs)

    def in_process(self, function: Callable[[*Ts], T], *args: *Ts) -> Deferred[T]:
        return deferToThread(function, *args)


def settings(server: SeaweedFS, **changes: Any) -> AwsSection:
    return evolve(
        AwsSection(
            bucket=f"test-{uuid4().hex[:12]}",
            prefix="pre/fix/",
            endpoint_url=server.url,
            access_key=CREDENTIALS.access_key,
            secret_key=CREDENTIALS.secret_key,
            create_bucket=True,
        ),
        **changes,
    )


def fetch(url: str) -> tuple[int, bytes]:
    """Get *url* as anybody can."""
    try:
        with urlopen(url) as answer:
            return answer.status, answer.read()
    except HTTPError as error:
        error.close()
        return error.code, b""


class SeaweedTestCase(TestCase):
    """A bucket of its own for every test."""

    def make_s3_store(self, **changes: Any) -> S3Store:
        store = make_s3_store(settings(shared(), **changes), reactor, Threads(), {})
        self.addCleanup(lambda: Deferred.fromCoroutine(self.close(store)))
        return store

    async def close(self, store: S3Store) -> None:
        await store.close()
        # A connection whose last answer was not read to its end closes by itself.
        await deferLater(reactor, 0.01, lambda: None)
        agent: Any = store.client.requester.wire.agent
        await agent._pool.closeCachedConnections()


class SuiteTests(StoreSuite, SeaweedTestCase):
    """The very suite of the other stores."""

    rapid_puts = 100
    # SeaweedFS takes a backslash for a slash.
    unusual_keys = [key for key in UNUSUAL_KEYS if "\\" not in key]  # noqa: RUF012

    async def make_store(self) -> IObjectStore:
        store = self.make_s3_store()
        # What ServerTests.test_probe finds out; it takes seconds each time.
        await store.client.create_bucket()
        store.abilities = Abilities(Conditional.QUOTED, ordered=False)
        return store

    async def progress(self) -> None:
        await deferLater(reactor, 0.02, lambda: None)


class ServerTests(SeaweedTestCase):
    """What the suite does not ask."""

    async def test_probe(self) -> None:
        store = self.make_s3_store()
        await store.prepare()
        self.assertEqual(store.abilities, Abilities(Conditional.QUOTED, ordered=False))
        self.assertEqual(await keys(store), [])

    async def test_presigned(self) -> None:
        """It verifies signatures, expiry and all."""
        store = self.make_s3_store()
        await store.prepare()
        for number, key in enumerate(UNUSUAL_KEYS):
            await store.put(key, b"%d" % number)
            for filename in (key.rpartition("/")[2], "other näme.whl"):
                signed = store.url(key, filename=filename)
                assert signed is not None
                answer = await deferToThread(fetch, signed.url)
                self.assertEqual(answer, (200, b"%d" % number))
        assert signed is not None
        changed = signed.url.replace("Expires=8", "Expires=9")
        status, _ = await deferToThread(fetch, changed)
        self.assertEqual(status, 403)

    async def test_multipart(self) -> None:
        await self.check_multipart(self.make_s3_store())

    async def test_multipart_over_tls(self) -> None:
        """It compares the CRC-32 of each part, and refuses one that is damaged."""
        folder = Path(self.mktemp())
        folder.mkdir()
        authority, pair, _ = make_certificates(folder.absolute())
        with running(certificate=pair) as server:
            changes = {"endpoint_url": server.tls_url, "ca_file": authority}
            store = self.make_s3_store(**changes)
            await self.check_multipart(store)
            upload_id = await store.client.init_multipart_upload("k")
            damaged = BytesBody(b"bytes")
            self.assertEqual(store.client.part_algorithm, "CRC32")
            wrong = SimpleNamespace(
                length=5, sha256=None, crc32=b"\0\0\0\0", read=damaged.read
            )
            with self.assertRaises(S3Error) as caught:
                await store.client.upload_part("k", upload_id, 1, wrong)
            self.assertEqual(caught.exception.status, 400)
            await self.close(store)

    async def check_multipart(self, store: S3Store) -> None:
        await store.prepare()
        piece = os.urandom(MIB)
        upload = await store.begin("p/id/a-1.0.whl")
        for _ in range(41):
            await upload.write(piece)
        info = await upload.commit()
        self.assertEqual(info.size, 41 * MIB)
        stored = await store.get("p/id/a-1.0.whl")
        assert stored is not None
        self.assertEqual(stored.data, piece * 41)
        self.assertEqual(stored.info.etag, info.etag)

    async def test_aborted_multipart_leaves_nothing(self) -> None:
        store = self.make_s3_store()
        await store.prepare()
        upload = await store.begin("p/id/a-1.0.whl")
        for _ in range(30):
            await upload.write(b"x" * MIB)
        await upload.abort()
        listing = await store.client.list_multipart_uploads()
        self.assertEqual(list(listing.uploads), [])
        self.assertEqual(await keys(store), [])

    async def test_metadata(self) -> None:
        store = self.make_s3_store()
        await store.prepare()
        metadata = {"name": "acme", "summary": "naïve ☃", "hash-md5": "0" * 32}
        upload = await store.begin("p/id/a-1.0.whl", metadata=metadata)
        await upload.commit()
        self.assertEqual((await store.head("p/id/a-1.0.whl")).metadata, metadata)

    async def test_wrong_secret(self) -> None:
        store = self.make_s3_store(secret_key="wrong")
        error = await raised(store.prepare(), StoreError)
        self.assertIn("aws.secret_key", error.message)

    async def test_no_bucket(self) -> None:
        store = self.make_s3_store(create_bucket=False)
        error = await raised(store.prepare(), StoreError)
        self.assertIn("aws.create_bucket", error.message)

    async def test_many_at_once(self) -> None:
        store = self.make_s3_store()
        await store.prepare()
        await gatherResults(
            [Deferred.fromCoroutine(store.put(f"a/{n:04}", b"x")) for n in range(500)]
        )
        self.assertEqual(len(await keys(store, "a/")), 500)
        pages = await store.client.get_bucket("pre/fix/a/", max_keys=100)
        self.assertEqual(len(pages.objects), 100)
        self.assertIsNotNone(pages.continuation)

    async def test_bucket_operations(self) -> None:
        store = self.make_s3_store()
        await store.prepare()
        client = store.client
        await client.head_bucket()
        await client.create_bucket()
        await store.put("a b+c/é", b"x")
        await client.copy_object("pre/fix/a b+c/é", "pre/fix/copy")
        self.assertEqual((await store.head("copy")).size, 1)
        for key in ("copy", "a b+c/é"):
            await store.delete(key)
        self.assertEqual(await keys(store), [])

    async def test_uploads_share_the_budget(self) -> None:
        store = self.make_s3_store(buffer_memory=16 * MIB)
        await store.prepare()

        async def upload(number: int) -> None:
            sending = await store.begin(f"p/{number}/a-1.0.whl")
            for _ in range(25):
                await sending.write(b"%02d" % number * (MIB // 2))
                self.assertLessEqual(store.budget.used, 16 * MIB)
            await sending.commit()

        results: Any = await DeferredList(
            [Deferred.fromCoroutine(upload(n)) for n in range(6)], consumeErrors=True
        )
        self.assertEqual([result for ok, result in results if not ok], [])
        self.assertEqual(store.budget.used, 0)
