"""What of core metadata is searched. Helper processes load this: no Twisted."""

from __future__ import annotations

import re

from attrs import frozen
from packaging.utils import canonicalize_name

from pypicloud_tw.index.archive.bounds import MAX_HEADERS
from pypicloud_tw.index.archive.fields import parse_core_metadata

#: Names that are kept: boto3-stubs requires 441 projects (factor 2).
MOST_REQUIRED = 1000

#: Characters of a summary, as the public index has it, and of all keywords.
LONGEST_LINE = 512

#: What a requirement begins with (PEP 508).
_NAME = re.compile(r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]{0,253}[A-Za-z0-9])?)(?![\w.-])")

_END_OF_HEADERS = re.compile(rb"\r?\n\r?\n|\r\r")


@frozen
class Searched:
    """See :class:`.values.DescribedProject`."""

    keywords: str = ""
    requires: tuple[str, ...] = ()


def headers_of(metadata: bytes) -> bytes:
    """Return core metadata without its description, which may be long."""
    end = _END_OF_HEADERS.search(metadata)
    return metadata if end is None else metadata[: min(end.end(), MAX_HEADERS)]


def read_searched(headers: bytes) -> Searched:
    """Read them.

    :raises BadRequest: they exceed a bound.
    """
    fields = parse_core_metadata(headers)
    names = {
        canonicalize_name(found[1])
        for found in map(_NAME.match, fields.get("requires_dist", ()))
        if found is not None
    }
    keywords = one_line(", ".join(filter(None, fields.get("keywords", ()))))
    return Searched(keywords or "", tuple(sorted(names)[:MOST_REQUIRED]))


def one_line(text: str | None) -> str | None:
    """Return a text in one line that can be shown anywhere; None: nothing is left.

    What has no shape of its own becomes a blank: controls, marks that turn the
    direction of others, and halves of characters.
    """
    if not text:
        return None
    begins = text[: 4 * LONGEST_LINE]
    shown = "".join(c if c.isprintable() else " " for c in begins)
    return " ".join(shown.split())[:LONGEST_LINE].rstrip() or None
