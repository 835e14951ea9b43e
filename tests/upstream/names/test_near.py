"""Names that are one edit apart."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.upstream.names.near import near

NAMES = st.from_regex(r"[a-z0-9](-?[a-z0-9]){0,8}", fullmatch=True)


def distance(one: str, other: str) -> int:
    """Return the edits between two texts: Damerau's, of neighbours only."""
    rows = [list(range(len(other) + 1))]
    for i, a in enumerate(one, 1):
        row = [i]
        for j, b in enumerate(other, 1):
            least = min(rows[-1][j] + 1, row[-1] + 1, rows[-1][j - 1] + (a != b))
            if i > 1 and j > 1 and (a, one[i - 2]) == (other[j - 2], b):
                least = min(least, rows[-2][j - 2] + 1)
            row.append(least)
        rows.append(row)
    return rows[-1][-1]


class NearTests(SynchronousTestCase):
    def test_each_edit(self) -> None:
        for other in ("acme-util", "acme-utilss", "acme-utilz", "amce-utils"):
            self.assertEqual(near("acme-utils", {other, "else"}), (other,))

    def test_at_both_ends(self) -> None:
        for other in ("cme", "xacme", "bcme", "acm", "acmex", "acmb"):
            self.assertEqual(near("acme", {other}), (other,))

    def test_others(self) -> None:
        for other in ("acme", "acme-tools", "emca", "ac", "acmexy"):
            self.assertEqual(near("acme", {other}), ())

    def test_sorted(self) -> None:
        self.assertEqual(
            near("acme", {"acmf", "acm", "acmee"}), ("acm", "acmee", "acmf")
        )

    @given(NAMES, NAMES)
    def test_as_by_distance(self, one: str, other: str) -> None:
        self.assertEqual(bool(near(one, {other})), distance(one, other) == 1)
        self.assertEqual(bool(near(one, {other})), bool(near(other, {one})))
