"""The verification of attestations, as helper processes are asked for it.

The libraries take 0.9 s to import and 60 MiB: they are imported there alone, by the
first file that has attestations.
"""

from __future__ import annotations

from importlib.util import find_spec

from pypicloud_tw.errors import BadRequest, UpstreamError
from pypicloud_tw.index.attestations.provenance import Proved, ProvenanceQuestion
from pypicloud_tw.index.attestations.question import NOT_INSTALLED, Question
from pypicloud_tw.offload.limits import JobLimits, limited

#: Two attestations of 10 kB take 75 MiB, most of it for the libraries, and 1.5 s, most
#: of it for their import: factors of 5 and 20.
ATTESTATIONS = JobLimits(
    "attestations",
    "This attestation",
    memory=384 * 2**20,
    seconds=30.0,
    error=BadRequest,
)

#: The same of another index's files: who downloads waits for no upload.
PROVENANCE = JobLimits(
    "provenance",
    "The upstream's provenance",
    memory=384 * 2**20,
    seconds=30.0,
    error=UpstreamError,
)


def is_installed() -> bool:
    """Return whether the extra ``attestations`` is there; it is not imported."""
    return all(
        find_spec(name) is not None for name in ("pypi_attestations", "sigstore")
    )


@limited(ATTESTATIONS)
def verify(question: Question) -> bytes:
    """Verify every attestation of a file, and make its provenance object of them.

    :raises BadRequest: one does not hold; the message says which, and which check.
    :raises Unavailable: the trust root cannot be read.
    """
    try:
        # Here and not above: the server imports this module, too.
        from pypicloud_tw.index.attestations.judgement import judge
    except ModuleNotFoundError:
        # Half of it is: what it needs itself is missing.
        raise BadRequest(NOT_INSTALLED) from None
    return judge(question)


@limited(PROVENANCE)
def verify_provenance(question: ProvenanceQuestion) -> Proved:
    """Find who attests a file of another index, by the provenance that it tells.

    :raises UpstreamError: nothing can be verified here.
    :raises Unavailable: the trust root cannot be read.
    """
    try:
        from pypicloud_tw.index.attestations.judgement import judge_provenance
    except ModuleNotFoundError:
        raise UpstreamError(
            "This index cannot verify provenance: its operator installs "
            "'pypicloud-tw[attestations]'."
        ) from None
    return judge_provenance(question)
