from __future__ import annotations

import json
import zlib
from typing import Any

from hypothesis import given, settings
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
from pypicloud_tw.projects.derived.values import DescribedProject
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
        def after(there: bytes, one: DescribedProject) -> bytes:
            shard = Shard(3, "sound", zlib.compress(b"acme " + there + b"\n"))
            return at_once(merging(shard, [one]))["acme"]

        late, early = described("acme", serial=2), described("acme", "x", serial=1)
        again = described("acme", "again", serial=2)
        self.assertEqual(after(encode_entry(late), early), encode_entry(late))
        self.assertEqual(after(encode_entry(early), late), encode_entry(late))
        self.assertEqual(after(encode_entry(late), again), encode_entry(again))
        self.assertEqual(after(b"?", early), encode_entry(early))


class ShardTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.store = MemoryStore(InlineOffload())
        self.shards = Shards(self.store, InlineOffload())

    def get(self, work: Any) -> Any:
        return self.successResultOf(started(work))

    def write(self, *some: DescribedProject) -> None:
        shard = self.get(self.shards.read(3))
        self.get(self.shards.write(shard, at_once(merging(shard, some))))

    @property
    def data(self) -> bytes:
        return self.store.objects[shard_key(3)].data

    def test_comes_back(self) -> None:
        self.assertEqual(self.get(self.shards.read(3)), Shard(3, "absent"))
        self.write(described("b", "ä\u2028"), described("a"))
        self.write(described("c"))
        shard = self.get(self.shards.read(3))
        self.assertEqual([name for name, _ in shard.lines()], ["a", "b", "c"])
        found = list(shard.entries({"b", "d"}))
        self.assertEqual(found, [described("b", "ä\u2028")])
        self.assertEqual(self.get(self.shards.numbers()), [3])

    def test_names_are_spread(self) -> None:
        numbers = {shard_of(f"acme-{number}") for number in range(1000)}
        self.assertEqual(numbers, set(range(SHARDS)))

    def test_is_ours(self) -> None:
        self.assertFalse(is_foreign(shard_key(3)))

    def test_only_as_it_was_read(self) -> None:
        self.write(described("a"))
        for old in (Shard(3, "absent"), Shard(3, "sound", etag="other")):
            work = started(self.shards.write(old, {}))
            self.failureResultOf(work, PreconditionFailed)

    def test_what_is_damaged(self) -> None:
        self.write(described("a"))
        sound = self.data
        head, _, packed = sound.partition(b"\n")
        for data in (b"", b"{}\n", sound[:-1], packed, sound + b"x", head):
            self.store.add(shard_key(3), data)
            shard = self.get(self.shards.read(3))
            self.assertEqual((shard.state, list(shard.lines())), ("damaged", []), data)

    def test_what_was_never_packed_has_no_lines(self) -> None:
        whole = zlib.compress(b"a x\nb y\n")
        for packed in (b"x", whole[:4]):
            self.assertEqual(list(Shard(3, "sound", packed).lines()), [])
        found = [name for name, _ in Shard(3, "sound", whole).lines()]
        self.assertEqual(found, ["a", "b"])

    @given(st.lists(st.from_regex(r"[a-z]{1,9}", fullmatch=True), max_size=3000))
    @settings(max_examples=10)
    def test_many_lines_come_back(self, names: list[str]) -> None:
        packed = zlib.compress("".join(f"{name} x\n" for name in names).encode())
        found = [name for name, _ in Shard(3, "sound", packed).lines()]
        self.assertEqual(found, names)

    def test_a_newer_version_is_told_from_a_damaged_one(self) -> None:
        self.store.add(shard_key(3), b'{"_format": 2}\nanything')
        self.assertEqual(self.get(self.shards.read(3)).state, "newer")
