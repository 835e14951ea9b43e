"""Where files are, below a server's root: every address is made here."""

from __future__ import annotations

from urllib.parse import quote

from pypicloud_tw.index.model import File
from pypicloud_tw.index.names import NormalizedName

#: Hexadecimal digits of a file's SHA-256 in its address.
DIGEST_DIGITS = 16


def file_path(name: NormalizedName, file: File) -> str:
    """Return a file's permanent address (decision D4)."""
    return f"packages/{name}/{file.sha256[:DIGEST_DIGITS]}/{quote(file.filename)}"


def provenance_path(name: NormalizedName, file: File) -> str | None:
    """Return where a file's provenance is (PEP 740); None: it has none."""
    if file.provenance_key is None:
        return None
    version = quote(file.version, safe="")
    return f"integrity/{name}/{version}/{quote(file.filename)}/provenance"
