"""The files of an upstream page: a compact table, and addresses of our own.

In the modes ``relay`` and ``cache`` a page links to this server, which must then find
the upstream's address of a file again. The largest pages have 40,000 files: their
addresses are kept as one compressed block, not as objects.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import NamedTuple
from urllib.parse import quote

import zstandard
from attrs import frozen

from pypicloud_tw.index.model import Document

#: Length of the digest's beginning that stands in our addresses (decision D4).
SEGMENT = 16
#: PEP 658: what is added to a file's address for its core metadata.
METADATA = ".metadata"
#: Characters of a mark: it stands in a header field, and in the store.
_LONGEST_MARK = 200
#: Begins what stands there where no digest is known.
_UNTOLD = "u"
#: What nearly all filenames are: nothing in them to be quoted.
_UNQUOTED = re.compile(r"[A-Za-z0-9_.~-]+")


@frozen
class Link:
    """One file of an upstream's page.

    :ivar url: absolute, without a fragment.
    :ivar sha256: None where the page does not tell: such a file can be relayed, not
        kept.
    :ivar size: in bytes, where the page tells.
    :ivar metadata: None: it has no core metadata beside it; empty: it has, of unknown
        digest; else the metadata's sha256.
    :ivar uploaded: when, as the page tells (PEP 700); empty where it does not.
    :ivar provenance: where that is (PEP 740); empty where there is none.
    :ivar yanked: why its author would not have it chosen (PEP 592), or empty; None: it
        is not yanked.
    """

    project: str
    filename: str
    url: str
    sha256: str | None = None
    size: int | None = None
    metadata: str | None = None
    uploaded: str = ""
    provenance: str = ""
    yanked: str | None = None

    @property
    def segment(self) -> str:
        """The part of our address that tells files of one name apart."""
        return segment(self.sha256, self.url)


def segment(digest: str | None, url: str) -> str:
    """Return the part of our address that stands for a file's bytes.

    Where no digest is known the address stands for them; its first letter cannot begin
    a digest, so neither can be taken for the other.
    """
    if digest is not None:
        return digest[:SEGMENT]
    return _UNTOLD + sha256(url.encode()).hexdigest()[: SEGMENT - 1]


def tells_bytes(part: str) -> bool:
    """Whether a :func:`segment` is of a digest: what lies there never changes."""
    return not part.startswith(_UNTOLD)


class _Row(NamedTuple):
    """What the table has of a file; see :class:`Link`."""

    filename: str
    url: str
    sha256: str | None
    size: int | None
    metadata: str | None
    uploaded: str
    provenance: str
    yanked: str | None


def _row_of(file: Document) -> _Row:
    metadata = file.get("core-metadata")
    digest = metadata.get("sha256", "") if isinstance(metadata, dict) else ""
    return _Row(
        file["filename"],
        file["url"].partition("#")[0],
        _sha256(file),
        file.get("size"),
        digest if metadata else None,
        _field(file.get("upload-time")),
        _field(file.get("provenance")),
        _field(file["yanked"]) if file.get("yanked") else None,
    )


def link_of(project: str, file: Document) -> Link:
    """Make the link of one of a document's files."""
    return Link(project, *_row_of(file))


def _field(text: object) -> str:
    """Return what fits into a field of the table."""
    return text if isinstance(text, str) and text.isprintable() else ""


def table(document: Document) -> bytes:
    """Pack every file's link: a line each, fields separated by tabs, compressed."""
    lines = ["", *map(_line, document["files"]), ""]
    return zstandard.ZstdCompressor(level=1).compress("\n".join(lines).encode())


def _line(file: Document) -> str:
    filename, url, digest, size, metadata, uploaded, provenance, yanked = _row_of(file)
    return (
        f"{filename}\t{url}\t{digest or ''}\t{'' if size is None else size}\t"
        f"{'-' if metadata is None else metadata}\t{uploaded}\t{provenance}\t"
        f"{'-' if yanked is None else f'+{yanked}'}"
    )


def find(packed: bytes, project: str, wanted: str, filename: str) -> Link | None:
    """Find a file in a :func:`table`; mostly without the GIL, so fit for a thread.

    :param wanted: the segment of our address, which must agree.
    """
    if not packed or not filename.isprintable():
        return None  # pages that lead to the other index have no table
    lines = _unpacked(packed)
    needle = b"\n" + filename.encode() + b"\t"
    at = lines.find(needle)
    while at >= 0:
        link = _link(project, lines[at + 1 : lines.index(b"\n", at + 1)].decode())
        if link.segment == wanted:
            return link
        at = lines.find(needle, at + 1)
    return None


def every(packed: bytes, project: str) -> list[Link]:
    """Read all of a :func:`table`."""
    if not packed:
        return []
    lines = _unpacked(packed).decode().split("\n")
    return [_link(project, line) for line in lines if line]


def _unpacked(packed: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompress(packed)


def _link(project: str, line: str) -> Link:
    filename, url, digest, size, metadata, uploaded, provenance, yanked = line.split(
        "\t"
    )
    return Link(
        project,
        filename,
        url,
        digest or None,
        int(size) if size else None,
        None if metadata == "-" else metadata,
        uploaded,
        provenance,
        yanked[1:] if yanked.startswith("+") else None,
    )


def mark_of(link: Link | None) -> str | None:
    """Return what an upstream has done with a file of which its page has this link.

    :param link: None: its page has it no more.
    :return: ``deleted``, or ``yanked`` with the reason behind it; None: nothing.
    """
    if link is None:
        return "deleted"
    if link.yanked is None:
        return None
    mark = f"yanked; {link.yanked}" if link.yanked else "yanked"
    return mark[:_LONGEST_MARK]


def relinked(document: Document) -> Document:
    """Make a document's files link to this server, relative to the project's page.

    A detached signature lies beside the upstream's file, not beside ours (PEP 503), so
    it is not spoken of.
    """
    return {
        **document,
        "files": [_relinked(document["name"], file) for file in document["files"]],
    }


def _relinked(project: str, file: Document) -> Document:
    own = file.copy()
    own.pop("gpg-sig", None)
    address = segment(_sha256(file), file["url"].partition("#")[0])
    own["url"] = f"../../{path(project, address, file['filename'])}"
    return own


def path(project: str, part: str, filename: str) -> str:
    """Return the address of a file here, below the server's root."""
    if not _UNQUOTED.fullmatch(filename):
        filename = quote(filename)
    return f"packages/{project}/{part}/{filename}"


def _sha256(file: Document) -> str | None:
    return checked_sha256(file["hashes"].get("sha256"))


def checked_sha256(digest: object) -> str | None:
    """Return a digest if it can be one."""
    return digest if isinstance(digest, str) and len(digest) == 64 else None
