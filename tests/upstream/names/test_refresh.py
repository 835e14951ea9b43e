"""The upstream's list of names: fetched, kept, and asked."""

from __future__ import annotations

import gzip
import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.errors import StoreError, UpstreamError
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.upstream.failures import AskingFailed
from pypicloud_tw.upstream.names import refresh as module
from pypicloud_tw.upstream.names.listed import FOLDER, NamesElsewhere
from pypicloud_tw.upstream.names.packed import LookAlikes
from pypicloud_tw.upstream.names.refresh import NamesReader
from pypicloud_tw.upstream.parse import ACCEPT
from pypicloud_tw.upstream.source import sources
from tests.upstream.doubles import BASE, JSON, page, started, status, truncated
from tests.upstream.test_pages import Bench

ACME = NormalizedName("acme-utils")


def listing(*names: str) -> bytes:
    projects = [{"name": name} for name in names]
    return json.dumps({"meta": {}, "projects": projects}).encode()


class NamesBench(Bench):
    """Two servers of an index."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.names = self.make(**options)
        self.reader = NamesReader(
            self.client, sources([BASE]), self.make(), self.offload, self.clock
        )

    def make(self, **options: Any) -> NamesElsewhere:
        return NamesElsewhere(self.store, self.offload, self.clock, (BASE,), **options)


class RefreshTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.bench = NamesBench()
        self.upstream = self.bench.upstream

    def refresh(self) -> str:
        return self.successResultOf(started(self.bench.reader.refresh()))

    def warnings(self, name: NormalizedName = ACME) -> tuple[str, ...]:
        found = started(self.bench.names.warnings_of_new(name))
        return self.successResultOf(found)

    def test_read_and_asked(self) -> None:
        self.upstream.on(BASE, page(listing("Acme_Utils", "other"), JSON))
        self.assertEqual(self.refresh(), "the upstream's list of names was read")
        (asked,) = self.upstream.asked
        self.assertEqual(asked.url, BASE)
        self.assertEqual(asked.header("accept"), ACCEPT)
        self.assertEqual(asked.header("accept-encoding"), "gzip")
        (warning,) = self.warnings()
        self.assertIn(f"another project of that name is at {BASE}", warning)
        self.assertEqual(self.warnings(NormalizedName("acme")), ())
        # The upstream was told no name.
        self.assertEqual(len(self.upstream.asked), 1)

    def test_searched(self) -> None:
        """As often as one likes: the upstream hears nothing, and the store once."""
        names = self.bench.names
        self.assertEqual(self.searched(names), ())
        self.upstream.on(BASE, page(listing("Acme_Utils", "other"), JSON))
        self.refresh()
        self.bench.clock.advance(60)
        for _ in range(2):
            self.assertEqual(self.searched(names), (b"\nacme-utils\nother\n",))
        self.assertEqual(len(self.upstream.asked), 1)
        gets = [k for o, k in self.bench.store.calls if o == "get" and FOLDER in k]
        self.bench.clock.advance(30)
        self.searched(names)
        again = [k for o, k in self.bench.store.calls if o == "get" and FOLDER in k]
        self.assertEqual(gets, again)

    def test_a_search_goes_on_without_a_list(self) -> None:
        self.bench.store.fail_next("get", StoreError("The store is away."))
        self.assertEqual(self.searched(self.bench.names), ())

    def searched(self, names: NamesElsewhere) -> tuple[bytes, ...]:
        """Return the only list's parts; none if there are none."""
        (parts,) = self.successResultOf(started(names.to_search()))
        return parts

    def test_compressed(self) -> None:
        body = gzip.compress(listing("acme-utils"))
        self.upstream.on(BASE, page(body, JSON, headers={"content-encoding": "gzip"}))
        self.refresh()
        self.assertEqual(len(self.warnings()), 1)

    def test_asked_conditionally(self) -> None:
        self.upstream.on(BASE, page(listing("acme-utils"), JSON, etag='"1"'))
        self.refresh()
        self.assertEqual(self.refresh(), "the upstream's list of names is as it was")
        self.assertEqual(self.upstream.asked[1].header("if-none-match"), '"1"')
        self.assertEqual(len(self.warnings()), 1)

    def test_failures(self) -> None:
        self.upstream.on(BASE, page(listing("acme-utils"), JSON))
        self.refresh()
        odd = page(b"", JSON, headers={"content-encoding": "br"})
        for behaviour, kind, cause in (
            (status(503), AskingFailed, "503"),
            (page(b"<html></html>", "text/html"), UpstreamError, "is neither JSON"),
            (truncated(listing("x")), UpstreamError, "ended"),
            (odd, UpstreamError, "unknown coding"),
        ):
            self.bench.wait(120)
            self.upstream.on(BASE, behaviour)
            refreshing = started(self.bench.reader.refresh())
            self.upstream.flush()
            error = self.failureResultOf(refreshing, kind).value
            self.assertIn(cause, error.message)
        # What was known is known still.
        self.assertEqual(len(self.warnings()), 1)

    def test_an_upstream_without_a_list(self) -> None:
        self.upstream.on(BASE, status(404))
        self.assertEqual(self.refresh(), "there is no list of names at the upstream")

    def test_too_long(self) -> None:
        self.patch(module, "MAX_LIST", 10)
        self.upstream.on(BASE, page(listing("acme-utils"), JSON))
        error = self.failureResultOf(
            started(self.bench.reader.refresh()), UpstreamError
        ).value
        self.assertIn("larger than 10 bytes", error.message)

    def test_look_alikes(self) -> None:
        ours = ("acme-utils", "acme-util", "tool")
        compare = self.bench.names.look_alikes
        self.assertIsNone(self.successResultOf(started(compare(ours))))
        self.upstream.on(BASE, page(listing("acme-utils"), JSON))
        self.refresh()
        self.assertEqual(
            self.successResultOf(started(compare(ours))),
            (
                (BASE, LookAlikes("acme-util", ("acme-utils",))),
                (BASE, LookAlikes("acme-utils", (), same=True)),
            ),
        )
        self.assertIn("look_alikes", self.bench.offload.processed)

    def test_shared_names_are_meant(self) -> None:
        self.bench = NamesBench(shared=frozenset({ACME}))
        self.bench.upstream.on(BASE, page(listing("acme-utils"), JSON))
        self.refresh()
        self.assertEqual(self.warnings(), ())
        compare = self.bench.names.look_alikes({ACME})
        self.assertEqual(self.successResultOf(started(compare)), ())

    def test_a_damaged_list(self) -> None:
        self.upstream.on(BASE, page(listing("acme-utils"), JSON))
        self.refresh()
        (key,) = [key for key in self.bench.store.objects if key.startswith(FOLDER)]
        whole = self.bench.store.objects[key].data
        for data in (
            b"",
            b"{}",
            whole[:-1],
            whole.replace(b'"_format":1', b'"_format":2'),
        ):
            self.successResultOf(started(self.bench.store.put(key, data)))
            self.bench.wait(100)
            self.assertEqual(self.warnings(), ())
            compare = self.bench.names.look_alikes({ACME})
            self.assertIsNone(self.successResultOf(started(compare)))
        self.refresh()
        self.bench.wait(100)
        self.assertEqual(len(self.warnings()), 1)

    def test_no_upload_fails_for_it(self) -> None:
        for _ in range(2):
            self.bench.store.fail_next("get", StoreError("The store is away."))
        self.assertEqual(self.warnings(), ())
        compare = started(self.bench.names.look_alikes({ACME}))
        self.failureResultOf(compare, StoreError)

    def test_many_uploads_look_once_for_what_is_not_there(self) -> None:
        for _ in range(3):
            self.assertEqual(self.warnings(), ())
        self.assertEqual(len(self.bench.store.calls), 1)
        self.bench.wait(61)
        self.upstream.on(BASE, page(listing("acme-utils"), JSON))
        self.refresh()
        self.assertEqual(len(self.warnings()), 1)

    def test_many_uploads_read_it_once(self) -> None:
        self.upstream.on(BASE, page(listing("acme-utils"), JSON))
        self.refresh()
        calls = self.bench.store.calls
        calls.clear()
        for _ in range(3):
            self.assertEqual(len(self.warnings()), 1)
        self.assertEqual([operation for operation, _ in calls], ["get"])
        self.bench.wait(61)
        self.warnings()
        self.assertEqual(len(calls), 2)
