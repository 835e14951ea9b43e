from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.errors import RangeNotSatisfiable
from pypicloud_tw.store.interfaces import ByteRange
from pypicloud_tw.web.ranges import content_range, resolve
from tests.measures import least_cost

ETAG = b'"abc"'
MODIFIED = datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)


def ask(
    range_header: bytes | None, size: int = 100, if_range: bytes | None = None
) -> ByteRange | None:
    return resolve(range_header, if_range, size, ETAG, MODIFIED)


class SingleRangeTests(SynchronousTestCase):
    def test_no_range_is_the_whole(self) -> None:
        self.assertIsNone(ask(None))

    def test_forms(self) -> None:
        for header, start, stop in [
            (b"bytes=0-0", 0, 1),
            (b"bytes=10-19", 10, 20),
            (b"bytes=10-", 10, 100),
            (b"bytes=-10", 90, 100),
            (b"bytes=-1000", 0, 100),
            (b"bytes=0-1000", 0, 100),
            (b"bytes=99-99", 99, 100),
            (b"BYTES = 1 - 2 ", 1, 3),
            (b"bytes=5-" + b"9" * 6000, 5, 100),
            (b"bytes=-" + b"9" * 6000, 0, 100),
        ]:
            self.assertEqual(ask(header), ByteRange(start, stop), header[:40])

    def test_ignored(self) -> None:
        for header in [
            b"",
            b"bytes",
            b"bytes=",
            b"bytes=-",
            b"bytes=a-b",
            b"bytes=5-4",
            b"bytes=5-+6",
            b"bytes=--5",
            b"bytes=1-2,4-5",
            b"bytes=0-0,200-",
            b"lines=1-2",
            "bytes=\u0661-\u0662".encode(),
            b"\xff\xfe",
        ]:
            self.assertIsNone(ask(header), header)

    def test_long_ones_take_little_time(self) -> None:
        blank = b" " * 16_000
        for header in (
            b"bytes=" + blank + b"x",
            b"bytes=1" + blank + b"x",
            b"bytes=1-" + blank + b"x",
            blank + b"x",
            b"bytes" + blank + b"x",
        ):
            self.assertIsNone(ask(header), header[:10])
            # 1 s, when blanks could be divided between two repetitions.
            self.assertLess(least_cost(partial(ask, header)), 0.25)

    def test_unsatisfiable(self) -> None:
        for header, size in [
            (b"bytes=100-", 100),
            (b"bytes=100-200", 100),
            (b"bytes=-0", 100),
            (b"bytes=0-", 0),
            (b"bytes=" + b"9" * 6000 + b"-", 100),
        ]:
            e = self.assertRaises(RangeNotSatisfiable, ask, header, size)
            self.assertEqual(e.headers["Content-Range"], f"bytes */{size}")
            self.assertIn(f"has {size} bytes", e.message)

    def test_last_bytes_of_nothing(self) -> None:
        self.assertIsNone(ask(b"bytes=-5", 0))

    def test_content_range(self) -> None:
        self.assertEqual(content_range(ByteRange(10, 20), 100), b"bytes 10-19/100")

    @settings(max_examples=100, deadline=None)
    @given(st.binary(max_size=40), st.integers(0, 50))
    def test_any_bytes(self, tail: bytes, size: int) -> None:
        try:
            part = ask(b"bytes=" + tail, size)
        except RangeNotSatisfiable as e:
            self.assertEqual(e.size, size)
        else:
            if part is not None:
                self.assertTrue(0 <= part.start < part.stop <= size)

    @settings(max_examples=100, deadline=None)
    @given(st.integers(0, 120), st.integers(0, 120), st.integers(1, 100))
    def test_agrees_with_slices(self, first: int, last: int, size: int) -> None:
        data = bytes(range(size))
        expected = data[first : last + 1]
        try:
            part = ask(b"bytes=%d-%d" % (first, last), size)
        except RangeNotSatisfiable:
            self.assertEqual(expected, b"")
        else:
            self.assertEqual(part is None, last < first)
            if part is not None:
                self.assertEqual(data[part.start : part.stop], expected)


class IfRangeTests(SynchronousTestCase):
    def test_same(self) -> None:
        for value in (ETAG, b" " + ETAG, b"Mon, 06 May 2024 07:08:09 GMT"):
            self.assertEqual(ask(b"bytes=0-4", if_range=value), ByteRange(0, 5), value)

    def test_other(self) -> None:
        for value in (
            b'"other"',
            b'W/"abc"',
            b"abc",
            b"",
            b"*",
            b"Mon, 06 May 2024 07:08:10 GMT",
            b"Mon, 06 May 2024 07:08:08 GMT",
            b"nonsense",
        ):
            self.assertIsNone(ask(b"bytes=0-4", if_range=value), value)

    def test_comes_before_the_range(self) -> None:
        # RFC 9110, section 13.2.2: where If-Range is false, Range is ignored, even
        # one that could not be satisfied.
        self.assertIsNone(ask(b"bytes=500-", if_range=b'"other"'))

    def test_weak_tag_never_fits(self) -> None:
        self.assertIsNone(resolve(b"bytes=0-4", b'W/"a"', 9, b'W/"a"', None))

    def test_date_without_a_date(self) -> None:
        date = b"Mon, 06 May 2024 07:08:09 GMT"
        self.assertIsNone(resolve(b"bytes=0-4", date, 9, ETAG, None))
