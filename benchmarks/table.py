"""The table that a run prints."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.figures import Kind, Sample


def progress(kind: Kind, name: str, sample: Sample) -> None:
    """Tell that something was measured."""
    told = f"{kind.key:12} {name:16} {number(sample.value):>10} {kind.unit}"
    print(told, file=sys.stderr, flush=True)


def write(document: Mapping[str, Any]) -> str:
    """Write a run's document for people."""
    machine = document["machine"]
    lines = [
        f"{document['date']}, commit {document['commit']}; {machine['processor']}, "
        f"{machine['cores']} cores, {machine['memory_gb']} GB, Python "
        f"{machine['python']}; load average {document['load']}",
        "; ".join(f"{name} {what}" for name, what in document["versions"].items()),
        f"medians of {document['rounds']} rounds of {document['seconds']:g} s; "
        "(lowest to highest); of nginx and of the best peer: how many times as good",
    ]
    for row in document["rows"]:
        less = ", less is better" if row["lower_is_better"] else ""
        lines += ["", f"{row['title']} [{row['row']}], {row['unit']}{less}"]
        lines += [_cell(name, told) for name, told in row["servers"].items()]
    lines += ["", *(f"missing: {what}" for what in document["missing"])]
    lines += ["what an answer of 200 to an upload means:"]
    lines += [f"  {name}: {what}" for name, what in document["promises"].items()]
    return "\n".join(lines)


def number(value: float) -> str:
    """Write a number as exactly as it means something."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _cell(name: str, told: Mapping[str, Any]) -> str:
    if "median" not in told:
        return f"  {name:16} not measured: {told['why_not']}"
    spread = f"({number(told['lowest'])} to {number(told['highest'])})"
    parts = [f"  {name:16} {number(told['median']):>9} {spread:20}", *_more(told)]
    return "  ".join(parts).rstrip()


def _more(told: Mapping[str, Any]) -> Iterator[str]:
    if told["rate"]:
        waited = f"p50 {number(told['p50'])}, p99 {number(told['p99'])} ms"
        yield f"{number(told['rate']):>8}/s, {waited:26}"
    if "of_nginx" in told:
        yield f"{told['of_nginx']:.3g} of nginx"
    if "of_best_peer" in told:
        yield f"{told['of_best_peer']:.3g} of {told['best_peer']}"
    if "why_not" in told:
        yield f"then: {told['why_not']}"
