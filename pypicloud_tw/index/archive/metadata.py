"""Whether core metadata is the file's, and something an installer can use."""

from __future__ import annotations

import re
from collections.abc import Callable

from packaging.metadata import RawMetadata
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from pypicloud_tw.index.archive.fields import Unparsed, read_fields
from pypicloud_tw.index.archive.findings import Findings, quoted, refuse
from pypicloud_tw.index.names import Filename

#: Core metadata specification, "Metadata-Version": tools "MUST fail" only if the major
#: version is greater than those they know. So next year's build tools work, too.
_KNOWN_METADATA = re.compile(r"[12]\.[0-9]+", re.ASCII)

#: Where it is said what these fields may be.
_RULES = {
    "Requires-Dist": "PEP 508",
    "Requires-Python": "PEP 440",
    "Provides-Extra": "PEP 685",
}

#: Characters of packaging's words that are shown: they may quote all of the text.
_LONGEST_REASON = 200


def judge_metadata(
    metadata: bytes, filename: Filename, findings: Findings
) -> RawMetadata:
    """Read a file's core metadata, and judge what installers take from it.

    The rest is not looked at: many packages that everybody installs have, say, a
    Description-Content-Type that is none.

    :raises BadRequest: it is another file's, of an unknown version, or exceeds a bound.
    """
    fields, unparsed = read_fields(metadata)
    _check_identity(fields, unparsed, filename)
    _judge_requirements(fields, unparsed, findings)
    return fields


def _check_identity(
    fields: RawMetadata, unparsed: Unparsed, filename: Filename
) -> None:
    for name in ("Metadata-Version", "Name", "Version"):
        if name.lower() in unparsed:
            refuse(f"The core metadata's {name} stands several times, or is not UTF-8.")
    if _KNOWN_METADATA.fullmatch(fields.get("metadata_version", "")) is None:
        refuse(
            "The core metadata's version is missing or unknown here "
            "(1.0 to 2.6, and later ones of 2, are known)."
        )
    name = fields.get("name", "")
    if not name.isascii() or canonicalize_name(name) != filename.project:
        refuse("The core metadata's Name is not the project that the filename says.")
    try:
        agrees = Version(fields.get("version", "")) == filename.version
    except InvalidVersion:
        agrees = False
    if not agrees:
        refuse("The core metadata's Version is not the one that the filename says.")


def _judge_requirements(
    fields: RawMetadata, unparsed: Unparsed, findings: Findings
) -> None:
    for name in ("Requires-Dist", "Requires-Python", "Provides-Extra"):
        if name.lower() in unparsed:
            findings.fall_short(
                f"The core metadata's {name} stands several times, or is not UTF-8."
            )
    for name, texts, parse in (
        ("Requires-Dist", fields.get("requires_dist", []), Requirement),
        ("Requires-Python", [fields.get("requires_python", "")], SpecifierSet),
        ("Provides-Extra", fields.get("provides_extra", []), _extra),
    ):
        for text in texts:
            reason = _fault(parse, text)
            if reason is not None:
                findings.fall_short(
                    f"The core metadata's {name} {quoted(text)} is not valid: {reason} "
                    f"({_RULES[name]})."
                )


def _fault(parse: Callable[[str], object], text: str) -> str | None:
    """Say why *text* cannot be parsed, if it cannot."""
    try:
        parse(text)
    except RecursionError:
        return "it is nested too deeply"
    except ValueError as e:
        # packaging's own words; further lines of them point into the text.
        said = str(e).partition("\n")[0][:_LONGEST_REASON].rstrip(".")
        return "".join(filter(str.isprintable, said))
    return None


def _extra(text: str) -> str:
    return canonicalize_name(text, validate=True)
