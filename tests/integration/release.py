"""What is released, built from the checkout: the archives, and environments with them.

All of it is made once a run, whichever module asks first.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path

from attrs import frozen

from tests.integration.clients.environments import PATIENCE, environment, once, run_here
from tests.integration.rig import CHECKOUT, script

#: What is not part of a checkout.
NOT_OURS = shutil.ignore_patterns(
    "__pycache__", "*.egg-info", "_trial_temp*", "dropin.cache", "_build",
)  # fmt: skip

#: When the archives are said to have been made (SOURCE_DATE_EPOCH): 2026-03-01 09:30.
MADE = 1772357400


@frozen
class Archives:
    """What a build makes."""

    wheel: Path
    sdist: Path


def released() -> list[str]:
    """Name the files and folders of a checkout that a source archive has."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))
    named = project["tool"]["hatch"]["build"]["targets"]["sdist"]["only-include"]
    return [*named, ".gitignore", "pyproject.toml"]


def released_files() -> Iterator[Path]:
    """Find the files of the checkout that a source archive has, in order."""
    for name in sorted(released()):
        path = CHECKOUT / name
        found = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in found:
            parts = file.relative_to(CHECKOUT).parts
            if file.is_file() and not NOT_OURS("", list(parts)):
                yield file


def copy_checkout(to: Path) -> None:
    """Copy what is released, so that building leaves nothing in the checkout."""
    for name in released():
        source = CHECKOUT / name
        if source.is_dir():
            shutil.copytree(source, to / name, ignore=NOT_OURS)
        elif source.exists():
            shutil.copy2(source, to / name)


def build(source: Path, to: Path, umask: int = -1, **environment: str) -> Archives:
    """Build the archives as a release does: the wheel of the source archive."""
    command = (sys.executable, "-m", "build", "--no-isolation", "--outdir", to, source)
    done = subprocess.run(
        command,
        env=os.environ | {"SOURCE_DATE_EPOCH": str(MADE)} | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        umask=umask,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return _archives(to)


def archives() -> Archives:
    """Give those of this checkout."""

    def make(path: Path) -> None:
        source = path / "source"
        source.mkdir()
        copy_checkout(source)
        build(source, path / "dist")

    return _archives(once(f"release-{_state()}", make) / "dist")


def wheelhouse(wheel: Path) -> Path:
    """Give a folder with a wheel and all that it needs, for the Python that runs this.

    It comes from this machine's index, as pip is set up here; whoever installs from it
    asks for nothing else.
    """

    def make(path: Path) -> None:
        pip = (sys.executable, "-m", "pip")
        run_here(*pip, "download", "--quiet", "--dest", str(path), str(wheel))

    digest = sha256(wheel.read_bytes()).hexdigest()[:12]
    return once(f"wheelhouse-{digest}", make)


def installed(wheel: Path | None = None) -> str:
    """Install a wheel and all it needs into a new environment; give its Python.

    :param wheel: that of this checkout by default.
    """
    wheel = wheel or archives().wheel
    house = wheelhouse(wheel)

    def make(path: Path) -> None:
        run_here(sys.executable, "-m", "venv", "--without-pip", str(path))
        uv = (script("uv"), "pip", "install", "--quiet", "--offline", "--no-index")
        # Byte code is made when it is needed: most is not.
        where = ("--python", str(path / "bin" / "python"), "--find-links", str(house))
        run_here(*uv, *where, "--cache-dir", str(path / "cache"), str(wheel))
        shutil.rmtree(path / "cache")

    return str(once(f"installed-{house.name}", make) / "bin" / "python")


def installed_for(python: str) -> str:
    """Install the wheel of this checkout for another Python; give that of its place."""
    return environment("--no-compile", str(archives().wheel), python=python)


@cache
def _state() -> str:
    """Name the state of the checkout, so that what is made of it is made again."""
    digest = sha256()
    for path in released_files():
        digest.update(f"{path.relative_to(CHECKOUT)}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _archives(folder: Path) -> Archives:
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return Archives(wheel, sdist)
