"""Programs of Debian's packages, unpacked into a folder: nothing is installed.

Nobody has to be root for that, and what runs beside the tests stays as it is.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from attrs import frozen
from twisted.trial.unittest import SkipTest

from tests.integration.clients.environments import once

#: Debian keeps servers where only root looks.
SEARCHED = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])

#: Seconds that apt may take for its lists, or for a package and what it depends on.
_PATIENCE = 180


@frozen
class Program:
    """A program that can be run.

    :ivar path: of the binary.
    :ivar root: what its files lie below; ``/`` where it is installed.
    """

    path: Path
    root: Path

    @property
    def environment(self) -> Mapping[str, str]:
        """This process's variables, and those by which it finds its libraries."""
        if self.root == Path("/"):
            return os.environ
        common = [*self.root.glob("usr/lib/*-linux-gnu*"), self.root / "usr/lib"]
        # A package keeps its own where only its programs look, by an absolute path.
        own = {one.parent for folder in common for one in folder.glob("*/lib*.so*")}
        libraries = [*common, *sorted(own)]
        return os.environ | {"LD_LIBRARY_PATH": os.pathsep.join(map(str, libraries))}


@cache
def find(name: str, package: str, *beside: str) -> Program:
    """Find a program on this machine, or unpack the package that has it.

    :param beside: packages that it does not depend on, and is of no use without.
    :raises SkipTest: it is not here, and cannot be had.
    """
    found = shutil.which(name, path=SEARCHED)
    if found is not None:
        return Program(Path(found), Path("/"))
    root = _unpack(package, *beside)
    # What is in bin may be a script that looks for the program below /usr/lib.
    for folder in (f"usr/lib/{name}", "usr/sbin", "usr/bin"):
        if (root / folder / name).exists():
            return Program(root / folder / name, root)
    raise SkipTest(f"Debian's package {package} has no {name}.")


def _unpack(package: str, *beside: str) -> Path:
    """Unpack packages and those of their dependencies that are not installed."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise SkipTest(f"There is no {package} here, and no Debian to get it from.")
    lists = _lists(package)

    def make(path: Path) -> None:
        (path / "archives/partial").mkdir(parents=True)
        fetch = ("install", "--reinstall", "--download-only", package, *beside)
        _run(package, [*_apt(lists, path), *fetch])
        (path / "root").mkdir()
        for archive in (path / "archives").glob("*.deb"):
            _run(package, ["dpkg-deb", "--extract", archive, path / "root"])
            archive.unlink()

    return once(f"unpacked-{'+'.join((package, *beside))}", make) / "root"


def _lists(package: str) -> Path:
    """Fetch the lists of packages, once a day and not for each."""

    def make(path: Path) -> None:
        (path / "partial").mkdir()
        _run(package, [*_apt(path, path / "partial"), "update"])

    return once(f"debian-lists-{datetime.now(UTC):%Y-%m-%d}", make)


def _apt(lists: Path, cache: Path) -> list[str]:
    options = (
        f"Dir::State::Lists={lists}",
        f"Dir::Cache={cache}",
        f"Dir::Cache::Archives={cache}/archives",
        "Debug::NoLocking=1",
        "APT::Sandbox::User=",
        "APT::Install-Recommends=0",
    )
    return ["apt-get", "-q", "-y", *(f"-o{option}" for option in options)]


def _run(package: str, command: Sequence[str | Path]) -> None:
    try:
        subprocess.run(
            command,
            check=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PATIENCE,
        )
    except (OSError, subprocess.SubprocessError) as e:
        raise SkipTest(f"There is no {package} here, nor can it be had: {e}") from None
