"""A zip of OSV records, read as a server reads it.

``python -m benchmarks.advisories [N]``: N (50,000) records that are made up, always the
same ones, in OSV's form and as large as those of PyPI are, half of them of malware:
what a helper takes to read them, what the table takes here, for how long the reactor
did nothing else meanwhile, and what it takes to look something up. Nothing listens.
"""

from __future__ import annotations

import argparse
import json
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from attrs import define
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall, react

from benchmarks import servers
from benchmarks.lists import Stalls, resident
from benchmarks.memory import resident as highest_resident
from pypicloud_tw.advisories.reading import decode_table, read_source
from pypicloud_tw.advisories.service import Advisories, LocalSource
from pypicloud_tw.offload.service import Offload
from pypicloud_tw.store.memory import MemoryStore

#: Of which there are this many for N records.
_PROJECTS = 0.6
_WORDS = [
    "a",
    "request",
    "that",
    "is",
    "made",
    "so",
    "has",
    "the",
    "server",
    "read",
    "what",
    "nobody",
    "may",
    "see",
]
#: Names that are looked up.
_LOOKS = 2_000


@define
class Helpers:
    """Watches the memory of this process's helpers.

    :ivar peak: bytes that the resident set of one was at most.
    """

    peak: int = 0

    def look(self) -> None:
        """Look at each; what one had at most before counts, too."""
        for path in Path("/proc/self/task").glob("*/children"):
            for pid in path.read_text().split():
                with suppress(OSError, RuntimeError):  # it has ended
                    self.peak = max(self.peak, highest_resident(int(pid)))

    @contextmanager
    def watched(self, reactor: Any) -> Iterator[None]:
        """Watch until the block ends."""
        looking = LoopingCall(self.look)
        looking.clock = reactor
        looking.start(0.05)
        try:
            yield
        finally:
            looking.stop()
            self.look()


def make_records(count: int) -> Iterator[dict[str, Any]]:
    """Make records up, as OSV has them of PyPI; always the same ones."""
    random = Random(12)
    projects = max(1, int(count * _PROJECTS))
    for number in range(count):
        name = project_of(number % projects)
        record = {
            "schema_version": "1.7.0",
            "modified": "2026-03-01T09:30:00Z",
            "published": "2026-02-28T09:30:00Z",
            "details": " ".join(random.choices(_WORDS, k=400)),
            "references": [
                {"type": "WEB", "url": f"https://advisories.example/{number}/{at}"}
                for at in range(5)
            ],
        }
        made = _malware(number) if number % 2 else _flaw(number, random)
        affected = {"package": {"ecosystem": "PyPI", "name": name}}
        affected["package"]["purl"] = f"pkg:pypi/{name}"
        affected |= made.pop("affected")
        yield {**record, **made, "affected": [affected]}


def project_of(number: int) -> str:
    """Name a project."""
    return f"some-project-{number}"


def _malware(number: int) -> dict[str, Any]:
    origin = {"source": "example", "id": f"report-{number}", "sha256": f"{number:064d}"}
    return {
        "id": f"MAL-2026-{number}",
        "summary": f"Malicious code in {number}, which sends away what it finds",
        "affected": {
            "versions": [f"{number % 9}.{minor}" for minor in range(3)],
            "database_specific": {
                "iocs": {"files": [{"sha256": f"{number:064x}"}]},
                "cwes": [{"cweId": "CWE-506"}],
            },
        },
        "database_specific": {"malicious-packages-origins": [origin]},
    }


def _flaw(number: int, random: Random) -> dict[str, Any]:
    fixed = f"{number % 9 + 1}.{number % 17}.{number % 5}"
    c, i, a = ("HLN"[number // part % 3] for part in (1, 3, 9))
    vector = f"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:{c}/I:{i}/A:{a}"
    return {
        "id": f"GHSA-{number:04x}-aaaa-bbbb",
        "aliases": [f"CVE-2026-{number}", f"PYSEC-2026-{number}"],
        "summary": " ".join(random.choices(_WORDS, k=12)),
        "severity": [{"type": "CVSS_V3", "score": vector}],
        "affected": {
            "ranges": [
                {
                    "type": "ECOSYSTEM",
                    "events": [{"introduced": "0"}, {"fixed": fixed}],
                }
            ],
            "versions": [
                f"{major}.{minor}.{number % 7}"
                for major in range(4)
                for minor in range(6)
            ],
        },
        "database_specific": {"cwe_ids": ["CWE-79"]},
    }


def make_zip(path: Path, count: int) -> None:
    """Write so many records as OSV's own zip has them."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for record in make_records(count):
            # A fixed time: the same bytes each time.
            member = zipfile.ZipInfo(f"{record['id']}.json", (2026, 3, 1, 0, 0, 0))
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, json.dumps(record))


async def measure(reactor: Any, count: int) -> None:
    """Read it, look names up, and tell of both."""
    offload = Offload(reactor)
    offload.startService()  # type: ignore[no-untyped-call]  # Twisted's
    with TemporaryDirectory() as folder:
        path = Path(folder) / "all.zip"
        make_zip(path, count)
        print(f"{count} records, {path.stat().st_size / 1e6:.1f} MB", flush=True)
        before, stalls = resident(), Stalls()
        await measure_helper(reactor, offload, str(path))
        source = LocalSource(str(path), offload)
        known = Advisories("all.zip", source, MemoryStore(offload), offload, reactor)
        with stalls.watched():
            await known.look()
        print(
            f"server: {known.table.records} records, resident "
            f"{resident() - before:+.0f} MB with the store's copy; {stalls}",
            flush=True,
        )
    report_looks(known, count)
    await offload.stopService()


async def measure_helper(reactor: Any, offload: Offload, path: str) -> None:
    """Have a helper read it, and decode what that gives."""
    helpers, stalls, began = Helpers(), Stalls(), time.perf_counter()
    with helpers.watched(reactor):
        reading = await offload.in_process(read_source, path, "")
    assert reading is not None, "nothing was known of it"
    print(
        f"helper: {time.perf_counter() - began:.1f} s with its start, "
        f"{helpers.peak / 1e6:.0f} MB at most; gives {len(reading.table) / 1e6:.1f} MB",
        flush=True,
    )
    with stalls.watched():
        await offload.in_thread(decode_table, reading.table)
    print(f"decoding that in a thread: {stalls}", flush=True)


def report_looks(known: Advisories, count: int) -> None:
    """Tell what it takes to look projects up."""
    random = Random(7)
    projects = max(1, int(count * _PROJECTS))
    names = [project_of(random.randrange(projects)) for _ in range(_LOOKS)]
    for what, look in (
        ("a project of which something is known", lambda: list(map(known.of, names))),
        ("the same again", lambda: list(map(known.of, names))),
        (
            "one of which nothing is",
            lambda: [known.table.of(f"{name}-not") for name in names],
        ),
        (
            "whether a version is malware",
            lambda: [known.of(name).malware_of("1.0", None) for name in names],
        ),
    ):
        print(f"{what}: {_each(look):.1f} microseconds")


def _each(look: Callable[[], object]) -> float:
    began = time.perf_counter()
    look()
    return (time.perf_counter() - began) / _LOOKS * 1e6


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("records", nargs="?", type=int, default=50_000, metavar="N")
    count = parser.parse_args().records
    print(f"load average before: {servers.load_average()}")
    react(lambda reactor: Deferred.fromCoroutine(measure(reactor, count)))


if __name__ == "__main__":
    main()
