"""Names as types: normalise once at the edge, and inner code takes only the result."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum
from math import prod

from attrs import frozen
from packaging.utils import (
    InvalidName,
    InvalidSdistFilename,
    InvalidWheelFilename,
    NormalizedName,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

from pypicloud_tw.errors import BadRequest, NotFound

__all__ = [
    "FileKind",
    "Filename",
    "NormalizedName",
    "asked_project",
    "file_identity",
    "hint",
    "parse_version",
    "project_name",
    "unknown_project",
    "version_hint",
]

#: NAME_MAX of every file system that matters; the key's last segment is the filename.
#: The longest that is known has 132 characters, a wheel of psycopg2-binary 2.7.3.2 for
#: five systems (factor 1.9).
MAX_FILENAME = 255 - len(".metadata")


#: Characters of a version. Python reads no numbers of more than 4,300 digits, and the
#: longest versions known have fewer than 64: a factor of 16.
MAX_VERSION = 1024

#: Tags of a wheel, which its name may abbreviate as products of three lists. The most
#: that are known are 14: a factor of 70. A name of 246 characters could have 36,000.
MAX_TAGS = 1000
#: What names of distribution files are made of: names, versions with "!" and "+", and
#: tags. Anything else is no part of one and would have to be quoted in a URL or a page.
_CHARACTERS = re.compile(r"[A-Za-z0-9._+!-]+")

#: A compressed tag set ("Platform compatibility tags"): cp311, py2.py3, or
#: manylinux_2_17_x86_64.manylinux2014_x86_64.
_TAGS = re.compile(r"[A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)*")


#: A number of a version without the zeros before it; PEP 440 does not count these.
_NUMBER = re.compile(r"[1-9][0-9]*")


class FileKind(Enum):
    """What a distribution file is, in the words of the upload form's ``filetype``."""

    WHEEL = "bdist_wheel"
    SDIST = "sdist"
    EGG = "bdist_egg"
    WININST = "bdist_wininst"
    DUMB = "bdist_dumb"


#: A wheel's name with a variant label, and what lies beside such wheels.
_VARIANT_WHEEL = re.compile(r"(.+)-[0-9a-z._]{1,16}\.whl", re.ASCII)
_VARIANTS = "-variants.json"
_NO_VARIANTS = (
    "Wheel variants (PEP 817 and 825, drafts) are not taken here until they are "
    "accepted; upload a wheel without a variant label."
)

#: Suffixes from before wheels and PEP 625, taken only with ``pypi.legacy_formats``.
LEGACY_SUFFIXES = {
    ".egg": FileKind.EGG,
    ".exe": FileKind.WININST,
    ".zip": FileKind.SDIST,
    ".tar.bz2": FileKind.SDIST,
    ".tar.xz": FileKind.SDIST,
    ".tar.Z": FileKind.SDIST,
    ".tgz": FileKind.SDIST,
    ".tar": FileKind.SDIST,
}


def unknown_project(name: NormalizedName) -> NotFound:
    """Return what is answered where there is no such project, or seems to be none."""
    return NotFound(f"There is no project {name} here.")


def project_name(text: str) -> NormalizedName:
    """Normalise a project's name (PEP 503), refusing what PEP 508 does.

    :raises BadRequest: it is not a valid name, or longer than a file's can be, which
        begins with it.
    """
    # Names that are not here are remembered, and anybody may ask for any.
    if len(text) > MAX_FILENAME:
        raise BadRequest(f"This name is longer than {MAX_FILENAME} characters.")
    try:
        return canonicalize_name(text, validate=True)
    except InvalidName:
        raise BadRequest(
            "This is not a valid project name: it must be ASCII letters, digits, '.', "
            "'-' and '_', and begin and end with a letter or digit."
        ) from None


def asked_project(text: str) -> NormalizedName:
    """Normalise a name that is asked for; what cannot be a name is not here.

    :raises NotFound: it cannot.
    """
    try:
        return project_name(text)
    except BadRequest:
        raise NotFound(
            "There is no project of that name: it is not a valid one."
        ) from None


@frozen
class Filename:
    """A distribution file's name, understood.

    :ivar text: as the file is called.
    """

    text: str
    project: NormalizedName
    version: Version
    kind: FileKind

    @classmethod
    def parse(
        cls, text: str, *, legacy: bool = False, project: str | None = None
    ) -> Filename:
        """Parse a wheel's or source distribution's name.

        :param legacy: take the formats from before PEP 625 too.
        :param project: whose file it is said to be, normalised. Nothing else tells
            ``acme-1.0-2.tar.gz``, version 1.0.post2 as setuptools once wrote it, from
            a project ``acme-1.0``. Of a name that cannot be that project's file it
            changes nothing.
        :raises BadRequest: it is neither; the message says why.
        """
        _refuse_unsafe(text)
        if text.endswith(".whl"):
            return cls._wheel(text)
        if text.endswith(".tar.gz"):
            return cls._of(text, ".tar.gz", FileKind.SDIST, project) or cls._sdist(text)
        for suffix, kind in LEGACY_SUFFIXES.items():
            if text.endswith(suffix):
                if legacy:
                    return cls._of(text, suffix, kind, project) or cls._legacy(
                        text, text.removesuffix(suffix), kind
                    )
                raise BadRequest(
                    f"Files that end in {suffix} are not taken here; build a wheel or "
                    "a .tar.gz source distribution, or set pypi.legacy_formats."
                )
        if without_variant(text) is not None:
            raise BadRequest(_NO_VARIANTS)
        raise BadRequest("A distribution file's name must end in .whl or .tar.gz.")

    def is_normalized(self) -> bool:
        """Return whether project and version are spelled as build tools spell them now.

        See "Source distribution file name" (PEP 625) and "Escaping and Unicode" of
        wheels: one spelling, by which anybody can tell whose file it is.
        """
        return self.text.startswith(self.normalized_start())

    def normalized_start(self) -> str:
        """Spell project and version of the name as build tools do now."""
        return f"{self.project.replace('-', '_')}-{self.version}"

    @classmethod
    def _of(
        cls, text: str, suffix: str, kind: FileKind, project: str | None
    ) -> Filename | None:
        """Split ``name-version`` behind a project's name, if it begins with that."""
        parts = text.removesuffix(suffix).split("-")
        for at in range(1, len(parts)):
            name = "-".join(parts[:at])
            if canonicalize_name(name) == project:
                try:
                    version = Version("-".join(parts[at:]))
                except InvalidVersion:
                    continue
                return cls(text, project_name(name), version, kind)
        return None

    @classmethod
    def _wheel(cls, text: str) -> Filename:
        lists = text.removesuffix(".whl").split("-")[-3:]
        if prod(tags.count(".") + 1 for tags in lists) > MAX_TAGS:
            raise BadRequest(f"This wheel's name has more than {MAX_TAGS} tags.")
        try:
            project, version, _, _ = parse_wheel_filename(text)
        except InvalidWheelFilename as e:
            if without_variant(text) is not None:
                raise BadRequest(_NO_VARIANTS) from None
            raise BadRequest(_reason("wheel", e)) from None
        for tags in text.removesuffix(".whl").split("-")[-3:]:
            if not _TAGS.fullmatch(tags):
                raise BadRequest(
                    f"This is not a valid wheel name: the tag {tags!r} is not made of "
                    "letters, digits and '_', with a '.' between several."
                )
        return cls(text, project_name(project), version, FileKind.WHEEL)

    @classmethod
    def _sdist(cls, text: str) -> Filename:
        try:
            project, version = parse_sdist_filename(text)
        except InvalidSdistFilename as e:
            raise BadRequest(_reason("source distribution", e)) from None
        return cls(text, project_name(project), version, FileKind.SDIST)

    @classmethod
    def _legacy(cls, text: str, stem: str, kind: FileKind) -> Filename:
        """Split ``name-version[-rest]`` where the first valid version begins."""
        parts = stem.split("-")
        for at in range(1, len(parts)):
            # Windows installers say name-1.0.win32-py2.7: the platform is no version.
            text_version = parts[at].split(".win", 1)[0].removesuffix(".linux")
            try:
                version = Version(text_version)
            except InvalidVersion:
                continue
            return cls(text, project_name("-".join(parts[:at])), version, kind)
        raise BadRequest(
            "This file's name does not tell a project and a version "
            "(name-version, as in acme_tool-1.0.zip)."
        )


def parse_version(text: str) -> Version:
    """Read a version that anybody may have written, in little time (PEP 440).

    :raises InvalidVersion: it is none, or longer than any.
    """
    if len(text) > MAX_VERSION:
        raise InvalidVersion(f"longer than {MAX_VERSION} characters")
    return Version(text)


def comparable_versions(texts: Iterable[str]) -> dict[str, Version | str]:
    """Return what versions are equal by: PEP 440, or the text where one is none.

    :returns: by text; each text is read once.
    """
    return {text: _comparable(text) for text in dict.fromkeys(texts)}


def _comparable(text: str) -> Version | str:
    try:
        return parse_version(text)
    except InvalidVersion:
        return text


def file_identity(text: str) -> object:
    """Return which file a name is of, however project and version are spelled.

    ``Acme.Tool-1.0.tar.gz`` and ``acme_tool-1.0.0.tar.gz`` are equal for installers,
    which may take either. A name from before PEP 625 stands for itself alone.
    """
    try:
        if text.endswith(".whl"):
            return parse_wheel_filename(text)
        return parse_sdist_filename(text) if text.endswith(".tar.gz") else text
    except (InvalidWheelFilename, InvalidSdistFilename):
        return text


def hint(text: str) -> str:
    """Return something cheap that is equal wherever :func:`file_identity` is.

    The numbers of the version: equal versions differ in zeros at most.
    """
    if text.endswith(".whl"):
        return f"whl {version_hint(text.split('-', 2)[1] if '-' in text else text)}"
    if text.endswith(".tar.gz"):
        return f"tar {version_hint(text[:-7].rpartition('-')[2])}"
    return text


def version_hint(text: str) -> str:
    """Return something cheap that is equal wherever versions are, by PEP 440."""
    return ".".join(_NUMBER.findall(text))


def without_variant(text: str) -> str | None:
    """Return a wheel's name without its variant label; None: it has none.

    Of ``acme-1.0-variants.json``, which tells of a release's variants, the name of that
    release's source distribution. (Wheel variants, PEP 817 and 825: drafts.)
    """
    if text.endswith(_VARIANTS):
        return f"{text.removesuffix(_VARIANTS)}.tar.gz"
    found = _VARIANT_WHEEL.fullmatch(text)
    if found is None or _is_wheel(text):
        return None
    plain = f"{found[1]}.whl"
    return plain if _is_wheel(plain) else None


def _is_wheel(text: str) -> bool:
    try:
        parse_wheel_filename(text)
    except InvalidWheelFilename:
        return False
    return True


def _refuse_unsafe(text: str) -> None:
    if not text.isascii() or not text.isprintable() or " " in text:
        raise BadRequest("A distribution file's name is printable ASCII, no spaces.")
    if "/" in text or "\\" in text or text.startswith("."):
        raise BadRequest("A distribution file's name is one name, not a path.")
    if len(text) > MAX_FILENAME:
        raise BadRequest(f"This file's name is longer than {MAX_FILENAME} characters.")
    if not _CHARACTERS.fullmatch(text):
        raise BadRequest(
            "A distribution file's name is made of letters, digits and '.', '_', '-', "
            "'+' and '!'."
        )


def _reason(what: str, error: ValueError) -> str:
    # packaging's own words, less the repr of the name that follows the last colon.
    return f"This is not a valid {what} name: {str(error).rpartition(':')[0]}."
