"""``pylock.toml`` (PEP 751), as the library of the standard reads it."""

from __future__ import annotations

from packaging.markers import Marker
from packaging.pylock import (
    Package,
    PackageSdist,
    PackageWheel,
    Pylock,
    PylockValidationError,
)

from pypicloud_tw.moving.locks.values import (
    Lock,
    LockedFile,
    LockedRelease,
    filename_of,
    first_line,
    load_toml,
    refused,
    release_version,
    sha256_of,
)


def read_pylock(lock: str, text: str) -> Lock:
    """Read a ``pylock.toml``.

    :param lock: its name, for messages.
    :raises BadRequest: it is none, or of a version that is not known.
    """
    releases, notes = [], []
    try:
        for package in Pylock.from_dict(load_toml(lock, text)).packages:
            if package.wheels or package.sdist:
                releases.append(_release(lock, package))
            elif package.directory is None:
                kind = "a repository" if package.vcs is not None else "an archive"
                notes.append(
                    f"{lock}: {package.name} is from {kind}, and not mirrored."
                )
    # Some releases of the library let through what goes wrong inside: with addresses,
    # numbers, or markers that are nested deeply.
    except (PylockValidationError, ValueError, RecursionError) as e:
        raise refused(
            lock, [f"It is no lock file of PEP 751: {first_line(e)}."]
        ) from None
    return Lock(tuple(releases), tuple(notes))


def _release(lock: str, package: Package) -> LockedRelease:
    files = [_file(wheel) for wheel in package.wheels or ()]
    if package.sdist is not None:
        files.append(_file(package.sdist))
    told = None if package.version is None else str(package.version)
    return LockedRelease(
        package.name,
        release_version(lock, package.name, told),
        lock,
        tuple(files),
        markers=_markers(package),
    )


def _file(entry: PackageWheel | PackageSdist) -> LockedFile:
    name = entry.name or filename_of(entry.url or (entry.path or ""))
    return LockedFile(name, sha256_of(entry.hashes), entry.size)


def _markers(package: Package) -> tuple[Marker, ...]:
    # Which extras and groups will be asked for is not known.
    marker = package.marker
    if marker is None or "extras" in str(marker) or "dependency_groups" in str(marker):
        return ()
    return (marker,)
