"""What is asked of a helper process about a file's attestations."""

from __future__ import annotations

import json
from typing import Any

from attrs import field, frozen

from pypicloud_tw.config.signers import Signer
from pypicloud_tw.errors import BadRequest

#: The kinds of attestation (PEP 740), of each of which a file can have one.
PREDICATES = (
    "https://docs.pypi.org/attestations/publish/v1",
    "https://slsa.dev/provenance/v1",
)

#: Bytes of the form's field. One of the public index's has 5 to 10 kB: a factor of 6.
MAX_ATTESTATIONS = 128 * 1024

#: Bytes of a provenance object: what is written of so much, publishers included.
MAX_PROVENANCE = 2 * MAX_ATTESTATIONS

#: How a client leaves them out, for every sentence that refuses them.
LEAVE_OUT = (
    "To publish without attestations: uv publish --no-attestations, or twine upload "
    "without --attestations."
)

#: What is said where nothing can be verified.
NOT_INSTALLED = (
    "This index cannot verify attestations, so it takes no file with any. "
    f"{LEAVE_OUT} Or have its operator install 'pypicloud-tw[attestations]'."
)


@frozen
class Question:
    """Do these attestations hold, of this file, by one of these signers?

    :ivar text: the form's field: JSON.
    :ivar sha256: of the file, as it was computed here; lower-case hexadecimal.
    :ivar signers: in the order in which they are tried; at least one.
    :ivar trust_root: a file; None: the public Sigstore's, as it was installed.
    """

    text: str = field(repr=False)
    filename: str
    sha256: str
    signers: tuple[Signer, ...]
    trust_root: str | None = None


def read_attestations(text: str) -> list[dict[str, Any]]:
    """Read the form's field, as far as its outermost layer.

    :raises BadRequest: it is none, or has none or too many attestations.
    """
    try:
        items = json.loads(text)
    except (ValueError, RecursionError):
        items = None
    if not isinstance(items, list) or not all(isinstance(one, dict) for one in items):
        raise BadRequest(
            "The form's field 'attestations' is not a JSON array of objects (PEP 740). "
            f"{LEAVE_OUT}"
        )
    if not 0 < len(items) <= len(PREDICATES):
        raise BadRequest(
            f"A file has from one to {len(PREDICATES)} attestations, one of each kind; "
            f"these are {len(items)}. {LEAVE_OUT}"
        )
    return items
