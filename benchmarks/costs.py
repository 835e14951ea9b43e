"""What a bucket costs a month, of requests that were counted.

``python -m benchmarks.costs`` prints the table of ``docs/guide/scale.rst``; a test
holds the page to it. The counts are those of ``python -m benchmarks.scale --store s3``.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

SECONDS = 30 * 86400


@frozen
class Prices:
    """List prices of S3 Standard in us-east-1, in dollars, as of 2025.

    :ivar reads: for 1,000 GETs.
    :ivar writes: for 1,000 PUTs, COPYs, POSTs or LISTs.
    """

    reads: float = 0.0004
    writes: float = 0.005

    def of(self, reads: float, writes: float) -> float:
        """Return the price of so many requests."""
        return (reads * self.reads + writes * self.writes) / 1000


@frozen
class Counted:
    """Requests to the bucket, as they were counted.

    :ivar idle_reads: of a server that nobody asks anything, a second.
    :ivar idle_writes: likewise, and listings.
    :ivar marker: reads of the marker a second by a server that is asked for pages all
        the time.
    :ivar upload_reads: of all servers together for an upload, but those of
        *heard_reads*.
    :ivar upload_writes: likewise.
    :ivar heard_reads: of each server that hears of it.
    :ivar install_reads: the file, by its client, and its core metadata.
    """

    idle_reads: float = 0.1
    idle_writes: float = 0.02
    marker: float = 1.1
    upload_reads: float = 6.0
    upload_writes: float = 9.5
    heard_reads: float = 0.7
    install_reads: float = 2.0


@frozen
class Load:
    """What is asked of all servers together.

    :ivar installs: files a second.
    :ivar uploads: a day.
    :ivar pages: of different projects that are asked for within a minute, at most: each
        server proves each of them once.
    """

    installs: float
    servers: int
    uploads: float = 1000.0
    pages: int = 2000


@frozen
class Bill:
    """Requests a second, and dollars a month.

    :ivar reads: of the servers.
    :ivar writes: of the servers.
    :ivar files: of files and core metadata.
    """

    reads: float
    writes: float
    files: float

    @property
    def of_servers(self) -> float:
        """Dollars a month for what the servers ask."""
        return Prices().of(self.reads * SECONDS, self.writes * SECONDS)

    @property
    def of_files(self) -> float:
        """Dollars a month for what is installed."""
        return Prices().of(self.files * SECONDS, 0)


def bill(load: Load, counted: Counted = Counted()) -> Bill:
    """Add up what a load comes to."""
    uploads = load.uploads / 86400
    each = load.installs / load.servers
    proofs = min(each, load.pages / 60)
    marker = min(each, counted.marker)
    reads = counted.idle_reads + marker + proofs + uploads * counted.heard_reads
    return Bill(
        load.servers * reads + uploads * counted.upload_reads,
        load.servers * counted.idle_writes + uploads * counted.upload_writes,
        load.installs * counted.install_reads,
    )


def rows() -> Iterator[tuple[str, ...]]:
    """Make the rows of the table."""
    for installs in (1, 100, 10_000):
        for servers in (1, 10, 100):
            made = bill(Load(installs, servers))
            yield (
                f"{installs:,}",
                str(servers),
                f"{made.reads:,.1f}",
                f"{made.writes:.2f}",
                f"{made.of_servers:,.2f}",
                f"{made.files:,.0f}",
                f"{made.of_files:,.2f}",
            )


def table() -> str:
    """Write the table as reStructuredText."""
    heads = (
        ("installs", "servers", "reads", "writes", "USD a", "reads of", "USD a"),
        ("a second", "", "a second", "a second", "month", "files, s", "month"),
    )
    body = list(rows())
    widths = [
        max(len(row[column]) for row in (*heads, *body))
        for column in range(len(heads[0]))
    ]
    rule = "  ".join("=" * width for width in widths)

    def line(row: tuple[str, ...]) -> str:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        return "  ".join(cells).rstrip()

    return "\n".join([rule, *map(line, heads), rule, *map(line, body), rule])


if __name__ == "__main__":
    print(table())
