"""The private names of Twisted that this folder uses: all of them.

A release of Twisted may change them without notice, so pyproject.toml has a ceiling for
it. To raise that: run the tests with the new release, read what changed of these, and
write its version here.
"""

from __future__ import annotations

from types import MappingProxyType

#: The release of Twisted they were last checked with.
CHECKED_WITH = "26.10.0"

#: By the module that uses them, which says what time they save.
PRIVATE_NAMES = MappingProxyType(
    {
        "head": ("twisted.web.http_headers.Headers._rawHeaders",),
        "outgoing": ("twisted.internet.tcp.Connection._tempDataBuffer",),
    }
)
