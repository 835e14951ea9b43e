"""What a token looks like, and what is not a whole one."""

from __future__ import annotations

import re

from hypothesis import assume, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.tokens.text import (
    PATTERN,
    MintedText,
    UserToken,
    matches,
    minted_id,
    owner_key,
    owner_key_of,
    read_token,
    seal_secret,
)
from pypicloud_tw.errors import Unauthorized

ids = st.binary(min_size=16, max_size=16).map(bytes.hex)
secrets = st.binary(min_size=20, max_size=20)
tokens = st.one_of(
    st.builds(UserToken, ids, secrets),
    st.builds(
        MintedText,
        st.integers(0, 2**32 - 1),
        st.binary(min_size=32, max_size=32).map(bytes.hex),
        secrets,
    ),
)


def fixed(count: int) -> bytes:
    return bytes(range(1, count + 1))


class TextTests(SynchronousTestCase):
    @given(tokens)
    def test_what_is_written_is_read_again(self, token: UserToken | MintedText) -> None:
        self.assertEqual(token, read_token(token.text))

    @given(tokens)
    def test_scanners_find_it_whole(self, token: UserToken | MintedText) -> None:
        line = f'export TWINE_PASSWORD="{token.text}" # not to be committed'
        self.assertEqual([token.text], re.findall(PATTERN, line))

    @given(tokens, st.data())
    def test_one_wrong_character_is_told(
        self, token: UserToken | MintedText, data: st.DataObject
    ) -> None:
        text = token.text
        at = data.draw(st.integers(0, len(text) - 1))
        other = data.draw(st.characters())
        assume(other != text[at])
        self.refused(text[:at] + other + text[at + 1 :])

    @given(tokens, st.data())
    def test_what_is_cut_off_or_added_is_told(
        self, token: UserToken | MintedText, data: st.DataObject
    ) -> None:
        text = token.text
        start, stop = sorted(data.draw(st.tuples(*[st.integers(0, len(text))] * 2)))
        assume(start < stop)
        self.refused(text[:start] + text[stop:])
        self.refused(text[:start] + text[stop - 1 :] + text)

    @given(tokens)
    def test_two_characters_swapped_are_told(
        self, token: UserToken | MintedText
    ) -> None:
        text = token.text
        for at in range(9, len(text) - 1):
            if text[at] != text[at + 1]:
                swapped = text[:at] + text[at + 1] + text[at] + text[at + 2 :]
                self.refused(swapped)

    @given(tokens)
    def test_capitals_are_not_the_same_token(
        self, token: UserToken | MintedText
    ) -> None:
        self.refused(token.text.upper())

    @given(tokens)
    def test_its_secret_is_not_shown_by_chance(
        self, token: UserToken | MintedText
    ) -> None:
        shown = repr(token)
        self.assertNotIn("secret", shown)
        self.assertNotIn(token.text, shown)
        self.assertNotIn(repr(token.secret), shown)

    def refused(self, text: str) -> None:
        error = self.assertRaises(Unauthorized, read_token, text)
        self.assertIn("not a whole token", str(error))
        if len(text) > 40:
            self.assertNotIn(text[9:], str(error))

    def test_the_format_does_not_change(self) -> None:
        """A token that was given out is good in every later version."""
        token = UserToken.draw("ann", fixed)
        self.assertEqual(f"{owner_key('ann')}0102030405060708", token.id)
        self.assertEqual(
            "pypi-twu_pozkhe6adfcdmaicamcakbqhbaaqeayeaudaocajbifqydiob4ibceqtcr7mj2kl",
            token.text,
        )
        minted = MintedText.draw("https://ci.example", "7", 1_800_000_000.0, fixed)
        self.assertEqual(
            "pypi-twm_aad2ciggli6uhotzrpim6jrvdnmhvfa7lwoftugotrxb73xb"
            "6wam64iaj4aqeayeaudaocajbifqydiob4ibceqtcqcrufbs",
            minted.text,
        )

    def test_owners_and_identities_are_told_apart(self) -> None:
        self.assertEqual(owner_key("ann"), owner_key_of(UserToken.draw("ann").id))
        self.assertNotEqual(owner_key("ann"), owner_key("Ann"))
        self.assertNotEqual(minted_id("a", "bc"), minted_id("ab", "c"))

    def test_only_its_own_secret_fits(self) -> None:
        digest = seal_secret(b"s" * 20)
        self.assertTrue(matches(b"s" * 20, digest))
        self.assertFalse(matches(b"t" * 20, digest))
