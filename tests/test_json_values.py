"""Values as JSON and back, and what is said of what is none."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import Literal

from attrs import field, frozen
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.concurrency.steps import at_once
from pypicloud_tw.json_values import (
    NotAsDeclared,
    decode,
    encode,
    from_bytes,
    longest,
    to_bytes,
    to_bytes_in_steps,
)


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@frozen
class Part:
    name: str = field(metadata=longest(5))
    colours: frozenset[Colour] | None = None


@frozen
class Whole:
    parts: tuple[Part, ...]
    kind: Literal["a", "b"] = "a"
    words: Mapping[str, str] = field(factory=dict)
    count: int | None = None
    loud: bool = False
    made: datetime | None = None


@frozen
class Line:
    text: str = field(metadata=longest(9, one_line=True))


@frozen
class Measured:
    size: float


parts = st.builds(
    Part,
    st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    st.none() | st.frozensets(st.sampled_from(Colour)),
)
wholes = st.builds(
    Whole,
    st.lists(parts, max_size=3).map(tuple),
    st.sampled_from(["a", "b"]),
    st.dictionaries(st.text("xyz", max_size=3), st.text("xyz", max_size=3)),
    st.none() | st.integers(),
    st.booleans(),
    st.none() | st.datetimes(timezones=st.just(UTC)),
)
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["parts", "kind", "count", "x"]), inner)
    ),
    max_leaves=8,
)


class JsonValuesTests(SynchronousTestCase):
    @given(wholes)
    def test_there_and_back(self, whole: Whole) -> None:
        self.assertEqual(from_bytes(Whole, to_bytes(whole)), whole)

    @given(wholes)
    def test_in_steps_it_is_the_same(self, whole: Whole) -> None:
        self.assertEqual(at_once(to_bytes_in_steps(whole)), to_bytes(whole))

    def test_long_lists_are_written_with_pauses(self) -> None:
        whole = Whole(tuple(Part(str(number)) for number in range(120)))
        self.assertEqual(len(list(to_bytes_in_steps(whole))), 3)
        self.assertEqual(at_once(to_bytes_in_steps(whole)), to_bytes(whole))

    def test_one_line(self) -> None:
        for text in ("a\nb", "a\n", "\0", "\x85", "\u2028"):
            data = to_bytes(Line(text))
            error = self.assertRaises(NotAsDeclared, from_bytes, Line, data)
            self.assertIn("one line", str(error))
        self.assertEqual(from_bytes(Line, to_bytes(Line("ä b"))), Line("ä b"))

    def test_numbers(self) -> None:
        for text, number in (("1", 1.0), ("1.5", 1.5)):
            read = from_bytes(Measured, b'{"size": %b}' % text.encode())
            self.assertEqual((read.size, type(read.size)), (number, float))
        for text in ("true", '"1"', "null", "1" + "0" * 400):
            data = b'{"size": %b}' % text.encode()
            error = self.assertRaises(NotAsDeclared, from_bytes, Measured, data)
            self.assertIn("a number", str(error))

    @given(documents)
    def test_anything_or_a_sentence(self, document: object) -> None:
        try:
            decode(Whole, document)
        except NotAsDeclared as e:
            self.assertRegex(str(e), r"\A[A-Z].*\.\Z")

    def test_sets_have_an_order(self) -> None:
        part = Part("x", frozenset(Colour))
        self.assertEqual(encode(part), {"name": "x", "colours": ["blue", "red"]})

    def test_what_is_wrong_is_named(self) -> None:
        for text, sentence in {
            "[]": "The document must be an object.",
            "{": "This is not a JSON document.",
            "[" * 100_000: "This is not a JSON document.",
            '{"parts": [], "count": NaN}': "NaN and Infinity are not numbers of JSON.",
            "{}": "The field 'parts' is missing.",
            '{"parts": [], "size": 1}': "There is no field 'size'; there are parts, "
            "kind, words, count, loud, made.",
            '{"parts": [], "parts": []}': "The field 'parts' is there twice.",
            '{"parts": [1]}': "The field 'parts[0]' must be an object.",
            '{"parts": [{"name": 1}]}': "The field 'parts[0].name' must be text.",
            '{"parts": [{"name": "longer"}]}': "The field 'parts[0].name' is too long; "
            "it may have 5 characters.",
            '{"parts": [{"name": "\\ud800"}]}': "The field 'parts[0].name' is not "
            "Unicode text.",
            '{"parts": [{"name": "x", "colours": ["green"]}]}': "The field "
            "'parts[0].colours[0]' must be one of red, blue.",
            '{"parts": null}': "The field 'parts' must be a list.",
            '{"parts": [], "kind": "c"}': "The field 'kind' must be one of a, b.",
            '{"parts": [], "count": true}': "The field 'count' must be a whole number.",
            '{"parts": [], "loud": 1}': "The field 'loud' must be true or false.",
            '{"parts": [], "words": {"x": 1}}': "The field 'words.x' must be text.",
            '{"parts": [], "made": "2026-03-01"}': "The field 'made' must be a date "
            "and time such as 2026-03-01T09:30:00Z.",
        }.items():
            error = self.assertRaises(NotAsDeclared, from_bytes, Whole, text.encode())
            self.assertEqual(str(error), sentence)

    def test_a_newer_server_may_say_more(self) -> None:
        document = {"parts": [], "size": 1}
        self.assertEqual(decode(Whole, document, strict=False), Whole(()))

    def test_a_server_may_have_long_texts_of_others(self) -> None:
        document = {"parts": [{"name": "longer"}]}
        self.assertEqual(
            decode(Whole, document, bounded=False), Whole((Part("longer"),))
        )
