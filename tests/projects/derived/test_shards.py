from __future__ import annotations

import json
import zlib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.concurrency.steps import at_once
from pypicloud_tw.errors import PreconditionFailed
from pypicloud_tw.index.layout import is_foreign
from pypicloud_tw.projects.derived.shards import (
    SHARDS,
    Shard,
    Shards,
    decode_entry,
    encode_entry,
    merging,
    shard_key,
    shard_of,
)
from pypicloud_tw.projects.derived.values import Described
from pypicloud_tw.store.memory import MemoryStore
from tests.doubles import InlineOffload
from tests.projects.derived.test_table import described
from tests.web.doubles import started


class EntryTests(SynchronousTestCase):
    @given(st.text("\x00\u2028ä🎉ab\n\r ", max_size=9), st.none() | st.integers(0, 9))
    def test_comes_back(self, text: str, minutes: int | None) -> None:
        one = described("acme", text, keywords=text, requires=("x",), minutes=minutes)
        line = encode_entry(one)
        self.assertEqual(decode_entry("acme", line), one)
        self.assertEqual(len(line.splitlines()), 1)

    def test_what_is_not_as_it_was_written_is_none(self) -> None:
        sound = json.loads(encode_entry(described("acme")))
        wrong: tuple[dict[str, Any], ...] = (
            {"status": "gone"},
            {"etag": 7},
            {"summary": ["x"]},
            {"serial": "x"},
            {"uploaded": "2026-03-01T09:30:00"},
            {"requires": [1]},
            {"keywords": None},
        )
        for change in wrong:
            line = json.dumps(sound | change).encode()
            self.assertIsNone(decode_entry("acme", line), change)
        for line in (b"", b"[]", b"{}", b"\xff", b"[" * 100_000):
            self.assertIsNone(decode_entry("acme", line))

    def test_a_later_change_wins(self) -> None:
        def entries(*some: Described) -> dict[str, bytes]:
            return at_once(merging({}, some))

        late, early = described("acme", serial=2), described("acme", "x", serial=1)
        self.assertEqual(at_once(merging(entries(late), [early])), entries(late))
        self.assertEqual(at_once(merging(entries(early), [late])), entries(late))
        again = described("acme", "again", serial=2)
        self.assertEqual(at_once(merging(entries(late), [again])), entries(again))
        self.assertEqual(at_once(merging({"acme": b"?"}, [early])), entries(early))


class ShardTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.store = MemoryStore(InlineOffload())
        self.shards = Shards(self.store, InlineOffload())

    def get(self, work: Any) -> Any:
        return self.successResultOf(started(work))

    def write(self, *some: Described) -> None:
        shard = self.get(self.shards.read(3))
        self.get(self.shards.write(shard, at_once(merging(shard.written, some))))

    @property
    def data(self) -> bytes:
        return self.store.objects[shard_key(3)].data

    def test_comes_back(self) -> None:
        self.assertEqual(self.get(self.shards.read(3)), Shard(3, "absent", {}))
        self.write(described("b", "ä\u2028"), described("a"))
        self.write(described("c"))
        shard = self.get(self.shards.read(3))
        self.assertEqual(sorted(shard.written), ["a", "b", "c"])
        self.assertEqual(shard.entry("b"), described("b", "ä\u2028"))
        self.assertIsNone(shard.entry("d"))
        self.assertEqual(self.get(self.shards.numbers()), [3])

    def test_names_are_spread(self) -> None:
        numbers = {shard_of(f"acme-{number}") for number in range(1000)}
        self.assertEqual(numbers, set(range(SHARDS)))

    def test_is_ours(self) -> None:
        self.assertFalse(is_foreign(shard_key(3)))

    def test_only_as_it_was_read(self) -> None:
        self.write(described("a"))
        for old in (Shard(3, "absent", {}), Shard(3, "sound", {}, "other")):
            work = started(self.shards.write(old, {}))
            self.failureResultOf(work, PreconditionFailed)

    def test_what_is_damaged(self) -> None:
        self.write(described("a"))
        sound = self.data
        head, _, packed = sound.partition(b"\n")
        no_packed = b'{"_format":1,"checksum":%d}\n' % zlib.crc32(b"x") + b"x"
        for data in (b"", b"{}\n", sound[:-1], packed, sound + b"x", head, no_packed):
            self.store.add(shard_key(3), data)
            shard = self.get(self.shards.read(3))
            self.assertEqual((shard.state, dict(shard.written)), ("damaged", {}))

    def test_a_newer_version_is_told_from_a_damaged_one(self) -> None:
        self.store.add(shard_key(3), b'{"_format": 2}\nanything')
        self.assertEqual(self.get(self.shards.read(3)).state, "newer")
