from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.web.http.conditions import is_not_modified
from pypicloud_tw.web.http.fields import http_date, parse_http_date

MOMENT = datetime(2024, 5, 6, 7, 8, 9, 500000, tzinfo=UTC)


class NotModifiedTests(SynchronousTestCase):
    def test_tags_that_match(self) -> None:
        for value in [
            b'"a"',
            b'W/"a"',
            b"*",
            b" * ",
            b'"b", "a"',
            b'"b",W/"a" , "c"',
            b'"x,y", "a"',
            b'"b" "a"',
        ]:
            self.assertTrue(is_not_modified(value, b'"a"'), value)

    def test_tags_that_do_not(self) -> None:
        for value in [b"", b'"b"', b"a", b'"A"', b'"a', b'"b, "a"', b'"x"a"y"']:
            self.assertFalse(is_not_modified(value, b'"a"'), value)

    def test_weak_tag_of_ours(self) -> None:
        self.assertTrue(is_not_modified(b'"a"', b'W/"a"'))

    def test_dates(self) -> None:
        for value, expected in [
            (b"Mon, 06 May 2024 07:08:09 GMT", True),
            (b"Mon, 06 May 2024 07:08:10 GMT", True),
            (b"Mon, 06 May 2024 07:08:08 GMT", False),
            (b"Monday, 06-May-24 07:08:09 GMT", True),
            (b"Mon May  6 07:08:09 2024", True),
            (b"yesterday", False),
            (b"", False),
        ]:
            self.assertEqual(
                is_not_modified(None, b'"a"', value, MOMENT), expected, value
            )

    def test_date_is_ignored_where_there_is_a_tag(self) -> None:
        since = http_date(MOMENT)
        self.assertFalse(is_not_modified(b'"b"', b'"a"', since, MOMENT))

    def test_date_without_a_date(self) -> None:
        self.assertFalse(is_not_modified(None, b'"a"', http_date(MOMENT), None))
        self.assertFalse(is_not_modified(None, b'"a"', None, MOMENT))

    def test_http_date_is_in_gmt(self) -> None:
        elsewhere = MOMENT.astimezone(timezone(timedelta(hours=5)))
        self.assertEqual(http_date(elsewhere), b"Mon, 06 May 2024 07:08:09 GMT")

    @settings(max_examples=100, deadline=None)
    @given(st.datetimes(timezones=st.just(UTC), min_value=datetime(1970, 1, 1)))
    def test_dates_round_trip(self, moment: datetime) -> None:
        whole = moment.replace(microsecond=0)
        self.assertEqual(parse_http_date(http_date(moment)), whole)

    @settings(max_examples=300, deadline=None)
    @given(
        st.binary(max_size=40)
        | st.text("Mon, 06aye2024:GT+-0123456789 ").map(str.encode)
    )
    @example(b"Mon, 06 May 2024 07:08:09 +9999")
    @example(b"Mon, 06 May 0000 07:08:09 GMT")
    @example(b"Mon, 06 May 99999999999 07:08:09 GMT")
    @example(b"31 Dec 9999 23:59:59 -2359")
    @example(b" ")
    @example(b"(")
    @example(b"0 0 0 0:0:0 " + b"9" * 5000)
    def test_any_bytes_as_date(self, value: bytes) -> None:
        is_not_modified(None, b'"a"', value, MOMENT)
