"""Files of the upstream: streamed through, checked, kept once."""

from __future__ import annotations

from functools import partial
from hashlib import sha256
from typing import Any

from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IConsumer, IProducer, IPushProducer
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseDone
from zope.interface import implementer
from zope.interface.verify import verifyObject

from pypicloud_tw.concurrency.body_reader import HIGH_WATER
from pypicloud_tw.errors import (
    BadRequest,
    Forbidden,
    NotFound,
    RefusedByRule,
    StoreError,
    UpstreamError,
)
from pypicloud_tw.index.archive import Inspection
from pypicloud_tw.index.model import Document
from pypicloud_tw.index.names import Filename, project_name
from pypicloud_tw.outbound.response_body import DRAIN_BYTES, DRAIN_SECONDS
from pypicloud_tw.store.interfaces import ByteRange, IDownload
from pypicloud_tw.store.spool import Spool
from pypicloud_tw.upstream.cache_fill import WINDOW, WINDOWS, CacheFill
from pypicloud_tw.upstream.caching import CachingFiles
from pypicloud_tw.upstream.client import receive
from pypicloud_tw.upstream.failures import Refused, Slow, Truncated
from pypicloud_tw.upstream.judgement.entries import RuleEntry
from pypicloud_tw.upstream.judgement.rules import UpstreamRules
from pypicloud_tw.upstream.keeper import CACHE, PAGES
from pypicloud_tw.upstream.links import Link, segment
from pypicloud_tw.upstream.relay import LocatedFile, Relay
from pypicloud_tw.upstream.source import UpstreamIndex
from tests.upstream.doubles import (
    BASE,
    FILES,
    HOST,
    START,
    Stream,
    chunked,
    file,
    page,
    project,
    ranged,
    started,
    status,
    truncated,
    unframed,
)
from tests.upstream.test_pages import ACME, ACME_NAME, DAY, Bench, moment

NAME = "acme-1.0-py3-none-any.whl"
BODY = bytes(range(256)) * 40
DIGEST = sha256(BODY).hexdigest()
METADATA = b"Metadata-Version: 2.1\nName: acme\n"
URL = f"{FILES}/{NAME}"
KEY = f".cache/acme/{DIGEST}/{NAME}"


@implementer(IConsumer)
class Sink:
    """Takes what it is given, and pauses its producer when told to."""

    def __init__(self, pauses: bool = False) -> None:
        self.data = b""
        self.pauses = pauses
        self.producer: Any = None

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        self.producer = IPushProducer(producer)

    def unregisterProducer(self) -> None:
        self.producer = None

    def write(self, data: bytes) -> None:
        self.data += data
        if self.pauses:
            self.producer.pauseProducing()


def _held(
    wanted: str, waiting: Deferred[None], operation: str, key: str
) -> Deferred[None] | None:
    """Have the store's operations of that kind wait."""
    return waiting if operation == wanted else None


def wheel(body: bytes = BODY, **more: Any) -> Document:
    return file(NAME, body, **more)


def described(metadata: object) -> Document:
    """The wheel of a page that tells of its core metadata."""
    return {**wheel(), "core-metadata": metadata}


class FilesBench(Bench):
    """Files by their addresses here."""

    cached = False

    def __init__(
        self, told: Document | None = None, urls: tuple[str, ...] = (), **options: Any
    ) -> None:
        super().__init__(*urls, own_links=True, keep=self.cached, **options)
        self.told = told or wheel()
        self.upstream.on(ACME, page(project("acme", self.told)))
        self.upstream.on(URL, ranged(BODY))
        self.files: Any = self.make()

    def make(self) -> Any:
        return Relay(self.upstreams, self.client)

    def locate(
        self, filename: str = NAME, address: str | None = None
    ) -> Deferred[LocatedFile]:
        if address is None:
            address = segment(self.told["hashes"].get("sha256"), self.told["url"])
        return started(self.files.locate(ACME_NAME, address, filename))

    async def _get(
        self, filename: str, part: ByteRange | None, sink: Sink
    ) -> IDownload:
        address = segment(self.told["hashes"].get("sha256"), self.told["url"])
        located = await self.files.locate(ACME_NAME, address, filename)
        download = await located.open(part)
        assert isinstance(download.info.size, int)
        await download.deliver(sink)
        return download  # type: ignore[no-any-return]  # files is Any

    def get(
        self,
        sink: Sink,
        filename: str = NAME,
        part: ByteRange | None = None,
    ) -> Deferred[IDownload]:
        return started(self._get(filename, part, sink))


class CachedBench(FilesBench):
    """In cache mode."""

    cached = True

    def make(self) -> Any:
        return CachingFiles(self.upstreams, self.client, self.store, self.clock)


class JudgingBench(CachedBench):
    """In cache mode, with somebody who refuses every file."""

    sentence = "This is no wheel."
    judged = 0

    def make(self) -> Any:
        async def judge(spool: Spool, filename: Filename) -> Inspection:
            self.judged += 1
            raise BadRequest(self.sentence)

        return CachingFiles(self.upstreams, self.client, self.store, self.clock, judge)


class CommonTests:
    """What holds for both modes."""

    bench_type: type[FilesBench]

    def test_a_file(self: Any) -> None:
        bench = self.bench_type()
        sink = Sink()
        download = self.successResultOf(bench.get(sink))
        self.assertEqual(sink.data, BODY)
        self.assertIsNone(sink.producer)
        self.assertEqual(download.info.size, len(BODY))
        verifyObject(IDownload, download)
        self.assertEqual(bench.upstream.asked[1].header("accept-encoding"), "identity")

    def test_located(self: Any) -> None:
        located = self.successResultOf(self.bench_type().locate())
        self.assertEqual(
            (located.filename, located.sha256, located.size), (NAME, DIGEST, len(BODY))
        )

    def test_a_part(self: Any) -> None:
        sink = Sink()
        self.successResultOf(self.bench_type().get(sink, part=ByteRange(10, 300)))
        self.assertEqual(sink.data, BODY[10:300])

    def test_not_what_the_page_says(self: Any) -> None:
        bench = self.bench_type()
        wrong = BODY[:-1] + b"!"
        bench.upstream.on(URL, page(wrong, "x/y"))
        sink = Sink()
        failure = self.failureResultOf(bench.get(sink), UpstreamError)
        self.assertIn("is not what its page says", failure.value.message)
        self.assertLess(len(sink.data), len(wrong))
        self.assertEqual([k for k in bench.store.objects if NAME in k], [])

    def test_of_another_size_than_the_page_says(self: Any) -> None:
        bench = self.bench_type()
        for body in (BODY[:-1], BODY + b"!"):
            bench.upstream.on(URL, page(body, "x/y"))
            sink = Sink()
            failure = self.failureResultOf(bench.get(sink), UpstreamError)
            self.assertIn("is not what its page says", failure.value.message)
            self.assertEqual(sink.data, b"")

    def test_failures(self: Any) -> None:
        for behaviour, kind, cause in (
            (status(500), UpstreamError, "status 500"),
            (status(404), NotFound, "no such thing"),
            (status(403), Refused, "refuses us"),
        ):
            bench = self.bench_type()
            bench.upstream.on(URL, behaviour)
            sink = Sink()
            failure = self.failureResultOf(bench.get(sink), kind)
            self.assertIn(cause, failure.value.message)

    def test_an_upstream_that_breaks_off(self: Any) -> None:
        bench = self.bench_type()
        bench.upstream.on(URL, truncated(BODY[: -len(BODY) // 2], "x/y"), status(500))
        sink = Sink()
        failure = self.failureResultOf(bench.get(sink), UpstreamError)
        self.assertTrue(failure.value.message)
        self.assertLess(len(sink.data), len(BODY))

    def test_metadata(self: Any) -> None:
        digest = {"sha256": sha256(METADATA).hexdigest()}
        bench = self.bench_type(described(digest))
        bench.upstream.on(f"{URL}.metadata", page(METADATA, "text/plain"))
        sink = Sink()
        self.successResultOf(bench.get(sink, f"{NAME}.metadata"))
        self.assertEqual(sink.data, METADATA)
        part = Sink()
        self.successResultOf(bench.get(part, f"{NAME}.metadata", ByteRange(3, 9)))
        self.assertEqual(part.data, METADATA[3:9])

    def test_metadata_that_is_not_what_the_page_says(self: Any) -> None:
        bench = self.bench_type(described({"sha256": "00" * 32}))
        bench.upstream.on(f"{URL}.metadata", page(METADATA, "text/plain"))
        failure = self.failureResultOf(
            bench.get(Sink(), f"{NAME}.metadata"), UpstreamError
        )
        self.assertIn(f"{NAME}.metadata is not what its page", failure.value.message)

    def test_metadata_that_the_page_does_not_tell_of(self: Any) -> None:
        bench = self.bench_type()
        failure = self.failureResultOf(bench.get(Sink(), f"{NAME}.metadata"), NotFound)
        self.assertIn("has no core metadata", failure.value.message)
        self.assertEqual(len(bench.upstream.asked), 1)

    def test_what_is_not_on_the_page(self: Any) -> None:
        bench = self.bench_type()
        for filename, address in (("other.whl", DIGEST[:16]), (NAME, "0" * 16)):
            failure = self.failureResultOf(bench.locate(filename, address), NotFound)
            self.assertIn("There is no file", failure.value.message)
        self.assertEqual(len(bench.upstream.asked), 1)

    def test_hostile_names(self: Any) -> None:
        bench = self.bench_type()
        for filename in ("", "\n", "a\tb", "\ud800", "../x", "x" * 10_000):
            self.failureResultOf(bench.locate(filename, DIGEST[:16]), NotFound)
            self.failureResultOf(bench.locate(NAME, filename), NotFound)

    def test_denied_version(self: Any) -> None:
        bench = self.bench_type(rules=UpstreamRules(deny=(RuleEntry.parse("acme<2"),)))
        failure = self.failureResultOf(bench.locate(), Forbidden)
        self.assertIn("is denied here", failure.value.message)
        self.assertEqual(bench.upstream.asked, [])

    def test_too_young(self: Any) -> None:
        told = wheel(uploaded=moment(START))
        bench = self.bench_type(told, rules=UpstreamRules(min_age=DAY))
        failure = self.failureResultOf(bench.locate(), RefusedByRule)
        self.assertEqual(failure.value.rule, "min-age")
        bench.clock.advance(DAY + 1)
        self.successResultOf(bench.locate())

    def test_credentials_stay_with_their_host(self: Any) -> None:
        bench = self.bench_type(urls=("https://user:pass@up.example/simple/",))
        bench.upstream.on(URL, page(BODY, "x/y"))
        self.successResultOf(bench.get(Sink()))
        page_asked, file_asked = bench.upstream.asked
        self.assertIsNotNone(page_asked.header("authorization"))
        self.assertIsNone(file_asked.header("authorization"))

    def test_a_client_that_goes_away(self: Any) -> None:
        bench = self.bench_type()
        stream = Stream(len(BODY))
        bench.upstream.on(URL, stream)
        sink = Sink()
        getting = bench.get(sink)
        stream.send(BODY[:1000])
        bench.upstream.flush()
        sink.producer.stopProducing()
        stream.send(BODY[1000:2000])
        bench.upstream.flush()
        stream.send(BODY[2000:3000])
        bench.upstream.flush()
        self.failureResultOf(getting, CancelledError)


class RelayTests(CommonTests, SynchronousTestCase):
    bench_type = FilesBench

    def test_a_part_of_an_upstream_that_has_no_parts(self) -> None:
        bench = FilesBench()
        bench.upstream.on(URL, page(BODY, "x/y"))
        sink = Sink()
        self.successResultOf(bench.get(sink, part=ByteRange(10, 300)))
        self.assertEqual(sink.data, BODY[10:300])

    def test_another_part_than_asked(self) -> None:
        for told in ("bytes 11-299/10240", "items 10-299/10240", "", "bytes x-y/z"):
            bench = FilesBench()
            answer = page(
                BODY[10:300], "x/y", status=206, headers={"content-range": told}
            )
            bench.upstream.on(URL, answer)
            failure = self.failureResultOf(
                bench.get(Sink(), part=ByteRange(10, 300)), UpstreamError
            )
            self.assertIn("another range", failure.value.message)

    def test_odd_addresses(self) -> None:
        for url, asked in (
            (f"{FILES}/a b/{NAME}", f"{FILES}/a%20b/{NAME}"),
            (f"{FILES}/\u00e4/{NAME}", f"{FILES}/%C3%A4/{NAME}"),
            (f"https://u:p@files.example/{NAME}", URL),
            (f"{URL}?a=b&c", f"{URL}?a=b&c"),
        ):
            bench = FilesBench(wheel(url=url))
            bench.upstream.on(asked, ranged(BODY))
            sink = Sink()
            self.successResultOf(bench.get(sink))
            self.assertEqual(sink.data, BODY)
            self.assertEqual(bench.upstream.urls()[1], asked)
            self.assertIsNone(bench.upstream.asked[1].header("authorization"))

    def test_plain_http_from_an_https_page(self) -> None:
        bench = FilesBench(wheel(url=f"http://files.example/{NAME}"))
        failure = self.failureResultOf(bench.get(Sink()), Refused)
        self.assertIn("not https, which is not fetched", failure.value.message)
        self.assertEqual(bench.upstream.urls(), [ACME])

    def test_of_unknown_digest(self) -> None:
        bench = FilesBench(wheel(hashes={}))
        sink = Sink()
        self.successResultOf(bench.get(sink))
        self.assertEqual(sink.data, BODY)

    def test_of_unknown_size(self) -> None:
        told = wheel()
        del told["size"]
        bench = FilesBench(told)
        located = self.successResultOf(bench.locate())
        self.assertIsNone(located.size)
        sink = Sink()
        self.successResultOf(bench.get(sink))
        self.assertEqual(sink.data, BODY)
        bench.upstream.on(URL, unframed(BODY, "x/y"))
        getting = bench.get(Sink())
        bench.upstream.flush()
        failure = self.failureResultOf(getting, UpstreamError)
        self.assertIn("does not tell the size", failure.value.message)

    def test_the_last_piece_is_held_back(self) -> None:
        bench = FilesBench()
        stream = Stream(len(BODY))
        bench.upstream.on(URL, stream)
        sink = Sink()
        getting = bench.get(sink)
        for at in range(0, len(BODY) - 1, 1023):
            stream.send(BODY[at : min(at + 1023, len(BODY) - 1)])
            bench.upstream.flush()
        self.assertLess(len(sink.data), len(BODY) - 1)
        self.assertGreater(len(sink.data), len(BODY) - 1100)
        stream.send(BODY[-1:])
        bench.upstream.flush()
        self.successResultOf(getting)
        self.assertEqual(sink.data, BODY)

    def test_a_slow_client_is_waited_for(self) -> None:
        bench = FilesBench()
        stream = Stream(len(BODY))
        bench.upstream.on(URL, stream)
        sink = Sink(pauses=True)
        getting = bench.get(sink)
        for at in range(0, len(BODY), 1024):
            stream.send(BODY[at : at + 1024])
            bench.upstream.flush()
        self.assertEqual(sink.data, BODY[:1024])
        while sink.producer is not None:
            sink.producer.resumeProducing()
        self.successResultOf(getting)
        self.assertEqual(sink.data, BODY)


class JudgingTests(SynchronousTestCase):
    """What an upload would be refused for is not kept, and its end is not passed on."""

    def refused(self, bench: JudgingBench) -> None:
        failure = self.failureResultOf(bench.get(Sink()), Forbidden)
        self.assertEqual(failure.value.message, bench.sentence)
        self.assertEqual([k for k in bench.store.objects if NAME in k], [])

    def send(self, bench: JudgingBench, stream: Stream, data: bytes) -> None:
        for at in range(0, len(data), 2**16):
            stream.send(data[at : at + 2**16])
            bench.upstream.flush()

    def test_a_small_one_is_refused_before_anything_is_sent(self) -> None:
        bench = JudgingBench()
        stream = Stream(len(BODY))
        bench.upstream.on(URL, stream)
        sink = Sink()
        got = bench.get(sink)
        self.send(bench, stream, BODY)
        self.failureResultOf(got, Forbidden)
        self.assertEqual(sink.data, b"")
        self.refused(bench)

    def test_it_is_remembered(self) -> None:
        bench = JudgingBench()
        self.refused(bench)
        asked = len(bench.upstream.asked)
        self.refused(bench)
        self.assertEqual((len(bench.upstream.asked), bench.judged), (asked, 1))

    def test_a_large_one_is_broken_off_before_its_end(self) -> None:
        body = bytes(3 * WINDOW)
        bench = JudgingBench(wheel(body))
        stream = Stream(len(body))
        bench.upstream.on(URL, stream)
        sink = Sink()
        got = bench.get(sink)
        half = len(body) // 2
        self.send(bench, stream, body[:half])
        self.assertGreater(len(sink.data), 0)
        self.send(bench, stream, body[half:])
        self.failureResultOf(got, Forbidden)
        self.assertLess(len(sink.data), len(body))
        self.refused(bench)

    def test_a_kind_that_is_not_known_is_not_judged(self) -> None:
        name = "acme-1.0.rpm"
        bench = JudgingBench(file(name, BODY))
        bench.upstream.on(f"{FILES}/{name}", ranged(BODY))
        sink = Sink()
        self.successResultOf(bench.get(sink, name))
        self.assertEqual((sink.data, bench.judged), (BODY, 0))


class CachingTests(CommonTests, SynchronousTestCase):
    bench_type = CachedBench

    def files_asked(self, bench: FilesBench) -> int:
        return sum(url.startswith(FILES) for url in bench.upstream.urls())

    def test_kept(self) -> None:
        bench = CachedBench()
        self.successResultOf(bench.get(Sink()))
        self.assertEqual(bench.store.objects[KEY].data, BODY)
        self.assertFalse(any(k.startswith(".index") for k in bench.store.objects))

    def test_later_ones_ask_nothing(self) -> None:
        bench = CachedBench()
        self.successResultOf(bench.get(Sink()))
        bench.clock.advance(10 * DAY)
        asked = len(bench.upstream.asked)
        sink = Sink()
        self.successResultOf(bench.get(sink))
        self.assertEqual(sink.data, BODY)
        self.assertEqual(len(bench.upstream.asked), asked)
        located = self.successResultOf(bench.locate())
        self.assertEqual(located.key, KEY)

    def test_an_upstream_that_is_cut_off(self) -> None:
        digest = {"sha256": sha256(METADATA).hexdigest()}
        bench = CachedBench(described(digest))
        bench.upstream.on(f"{URL}.metadata", page(METADATA, "text/plain"))
        self.successResultOf(bench.get(Sink()))
        self.successResultOf(bench.get(Sink(), f"{NAME}.metadata"))
        later = CachedBench(bench.told, store=bench.store)
        later.upstream.refuses |= {HOST, "files.example"}
        for filename, body in ((NAME, BODY), (f"{NAME}.metadata", METADATA)):
            sink = Sink()
            self.successResultOf(later.get(sink, filename))
            self.assertEqual(sink.data, body)
        self.assertEqual(later.upstream.asked, [])
        self.assertTrue(self.successResultOf(later.ask()).stale)

    def test_too_young_though_kept(self) -> None:
        told = wheel(uploaded=moment(START))
        bench = CachedBench(told)
        self.successResultOf(bench.get(Sink()))
        later = CachedBench(told, store=bench.store, rules=UpstreamRules(min_age=DAY))
        failure = self.failureResultOf(later.get(Sink()), RefusedByRule)
        self.assertEqual(failure.value.rule, "min-age")
        self.assertEqual(failure.value.until, START + DAY)
        # The kept page tells the file's age when the upstream cannot.
        later.upstream.refuses.add(HOST)
        later.clock.advance(DAY + 1)
        self.successResultOf(later.get(Sink()))

    def test_old_enough_for_having_been_kept(self) -> None:
        """Nothing is asked, not even when the page is too old to be believed."""
        rules = UpstreamRules(min_age=DAY)
        bench = CachedBench(wheel(uploaded=moment(START - DAY)), rules=rules)
        bench.store.clock = bench.clock.seconds
        self.successResultOf(bench.get(Sink()))
        asked = len(bench.upstream.asked)
        bench.upstream.refuses |= {HOST, "files.example"}
        bench.clock.advance(30 * DAY)
        sink = Sink()
        self.successResultOf(bench.get(sink))
        self.assertEqual(sink.data, BODY)
        self.assertEqual(len(bench.upstream.asked), asked)

    def test_one_fetch_for_all(self) -> None:
        bench = CachedBench()
        stream = Stream(len(BODY))
        bench.upstream.on(URL, stream)
        sinks = [Sink(), Sink(pauses=True), Sink()]
        getting = [bench.get(sink) for sink in sinks]
        parts = Sink()
        getting.append(bench.get(parts, part=ByteRange(500, 5000)))
        for at in range(0, len(BODY) - 1024, 1024):
            stream.send(BODY[at : at + 1024])
            bench.upstream.flush()
        # All that came but the last piece, which waits for the digest.
        self.assertEqual(sinks[0].data, BODY[:-2048])
        self.assertEqual(parts.data, BODY[500:5000])
        # A client that is half-way when another one comes.
        late = Sink()
        getting.append(bench.get(late))
        self.assertEqual(late.data, BODY[:-2048])
        stream.send(BODY[-1024:])
        bench.upstream.flush()
        while sinks[1].producer is not None:
            sinks[1].producer.resumeProducing()
        for one in getting:
            self.successResultOf(one)
        for sink in (*sinks, late):
            self.assertEqual(sink.data, BODY)
        self.assertEqual(self.files_asked(bench), 1)

    def put_calls(self, bench: FilesBench) -> list[str]:
        return [key for call, key in bench.store.calls if call == "put"]

    def test_metadata_is_fetched_once_while_it_is_being_kept(self) -> None:
        bench = CachedBench(described({"sha256": sha256(METADATA).hexdigest()}))
        bench.upstream.on(f"{URL}.metadata", page(METADATA, "text/plain"))
        waiting: Deferred[None] = Deferred()
        bench.store.before = lambda call, key: waiting if call == "put" else None
        sinks = [Sink() for _ in range(3)]
        for sink in sinks:
            self.successResultOf(bench.get(sink, f"{NAME}.metadata"))
            self.assertEqual(sink.data, METADATA)
        self.assertEqual(self.files_asked(bench), 1)
        waiting.callback(None)
        self.assertEqual(self.put_calls(bench).count(f"{KEY}.metadata"), 1)

    def test_who_looked_too_early_finds_it_all_the_same(self) -> None:
        """The store said that it is not there, and another put it there meanwhile."""
        digest = sha256(METADATA).hexdigest()
        for filename in (NAME, f"{NAME}.metadata"):
            bench = CachedBench(described({"sha256": digest}))
            bench.upstream.on(f"{URL}.metadata", page(METADATA, "text/plain"))
            waiting: Deferred[None] = Deferred()
            bench.store.after = partial(_held, "list", waiting)
            early = Sink()
            getting = bench.get(early, filename)
            bench.store.after = partial(_held, "", waiting)
            self.successResultOf(bench.get(Sink(), filename))
            waiting.callback(None)
            self.successResultOf(getting)
            self.assertIn(early.data, (BODY, METADATA))
            self.assertEqual(self.files_asked(bench), 1)

    def test_large_files_are_read_from_the_spool_and_the_store(self) -> None:
        body = BODY * 500
        bench = CachedBench(wheel(body))
        stream = Stream(len(body))
        bench.upstream.on(URL, stream)
        fast, slow, last = Sink(), Sink(pauses=True), Sink(pauses=True)
        getting = [bench.get(sink) for sink in (fast, slow, last)]
        half = len(body) // 2
        self.assertGreater(half, 2 * WINDOW)
        step = 64 * 1024
        for at in range(0, half, step):
            stream.send(body[at : min(half, at + step)])
            bench.upstream.flush()
        # Far behind: out of the spool.
        for _ in range(10):
            slow.producer.resumeProducing()
        self.assertEqual(slow.data, body[: len(slow.data)])
        self.assertGreater(len(slow.data), 9 * step)
        stream.send(body[half:])
        bench.upstream.flush()
        # Out of the store, as the spool is gone.
        for sink in (slow, last):
            while sink.producer is not None:
                sink.producer.resumeProducing()
        for one in getting:
            self.successResultOf(one)
        for sink in (fast, slow, last):
            self.assertEqual(sink.data, body)

    def test_many_at_once_share_what_is_at_hand(self) -> None:
        """Else a thousand of them would take two gigabytes."""
        room = 40_000
        bench = CachedBench()
        fill = CacheFill(
            Link("acme", NAME, URL, DIGEST, len(BODY)),
            UpstreamIndex(BASE),
            KEY,
            bench.client,
            bench.store,
            lambda: room,
        )
        for _ in range(20):
            fill._arrived(bytes(1000))
        self.assertEqual(len(fill._window), 20_000)
        room = 3000
        for _ in range(20):
            fill._arrived(bytes(1000))
            self.assertLessEqual(len(fill._window), 2 * room)
        # What may not be passed on yet is not in the past.
        fill._arrived(bytes(9000))
        self.assertGreaterEqual(len(fill._window), 9000)

    def test_how_much_each_of_them_has(self) -> None:
        bench = CachedBench()
        self.assertEqual(bench.files._window(), WINDOW)
        bench.files._fills = dict.fromkeys(map(str, range(1000)))
        self.assertEqual(bench.files._window(), WINDOWS // 1000)

    def test_emptied_under_a_slow_client(self) -> None:
        """The rest is nowhere: an answer that has begun can only be broken off."""
        body = BODY * 500
        bench = CachedBench(wheel(body))
        stream = Stream(len(body))
        bench.upstream.on(URL, stream)
        slow = Sink(pauses=True)
        getting = bench.get(slow)
        for at in range(0, len(body), 100_000):
            stream.send(body[at : at + 100_000])
            bench.upstream.flush()
        bench.store.objects.clear()
        while slow.producer is not None:
            slow.producer.resumeProducing()
        failure = self.failureResultOf(getting, StoreError)
        self.assertIn("cache was emptied", failure.value.message)
        self.assertLess(len(slow.data), len(body))

    def test_a_client_that_goes_away_leaves_it_to_the_store(self) -> None:
        bench = CachedBench()
        stream = Stream(len(BODY))
        bench.upstream.on(URL, stream)
        getting = bench.get(Sink())
        getting.cancel()
        self.failureResultOf(getting, CancelledError)
        stream.send(BODY)
        bench.upstream.flush()
        self.assertEqual(bench.store.objects[KEY].data, BODY)

    def test_beyond_what_is_fetched_at_once_files_are_passed_on(self) -> None:
        """Whoever asks and goes away costs two open files until his has come."""
        bench = CachedBench()
        bench.files.at_once = 1
        stream, first = Stream(len(BODY)), bench.told
        bench.upstream.on(URL, stream)
        other = file("acme-2.0-py3-none-any.whl", BODY[::-1])
        bench.upstream.on(ACME, page(project("acme", first, other)))
        bench.upstream.on(other["url"], page(BODY[::-1], "x/y"))
        leaves = bench.get(Sink())
        leaves.cancel()
        self.failureResultOf(leaves, CancelledError)
        bench.told, sink = other, Sink()
        self.successResultOf(bench.get(sink, other["filename"]))
        self.assertEqual(sink.data, BODY[::-1])
        self.assertFalse(any("acme-2.0" in key for key in bench.store.objects))
        # Who joins a file on its way costs nothing more.
        bench.told = first
        joins = bench.get(Sink())
        stream.send(BODY)
        bench.upstream.flush()
        self.successResultOf(joins)
        self.assertEqual(bench.store.objects[KEY].data, BODY)
        bench.told = other
        self.successResultOf(bench.get(Sink(), other["filename"]))
        self.assertTrue(any("acme-2.0" in key for key in bench.store.objects))

    def test_a_broken_body_is_continued(self) -> None:
        bench = CachedBench()
        bench.upstream.on(URL, truncated(BODY[:-100], "x/y"), ranged(BODY))
        # The double promises 100 bytes more than it sends.
        sink = Sink()
        self.successResultOf(bench.get(sink))
        self.assertEqual(sink.data, BODY)
        self.assertEqual(
            bench.upstream.asked[-1].header("range"), f"bytes={len(BODY) - 100}-"
        )

    def test_a_wrong_file_is_fetched_anew(self) -> None:
        bench = CachedBench()
        wrong = BODY[:-1] + b"!"
        bench.upstream.on(URL, page(wrong, "x/y"), page(BODY, "x/y"))
        self.failureResultOf(bench.get(Sink()), UpstreamError)
        self.successResultOf(bench.get(Sink()))
        self.assertEqual(self.files_asked(bench), 2)

    def test_of_a_size_that_nobody_tells(self) -> None:
        """It is given when all of it has come: a client must hear a length before."""
        told = wheel()
        del told["size"]
        for answer in (unframed(BODY, "x/y"), chunked(BODY)):
            bench = CachedBench(told)
            bench.upstream.on(URL, answer)
            sink = Sink()
            getting = bench.get(sink)
            bench.upstream.flush()
            download = self.successResultOf(getting)
            self.assertEqual((sink.data, download.info.size), (BODY, len(BODY)))
            self.assertEqual(bench.store.objects[KEY].data, BODY)
            part = Sink()
            self.successResultOf(bench.get(part, part=ByteRange(5, 9)))
            self.assertEqual(part.data, BODY[5:9])
            self.assertEqual(self.files_asked(bench), 1)

    def test_of_no_size_and_not_right(self) -> None:
        told = wheel()
        del told["size"]
        for body, untold in ((BODY[:-1], 2**30), (BODY + b"!", 2**30), (BODY, 4000)):
            bench = CachedBench(told)
            bench.client.limits = evolve(bench.client.limits, untold=untold)
            bench.upstream.on(URL, unframed(body, "x/y"))
            sink = Sink()
            getting = bench.get(sink)
            bench.upstream.flush()
            self.failureResultOf(getting, UpstreamError)
            self.assertEqual(sink.data, b"")
            self.assertNotIn(KEY, bench.store.objects)

    def test_of_unknown_digest_is_not_kept(self) -> None:
        bench = CachedBench(wheel(hashes={}))
        sink = Sink()
        self.successResultOf(bench.get(sink))
        self.assertEqual(sink.data, BODY)
        self.assertEqual([k for k in bench.store.objects if NAME in k], [])

    def test_metadata_of_unknown_digest_is_not_kept(self) -> None:
        bench = CachedBench(described(True))
        bench.upstream.on(f"{URL}.metadata", page(METADATA, "text/plain"))
        self.successResultOf(bench.get(Sink(), f"{NAME}.metadata"))
        self.assertEqual([k for k in bench.store.objects if NAME in k], [])

    def test_a_store_without_room_does_not_keep_a_client_from_its_file(self) -> None:
        bench = CachedBench()
        bench.store.fail_next("begin", StoreError("away"))
        sink = Sink()
        self.successResultOf(bench.get(sink))
        self.assertEqual(sink.data, BODY)

    def test_a_store_that_fails_at_the_end(self) -> None:
        bench = CachedBench()
        bench.store.fail_next("commit", StoreError("away"))
        sink = Sink()
        self.successResultOf(bench.get(sink))
        self.assertEqual(sink.data, BODY)
        self.successResultOf(bench.get(Sink()))
        self.assertEqual(bench.store.objects[KEY].data, BODY)

    def test_another_process_was_first(self) -> None:
        bench = CachedBench()
        stream = Stream(len(BODY))
        bench.upstream.on(URL, stream)
        sink = Sink()
        getting = bench.get(sink)
        bench.store.add(KEY, BODY)
        stream.send(BODY)
        bench.upstream.flush()
        self.successResultOf(getting)
        self.assertEqual(sink.data, BODY)
        self.assertEqual(bench.store.objects[KEY].data, BODY)

    def test_what_was_kept_is_gone(self) -> None:
        bench = CachedBench()
        for _ in range(2):
            self.successResultOf(bench.get(Sink()))
        located = self.successResultOf(bench.locate())
        del bench.store.objects[KEY]
        opening: Any = located.open(None)
        download: IDownload = self.successResultOf(started(opening))
        sink = Sink()
        self.successResultOf(started(download.deliver(sink)))
        self.assertEqual(sink.data, BODY)
        self.assertEqual(bench.store.objects[KEY].data, BODY)

    def test_the_cache_may_be_emptied_at_any_time(self) -> None:
        """By a bucket's lifecycle: clients are not sent there for what is gone."""
        bench = CachedBench()
        for _ in range(2):
            self.successResultOf(bench.get(Sink()))
        self.assertEqual(self.successResultOf(bench.locate()).key, KEY)
        del bench.store.objects[KEY]
        bench.clock.advance(61)
        self.assertIsNone(self.successResultOf(bench.locate()).key)

    def test_names_are_listed_once_for_all(self) -> None:
        bench = CachedBench()
        self.successResultOf(bench.get(Sink()))
        held: Deferred[None] = Deferred()
        bench.store.after = lambda operation, key: held
        asked = [started(bench.files.names()) for _ in range(3)]
        bench.store.after = lambda operation, key: None
        held.callback(None)
        for names in asked:
            self.assertEqual(self.successResultOf(names), {ACME_NAME})
        self.assertEqual(bench.store.calls.count(("list", CACHE)), 1)

    def test_names_while_the_store_is_away(self) -> None:
        bench = CachedBench()
        bench.store.fail_next("list", StoreError("away"))
        self.failureResultOf(started(bench.files.names()), StoreError)
        self.successResultOf(bench.get(Sink()))
        self.successResultOf(started(bench.files.names()))
        bench.clock.advance(61)
        bench.store.fail_next("list", StoreError("away"))
        names = self.successResultOf(started(bench.files.names()))
        self.assertEqual(names, {ACME_NAME})

    def test_names(self) -> None:
        bench = CachedBench()
        names = bench.files.names
        self.assertEqual(self.successResultOf(started(names())), frozenset())
        self.successResultOf(bench.ask())
        self.assertTrue(any(k.startswith(PAGES) for k in bench.store.objects))
        self.assertEqual(self.successResultOf(started(names())), frozenset())
        self.successResultOf(bench.get(Sink()))
        self.assertEqual(self.successResultOf(started(names())), {ACME_NAME})
        bench.store.add(".cache/beta/x/y", b"")
        bench.clock.advance(61)
        self.assertEqual(
            self.successResultOf(started(names())), {ACME_NAME, project_name("beta")}
        )

    def test_names_that_the_rules_hide(self) -> None:
        """They may be younger than what is kept."""
        rules = UpstreamRules(
            private=(RuleEntry.parse("corp-*"),), deny=(RuleEntry.parse("evil"),)
        )
        bench = CachedBench(rules=rules)
        for name in ("corp-x", "evil", "fine"):
            bench.store.add(f".cache/{name}/x/y", b"")
        names = self.successResultOf(started(bench.files.names()))
        self.assertEqual(names, {project_name("fine")})

    def test_stopping(self) -> None:
        bench = CachedBench()
        bench.upstream.on(URL, Stream(len(BODY)))
        getting = bench.get(Sink())
        self.successResultOf(started(bench.files.close()))
        failure = self.failureResultOf(getting, StoreError)
        self.assertIn("The server is stopping", failure.value.message)
        self.assertNotIn(KEY, bench.store.objects)

    def test_stopping_with_nothing_to_do(self) -> None:
        self.successResultOf(started(CachedBench().files.close()))


class Transport:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def pauseProducing(self) -> None:
        self.told.append("pause")

    def resumeProducing(self) -> None:
        self.told.append("resume")

    def abortConnection(self) -> None:
        self.told.append("abort")


class BodyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.body = receive(self.clock, 10, HOST)
        self.transport = Transport()
        # Twisted's is not typed.
        self.body.makeConnection(self.transport)  # type: ignore[no-untyped-call]

    def test_back_pressure(self) -> None:
        body, told = self.body, self.transport.told
        body.dataReceived(bytes(HIGH_WATER))
        self.assertEqual(told, [])
        body.dataReceived(b"x")
        self.assertEqual(told, ["pause"])
        # Nobody reads: that is no silence of the upstream's.
        self.clock.advance(100)
        got = self.successResultOf(started(body.read()))
        self.assertEqual(len(got), HIGH_WATER + 1)
        reading = started(body.read())
        self.assertEqual(told, ["pause", "resume"])
        self.clock.advance(11)
        failure = self.failureResultOf(reading, Slow)
        self.assertIn("sent nothing for 10 s", failure.value.message)
        self.assertEqual(told[2:], ["abort"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_bytes_that_come_one_by_one(self) -> None:
        for _ in range(HIGH_WATER + 1):
            self.body.dataReceived(b"x")
        self.assertEqual(self.transport.told, ["pause"])
        got = self.successResultOf(started(self.body.read()))
        self.assertEqual(len(got), HIGH_WATER + 1)

    def test_given_up(self) -> None:
        reading = started(self.body.read())
        self.body.abort()
        self.body.abort()
        self.body.dataReceived(b"x")
        self.failureResultOf(reading, Truncated)
        self.failureResultOf(started(self.body.read()), Truncated)
        self.assertEqual(self.transport.told, ["abort"])

    def test_little_is_read_to_its_end(self) -> None:
        self.body.dataReceived(b"x")
        self.body.drain()
        self.body.dataReceived(b"y")
        self.body.connectionLost(Failure(ResponseDone()))
        self.assertEqual(self.transport.told, [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_much_is_not_drained(self) -> None:
        self.body.drain()
        self.body.dataReceived(bytes(DRAIN_BYTES))
        self.assertEqual(self.transport.told, [])
        self.body.dataReceived(b"x")
        self.assertEqual(self.transport.told, ["abort"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_much_that_is_there_is_not_drained(self) -> None:
        self.body.dataReceived(bytes(DRAIN_BYTES + 1))
        self.body.drain()
        self.assertEqual(self.transport.told, ["abort"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_slow_ones_are_not_drained(self) -> None:
        self.body.drain()
        self.clock.advance(DRAIN_SECONDS + 1)
        self.assertEqual(self.transport.told, ["abort"])

    def test_what_was_paused_is_drained(self) -> None:
        self.body.dataReceived(bytes(HIGH_WATER + 1))
        self.successResultOf(started(self.body.read()))
        self.body.drain()
        self.assertEqual(self.transport.told, ["pause", "resume"])
        self.body.abort()
