"""Which names patterns have in common, held to all short names."""

from __future__ import annotations

from fnmatch import fnmatchcase
from itertools import product

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.administration.authority import may_whole
from pypicloud_tw.access.document import AccessDocument
from pypicloud_tw.access.patterns import covers, is_pattern, matches, overlap
from pypicloud_tw.access.policy import Policy
from pypicloud_tw.access.principal import Principal
from pypicloud_tw.access.settings import AccessSettings
from pypicloud_tw.config.rights import Action, RightLine
from pypicloud_tw.index.names import NormalizedName

#: Every name of up to four letters, of two.
NAMES = [
    "".join(letters)
    for length in range(1, 5)
    for letters in product("ab", repeat=length)
]
patterns = st.text("ab*?", min_size=1, max_size=4)
lines = st.builds(
    RightLine,
    patterns,
    st.just("user"),
    st.sampled_from(["bob", "carol"]),
    st.sampled_from([frozenset({Action.ADMINISTER}), frozenset({Action.READ})]),
    st.just("test"),
)


def names(pattern: str) -> set[str]:
    return {name for name in NAMES if matches(pattern, name)}


class PatternTests(SynchronousTestCase):
    @given(patterns, patterns)
    def test_what_covers_has_every_name(self, wide: str, narrow: str) -> None:
        if covers(wide, narrow):
            self.assertLessEqual(names(narrow), names(wide))

    @given(patterns, patterns)
    def test_what_does_not_overlap_has_no_name_in_common(
        self, one: str, other: str
    ) -> None:
        if not overlap(one, other):
            self.assertEqual(names(one) & names(other), set())

    @given(st.text("ab*?", max_size=8), st.text("ab*?", max_size=8))
    def test_a_match_is_what_a_shell_takes_for_one(
        self, pattern: str, name: str
    ) -> None:
        self.assertEqual(matches(pattern, name), fnmatchcase(name, pattern))

    def test_every_short_match(self) -> None:
        for length in range(5):
            for letters in product("a*?", repeat=length):
                pattern = "".join(letters)
                for name in ("", "a", "aa", "aaa", "ab", "ba", "aba", "b"):
                    expected = fnmatchcase(name, pattern)
                    self.assertEqual(matches(pattern, name), expected, (pattern, name))

    def test_plain_cases(self) -> None:
        for wide, narrow, expected in (
            ("*", "a*", True),
            ("a*", "ab*", True),
            ("a*b", "a*bb", True),
            ("a*", "a", True),
            ("a?", "a?", True),
            ("a*", "*", False),
            ("ab*", "a*", False),
            ("a?", "a*", False),
        ):
            self.assertIs(covers(wide, narrow), expected, (wide, narrow))
        self.assertFalse(overlap("a*", "b*"))
        self.assertFalse(overlap("*a", "*b"))
        self.assertTrue(overlap("a*", "*b"))


class WholeTests(SynchronousTestCase):
    @given(st.lists(lines, max_size=4), st.lists(lines, max_size=4), patterns)
    def test_who_administers_a_pattern_administers_every_name(
        self, fixed: list[RightLine], stored: list[RightLine], pattern: str
    ) -> None:
        policy = Policy(
            AccessSettings(rights=tuple(fixed)), AccessDocument(rights=tuple(stored))
        )
        bob = Principal("bob")
        whole = may_whole(policy, bob, Action.ADMINISTER, pattern)
        each = [
            policy.may(bob, Action.ADMINISTER, NormalizedName(name))
            for name in names(pattern)
        ]
        if whole:
            self.assertTrue(all(each))
        elif not is_pattern(pattern):
            self.assertFalse(all(each))
