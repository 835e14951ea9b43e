"""Warm pages with rights in force: requests for each second of the server's processor.

``python -m benchmarks.readers [--rounds N] [--beside BIN]``: anonymous, with a password
and with a token, with rights and without. With rights there are 1,000 groups and 10,000
lines. ``BIN`` is the folder of programs of another version, which is measured beside it
in the same rounds; it need not know of rights and tokens.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from attrs import field, frozen

from benchmarks import corpus, servers
from benchmarks.clients import Headers, header_sets
from benchmarks.conditions import LOGGED_IN, keys_of, make_token, many_rights
from benchmarks.contestants import Target
from benchmarks.load import play
from benchmarks.pages import ORDINARY, warm
from benchmarks.rows import accounted

_SECONDS = 3


@frozen
class Runner:
    """A server that runs, and who asks it."""

    name: str
    port: int
    pid: int
    extra: Headers
    rates: list[float] = field(factory=list)

    def measure(self) -> None:
        """Ask for pages, and note how many a second of processor gave."""
        sample = accounted(
            Target(self.port, self.pid),
            lambda: play(
                self.port, ORDINARY, header_sets(), extra=self.extra, seconds=_SECONDS
            ),
        )
        self.rates.append(sample.value)

    def share_of(self, other: Runner) -> float:
        """Give the median of what it did in each round, as a part of another's."""
        return median(a / b for a, b in zip(self.rates, other.rates, strict=True))


@frozen
class Variant:
    """Settings of a server, who asks, and whether another version knows them, too."""

    name: str
    settings: Mapping[str, str]
    extra: Headers
    plain: bool = False


def variants(token: Headers) -> list[Variant]:
    """Give what is measured."""
    closed = {"pypi.default_read": "authenticated"}
    rights = many_rights()
    named = {"package.project-*.group.readers": "r", "group.readers": servers.USER}
    return [
        Variant("anonymous", {}, (), plain=True),
        Variant("Basic", closed, LOGGED_IN, plain=True),
        Variant("token", closed, token),
        Variant("anonymous, rights", rights, ()),
        Variant("Basic, rights", rights | closed, LOGGED_IN),
        Variant("token, rights", rights | closed, token),
        Variant("Basic, by a group", rights | named, LOGGED_IN),
        Variant("token, by a group", rights | named, token),
    ]


@contextmanager
def running(
    folder: Path, store: Path, variant: Variant, programs: Path | None = None
) -> Iterator[Runner]:
    """Run a server of the corpus, with every page made."""
    port = servers.free_port()
    settings = {**keys_of(store), **variant.settings}
    with servers.ours(folder, settings, port, programs=programs) as process:
        warm(port, variant.extra)
        name = variant.name if programs is None else f"{variant.name}, other version"
        yield Runner(name, port, process.pid, variant.extra)


def main() -> None:
    """Measure all in turn, several times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--beside", type=Path, metavar="BIN")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="of the variants")
    options = parser.parse_args()
    with TemporaryDirectory() as temporary, ExitStack() as stack:
        folder = Path(temporary)
        store = corpus.make(folder).store
        print(f"load average before: {servers.load_average()}", flush=True)
        runners = []
        for variant in variants(make_token(store)):
            if options.only and variant.name not in options.only:
                continue
            if variant.plain and options.beside is not None:
                other = running(folder, store, variant, options.beside)
                runners.append(stack.enter_context(other))
            runners.append(stack.enter_context(running(folder, store, variant)))
        for _ in range(options.rounds):
            for runner in runners:
                runner.measure()
        first = runners[0]
        for runner in runners:
            middle = f"{median(runner.rates):7,.0f} a CPU second"
            print(
                f"{runner.name:24} {middle}, {runner.share_of(first):.2f} of "
                f"{first.name} ({', '.join(f'{rate:,.0f}' for rate in runner.rates)})"
            )
        print(f"load average after: {servers.load_average()}")


if __name__ == "__main__":
    main()
