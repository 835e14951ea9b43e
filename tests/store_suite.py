"""What every store must do: one suite for every implementation of IObjectStore.

Mix :class:`StoreSuite` into a :class:`twisted.trial.unittest.TestCase` and make the
store in :meth:`~StoreSuite.make_store`. A store whose answers come at once, or that
``wait`` can drive, gets the properties of :class:`StoreProperties` too, mixed into a
``SynchronousTestCase``.
"""

from __future__ import annotations

from collections.abc import Coroutine
from hashlib import blake2b, md5, sha256
from secrets import token_hex
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define, field
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.interfaces import IConsumer, IProducer, IPushProducer
from zope.interface import implementer
from zope.interface.verify import verifyObject

from pypicloud_tw.errors import (
    AmbiguousWrite,
    ObjectNotFound,
    ObjectUnfit,
    PreconditionFailed,
    PypicloudError,
    RangeNotSatisfiable,
    StoreError,
)
from pypicloud_tw.store.interfaces import (
    ByteRange,
    IDownload,
    IfAbsent,
    IfMatch,
    IObjectStore,
    IUpload,
    ObjectInfo,
    Unlisted,
)

T = TypeVar("T")

if TYPE_CHECKING:
    from twisted.trial.unittest import SynchronousTestCase as SyncCase
    from twisted.trial.unittest import TestCase as AsyncCase
else:
    # Trial would run the suites by themselves, too, if they were test cases.
    AsyncCase = SyncCase = object

#: What every store says of it, so that nobody can tell them apart by their words.
ABSENT = "There is no such object in the store."

#: More than any store reads or sends in one piece, and not a multiple of anything.
LARGE = b"".join(b"%d," % n for n in range(300_000)) + b"."

UNUSUAL_KEYS = [
    "acme-tool/0123456789abcdef0123456789abcdef/acme_tool-1.0-py3-none-any.whl",
    ".index/acme-tool.json",
    ".marker",
    "a b/c d.whl",
    "deep/er/and/deep/er/still/x.tar.gz",
    "plus+and%20percent&amp=?#.whl",
    "[ab12]/flat-1.0.zip",
    "quotes'\"`$(x);|<>*~.whl",
    "...three",
    "back\\slash",
    "täst-ünïcode/日本語-1.0.whl",
    "astral-\U0001f40d",
    "tab\tand\nline",
]


@implementer(IConsumer)
@define(eq=False)
class Consumer:
    """Takes bytes; pauses its producer after every write if told to."""

    pausing: bool = False
    written: list[bytes] = field(factory=list)
    producer: IPushProducer | None = None
    registrations: list[str] = field(factory=list)

    @property
    def data(self) -> bytes:
        return b"".join(self.written)

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        if not streaming or self.producer is not None:
            raise AssertionError("Exactly one push producer is expected.")
        self.producer = IPushProducer(producer)
        self.registrations.append("registered")

    def unregisterProducer(self) -> None:
        if self.producer is None:
            raise AssertionError("There is no producer to unregister.")
        self.producer = None
        self.registrations.append("unregistered")

    def write(self, data: bytes) -> None:
        self.written.append(data)
        if self.pausing and self.producer is not None:
            self.producer.pauseProducing()

    def resume(self) -> None:
        assert self.producer is not None
        self.producer.resumeProducing()

    def lose(self) -> None:
        """Go away, as a connection that is lost does."""
        producer, self.producer = self.producer, None
        assert producer is not None
        producer.stopProducing()


async def keys(store: IObjectStore, prefix: str = "", after: str = "") -> list[str]:
    return [info.key async for info in store.list(prefix, after=after)]


async def looked(store: IObjectStore) -> tuple[list[str], list[str]]:
    """Look for packages: give the keys, and what else is told of."""
    unlisted: list[Unlisted] = []
    listing = store.list("", unlisted=unlisted.append)
    return [info.key async for info in listing], [what.key for what in unlisted]


async def raised(
    work: Coroutine[Any, Any, object], kind: type[PypicloudError]
) -> PypicloudError:
    """Await *work* and return the error of exactly this *kind* that it raises."""
    try:
        result = await work
    except kind as e:
        return e
    raise AssertionError(f"{kind.__name__} was not raised; the result is {result!r}.")


class StoreSuite(AsyncCase):
    """Mix in; see the module."""

    #: How many times one object is overwritten to compare ETags.
    rapid_puts = 1000
    #: Keys that a round trip is tried with.
    unusual_keys = UNUSUAL_KEYS

    store: IObjectStore

    async def make_store(self) -> IObjectStore:
        """Make an empty store; whatever it needs is cleaned up by ``addCleanup``."""
        raise NotImplementedError

    async def progress(self) -> None:
        """Let everything that is under way get as far as it can."""
        raise NotImplementedError

    # Trial awaits it; unittest's own type knows nothing of that.
    async def setUp(self) -> None:  # type: ignore[override]
        self.store = await self.make_store()
        await self.store.prepare()

    async def upload(self, key: str, data: bytes, step: int = 100_000) -> ObjectInfo:
        upload = await self.store.begin(key, size_hint=len(data))
        for at in range(0, len(data), step):
            await upload.write(data[at : at + step])
        return await upload.commit()

    async def fetch(self, key: str, byte_range: ByteRange | None = None) -> bytes:
        consumer = Consumer()
        download = await self.store.open(key, byte_range=byte_range)
        await download.deliver(consumer)
        self.assertIsNone(consumer.producer)
        return consumer.data

    # The contract

    async def test_interface(self) -> None:
        verifyObject(IObjectStore, self.store)
        upload = await self.store.begin("a/b")
        verifyObject(IUpload, upload)
        await upload.commit()
        download = await self.store.open("a/b")
        verifyObject(IDownload, download)
        download.abandon()
        download.abandon()

    async def test_prepare_twice_and_ping(self) -> None:
        await self.store.put("a", b"1")
        await self.store.prepare()
        await self.store.ping()
        self.assertEqual(await self.fetch("a"), b"1")

    # Small objects

    async def test_round_trips(self) -> None:
        for data in [b"", b"x", b"\0\r\n\xff" * 1000]:
            info = await self.store.put("a/b", data)
            stored = await self.store.get("a/b")
            assert stored is not None
            self.assertEqual(stored.data, data)
            self.assertEqual(stored.info.etag, info.etag)
            self.assertEqual((info.key, info.size), ("a/b", len(data)))
            head = await self.store.head("a/b")
            self.assertEqual((head.size, head.etag), (len(data), info.etag))
            self.assertEqual(head.modified, stored.info.modified)
            self.assertIsNotNone(head.modified.utcoffset())
            self.assertNotIn('"', info.etag)
            self.assertEqual(await self.fetch("a/b"), data)

    async def test_unusual_keys(self) -> None:
        for number, key in enumerate(self.unusual_keys):
            await self.store.put(key, b"%d" % number)
        for number, key in enumerate(self.unusual_keys):
            self.assertEqual(await self.fetch(key), b"%d" % number)
            self.assertEqual((await self.store.head(key)).key, key)
        expected = sorted(self.unusual_keys, key=str.encode)
        self.assertEqual(await keys(self.store), expected)
        for key in self.unusual_keys:
            await self.store.delete(key)
        self.assertEqual(await keys(self.store), [])

    async def test_unusual_keys_uploaded(self) -> None:
        for key in self.unusual_keys:
            await self.upload(key, key.encode())
            self.assertEqual(await self.fetch(key), key.encode())

    async def test_get_unless(self) -> None:
        first = await self.store.put("a", b"1")
        self.assertIsNone(await self.store.get("a", unless=first.etag))
        second = await self.store.put("a", b"2")
        stored = await self.store.get("a", unless=first.etag)
        assert stored is not None
        self.assertEqual((stored.data, stored.info.etag), (b"2", second.etag))

    async def test_get_limit(self) -> None:
        await self.store.put("a", b"12345")
        stored = await self.store.get("a", limit=5)
        assert stored is not None
        error = await raised(self.store.get("a", limit=4), ObjectUnfit)
        self.assertIn("5 bytes", error.message)
        self.assertIn("at most 4", error.message)

    async def test_absent(self) -> None:
        await self.store.put("a/b", b"1")
        # Beside, above and below of what there is.
        for key in ["b", "a/c", "a", "a/b/c", "x/y/z", "a/B"]:
            for ask in (self.store.get, self.store.head, self.store.open):
                error = await raised(ask(key), ObjectNotFound)
                self.assertEqual(error.message, ABSENT, key)
            work = self.store.get(key, unless="x")
            self.assertEqual((await raised(work, ObjectNotFound)).message, ABSENT)

    async def test_metadata_is_taken(self) -> None:
        info = await self.store.put(
            "a", b"1", content_type="application/json", metadata={"Name": "acme"}
        )
        self.assertEqual(info.size, 1)

    # Copying

    async def test_copy(self) -> None:
        for key, data in (("a/b", b"1"), ("täst/[ab] +.whl", LARGE), ("empty", b"")):
            await self.upload(key, data)
            info = await self.store.copy(key, f"copies/{key}")
            head = await self.store.head(f"copies/{key}")
            self.assertEqual((info.key, info.size), (f"copies/{key}", len(data)))
            self.assertEqual(info.etag, head.etag)
            # Again, as after a try whose end nobody heard of.
            await self.store.copy(key, f"copies/{key}")
            await self.store.delete(key)
            self.assertEqual(await self.fetch(f"copies/{key}"), data)

    async def test_copy_of_nothing(self) -> None:
        await self.store.put("a", b"1")
        error = await raised(self.store.copy("a/b", "c"), ObjectNotFound)
        self.assertEqual(error.message, ABSENT)
        self.assertEqual(await keys(self.store), ["a"])

    # Deleting

    async def test_delete(self) -> None:
        await self.store.put("a/b/c", b"1")
        await self.store.put("a/d", b"2")
        await self.store.delete("a/b/c")
        await raised(self.store.get("a/b/c"), ObjectNotFound)
        self.assertEqual(await keys(self.store), ["a/d"])
        await self.store.delete("a/b/c")
        await self.store.delete("never/was")
        await self.store.delete("a/d")
        self.assertEqual(await keys(self.store), [])
        await self.store.put("a", b"now a file where a folder was")
        self.assertEqual(await keys(self.store), ["a"])

    async def test_delete_is_not_for_prefixes(self) -> None:
        await self.store.put("a/b", b"1")
        await self.store.delete("a")
        self.assertEqual(await keys(self.store), ["a/b"])

    async def test_opened_before_delete(self) -> None:
        await self.store.put("a", b"1")
        download = await self.store.open("a")
        download.abandon()
        await self.store.delete("a")
        await raised(self.store.open("a"), ObjectNotFound)

    # Conditions

    async def test_if_absent(self) -> None:
        await self.store.put("a/b", b"1", condition=IfAbsent())
        await raised(
            self.store.put("a/b", b"2", condition=IfAbsent()), PreconditionFailed
        )
        self.assertEqual(await self.fetch("a/b"), b"1")
        await self.store.delete("a/b")
        await self.store.put("a/b", b"3", condition=IfAbsent())
        self.assertEqual(await self.fetch("a/b"), b"3")

    async def test_if_match(self) -> None:
        first = await self.store.put("a/b", b"1")
        second = await self.store.put("a/b", b"2", condition=IfMatch(first.etag))
        self.assertEqual(await self.fetch("a/b"), b"2")
        await raised(
            self.store.put("a/b", b"3", condition=IfMatch(first.etag)),
            PreconditionFailed,
        )
        self.assertEqual(await self.fetch("a/b"), b"2")
        await self.store.put("a/b", b"4", condition=IfMatch(second.etag))
        self.assertEqual(await self.fetch("a/b"), b"4")

    async def test_if_match_of_nothing(self) -> None:
        """A 404 on If-Match is a conflict (decision D1)."""
        info = await self.store.put("a/b", b"1")
        await self.store.delete("a/b")
        await raised(
            self.store.put("a/b", b"2", condition=IfMatch(info.etag)),
            PreconditionFailed,
        )
        self.assertEqual(await keys(self.store), [])

    async def test_same_bytes_conditionally(self) -> None:
        """Who writes what is there already still needs the right ETag."""
        first = await self.store.put("a", b"1")
        await self.store.put("a", b"2")
        again = await self.store.put("a", b"1")
        await raised(
            self.store.put("a", b"3", condition=IfMatch("none")), PreconditionFailed
        )
        await self.store.put("a", b"3", condition=IfMatch(again.etag))
        self.assertEqual(first.size, again.size)

    async def test_race_to_create(self) -> None:
        results = await gatherResults(
            [
                Deferred.fromCoroutine(self._attempt("a/b", b"%d" % n, IfAbsent()))
                for n in range(8)
            ]
        )
        self.assertEqual(results.count(True), 1)
        self.assertEqual(await self.fetch("a/b"), b"%d" % results.index(True))

    async def test_race_to_replace(self) -> None:
        info = await self.store.put("a/b", b"start")
        condition = IfMatch(info.etag)
        results = await gatherResults(
            [
                Deferred.fromCoroutine(self._attempt("a/b", b"%d" % n, condition))
                for n in range(8)
            ]
        )
        self.assertEqual(results.count(True), 1)
        self.assertEqual(await self.fetch("a/b"), b"%d" % results.index(True))

    async def test_swaps_lose_nothing(self) -> None:
        await gatherResults(
            [Deferred.fromCoroutine(swaps(self.store, "n", 5)) for _ in range(4)]
        )
        self.assertEqual(len((await self.fetch("n")).splitlines()), 20)

    async def test_etags_never_come_again(self) -> None:
        """However fast the bytes change, and although their length stays the same."""
        etags = set()
        for n in range(self.rapid_puts):
            etags.add((await self.store.put("a", b"%08d" % n)).etag)
        self.assertEqual(len(etags), self.rapid_puts)

    async def _attempt(self, key: str, data: bytes, condition: Any) -> bool:
        try:
            await self.store.put(key, data, condition=condition)
        except PreconditionFailed:
            return False
        except AmbiguousWrite:
            # Each of them writes other bytes, and only one can: no other follows it.
            return await self.fetch(key) == data
        return True

    # Large objects in

    async def test_upload(self) -> None:
        for data in [b"", b"x", LARGE]:
            key = f"p/{len(data)}/file.whl"
            info = await self.upload(key, data)
            self.assertEqual((info.key, info.size), (key, len(data)))
            self.assertEqual((await self.store.head(key)).etag, info.etag)
            self.assertEqual(await self.fetch(key), data)

    async def test_upload_by_single_bytes(self) -> None:
        await self.upload("a", LARGE[:5000], step=1)
        self.assertEqual(await self.fetch("a"), LARGE[:5000])

    async def test_upload_is_invisible_before_commit(self) -> None:
        upload = await self.store.begin("p/1/a")
        await upload.write(LARGE)
        await upload.spool.finish()
        self.assertEqual(await keys(self.store), [])
        await raised(self.store.head("p/1/a"), ObjectNotFound)
        await upload.commit()
        self.assertEqual(await keys(self.store), ["p/1/a"])
        await upload.abort()
        self.assertEqual(await self.fetch("p/1/a"), LARGE)

    async def test_upload_aborted(self) -> None:
        for data in [b"", b"x", LARGE]:
            upload = await self.store.begin("p/1/a")
            await upload.write(data)
            await upload.abort()
            await upload.abort()
            await raised(upload.commit(), StoreError)
        self.assertEqual(await keys(self.store), [])
        await raised(self.store.open("p/1/a"), ObjectNotFound)

    async def test_upload_spool(self) -> None:
        """The bytes can be judged before they are committed."""
        upload = await self.store.begin("p/1/a")
        for at in range(0, len(LARGE), 99_999):
            await upload.write(LARGE[at : at + 99_999])
        digests = await upload.spool.finish()
        self.assertEqual(upload.spool.size, len(LARGE))
        self.assertEqual(digests.sha256, sha256(LARGE).hexdigest())
        self.assertIsNone(digests.md5 or digests.blake2b_256)
        more = await upload.spool.more_digests()
        self.assertEqual(more.sha256, digests.sha256)
        self.assertEqual(more.md5, md5(LARGE).hexdigest())
        self.assertEqual(more.blake2b_256, blake2b(LARGE, digest_size=32).hexdigest())
        upload.spool.file.seek(10)
        self.assertEqual(upload.spool.file.read(20), LARGE[10:30])
        await upload.commit()
        self.assertEqual(await self.fetch("p/1/a"), LARGE)

    async def test_uploads_side_by_side(self) -> None:
        bodies = [b"%d" % n + LARGE[n:] for n in range(4)]
        await gatherResults(
            [
                Deferred.fromCoroutine(self.upload(f"p/{n}/a", body))
                for n, body in enumerate(bodies)
            ]
        )
        for n, body in enumerate(bodies):
            self.assertEqual(await self.fetch(f"p/{n}/a"), body)

    # Large objects out

    async def test_ranges(self) -> None:
        await self.upload("large", LARGE)
        await self.store.put("small", LARGE[:100])
        end = len(LARGE)
        for start, stop in [
            (0, 1),
            (0, end),
            (end - 1, end),
            (1, 300_000),
            (65_535, 65_537),
            (end - 5, end + 5),
        ]:
            data = await self.fetch("large", ByteRange(start, stop))
            self.assertEqual(data, LARGE[start:stop])
        self.assertEqual(await self.fetch("small", ByteRange(10, 20)), LARGE[10:20])
        download = await self.store.open("large", byte_range=ByteRange(1, 2))
        self.assertEqual(download.info.size, end)
        download.abandon()

    async def test_range_beyond_the_end(self) -> None:
        await self.store.put("a", b"12345")
        await self.store.put("empty", b"")
        for key, start, size in [("a", 5, 5), ("a", 99, 5), ("empty", 0, 0)]:
            try:
                await self.store.open(key, byte_range=ByteRange(start, start + 1))
            except RangeNotSatisfiable as e:
                self.assertEqual(e.headers, {"Content-Range": f"bytes */{size}"})
            else:
                self.fail(f"{key} has no byte {start}.")

    async def test_delivery_waits_for_the_consumer(self) -> None:
        await self.upload("large", LARGE)
        consumer = Consumer(pausing=True)
        download = await self.store.open("large")
        done = Deferred.fromCoroutine(download.deliver(consumer))
        rounds = 0
        while not done.called:
            await self.progress()
            count = len(consumer.written)
            await self.progress()
            self.assertEqual(len(consumer.written), count, "It wrote while paused.")
            if consumer.producer is not None:
                consumer.resume()
            await self.progress()
            rounds += 1
            self.assertLess(rounds, 1000)
        await done
        self.assertEqual(consumer.data, LARGE)
        self.assertGreater(len(consumer.written), 2)
        self.assertEqual(consumer.registrations, ["registered", "unregistered"])

    async def test_consumer_goes_away(self) -> None:
        await self.upload("large", LARGE)
        consumer = Consumer(pausing=True)
        download = await self.store.open("large")
        done = Deferred.fromCoroutine(download.deliver(consumer))
        await self.progress()
        consumer.lose()
        try:
            await done
        except CancelledError:
            pass
        else:
            self.fail("The delivery ended as if it was complete.")
        self.assertLess(len(consumer.data), len(LARGE))
        self.assertEqual(consumer.registrations, ["registered"])
        download.abandon()

    async def test_delivery_is_cancelled(self) -> None:
        await self.upload("large", LARGE)
        consumer = Consumer(pausing=True)
        download = await self.store.open("large")
        done = Deferred.fromCoroutine(download.deliver(consumer))
        await self.progress()
        done.cancel()
        try:
            await done
        except CancelledError:
            pass
        else:
            self.fail("The delivery ended as if it was complete.")
        self.assertEqual(consumer.registrations, ["registered", "unregistered"])

    # Listing

    async def test_list(self) -> None:
        names = ["a", "a-", "a!/x", "a.b/c", "a/b", "a/b-", "a0", ".index/a.json", "ä"]
        # A folder has no file and folder of one name.
        names.remove("a")
        for name in names:
            await self.store.put(name, name.encode())
        expected = sorted(names, key=str.encode)
        self.assertEqual(await keys(self.store), expected)
        for prefix in ["a", "a-", "a/", "a/b", "a/b-", ".index/", "x", "a/b/c", "ä"]:
            self.assertEqual(
                await keys(self.store, prefix),
                [name for name in expected if name.startswith(prefix)],
                prefix,
            )
        for after in [*expected, "", "a/", "a/a", "b", "\U0010ffff"]:
            self.assertEqual(
                await keys(self.store, after=after),
                [name for name in expected if name.encode() > after.encode()],
                after,
            )

    async def test_looking_for_packages(self) -> None:
        for key in ("a/b", "a/c", "d", ".index/a.json"):
            await self.store.put(key, b"")
        found, unlisted = await looked(self.store)
        self.assertEqual([k for k in found if k[0] != "."], ["a/b", "a/c", "d"])
        self.assertEqual(unlisted, [])
        found = [info.key async for info in self.store.list("", skip="a/".__eq__)]
        self.assertIn("d", found)
        self.assertLessEqual(set(found), {"a/b", "a/c", "d", ".index/a.json"})

    async def test_list_tells_what_head_does(self) -> None:
        await self.store.put("a/b", b"123")
        (listed,) = [info async for info in self.store.list("a")]
        head = await self.store.head("a/b")
        self.assertEqual((listed.key, listed.size, listed.etag), ("a/b", 3, head.etag))
        # Listings may tell whole seconds where a head tells parts of one.
        difference = abs((listed.modified - head.modified).total_seconds())
        self.assertLess(difference, 1)

    async def test_list_is_given_up(self) -> None:
        for n in range(5):
            await self.store.put(f"a/{n}", b"")
        async for info in self.store.list(""):
            self.assertEqual(info.key, "a/0")
            break
        self.assertEqual(len(await keys(self.store)), 5)

    async def test_list_nothing(self) -> None:
        self.assertEqual(await keys(self.store), [])
        self.assertEqual(await keys(self.store, "a/b/"), [])

    async def test_url(self) -> None:
        await self.store.put("a", b"1")
        url = self.store.url("a", filename="a.whl")
        if url is not None:
            self.assertRegex(url.url, "^https?://")
            self.assertLessEqual(url.fresh_until, url.ends)


async def swaps(store: IObjectStore, key: str, times: int) -> None:
    """Add *times* lines to an object, by compare-and-swap, each of them another.

    The lines tell what became of an ambiguous write, as the ids of changes do in a
    manifest (decision D1).
    """
    for _ in range(times):
        line = token_hex(8).encode() + b"\n"
        while True:
            condition: IfAbsent | IfMatch
            try:
                stored = await store.get(key)
                assert stored is not None
                lines, condition = stored.data, IfMatch(stored.info.etag)
            except ObjectNotFound:
                lines, condition = b"", IfAbsent()
            if line in lines:
                break
            try:
                await store.put(key, lines + line, condition=condition)
            except (PreconditionFailed, AmbiguousWrite):
                continue
            break


#: Names that sort in interesting ways around the slash.
_NAMES = st.text(alphabet="a-./0é\U0001f40d", min_size=1, max_size=6)


#: The same property is meant to be tried by the test cases of several stores.
_SHARED = [HealthCheck.differing_executors]


def is_key(text: str) -> bool:
    return not {"", ".", ".."} & set(text.split("/"))


def fit_together(names: set[str]) -> bool:
    """Tell whether no key is a folder of another, which no file system can hold."""
    return not any(b.startswith(a + "/") for a in names for b in names)


class StoreProperties(SyncCase):
    """Mix in; properties of a store that is driven by :meth:`wait`."""

    def make_store_now(self) -> IObjectStore:
        """Make an empty store for one example."""
        raise NotImplementedError

    def discard(self, store: IObjectStore) -> None:
        """Free what the store of one example holds."""

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        result: T = self.successResultOf(Deferred.fromCoroutine(work))
        return result

    @settings(max_examples=40, deadline=None, suppress_health_check=_SHARED)
    @given(
        names=st.sets(_NAMES.filter(is_key), max_size=8).filter(fit_together),
        prefix=st.one_of(st.just(""), _NAMES),
        after=st.one_of(st.just(""), _NAMES),
    )
    def test_listing(self, names: set[str], prefix: str, after: str) -> None:
        store = self.make_store_now()
        self.wait(store.prepare())
        try:
            for name in names:
                self.wait(store.put(name, name.encode()))
            expected = [
                name
                for name in sorted(names, key=str.encode)
                if name.startswith(prefix) and name.encode() > after.encode()
            ]
            self.assertEqual(self.wait(keys(store, prefix, after)), expected)
        finally:
            self.discard(store)

    @settings(max_examples=25, deadline=None, suppress_health_check=_SHARED)
    @given(
        pieces=st.lists(st.binary(max_size=40), max_size=12),
        start=st.integers(0, 100),
        length=st.integers(1, 100),
    )
    def test_ranges_of_uploads(
        self, pieces: list[bytes], start: int, length: int
    ) -> None:
        store = self.make_store_now()
        self.wait(store.prepare())
        try:
            self.wait(self._ranges(store, pieces, start, start + length))
        finally:
            self.discard(store)

    async def _ranges(
        self, store: IObjectStore, pieces: list[bytes], start: int, stop: int
    ) -> None:
        upload = await store.begin("k")
        for piece in pieces:
            await upload.write(piece)
        await upload.commit()
        whole = b"".join(pieces)
        consumer = Consumer()
        try:
            download = await store.open("k", byte_range=ByteRange(start, stop))
        except RangeNotSatisfiable:
            self.assertGreaterEqual(start, len(whole))
            return
        await download.deliver(consumer)
        self.assertEqual(consumer.data, whole[start:stop])
