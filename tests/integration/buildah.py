"""Builds the image of the Dockerfile with buildah, on a Debian that debootstrap makes.

No engine and no registry of images is needed, and nothing is installed: both programs
are unpacked from Debian's packages. Only root can do it, for what is built has owners.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from attrs import frozen
from twisted.trial.unittest import SkipTest

from tests.integration.clients.environments import folder, once
from tests.integration.debian import SEARCHED, Program, find
from tests.integration.rig import CHECKOUT

#: Seconds that a step may take: packages come over slow lines.
_PATIENCE = 600

#: What pip is told on this machine that has a meaning in a container, too.
_PIP_SETTINGS = ("index-url", "trusted-host", "proxy", "timeout")

_PIP_CONF, _CA_FILE = "/etc/pip.conf", "/etc/ssl/certificates-of-the-machine.pem"

#: Has no signature, and is nobody's but this test's.
_POLICY = '{"default": [{"type": "insecureAcceptAnything"}]}'


@frozen
class Image:
    """An image that was built.

    :ivar root: its file system, unpacked.
    :ivar config: what it says of itself.
    :ivar base: the file system of what it was built on.
    """

    root: Path
    config: Mapping[str, Any]
    base: Path

    @property
    def added(self) -> int:
        """How many bytes it has more than its base."""
        return _size(self.root) - _size(self.base)


@cache
def built() -> Image:
    """Build the image.

    :raises SkipTest: it cannot be done here.
    """
    if os.geteuid() != 0:
        raise SkipTest("Images are built by root alone.")
    buildah = _Buildah.make(folder() / "image")
    try:
        base = _base()
        buildah.run("build", "--quiet", "--tag=base", "--file=-", base, stdin=_IMPORT)
        buildah.run(
            "build",
            "--format=docker",  # the other one has no health check
            "--build-arg=BASE=localhost/base",
            "--build-arg=VERSION=1.2.3",
            "--build-arg=REVISION=0123abc",
            *buildah.volumes(),
            "--tag=pypicloud",
            CHECKOUT,
        )
        told = json.loads(buildah.run("inspect", "--type=image", "pypicloud"))
        root = buildah.mount("pypicloud")
    except subprocess.CalledProcessError as e:
        raise AssertionError(f"{e}\n{e.stdout[-6000:]}") from None
    return Image(root, told["Docker"]["config"], base)


_IMPORT = "FROM scratch\nCOPY . /\n"


@frozen
class _Buildah:
    """buildah, with a store of its own.

    :ivar place: where all of that is.
    """

    program: Path
    place: Path

    @classmethod
    def make(cls, place: Path) -> _Buildah:
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        atexit.register(shutil.rmtree, place, ignore_errors=True)
        (place / "policy.json").write_text(_POLICY)
        (place / "empty.conf").touch()
        (place / "storage.conf").write_text(
            f'[storage]\ndriver = "vfs"\ngraphroot = "{place}/store"\n'
            f'runroot = "{place}/run"\n'
        )
        return cls(_find_buildah(), place)

    def run(self, command: str, *arguments: str | Path, stdin: str = "") -> str:
        """Run one of its commands, and return what it prints."""
        policy = (
            []
            if command in _WITHOUT_POLICY
            else [f"--signature-policy={self.place}/policy.json"]
        )
        done = subprocess.run(
            [self.program, command, *policy, *arguments],
            env=os.environ
            | {
                "BUILDAH_ISOLATION": "chroot",
                "CONTAINERS_STORAGE_CONF": f"{self.place}/storage.conf",
                "CONTAINERS_CONF": f"{self.place}/empty.conf",
                "CONTAINERS_REGISTRIES_CONF": f"{self.place}/empty.conf",
            },
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if command == "build" else None,
            text=True,
            timeout=_PATIENCE,
            check=True,
        )
        return done.stdout

    def mount(self, image: str) -> Path:
        """Unpack an image."""
        container = self.run("from", f"localhost/{image}").strip()
        return Path(self.run("mount", container).strip())

    def volumes(self) -> list[str]:
        """Let pip in the build do as it is told on this machine."""
        settings = _pip_settings()
        given = [f"--volume={self.place}/pip.conf:{_PIP_CONF}:ro"]
        lines = [
            f"{name} = {settings[name]}" for name in _PIP_SETTINGS if name in settings
        ]
        if "cert" in settings:
            lines.append(f"cert = {_CA_FILE}")
            given.append(f"--volume={settings['cert']}:{_CA_FILE}:ro")
        (self.place / "pip.conf").write_text("\n".join(["[global]", *lines, ""]))
        return given


#: These fetch and trust nothing.
_WITHOUT_POLICY = ("inspect", "mount")


def _find_buildah() -> Path:
    """Find buildah; one that is unpacked is told where its libraries are.

    It starts itself with an environment of its own, so a variable would not do.
    """
    program = find("buildah", "buildah")
    if program.root == Path("/"):
        return program.path
    patchelf = find("patchelf", "patchelf")
    libraries = [
        *program.root.glob("usr/lib/*-linux-gnu"),
        *program.root.glob("lib/*-linux-gnu"),
    ]
    subprocess.run(
        [
            *(patchelf.path, "--force-rpath", "--set-rpath"),
            *(":".join(map(str, libraries)), program.path),
        ],
        env=patchelf.environment,
        timeout=_PATIENCE,
        check=True,
    )
    return program.path


def _base() -> Path:
    """Make the smallest Debian that has Python, of this machine's release."""
    debootstrap = find("debootstrap", "debootstrap")

    def make(path: Path) -> None:
        share = debootstrap.root / "usr/share/debootstrap"
        subprocess.run(
            [
                *(debootstrap.path, "--variant=minbase"),
                "--include=python3,python3-venv",
                *(_release(), path, _mirror()),
            ],
            env={
                **debootstrap.environment,
                "DEBOOTSTRAP_DIR": str(share),
                "PATH": _path(debootstrap),  # its wget may be unpacked, too
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PATIENCE,
            check=True,
        )

    try:
        return once(f"debian-{_release()}", make)
    except subprocess.CalledProcessError as e:
        raise SkipTest(f"debootstrap makes no Debian here: {e.stdout[-500:]}") from None


def _path(program: Program) -> str:
    unpacked = (program.root / folder for folder in ("usr/bin", "usr/sbin", "bin"))
    return os.pathsep.join([SEARCHED, *map(str, unpacked)])


def _release() -> str:
    found = re.search(
        r"(?m)^VERSION_CODENAME=(\w+)", Path("/etc/os-release").read_text()
    )
    if found is None:
        raise SkipTest("This Debian does not say which release it is.")
    return found[1]


def _mirror() -> str:
    """Find out where this machine has its packages from."""
    asked = subprocess.run(
        [
            *("apt-get", "indextargets", "--format", "$(REPO_URI)"),
            *("Created-By: Packages", f"Codename: {_release()}"),
        ],
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
        check=True,
    )
    if not asked.stdout.strip():
        raise SkipTest("This machine's apt names no mirror of its own release.")
    return asked.stdout.split()[0]


def _pip_settings() -> Mapping[str, str]:
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"],
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
        check=True,
    )
    # Variables come last, and win.
    return dict(re.findall(r"(?m)^(?:\w+|:env:)\.([\w-]+)='(.*)'$", listed.stdout))


def _size(root: Path) -> int:
    return sum(
        path.lstat().st_size
        for path in root.rglob("*")
        if path.is_file() and not path.is_symlink()
    )
