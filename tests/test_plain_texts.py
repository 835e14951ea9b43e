"""Texts of others are short, and steer nothing."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.plain_texts import printable_lines, shortened


class PlainTextTests(SynchronousTestCase):
    def test_it_shows_where_it_was_cut(self) -> None:
        self.assertEqual(shortened("abcdef", 6), "abcdef")
        self.assertEqual(shortened("abcdefg", 6), "abc...")
        self.assertEqual(shortened("", 6), "")

    def test_it_steers_nothing(self) -> None:
        text = "\x1b]0;title\x07 ä\r\n\u202e"
        self.assertEqual(printable_lines(text), "?]0;title? ä?\n?")
