"""A project's releases: its files by version, and which of them is the newest."""

from __future__ import annotations

from collections.abc import Iterable

from packaging.version import InvalidVersion, Version

from pypicloud_tw.errors import NotFound
from pypicloud_tw.index.model import File, Project
from pypicloud_tw.index.names import parse_version


def latest_version(project: Project) -> str:
    """Return the version that a project's page describes.

    The newest that is not yanked, a final one before any pre-release; where all are
    yanked, the newest of those.

    :raises NotFound: there is no release.
    """
    versions = releases(project)
    if not versions:
        raise NotFound(f"The project {project.name} has no releases.")
    return max(versions, key=lambda v: (not is_yanked(versions[v]), *_rank(v)))


def find_version(project: Project, text: str) -> str:
    """Find the release that a client names, however it spells the version.

    :raises NotFound: there is none.
    """
    versions = releases(project)
    if text in versions:
        return text
    valid, _, wanted = _rank(text)
    for version in versions if valid else ():
        if _rank(version)[2] == wanted:
            return version
    raise NotFound(f"The project {project.name} has no release of that version.")


def releases(project: Project) -> dict[str, list[File]]:
    """Return the files by version; none of a project in quarantine (PEP 792)."""
    return {} if project.status == "quarantined" else by_version(project.files)


def by_version(files: Iterable[File]) -> dict[str, list[File]]:
    """Return files by their version, in their order."""
    found: dict[str, list[File]] = {}
    for file in files:
        found.setdefault(file.version, []).append(file)
    return found


def _rank(version: str) -> tuple[bool, bool, Version | str]:
    """Order versions: what is none before what is, pre-releases before final ones."""
    try:
        parsed = parse_version(version)
    except InvalidVersion:
        return False, False, version
    return True, not parsed.is_prerelease, parsed


def is_yanked(files: Iterable[File]) -> bool:
    """Return whether a release is yanked: every file of it is."""
    return all(file.yanked is not None for file in files)


def newest(project: Project) -> File | None:
    """Return a file of the newest release, one that has a summary if any does.

    None of a project that offers nothing.
    """
    offered = releases(project)
    if not offered:
        return None
    files = offered[_newest_of(offered) or latest_version(project)]
    return next((file for file in files if file.summary), files[0])


def _newest_of(offered: dict[str, list[File]]) -> str | None:
    """Find the newest final release that is not yanked, from behind: they are in order.

    To parse every version of a project of 5,000 takes 30 ms.
    """
    for version in reversed(offered):
        if not is_yanked(offered[version]) and _rank(version)[1]:
            return version
    return None


def newest_stable(project: Project) -> str | None:
    """Return the newest version that is no pre-release; None: there is none."""
    final = (version for version in releases(project) if _rank(version)[1])
    return max(final, key=_rank, default=None)
