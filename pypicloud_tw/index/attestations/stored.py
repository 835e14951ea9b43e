"""Provenance objects as they lie in the store."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator
from typing import Any

from pypicloud_tw.json_documents import DAMAGED


def is_about(provenance: bytes, sha256: str) -> bool:
    """Return whether a provenance object is whole, and of a file of this digest.

    What it attests was verified before it was stored; this tells damage and mix-ups.
    """
    try:
        digests = set(_digests(json.loads(provenance)))
    except DAMAGED:
        return False
    return digests == {sha256}


def _digests(document: Any) -> Iterator[str]:
    for bundle in document["attestation_bundles"]:
        for attestation in bundle["attestations"]:
            statement = json.loads(b64decode(attestation["envelope"]["statement"]))
            for subject in statement["subject"]:
                yield subject["digest"]["sha256"]
