"""Namespaces out of what is private."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.config.namespaces import Namespaces, missing_halves

PRIVATE = ("acme", "acme-*", "acme-web", "acme-web-*", "beta*", "gamma-*", "*-x", "one")


class NamespacesTests(SynchronousTestCase):
    def test_both_halves_make_one(self) -> None:
        self.assertEqual(Namespaces.of(PRIVATE).names, ("acme", "acme-web"))

    def test_what_a_name_is_in(self) -> None:
        spaces = Namespaces.of(PRIVATE)
        self.assertEqual(
            spaces.told("acme-web-ui"),
            [{"name": "acme", "owned": True}, {"name": "acme-web", "owned": True}],
        )
        self.assertEqual(spaces.over("acme"), ["acme"])
        # PEP 752: "would match the package foo-bar but not the package foobar".
        self.assertIsNone(spaces.told("acmeweb"))
        self.assertIsNone(spaces.told("gamma-x"))

    def test_family(self) -> None:
        spaces = Namespaces(("a", "a-b", "a-b-c", "a-d", "ab"))
        self.assertEqual(spaces.children("a"), ["a-b", "a-d"])
        self.assertEqual(spaces.parent("a-b-c"), "a-b")
        self.assertIsNone(spaces.parent("ab"))

    def test_missing_halves(self) -> None:
        self.assertEqual(list(missing_halves(PRIVATE)), [("gamma-*", "gamma")])
        self.assertEqual(
            list(missing_halves(["a", "a-b", "c", "b?-*"])), [("a", "a-*")]
        )
