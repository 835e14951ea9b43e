"""Texts that would deceive whoever reads them."""

from __future__ import annotations

from html import escape

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.projects.described.texts import (
    CUT,
    clean_line,
    clean_text,
    first_of,
    marked_path,
    marked_text,
)

#: Controls, overrides and isolates of direction, halves of pairs, what is not seen.
DECEIVING = "\0\x07\x1b\x7f\x9b\u202e\u202d\u2066\u2069\u200b\u200f\ufeff\ud800\uffff"


class TextTests(SynchronousTestCase):
    def test_what_is_dropped(self) -> None:
        self.assertEqual(clean_text(f"a{DECEIVING}b\tc"), "ab\tc")
        marks = "\ufffd" * len(DECEIVING)
        self.assertEqual(marked_text(f"a{DECEIVING}b"), f"a{marks}b")

    def test_what_stays(self) -> None:
        """Joiners make emoji and scripts; other alphabets are read as they are."""
        for text in ("a\u200db", "نص", "טקסט", "👩\u200d🔬", "Zażółć", "日本語"):
            self.assertEqual(clean_text(text), text)

    def test_ends_of_lines(self) -> None:
        self.assertEqual(clean_text("a\r\nb\rc\u2028d\x0ce"), "a\nb\nc\nd\ne")
        self.assertEqual(clean_line(" a\r\n\t b\u2029c ", 100), "a b c")

    def test_a_line_is_cut(self) -> None:
        self.assertEqual(clean_line("abcdef", 6), "abcdef")
        self.assertEqual(clean_line("abcdefg", 6), f"abcde{CUT}")
        self.assertEqual(len(clean_line("x" * 10**6, 100)), 100)

    def test_a_path_is_one_line(self) -> None:
        self.assertEqual(marked_path("a\n\u202eb\tc"), "a\ufffd\ufffdb\ufffdc")

    @given(st.text(), st.integers(1, 40))
    def test_first_of_fits_when_escaped(self, text: str, most: int) -> None:
        text = clean_text(text)
        kept = first_of(text, most)
        self.assertTrue(text.startswith(kept))
        self.assertLessEqual(len(escape(kept).encode()), most)

    def test_first_of_keeps_all_that_fits(self) -> None:
        self.assertEqual(first_of("abc", 3), "abc")
        self.assertEqual(first_of("<<<", 8), "<<")
        self.assertEqual(first_of("x" * 10**6, 100), "x" * 100)

    @given(st.text())
    def test_cleaned_can_be_sent_and_cleaned_again(self, text: str) -> None:
        cleaned = clean_text(text)
        cleaned.encode()
        self.assertEqual(clean_text(cleaned), cleaned)
