"""Finding what of a project an act is about, and saying what there is where it is not.

Versions are compared by PEP 440, files by their exact names.
"""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen

from pypicloud_tw.errors import BadRequest, NotFound
from pypicloud_tw.index.admission import same_version
from pypicloud_tw.index.manifest import in_version_order, versions_of
from pypicloud_tw.index.model import File, Project, Selection, Tombstone
from pypicloud_tw.index.names import Filename, comparable_versions, version_hint

#: How many names an error lists.
LISTED = 10


@frozen
class Chosen:
    """What a selection names.

    :ivar files: those that are published.
    :ivar tombstones: those that were deleted.
    """

    files: tuple[File, ...]
    tombstones: tuple[Tombstone, ...]


def choose(project: Project, what: Selection) -> Chosen:
    """Find what a selection names; there is at least one, unless it is all.

    :raises NotFound: there is and was nothing of the kind; the message says what is.
    """
    if what.file is not None:
        return _choose_file(project, what.file, what.version)
    if what.version is not None:
        return _choose_release(project, what.version)
    return Chosen(project.files, project.tombstones)


def choose_releases(project: Project, versions: Iterable[str]) -> tuple[File, ...]:
    """Find the files of several releases; each release is there, or was.

    :raises NotFound: one never was; the message says what is.
    """
    here = comparable_versions(file.version for file in project.files)
    chosen = {*comparable_versions(versions).values()}
    missing = chosen - {*here.values()}
    if missing:
        buried = filter(None, map(release_of, project.tombstones))
        missing -= {*comparable_versions(buried).values()}
    if missing:
        raise _no_release(project)
    return tuple(file for file in project.files if here[file.version] in chosen)


def release_of(tombstone: Tombstone) -> str | None:
    """Return the version of a file that was deleted; None: its name does not tell."""
    if tombstone.file is not None:
        return tombstone.file.version
    filename = tombstone.filename
    # There may be thousands, and to parse all of each takes 20 times as long.
    if filename.endswith(".whl"):
        return filename.split("-")[1]
    try:
        return str(Filename.parse(filename, legacy=True).version)
    except BadRequest:
        return None


def with_numbers(tombstones: Iterable[Tombstone], version: str) -> Iterable[Tombstone]:
    """Leave out those whose names have not a version's numbers, of any spelling.

    To read each name costs a hundred times as much, and there may be thousands.
    """
    numbers = version_hint(version)
    wanted = f".{numbers}." if numbers else ""
    return (tombstone for tombstone in tombstones if wanted in tombstone.numbers)


def listed(names: Iterable[str]) -> str:
    """Write some names for a sentence, and how many more there are."""
    every = list(names)
    text = ", ".join(every[:LISTED])
    return f"{text} and {len(every) - LISTED} more" if len(every) > LISTED else text


def some_of(sentences: Iterable[str]) -> str:
    """Write some sentences, and how many more there are."""
    every = list(sentences)
    more = [f"And {len(every) - LISTED} more."] if len(every) > LISTED else []
    return " ".join([*every[:LISTED], *more])


def _choose_file(project: Project, filename: str, version: str | None) -> Chosen:
    file, tombstone = project.file(filename), project.tombstone(filename)
    if file is None and tombstone is None:
        there = listed(file.filename for file in reversed(project.files))
        raise NotFound(
            f"There is no such file of {project.name} here; {_there_are(there)}"
        )
    found = Chosen(
        () if file is None else (file,), () if tombstone is None else (tombstone,)
    )
    releases = {one.version for one in found.files}
    releases.update(filter(None, map(release_of, found.tombstones)))
    if version is not None and not any(same_version(v, version) for v in releases):
        raise NotFound(f"This file of {project.name} is not of that release.")
    return found


def _choose_release(project: Project, version: str) -> Chosen:
    found = Chosen(
        tuple(f for f in project.files if same_version(f.version, version)),
        tuple(
            tombstone
            for tombstone in with_numbers(project.tombstones, version)
            if same_version(release_of(tombstone) or "", version)
        ),
    )
    if not found.files and not found.tombstones:
        raise _no_release(project)
    return found


def _no_release(project: Project) -> NotFound:
    there = listed(reversed(in_version_order(versions_of(project.files))))
    return NotFound(
        f"There is no such release of {project.name} here; {_there_are(there)}"
    )


def _there_are(names: str) -> str:
    return f"there are {names}." if names else "it has no files."
