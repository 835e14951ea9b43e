"""One address, one spelling.

A proxy in front decides by the path who may ask for it, and compares bytes: what we
took for the same address under another spelling would get past its rules.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

# Letters and digits, which nobody has a reason to encode (RFC 3986, section 6.2.2.2).
# "-", ".", "_" and "~" are encoded by careful clients, and in names of files only.
_NEEDLESS = re.compile(rb"%(?:3[0-9]|[46][1-9A-Fa-f]|[57][0-9Aa])")

# In a segment that was decoded: separators, which some take for such, and controls.
_FOREIGN = re.compile(rb"[/\\\x00-\x1f\x7f]")


def is_canonical(path: bytes, segments: Sequence[bytes]) -> bool:
    """Return whether a path is the one way to write the address that it means.

    :param path: as sent, beginning with ``/``.
    :param segments: what stands between its slashes, decoded.
    """
    return (
        all(segments[:-1])
        and not any(segment in (b".", b"..") for segment in segments)
        and not any(map(_FOREIGN.search, segments))
        and _NEEDLESS.search(path) is None
    )
