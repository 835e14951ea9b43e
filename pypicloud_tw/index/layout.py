"""Which keys are ours, and whose name a key makes ours (decision D1, D5)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from packaging.utils import (
    InvalidName,
    NormalizedName,
    canonicalize_name,
    is_normalized_name,
)
from packaging.version import InvalidVersion, Version

#: PEP 658: what a file's core metadata is called, beside it.
METADATA_SUFFIX = ".metadata"

#: PEP 740: and its provenance object.
PROVENANCE_SUFFIX = ".provenance"

#: What is no distribution, and lies beside one.
BESIDE = (METADATA_SUFFIX, PROVENANCE_SUFFIX)

#: Seconds after which a sweep takes an unnamed object for an orphan.
SWEEP_AGE = 24 * 3600.0

#: {project}/{id}/{filename}: what a publish makes, and its metadata.
_OWN = re.compile(r"([a-z0-9]+(?:-[a-z0-9]+)*)/[0-9a-f]{32}/[^/]+")

_ID = re.compile(r"[0-9a-f]{32}")

#: What a distribution's name ends in, of whatever program, wherever it stands: behind
#: it may come ``.bad``, ``.part`` or ``.asc``.
_SUFFIX = re.compile(
    r"\.(whl|tar|tgz|zip|egg|exe|rpm|deb|msi|dmg)(?=$|[^A-Za-z0-9])", re.IGNORECASE
)

#: Where a version begins behind a project's name; the other where there is none such.
_VERSION, _ODD_VERSION = re.compile(r"-v?[0-9]"), re.compile(r"[_.]v?[0-9]")


def is_own(key: str) -> bool:
    """Return whether a publish made this object: it is named, or it is an orphan."""
    return _OWN.fullmatch(key) is not None


def own_project(key: str) -> NormalizedName | None:
    """Return the project for which a publish made this object, if one did."""
    found = _OWN.fullmatch(key)
    return None if found is None else NormalizedName(found[1])


def id_folder_of(folder: str) -> NormalizedName | None:
    """Return the project for which a publish made this folder, if one did.

    :param folder: a key's beginning, with the slash at its end.
    """
    name, _, rest = folder.partition("/")
    if _ID.fullmatch(rest.removesuffix("/")) and is_normalized_name(name):
        return NormalizedName(name)
    return None


def id_folder(key: str) -> str:
    """Return the folder that a publish made for an object of ours: {project}/{id}."""
    return key.rpartition("/")[0]


def is_foreign(key: str) -> bool:
    """Return whether this can be a file that somebody else put into the store."""
    if is_hidden(key) or is_harmless(key) or _leads_elsewhere(key):
        return False
    return not key.endswith(BESIDE) and not is_own(key)


def is_hidden(key: str) -> bool:
    """Return whether a key is no package's: ours (.index/) or hidden on purpose.

    What ends in a slash is a folder that a console has drawn.
    """
    parts = key.split("/")
    hidden = any(part.startswith(".") and part not in (".", "..") for part in parts)
    return hidden or key.endswith("/")


def _leads_elsewhere(key: str) -> bool:
    """Return whether no store opens this, as what was copied to ``s3://bucket/./``."""
    return bool({".", ".."}.intersection(key.split("/")))


def is_harmless(key: str) -> bool:
    """Return whether pypicloud 1.x wrote this beside a file: {name}/{version}/..."""
    folder, _, text = key.rpartition("/")
    return text == "metadata.json" and _is_version(folder.rpartition("/")[2])


def claimed_names(key: str) -> frozenset[NormalizedName]:
    """Return the projects under whose names this is, as well as can be told.

    For what is not understood as a distribution: several where its name can be read
    so, none where nothing speaks of a project. Of a key that ends in a slash, the
    folder's.
    """
    *folders, text = key.split("/")
    names = set(_names_in(text))
    if not _is_telling(text):
        names.update(_names_of(folders))
    return frozenset(filter(None, map(_normalized, names)))


def _is_telling(text: str) -> bool:
    """Return whether a file's name tells its project, wherever it lies."""
    suffix = _SUFFIX.search(text)
    stem = "" if suffix is None else text[: suffix.start()]
    return any(pattern.search(stem) for pattern in (_VERSION, _ODD_VERSION))


def _names_in(text: str) -> Iterator[str]:
    """Read ``name-version...``, split wherever a version can begin."""
    text = text.removesuffix(METADATA_SUFFIX)
    suffix = _SUFFIX.search(text)
    stem = text if suffix is None else text[: suffix.start()]
    splits = [match.start() for match in _VERSION.finditer(stem)]
    if not splits and suffix is not None:
        splits = [match.start() for match in _ODD_VERSION.finditer(stem)][:1]
    for at in splits:
        yield stem[:at]
    if suffix is not None and suffix[1].lower() == "whl":
        yield stem.partition("-")[0]  # PEP 427: a name has no hyphens
    elif suffix is not None and not splits:
        yield stem


def _names_of(folders: Sequence[str]) -> Iterator[str]:
    """Read {name}/, {name}/{version}/ (pypicloud 1.x) and {name}/{id}/.

    What is called as a file would be may be the one or the other.
    """
    for folder in reversed(folders):
        if not _ID.fullmatch(folder) and not _is_version(folder):
            yield folder
            yield from _names_in(folder)
            return


def _is_version(text: str) -> bool:
    try:
        Version(text)
    except InvalidVersion:
        return False
    return True


def _normalized(text: str) -> NormalizedName | None:
    try:
        return canonicalize_name(text, validate=True)
    except InvalidName:
        return None
