"""Judge every distribution file in a folder, as an upload would.

``python -m benchmarks.archives FOLDER [--slowest 5]`` prints what is refused, what
falls short and what is warned of, and how long the slowest files took. The peak of
memory is that of one process that judges them all, one after the other.
"""

from __future__ import annotations

import argparse
import resource
from collections import Counter
from pathlib import Path
from time import perf_counter

from pypicloud_tw.errors import BadRequest
from pypicloud_tw.index.archive import inspect
from pypicloud_tw.index.names import Filename


def judge(path: Path) -> tuple[str, list[str]]:
    """Tell a file's verdict, and its sentences."""
    try:
        filename = Filename.parse(path.name, legacy=True)
        found = inspect(str(path), filename, path.stat().st_size)
    except BadRequest as e:
        return "refused", [e.message]
    if found.shortfalls:
        return "falls short", [*found.shortfalls]
    return ("warned of" if found.warnings else "fit"), [*found.warnings]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--slowest", type=int, default=5)
    options = parser.parse_args()
    verdicts: Counter[str] = Counter()
    times: list[tuple[float, Path]] = []
    for path in sorted(p for p in options.folder.rglob("*") if p.is_file()):
        began = perf_counter()
        verdict, sentences = judge(path)
        times.append((perf_counter() - began, path))
        verdicts[verdict] += 1
        if sentences:
            print(f"{verdict}: {path.name}: {' '.join(sentences)}")
    print(dict(verdicts))
    for seconds, path in sorted(times, reverse=True)[: options.slowest]:
        print(f"{seconds:7.2f} s {path.stat().st_size / 1e6:9.1f} MB  {path.name}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{sum(t for t, _ in times):.1f} s in all; {peak / 1024:.0f} MiB at the peak")


if __name__ == "__main__":
    main()
