"""What one job apart from the reactor may take (decision D6).

Each kind of work has threads, helper processes and a queue of its own, so that none
keeps another waiting. A function says by :func:`limited` of which kind it is. Beside
each limit stands the largest real thing that was measured, by ``python -m
benchmarks.hostile``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from attrs import frozen

from pypicloud_tw.errors import BadRequest, PypicloudError, Unavailable, UpstreamError

F = TypeVar("F", bound=Callable[..., Any])


@frozen
class JobLimits:
    """The limits of one job, and whose mistake it is to exceed them.

    :ivar kind: what kind of work it is, for logs.
    :ivar subject: what a job is about, as the beginning of a sentence.
    :ivar memory: bytes that a helper may use, those of Python itself (14 MiB) included.
    :ivar seconds: from when a helper begins; waiting in the queue is not counted.
    :ivar error: makes the error that the asker gets.
    :ivar niceness: added to the server's, so that pages come first.
    """

    kind: str
    subject: str
    memory: int = 512 * 2**20
    seconds: float = 60.0
    error: Callable[[str], PypicloudError] = Unavailable
    niceness: int = 5

    def too_large(self) -> PypicloudError:
        """Say that a job needs more memory than it may have."""
        return self.error(
            f"{self.subject} needs more memory to be read than the "
            f"{self.memory // 2**20} MiB that this server allows."
        )

    def too_slow(self) -> PypicloudError:
        """Say that a job takes longer than it may."""
        return self.error(
            f"{self.subject} takes longer to be read than the {self.seconds:g} s that "
            "this server allows."
        )


#: Uploads, and files that are adopted. A wheel of 22,000 members (the largest known has
#: 21,388) takes 45 MiB; one that unpacks to 1.27 GB (tensorflow-cpu, the largest known)
#: takes 4.3 s, and twice that on a busy machine: factors of 11, and of 35.
ARCHIVES = JobLimits("archives", "This archive", seconds=300.0, error=BadRequest)

#: Small uploads, as many as go together, which are placed by the same job: a sender
#: waits for each, and hardly longer than a page takes.
SMALL_FILES = JobLimits(
    "small files", "This archive", seconds=300.0, error=BadRequest, niceness=0
)

#: Pages of an upstream index, read and rendered. The largest known, 30 MB, takes
#: 156 MiB and 1 s as JSON, 266 MiB and 10 s as HTML: factors of 5 and 3, 60 and 6.
PAGES = JobLimits("pages", "The index's page", memory=768 * 2**20, error=UpstreamError)

#: Passwords whose hashes are computed in Python: 26 MiB, 0.3 s (sha256_crypt).
LOG_INS = JobLimits("log-ins", "This password", memory=128 * 2**20)

#: A month's counts of downloads. One of 30,000 files a day, added up anew of 31 days:
#: 293 MB and 10 to 15 s on a busy machine (``python -m benchmarks.statistics``).
COUNTS = JobLimits("counts", "A month of counts", memory=768 * 2**20, seconds=600.0)

#: Parts of long listings of a folder. 100,000 objects, in one folder of as many, take
#: 80 MiB and 0.7 s; a file system that answers slowly ends a part earlier.
LISTINGS = JobLimits("listings", "This listing", seconds=300.0)

#: Everything else, as our own pages. One of 30 MB takes as much as an upstream's.
OTHERS = JobLimits("others", "This page", memory=768 * 2**20)


def limited(limits: JobLimits) -> Callable[[F], F]:
    """Decorate a function that is called in a helper or a thread of its kind."""

    def decorate(function: F) -> F:
        function.limits = limits  # type: ignore[attr-defined]  # functions take any
        return function

    return decorate


def limits_of(function: Callable[..., object]) -> JobLimits:
    """Return the limits of a function; :data:`OTHERS` if it does not say."""
    limits: JobLimits = getattr(function, "limits", OTHERS)
    return limits
