"""OSV records for tests and benchmarks."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any


def record(identifier: str, name: str = "acme", **more: Any) -> dict[str, Any]:
    """Make a record of one project, of all its versions unless *affected* says more."""
    affected = more.pop("affected", {"ranges": [events({"introduced": "0"})]})
    return {
        "schema_version": "1.7.0",
        "id": identifier,
        "modified": "2026-01-02T00:00:00Z",
        "published": "2026-01-01T00:00:00Z",
        "summary": "Something is wrong",
        "affected": [{"package": {"ecosystem": "PyPI", "name": name}, **affected}],
        **more,
    }


def events(*told: dict[str, str], kind: str = "ECOSYSTEM") -> dict[str, Any]:
    """Make a range."""
    return {"type": kind, "events": list(told)}


def corpus(count: int) -> Iterator[dict[str, Any]]:
    """Make so many records as the zip of the Python ecosystem has them.

    Always the same ones. Two of three are of malware, as the OpenSSF writes them; the
    others are flaws, each told twice, with a text of some kilobytes.
    """
    random = Random(count)
    for number in range(count):
        if number % 3:
            yield _of_malware(number, random)
        else:
            yield _of_flaw(number, random)


def write_zip(path: Path, count: int) -> None:
    """Write a corpus as one zip file, a member for each record."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for told in corpus(count):
            archive.writestr(f"{told['id']}.json", json.dumps(told))


def _of_malware(number: int, random: Random) -> dict[str, Any]:
    name = f"malicious-{number}"
    versions = [f"{random.randrange(9)}.{n}.0" for n in range(1 + number % 4)]
    files = [
        {
            "filename": f"{name.replace('-', '_')}-{version}.tar.gz",
            "hashes": {"sha256": random.randbytes(32).hex()},
        }
        for version in versions
    ]
    origin = {"source": "corpus", "sha256": random.randbytes(32).hex()}
    return record(
        f"MAL-2026-{number}",
        name,
        affected={
            "versions": versions,
            "database_specific": {"indicators": {"package_integrity": files}},
        },
        summary=f"Malicious code in {name} (PyPI)",
        details=_prose(random, 1200),
        references=[{"type": "PACKAGE", "url": f"https://pypi.example/{name}/"}],
        database_specific={"malicious-packages-origins": [origin]},
    )


def _of_flaw(number: int, random: Random) -> dict[str, Any]:
    matter, kind = number // 6, ("GHSA", "PYSEC")[number // 3 % 2]
    fixed = f"{2 + matter % 5}.0"
    return record(
        f"{kind}-2026-{matter}",
        f"library-{matter % 2500}",
        affected={
            "ranges": [events({"introduced": "0"}, {"fixed": fixed})],
            "versions": [f"{n}.{m}" for n in range(2 + matter % 5) for m in range(9)],
        },
        aliases=[f"CVE-2026-{matter}"],
        summary=_prose(random, 80),
        details=_prose(random, 3000),
        severity=[
            {
                "type": "CVSS_V3",
                "score": f"CVSS:3.1/AV:N/AC:{random.choice('LH')}/PR:N/UI:N/S:U"
                f"/C:{random.choice('NLH')}/I:{random.choice('NLH')}/A:N",
            }
        ],
    )


def _prose(random: Random, length: int) -> str:
    words = (f"{random.getrandbits(24):x}" for _ in range(length // 7))
    return " ".join(words)
