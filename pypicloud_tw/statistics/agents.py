"""What a User-Agent says of a client: installer, Python and system, and no more.

Nothing of a client is kept but numbers of versions and words that stand in the lists
below: no address, no name of a user or a machine, no text of its own.
"""

from __future__ import annotations

import json
import re
from types import MappingProxyType

from attrs import frozen

#: Bytes that are looked at; pip's have some 600.
LONGEST = 1024

#: What is told of a client that is none of those known.
UNKNOWN = "other"

#: Programs, as they call themselves in lower case, and as they are told.
INSTALLERS = MappingProxyType(
    {
        **{
            name: name
            for name in (
                *("pip", "uv", "poetry", "pdm", "pipenv", "pixi", "rye", "hatch"),
                *("twine", "flit", "setuptools", "distlib", "pex", "pants", "bazel"),
                *("conda", "mamba", "libmamba", "buildout", "bandersnatch", "pulp"),
                *("artifactory", "nexus", "curl", "wget", "unearth", "pypicloud"),
                *("dependabot", "renovate", "requests", "httpx", "aiohttp", "urllib"),
            )
        },
        "python-requests": "requests",
        "python-httpx": "httpx",
        "python-urllib": "urllib",
        "urllib3": "urllib",
        "python-urllib3": "urllib",
        "dependabot-core": "dependabot",
        "renovatebot": "renovate",
        "devpi-server": "devpi",
        "devpi": "devpi",
        "pip-tools": "pip",
        "zc.buildout": "buildout",
        "mozilla": "browser",
    }
)

#: Systems, as clients name them in lower case, and as they are told.
SYSTEMS = MappingProxyType(
    {
        "linux": "Linux",
        "linux2": "Linux",
        "darwin": "macOS",
        "macos": "macOS",
        "mac os x": "macOS",
        "macintosh": "macOS",
        "windows": "Windows",
        "win32": "Windows",
        "windows nt": "Windows",
        "freebsd": "FreeBSD",
        "openbsd": "OpenBSD",
        "netbsd": "NetBSD",
        "sunos": "SunOS",
        "aix": "AIX",
        "android": "Android",
        "iphone": "iOS",
        "ipad": "iOS",
        "java": "Java",
    }
)

_TOLD = frozenset({*INSTALLERS.values(), "browser", UNKNOWN})
_TOLD_SYSTEMS = frozenset({*SYSTEMS.values(), ""})

#: ``pip/26.2``: a program's name, and the numbers that its version begins with.
_PRODUCT = re.compile(
    r"([A-Za-z][A-Za-z0-9.-]{0,19})/v?([0-9]{1,4}(?:\.[0-9]{1,4}){0,2})?"
)
_VERSION = re.compile(r"[0-9]{1,4}(?:\.[0-9]{1,4}){0,2}")
_MINOR = re.compile(r"([0-9]\.[0-9]{1,2})(?![0-9])")
#: ``CPython/3.12.1``, ``cpython 3.11.2``, ``Python-urllib/3.12``, ``py3.11.4``.
_PYTHON = re.compile(
    r"(?:Python(?:-urllib)?[/ ]|\bpy)([0-9]\.[0-9]{1,2})(?![0-9])", re.I
)
_SYSTEM = re.compile(
    r"(?<![A-Za-z])(Android|iPhone|iPad|Windows|win32|Macintosh|Darwin|FreeBSD|OpenBSD|"
    r"NetBSD|Linux|SunOS|AIX)(?![A-Za-z])",
    re.I,
)


@frozen
class Client:
    """A kind of client.

    :ivar installer: of :data:`INSTALLERS`, or :data:`UNKNOWN`.
    :ivar version: its first three numbers at most; empty: not known.
    :ivar python: major and minor version; empty: not known.
    :ivar system: of :data:`SYSTEMS`; empty: not known.
    """

    installer: str = UNKNOWN
    version: str = ""
    python: str = ""
    system: str = ""

    @property
    def key(self) -> str:
        """What it is counted by."""
        return f"{self.installer}/{self.version}/{self.python}/{self.system}"

    @classmethod
    def of_key(cls, key: str) -> Client:
        """Read a key; what is no such is told as :data:`UNKNOWN`."""
        parts = key.split("/")
        if len(parts) != 4:
            return cls()
        installer, version, python, system = parts
        if (
            installer not in _TOLD
            or not _is(_VERSION, version)
            or not _is(_MINOR, python)
            or system not in _TOLD_SYSTEMS
        ):
            return cls()
        return cls(installer, version, python, system)


#: Where there is no room for another kind.
OTHER = Client()


def client_of(agent: bytes | None) -> Client:
    """Tell what kind of client says this of itself; never fails.

    pip and uv say it in JSON behind their names, as linehaul (which counts for the big
    index) reads it; others in products (RFC 9110, section 10.1.5) and comments.
    """
    text = (agent or b"")[:LONGEST].decode("latin-1").lstrip()
    product = _PRODUCT.match(text)
    if product is None:
        return OTHER
    installer, version = _installer(product, text)
    if installer is None:
        return OTHER
    if installer == "browser":
        return Client(installer, system=_system_in(text))
    said = _said(text[product.end() :])
    if said is not None:
        python, system = said
    else:
        python, system = _match(_PYTHON, text), _system_in(text)
    return Client(installer, version, python, system)


def _installer(product: re.Match[str], text: str) -> tuple[str | None, str]:
    """Return how a program is called here, and its version."""
    name, version = product[1].lower(), product[2] or ""
    if name == "python":
        # aiohttp's: Python/3.12 aiohttp/3.11.7
        second = _PRODUCT.search(text, product.end())
        if second is not None and second[1].lower() in INSTALLERS:
            return _installer(second, text)
    elif name == "python-urllib":
        return "urllib", ""  # the number is Python's
    elif name == "server" and "(py" in text:
        return "devpi", version
    return INSTALLERS.get(name), version


def _said(rest: str) -> tuple[str, str] | None:
    """Read the JSON of pip and uv; None: there is none."""
    rest = rest.lstrip()
    if not rest.startswith("{"):
        return None
    try:
        told = json.loads(rest)
    except (ValueError, RecursionError):
        return "", ""
    system = told.get("system")
    name = system.get("name") if isinstance(system, dict) else None
    python = told.get("python")
    return (
        _match(_MINOR, python, begins=True) if isinstance(python, str) else "",
        SYSTEMS.get(name.lower(), "") if isinstance(name, str) else "",
    )


def _system_in(text: str) -> str:
    found = _match(_SYSTEM, text)
    return SYSTEMS[found.lower()] if found else ""


def _match(pattern: re.Pattern[str], text: str, *, begins: bool = False) -> str:
    found = pattern.match(text) if begins else pattern.search(text)
    return "" if found is None else found[1]


def _is(pattern: re.Pattern[str], text: str) -> bool:
    return not text or pattern.fullmatch(text) is not None
