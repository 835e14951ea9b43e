"""What work in helpers on descriptions and on files' contents may take."""

from __future__ import annotations

from pypicloud_tw.errors import BadRequest
from pypicloud_tw.offload.limits import JobLimits

#: Core metadata and descriptions. The longest description known, pydantic's 141 kB,
#: takes 46 MiB and 40 ms; 0.8 MB of reStructuredText 81 MiB and 0.5 s; 5,000
#: dependencies 0.5 s: factors of 3 and 10. Whoever reads the page waits no longer.
DESCRIPTIONS = JobLimits(
    "descriptions",
    "This description",
    memory=256 * 2**20,
    seconds=5.0,
    error=BadRequest,
)

#: A look into a file. What is uploaded is judged by helpers of another kind, which no
#: reader keeps busy. The directory of 5,000 members takes 25 ms and 31 MiB; a source
#: archive of 100 MB and 50,000 members 1.2 s and 51 MiB.
CONTENTS = JobLimits(
    "contents",
    "This file",
    memory=384 * 2**20,
    seconds=30.0,
    error=BadRequest,
)
