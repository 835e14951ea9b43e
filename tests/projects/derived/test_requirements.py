from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.errors import BadRequest
from pypicloud_tw.projects.derived.requirements import (
    LONGEST_LINE,
    MOST_REQUIRED,
    headers_of,
    one_line,
    read_searched,
)
from tests.builders import metadata


class RequirementTests(SynchronousTestCase):
    def required(self, *requirements: str) -> tuple[str, ...]:
        lines = "".join(f"Requires-Dist: {one}\n" for one in requirements)
        return read_searched(metadata() + lines.encode()).requires

    def test_names_are_normalized_and_named_once(self) -> None:
        found = self.required(
            "Zope.Interface>=5",
            "acme_tool[x,y] (>1) ; extra == 'a'",
            "acme-tool",
            "x@https://example.org/x.whl",
        )
        self.assertEqual(found, ("acme-tool", "x", "zope-interface"))

    def test_what_is_none_is_left_out(self) -> None:
        self.assertEqual(self.required("???", "-x", "", "a" * 300), ())

    def test_there_are_not_too_many(self) -> None:
        many = self.required(*(f"p{number}" for number in range(MOST_REQUIRED + 5)))
        self.assertEqual(len(many), MOST_REQUIRED)

    def test_keywords(self) -> None:
        searched = read_searched(metadata() + b"Keywords: web, ,fast\x1b[31m\n")
        self.assertEqual(searched.keywords, "web, fast [31m")

    def test_the_description_is_not_read(self) -> None:
        headers = metadata() + b"Requires-Dist: acme\n"
        for end in (b"\n", b"\r\n\r\n"):
            whole = headers.rstrip(b"\n") + b"\n" + end + b"Requires-Dist: x\n" * 9
            self.assertEqual(read_searched(headers_of(whole)).requires, ("acme",))

    def test_too_much_is_refused(self) -> None:
        self.assertRaises(BadRequest, self.required, *["x"] * 6000)


class OneLineTests(SynchronousTestCase):
    def test_controls_and_marks_of_direction_are_no_text(self) -> None:
        self.assertEqual(one_line("a\r\n\x00b\u202egnp\u2028c\ud800"), "a b gnp c")

    def test_nothing_is_nothing(self) -> None:
        for text in (None, "", " \n\t", "\u202e"):
            self.assertIsNone(one_line(text))

    def test_a_megabyte_is_cut(self) -> None:
        self.assertEqual(one_line("x" * 2**20), "x" * LONGEST_LINE)

    @given(st.text())
    def test_whatever_comes_can_be_shown_and_written(self, text: str) -> None:
        line = one_line(text)
        if line is not None:
            self.assertTrue(line.isprintable())
            line.encode()
