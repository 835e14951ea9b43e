"""Large results on their way between processes: compressed, for the pipe is slow."""

from __future__ import annotations

import pickle
from typing import Any, TypeVar

import zstandard
from attrs import field, frozen

from pypicloud_tw.offload.limits import PAGES, limited

T = TypeVar("T")

#: Bytes of a result above which it is compressed: the reactor's thread empties the
#: pipe, and each MB takes it 1 ms.
_PACKED_FROM = 1024 * 1024


@frozen
class PackedResult:
    """A large result, compressed for its way."""

    data: bytes = field(repr=False)
    size: int


def pack(result: T) -> T | PackedResult:
    """Compress a result that is large when pickled."""
    data = pickle.dumps(result, pickle.HIGHEST_PROTOCOL)
    return result if len(data) < _PACKED_FROM else _compressed(data)


def pack_small(value: object) -> PackedResult:
    """Compress a value whatever its size, to keep it in less memory."""
    return _compressed(pickle.dumps(value, pickle.HIGHEST_PROTOCOL))


def _compressed(data: bytes) -> PackedResult:
    return PackedResult(zstandard.ZstdCompressor(level=1).compress(data), len(data))


@limited(PAGES)
def unpacked(packed: PackedResult) -> Any:
    """Undo :func:`pack` and :func:`pack_small`.

    What is large is for a thread: decompression is without the GIL.
    """
    data = zstandard.ZstdDecompressor().decompress(packed.data)
    return pickle.loads(data)  # noqa: S301  made by our own helper process
