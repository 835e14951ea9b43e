"""Which of the files that a lock names are wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from packaging.tags import Tag
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.moving.locks.platforms import Environment, Wanted
from pypicloud_tw.moving.locks.values import LockedRelease

T = TypeVar("T")

#: Endings of what can be built; other kinds than wheels and these nobody installs.
_SDISTS = (".tar.gz", ".zip", ".tar.bz2", ".tar.xz", ".tgz")


def installed_anywhere(
    releases: Iterable[LockedRelease], wanted: Wanted
) -> dict[NormalizedName, list[LockedRelease]]:
    """Group the releases that are installed in one of the environments by project."""
    found: dict[NormalizedName, list[LockedRelease]] = {}
    for release in releases:
        places = wanted.environments
        if not places or any(place.holds(release.markers) for place in places):
            found.setdefault(release.name, []).append(release)
    return dict(sorted(found.items()))


def chosen(files: Sequence[T], name_of: Callable[[T], str], wanted: Wanted) -> list[T]:
    """Choose among the files of a release: wheels that fit, and sources if need be.

    :param name_of: tells a file's name.
    """
    tags = {name_of(file): _tags(name_of(file)) for file in files}
    wheels = [file for file in files if tags[name_of(file)]]
    sources = [file for file in files if name_of(file).endswith(_SDISTS)]
    places = wanted.environments
    if not places:
        return [*wheels, *(sources if wanted.sdists or not wheels else ())]
    fitting = [file for file in wheels if _fits(tags[name_of(file)], places)]
    missing = [
        place
        for place in places
        if not any(place.fits(tags[name_of(file)]) for file in fitting)
    ]
    return [*fitting, *(sources if wanted.sdists or missing else ())]


def _fits(tags: frozenset[Tag], places: Sequence[Environment]) -> bool:
    return any(place.fits(tags) for place in places)


def _tags(filename: str) -> frozenset[Tag]:
    """Return a wheel's tags; none for anything else."""
    if not filename.endswith(".whl"):
        return frozenset()
    try:
        return parse_wheel_filename(filename)[3]
    except InvalidWheelFilename:
        return frozenset()
