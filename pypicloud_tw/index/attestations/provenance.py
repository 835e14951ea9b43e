"""Provenance objects (PEP 740) of another index: what is asked of a helper of one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from attrs import field, frozen

from pypicloud_tw.config.signers import Signer
from pypicloud_tw.config.values import BadValueError
from pypicloud_tw.index.attestations.question import PREDICATES
from pypicloud_tw.json_documents import DAMAGED

#: Bundles of one object, each with the attestations of one publisher. Those of the
#: public index have one.
MAX_BUNDLES = 4

#: How PEP 740's ``publisher`` names what tells a signer, by its ``kind`` in lower case.
_TOLD_BY: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "github": {"repository": "repository", "workflow": "workflow"},
        "gitlab": {"repository": "repository", "workflow": "workflow_filepath"},
        "google": {"email": "email"},
        "circleci": {
            "project_id": "project_id",
            "pipeline_definition_id": "pipeline_definition_id",
        },
    }
)


@frozen
class ProvenanceQuestion:
    """Who attests this file, by this provenance object?

    :ivar data: the object, as it came.
    :ivar sha256: of the file; lower-case hexadecimal.
    :ivar trust_root: a file; None: the public Sigstore's, as it was installed.
    """

    data: bytes = field(repr=False)
    filename: str
    sha256: str
    trust_root: str | None = None


@frozen
class Proved:
    """What came of it.

    :ivar signers: whose attestations hold.
    :ivar why_not: what is wrong with the others, the rest of a sentence; empty where
        nothing is.
    """

    signers: tuple[Signer, ...]
    why_not: str = ""


@frozen
class Bundle:
    """The attestations of a file by one publisher, as they were read."""

    signer: Signer
    attestations: tuple[dict[str, Any], ...] = field(repr=False)


def read_bundles(data: bytes) -> tuple[Bundle, ...]:
    """Read a provenance object; bundles of other publishers are left out.

    :raises ValueError: it is none.
    """
    try:
        document = json.loads(data)
        bundles = document["attestation_bundles"]
        if document["version"] != 1 or not isinstance(bundles, list):
            raise ValueError
        found = [_read(one) for one in bundles[:MAX_BUNDLES]]
    except DAMAGED:
        raise ValueError("it is not a provenance object of PEP 740") from None
    return tuple(filter(None, found))


def _read(bundle: Any) -> Bundle | None:
    publisher, attestations = bundle["publisher"], bundle["attestations"]
    told_by = _TOLD_BY.get(str(publisher["kind"]).lower())
    if told_by is None:
        return None
    told = {name: str(publisher[member]) for name, member in told_by.items()}
    kept = attestations[: len(PREDICATES)]
    if not all(isinstance(one, dict) for one in kept):
        raise ValueError
    signer = Signer(str(publisher["kind"]).lower(), told)
    return Bundle(signer, tuple(kept)) if _has_line(signer) else None


def _has_line(signer: Signer) -> bool:
    """Return whether a line says of a signer all that there is; pins are lines."""
    try:
        return Signer.parse(signer.line) == signer
    except BadValueError:
        return False
