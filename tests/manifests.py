"""Reading the manifests of a store that is at rest, whatever they are made of."""

from __future__ import annotations

from collections.abc import Callable

from attrs import evolve

from pypicloud_tw.index.manifest import in_order, manifest_key
from pypicloud_tw.index.manifest_parts import (
    decode_files,
    decode_root,
    decode_tombstones,
    part_key,
)
from pypicloud_tw.index.model import Project
from pypicloud_tw.index.names import NormalizedName


def whole_project(name: NormalizedName, get: Callable[[str], bytes]) -> Project:
    """Read a project, and its parts if it is large.

    :param get: gives the bytes under a key.
    """
    root = decode_root(name, get(manifest_key(name)))
    files, tombstones = list(root.project.files), list(root.project.tombstones)
    for one in root.files:
        files += decode_files(name, one, get(part_key(name, one))).entries
    for one in root.tombstones:
        tombstones += decode_tombstones(name, one, get(part_key(name, one))).entries
    return evolve(root.project, files=in_order(files), tombstones=tuple(tombstones))
