"""Core metadata as it is shown: pure, from what anybody may have written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from email.utils import getaddresses
from typing import Any, cast, get_type_hints

from attrs import evolve
from packaging.metadata import RawMetadata
from packaging.utils import canonicalize_name

from pypicloud_tw.index.archive import MAX_METADATA, parse_core_metadata
from pypicloud_tw.index.model import Document
from pypicloud_tw.offload.limits import limited
from pypicloud_tw.projects.described.dependencies import compare, parse_dependency
from pypicloud_tw.projects.described.limits import DESCRIPTIONS
from pypicloud_tw.projects.described.project_links import project_links
from pypicloud_tw.projects.described.texts import clean_line, clean_text
from pypicloud_tw.projects.described.values import (
    DependencyChanges,
    Person,
    ReleaseMetadata,
)

#: Characters that are shown of a line of text, of a name, and of a keyword.
_LINE, _NAME, _WORD = 1_000, 200, 100
#: Characters of a field that are searched for addresses; people of a field.
_ADDRESSES, _PEOPLE = 8_000, 50
#: Keywords and classifiers that are shown: 63 classifiers are known.
_KEYWORDS, _CLASSIFIERS = 100, 200
#: Dependencies, and extras: as many as an upload may have.
_DEPENDENCIES = 5_000

_LICENCE_CLASSIFIER = re.compile(r"License :: (?:OSI Approved :: )?(.+)")

_TYPES = get_type_hints(RawMetadata)


@limited(DESCRIPTIONS)
def read_metadata(metadata: bytes, name: str, version: str) -> ReleaseMetadata:
    """Read core metadata; in a helper, where it is long.

    :param name: whose it is, for it may say another.
    :raises BadRequest: it exceeds a bound.
    """
    return release_metadata(parse_core_metadata(metadata), name, version)


@limited(DESCRIPTIONS)
def read_info(info: Document, name: str, version: str) -> ReleaseMetadata:
    """Read what the older JSON API tells of a release of another index.

    What is not of the type that it should be is left out.
    """
    given = {key: info[key] for key in _TYPES if _fits(info.get(key), _TYPES[key])}
    if isinstance(words := info.get("keywords"), str):
        # A comma by the specification, and blanks in all that is older.
        given["keywords"] = re.split(r"," if "," in words else r"\s+", words)
    raw = cast(RawMetadata, given)
    return evolve(release_metadata(raw, name, version), source="upstream")


@limited(DESCRIPTIONS)
def compare_apart(old: ReleaseMetadata, new: ReleaseMetadata) -> DependencyChanges:
    """Compare two releases; for a helper, where they need much."""
    return compare(old, new)


def release_metadata(raw: RawMetadata, name: str, version: str) -> ReleaseMetadata:
    """Make it fit to be shown."""
    links, unlinked = project_links(raw)
    return ReleaseMetadata(
        name,
        version,
        clean_line(raw.get("summary", ""), _LINE),
        clean_text(raw.get("description", "")[:MAX_METADATA]),
        clean_line(raw.get("description_content_type", ""), _NAME),
        clean_line(raw.get("requires_python", ""), _NAME),
        _licence(raw),
        tuple(_people(raw.get("author", ""), raw.get("author_email", ""))),
        tuple(_people(raw.get("maintainer", ""), raw.get("maintainer_email", ""))),
        links,
        unlinked,
        _lines(raw.get("keywords", []), _WORD, _KEYWORDS),
        _lines(raw.get("classifiers", []), _NAME, _CLASSIFIERS),
        tuple(map(parse_dependency, raw.get("requires_dist", [])[:_DEPENDENCIES])),
        tuple(
            canonicalize_name(clean_line(extra, _NAME))
            for extra in raw.get("provides_extra", [])[:_DEPENDENCIES]
        ),
    )


def _fits(value: Any, kind: object) -> bool:
    if kind == list[str]:
        return isinstance(value, list) and all(isinstance(one, str) for one in value)
    if kind == dict[str, str]:
        return isinstance(value, dict) and all(
            isinstance(one, str) for pair in value.items() for one in pair
        )
    return isinstance(value, str)


def _licence(raw: RawMetadata) -> str:
    """Choose the clearest: License may be the whole text of one (PEP 639)."""
    expression = clean_line(raw.get("license_expression", ""), _NAME)
    if expression:
        return expression
    classified = ", ".join(
        clean_line(found[1], _NAME)
        for classifier in raw.get("classifiers", [])[:_CLASSIFIERS]
        if (found := _LICENCE_CLASSIFIER.fullmatch(classifier[:_LINE]))
    )
    text = raw.get("license", "").strip()
    if text in ("", "UNKNOWN") or (classified and len(text) > _WORD):
        return clean_line(classified, _LINE)
    return clean_line(text, _NAME)


def _people(names: str, emails: str) -> Iterator[Person]:
    """Read a pair of fields; who has both a name and an address is in the second."""
    found = list(_with_addresses(emails))
    known = {person.name for person in found}
    name = clean_line(names, _NAME)
    if name and name != "UNKNOWN" and name not in known:
        alone = [person for person in found if not person.name]
        if len(found) == len(alone) == 1:
            found = [evolve(found[0], name=name)]
        else:
            found.insert(0, Person(name))
    yield from found[:_PEOPLE]


def _with_addresses(emails: str) -> Iterator[Person]:
    text = clean_line(emails, _ADDRESSES)
    if text in ("", "UNKNOWN"):
        return
    for name, address in getaddresses([text]):
        if "@" in address:
            yield Person(clean_line(name, _NAME), clean_line(address, _NAME))
        elif name or address:
            yield Person(clean_line(name or address, _NAME))


def _lines(texts: Iterable[str], longest: int, most: int) -> tuple[str, ...]:
    lines = (clean_line(text, longest) for text in list(texts)[:most])
    return tuple(filter(None, lines))
