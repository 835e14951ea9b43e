"""What a distribution file is, and whether it is fit: one judgement for every door.

Uploads, adoption, ``refresh`` and the cache all ask :func:`inspect`, which is pure and
runs in a helper process, since it takes long and reads what nobody has vouched for.
It refuses what two installers would unpack differently, and lists what else is wrong.
"""

from pypicloud_tw.index.archive.bounds import MAX_METADATA
from pypicloud_tw.index.archive.fields import parse_core_metadata
from pypicloud_tw.index.archive.inspection import Inspection, inspect, inspect_file

__all__ = [
    "MAX_METADATA",
    "Inspection",
    "inspect",
    "inspect_file",
    "parse_core_metadata",
]
