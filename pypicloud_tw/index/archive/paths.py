"""Where members of an archive would be unpacked, and where its links lead."""

from __future__ import annotations

from pathlib import PurePosixPath

from pypicloud_tw.index.archive.findings import refuse


def check_link(name: str, target: str, links: set[PurePosixPath]) -> None:
    """Check a symbolic link, and remember it."""
    path = PurePosixPath(name)
    check_path(str(path.parent / target), True)
    links.add(path)


def check_way(name: str, links: set[PurePosixPath]) -> None:
    """Refuse what would be unpacked through a link: its ".." goes up from elsewhere."""
    if links:
        path = PurePosixPath(name)
        if path in links or not links.isdisjoint(path.parents):
            refuse("A path in the archive leads through a symbolic link.")


def check_path(name: str, resolve: bool = False) -> None:
    """Refuse what would be unpacked outside of the folder it is unpacked in."""
    path = PurePosixPath(name.replace("\\", "/"))
    depth = 0
    for part in path.parts:
        depth += -1 if part == ".." else 1
        if part == ".." and (not resolve or depth < 0):
            refuse("A path in the archive leads out of it ('..').")
    if path.is_absolute() or "\0" in name or (len(name) > 1 and name[1] == ":"):
        refuse("A path in the archive is absolute.")


def is_pkg_info(name: str) -> bool:
    """Tell a PKG-INFO in the top folder from others deeper down."""
    parts = PurePosixPath(name).parts
    return len(parts) == 2 and parts[1] == "PKG-INFO"
