"""The table: ours beside nginx and whatever peers are installed, in one run.

``python -m benchmarks --install`` fetches the peers first. Every server is asked alone,
in turns that alternate from round to round. The figure to trust on a machine that does
other things, too, is how much is done in a second of the server's processor: the user's
and the system's time of all its processes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from attrs import define, field

from benchmarks import (
    chart,
    conditions,
    corpus,
    history,
    pages,
    peers,
    redirects,
    rows,
    servers,
    table,
)
from benchmarks.cached import Cached
from benchmarks.contestants import (
    Contestant,
    Nginx,
    Ours,
    Place,
    Setup,
    Target,
    find_nginx,
    machine,
)
from benchmarks.figures import Cell, Kind, Sample, Table
from benchmarks.rows import MEMORY, START, Row
from benchmarks.variants import Variant

HISTORY = Path(__file__).with_name("history.jsonl")

#: How a run that is only tried differs.
_QUICK_ROUNDS, _QUICK_SECONDS = 1, 1


def default_cache() -> Path:
    """Tell where the peers are, by the rules of the XDG."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "pypicloud-benchmarks"


def parser() -> argparse.ArgumentParser:
    """Describe the command."""
    made = argparse.ArgumentParser(
        prog="python -m benchmarks", description=(__doc__ or "").splitlines()[0]
    )
    keys = row_keys()
    made.add_argument("--rounds", type=int, default=3)
    made.add_argument("--seconds", type=float, default=3, help="for each measurement")
    made.add_argument(
        "--rows", nargs="+", metavar="ROW", choices=keys, help=", ".join(keys)
    )
    made.add_argument(
        "--peers",
        nargs="*",
        metavar="PEER",
        choices=list(peers.PACKAGES),
        default=list(peers.PACKAGES),
        help=f"whom to measure beside: {', '.join(peers.PACKAGES)}",
    )
    made.add_argument("--install", action="store_true", help="fetch missing peers")
    made.add_argument(
        "--cache", type=Path, default=default_cache(), help="where the peers are"
    )
    made.add_argument(
        "--folder", type=Path, help="on which disk the stores are; they go afterwards"
    )
    made.add_argument(
        "--ours",
        action="append",
        type=variant,
        default=[],
        metavar="NAME=WORDS",
        help="measure ours once more: with options of twistd pypicloud (--workers=2), "
        "keys of the ini (server.workers=2), or another version (programs=BIN or "
        "checkout=FOLDER)",
    )
    made.add_argument("--quick", action="store_true", help="one round of one second")
    made.add_argument("--json", type=Path, metavar="FILE")
    made.add_argument("--chart", type=Path, metavar="FILE.svg")
    made.add_argument(
        "--history",
        type=Path,
        nargs="?",
        const=HISTORY,
        metavar="FILE",
        help=f"add this run to a history; to {HISTORY.name} beside the benchmarks",
    )
    return made


def row_keys() -> list[str]:
    """Give the keys of all rows."""
    return [*(row.kind.key for row in rows.all_rows()), START.key, MEMORY.key]


def variant(text: str) -> Variant:
    """Read ``--ours``."""
    try:
        return Variant.parse(text)
    except ValueError as e:
        raise argparse.ArgumentTypeError(str(e)) from e


@define
class Run:
    """All that is measured.

    :ivar missing: what is not, and how to get it.
    """

    contestants: Sequence[Contestant]
    rows: Sequence[Row]
    wanted: Sequence[str]
    rounds: int
    seconds: float
    missing: list[str] = field(factory=list)
    table: Table = field(factory=Table)

    def measure(self) -> None:
        """Measure every row that is wanted."""
        if self._wants(START):
            self._starts()
        for setup in Setup:
            chosen = [
                row for row in self.rows if row.setup is setup and self._wants(row.kind)
            ]
            memory = setup is Setup.OPEN and self._wants(MEMORY)
            if chosen or memory:
                self._in_setup(setup, chosen, memory=memory)

    def _wants(self, kind: Kind) -> bool:
        return kind.key in self.wanted

    def _in_setup(self, setup: Setup, chosen: Sequence[Row], *, memory: bool) -> None:
        """Measure what needs servers that run in this way."""
        print(f"{setup.value} ...", file=sys.stderr, flush=True)
        with ExitStack() as stack:
            running = list(self._started(stack, setup, chosen))
            for number in range(self.rounds):
                order = running if number % 2 == 0 else running[::-1]
                for row in chosen:
                    for contestant, target in order:
                        self._once(row, contestant, target)
            if memory:
                for contestant, target in running:
                    cell = self.table.cell(MEMORY, contestant.name)
                    cell.samples.append(Sample(target.highest / 1e6))

    def _started(
        self, stack: ExitStack, setup: Setup, chosen: Sequence[Row]
    ) -> Iterator[tuple[Contestant, Target]]:
        for contestant in self.contestants:
            keys = [row.kind.key for row in chosen]
            if keys and all(key in contestant.cannot for key in keys):
                for row in chosen:
                    self._leave_out(row.kind, contestant)
                continue
            try:
                target = stack.enter_context(contestant.running(setup))
                rows.warm(target, setup)
            except (RuntimeError, OSError) as e:
                for row in chosen:
                    self._failed(row.kind, contestant, e)
            else:
                yield contestant, target

    def _leave_out(self, kind: Kind, contestant: Contestant) -> None:
        cell = self.table.cell(kind, contestant.name)
        cell.why_not = contestant.cannot[kind.key]

    def _once(self, row: Row, contestant: Contestant, target: Target) -> None:
        if row.kind.key in contestant.cannot:
            self._leave_out(row.kind, contestant)
            return
        cell = self.table.cell(row.kind, contestant.name)
        if cell.why_not:
            return
        try:
            sample = row.measure(target, contestant.name, self.seconds)
        except (RuntimeError, OSError) as e:
            self._failed(row.kind, contestant, e)
        else:
            cell.samples.append(sample)
            table.progress(row.kind, contestant.name, sample)

    def _failed(self, kind: Kind, contestant: Contestant, error: Exception) -> None:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        why = " ".join(lines[-1].split())[:160]
        self.table.cell(kind, contestant.name).why_not = why
        print(
            f"{kind.key:12} {contestant.name:16} {error}", file=sys.stderr, flush=True
        )

    def _starts(self) -> None:
        """Start every server, and ask for a page."""
        print("cold starts ...", file=sys.stderr, flush=True)
        # One round more: what is only done once is not measured.
        for number in range(self.rounds + 1):
            for contestant in self.contestants:
                if START.key in contestant.cannot:
                    self._leave_out(START, contestant)
                    continue
                cell = self.table.cell(START, contestant.name)
                if not cell.why_not:
                    self._start(contestant, cell, measured=number > 0)

    def _start(self, contestant: Contestant, cell: Cell, *, measured: bool) -> None:
        try:
            began = time.perf_counter()
            with contestant.running(Setup.OPEN) as target:
                pages.fetch(target.port, target.ordinary[0], pages.PLAIN)
                took = time.perf_counter() - began
        except (RuntimeError, OSError) as e:
            self._failed(START, contestant, e)
        else:
            if measured:
                cell.samples.append(Sample(took))
                table.progress(START, contestant.name, cell.samples[-1])


def gather(
    options: argparse.Namespace, place: Place
) -> tuple[list[Contestant], list[str]]:
    """Find everybody who is there; tell who is not."""
    variants = [Variant(), *options.ours]
    found: list[Contestant] = [Ours(place, one) for one in variants]
    missing = []
    program = find_nginx()
    if program is None:
        missing.append("nginx, the yardstick: apt-get install nginx")
    else:
        found += [Cached(place, program), Nginx(place, program)]
    for name in options.peers:
        folder = peers.programs(options.cache, name)
        if folder is None and options.install:
            print(f"installing {name} ...", file=sys.stderr, flush=True)
            folder = peers.install(options.cache, name)
        if folder is None:
            missing.append(f"{name}: not in {options.cache}; --install fetches it")
        else:
            found.append(peers.make(place, name, folder))
    return found, missing


def commit() -> str:
    """Tell which commit is measured; a plus, if files differ from it."""
    git = ["git", "-C", str(Path(__file__).parent)]
    head = subprocess.run(
        [*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True
    )
    changed = subprocess.run(
        [*git, "status", "--porcelain", "--untracked-files=no"],
        capture_output=True,
        text=True,
    )
    plus = "+" if changed.stdout.strip() else ""
    return f"{head.stdout.strip() or 'unknown'}{plus}"


def document(run: Run, options: argparse.Namespace) -> dict[str, Any]:
    """Write a run down."""
    names = [one.name for one in run.contestants]
    others = [name for name in names if name in peers.PACKAGES]
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "commit": commit(),
        "machine": dict(machine()),
        "load": servers.load_average(),
        "quick": options.quick,
        "rounds": run.rounds,
        "seconds": run.seconds,
        "ours": [one.name for one in run.contestants if isinstance(one, Ours | Cached)],
        "versions": {one.name: one.version for one in run.contestants},
        "promises": {one.name: one.promises for one in run.contestants if one.promises},
        "missing": run.missing,
        "rows": run.table.as_json(names, others),
    }


def main() -> None:
    """Measure, print, and write what is wanted."""
    options = parser().parse_args()
    # Whoever ends this wants its servers ended, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended before it was done"))
    if shutil.which("wrk") is None:
        sys.exit("wrk is missing, which puts the load on: apt-get install wrk")
    if options.quick:
        options.rounds, options.seconds = _QUICK_ROUNDS, _QUICK_SECONDS
    wanted = options.rows or row_keys()
    with TemporaryDirectory(dir=options.folder) as temporary:
        folder = Path(temporary)
        made = corpus.make(folder)
        token = conditions.make_token(made.store)
        place = Place(folder, options.cache, made, token)
        contestants, missing = gather(options, place)
        if "302" in wanted and redirects.why_not():
            missing.append(f"the row 302: {redirects.why_not()}")
            wanted = [key for key in wanted if key != "302"]
        for what in missing:
            print(f"missing: {what}", file=sys.stderr, flush=True)
        run = Run(
            contestants,
            rows.all_rows(),
            wanted,
            options.rounds,
            options.seconds,
            missing,
        )
        run.measure()
        # Before all is removed, which takes a while where the disk is busy.
        finish(document(run, options), options)


def finish(made: dict[str, Any], options: argparse.Namespace) -> None:
    """Print a run, and write it where it is wanted."""
    print(table.write(made), flush=True)
    new = history.entry(made)
    titles = {row["row"]: row["title"] for row in made["rows"]}
    earlier = history.read(options.history or HISTORY)
    for regression in history.regressions(earlier, new, titles):
        print(f"SLOWER: {regression}")
    if options.history:
        history.append(options.history, new)
    if options.json:
        options.json.write_text(json.dumps(made, indent=1) + "\n")
    if options.chart:
        options.chart.write_text(chart.draw(made))


if __name__ == "__main__":
    main()
