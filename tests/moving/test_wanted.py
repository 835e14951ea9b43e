"""Which projects of a source are chosen."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.moving.wanted import Wanted

NAMES = ("My_Tool", "acme", "my-tool", "other", "..", "MY.TOOL", "..")


class WantedTests(SynchronousTestCase):
    def test_each_once(self) -> None:
        """However it is spelled: two of one name would be taken at the same time."""
        chosen = Wanted().choose(NAMES)
        self.assertEqual(chosen, ("My_Tool", "acme", "other", ".."))

    def test_patterns(self) -> None:
        wanted = Wanted.parse(["my-*", "acme"])
        self.assertEqual(wanted.choose(NAMES), ("My_Tool", "acme"))
        self.assertIsNone(wanted.named)

    def test_excluded(self) -> None:
        wanted = Wanted.parse([], ["My.Tool", "o*"])
        self.assertEqual(wanted.choose(NAMES), ("acme", ".."))

    def test_named(self) -> None:
        wanted = Wanted.parse(["Acme", "acme", "b"], ["b"])
        self.assertEqual(wanted.named, ("acme",))
