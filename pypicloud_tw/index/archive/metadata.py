"""Core metadata, as an archive holds it."""

from __future__ import annotations

import re
from email.errors import MessageError

from packaging.metadata import RawMetadata, parse_email
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from pypicloud_tw.errors import BadRequest
from pypicloud_tw.index.archive.findings import Findings, refuse
from pypicloud_tw.index.names import Filename

#: Core metadata specification, "Metadata-Version": tools "MUST fail" only if the major
#: version is greater than those they know. So next year's build tools work, too.
_KNOWN_METADATA = re.compile(r"[12]\.[0-9]+", re.ASCII)


def parse_core_metadata(metadata: bytes) -> RawMetadata:
    """Read core metadata of any version, leniently: only what is used is checked.

    :raises BadRequest: it is not even in that format.
    """
    try:
        fields, _ = parse_email(metadata)
    except (ValueError, MessageError, LookupError):
        raise BadRequest("The file's core metadata cannot be parsed.") from None
    return fields


def judge_metadata(
    metadata: bytes, filename: Filename, findings: Findings
) -> RawMetadata:
    """Read a file's core metadata, and compare it with what its name says.

    :raises BadRequest: it is another file's, or of an unknown version.
    """
    fields = parse_core_metadata(metadata)
    if _KNOWN_METADATA.fullmatch(fields.get("metadata_version", "")) is None:
        refuse(
            "The core metadata's version is missing or unknown here "
            "(1.0 to 2.5, and later ones of 2, are known)."
        )
    if canonicalize_name(fields.get("name", "")) != filename.project:
        refuse("The core metadata's Name is not the project that the filename says.")
    try:
        agrees = Version(fields.get("version", "")) == filename.version
    except InvalidVersion:
        agrees = False
    if not agrees:
        refuse("The core metadata's Version is not the one that the filename says.")
    return fields
