"""Figures of earlier runs on machines of this kind, and what has become slower since.

Machines differ and are busy, so only ratios are compared: to nginx in the same run, or
where it has no part in a row, to the best peer, if it is the same one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from attrs import frozen

#: What is slower than before by this part is shown.
REGRESSION = 0.2

#: Entries that are compared with; one alone may have been lucky.
_RECENT = 3


@frozen
class Regression:
    """A figure of ours that was better before.

    :ivar beside: whom the ratios are to.
    """

    title: str
    server: str
    beside: str
    before: float
    now: float

    def __str__(self) -> str:
        return (
            f"{self.title}, {self.server}: {self.now:.3g} of {self.beside}, "
            f"{self.before:.3g} before"
        )


def entry(document: Mapping[str, Any]) -> dict[str, Any]:
    """Cut what a history needs out of a run's document: ours, and its ratios."""
    figures: dict[str, Any] = {}
    for row in document["rows"]:
        for name in document["ours"]:
            told = row["servers"].get(name, {})
            if "median" in told:
                kept = ("median", "of_nginx", "of_best_peer", "best_peer")
                figures.setdefault(row["row"], {})[name] = {
                    key: _rounded(told[key]) for key in kept if key in told
                }
    kept = ("date", "commit", "machine", "quick")
    return {**{key: document[key] for key in kept}, "figures": figures}


def read(path: Path) -> list[dict[str, Any]]:
    """Read a history; there may be none yet.

    :raises ValueError: a line is not JSON.
    """
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]


def append(path: Path, new: Mapping[str, Any]) -> None:
    """Add a run to a history."""
    with path.open("a") as file:
        file.write(json.dumps(new, sort_keys=True) + "\n")


def regressions(
    earlier: Sequence[Mapping[str, Any]],
    new: Mapping[str, Any],
    titles: Mapping[str, str],
) -> list[Regression]:
    """Find what is worse by a fifth than in the last runs on such a machine.

    :param titles: of the rows, by their keys.
    """
    found = []
    comparable = [one for one in earlier if _alike(one, new)]
    for row, servers in new["figures"].items():
        for name, figure in servers.items():
            for beside, now in _ratios(figure):
                before = list(_before(comparable, row, name, beside))[-_RECENT:]
                if before and now < (1 - REGRESSION) * median(before):
                    title = titles.get(row, row)
                    found.append(Regression(title, name, beside, median(before), now))
    return found


def _alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return bool(one["machine"] == other["machine"] and one["quick"] == other["quick"])


def _ratios(figure: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Give whom it is compared with, and the ratio: one, if there is any."""
    if "of_nginx" in figure:
        yield "nginx", figure["of_nginx"]
    elif "of_best_peer" in figure:
        yield figure["best_peer"], figure["of_best_peer"]


def _before(
    entries: Sequence[Mapping[str, Any]], row: str, name: str, beside: str
) -> Iterator[float]:
    for one in entries:
        figure = one["figures"].get(row, {}).get(name, {})
        yield from (ratio for whom, ratio in _ratios(figure) if whom == beside)


def _rounded(value: float | str) -> float | str:
    return value if isinstance(value, str) else float(f"{value:.4g}")
