"""What was measured, and how one server's figures stand beside another's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any

from attrs import define, field, frozen

#: By which all are measured, and ours as it is without options.
YARDSTICK, OURS = "nginx", "ours"


@frozen
class Sample:
    """One measurement.

    :ivar value: what the row is about.
    :ivar rate: answers a second; 0 where that says nothing.
    :ivar p50: milliseconds; likewise.
    :ivar p99: milliseconds; likewise.
    """

    value: float
    rate: float = 0.0
    p50: float = 0.0
    p99: float = 0.0


@frozen
class Kind:
    """What a row tells.

    :ivar key: by which it is chosen.
    :ivar unit: of its values.
    :ivar lower: whether a lower value is the better one.
    """

    key: str
    title: str
    unit: str = "per CPU second"
    lower: bool = False

    def ratio(self, one: float, other: float) -> float:
        """Tell how many times as good one is as another."""
        return other / one if self.lower else one / other


@define
class Cell:
    """What one server did in a row.

    :ivar samples: of each round.
    :ivar why_not: why there are none, or no more.
    """

    samples: list[Sample] = field(factory=list)
    why_not: str = ""

    @property
    def median(self) -> float:
        """The middle of what was measured."""
        return median(sample.value for sample in self.samples)

    def middle(self, name: str) -> float:
        """Tell the middle of another of the sample's figures."""
        return float(median(getattr(sample, name) for sample in self.samples))

    def as_json(self) -> dict[str, Any]:
        """Write it down."""
        if not self.samples:
            return {"why_not": self.why_not}
        values = [sample.value for sample in self.samples]
        told = {
            "median": self.median,
            "lowest": min(values),
            "highest": max(values),
            **{name: self.middle(name) for name in ("rate", "p50", "p99")},
            "rounds": values,
        }
        return told | ({"why_not": self.why_not} if self.why_not else {})


@define
class Table:
    """The rows, each with a cell for each server."""

    rows: dict[Kind, dict[str, Cell]] = field(factory=dict)

    def cell(self, kind: Kind, name: str) -> Cell:
        """Find the cell of a server, or begin it."""
        return self.rows.setdefault(kind, {}).setdefault(name, Cell())

    def of(self, kind: Kind, name: str, other: str) -> float | None:
        """Tell how many times as good a server is as another in the same rounds.

        None, if either was not measured.
        """
        cells = self.rows[kind]
        if name not in cells or other not in cells:
            return None
        mine, theirs = cells[name].samples, cells[other].samples
        if not mine or not theirs:
            return None
        pairs = zip(mine, theirs, strict=False)
        return median(kind.ratio(a.value, b.value) for a, b in pairs)

    def best_peer(self, kind: Kind, peers: Iterable[str]) -> str | None:
        """Tell which peer is the best in a row; None, if none was measured."""
        cells = self.rows[kind]
        able = [name for name in peers if name in cells and cells[name].samples]
        if not able:
            return None
        choose = min if kind.lower else max
        return choose(able, key=lambda name: cells[name].median)

    def as_json(
        self, names: Sequence[str], peers: Sequence[str]
    ) -> list[dict[str, Any]]:
        """Write all down, with the ratios.

        :param names: of all servers, in the order of the table.
        """
        return [
            {
                "row": kind.key,
                "title": kind.title,
                "unit": kind.unit,
                "lower_is_better": kind.lower,
                "servers": {
                    name: cells[name].as_json() | self._ratios(kind, name, peers)
                    for name in names
                    if name in cells
                },
            }
            for kind, cells in self.rows.items()
        ]

    def _ratios(
        self, kind: Kind, name: str, peers: Sequence[str]
    ) -> dict[str, float | str]:
        ratios: dict[str, float | str] = {}
        beside = self.of(kind, name, YARDSTICK)
        if beside is not None:
            ratios["of_nginx"] = beside
        best = self.best_peer(kind, peers)
        if best is not None and name not in peers and name != YARDSTICK:
            share = self.of(kind, name, best)
            if share is not None:
                ratios |= {"of_best_peer": share, "best_peer": best}
        return ratios
