"""What work in helpers on descriptions and on files' contents may take."""

from __future__ import annotations

from pypicloud_tw.errors import BadRequest
from pypicloud_tw.offload.limits import JobLimits

#: Core metadata and descriptions. matplotlib's takes 0.2 s and 60 MiB, the first time
#: with what is imported for it; whoever reads the page waits for no more than this.
DESCRIPTIONS = JobLimits(
    "descriptions",
    "This description",
    memory=256 * 2**20,
    seconds=8.0,
    error=BadRequest,
)

#: A look into a file. What is uploaded is judged by helpers of another kind, which no
#: reader keeps busy. A source archive that unpacks to 1 GB takes 6 s.
CONTENTS = JobLimits(
    "contents",
    "This file",
    memory=384 * 2**20,
    seconds=30.0,
    error=BadRequest,
)
