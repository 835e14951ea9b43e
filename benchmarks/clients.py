"""The headers that real clients send: 50 sets, so that remembering one wins nothing.

Written down from the clients themselves; versions and machines vary as they do in life.
"""

from __future__ import annotations

import json
from itertools import product

Headers = tuple[tuple[str, str], ...]

_PIP_ACCEPT = (
    "application/vnd.pypi.simple.v1+json, "
    "application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01"
)
_UV_ACCEPT = (
    "application/vnd.pypi.simple.v1+json, "
    "application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01"
)
_BROWSER_ACCEPT = (
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,"
    "image/webp,*/*;q=0.8"
)


def _pip(version: str, python: str) -> Headers:
    about = {
        "ci": None,
        "cpu": "x86_64",
        "distro": {"id": "bookworm", "name": "Debian GNU/Linux", "version": "12"},
        "implementation": {"name": "CPython", "version": python},
        "installer": {"name": "pip", "version": version},
        "openssl_version": "OpenSSL 3.0.15 3 Sep 2024",
        "python": python,
        "system": {"name": "Linux", "release": "6.1.0-28-amd64"},
    }
    agent = f"pip/{version} {json.dumps(about, separators=(',', ':'))}"
    old = version.startswith("20.")
    return (
        ("User-Agent", agent),
        ("Accept-Encoding", "gzip, deflate" if old else "gzip, deflate, br, zstd"),
        ("Accept", "text/html" if old else _PIP_ACCEPT),
        ("Connection", "keep-alive"),
        ("Cache-Control", "max-age=0"),
    )


def _uv(version: str, python: str) -> Headers:
    about = {"installer": {"name": "uv", "version": version}, "python": python}
    return (
        ("user-agent", f"uv/{version} {json.dumps(about, separators=(',', ':'))}"),
        ("accept", _UV_ACCEPT),
        ("accept-encoding", "gzip, br, zstd, deflate"),
    )


def _poetry(version: str) -> Headers:
    return (
        ("User-Agent", f"poetry/{version} CPython/3.12.4 Linux/6.1.0-28-amd64"),
        ("Accept-Encoding", "gzip, deflate"),
        ("Accept", "application/vnd.pypi.simple.v1+json"),
        ("Connection", "keep-alive"),
    )


def _browser(agent: str) -> Headers:
    return (
        ("User-Agent", agent),
        ("Accept", _BROWSER_ACCEPT),
        ("Accept-Language", "en-US,en;q=0.5"),
        ("Accept-Encoding", "gzip, deflate, br, zstd"),
        ("Connection", "keep-alive"),
        ("Sec-Fetch-Dest", "document"),
        ("Sec-Fetch-Mode", "navigate"),
        ("Sec-Fetch-Site", "none"),
    )


def header_sets() -> list[Headers]:
    """Give the 50 sets."""
    pythons = ("3.9.19", "3.10.14", "3.11.9", "3.12.4")
    pips = ("20.3.4", "22.3.1", "23.2.1", "24.0", "25.1")
    uvs = ("0.4.30", "0.5.11", "0.6.3", "0.7.2", "0.8.0")
    sets = [_pip(version, python) for version, python in product(pips, pythons)]
    sets += [_uv(version, python) for version, python in product(uvs, pythons)]
    sets += [_poetry(version) for version in ("1.8.3", "2.0.1", "2.1.1", "2.1.3")]
    sets += [
        _browser(
            f"Mozilla/5.0 (X11; Linux x86_64; rv:{n}.0) Gecko/20100101 Firefox/{n}.0"
        )
        for n in range(128, 134)
    ]
    assert len(sets) == 50
    return sets
