"""Long texts become short ones."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.shortening import shortened


class ShorteningTests(SynchronousTestCase):
    def test_it_shows_where_it_was_cut(self) -> None:
        self.assertEqual(shortened("abcdef", 6), "abcdef")
        self.assertEqual(shortened("abcdefg", 6), "abc...")
        self.assertEqual(shortened("", 6), "")
