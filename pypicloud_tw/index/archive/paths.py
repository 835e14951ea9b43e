"""Where members of an archive would be unpacked, and where its links lead."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from pathlib import PurePosixPath
from unicodedata import category

from pypicloud_tw.index.archive.findings import Findings, quoted, refuse

#: Categories of Unicode's characters that not every installer takes in a name.
_UNSEEN = {"Cc", "Cf"}


def check_characters(name: str) -> None:
    """Refuse control characters and those that only format, as uv does."""
    if not name.isprintable() and not _UNSEEN.isdisjoint(map(category, name)):
        refuse(
            f"The name of the member {quoted(name)} has a control character in it, or "
            "one that is not seen; rename the file and build the archive again."
        )


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


def canonical_path(name: str) -> str:
    """Spell a member's path as the file system would: without "." and empty parts.

    Backslashes are slashes: on Windows installers take them for that. A folder has no
    slash at its end.
    """
    plain = name.replace("\\", "/")
    if "//" not in plain and "." not in (plain[0], plain[-1]) and "/." not in plain:
        return plain.rstrip("/")  # nearly all, and quicker
    return "/".join(part for part in plain.split("/") if part not in ("", "."))


def check_unique(paths: Iterable[tuple[str, bool]], sentence: str) -> None:
    """Refuse two members of one path, and one that lies in another that is a file.

    A folder may be listed twice: whoever unpacks it makes it once.

    :param paths: canonical paths, or what else they are compared by; and whether each
        is a folder.
    :param sentence: says what is wrong, before the name.
    """
    # A path's separators sort first: what lies in a folder comes right behind it.
    ordered = sorted((path.replace("/", "\0"), folder) for path, folder in paths)
    for (path, folder), (following, also) in pairwise(ordered):
        if path == following:
            wrong = not (folder and also)
        else:
            wrong = not folder and following.startswith(f"{path}\0")
        if wrong:
            shown = quoted(following.replace("\0", "/"))
            refuse(f"{sentence}, {shown}. Build the file again without one of them.")


def has_one_top_folder(paths: Iterable[tuple[str, bool]], findings: Findings) -> bool:
    """Tell whether all lies in one folder, as a source archive should; note if not.

    pip takes away a folder that all of it lies in, and uv looks into the only one.

    :param paths: canonical ones, and whether each is a folder.
    """
    parts = ((*path.partition("/")[::2], folder) for path, folder in paths if path)
    tops = {top if below or folder else "" for top, below, folder in parts}
    one = len(tops) == 1 and "" not in tops
    if not one:
        findings.fall_short(
            "A source archive has exactly one top folder, in which all of it lies "
            "(PEP 517, 625); build it again."
        )
    return one


def is_pkg_info(name: str) -> bool:
    """Tell a PKG-INFO in the top folder from others deeper down."""
    parts = PurePosixPath(name).parts
    return len(parts) == 2 and parts[1] == "PKG-INFO"
