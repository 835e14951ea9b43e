"""``uv.lock``: TOML, of which every package lists all files that its index had."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from packaging.markers import Marker

from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.json_documents import DAMAGED
from pypicloud_tw.moving.locks.values import (
    Lock,
    LockedFile,
    LockedRelease,
    filename_of,
    first_line,
    load_toml,
    locked_name,
    refused,
    release_version,
    sha256_of,
    split_digest,
)

#: The only format of uv.lock that there is; revisions within it add keys that may be
#: ignored.
FORMAT = 1

#: Sources that are the locked project itself, or parts of its workspace.
_OWN = ("virtual", "editable", "directory")

_Package = Mapping[str, Any]
#: A package among those of a lock: there may be several of one name (forks).
_Key = tuple[str, str, str]


def read_uv_lock(lock: str, text: str) -> Lock:
    """Read a ``uv.lock``.

    :param lock: its name, for messages.
    :raises BadRequest: it is none, or of a format that is not known here.
    """
    document = load_toml(lock, text)
    try:
        packages = list(document.get("package", ()))
        _check_format(lock, document)
        reached = _Graph(packages).reached()
        releases, notes = [], []
        for package in packages:
            name = locked_name(lock, package["name"])
            note = _elsewhere(lock, name, package["source"])
            if note is not None:
                notes.append(note)
            elif "registry" in package["source"]:
                markers = reached.get(_key(package), ())
                releases.append(_release(lock, name, package, tuple(markers)))
    except DAMAGED as e:
        raise refused(
            lock, [f"It is not as uv writes it ({type(e).__name__}: {first_line(e)})."]
        ) from None
    return Lock(tuple(releases), tuple(notes))


def _check_format(lock: str, document: Mapping[str, Any]) -> None:
    version = document.get("version")
    if version != FORMAT:
        raise refused(
            lock,
            [f"It has the format {version!r}, of which only {FORMAT} is known here."],
        )


def _elsewhere(lock: str, name: str, source: Mapping[str, Any]) -> str | None:
    """Tell of what is no index's and not the locked project itself."""
    if "registry" in source:
        if str(source["registry"]).startswith(("http://", "https://")):
            return None
        return f"{lock}: {name} is from a folder, and not mirrored."
    if any(kind in source for kind in _OWN):
        return None
    kind = next((k for k in ("git", "url", "path") if k in source), None)
    if kind is None:
        return f"{lock}: {name} is from a source that is not known here."
    what = {"git": "a git repository", "url": "a URL", "path": "a file"}[kind]
    return f"{lock}: {name} is from {what}, and not mirrored."


def _release(
    lock: str, name: NormalizedName, package: _Package, markers: tuple[Marker, ...]
) -> LockedRelease:
    files = [_file(wheel) for wheel in package.get("wheels", ())]
    if "sdist" in package:
        files.append(_file(package["sdist"]))
    return LockedRelease(
        name,
        release_version(lock, name, package.get("version")),
        lock,
        tuple(files),
        markers=markers,
    )


def _file(entry: Mapping[str, Any]) -> LockedFile:
    address = entry.get("url") or entry.get("path") or entry["filename"]
    digest = sha256_of(split_digest(entry.get("hash", "")))
    size = entry.get("size")
    return LockedFile(
        filename_of(address), digest, size if isinstance(size, int) else None
    )


def _key(package: _Package) -> _Key:
    source = "".join(f"{k}={v}" for k, v in sorted(package["source"].items()))
    return package["name"], package.get("version", ""), source


class _Graph:
    """Which package is needed where: by the markers on the ways to it."""

    def __init__(self, packages: Sequence[_Package]) -> None:
        self._packages = {_key(package): package for package in packages}
        self._by_name: dict[str, list[_Key]] = defaultdict(list)
        for key in self._packages:
            self._by_name[key[0]].append(key)

    def reached(self) -> Mapping[_Key, Sequence[Marker]]:
        """Return the markers under which each package is needed; none: always.

        Markers are those of the last step of a way, and of the forks: what is needed
        only below something that is needed nowhere is kept all the same.
        """
        found: dict[_Key, list[Marker]] = {}
        always = set()
        for dependency in self._dependencies():
            marker = dependency.get("marker", "")
            for key in self._targets(dependency):
                # uv's names of extras that conflict are known to uv alone.
                if not marker or "extra" in marker:
                    always.add(key)
                else:
                    found.setdefault(key, []).append(Marker(marker))
        for key, package in self._packages.items():
            if key in always:
                found[key] = []
            forks = package.get("resolution-markers", ())
            if forks and not found.get(key):
                found[key] = [Marker(fork) for fork in forks if "extra" not in fork]
        return found

    def _dependencies(self) -> Iterator[Mapping[str, Any]]:
        for package in self._packages.values():
            yield from package.get("dependencies", ())
            for group in ("optional-dependencies", "dev-dependencies"):
                for dependencies in package.get(group, {}).values():
                    yield from dependencies

    def _targets(self, dependency: Mapping[str, Any]) -> Iterator[_Key]:
        """Find the packages that a dependency is of: it tells as much as is needed."""
        for key in self._by_name[dependency["name"]]:
            if dependency.get("version", key[1]) == key[1]:
                yield key
