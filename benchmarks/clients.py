"""The headers that real clients send: 50 sets, so that remembering one wins nothing.

``headers.json`` has them as they came over the wire, in the clients' order, from a
request for a page of the simple API: pip 20.2 to 26.3, uv 0.1 to 0.13, poetry, curl and
wget, recorded by a server that wrote them down. The release of the kernel alone was
changed, so that machines differ. Firefox's and Chrome's are as published.
"""

from __future__ import annotations

import json
from pathlib import Path

Headers = tuple[tuple[str, str], ...]


def header_sets() -> list[Headers]:
    """Give the 50 sets."""
    recorded = json.loads(Path(__file__).with_name("headers.json").read_text())
    sets = [tuple((name, value) for name, value in one) for one in recorded]
    assert len(set(sets)) == 50
    return sets
