"""A verifier at the seam between the index and the libraries."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

from attrs import define, field

from pypicloud_tw.config.signers import Signer
from pypicloud_tw.errors import PypicloudError
from pypicloud_tw.index.attestations.question import (
    PREDICATES,
    Question,
    read_attestations,
)

#: Who signs, by the ini.
SIGNER = Signer("github", {"repository": "acme/tool", "workflow": "release.yml"})


def attestation(
    filename: str, sha256: str, predicate: str = PREDICATES[0]
) -> dict[str, Any]:
    """Make an attestation that nobody has signed."""
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": filename, "digest": {"sha256": sha256}}],
        "predicateType": predicate,
        "predicate": None,
    }
    signed = b64encode(json.dumps(statement).encode()).decode()
    return {
        "version": 1,
        "verification_material": {"certificate": "", "transparency_entries": [{}]},
        "envelope": {"statement": signed, "signature": ""},
    }


@define
class Verifier:
    """Believes everything, unless it is told not to.

    :ivar refuses: what it raises.
    """

    questions: list[Question] = field(factory=list)
    refuses: PypicloudError | None = None

    async def __call__(self, question: Question) -> bytes:
        """Make a provenance object of what was sent."""
        self.questions.append(question)
        if self.refuses is not None:
            raise self.refuses
        (signer, *_) = question.signers
        bundle = {
            "publisher": {"kind": signer.kind, **signer.told_by, "claims": {}},
            "attestations": read_attestations(question.text),
        }
        return json.dumps({"version": 1, "attestation_bundles": [bundle]}).encode()
