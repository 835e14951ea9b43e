"""``python -m tests.simulation 1-100000``: run many seeds, and print what is found."""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.mistakes import MISTAKES
from tests.simulation.run import Found, run, search, seeds_of
from tests.simulation.world import Plan
from tests.unsteady import PROFILES

#: Seeds that a process runs before it tells what it has found.
_AT_ONCE = 50


def _arguments() -> Namespace:
    parser = ArgumentParser("python -m tests.simulation", description=__doc__)
    parser.add_argument("seeds", help="one, as 123, or a range, as 1-100000")
    parser.add_argument("--profile", choices=PROFILES, help="one kind of store only")
    parser.add_argument("--mistake", choices=MISTAKES, help="with this put back")
    parser.add_argument("--jobs", type=int, default=1, help="processes at a time")
    parser.add_argument("--trace", action="store_true", help="tell all that happens")
    return parser.parse_args()


def _plan(profile: str | None, mistake: str | None) -> Plan:
    if mistake is not None:
        return MISTAKES[mistake].plan
    return Plan(PROFILES[profile] if profile else None)


def _run_part(seeds: range, profile: str | None, mistake: str | None) -> list[Found]:
    return list(search(seeds, _plan(profile, mistake)))


def _search(arguments: Namespace, seeds: range) -> Iterator[Found]:
    parts = [seeds[at : at + _AT_ONCE] for at in range(0, len(seeds), _AT_ONCE)]
    with ProcessPoolExecutor(arguments.jobs) as processes:
        how = arguments.profile, arguments.mistake
        work = [processes.submit(_run_part, part, *how) for part in parts]
        for done in work:
            yield from done.result()


def main() -> int:
    """Return 1 if anything was found."""
    arguments, began = _arguments(), time.monotonic()
    seeds, count = seeds_of(arguments.seeds), 0
    plan = _plan(arguments.profile, arguments.mistake)
    if arguments.trace:
        found = run(seeds[0], plan, print)
        print(found.trouble if found is not None else "All is well.")
        return int(found is not None)
    for found in _search(arguments, seeds):
        count += 1
        print(f"\n{found.how_to_replay}:")
        print("\n".join(found.trouble), flush=True)
    seconds = time.monotonic() - began
    print(f"{len(seeds)} seeds in {seconds:.0f} s, {count} with something wrong.")
    return int(count > 0)


if __name__ == "__main__":
    sys.exit(main())
