"""What is in a store: manifests, servers, advisories, who may do what."""

from __future__ import annotations

import json
from collections.abc import Coroutine
from random import Random
from typing import Any

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw import __version__
from pypicloud_tw.access.document_format import BEGUN
from pypicloud_tw.access.document_format import KEY as ACCESS
from pypicloud_tw.advisories.service import TABLE
from pypicloud_tw.config.configuration import Config
from pypicloud_tw.diagnosis.contents import SAMPLE, TOLD, Contents
from pypicloud_tw.diagnosis.values import Finding
from pypicloud_tw.errors import ObjectUnfit, StoreError
from pypicloud_tw.statistics.counts import DayCounts, day_of, key_of
from tests.builders import wheel
from tests.diagnosis.doubles import levels, the
from tests.doubles import InlineOffload
from tests.web.doubles import Domain, started


class ContentsCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.domain = Domain()
        self.store = self.domain.store
        self.config = Config()
        self.deep = False

    def contents(self) -> Contents:
        index, offload = self.domain.index, InlineOffload()
        return Contents(index, offload, self.config, self.deep, Random(1))

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        doing = started(work)
        self.domain.settle(doing)
        return self.successResultOf(doing)

    def look(self, work: Coroutine[Any, Any, list[Finding]]) -> list[Finding]:
        """Look; nothing in the store is another one than before."""
        before = dict(self.store.objects)
        found: list[Finding] = self.do(work)
        self.assertEqual(dict(self.store.objects), before)
        return found

    def publish(self, name: str = "acme") -> None:
        filename = f"{name}-1.0-py3-none-any.whl"
        self.do(self.domain.publish(filename, wheel(name)))

    def put(self, key: str, data: bytes) -> None:
        self.do(self.store.put(key, data))


class ManifestTests(ContentsCase):
    def manifests(self) -> list[Finding]:
        return self.look(self.contents().manifests())

    def test_none(self) -> None:
        self.assertEqual(levels(self.manifests()), ["ok"])

    def test_whole(self) -> None:
        self.publish()
        (found,) = self.manifests()
        self.assertIn("1 of 1 were read", found.found)
        self.deep = True
        self.assertIn("All 1 can be read", self.manifests()[0].found)

    def test_damaged(self) -> None:
        self.publish()
        self.put(".index/acme.json", b"{")
        for deep in (False, True):
            self.deep = deep
            found = the("fault", self.manifests())
            self.assertEqual(found.subject, "acme")

    def test_what_they_name(self) -> None:
        """Of those that are read, it is looked for."""
        self.publish()
        (key,) = [k for k in self.store.objects if k.endswith(".whl")]
        self.do(self.store.delete(key))
        self.deep = True
        found = the("fault", self.manifests())
        self.assertIn("It is not in the store", found.found)
        self.assertEqual(found.subject, "acme acme-1.0-py3-none-any.whl")

    def test_sample(self) -> None:
        for number in range(SAMPLE + 5):
            self.put(f".index/damaged{number}.json", b"{")
        found = self.manifests()
        self.assertEqual(len(found), TOLD + 1)
        self.assertIn(f"There are {SAMPLE - TOLD} more", found[-1].found)
        self.deep = True
        found = self.manifests()
        self.assertIn(f"There are {SAMPLE + 5 - TOLD} more", found[-1].found)

    def test_one_cannot_be_read_now(self) -> None:
        self.publish()
        self.store.fail_next("get", StoreError("It hiccups."))
        self.assertIn("It hiccups", the("unseen", self.manifests()).found)

    def test_one_that_can_never_be_read(self) -> None:
        """As one that is far too long: to try again helps nobody."""
        self.publish()
        self.store.fail_next("head", ObjectUnfit("No object can have this key."))
        found = the("fault", self.manifests())
        self.assertIn("No object can have this key", found.found)
        self.assertNotIn("Try again", found.advice)

    def test_away(self) -> None:
        """Whoever does the checks says so."""
        self.publish()
        self.store.fail_next("get", StoreError("It is away."))
        self.store.fail_next("ping", StoreError("It is away."))
        doing = started(self.contents().manifests())
        self.domain.settle(doing)
        self.failureResultOf(doing, StoreError)


class OtherTests(ContentsCase):
    def test_access(self) -> None:
        self.assertEqual(levels(self.look(self.contents().access())), ["ok"])
        self.put(BEGUN, b"")
        self.put(ACCESS, b"{")
        found = the("fault", self.look(self.contents().access()))
        self.assertNotEqual(found.found, "")

    def test_unserved(self) -> None:
        self.assertEqual(levels(self.look(self.contents().unserved())), ["ok"])
        self.do(self.domain.index.unserved.tell({"acme": "its wheel is damaged"}))  # type: ignore[dict-item]  # it is normal
        found = the("warning", self.look(self.contents().unserved()))
        self.assertIn("acme (its wheel is damaged)", found.found)

    def counted(self, name: str, version: str) -> None:
        day = day_of(self.domain.clock.seconds())
        self.put(key_of(day, name), DayCounts(version=version).encode())

    def test_servers(self) -> None:
        self.assertEqual(levels(self.look(self.contents().servers())), ["note"])
        self.counted("0123456789abcdef", __version__)
        (found,) = self.look(self.contents().servers())
        self.assertEqual((found.level, found.subject), ("ok", "0123456789abcdef"))
        self.assertIn(f"{__version__}; it wrote just now", found.found)
        self.domain.clock.advance(3000)
        self.assertIn("50 minutes ago", self.look(self.contents().servers())[0].found)

    def test_servers_of_other_versions(self) -> None:
        self.counted("a" * 16, "0.9")
        self.counted("b" * 16, "")
        self.put(key_of(day_of(self.domain.clock.seconds()), "c" * 16), b"damaged")
        found = self.look(self.contents().servers())
        self.assertEqual(levels(found), ["ok", "ok", "ok", "note"])
        self.assertIn("have 0.9", found[-1].found)
        self.assertIn("does not say", found[1].found)

    def test_servers_that_say_their_version(self) -> None:
        """As they write their counts."""
        data = DayCounts(version="1.2.3").encode()
        read = DayCounts.decode(data)
        assert read is not None
        self.assertEqual(read.version, "1.2.3")
        self.assertEqual(DayCounts.decode(DayCounts().encode()), DayCounts())


class AdvisoryTests(ContentsCase):
    def setUp(self) -> None:
        super().setUp()
        advisories = evolve(self.config.advisories, source="https://osv.example/x.zip")
        self.config = evolve(self.config, advisories=advisories)

    def advisories(self) -> Finding:
        (found,) = self.look(self.contents().advisories())
        return found

    def table(self, age: float) -> None:
        now = self.domain.clock.seconds()
        head = {"_format": 1, "source": "x", "state": "", "checked": now - age}
        self.put(TABLE, json.dumps(head).encode() + b"\n" + b"t" * 10_000)

    def test_ages(self) -> None:
        hour = 3600.0
        for age, level in (
            (10.0, "ok"),
            (2 * hour, "ok"),
            (5 * hour, "warning"),
            (80 * hour, "fault"),
        ):
            self.table(age)
            self.assertEqual(self.advisories().level, level, age)
        self.assertIn("80 hours old", self.advisories().found)
        self.assertIn("malware may pass", self.advisories().found)
        closed = evolve(self.config.advisories, when_away="closed")
        self.config = evolve(self.config, advisories=closed)
        self.assertIn("No upstream file passes", self.advisories().found)

    def test_others(self) -> None:
        self.assertEqual(self.advisories().level, "warning")
        self.put(TABLE, b"{}\n")
        self.assertIn("damaged", self.advisories().found)
        self.put(TABLE, b'{"_format": 99}\n')
        self.assertEqual(self.advisories().level, "note")
        self.config = Config()
        self.assertIn("No source", self.advisories().found)
