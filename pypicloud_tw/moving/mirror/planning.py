"""Finding the files that lock files name at the other index, or here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from packaging.version import Version

from pypicloud_tw.index.model import File
from pypicloud_tw.index.names import NormalizedName, parse_version
from pypicloud_tw.moving.locks.platforms import Wanted
from pypicloud_tw.moving.locks.selection import chosen
from pypicloud_tw.moving.locks.values import LockedFile, LockedRelease
from pypicloud_tw.moving.mirror.values import Mirrored, Outcome, Plan, WantedFile
from pypicloud_tw.upstream.links import Link
from pypicloud_tw.upstream.parse import file_version


def plan_of(
    name: NormalizedName,
    releases: Sequence[LockedRelease],
    candidates: Sequence[Link | File],
    wanted: Wanted,
) -> Plan:
    """Choose among the files that an index has of a project; fit for a thread.

    :param candidates: all of them.
    """
    plan = Plan()
    for release in releases:
        plan.add(_of_release(name, release, candidates, wanted))
    # Two locks may name the same file.
    plan.files = list({(f.filename, _sha256(f)): f for f in plan.files}.values())
    return plan


def _of_release(
    name: NormalizedName,
    release: LockedRelease,
    candidates: Sequence[Link | File],
    wanted: Wanted,
) -> Plan:
    if release.files is None:
        return _by_version(name, release, candidates, wanted)
    plan = Plan()
    locked = chosen(release.files, lambda file: file.filename, wanted)
    by_name: dict[str, list[Link | File]] = {}
    for one in candidates:
        by_name.setdefault(one.filename, []).append(one)
    for file in locked:
        found = _matching(file, by_name.get(file.filename, []))
        if isinstance(found, str):
            outcome = Outcome.REFUSED if file.filename in by_name else Outcome.MISSING
            plan.done.append(
                Mirrored(name, outcome, file.filename, file.size, found, file.sha256)
            )
        else:
            plan.files.append(_wanted(name, found))
    if not locked:
        plan.done.append(_nothing_fits(release))
    return plan


def _matching(locked: LockedFile, named: Sequence[Link | File]) -> Link | File | str:
    """Find a file by what its lock says of it, or say why there is none."""
    if not named:
        return "The index has no such file."
    if locked.sha256 is None:
        return named[0] if named[0].sha256 else _unchecked()
    same = [one for one in named if one.sha256 == locked.sha256]
    if same:
        return same[0]
    told = named[0].sha256
    return (
        f"The index has other bytes of that name than the lock: sha256 {told}, not "
        f"{locked.sha256}."
        if told
        else _unchecked()
    )


def _unchecked() -> str:
    return "The index tells no SHA-256 of it, so that it cannot be checked."


def _by_version(
    name: NormalizedName,
    release: LockedRelease,
    candidates: Sequence[Link | File],
    wanted: Wanted,
) -> Plan:
    version = parse_version(release.version)
    of_version = list(_of_version(name, version, candidates))
    if not of_version:
        return _ended(release, Outcome.MISSING, "The index has no such release.")
    checked = [one for one in of_version if one.sha256]
    if release.digests:
        checked = [one for one in checked if one.sha256 in release.digests]
    if not checked:
        return _ended(
            release,
            Outcome.REFUSED,
            "None of the files that the index has of it has a SHA-256 that the lock "
            "names.",
        )
    files = chosen(checked, lambda file: file.filename, wanted)
    if not files:
        return Plan(done=[_nothing_fits(release)])
    return Plan([_wanted(name, file) for file in files])


def _of_version(
    name: NormalizedName,
    version: Version,
    candidates: Sequence[Link | File],
) -> Iterator[Link | File]:
    for one in candidates:
        told = file_version(one.filename, name)
        if told is not None and parse_version(told) == version:
            yield one


def _nothing_fits(release: LockedRelease) -> Mirrored:
    return Mirrored(
        release.name,
        Outcome.MISSING,
        why=f"No file of {release} that the lock allows fits the platforms and Pythons "
        "that are asked for, and there is no source distribution.",
    )


def _ended(release: LockedRelease, outcome: Outcome, why: str) -> Plan:
    return Plan(done=[Mirrored(release.name, outcome, why=f"{release}: {why}")])


def _wanted(name: NormalizedName, file: Link | File) -> WantedFile:
    if isinstance(file, Link):
        return WantedFile(name, link=file)
    return WantedFile(name, own=file)


def _sha256(file: WantedFile) -> str | None:
    return file.link.sha256 if file.link is not None else None
