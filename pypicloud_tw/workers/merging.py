"""The metrics of several workers as those of one server."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from pypicloud_tw.metrics import Sample, Snapshot, Together

_Labels = tuple[tuple[str, str], ...]
_Series = dict[tuple[str, _Labels], float]

_COMBINE: Mapping[str, Callable[[float, float], float]] = MappingProxyType(
    {"sum": lambda one, other: one + other, "max": max, "min": min}
)

#: Types whose numbers only ever grow: those of the dead still count.
_LASTING = frozenset({"counter", "histogram"})


def merged(snapshots: Iterable[Snapshot]) -> Snapshot:
    """Add several up, each family as it says."""
    heads: dict[str, tuple[str, str, Together]] = {}
    series: dict[str, _Series] = {}
    for snapshot in snapshots:
        for name, description, kind, together, samples in snapshot:
            heads.setdefault(name, (description, kind, together))
            _add(series.setdefault(name, {}), together, samples)
    return [(name, *heads[name], _samples(found)) for name, found in series.items()]


def metrics_of_workers(serving: int, deaths: int) -> Snapshot:
    """Return what the parent counts itself."""
    workers, died = "pypicloud_workers", "pypicloud_worker_deaths"
    about = "Workers that ended though nobody had stopped the server"
    samples = [(f"{died}_total", _no_labels(), float(deaths))]
    return [
        (
            workers,
            "Workers that serve",
            "gauge",
            "sum",
            [(workers, _no_labels(), float(serving))],
        ),
        (died, about, "counter", "sum", samples),
    ]


def _no_labels() -> dict[str, str]:
    return {}


def lasting(snapshot: Snapshot) -> Snapshot:
    """Keep of a dead worker's what only ever grows."""
    return [family for family in snapshot if family[2] in _LASTING]


def _add(series: _Series, together: Together, samples: Iterable[Sample]) -> None:
    for name, labels, value in samples:
        # When a counter was made: the server's is as old as the oldest.
        combine = _COMBINE["min" if name.endswith("_created") else together]
        key = (name, tuple(labels.items()))
        before = series.get(key)
        series[key] = value if before is None else combine(before, value)


def _samples(series: _Series) -> list[Sample]:
    return [(name, dict(labels), value) for (name, labels), value in series.items()]
