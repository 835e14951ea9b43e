"""Tokens of forms: for one browser and one principal."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.principal import ANONYMOUS, Principal
from pypicloud_tw.access.sessions.form_tokens import (
    LENGTH,
    fits_form,
    make_form_token,
)

ANN = Principal("ann")


class FormTokenTests(SynchronousTestCase):
    def test_for_one_browser_and_one_principal(self) -> None:
        token = make_form_token(b"browser", ANN)
        self.assertEqual(len(token), LENGTH)
        self.assertTrue(fits_form(token, b"browser", ANN))
        self.assertFalse(fits_form(token, b"another", ANN))
        for other in (Principal("bob"), ANONYMOUS, Principal(None, publishers=("x",))):
            self.assertFalse(fits_form(token, b"browser", other))

    def test_each_time_it_is_written_otherwise(self) -> None:
        tokens = {make_form_token(b"browser", ANN) for _ in range(10)}
        self.assertEqual(len(tokens), 10)
        for token in tokens:
            self.assertTrue(fits_form(token, b"browser", ANN))

    def test_anything_else_does_not_fit(self) -> None:
        token = make_form_token(b"browser", ANN)
        changed = ("A" if token[50] != "A" else "B").join((token[:50], token[51:]))
        for other in ("", token[:-1], f"{token}=", "=" * LENGTH, "ä" * LENGTH, changed):
            self.assertFalse(fits_form(other, b"browser", ANN), other)
