"""Projects that nobody asks for are packed, and are the same when somebody does."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.index.at_hand import LARGE, AtHand, weight
from pypicloud_tw.index.model import Project
from pypicloud_tw.index.names import NormalizedName
from tests.builders import file


def project(name: str, files: int) -> Project:
    normalized = NormalizedName(name)
    made = tuple(file(f"{name}-1.{n}.tar.gz") for n in range(files))
    return Project(normalized, name, made)


class AtHandTests(SynchronousTestCase):
    def test_equal_when_asked_for_again(self) -> None:
        at_hand, one = AtHand(capacity=0), project("acme", 3)
        kept = at_hand.keep(one)
        self.assertIsNot(kept.project, one)
        self.assertEqual(kept.project, one)

    def test_the_oldest_are_packed(self) -> None:
        some = [project(f"p{n}", 2) for n in range(4)]
        at_hand = AtHand(capacity=3 * weight(some[0]))
        kept = [at_hand.keep(one) for one in some]
        at_hand_now = [k._project is not None for k in kept]
        self.assertEqual(at_hand_now, [False, True, True, True])
        # Asked for, it takes the place of another.
        self.assertEqual(kept[0].project, some[0])
        self.assertIs(kept[0].project, kept[0].project)
        at_hand_now = [k._project is not None for k in kept]
        self.assertEqual(at_hand_now, [True, False, True, True])

    def test_a_large_one_is_never_packed(self) -> None:
        one = project("acme", LARGE)
        kept = AtHand(capacity=0).keep(one)
        self.assertIs(kept.project, one)
