"""Patterns of claims: what a star is, and what it is not."""

from __future__ import annotations

import re
from functools import partial

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.config.claims import (
    Claims,
    as_text,
    fits,
    has_star,
    literal_start,
    mismatches,
    parse_claims,
)
from pypicloud_tw.config.values import BadValueError
from tests.measures import least_cost

TEXT = st.text("ab/*\\:,.", max_size=12)


def escaped(text: str) -> str:
    """Write a text as a pattern that only it fits."""
    return text.replace("\\", "\\\\").replace("*", "\\*")


def as_regex(pattern: str) -> str:
    """Translate a pattern in another way than the code does."""
    made, at = "", 0
    while at < len(pattern):
        if pattern.startswith("**", at):
            made += ".*"
            at += len(pattern[at:]) - len(pattern[at:].lstrip("*"))
        elif pattern[at] == "*":
            made, at = made + "[^/]*", at + 1
        elif pattern[at] == "\\":
            made, at = made + re.escape(pattern[at + 1]), at + 2
        else:
            made, at = made + re.escape(pattern[at]), at + 1
    return made


class PatternTests(SynchronousTestCase):
    def test_table(self) -> None:
        for pattern, value, expected in (
            ("acme/tool", "acme/tool", True),
            ("acme/tool", "acme/tool2", False),
            ("acme/tool", "Acme/Tool", False),
            ("refs/tags/*", "refs/tags/v1.0", True),
            ("refs/tags/*", "refs/tags/", True),
            ("refs/tags/*", "refs/tags/old/v1.0", False),
            ("refs/tags/**", "refs/tags/old/v1.0", True),
            ("refs/tags/*", "refs/heads/refs/tags/v1", False),
            ("acme/*", "acme/tool", True),
            ("acme/*", "acme-evil/tool", False),
            ("*", "", True),
            ("*", "a/b", False),
            ("**", "a/b", True),
            (r"a\*b", "a*b", True),
            (r"a\*b", "axb", False),
            (r"a\\*", r"a\x", True),
            # A branch may be called so, and must not pass for main.
            ("acme/t/.g/*@refs/heads/main", "acme/t/.g/x.yml@refs/heads/main", True),
            (
                "acme/t/.g/*@refs/heads/main",
                "acme/t/.g/x.yml@refs/heads/x@refs/heads/main",
                False,
            ),
        ):
            self.assertIs(fits(pattern, value), expected, (pattern, value))

    @given(TEXT)
    def test_escaped(self, text: str) -> None:
        self.assertTrue(fits(escaped(text), text))
        self.assertFalse(fits(escaped(text), f"{text}a"))
        self.assertFalse(has_star(escaped(text)))
        self.assertEqual(literal_start(escaped(text)), text)

    @given(TEXT, TEXT)
    @example("**a*b/*", "xxa/b/")
    def test_oracle(self, text: str, value: str) -> None:
        pattern = text.replace("\\", "\\\\")
        expected = re.fullmatch(as_regex(pattern), value, re.DOTALL) is not None
        self.assertIs(fits(pattern, value), expected)

    @given(TEXT, TEXT)
    def test_what_fits_begins_with_the_literal(self, text: str, value: str) -> None:
        pattern = text.replace("\\", "\\\\")
        if fits(pattern, value):
            self.assertTrue(value.startswith(literal_start(pattern)))

    def test_no_pattern_takes_long(self) -> None:
        """A regular expression would try every way."""
        many, text = "**a" * 8 + "b", "a" * 1024
        self.assertFalse(fits(many, text))
        self.assertLess(least_cost(partial(fits, many, text)), 0.5)


class ParseTests(SynchronousTestCase):
    def test_items(self) -> None:
        for text, expected in (
            (
                "repository:acme/tool, ref:refs/tags/*",
                (("repository", "acme/tool"), ("ref", "refs/tags/*")),
            ),
            ("sub:repo:acme/tool:ref:x", (("sub", "repo:acme/tool:ref:x"),)),
            ('"sub:a, b",ref:x,', (("sub", "a, b"), ("ref", "x"))),
            ("a:1\nb: 2\n\n, c:3", (("a", "1"), ("b", "2"), ("c", "3"))),
            ("kubernetes.io/x:y z", (("kubernetes.io/x", "y z"),)),
            ("", ()),
            (" , ,\n", ()),
        ):
            self.assertEqual(parse_claims(text), expected, text)

    def test_mistakes(self) -> None:
        for text, part in (
            ("repository", "is not name:value"),
            ("repository:", "no value for repository"),
            (":x", "not the name of a claim"),
            ("a b:x", "not the name of a claim"),
            ("ref:a, ref:b", "names the claim ref twice"),
            ('sub:"a', "double quote"),
            ("sub:a\\b", "backslash in sub"),
            ("sub:" + "*a" * 9, "more than 8 stars"),
            ("sub:" + "a" * 1025, "at most 1024"),
            (",".join(f"c{n}:x" for n in range(33)), "more than 32"),
        ):
            error = self.assertRaises(BadValueError, parse_claims, text)
            self.assertIn(part, str(error))

    @given(st.dictionaries(st.sampled_from("abcdef"), TEXT))
    def test_round_trip(self, values: dict[str, str]) -> None:
        claims: Claims = tuple((n, escaped(v)) for n, v in values.items() if v)
        text = ", ".join(f'"{name}:{value}"' for name, value in claims)
        self.assertEqual(parse_claims(text), claims)


class ValueTests(SynchronousTestCase):
    def test_texts(self) -> None:
        for value, expected in (
            ("x", "x"),
            (True, "true"),
            (False, "false"),
            (12, "12"),
            (-3, "-3"),
            (2**53, None),
            (1.5, None),
            (None, None),
            (["x"], None),
            ({"a": "x"}, None),
        ):
            self.assertEqual(as_text(value), expected)

    def test_mismatches(self) -> None:
        claims = (("repository", "acme/*"), ("ref", "main"), ("environment", "pypi"))
        shown = {"repository": "acme/tool", "ref": "dev"}
        self.assertEqual(mismatches(claims, shown), ["ref", "environment"])
        self.assertEqual(mismatches(claims[:1], shown), [])
