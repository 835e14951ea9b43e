"""Core metadata as fields, read in time linear in its length.

``packaging.metadata.parse_email`` gives the same, but asks for every name in every
header: the square of as many names as a sender likes. What comes out is in its terms,
and its results are the tests' oracle.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.policy import compat32
from typing import cast, get_type_hints

from packaging.metadata import RawMetadata

from pypicloud_tw.index.archive.bounds import (
    MAX_HEADER_LINES,
    MAX_HEADERS,
    MAX_METADATA,
    MAX_METADATA_FIELD,
    MAX_METADATA_FIELDS,
    MAX_METADATA_NAMES,
    MAX_OF_FIELD,
)
from pypicloud_tw.index.archive.findings import refuse

#: Fields by their names in lower case: what was read, or what could not be.
Unparsed = dict[str, list[str]]

_LINE = re.compile(rb"[^\r\n]*(?:\r\n|[\r\n]|\Z)")

#: How a line of headers begins: a name and a colon, or a blank where it continues one
#: (RFC 5322, 2.2), or the envelope of an mbox, which the email package leaves out.
_HEADER = re.compile(rb"[!-9;-~]*:|[\t ]|From ")

#: Names that are singular in a header and plural in :class:`RawMetadata`.
_SINGULAR = {
    "classifiers": "classifier",
    "import_names": "import_name",
    "import_namespaces": "import_namespace",
    "license_files": "license_file",
    "platforms": "platform",
    "project_urls": "project_url",
    "supported_platforms": "supported_platform",
}
_TYPES = get_type_hints(RawMetadata)
_RAW_NAMES = {_SINGULAR.get(raw, raw).replace("_", "-"): raw for raw in _TYPES}


def read_fields(metadata: bytes) -> tuple[RawMetadata, Unparsed]:
    """Read core metadata of any version, leniently, as ``parse_email`` does.

    The body is the description as it stands: what the mail standards would have a
    Content-Type or Content-Transfer-Encoding do to it is not done.

    :return: the fields that could be read, and the values of those that could not:
        unknown ones, those that are not UTF-8, and those that may stand once and stand
        several times.
    :raises BadRequest: it exceeds a bound; the message says which.
    """
    if len(metadata) > MAX_METADATA:
        refuse(f"The core metadata is longer than {MAX_METADATA // 2**20} MiB.")
    headers, body = _split(metadata)
    raw: dict[str, object] = {}
    unparsed: Unparsed = {}
    for name, values in _by_name(headers).items():
        texts = [_text(value) for value in values]
        known = _RAW_NAMES.get(name)
        value = None
        if known is not None and None not in texts:
            value = _value(known, cast(list[str], texts))
        if known is None or value is None:
            unparsed[name] = [_any_text(value) for value in values]
        else:
            raw[known] = value
    _describe(body, raw, unparsed)
    return cast(RawMetadata, raw), unparsed


def parse_core_metadata(metadata: bytes) -> RawMetadata:
    """Read the fields alone; see :func:`read_fields`.

    :raises BadRequest: it exceeds a bound.
    """
    return read_fields(metadata)[0]


def _split(metadata: bytes) -> tuple[list[list[bytes]], bytes]:
    """Take the headers, each a list of its lines, from the body."""
    headers: list[list[bytes]] = []
    end = 0
    line = b""
    for line in _header_lines(metadata):
        end += len(line)
        if line[:1] not in b" \t":
            headers.append([line])
        elif headers:
            headers[-1].append(line)
    # An envelope that is the last line and not the first is the body's first line, to
    # the email package.
    envelope = line if line.startswith(b"From ") and len(line) < end else b""
    separator = _LINE.match(metadata, end)
    if separator and not separator[0].strip(b"\r\n"):
        end = separator.end()
    body = envelope + metadata[end:]
    # What continues no header, or one without a name, is left out with it.
    return [lines for lines in headers if _is_field(lines[0])], body


def _header_lines(metadata: bytes) -> Iterator[bytes]:
    for count, match in enumerate(_LINE.finditer(metadata)):
        if not _HEADER.match(match[0]):
            return
        if count == MAX_HEADER_LINES:
            refuse(f"The core metadata has more than {count} lines of headers.")
        if match.end() > MAX_HEADERS:
            refuse(
                f"The headers of the core metadata are longer than "
                f"{MAX_HEADERS // 2**20} MiB; a long description belongs behind an "
                "empty line."
            )
        yield match[0]


def _is_field(line: bytes) -> bool:
    return not line.startswith((b":", b"From "))


def _by_name(headers: list[list[bytes]]) -> dict[str, list[str]]:
    """Collect each field's values, in which bytes that are not UTF-8 are escaped."""
    if len(headers) > MAX_METADATA_FIELDS:
        refuse(f"The core metadata has more than {MAX_METADATA_FIELDS} fields.")
    fields: dict[str, list[str]] = {}
    for lines in headers:
        if sum(map(len, lines)) > MAX_METADATA_FIELD:
            refuse(
                f"A field of the core metadata is longer than "
                f"{MAX_METADATA_FIELD // 2**10} KiB."
            )
        source = [line.decode("utf-8", "surrogateescape") for line in lines]
        name, value = compat32.header_source_parse(source)
        values = fields.setdefault(name.lower(), [])
        values.append(value)
        if len(fields) > MAX_METADATA_NAMES:
            refuse(
                f"The core metadata has fields of more than {MAX_METADATA_NAMES} "
                f"names; the specification knows {len(_RAW_NAMES)}."
            )
        if len(values) > MAX_OF_FIELD.get(name.lower(), MAX_METADATA_FIELDS):
            refuse(f"The core metadata has more than {len(values) - 1} fields {name}.")
    return fields


def _text(value: str) -> str | None:
    """Give a value that is UTF-8."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return None
    return value


def _any_text(value: str) -> str:
    return _text(value) or value.encode("utf-8", "surrogateescape").decode("latin-1")


def _value(name: str, texts: list[str]) -> object | None:
    """Give a field's value, or None where it stands several times and should not."""
    if name == "project_urls":
        return _project_urls(texts)
    if name == "import_names" and texts == [""]:
        return []  # PEP 794: nothing can be imported, which is not the same as no word
    if _TYPES[name] == list[str] and name != "keywords":
        return texts
    if len(texts) > 1:
        return None
    if name == "keywords":
        return [keyword.strip() for keyword in texts[0].split(",")]
    return texts[0]


def _project_urls(texts: list[str]) -> dict[str, str] | None:
    pairs = [text.partition(",") for text in texts]
    urls = {label.strip(): url.strip() for label, _, url in pairs}
    return urls if len(urls) == len(texts) else None


def _describe(body: bytes, raw: dict[str, object], unparsed: Unparsed) -> None:
    """Take the body for the description; with a header of that name neither counts."""
    text = _text(body.decode("utf-8", "surrogateescape"))
    if text is None:
        unparsed.setdefault("description", []).append(body.decode("latin-1"))
    elif "description" in raw and text:
        unparsed["description"] = [cast(str, raw.pop("description")), text]
    elif "description" in unparsed and text:
        unparsed["description"].append(text)
    elif text:
        raw["description"] = text
