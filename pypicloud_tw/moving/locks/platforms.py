"""Platforms by the names that pip and uv have for them, and what fits on them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, lru_cache

from attrs import field, frozen
from packaging.markers import (
    Marker,
    UndefinedComparison,
    UndefinedEnvironmentName,
)
from packaging.tags import Tag, compatible_tags, cpython_tags, mac_platforms

from pypicloud_tw.errors import BadRequest

#: uv's names of platforms that are others' (``uv pip compile --python-platform``).
_ALIASES = {
    "linux": "x86_64-unknown-linux-gnu",
    "macos": "aarch64-apple-darwin",
    "windows": "x86_64-pc-windows-msvc",
}

#: What uv's names of platforms stand for, in the words of wheels' tags.
_UV = {
    "x86_64-unknown-linux-gnu": "manylinux_2_28_x86_64",
    "aarch64-unknown-linux-gnu": "manylinux_2_28_aarch64",
    "x86_64-unknown-linux-musl": "musllinux_1_2_x86_64",
    "aarch64-unknown-linux-musl": "musllinux_1_2_aarch64",
    "riscv64-unknown-linux": "manylinux_2_39_riscv64",
    "x86_64-manylinux2014": "manylinux_2_17_x86_64",
    "aarch64-manylinux2014": "manylinux_2_17_aarch64",
    "aarch64-apple-darwin": "macosx_14_0_arm64",
    "x86_64-apple-darwin": "macosx_14_0_x86_64",
    "x86_64-pc-windows-msvc": "win_amd64",
    "aarch64-pc-windows-msvc": "win_arm64",
    "i686-pc-windows-msvc": "win32",
}
_UV_MANYLINUX = re.compile(r"(x86_64|aarch64)-manylinux_2_(\d{1,3})")

_MANYLINUX = re.compile(r"manylinux_2_(\d{1,3})_([a-z0-9_]+)")
_MUSLLINUX = re.compile(r"musllinux_1_(\d{1,3})_([a-z0-9_]+)")
_MACOS = re.compile(r"macosx_(\d{1,2})_(\d{1,2})_([a-z0-9_]+)")
_LINUX = re.compile(r"linux_([a-z0-9_]+)")
_WINDOWS = {"win_amd64": "AMD64", "win_arm64": "ARM64", "win32": "x86"}

#: Names of before PEP 600, and the glibc that each stands for.
_OLDER = {"manylinux1": 5, "manylinux2010": 12, "manylinux2014": 17}

_PYTHON = re.compile(r"3\.(\d{1,2})(\.\d+)?(t?)")

#: Pythons that count where none is named, by their minor versions.
_PYTHONS = range(8, 16)


@frozen
class Platform:
    """A platform that files are wanted for.

    :ivar asked: as it was asked for.
    :ivar tags: the platform tags of wheels that fit, the best first.
    """

    asked: str
    tags: tuple[str, ...]
    system: str
    machine: str

    @property
    def markers(self) -> Mapping[str, str]:
        """What markers see of it (PEP 508)."""
        os_name, sys_platform = {
            "Linux": ("posix", "linux"),
            "Darwin": ("posix", "darwin"),
            "Windows": ("nt", "win32"),
        }[self.system]
        return {
            "os_name": os_name,
            "sys_platform": sys_platform,
            "platform_system": self.system,
            "platform_machine": self.machine,
        }


@frozen
class Python:
    """A version of CPython that files are wanted for."""

    minor: int
    free_threaded: bool = False
    full: str | None = None

    @property
    def version(self) -> str:
        """As in 3.12."""
        return f"3.{self.minor}"

    @property
    def markers(self) -> Iterator[Mapping[str, str]]:
        """What markers may see of it: of its first patch, and of a last one."""
        patches = (f"{self.version}.0", f"{self.version}.99")
        for full in (self.full,) if self.full else patches:
            yield {
                "python_version": self.version,
                "python_full_version": full,
                "implementation_version": full,
                "implementation_name": "cpython",
                "platform_python_implementation": "CPython",
            }


def parse_platform(text: str) -> Platform:
    """Read a platform's name, as pip or uv has it.

    :raises BadRequest: it is none that is known here.
    """
    name = _UV.get(_ALIASES.get(text, text), text)
    found = _UV_MANYLINUX.fullmatch(name)
    if found:
        name = f"manylinux_2_{found[2]}_{found[1]}"
    for older, glibc in _OLDER.items():
        if name.startswith(f"{older}_"):
            name = f"manylinux_2_{glibc}{name.removeprefix(older)}"
    return _platform(text, name)


def _platform(asked: str, name: str) -> Platform:
    if found := _MANYLINUX.fullmatch(name):
        tags = tuple(_manylinux(int(found[1]), found[2]))
        return Platform(asked, tags, "Linux", found[2])
    if found := _MUSLLINUX.fullmatch(name):
        arch = found[2]
        tags = tuple(f"musllinux_1_{n}_{arch}" for n in range(int(found[1]), -1, -1))
        return Platform(asked, (*tags, f"linux_{arch}"), "Linux", arch)
    if found := _MACOS.fullmatch(name):
        version = int(found[1]), int(found[2])
        return Platform(
            asked, tuple(mac_platforms(version, found[3])), "Darwin", found[3]
        )
    if found := _LINUX.fullmatch(name):
        return Platform(asked, (name,), "Linux", found[1])
    if name in _WINDOWS:
        return Platform(asked, (name,), "Windows", _WINDOWS[name])
    raise BadRequest(
        f"--platform {asked} is not known; say linux, macos or windows, a platform as "
        "pip has it (manylinux_2_28_x86_64, musllinux_1_2_aarch64, macosx_14_0_arm64, "
        "win_amd64) or as uv has it (x86_64-unknown-linux-gnu)."
    )


def _manylinux(glibc: int, arch: str) -> Iterator[str]:
    """Return what runs with a glibc, by PEP 600: whatever asks for no newer one."""
    older = {number: name for name, number in _OLDER.items()}
    for minor in range(glibc, 4, -1):
        yield f"manylinux_2_{minor}_{arch}"
        if minor in older:
            yield f"{older[minor]}_{arch}"
    yield f"linux_{arch}"


def parse_python(text: str) -> Python:
    """Read a version of Python, as in 3.12, 3.12.4 or 3.13t.

    :raises BadRequest: it is none.
    """
    found = _PYTHON.fullmatch(text)
    if found is None:
        raise BadRequest(
            f"--python {text} is no version of CPython; say 3.12 or 3.13t."
        )
    full = text.removesuffix("t") if found[2] else None
    return Python(int(found[1]), bool(found[3]), full)


@frozen
class Environment:
    """Where something is to be installed; what is None may be anything."""

    platform: Platform | None
    python: Python | None

    def __str__(self) -> str:
        parts = [] if self.platform is None else [self.platform.asked]
        if self.python is not None:
            parts.append(f"Python {self.python.version}")
        return ", ".join(parts)

    def fits(self, tags: frozenset[Tag]) -> bool:
        """Return whether a wheel of these tags can be installed there."""
        return any(map(self._fits, tags))

    def _fits(self, tag: Tag) -> bool:
        platform, python = self.platform, self.python
        if platform is not None and tag.platform not in ("any", *platform.tags):
            return False
        if python is None:
            return True
        # The platform was looked at: only the tag's own counts here.
        return tag in _supported(python, tag.platform)

    def holds(self, markers: Sequence[Marker]) -> bool:
        """Return whether one of some markers may hold there; without any: yes."""
        if not markers:
            return True
        if any(name in str(marker) for marker in markers for name in _UNKNOWN):
            return True
        return any(
            _may_hold(marker, known) for marker in markers for known in self._possible()
        )

    def _possible(self) -> Iterator[dict[str, str]]:
        """Return what markers may see there, in each case that it leaves open."""
        platforms = [self.platform] if self.platform else _usual_platforms()
        pythons = [self.python] if self.python else list(map(Python, _PYTHONS))
        for platform in platforms:
            for python in pythons:
                for markers in python.markers:
                    yield {**platform.markers, **markers}


def _may_hold(marker: Marker, known: Mapping[str, str]) -> bool:
    try:
        return marker.evaluate({**known, "extra": ""})
    except (UndefinedComparison, UndefinedEnvironmentName):
        return True  # as in os_name ~= "1": each installer makes of it what it likes


#: What no option tells of an environment, so that each comparison with it may hold.
_UNKNOWN = ("platform_release", "platform_version")


@cache
def _usual_platforms() -> tuple[Platform, ...]:
    names = (*_UV, "linux_x86_64")
    return tuple(map(parse_platform, names))


@lru_cache
def _supported(python: Python, platform: str) -> frozenset[Tag]:
    version = 3, python.minor
    abi = f"cp3{python.minor}{'t' if python.free_threaded else ''}"
    return frozenset(
        [
            *cpython_tags(version, [abi], [platform]),
            *compatible_tags(version, f"cp3{python.minor}", [platform]),
        ]
    )


@frozen
class Wanted:
    """Which files of a lock are wanted.

    :ivar environments: where they will be installed; none: anywhere.
    :ivar sdists: sources as well where there are wheels that fit.
    """

    environments: tuple[Environment, ...] = field(default=())
    sdists: bool = False

    @classmethod
    def of(
        cls, platforms: Sequence[str], pythons: Sequence[str], *, sdists: bool
    ) -> Wanted:
        """Make it of what was given on a command line.

        :raises BadRequest: a platform or a Python is not known.
        """
        if not platforms and not pythons:
            return cls(sdists=sdists)
        where: list[Platform | None] = [*map(parse_platform, platforms)]
        which: list[Python | None] = [*map(parse_python, pythons)]
        return cls(
            tuple(
                Environment(platform, python)
                for platform in where or [None]
                for python in which or [None]
            ),
            sdists,
        )
