"""Clients of many ages, each in a virtual environment of its own, made once a run.

They are installed with whatever settings this machine has for pip, since they come
from its package index; what they then do with our server, they do in
:func:`.rig.clean_environment`.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import mkdtemp

from twisted.trial.unittest import SkipTest

#: Seconds to make one environment; some come over slow lines.
PATIENCE = 300.0

#: The newest, and the oldest of each kind that private indexes still meet: 22.3 is
#: Python 3.11's first, 20.3 the first with the resolver of today.
PIPS = ("pip", "pip==22.3", "pip==20.3")


@cache
def folder() -> Path:
    """Give the folder of all environments.

    ``PYPICLOUD_CLIENTS`` names one that is kept, for those who run this often.
    """
    kept = os.environ.get("PYPICLOUD_CLIENTS")
    if kept:
        Path(kept).mkdir(parents=True, exist_ok=True)
        return Path(kept)
    made = Path(mkdtemp(prefix="pypicloud-clients-"))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


def once(name: str, make: Callable[[Path], None]) -> Path:
    """Give a folder that is made once, whichever process of the run is first.

    :param make: fills it; it is empty, and made again if that failed before.
    """
    path = folder() / name
    complete = folder() / f"{name}.complete"
    with (folder() / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete.exists():
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir()
            make(path)
            complete.touch()
    return path


def environment(*packages: str, python: str = sys.executable) -> str:
    """Make an environment with *packages*, and give its Python.

    :raises AssertionError: they cannot be installed; the text has pip's reason.
    """

    def make(path: Path) -> None:
        run_here(python, "-m", "venv", "--without-pip", str(path))
        if packages:
            install(str(path / "bin" / "python"), *packages)

    key = sha256("\0".join((python, *packages)).encode()).hexdigest()[:12]
    return str(once(f"environment-{key}", make) / "bin" / "python")


def install(python: str, *packages: str) -> None:
    """Install into the environment of *python*, as this machine is set up to."""
    pip = (sys.executable, "-m", "pip", "--python", python)
    run_here(*pip, "install", "--quiet", *packages)


def find_python(version: str) -> str | None:
    """Find a Python that works, as ``3.12``: here, on PATH, or among pyenv's."""
    candidates = [sys.executable, shutil.which(f"python{version}")]
    root = _pyenv_root()
    if root is not None:
        candidates += sorted(
            map(str, root.glob(f"versions/{version}.*/bin/python{version}"))
        )
    for candidate in candidates:
        if candidate is not None and _version_of(candidate) == version:
            return candidate
    return None


def python_3_11() -> str:
    """Find the last Python with distutils in its standard library.

    :raises SkipTest: this machine has none.
    """
    found = find_python("3.11")
    if found is None:
        raise SkipTest("This machine has no Python 3.11, the last with distutils.")
    return found


def _pyenv_root() -> Path | None:
    root = os.environ.get("PYENV_ROOT")
    if root is None and shutil.which("pyenv"):
        asked = subprocess.run(
            ["pyenv", "root"], capture_output=True, text=True, timeout=30, check=False
        )
        root = asked.stdout.strip()
    return Path(root) if root else None


def _version_of(python: str) -> str | None:
    """Ask a Python for its version; a shim of pyenv may have nothing behind it."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        asked = subprocess.run(
            [python, "-c", code],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except OSError:
        return None
    return asked.stdout.strip() if asked.returncode == 0 else None


def run_here(*command: str) -> None:
    """Run a command as this machine is set up, which must succeed."""
    # trial's workers get the path of this Python, which is not meant for another.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}"
